/*
 * esi_parser.h - a page with Edge Side Includes, cut into text and includes while it arrives.
 *
 * A subset of ESI 1.0 (W3C note of 4 August 2001):
 *
 *   <esi:include src="..." alt="..." onerror="continue"/>   becomes ESI_INCLUDE
 *   <esi:remove> ... </esi:remove>                          is left out, whatever is inside
 *   <esi:comment text="..."/>                               is left out
 *   <!--esi ... -->                                         the inside is processed like the rest
 *
 * Empty elements may have an end tag instead of the final '/'. Element and attribute names are in
 * lower case, values in quotes; the five entities of XML and numeric ones are decoded, any other
 * '&' stands for itself; unknown attributes are ignored.
 *
 * Everything else is text and comes out byte for byte: other elements of the namespace (a further
 * surrogate may understand them), a tag that is malformed or longer than ESI_TAG_MAX or whose end
 * is missing, what lies in a CDATA section or in a plain comment. Of a remove without end nothing
 * is left but esi_parser_unclosed().
 *
 * Pure: allocates nothing. However the bytes are cut, the same texts, joined, and the same includes
 * come out.
 */
#ifndef ESI_PARSER_H
#define ESI_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/span.h"

#define ESI_TAG_MAX 4096

enum esi_event {
    ESI_MORE,    /* the input is used up */
    ESI_TEXT,    /* to be sent as it is */
    ESI_INCLUDE, /* to be replaced by a fragment */
};

struct esi_include {
    struct weir_span src; /* not empty */
    struct weir_span alt; /* ptr NULL: none */
    bool go_on;           /* onerror="continue" */
};

struct esi_token {
    struct weir_span text;      /* ESI_TEXT: into the input, or, if `held`, into the parser */
    bool held;                  /* valid until the next call only */
    struct esi_include include; /* ESI_INCLUDE: into the parser, valid until the next call */
};

enum esi_mode { ESI_PAGE, ESI_REMOVED, ESI_PLAIN_COMMENT, ESI_CDATA };

struct esi_parser {
    enum esi_mode mode;
    bool unwrapped; /* inside <!--esi, whose "-->" is left out */
    bool in_tag;    /* hold has "<esi:" or "</esi:" and what followed so far */
    bool skips;     /* up to the next '>': the end tag of a remove */
    char quote;     /* in_tag: the one an attribute value began with; 0: outside */
    uint32_t held;  /* bytes in hold */
    uint32_t out;   /* of them handed out by the last call */
    char hold[ESI_TAG_MAX];
};

void esi_parser_init(struct esi_parser *p);

/* Consumes from *in until there is something to say. */
enum esi_event esi_parser_next(struct esi_parser *p, struct weir_span *in, struct esi_token *out);

/* The page has ended: ESI_TEXT with what was held back, if anything, then ESI_MORE. */
enum esi_event esi_parser_end(struct esi_parser *p, struct esi_token *out);

/* At the end: a remove was never closed, so that the rest of the page was left out. */
static inline bool esi_parser_unclosed(const struct esi_parser *p)
{
    return p->mode == ESI_REMOVED;
}

#endif
