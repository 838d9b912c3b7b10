#include "http_parse.h"

#include <string.h>

#include "http_scan.h"

const struct http_parse_limits http_request_limits = {
    .head_bytes = 32768,
    .fields = 100,
    .field_bytes = 8192,
    .target_bytes = 8192,
    .method_bytes = 32,
    .blank_lines = 8,
    .underscores = false,
};

const struct http_parse_limits http_response_limits = {
    .head_bytes = 65536,
    .fields = 200,
    .field_bytes = 32768,
    .underscores = true,
};

enum state {
    S_START,
    S_START_LF,
    S_METHOD,
    S_TARGET,
    S_REQUEST_VERSION,
    S_REQUEST_LF,
    S_STATUS_VERSION,
    S_STATUS_CODE,
    S_REASON,
    S_STATUS_LF,
    S_LINE,
    S_NAME,
    S_OWS,
    S_VALUE,
    S_FIELD_LF,
    S_END_LF
};

enum kind { KIND_REQUEST, KIND_RESPONSE, KIND_REQUEST_TRAILERS, KIND_RESPONSE_TRAILERS };

/*
 * One call. Each on_...() continues its state at p->at and goes on to the next state by itself as
 * long as there are bytes; every judgement depends only on the bytes before it, never on where the
 * buffer ends.
 */
struct cursor {
    struct http_parser *p;
    const struct http_parse_limits *limits;
    struct http_head *head;
    bool record; /* false: judge only, head is not touched */
    const char *buf;
    uint32_t end;       /* where the bytes, or the allowance, end */
    uint32_t allowance; /* the head must be whole within these bytes */
    struct weir_err *err;
};

/* A field line or start line is complete and read on: not an answer for the caller. */
#define LINE_DONE HTTP_PARSED

static const enum weir_code code_malformed[] = {
    [KIND_REQUEST] = WEIR_E_BAD_REQUEST,
    [KIND_RESPONSE] = WEIR_E_RESPONSE_MALFORMED,
    [KIND_REQUEST_TRAILERS] = WEIR_E_BAD_CHUNK,
    [KIND_RESPONSE_TRAILERS] = WEIR_E_RESPONSE_MALFORMED,
};

static const enum weir_code code_too_large[] = {
    [KIND_REQUEST] = WEIR_E_HEAD_TOO_LARGE,
    [KIND_RESPONSE] = WEIR_E_RESPONSE_HEAD_TOO_LARGE,
    [KIND_REQUEST_TRAILERS] = WEIR_E_HEAD_TOO_LARGE,
    [KIND_RESPONSE_TRAILERS] = WEIR_E_RESPONSE_HEAD_TOO_LARGE,
};

static const char *const where_of[] = {
    [KIND_REQUEST] = "http: request head",
    [KIND_RESPONSE] = "http: response head",
    [KIND_REQUEST_TRAILERS] = "http: request trailers",
    [KIND_RESPONSE_TRAILERS] = "http: response trailers",
};

static enum http_parsed fail(const struct cursor *c, enum weir_code code, const char *what)
{
    weir_failf(c->err, code, where_of[c->p->kind], 0, "%s at byte %u", what, c->p->gone + c->p->at);
    return HTTP_BAD;
}

static enum http_parsed malformed(const struct cursor *c, const char *what)
{
    return fail(c, code_malformed[c->p->kind], what);
}

static enum http_parsed too_large(const struct cursor *c, const char *what)
{
    return fail(c, code_too_large[c->p->kind], what);
}

static enum http_parsed need_more(const struct cursor *c)
{
    return c->end == c->allowance ? too_large(c, "head larger than allowed") : HTTP_MORE;
}

static bool at_end(const struct cursor *c)
{
    return c->p->at == c->end;
}

static char here(const struct cursor *c)
{
    return c->buf[c->p->at];
}

/* ---- field lines ---- */

static struct weir_span without_trailing_ows(const char *p, size_t len)
{
    while (len > 0 && http_char_ows(p[len - 1]))
        len--;
    return weir_span(p, len);
}

/* The field between p->line and at, which is behind its CR; its value begins at mark. */
static struct http_field field_of_line(const struct cursor *c)
{
    const struct http_parser *p = c->p;
    struct http_field f;

    f.name = weir_span(c->buf + p->line, p->name_len);
    f.value = without_trailing_ows(c->buf + p->mark, p->at - 1 - p->mark);
    f.id = http_field_intern(f.name);
    f.flags = http_field_flags(f.id, f.name);
    return f;
}

static enum http_parsed record(struct cursor *c)
{
    struct http_field f;

    if (++c->p->lines > c->limits->fields)
        return too_large(c, "too many fields");
    if (!c->record)
        return LINE_DONE;
    f = field_of_line(c);
    /* No known name has an underscore, so only the others need be searched. */
    if (f.id == HTTP_F_NONE && !c->limits->underscores &&
        memchr(f.name.ptr, '_', f.name.len) != NULL) {
        c->head->dropped++;
        return LINE_DONE;
    }
    if (c->head->count >= c->head->cap)
        return too_large(c, "too many fields");
    http_head_put(c->head, &f);
    return LINE_DONE;
}

static enum http_parsed on_field_lf(struct cursor *c)
{
    if (at_end(c))
        return need_more(c);
    if (here(c) != '\n')
        return malformed(c, "bare CR in a field");
    if (record(c) != LINE_DONE)
        return HTTP_BAD;
    c->p->at++;
    c->p->state = S_LINE;
    return LINE_DONE;
}

static bool line_too_long(const struct cursor *c)
{
    return c->p->at - c->p->line > c->limits->field_bytes;
}

static enum http_parsed on_value(struct cursor *c)
{
    struct http_parser *p = c->p;

    p->at += (uint32_t)http_scan_value(c->buf + p->at, c->end - p->at);
    if (line_too_long(c))
        return too_large(c, "field line too long");
    if (at_end(c))
        return need_more(c);
    if (here(c) != '\r')
        return malformed(c, here(c) == '\n' ? "bare LF in a field" : "control in a field value");
    p->at++;
    p->state = S_FIELD_LF;
    return on_field_lf(c);
}

static enum http_parsed on_ows(struct cursor *c)
{
    struct http_parser *p = c->p;

    while (!at_end(c) && http_char_ows(here(c)))
        p->at++;
    if (line_too_long(c))
        return too_large(c, "field line too long");
    if (at_end(c))
        return need_more(c);
    p->mark = p->at;
    p->state = S_VALUE;
    return on_value(c);
}

static const char *name_fault(const struct cursor *c)
{
    bool first = c->p->at == c->p->line;

    switch (here(c)) {
    case ' ':
    case '\t':
        return first ? "line begins with a space (obs-fold)"
                     : "space in a field name or before the colon";
    case ':':
        return "empty field name";
    case '\r':
    case '\n':
        return first ? "bare LF" : "line without colon";
    default:
        return "invalid byte in a field name";
    }
}

static enum http_parsed on_name(struct cursor *c)
{
    struct http_parser *p = c->p;

    p->at += (uint32_t)http_scan_token(c->buf + p->at, c->end - p->at);
    if (line_too_long(c))
        return too_large(c, "field line too long");
    if (at_end(c))
        return need_more(c);
    if (here(c) != ':' || p->at == p->line)
        return malformed(c, name_fault(c));
    p->name_len = p->at - p->line;
    p->at++;
    p->state = S_OWS;
    return on_ows(c);
}

static enum http_parsed on_end_lf(struct cursor *c)
{
    if (at_end(c))
        return need_more(c);
    if (here(c) != '\n')
        return malformed(c, "bare CR");
    c->p->at++;
    c->p->consumed = c->p->at;
    return HTTP_PARSED;
}

/* At the first byte of a line of the header section: a field or the end. */
static enum http_parsed on_line(struct cursor *c)
{
    struct http_parser *p = c->p;

    if (at_end(c))
        return need_more(c);
    p->line = p->at;
    if (here(c) == '\r') {
        p->at++;
        p->state = S_END_LF;
        return LINE_DONE;
    }
    p->state = S_NAME;
    return on_name(c);
}

/* ---- request line ---- */

static enum http_parsed on_request_lf(struct cursor *c)
{
    struct http_parser *p = c->p;

    if (at_end(c))
        return need_more(c);
    if (here(c) != '\n')
        return malformed(c, "bare CR in the request line");
    if (p->version < 10)
        return malformed(c, "HTTP/0.x");
    if (p->version > 11)
        return fail(c, WEIR_E_VERSION_UNKNOWN, "version");
    c->head->minor = (uint8_t)(p->version - 10);
    p->at++;
    p->state = S_LINE;
    return LINE_DONE;
}

/* Matches "HTTP/d.d" byte by byte; p->version becomes 10 * major + minor. False: malformed there.
 */
static bool version_goes_on(struct cursor *c)
{
    static const char form[] = "HTTP/0.0"; /* '0' stands for a digit */
    struct http_parser *p = c->p;

    for (; !at_end(c) && p->at - p->mark < sizeof(form) - 1; p->at++) {
        char want = form[p->at - p->mark];

        if (want == '0' ? !http_char_digit(here(c)) : here(c) != want)
            return false;
        if (want == '0')
            p->version = (uint16_t)(p->version * 10 + (here(c) - '0'));
    }
    return true;
}

static enum http_parsed on_request_version(struct cursor *c)
{
    static const char usual[] = "HTTP/1.1\r\n";
    struct http_parser *p = c->p;

    if (p->at == p->mark && c->end - p->at >= sizeof(usual) - 1 &&
        memcmp(c->buf + p->at, usual, sizeof(usual) - 1) == 0) {
        c->head->minor = 1;
        p->at += sizeof(usual) - 1;
        p->state = S_LINE;
        return LINE_DONE;
    }
    if (!version_goes_on(c))
        return malformed(c, "no HTTP version after the target");
    if (at_end(c))
        return need_more(c);
    if (here(c) != '\r')
        return malformed(c, "no CRLF after the version");
    p->at++;
    p->state = S_REQUEST_LF;
    return on_request_lf(c);
}

static enum http_parsed target_fault(const struct cursor *c)
{
    if (c->p->at == c->p->mark)
        return malformed(c, "empty target");
    if (here(c) == '\r' || here(c) == '\n')
        return malformed(c, "request line without version");
    return fail(c, WEIR_E_BAD_TARGET, "invalid byte in the target");
}

static enum http_parsed on_target(struct cursor *c)
{
    struct http_parser *p = c->p;

    p->at += (uint32_t)http_scan_target(c->buf + p->at, c->end - p->at);
    if (p->at - p->mark > c->limits->target_bytes)
        return fail(c, WEIR_E_TARGET_TOO_LONG, "target too long");
    if (at_end(c))
        return need_more(c);
    if (here(c) != ' ' || p->at == p->mark)
        return target_fault(c);
    c->head->target = weir_span(c->buf + p->mark, p->at - p->mark);
    p->at++;
    p->mark = p->at;
    p->version = 0;
    p->state = S_REQUEST_VERSION;
    return on_request_version(c);
}

static enum http_parsed on_method(struct cursor *c)
{
    struct http_parser *p = c->p;

    p->at += (uint32_t)http_scan_token(c->buf + p->at, c->end - p->at);
    if (p->at - p->mark > c->limits->method_bytes)
        return malformed(c, "method too long");
    if (at_end(c))
        return need_more(c);
    if (here(c) != ' ' || p->at == p->mark)
        return malformed(c, "invalid byte in the method");
    c->head->method = weir_span(c->buf + p->mark, p->at - p->mark);
    c->head->method_id = http_method_parse(c->head->method);
    p->at++;
    p->mark = p->at;
    p->state = S_TARGET;
    return on_target(c);
}

/* ---- status line ---- */

static enum http_parsed on_status_lf(struct cursor *c)
{
    if (at_end(c))
        return need_more(c);
    if (here(c) != '\n')
        return malformed(c, "bare CR in the status line");
    c->p->at++;
    c->p->state = S_LINE;
    return LINE_DONE;
}

static enum http_parsed on_reason(struct cursor *c)
{
    struct http_parser *p = c->p;

    p->at += (uint32_t)http_scan_value(c->buf + p->at, c->end - p->at);
    if (line_too_long(c))
        return too_large(c, "status line too long");
    if (at_end(c))
        return need_more(c);
    if (here(c) != '\r')
        return malformed(c, "bare LF or control in the status line");
    c->head->reason = weir_span(c->buf + p->mark, p->at - p->mark);
    p->at++;
    p->state = S_STATUS_LF;
    return on_status_lf(c);
}

/* What follows the three digits: a space and the reason, or the end of the line. */
static enum http_parsed after_status(struct cursor *c)
{
    struct http_parser *p = c->p;

    /* 600 to 999 have no meaning (RFC 9110 15), but are in use: they are the client's to judge. */
    if (c->head->status < 100)
        return malformed(c, "status below 100");
    if (at_end(c))
        return need_more(c);
    if (here(c) != ' ' && here(c) != '\r')
        return malformed(c, "no space after the status");
    p->at += here(c) == ' ';
    p->mark = p->at;
    p->state = S_REASON;
    return on_reason(c);
}

static enum http_parsed on_status_code(struct cursor *c)
{
    struct http_parser *p = c->p;

    for (; !at_end(c) && p->at - p->mark < 3; p->at++) {
        if (!http_char_digit(here(c)))
            return malformed(c, "status is not three digits");
        c->head->status = c->head->status * 10 + (here(c) - '0');
    }
    if (p->at - p->mark < 3)
        return need_more(c);
    return after_status(c);
}

static enum http_parsed on_status_version(struct cursor *c)
{
    struct http_parser *p = c->p;

    if (!version_goes_on(c))
        return malformed(c, "not an HTTP status line");
    if (at_end(c))
        return need_more(c);
    if (here(c) != ' ' || p->version / 10 != 1)
        return malformed(c, "not an HTTP/1 status line");
    c->head->minor = p->version > 10;
    c->head->status = 0;
    p->at++;
    p->mark = p->at;
    p->state = S_STATUS_CODE;
    return on_status_code(c);
}

/* ---- start ---- */

static enum http_parsed on_start_lf(struct cursor *c)
{
    if (at_end(c))
        return need_more(c);
    if (here(c) != '\n')
        return malformed(c, "bare CR before the start line");
    c->p->at++;
    c->p->state = S_START;
    return LINE_DONE;
}

static enum http_parsed on_start(struct cursor *c)
{
    struct http_parser *p = c->p;

    if (at_end(c))
        return need_more(c);
    if (here(c) == '\r') {
        if (p->blanks++ >= c->limits->blank_lines)
            return malformed(c, "too many empty lines");
        p->at++;
        p->state = S_START_LF;
        return on_start_lf(c);
    }
    p->began = true;
    p->line = p->mark = p->at;
    p->version = 0;
    p->state = p->kind == KIND_REQUEST ? S_METHOD : S_STATUS_VERSION;
    return LINE_DONE;
}

static enum http_parsed go_on(struct cursor *c)
{
    switch ((enum state)c->p->state) {
    case S_START:
        return on_start(c);
    case S_START_LF:
        return on_start_lf(c);
    case S_METHOD:
        return on_method(c);
    case S_TARGET:
        return on_target(c);
    case S_REQUEST_VERSION:
        return on_request_version(c);
    case S_REQUEST_LF:
        return on_request_lf(c);
    case S_STATUS_VERSION:
        return on_status_version(c);
    case S_STATUS_CODE:
        return on_status_code(c);
    case S_REASON:
        return on_reason(c);
    case S_STATUS_LF:
        return on_status_lf(c);
    case S_LINE:
        return on_line(c);
    case S_NAME:
        return on_name(c);
    case S_OWS:
        return on_ows(c);
    case S_VALUE:
        return on_value(c);
    case S_FIELD_LF:
        return on_field_lf(c);
    case S_END_LF:
        break;
    }
    return on_end_lf(c);
}

void http_parser_init(struct http_parser *p)
{
    memset(p, 0, sizeof(*p));
}

void http_parser_shift(struct http_parser *p, uint32_t n)
{
    /* Offsets may pass below zero: only their differences are used, and those survive wrapping. */
    p->gone += n;
    p->at -= n;
    p->mark -= n;
    p->line -= n;
}

static enum http_parsed parse(struct http_parser *p, const struct http_parse_limits *limits,
                              struct http_head *head, bool record_fields, const char *buf,
                              size_t len, struct weir_err *err)
{
    uint32_t allowance = limits->head_bytes > p->gone ? limits->head_bytes - p->gone : 0;
    uint32_t end = len < allowance ? (uint32_t)len : allowance;
    struct cursor c = {p, limits, head, record_fields, buf, end, allowance, err};
    enum http_parsed r;
    bool whole;

    if (record_fields && p->base != 0 && p->base != (uintptr_t)buf)
        http_head_rebase(head, (const char *)p->base, p->at, buf);
    p->base = (uintptr_t)buf;
    do {
        whole = p->state == S_END_LF;
        r = p->state == S_LINE ? on_line(&c) : go_on(&c); /* the usual one without a jump table */
    } while (r == LINE_DONE && !whole);
    return r;
}

enum http_parsed http_parse_request(struct http_parser *p, const struct http_parse_limits *limits,
                                    struct http_head *head, const char *buf, size_t len,
                                    struct weir_err *err)
{
    p->kind = KIND_REQUEST;
    return parse(p, limits, head, true, buf, len, err);
}

enum http_parsed http_parse_response(struct http_parser *p, const struct http_parse_limits *limits,
                                     struct http_head *head, const char *buf, size_t len,
                                     struct weir_err *err)
{
    p->kind = KIND_RESPONSE;
    return parse(p, limits, head, true, buf, len, err);
}

enum http_parsed http_parse_trailers(struct http_parser *p, const struct http_parse_limits *limits,
                                     bool response, struct http_head *head, const char *buf,
                                     size_t len, struct weir_err *err)
{
    struct http_head unused = {.status = 0}; /* nothing is recorded, no start line is parsed */

    p->kind = response ? KIND_RESPONSE_TRAILERS : KIND_REQUEST_TRAILERS;
    if (p->state == S_START)
        p->state = S_LINE;
    return parse(p, limits, head != NULL ? head : &unused, head != NULL, buf, len, err);
}
