/*
 * esi_tag.h - one whole tag of the esi namespace. For the parser.
 */
#ifndef ESI_TAG_H
#define ESI_TAG_H

#include "esi_parser.h"

enum esi_tag {
    ESI_TAG_OTHER,   /* not understood, or malformed: page bytes */
    ESI_TAG_INCLUDE, /* *out is set */
    ESI_TAG_REMOVE,  /* what follows is left out */
    ESI_TAG_DROP,    /* understood; nothing comes out of it */
};

/*
 * `tag`: from '<' to '>', beginning with "<esi:" or "</esi:". The values of an include are decoded
 * in place; unless it is one, the bytes stay as they are.
 */
enum esi_tag esi_tag_read(char *tag, size_t len, struct esi_include *out);

static inline bool esi_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

#endif
