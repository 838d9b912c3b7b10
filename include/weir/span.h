/*
 * span.h - a borrowed view of bytes. Not NUL-terminated; whoever holds one knows how long the bytes
 * live.
 */
#ifndef WEIR_SPAN_H
#define WEIR_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct weir_span {
    const char *ptr;
    size_t len;
};

#define WEIR_SPAN_LIT(s) ((struct weir_span){(s), sizeof(s) - 1})
#define WEIR_SPAN_NONE   ((struct weir_span){NULL, 0})

static inline struct weir_span weir_span(const char *ptr, size_t len)
{
    return (struct weir_span){ptr, len};
}

static inline struct weir_span weir_span_str(const char *s)
{
    return (struct weir_span){s, s != NULL ? strlen(s) : 0};
}

static inline bool weir_span_eq(struct weir_span a, struct weir_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline char weir_ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ASCII case-insensitive, as field names and tokens compare (RFC 9110 5.1). */
bool weir_span_ieq(struct weir_span a, struct weir_span b);
bool weir_span_starts(struct weir_span s, struct weir_span prefix);
/* Without leading and trailing SP and HTAB (OWS, RFC 9110 5.6.3). */
struct weir_span weir_span_trim(struct weir_span s);
/* Only digits, at least one, value <= max; else false. No sign, no space, no locale. */
bool weir_span_u64(struct weir_span s, unsigned long long max, unsigned long long *out);

#endif
