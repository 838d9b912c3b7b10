/*
 * http_head.h - one message head, version-neutral: start line and header section as spans.
 *
 * The spans of a parsed head are views into the caller's buffer; those of fields added later live
 * in the arena that was passed. The field array is the caller's (any memory, set by
 * http_head_init), until http_head_add() has to grow it, then the arena's.
 *
 * Field order is kept, also for lines with the same name (RFC 9110 5.3).
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/arena.h"
#include "weir/span.h"
#include "http_field.h"
#include "http_status.h"

struct http_field {
    struct weir_span name;  /* as received */
    struct weir_span value; /* without surrounding OWS; may be empty, ptr is never NULL */
    uint16_t id;            /* HTTP_F_NONE if not known */
    uint16_t flags;         /* HTTP_FF_* */
};

#define HTTP_FIELD_WORDS ((HTTP_FIELD_IDS + 63) / 64)

struct http_head {
    /* request */
    struct weir_span method;
    enum http_method method_id;
    struct weir_span target; /* as received; http_target_parse() makes it usable */
    /* response */
    int status; /* 0 in a request */
    struct weir_span reason;
    /* both */
    uint8_t minor;    /* 0 or 1: HTTP/1.0 or HTTP/1.1 (and 1 for later versions) */
    uint32_t dropped; /* fields the parser left out for an '_' in the name */
    struct http_field *fields;
    uint32_t count, cap;
    uint64_t present[HTTP_FIELD_WORDS];  /* bit per id: at least one line; guards first[] */
    uint64_t repeated[HTTP_FIELD_WORDS]; /* bit per id: at least two lines */
    uint16_t first[HTTP_FIELD_IDS];      /* index of the first line; valid only if present */
};

/* Sets the array (cap at most 65,535) and resets. `fields` may be NULL with cap 0 for a head that
 * is filled by http_head_add(). */
void http_head_init(struct http_head *h, struct http_field *fields, uint32_t cap);
/* Empties the head, keeps the array. Costs a few words, not the tables. */
void http_head_reset(struct http_head *h);

static inline bool http_head_has(const struct http_head *h, uint16_t id)
{
    return (h->present[id / 64] >> (id % 64) & 1) != 0;
}

/* At least two lines with this id. */
static inline bool http_head_repeats(const struct http_head *h, uint16_t id)
{
    return (h->repeated[id / 64] >> (id % 64) & 1) != 0;
}

/* First line with this id (not HTTP_F_NONE), or NULL. */
static inline const struct http_field *http_head_first(const struct http_head *h, uint16_t id)
{
    return http_head_has(h, id) ? &h->fields[h->first[id]] : NULL;
}

/* Next line with the same name as `f`, which is a field of h; or NULL. */
const struct http_field *http_head_next(const struct http_head *h, const struct http_field *f);
/* First line with this name, any case, known or not; or NULL. */
const struct http_field *http_head_find(const struct http_head *h, struct weir_span name);
/* Value of the first line with this id; ptr NULL if there is none. */
static inline struct weir_span http_head_value(const struct http_head *h, uint16_t id)
{
    return http_head_has(h, id) ? h->fields[h->first[id]].value : WEIR_SPAN_NONE;
}

/* Appends a field whose id and flags are right, where there is room (count < cap). For parsers;
 * others add. */
static inline void http_head_put(struct http_head *h, const struct http_field *f)
{
    uint64_t bit = 1ULL << (f->id % 64);
    uint64_t *present = &h->present[f->id / 64];

    h->fields[h->count] = *f;
    if (f->id != HTTP_F_NONE && (*present & bit) != 0) {
        h->repeated[f->id / 64] |= bit;
    } else if (f->id != HTTP_F_NONE) {
        *present |= bit;
        h->first[f->id] = (uint16_t)h->count;
    }
    h->count++;
}

/*
 * Appends a line. *Borrows* name and value for as long as the head lives: pass bytes that live as
 * long (literals, the arena). False without memory (or beyond 65,535 fields): the head is as
 * before. `a` may be NULL when the array has room.
 */
bool http_head_add(struct http_head *h, struct weir_arena *a, struct weir_span name,
                   struct weir_span value);
/* The same for a known id, with its usual spelling: no look-up. */
bool http_head_add_id(struct http_head *h, struct weir_arena *a, uint16_t id,
                      struct weir_span value);
/* Removes all lines with this id, then appends one. */
bool http_head_set_id(struct http_head *h, struct weir_arena *a, uint16_t id,
                      struct weir_span value);
/* Removes all lines with this id; returns how many. Pointers to fields of h become invalid. */
uint32_t http_head_remove(struct http_head *h, uint16_t id);
/* The same by name, any case, known or not. */
uint32_t http_head_remove_name(struct http_head *h, struct weir_span name);
/* Removes every field for which drop() is true; keeps order; one pass. Returns how many. */
uint32_t http_head_remove_if(struct http_head *h,
                             bool (*drop)(const struct http_field *f, const void *ctx),
                             const void *ctx);
/* Deep copy into the arena: `to` shares nothing with `from` and is exactly as large as needed.
 * False without memory. */
bool http_head_copy(struct http_head *to, const struct http_head *from, struct weir_arena *a);
/* The bytes [old_base, old_base + len) moved to new_base: moves every span that points into them.
 */
void http_head_rebase(struct http_head *h, const char *old_base, size_t len, const char *new_base);

#endif
