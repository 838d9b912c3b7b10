#include "http_accept_encoding.h"

#include <string.h>

#include "http_head.h"
#include "http_list.h"

#define UNNAMED (-1)

/* Of equal weight: the smallest first, and identity last. */
static const uint8_t preference[CODINGS] = {CODING_ZSTD, CODING_BR, CODING_GZIP, CODING_IDENTITY};

struct weights {
    int named[CODINGS]; /* thousandths, or UNNAMED */
    int any;            /* of "*" */
};

static void note(int *weight, int quality)
{
    if (*weight == UNNAMED || quality < *weight)
        *weight = quality;
}

static void read_weights(const struct http_head *request, struct weights *w)
{
    struct http_list list;
    struct weir_span member, rest;

    for (int c = 0; c < CODINGS; c++)
        w->named[c] = UNNAMED;
    w->any = UNNAMED;
    http_list_begin(&list, request, HTTP_F_ACCEPT_ENCODING);
    while (http_list_next(&list, &member)) {
        int quality = http_quality(member);
        struct weir_span name = http_list_item(member, &rest);
        enum coding c = coding_by_name(name);

        if (quality < 0)
            continue;
        if (weir_span_eq(name, WEIR_SPAN_LIT("*")))
            note(&w->any, quality);
        else if (c != CODING_OTHER)
            note(&w->named[c], quality);
    }
}

static int weight_of(const struct weights *w, enum coding c)
{
    if (w->named[c] != UNNAMED)
        return w->named[c];
    if (c != CODING_IDENTITY)
        return w->any != UNNAMED ? w->any : 0;
    /* Identity is acceptable unless refused, by name or by "*;q=0"; what nobody asked for comes
     * after all that is named. */
    return w->any == 0 ? 0 : 1;
}

static void add(struct http_accept_encoding *a, int weight[CODINGS], enum coding c, int w)
{
    uint8_t at = a->count++;

    for (; at > 0 && weight[at - 1] < w; at--) {
        a->order[at] = a->order[at - 1];
        weight[at] = weight[at - 1];
    }
    a->order[at] = (uint8_t)c;
    weight[at] = w;
    a->accepted |= (uint8_t)(1U << c);
}

void http_accept_encoding_parse(const struct http_head *request, struct http_accept_encoding *out)
{
    struct weights w;
    int weight[CODINGS];

    memset(out, 0, sizeof *out);
    read_weights(request, &w);
    for (int i = 0; i < CODINGS; i++) {
        enum coding c = (enum coding)preference[i];
        int q = weight_of(&w, c);

        if (q > 0)
            add(out, weight, c, q);
    }
}

enum coding http_accept_encoding_best(const struct http_accept_encoding *a, unsigned available)
{
    for (unsigned i = 0; i < a->count; i++)
        if ((available >> a->order[i] & 1) != 0)
            return (enum coding)a->order[i];
    return CODING_OTHER;
}

const struct http_accept_encoding *http_accept_encoding(const struct http_head *request,
                                                        struct http_accept_encoding_memo *memo)
{
    static const struct http_accept_encoding without = {.order = {CODING_IDENTITY},
                                                        .count = 1,
                                                        .accepted = 1U << CODING_IDENTITY};
    struct weir_span value = http_head_value(request, HTTP_F_ACCEPT_ENCODING);

    if (value.ptr == NULL)
        return &without;
    if (value.len > 0 && value.len == memo->len && memcmp(value.ptr, memo->value, value.len) == 0 &&
        !http_head_repeats(request, HTTP_F_ACCEPT_ENCODING))
        return &memo->answer;
    http_accept_encoding_parse(request, &memo->answer);
    memo->len = 0;
    if (value.len > 0 && value.len <= sizeof memo->value &&
        !http_head_repeats(request, HTTP_F_ACCEPT_ENCODING)) {
        memcpy(memo->value, value.ptr, value.len);
        memo->len = (uint8_t)value.len;
    }
    return &memo->answer;
}
