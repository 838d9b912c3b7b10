/*
 * http_scan.h - how far a run of allowed bytes goes, 16 or 32 bytes at a time. Private to the area.
 *
 * Each returns the number of leading bytes of [p, p + n) that are in the class; none reads outside.
 * SSE2 is part of x86-64; AVX2 is used for long values where the processor has it; elsewhere a
 * table.
 */
#ifndef HTTP_SCAN_H
#define HTTP_SCAN_H

#include <stddef.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "http_char.h"

static inline size_t http_scan_class(const char *p, size_t i, size_t n, uint8_t class)
{
    while (i < n && http_char_is(p[i], class))
        i++;
    return i;
}

/* Names and methods are short: a table look-up per byte is faster than setting up vectors. */
static inline size_t http_scan_token(const char *p, size_t n)
{
    return http_scan_class(p, 0, n, HTTP_C_TOKEN);
}

#ifdef __SSE2__

/* A bit per byte that may not be in a field value: below 0x20 but not HTAB, or DEL. */
static inline unsigned http_scan_value_stops(__m128i x)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

/* A bit per byte that may not be in a target: outside '!' to '~' (as signed bytes), or '#'. */
static inline unsigned http_scan_target_stops(__m128i x)
{
    __m128i low = _mm_cmplt_epi8(x, _mm_set1_epi8('!')); /* 0x80 and up are negative: low too */
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    __m128i hash = _mm_cmpeq_epi8(x, _mm_set1_epi8('#'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(del, hash)));
}

/* The rest of a long value; see http_scan_value(). */
size_t http_scan_value_long(const char *p, size_t n);

#define HTTP_SCAN_SHORT 48 /* most values end before; beyond it a call costs less than it saves */

static inline __m128i http_scan_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline size_t http_scan_value(const char *p, size_t n)
{
    size_t i = 0;

    for (; i + 16 <= n && i < HTTP_SCAN_SHORT; i += 16) {
        unsigned stops = http_scan_value_stops(http_scan_load(p + i));

        if (stops != 0)
            return i + (unsigned)__builtin_ctz(stops);
    }
    if (i == HTTP_SCAN_SHORT)
        return i + http_scan_value_long(p + i, n - i);
    return http_scan_class(p, i, n, HTTP_C_FIELD);
}

static inline size_t http_scan_target(const char *p, size_t n)
{
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        unsigned stops = http_scan_target_stops(http_scan_load(p + i));

        if (stops != 0)
            return i + (unsigned)__builtin_ctz(stops);
    }
    return http_scan_class(p, i, n, HTTP_C_TARGET);
}

#else

static inline size_t http_scan_value(const char *p, size_t n)
{
    return http_scan_class(p, 0, n, HTTP_C_FIELD);
}

static inline size_t http_scan_target(const char *p, size_t n)
{
    return http_scan_class(p, 0, n, HTTP_C_TARGET);
}

#endif
#endif
