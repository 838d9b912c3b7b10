/*
 * Any bytes as a date. What is read is a time that, written again, reads as itself; and case never
 * matters.
 */
#include "fuzz_http.h"

#include "http_date.h"

#define NOW  1793440000            /* 2026 */
#define LAST INT64_C(253402300799) /* the end of 9999: later ones are written as that one */

static void swap_case(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z'))
            text[i] ^= 0x20;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = exact_copy(data, size);
    char again[HTTP_DATE_LEN + 1];
    int64_t at = 0, other = 0;
    bool read = http_date_parse(weir_span(text, size), NOW, &at);

    swap_case(text, size);
    MUST(http_date_parse(weir_span(text, size), NOW, &other) == read && at == other);
    free(text);
    if (!read || at < 0)
        return 0;
    MUST(at <= LAST);
    http_date_format(again, at);
    MUST(http_date_parse(weir_span(again, HTTP_DATE_LEN), NOW, &other) && other == at);
    return 0;
}
