/*
 * Bytes as a response head: whole and cut give the same; what is accepted reads back from its
 * re-written form to the same fields and the same framing.
 */
#include "fuzz_http.h"

#include "http_framing.h"
#include "http_parse.h"
#include "http_text.h"

#define FIELDS 256

struct parsed {
    enum http_parsed result;
    struct weir_err err;
    struct http_parser parser;
    struct http_head head;
    struct http_field fields[FIELDS];
    char *buf;
};

static void parse(struct parsed *out, const void *data, size_t size, bool cut)
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
        out->result = http_parse_response(&out->parser, &http_response_limits, &out->head, longer,
                                          have, &out->err);
    } while (out->result == HTTP_MORE && have < size);
}

static void must_read_back(const struct parsed *in)
{
    static char text[200000];
    static struct parsed again;
    struct http_text t;

    http_text_init(&t, text, sizeof(text));
    http_text_status_line(&t, in->head.status, in->head.reason);
    http_text_fields(&t, &in->head);
    http_text_lit(&t, "\r\n");
    MUST(http_text_ok(&t));
    if (http_text_len(&t) > http_response_limits.head_bytes)
        return; /* a space that the sender saved can make it too long */
    parse(&again, text, http_text_len(&t), false);
    if (again.result == HTTP_PARSED) {
        if (in->head.reason.len == 0)
            again.head.reason = in->head.reason;
        again.head.minor = in->head.minor;
        MUST(again.parser.consumed == http_text_len(&t));
        must_be_equal_heads(&in->head, &again.head);
    } else {
        MUST(again.err.code == WEIR_E_RESPONSE_HEAD_TOO_LARGE);
    }
    free(again.buf);
}

static void must_be_framed_soundly(const struct http_head *h)
{
    static const enum http_method methods[] = {HTTP_M_GET, HTTP_M_HEAD, HTTP_M_OTHER};
    struct http_framing f;

    for (size_t i = 0; i < 3; i++) {
        if (!http_response_framing(h, methods[i], &f, NULL))
            continue;
        MUST(!(f.has_length && f.kind == HTTP_BODY_CHUNKED));
        MUST(f.kind != HTTP_BODY_CLOSE || !f.keep_alive);
        MUST(!http_head_repeats(h, HTTP_F_CONTENT_LENGTH));
        MUST(!http_status_bodiless(h->status) || f.kind == HTTP_BODY_NONE);
        MUST(methods[i] != HTTP_M_HEAD || f.kind == HTTP_BODY_NONE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct parsed whole, cut;

    parse(&whole, data, size, false);
    parse(&cut, data, size, true);
    MUST(whole.result == cut.result);
    if (whole.result == HTTP_BAD)
        MUST(whole.err.code == cut.err.code && weir_code_status(whole.err.code) == 502);
    if (whole.result == HTTP_PARSED) {
        MUST(whole.parser.consumed == cut.parser.consumed);
        must_be_equal_heads(&whole.head, &cut.head);
        must_be_framed_soundly(&whole.head);
        must_read_back(&whole);
    }
    free(whole.buf);
    free(cut.buf);
    return 0;
}
