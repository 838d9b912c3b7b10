#include "http_coding.h"

#include "http_head.h"
#include "http_list.h"

static const struct weir_span names[CODINGS] = {
    [CODING_IDENTITY] = WEIR_SPAN_LIT("identity"),
    [CODING_GZIP] = WEIR_SPAN_LIT("gzip"),
    [CODING_BR] = WEIR_SPAN_LIT("br"),
    [CODING_ZSTD] = WEIR_SPAN_LIT("zstd"),
};

struct weir_span coding_name(enum coding c)
{
    return names[c];
}

enum coding coding_by_name(struct weir_span name)
{
    for (int c = 0; c < CODINGS; c++)
        if (weir_span_ieq(name, names[c]))
            return (enum coding)c;
    return weir_span_ieq(name, WEIR_SPAN_LIT("x-gzip")) ? CODING_GZIP : CODING_OTHER;
}

enum coding coding_of(const struct http_head *response)
{
    struct http_list list;
    struct weir_span name;
    enum coding c;

    if (!http_head_has(response, HTTP_F_CONTENT_ENCODING))
        return CODING_IDENTITY;
    http_list_begin(&list, response, HTTP_F_CONTENT_ENCODING);
    if (!http_list_next(&list, &name))
        return CODING_OTHER;
    c = coding_by_name(name);
    /* "identity" must not stand there (RFC 9110 8.4.1): who writes it may mean anything. */
    return http_list_next(&list, &name) || c == CODING_IDENTITY ? CODING_OTHER : c;
}
