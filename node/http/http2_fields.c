#include "http2_fields.h"

#include "http_char.h"
#include "http_status.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define VECTOR       16
#define SHORT_COOKIE 20 /* what a table of guesses could find (RFC 7541 7.1.3) */

/* A cursor over lines, and the room for names. */
struct lines {
    const char *at, *end;
    char *room;
};

/*
 * Writes the name at l->at in lower case to l->room, which has VECTOR bytes more than it needs.
 * Returns its length; the ':' is behind it. SIZE_MAX: there is none.
 */
static size_t lower_name(const struct lines *l)
{
    size_t n = 0, left = (size_t)(l->end - l->at);

#ifdef __SSE2__
    for (; n + VECTOR <= left; n += VECTOR) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(l->at + n));
        __m128i upper = _mm_and_si128(_mm_cmpgt_epi8(x, _mm_set1_epi8('A' - 1)),
                                      _mm_cmplt_epi8(x, _mm_set1_epi8('Z' + 1)));
        int colon = _mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(':')));

        x = _mm_or_si128(x, _mm_and_si128(upper, _mm_set1_epi8(0x20)));
        _mm_storeu_si128((__m128i *)(void *)(l->room + n), x);
        if (colon != 0)
            return n + (size_t)__builtin_ctz((unsigned)colon);
    }
#endif
    for (; n < left; n++) {
        if (l->at[n] == ':')
            return n;
        l->room[n] = weir_ascii_lower(l->at[n]);
    }
    return SIZE_MAX;
}

/* The CR that ends the line; NULL: none. */
static const char *line_end(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= VECTOR; p += VECTOR) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        int cr = _mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));

        if (cr != 0)
            return p + __builtin_ctz((unsigned)cr);
    }
#endif
    return p < end ? memchr(p, '\r', (size_t)(end - p)) : NULL;
}

/* Of the same length; names that are not meant mostly differ in the first byte. */
static bool is(struct weir_span name, const char *lower)
{
    return name.ptr[0] == lower[0] && memcmp(name.ptr, lower, name.len) == 0;
}

/* Connection-specific (RFC 9113 8.2.2); TE is written by http2_request_fields_of() alone. */
static bool left_out(struct weir_span name)
{
    switch (name.len) {
    case 2:
        return is(name, "te");
    case 7:
        return is(name, "upgrade");
    case 10:
        return is(name, "connection") || is(name, "keep-alive");
    case 14:
        return is(name, "http2-settings");
    case 16:
        return is(name, "proxy-connection");
    case 17:
        return is(name, "transfer-encoding");
    default:
        return false;
    }
}

static bool sensitive(const struct http2_field *f)
{
    if (f->name.len == 13)
        return is(f->name, "authorization");
    return f->name.len == 6 && f->value.len < SHORT_COOKIE && is(f->name, "cookie");
}

/* At a line; false: it is none. *done: it was the empty one, or there are no more. */
static bool next_field(struct lines *l, struct http2_field *f, bool *done)
{
    const char *value, *end;
    size_t n;

    *done = l->at == l->end || *l->at == '\r';
    if (*done)
        return true;
    n = lower_name(l);
    if (n == SIZE_MAX)
        return false;
    value = l->at + n + 1;
    while (value < l->end && http_char_ows(*value))
        value++;
    end = line_end(value, l->end);
    if (end == NULL || l->end - end < 2)
        return false;
    f->name = weir_span(l->room, n);
    f->value = weir_span(value, (size_t)(end - value));
    l->room += n;
    l->at = end + 2;
    return true;
}

static bool begin(struct lines *l, struct weir_span text, struct weir_arena *arena)
{
    l->at = text.ptr;
    l->end = text.ptr + text.len;
    /* Names and values are at most the text: no need to count the names first. */
    l->room = weir_arena_alloc(arena, text.len + VECTOR);
    return l->room != NULL;
}

/* The fields that are left; host: where Host goes, NULL if it stays. */
static bool take_fields(struct lines *l, struct weir_span *host, struct http2_field *out,
                        uint32_t *n, uint32_t max)
{
    struct http2_field f;
    bool done;

    for (;;) {
        if (!next_field(l, &f, &done))
            return false;
        if (done)
            return true;
        if (left_out(f.name))
            continue;
        if (host != NULL && f.name.len == 4 && is(f.name, "host")) {
            *host = f.value;
            continue;
        }
        if (*n >= max)
            return false;
        f.sensitive = sensitive(&f);
        out[(*n)++] = f;
    }
}

/* "HTTP/" is no field name: a '/' is no token. */
static bool is_status_line(const struct lines *l)
{
    return l->end - l->at >= 5 && memcmp(l->at, "HTTP/", 5) == 0;
}

bool http2_fields_of(struct weir_span lines, struct weir_arena *arena, struct http2_field *out,
                     uint32_t *n, uint32_t max)
{
    struct lines l;

    if (lines.len == 0)
        return true;
    if (!begin(&l, lines, arena))
        return false;
    if (is_status_line(&l)) {
        const char *end = line_end(l.at, l.end);

        if (end == NULL || l.end - end < 2)
            return false;
        l.at = end + 2;
    }
    return take_fields(&l, NULL, out, n, max);
}

/* "METHOD target HTTP/1.1\r\n" */
static bool request_line(struct lines *l, struct weir_span *method, struct weir_span *target)
{
    const char *end = line_end(l->at, l->end), *space, *version;

    if (end == NULL || l->end - end < 2)
        return false;
    space = memchr(l->at, ' ', (size_t)(end - l->at));
    version = end - sizeof("HTTP/1.1");
    if (space == NULL || version <= space || *version != ' ')
        return false;
    *method = weir_span(l->at, (size_t)(space - l->at));
    *target = weir_span(space + 1, (size_t)(version - space - 1));
    l->at = end + 2;
    return true;
}

static struct http2_field pseudo(struct weir_span name, struct weir_span value)
{
    return (struct http2_field){.name = name, .value = value};
}

bool http2_request_fields_of(struct weir_span lines, struct weir_span scheme, bool trailers,
                             struct weir_arena *arena, struct http2_field *out, uint32_t *n,
                             uint32_t max)
{
    struct weir_span method, target, host = WEIR_SPAN_NONE;
    struct http2_field *first = out + *n;
    struct lines l;

    if (max - *n < 5 || !begin(&l, lines, arena) || !request_line(&l, &method, &target))
        return false;
    *n += 4;
    if (!take_fields(&l, &host, out, n, max) || host.len == 0)
        return false;
    first[0] = pseudo(WEIR_SPAN_LIT(":method"), method);
    first[1] = pseudo(WEIR_SPAN_LIT(":scheme"), scheme);
    first[2] = pseudo(WEIR_SPAN_LIT(":authority"), host);
    first[3] = pseudo(WEIR_SPAN_LIT(":path"), target);
    if (!trailers)
        return true;
    if (*n >= max)
        return false;
    out[(*n)++] = pseudo(WEIR_SPAN_LIT("te"), WEIR_SPAN_LIT("trailers"));
    return true;
}
