#include "access_log.h"

#include <string.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "cache_status.h"
#include "civil.h"
#include "exchange.h"
#include "http_text.h"
#include "limit_stage.h"
#include "tls_facts.h"
#include "trace.h"

#define LINE_MAX 4096 /* what does not fit is cut field by field, never in the middle of a line */
#define TEXT_MAX 1024 /* of one client-chosen value */

typedef void put_fn(struct http_text *t, struct weir_exchange *x, bool complete);

struct field {
    const char *name;
    bool quoted; /* a JSON string; else a number or a word of JSON */
    bool wanted_by_default;
    put_fn *put;
};

/* Escapes for JSON, which the combined format uses too: quotes, backslash, controls. Non-UTF-8
 * bytes go as \u00XX. */
static void put_escaped(struct http_text *t, struct weir_span s)
{
    static const char hex[] = "0123456789abcdef";
    size_t len = s.len < TEXT_MAX ? s.len : TEXT_MAX;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c == '"' || c == '\\') {
            http_text_char(t, '\\');
            http_text_char(t, (char)c);
        } else if (c < 0x20 || c >= 0x7f) {
            http_text_lit(t, "\\u00");
            http_text_char(t, hex[c >> 4]);
            http_text_char(t, hex[c & 15]);
        } else {
            http_text_char(t, (char)c);
        }
    }
}

static void put_head_value(struct http_text *t, const struct weir_exchange *x, uint16_t id)
{
    put_escaped(t, x->started ? http_head_value(&x->req, id) : WEIR_SPAN_NONE);
}

static void put_time(struct http_text *t, struct weir_exchange *x, bool complete)
{
    char text[25];

    (void)complete;
    civil_rfc3339_ms(x->loop->clock.wall_ms, text);
    http_text_bytes(t, text, 24);
}

static void put_client(struct http_text *t, struct weir_exchange *x, bool complete)
{
    char text[NET_TEXT_MAX];

    (void)complete;
    http_text_bytes(t, text, net_peer_text(&x->client_addr, text));
}

static void put_peer(struct http_text *t, struct weir_exchange *x, bool complete)
{
    char text[NET_TEXT_MAX];

    (void)complete;
    http_text_bytes(t, text, net_peer_text(x->peer, text));
}

static void put_request_id(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_add(t, trace_request_id(x));
}

static void put_method(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    put_escaped(t, x->started ? x->req.method : WEIR_SPAN_NONE);
}

static void put_scheme(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_add(t, weir_span_str(x->secure ? "https" : "http"));
}

static void put_host(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    put_escaped(t, x->target.authority);
}

static void put_target(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    put_escaped(t, x->started ? x->req.target : WEIR_SPAN_NONE);
}

static void put_protocol(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    if (x->req.minor == 0 && x->started)
        http_text_lit(t, "HTTP/1.0");
    else
        http_text_add(t, weir_span_str(x->protocol != NULL ? x->protocol : "HTTP/1.1"));
}

static void put_status(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_i64(t, x->responded ? x->response.status : 499);
}

static void put_bytes(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_u64(t, x->sent_bytes);
}

static void put_request_bytes(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_u64(t, x->received_bytes);
}

static void put_duration(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_i64(t, x->loop->clock.mono_us - x->began_us);
}

static void put_complete(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)x;
    http_text_add(t, weir_span_str(complete ? "true" : "false"));
}

static void put_cache(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_add(t, weir_span_str(x->hit         ? "hit"
                                   : x->collapsed ? "collapsed"
                                                  : cache_fwd_word(x->fwd)));
}

static void put_route(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    if (x->route != NULL)
        put_escaped(t, weir_span_str(x->route->settings->name));
}

static void put_upstream(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    put_escaped(t, weir_span_str(x->upstream_name));
}

static void put_origin(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    put_escaped(t, weir_span_str(x->origin_url));
}

static void put_origin_status(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_i64(t, x->origin_status);
}

static void put_error(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    if (x->err.code != WEIR_OK)
        http_text_add(t, weir_span_str(weir_code_name(x->err.code)));
}

static void put_limit(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_add(t, weir_span_str(limit_stage_refused(x)));
}

static void put_referer(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    put_head_value(t, x, HTTP_F_REFERER);
}

static void put_user_agent(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    put_head_value(t, x, HTTP_F_USER_AGENT);
}

static void put_traceparent(struct http_text *t, struct weir_exchange *x, bool complete)
{
    struct weir_span v = x->started ? http_head_value(&x->req, HTTP_F_TRACEPARENT) : WEIR_SPAN_NONE;

    (void)complete;
    if (v.ptr != NULL && trace_parent_valid(v))
        http_text_bytes(t, v.ptr + 3, 32); /* the trace-id */
}

/* ---- of the connection, under TLS ---- */

static void put_tls_version(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    if (x->tls != NULL)
        http_text_add(t, weir_span_str(x->tls->version));
}

static void put_tls_cipher(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    if (x->tls != NULL)
        http_text_add(t, weir_span_str(x->tls->cipher));
}

static void put_tls_name(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    if (x->tls != NULL)
        put_escaped(t, weir_span_str(x->tls->name));
}

static void put_tls_alpn(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    if (x->tls != NULL)
        put_escaped(t, weir_span_str(x->tls->alpn));
}

static void put_tls_resumed(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_add(t, weir_span_str(x->tls != NULL && x->tls->resumed ? "true" : "false"));
}

static void put_tls_early(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    http_text_add(t, weir_span_str(x->early ? "true" : "false"));
}

static void put_client_cert(struct http_text *t, struct weir_exchange *x, bool complete)
{
    (void)complete;
    if (x->tls != NULL && x->tls->client != NULL)
        put_escaped(t, weir_span_str(x->tls->client->subject));
}

static const struct field fields[] = {
    {"time", true, true, put_time},
    {"request_id", true, true, put_request_id},
    {"client", true, true, put_client},
    {"peer", true, false, put_peer},
    {"method", true, true, put_method},
    {"scheme", true, true, put_scheme},
    {"host", true, true, put_host},
    {"target", true, true, put_target},
    {"protocol", true, true, put_protocol},
    {"status", false, true, put_status},
    {"bytes", false, true, put_bytes},
    {"request_bytes", false, false, put_request_bytes},
    {"duration_us", false, true, put_duration},
    {"complete", false, true, put_complete},
    {"cache", true, true, put_cache},
    {"route", true, true, put_route},
    {"upstream", true, true, put_upstream},
    {"origin", true, true, put_origin},
    {"origin_status", false, true, put_origin_status},
    {"error", true, true, put_error},
    {"limit", true, false, put_limit},
    {"referer", true, true, put_referer},
    {"user_agent", true, true, put_user_agent},
    {"trace_id", true, true, put_traceparent},
    {"tls_version", true, false, put_tls_version},
    {"tls_cipher", true, false, put_tls_cipher},
    {"tls_name", true, false, put_tls_name},
    {"tls_alpn", true, false, put_tls_alpn},
    {"tls_resumed", false, false, put_tls_resumed},
    {"tls_early", false, false, put_tls_early},
    {"client_cert", true, false, put_client_cert},
};
#define FIELDS (sizeof fields / sizeof fields[0])

struct access_format {
    enum access_log_format format;
    unsigned count;
    const struct field *field[FIELDS * 2];
};

const char *access_field_name(unsigned n)
{
    return n < FIELDS ? fields[n].name : NULL;
}

static const struct field *find_field(const char *name)
{
    for (unsigned i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

bool access_format_new(const struct log_settings *s, struct access_format **out,
                       struct weir_err *err)
{
    struct access_format *f;

    *out = NULL;
    if (s->access_format == ACCESS_LOG_OFF)
        return true;
    f = weir_calloc(1, sizeof *f);
    if (f == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "access log: format", 0);
    f->format = s->access_format;
    for (size_t i = 0; i < s->field_count && i < FIELDS * 2; i++) {
        f->field[f->count] = find_field(s->fields[i]);
        if (f->field[f->count++] == NULL) {
            weir_free(f);
            return weir_failf(err, WEIR_E_CONFIG, "access log: format", 0, "no field \"%s\"",
                              s->fields[i]);
        }
    }
    for (unsigned i = 0; s->field_count == 0 && i < FIELDS; i++)
        if (fields[i].wanted_by_default)
            f->field[f->count++] = &fields[i];
    *out = f;
    return true;
}

void access_format_free(struct access_format *f)
{
    weir_free(f);
}

static void put_json(struct http_text *t, const struct access_format *f, struct weir_exchange *x,
                     bool complete)
{
    http_text_char(t, '{');
    for (unsigned i = 0; i < f->count; i++) {
        struct http_text before = *t;

        if (i > 0)
            http_text_char(t, ',');
        http_text_char(t, '"');
        http_text_add(t, weir_span_str(f->field[i]->name));
        http_text_lit(t, "\":");
        if (f->field[i]->quoted)
            http_text_char(t, '"');
        f->field[i]->put(t, x, complete);
        if (f->field[i]->quoted)
            http_text_char(t, '"');
        if (!http_text_ok(t)) {
            *t = before; /* leave this one out: the line stays well-formed */
            break;
        }
    }
}

/* "-" for nothing, as the format has it. */
static void put_or_dash(struct http_text *t, struct weir_exchange *x, uint16_t id)
{
    bool there = x->started && http_head_has(&x->req, id);

    http_text_char(t, '"');
    if (there)
        put_head_value(t, x, id);
    else
        http_text_char(t, '-');
    http_text_char(t, '"');
}

static void put_combined_time(struct http_text *t, int64_t wall_s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char d[25];

    civil_rfc3339_ms(wall_s * 1000, d); /* 2026-11-23T06:36:52.000Z */
    http_text_char(t, '[');
    http_text_bytes(t, d + 8, 2);
    http_text_char(t, '/');
    http_text_bytes(t, months + 3 * ((d[5] - '0') * 10 + d[6] - '1'), 3);
    http_text_char(t, '/');
    http_text_bytes(t, d, 4);
    http_text_char(t, ':');
    http_text_bytes(t, d + 11, 8);
    http_text_lit(t, " +0000]");
}

static void put_combined(struct http_text *t, struct weir_exchange *x, bool complete)
{
    put_client(t, x, complete);
    http_text_lit(t, " - - ");
    put_combined_time(t, x->loop->clock.wall_s);
    http_text_lit(t, " \"");
    put_method(t, x, complete);
    http_text_char(t, ' ');
    put_target(t, x, complete);
    http_text_char(t, ' ');
    put_protocol(t, x, complete);
    if (x->protocol != NULL && strcmp(x->protocol, "HTTP/2") == 0)
        http_text_lit(t, ".0"); /* what reads this format expects two numbers */
    http_text_lit(t, "\" ");
    put_status(t, x, complete);
    http_text_char(t, ' ');
    put_bytes(t, x, complete);
    http_text_char(t, ' ');
    put_or_dash(t, x, HTTP_F_REFERER);
    http_text_char(t, ' ');
    put_or_dash(t, x, HTTP_F_USER_AGENT);
}

static void count(struct weir_exchange *x)
{
    static const enum weir_metric by_class[] = {WEIR_M_responses_2xx, WEIR_M_responses_3xx,
                                                WEIR_M_responses_4xx, WEIR_M_responses_5xx};
    int class = http_status_class(x->response.status);

    if (x->responded && class >= 2 && class <= 5)
        weir_metric_add(x->w->metrics, by_class[class - 2], 1);
}

void access_log_write(struct weir_exchange *x, bool complete)
{
    const struct access_format *f = x->site->site->log;
    char line[LINE_MAX];
    struct http_text t;

    count(x);
    if (f == NULL || x->w->access == NULL)
        return;
    http_text_init(&t, line, sizeof line - 2);
    if (f->format == ACCESS_LOG_JSON)
        put_json(&t, f, x, complete);
    else
        put_combined(&t, x, complete);
    t.full = false; /* two bytes were kept back for this */
    t.end = line + sizeof line;
    if (f->format == ACCESS_LOG_JSON)
        http_text_char(&t, '}');
    http_text_char(&t, '\n');
    if (!weir_sink_write(x->w->access, x->w->index, line, http_text_len(&t)))
        weir_metric_add(x->w->metrics, WEIR_M_log_lines_lost, 1);
}
