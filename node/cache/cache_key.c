#include "cache_key.h"

#include <endian.h>
#include <string.h>

#include "weir/arena.h"

#define PART_HEAD 4 /* length of a part's length */
#define KEY_HEAD  2 /* class, what is present */

/* Bits of the second byte. */
enum {
    HAS_QUERY = 1,
    HAS_ROUTE = 2,
    HAS_FORWARDED = 4,
    HAS_SELECTORS = 8,
    HAS_SEARCH = 16,
    HAS_CONTENT = 32,
    HAS_SLICE = 64,
    HAS_ALL = 127
};

#define ALWAYS   4 /* scheme, authority, path, query */
#define OPTIONAL 6
#define PARTS    (ALWAYS + OPTIONAL)

/* The parts that are mostly missing, in their order. Returns their size. */
static size_t optional_parts(const struct cache_key_parts *p, struct weir_span part[OPTIONAL])
{
    size_t size = 0;

    part[0] = p->route;
    part[1] = p->forwarded;
    part[2] = p->selectors;
    part[3] = p->search;
    part[4] = p->content;
    part[5] = p->slice;
    for (unsigned i = 0; i < OPTIONAL; i++)
        size += part[i].len > 0 ? PART_HEAD + part[i].len : 0;
    return size;
}

/* The usual key has none of them. */
static bool plain(const struct cache_key_parts *p)
{
    return (p->route.len | p->forwarded.len | p->selectors.len | p->search.len | p->content.len |
            p->slice.len) == 0;
}

size_t cache_key_size(const struct cache_key_parts *p)
{
    struct weir_span part[OPTIONAL];

    return KEY_HEAD + ALWAYS * PART_HEAD + p->scheme.len + p->authority.len + p->path.len +
           (p->has_query ? p->query.len : 0) + (plain(p) ? 0 : optional_parts(p, part));
}

static char *put_part(char *at, struct weir_span part)
{
    uint32_t len = htole32((uint32_t)part.len);

    memcpy(at, &len, PART_HEAD);
    at += PART_HEAD;
    if (part.len > 0) /* memcpy from NULL is undefined even for nothing */
        memcpy(at, part.ptr, part.len);
    return at + part.len;
}

/* Writes those that are there, and returns their bits. */
static unsigned put_optional(char *at, const struct cache_key_parts *p)
{
    struct weir_span part[OPTIONAL];
    unsigned present = 0;

    optional_parts(p, part);
    for (unsigned i = 0; i < OPTIONAL; i++)
        if (part[i].len > 0) {
            at = put_part(at, part[i]);
            present |= (unsigned)HAS_ROUTE << i;
        }
    return present;
}

bool cache_key_build(struct cache_key *k, const struct cache_key_parts *p,
                     const struct weir_hash_secret *secret, char *buf, size_t size,
                     struct weir_arena *arena)
{
    struct weir_span query = p->has_query ? p->query : WEIR_SPAN_NONE;
    size_t len = cache_key_size(p);
    unsigned present = p->has_query ? HAS_QUERY : 0;
    char *at;

    if ((p->scheme.len | p->authority.len | p->path.len | query.len | p->route.len |
         p->forwarded.len | p->selectors.len | p->search.len | p->content.len | p->slice.len) >
        UINT32_MAX)
        return false;
    if (len > size)
        buf = arena != NULL ? weir_arena_alloc(arena, len) : NULL;
    if (buf == NULL)
        return false;
    at = buf + KEY_HEAD;
    at = put_part(at, p->scheme);
    at = put_part(at, p->authority);
    at = put_part(at, p->path);
    at = put_part(at, query);
    if (!plain(p))
        present |= put_optional(at, p);
    buf[0] = (char)p->class;
    buf[1] = (char)present;
    k->bytes = weir_span(buf, len);
    k->hash = weir_hash128(secret, buf, len);
    return true;
}

/* ---- reading ---- */

static bool take_part(struct weir_span *rest, struct weir_span *part)
{
    uint32_t len;

    if (rest->len < PART_HEAD)
        return false;
    memcpy(&len, rest->ptr, PART_HEAD);
    len = le32toh(len);
    if (rest->len - PART_HEAD < len)
        return false;
    *part = weir_span(rest->ptr + PART_HEAD, len);
    rest->ptr += PART_HEAD + len;
    rest->len -= PART_HEAD + len;
    return true;
}

bool cache_key_read(struct weir_span bytes, struct cache_key_parts *out)
{
    struct weir_span part[PARTS] = {{NULL, 0}};
    unsigned parts;
    struct weir_span rest;
    unsigned present;

    if (bytes.len < KEY_HEAD || (bytes.ptr[0] != CACHE_KEY_GET && bytes.ptr[0] != CACHE_KEY_QUERY))
        return false;
    present = (unsigned char)bytes.ptr[1];
    rest = weir_span(bytes.ptr + KEY_HEAD, bytes.len - KEY_HEAD);
    parts = (present & ~(unsigned)HAS_QUERY) != 0 ? PARTS : ALWAYS; /* most keys are plain */
    for (unsigned i = 0; i < parts; i++) {
        if (i >= ALWAYS && (present & (unsigned)HAS_ROUTE << (i - ALWAYS)) == 0)
            continue;
        if (!take_part(&rest, &part[i]) || (i >= ALWAYS && part[i].len == 0))
            return false;
    }
    if (part[3].len > 0 && (present & HAS_QUERY) == 0)
        return false;
    *out = (struct cache_key_parts){
        .class = (enum cache_key_class)bytes.ptr[0],
        .scheme = part[0],
        .authority = part[1],
        .path = part[2],
        .query = (present & HAS_QUERY) != 0 ? part[3] : WEIR_SPAN_NONE,
        .has_query = (present & HAS_QUERY) != 0,
        .route = part[4],
        .forwarded = part[5],
        .selectors = part[6],
        .search = part[7],
        .content = part[8],
        .slice = part[9],
    };
    return rest.len == 0 && (present & ~(unsigned)HAS_ALL) == 0;
}

/* ---- slices ---- */

static void put_u64(char *at, uint64_t n)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (char)(unsigned char)(n >> (8 * i));
}

static uint64_t get_u64(const char *at)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < 8; i++)
        n |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return n;
}

struct weir_span cache_key_slice(char buf[CACHE_KEY_SLICE_BYTES], uint64_t n, uint64_t size)
{
    put_u64(buf, n);
    put_u64(buf + 8, size);
    return weir_span(buf, CACHE_KEY_SLICE_BYTES);
}

bool cache_key_has_search(struct weir_span bytes)
{
    return bytes.len >= KEY_HEAD && (bytes.ptr[1] & HAS_SEARCH) != 0;
}

/* ---- pairs ---- */

char *cache_key_pair(char *at, struct weir_span name, struct weir_span value)
{
    at = put_part(at, name);
    *at++ = value.ptr != NULL ? '=' : ' ';
    return put_part(at, value);
}

/* ---- for people ---- */

struct text {
    char *at, *end;
};

static void put_char(struct text *t, char c)
{
    if (t->at < t->end)
        *t->at++ = c;
}

static void put_str(struct text *t, const char *s)
{
    while (*s != '\0')
        put_char(t, *s++);
}

static void put_bytes(struct text *t, struct weir_span s)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < s.len && t->at < t->end; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c > 0x20 && c < 0x7f) {
            put_char(t, (char)c);
        } else if (t->end - t->at >= 3) {
            put_char(t, '%');
            put_char(t, hex[c >> 4]);
            put_char(t, hex[c & 15]);
        } else {
            t->end = t->at; /* half an escape would say something else */
        }
    }
}

static void put_pairs(struct text *t, const char *label, struct weir_span list)
{
    struct weir_span name, value;

    if (list.len == 0)
        return;
    put_str(t, label);
    while (take_part(&list, &name) && list.len > 0) {
        bool there = *list.ptr == '=';

        list.ptr++;
        list.len--;
        if (!take_part(&list, &value))
            break;
        put_char(t, ' ');
        put_bytes(t, name);
        put_str(t, there ? "=" : "");
        put_bytes(t, value);
    }
}

static void put_number(struct text *t, uint64_t n)
{
    char digits[20];
    unsigned count = 0;

    do
        digits[count++] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    while (count > 0)
        put_char(t, digits[--count]);
}

size_t cache_key_text(const struct cache_key_parts *p, char *buf, size_t size)
{
    struct text t = {buf, buf + size};

    put_str(&t, p->class == CACHE_KEY_QUERY ? "QUERY " : "GET ");
    put_bytes(&t, p->scheme);
    put_str(&t, "://");
    put_bytes(&t, p->authority);
    put_bytes(&t, p->path);
    if (p->has_query) {
        put_char(&t, '?');
        put_bytes(&t, p->query);
    }
    if (p->route.len > 0) {
        put_str(&t, " route ");
        put_bytes(&t, p->route);
    }
    put_pairs(&t, " forwarded", p->forwarded);
    put_pairs(&t, " with", p->selectors);
    if (p->search.len > 0) {
        put_str(&t, " no-vary-search ");
        put_bytes(&t, p->search);
    }
    if (p->content.len > 0) {
        put_str(&t, " content ");
        put_number(&t, p->content.len);
    }
    if (p->slice.len == CACHE_KEY_SLICE_BYTES) {
        put_str(&t, " slice ");
        put_number(&t, get_u64(p->slice.ptr));
        put_str(&t, " of ");
        put_number(&t, get_u64(p->slice.ptr + 8));
        put_str(&t, " bytes");
    }
    return (size_t)(t.at - buf);
}
