#include "http_scan.h"

#ifdef __SSE2__

#include <immintrin.h>

static size_t value_sse2(const char *p, size_t n)
{
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        unsigned stops = http_scan_value_stops(http_scan_load(p + i));

        if (stops != 0)
            return i + (unsigned)__builtin_ctz(stops);
    }
    return http_scan_class(p, i, n, HTTP_C_FIELD);
}

__attribute__((target("avx2"))) static size_t value_avx2(const char *p, size_t n)
{
    const __m256i highest = _mm256_set1_epi8(0x1f);
    const __m256i tab = _mm256_set1_epi8('\t');
    const __m256i del = _mm256_set1_epi8(0x7f);
    size_t i = 0;

    for (; i + 32 <= n; i += 32) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(x, highest), x);
        __m256i bad = _mm256_or_si256(_mm256_andnot_si256(_mm256_cmpeq_epi8(x, tab), control),
                                      _mm256_cmpeq_epi8(x, del));
        unsigned stops = (unsigned)_mm256_movemask_epi8(bad);

        if (stops != 0)
            return i + (unsigned)__builtin_ctz(stops);
    }
    return i + value_sse2(p + i, n - i);
}

size_t http_scan_value_long(const char *p, size_t n)
{
    return __builtin_cpu_supports("avx2") ? value_avx2(p, n) : value_sse2(p, n);
}

#endif
