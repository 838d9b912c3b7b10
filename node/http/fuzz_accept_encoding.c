/*
 * fuzz_accept_encoding.c - any bytes as Accept-Encoding: the order holds each coding once, by the
 * memo and without, and what is refused everywhere is nowhere in it.
 */
#include "fuzz_http.h"

#include "http_accept_encoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_accept_encoding_memo memo = {0};
    struct http_accept_encoding a;
    struct http_field fields[2];
    struct http_head h;
    uint32_t seed = fuzz_seed(data, size);
    size_t cut = size > 0 && (seed & 1) != 0 ? seed / 2 % size : size;
    char *one = exact_copy(data, cut), *two = exact_copy(data + cut, size - cut);
    unsigned seen = 0;

    http_head_init(&h, fields, 2);
    MUST(http_head_add(&h, NULL, WEIR_SPAN_LIT("Accept-Encoding"), weir_span(one, cut)));
    if (cut < size)
        MUST(http_head_add(&h, NULL, WEIR_SPAN_LIT("Accept-Encoding"), weir_span(two, size - cut)));
    http_accept_encoding_parse(&h, &a);
    MUST(a.count <= CODINGS);
    for (unsigned i = 0; i < a.count; i++) {
        MUST(a.order[i] < CODINGS && (seen >> a.order[i] & 1) == 0);
        seen |= 1U << a.order[i];
    }
    MUST(seen == a.accepted);
    for (int i = 0; i < 2; i++)
        MUST(memcmp(http_accept_encoding(&h, &memo), &a, sizeof a) == 0);
    free(one);
    free(two);
    return 0;
}
