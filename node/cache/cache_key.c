#include "cache_key.h"

#include <string.h>

#include "weir/arena.h"

#define PART_HEAD 4 /* length of a part's length */
#define KEY_HEAD  2 /* class, query present */
#define KEY_PARTS 4

enum { HAS_QUERY = 1, HAS_ROUTE = 2, HAS_FORWARDED_HOST = 4 };

static size_t optional_size(struct weir_span part)
{
    return part.len > 0 ? PART_HEAD + part.len : 0;
}

size_t cache_key_size(const struct cache_key_parts *p)
{
    return KEY_HEAD + KEY_PARTS * PART_HEAD + p->scheme.len + p->authority.len + p->path.len +
           (p->has_query ? p->query.len : 0) + optional_size(p->route) +
           optional_size(p->forwarded_host);
}

static char *put_part(char *at, struct weir_span part)
{
    for (int shift = 0; shift < 32; shift += 8)
        *at++ = (char)(unsigned char)(part.len >> shift);
    if (part.len > 0) /* memcpy from NULL is undefined even for nothing */
        memcpy(at, part.ptr, part.len);
    return at + part.len;
}

static bool too_long(struct weir_span part)
{
    return part.len > UINT32_MAX;
}

bool cache_key_build(struct cache_key *k, const struct cache_key_parts *p,
                     const struct weir_hash_secret *secret, char *buf, size_t size,
                     struct weir_arena *arena)
{
    struct weir_span query = p->has_query ? p->query : WEIR_SPAN_NONE;
    size_t len = cache_key_size(p);
    char *at;

    if (too_long(p->scheme) || too_long(p->authority) || too_long(p->path) || too_long(query) ||
        too_long(p->route) || too_long(p->forwarded_host))
        return false;
    if (len > size)
        buf = arena != NULL ? weir_arena_alloc(arena, len) : NULL;
    if (buf == NULL)
        return false;
    at = buf;
    *at++ = (char)p->class;
    *at++ = (char)((p->has_query ? HAS_QUERY : 0) | (p->route.len > 0 ? HAS_ROUTE : 0) |
                   (p->forwarded_host.len > 0 ? HAS_FORWARDED_HOST : 0));
    at = put_part(at, p->scheme);
    at = put_part(at, p->authority);
    at = put_part(at, p->path);
    at = put_part(at, query);
    if (p->route.len > 0)
        at = put_part(at, p->route);
    if (p->forwarded_host.len > 0)
        put_part(at, p->forwarded_host);
    k->bytes = weir_span(buf, len);
    k->hash = weir_hash128(secret, buf, len);
    return true;
}
