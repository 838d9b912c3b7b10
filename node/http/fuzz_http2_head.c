/*
 * Bytes as field sections of HTTP/2. What is accepted is written as HTTP/1.1, and the parser of
 * HTTP/1 must find exactly that one message in it: the same head, the same framing. Then its lines
 * are made fields again, and these must give the same head once more.
 *
 * Input: a byte of choices, then fields: length of the name, length of the value, both.
 */
#include "fuzz_http.h"

#include "http2_head.h"
#include "http_parse.h"
#include "http_text.h"

#define FIELDS 256
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="

enum { RESPONSE = 1, TRAILERS = 2, ENDED = 4, EXTENDED = 8, UNDERSCORES = 16, HEAD_METHOD = 32 };

struct mapped {
    struct http2_head_in in;
    struct http_head head;
    struct http_field fields[FIELDS];
    struct http_framing framing;
    struct weir_arena arena;
    struct weir_err err;
};

static enum http_method method_of(unsigned choices)
{
    return choices & HEAD_METHOD ? HTTP_M_HEAD : HTTP_M_GET;
}

static bool give(struct mapped *m, const uint8_t *data, size_t size)
{
    while (size >= 2) {
        size_t name_len = data[0], value_len = data[1];
        char *name, *value;
        bool ok;

        data += 2;
        size -= 2;
        name_len = name_len < size ? name_len : size;
        value_len = value_len < size - name_len ? value_len : size - name_len;
        name = exact_copy(data, name_len);
        value = exact_copy(data + name_len, value_len);
        ok = http2_head_field(&m->in, weir_span(name, name_len), weir_span(value, value_len),
                              &m->err);
        free(name);
        free(value);
        if (!ok)
            return false;
        data += name_len + value_len;
        size -= name_len + value_len;
    }
    return true;
}

static void begin(struct mapped *m, unsigned choices, const struct http_parse_limits *limits)
{
    weir_arena_init(&m->arena, 0);
    memset(&m->err, 0, sizeof m->err);
    http_head_init(&m->head, m->fields, FIELDS);
    if (choices & TRAILERS)
        http2_head_trailers(&m->in, &m->head, &m->arena, limits, choices & RESPONSE);
    else if (choices & RESPONSE)
        http2_head_response(&m->in, &m->head, &m->arena, limits);
    else
        http2_head_request(&m->in, &m->head, &m->arena, limits);
    m->in.websocket_key = WEIR_SPAN_LIT(KEY);
}

static bool finish(struct mapped *m, unsigned choices)
{
    if (choices & TRAILERS)
        return http2_head_trailers_end(&m->in, &m->err);
    if (choices & RESPONSE)
        return http2_head_response_end(&m->in, choices & ENDED, method_of(choices), &m->framing,
                                       &m->err);
    return http2_head_request_end(&m->in, choices & ENDED, choices & EXTENDED, &m->framing,
                                  &m->err);
}

/* As a peer that speaks HTTP/1.1 would have sent it. */
static size_t canonical(struct mapped *m, unsigned choices, char *text, size_t size)
{
    struct http_text t;

    http_text_init(&t, text, size);
    if (!(choices & TRAILERS) && (choices & RESPONSE))
        http_text_status_line(&t, m->head.status, WEIR_SPAN_NONE);
    else if (!(choices & TRAILERS))
        http_text_request_line(&t, m->head.method, m->head.target);
    http_text_fields(&t, &m->head);
    if (!(choices & TRAILERS) && m->framing.kind == HTTP_BODY_CHUNKED)
        http_text_lit(&t, "Transfer-Encoding: chunked\r\n");
    http_text_lit(&t, "\r\n");
    MUST(http_text_ok(&t));
    return http_text_len(&t);
}

static void must_be_equal_framings(const struct http_framing *a, const struct http_framing *b)
{
    MUST(a->kind == b->kind && a->has_length == b->has_length && a->length == b->length);
    MUST(a->upgrade == b->upgrade && a->expect_continue == b->expect_continue);
}

/* The parser of HTTP/1 finds the same, and nothing behind it. */
static void parse_back(struct mapped *m, unsigned choices, const char *text, size_t len,
                       const struct http_parse_limits *limits)
{
    struct http_parse_limits wide = *limits;
    static struct http_field fields[FIELDS];
    struct http_framing framing;
    struct http_parser p;
    struct http_head h;
    struct weir_err err;

    wide.head_bytes += 1024; /* fields of the handshake and of the framing are ours */
    wide.fields += 8;
    wide.field_bytes += wide.target_bytes;
    http_head_init(&h, fields, FIELDS);
    http_parser_init(&p);
    if (choices & TRAILERS)
        MUST(http_parse_trailers(&p, &wide, choices & RESPONSE, &h, text, len, &err) ==
             HTTP_PARSED);
    else if (choices & RESPONSE)
        MUST(http_parse_response(&p, &wide, &h, text, len, &err) == HTTP_PARSED);
    else
        MUST(http_parse_request(&p, &wide, &h, text, len, &err) == HTTP_PARSED);
    MUST(p.consumed == len);
    if (!(choices & TRAILERS) && m->framing.kind == HTTP_BODY_CHUNKED) {
        MUST(h.count == m->head.count + 1);
        if (choices & RESPONSE)
            MUST(http_response_framing(&h, method_of(choices), &framing, &err));
        else
            MUST(http_request_framing(&h, &framing, &err));
        must_be_equal_framings(&framing, &m->framing);
        h.count--; /* our own line */
    } else if (!(choices & (TRAILERS | RESPONSE))) {
        MUST(http_request_framing(&h, &framing, &err));
        must_be_equal_framings(&framing, &m->framing);
        MUST(framing.keep_alive == m->framing.keep_alive);
    }
    h.dropped = m->head.dropped;
    if (choices & RESPONSE)
        h.reason = m->head.reason; /* HTTP/2 has none */
    must_be_equal_heads(&h, &m->head);
}

static bool skipped(const struct http_field *f)
{
    return f->id == HTTP_F_TE || f->id == HTTP_F_CONNECTION || f->id == HTTP_F_UPGRADE ||
           f->id == HTTP_F_TRANSFER_ENCODING || f->id == HTTP_F_HTTP2_SETTINGS;
}

/* The fields made of the text are those of the head, in lower case. */
static void make_fields(struct mapped *m, unsigned choices, const char *text, size_t len)
{
    static struct http2_field out[FIELDS + 8];
    bool request = !(choices & (TRAILERS | RESPONSE));
    struct weir_span lines = weir_span(text, len);
    uint32_t n = 0, at;

    if (request)
        MUST(http2_request_fields_of(lines, WEIR_SPAN_LIT("https"), false, &m->arena, out, &n,
                                     FIELDS + 8));
    else
        MUST(http2_fields_of(lines, &m->arena, out, &n, FIELDS + 8));
    at = request ? 4 : 0;
    if (request) {
        MUST(weir_span_eq(out[0].value, m->head.method));
        MUST(weir_span_eq(out[2].value, m->head.fields[0].value));
        MUST(weir_span_eq(out[3].value, m->head.target));
    }
    for (uint32_t i = request ? 1 : 0; i < m->head.count; i++) {
        const struct http_field *f = &m->head.fields[i];

        if (skipped(f))
            continue;
        MUST(at < n && weir_span_ieq(out[at].name, f->name));
        MUST(weir_span_eq(out[at].value, f->value));
        for (size_t k = 0; k < out[at].name.len; k++)
            MUST(out[at].name.ptr[k] < 'A' || out[at].name.ptr[k] > 'Z');
        at++;
    }
    MUST(at == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char room[200000];
    static struct mapped m;
    unsigned choices = size > 0 ? data[0] : 0;
    struct http_parse_limits limits =
        choices & RESPONSE ? http_response_limits : http_request_limits;

    limits.underscores = choices & UNDERSCORES;
    begin(&m, choices, &limits);
    if (size > 0 && give(&m, data + 1, size - 1) && finish(&m, choices)) {
        size_t len = canonical(&m, choices, room, sizeof room);
        char *text = exact_copy(room, len);

        parse_back(&m, choices, text, len, &limits);
        make_fields(&m, choices, text, len);
        free(text);
    } else if (size > 0) {
        MUST(m.err.code != WEIR_OK && m.err.code != WEIR_E_MEMORY && m.err.code != WEIR_E_INTERNAL);
    }
    weir_arena_free(&m.arena);
    return 0;
}
