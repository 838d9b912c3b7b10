/*
 * Bytes as a request head: whole and cut give the same; what is accepted is written anew as it
 * would go upstream, and an independent strict parser must find exactly that one request in it.
 */
#include "fuzz_http.h"

#include "http_framing.h"
#include "http_parse.h"
#include "http_target.h"
#include "http_text.h"

#define FIELDS 128

struct parsed {
    enum http_parsed result;
    struct weir_err err;
    struct http_parser parser;
    struct http_head head;
    struct http_field fields[FIELDS];
    char *buf;
};

static void parse(struct parsed *out, const uint8_t *data, size_t size, bool cut)
{
    uint32_t seed = fuzz_seed(data, size);
    size_t have = 0;

    memset(&out->err, 0, sizeof(out->err));
    out->buf = NULL;
    http_head_init(&out->head, out->fields, FIELDS);
    http_parser_init(&out->parser);
    do {
        char *longer;

        have = cut ? have + fuzz_piece(&seed, size - have) : size;
        longer = exact_copy(data, have);
        free(out->buf);
        out->buf = longer;
        out->result = http_parse_request(&out->parser, &http_request_limits, &out->head, longer,
                                         have, &out->err);
    } while (out->result == HTTP_MORE && have < size);
}

/* ---- the independent parser: regular, slow, and knows nothing of the other ---- */

static bool tchar(int c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

struct line {
    const char *at;
    size_t len;
};

static bool next_line(const char **at, const char *end, struct line *out)
{
    const char *p = *at;

    while (p + 1 < end && !(p[0] == '\r' && p[1] == '\n')) {
        if (*p == '\r' || *p == '\n' || *p == '\0')
            return false;
        p++;
    }
    if (p + 1 >= end)
        return false;
    *out = (struct line){*at, (size_t)(p - *at)};
    *at = p + 2;
    return true;
}

static void check_request_line(struct line l, const struct http_head *head,
                               const struct http_target *target)
{
    size_t m = head->method.len, t = target->origin_form.len;

    MUST(l.len == m + 1 + t + 9);
    MUST(memcmp(l.at, head->method.ptr, m) == 0 && l.at[m] == ' ');
    MUST(memcmp(l.at + m + 1, target->origin_form.ptr, t) == 0);
    MUST(memcmp(l.at + m + 1 + t, " HTTP/1.1", 9) == 0);
    for (size_t i = 0; i < m; i++)
        MUST(tchar(l.at[i]));
    for (size_t i = 0; i < t; i++)
        MUST(l.at[m + 1 + i] > ' ' && l.at[m + 1 + i] < 127 && l.at[m + 1 + i] != '#');
    MUST(target->origin_form.ptr[0] == '/' ||
         weir_span_eq(target->origin_form, WEIR_SPAN_LIT("*")));
}

struct seen {
    unsigned hosts, lengths, codings, lines;
};

static void check_field(struct line l, const struct http_field *want, struct seen *seen)
{
    const char *colon = memchr(l.at, ':', l.len);
    size_t n = colon != NULL ? (size_t)(colon - l.at) : 0;

    MUST(n > 0 && n + 2 <= l.len && colon[1] == ' ');
    for (size_t i = 0; i < n; i++)
        MUST(tchar(l.at[i]));
    for (size_t i = n + 2; i < l.len; i++)
        MUST(((unsigned char)l.at[i] >= ' ' && l.at[i] != 127) || l.at[i] == '\t');
    MUST(want->name.len == n && memcmp(want->name.ptr, l.at, n) == 0);
    MUST(want->value.len == l.len - n - 2 &&
         memcmp(want->value.ptr, colon + 2, want->value.len) == 0);
    seen->hosts += n == 4 && strncasecmp(l.at, "host", 4) == 0;
    seen->lengths += n == 14 && strncasecmp(l.at, "content-length", 14) == 0;
    seen->codings += n == 17 && strncasecmp(l.at, "transfer-encoding", 17) == 0;
    seen->lines++;
}

static void check_independently(const char *text, size_t len, const struct http_head *head,
                                const struct http_target *target)
{
    const char *at = text, *end = text + len;
    struct seen seen = {0};
    struct line l;

    MUST(next_line(&at, end, &l));
    check_request_line(l, head, target);
    for (;;) {
        MUST(next_line(&at, end, &l));
        if (l.len == 0)
            break;
        MUST(seen.lines < head->count);
        check_field(l, &head->fields[seen.lines], &seen);
    }
    MUST(at == end && seen.lines == head->count);
    MUST(seen.hosts == 1 && seen.lengths + seen.codings <= 1);
}

/* ---- as it goes upstream ---- */

static void write_framing(struct http_head *h, struct weir_arena *a, const struct http_framing *f)
{
    char digits[20];
    struct weir_span number = weir_span(digits, http_u64_digits(digits, f->length));

    if (f->kind == HTTP_BODY_CHUNKED)
        MUST(http_head_add_id(h, a, HTTP_F_TRANSFER_ENCODING, WEIR_SPAN_LIT("chunked")));
    if (f->kind == HTTP_BODY_LENGTH)
        MUST(http_head_add_id(h, a, HTTP_F_CONTENT_LENGTH, weir_arena_dup(a, number)));
}

static void reparse(const char *text, size_t len, const struct http_head *want,
                    const struct http_framing *framing)
{
    struct http_parse_limits wide = http_response_limits;
    struct http_field fields[FIELDS];
    struct http_framing f;
    struct http_parser p;
    struct http_head h;

    wide.target_bytes = wide.head_bytes;
    wide.method_bytes = 32;
    http_head_init(&h, fields, FIELDS);
    http_parser_init(&p);
    MUST(http_parse_request(&p, &wide, &h, text, len, NULL) == HTTP_PARSED);
    MUST(p.consumed == len && h.count == want->count && h.method_id == want->method_id);
    for (uint32_t i = 0; i < h.count; i++)
        MUST(h.fields[i].id == want->fields[i].id &&
             weir_span_eq(h.fields[i].value, want->fields[i].value));
    MUST(http_request_framing(&h, &f, NULL));
    MUST(f.kind == framing->kind && f.length == framing->length);
}

static void forward(struct parsed *in)
{
    static char text[100000];
    struct http_framing framing;
    struct http_target target;
    struct weir_arena a;
    struct http_text t;
    struct http_head h;

    weir_arena_init(&a, 0);
    if (http_request_framing(&in->head, &framing, &in->err) &&
        http_target_parse(&in->head, false, &a, &target, &in->err) && target.host.len > 0) {
        MUST(http_head_copy(&h, &in->head, &a));
        http_head_remove_hop(&h);
        MUST(http_head_set_id(&h, &a, HTTP_F_HOST, target.authority));
        write_framing(&h, &a, &framing);
        http_text_init(&t, text, sizeof(text));
        http_text_request_line(&t, h.method, target.origin_form);
        http_text_fields(&t, &h);
        http_text_lit(&t, "\r\n");
        MUST(http_text_ok(&t));
        check_independently(text, http_text_len(&t), &h, &target);
        reparse(text, http_text_len(&t), &h, &framing);
    }
    weir_arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct parsed whole, cut;

    parse(&whole, data, size, false);
    parse(&cut, data, size, true);
    MUST(whole.result == cut.result);
    if (whole.result == HTTP_BAD)
        MUST(whole.err.code == cut.err.code && whole.err.detail[0] != '\0');
    if (whole.result == HTTP_PARSED) {
        MUST(whole.parser.consumed == cut.parser.consumed && whole.parser.consumed <= size);
        must_be_equal_heads(&whole.head, &cut.head);
        forward(&whole);
    }
    free(whole.buf);
    free(cut.buf);
    return 0;
}
