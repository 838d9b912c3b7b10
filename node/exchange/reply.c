#include "reply.h"

#include <string.h>

#include "weir/log.h"
#include "cache_report.h"
#include "connection_rules.h"
#include "edits.h"
#include "http_grpc.h"
#include "http_list.h"
#include "http_text.h"
#include "limit_stage.h"
#include "trace.h"

#define HEAD_MAX (512 + CACHE_REPORT_MAX_KEY)
#define BODY_MAX 640

/* ---- heads ---- */

/* For what limits and the connection have to say, beside all else. */
static size_t more_room(const struct weir_exchange *x)
{
    return (x->limited != NULL ? limit_stage_room(x) : 0) + connection_fields_room(x);
}

static void put_limits(struct http_text *t, const struct weir_exchange *x)
{
    if (x->limited != NULL)
        limit_stage_put(t, x);
}

static void put_common(struct http_text *t, const struct weir_exchange *x, int status)
{
    http_text_status_line(t, status, WEIR_SPAN_NONE);
    http_text_field(t, http_field_name(HTTP_F_DATE), weir_span(x->loop->clock.http_date, 29));
    connection_fields_put(t, x);
}

static void set_response(struct weir_exchange *x, int status, const struct http_text *head,
                         struct weir_span content)
{
    struct exchange_response *r = &x->response;

    body_close(x, &r->body); /* of an answer that could not be given after all */
    memset(r, 0, sizeof *r);
    r->status = status;
    r->head = http_text_span(head);
    r->length = http_status_bodiless(status) ? -1 : (int64_t)content.len;
    r->bodiless = x->req.method_id == HTTP_M_HEAD || http_status_bodiless(status);
    r->bytes = content;
    r->body = r->bodiless || content.len == 0 ? BODY_EMPTY : body_bytes();
}

/* ---- errors ---- */

/* The highest weight a client gives to a media type, -1 if it does not name it. */
static int weight_of(const struct http_head *h, struct weir_span type)
{
    struct http_list list;
    struct weir_span member, rest;
    int best = -1;

    if (!http_head_has(h, HTTP_F_ACCEPT))
        return -1;
    http_list_begin(&list, h, HTTP_F_ACCEPT);
    while (http_list_next(&list, &member)) {
        int q = http_quality(member);

        if (weir_span_ieq(weir_span_trim(http_list_item(member, &rest)), type) && q > best)
            best = q;
    }
    return best;
}

/* JSON for who asks for JSON by name and not rather for HTML. */
static bool wants_json(const struct http_head *h)
{
    int json = weight_of(h, WEIR_SPAN_LIT("application/json"));
    int problem = weight_of(h, WEIR_SPAN_LIT("application/problem+json"));
    int html = weight_of(h, WEIR_SPAN_LIT("text/html"));

    if (problem > json)
        json = problem;
    return json > 0 && json >= html;
}

static void put_html(struct http_text *t, int status, struct weir_span reason, struct weir_span id)
{
    http_text_lit(t, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>");
    http_text_i64(t, status);
    http_text_lit(t, " ");
    http_text_add(t, reason);
    http_text_lit(t, "</title><h1>");
    http_text_i64(t, status);
    http_text_lit(t, " ");
    http_text_add(t, reason);
    http_text_lit(t, "</h1><p>Request ");
    http_text_add(t, id);
    http_text_lit(t, "</p></html>\n");
}

static void put_json(struct http_text *t, int status, struct weir_span reason, struct weir_span id)
{
    http_text_lit(t, "{\"type\":\"about:blank\",\"title\":\"");
    http_text_add(t, reason);
    http_text_lit(t, "\",\"status\":");
    http_text_i64(t, status);
    http_text_lit(t, ",\"instance\":\"urn:request:");
    http_text_add(t, id);
    http_text_lit(t, "\"}\n");
}

/* After these the connection's framing, or the client's patience, cannot be relied upon. */
static bool must_close(enum weir_code code)
{
    switch (code) {
    case WEIR_E_BAD_REQUEST:
    case WEIR_E_BAD_LENGTH:
    case WEIR_E_BAD_HOST:
    case WEIR_E_BAD_TARGET:
    case WEIR_E_BAD_CHUNK:
    case WEIR_E_CLIENT_TIMEOUT:
    case WEIR_E_LENGTH_REQUIRED:
    case WEIR_E_BODY_TOO_LARGE:
    case WEIR_E_TARGET_TOO_LONG:
    case WEIR_E_EXPECTATION:
    case WEIR_E_HEAD_TOO_LARGE:
    case WEIR_E_CODING_UNKNOWN:
    case WEIR_E_VERSION_UNKNOWN:
    case WEIR_E_MEMORY:
    case WEIR_E_OVERLOAD:
        return true;
    default:
        return false;
    }
}

static void put_error_fields(struct http_text *t, const struct weir_exchange *x, int status,
                             bool json)
{
    const char *type = weir_code_proxy_status(x->err.code);

    put_common(t, x, status);
    if (json)
        http_text_lit(t, "Content-Type: application/problem+json\r\n");
    else
        http_text_lit(t, "Content-Type: text/html; charset=utf-8\r\n");
    http_text_lit(t, "Cache-Control: no-store\r\n");
    if (x->site->site->source.forward->request_id_field[0] != '\0')
        http_text_field(t, weir_span_str(x->site->site->source.forward->request_id_field),
                        weir_span_str(x->request_id));
    if (type[0] != '\0' && status >= 500) {
        http_text_lit(t, "Proxy-Status: ");
        http_text_add(t, x->site->site->pseudonym);
        http_text_lit(t, "; error=");
        http_text_add(t, weir_span_str(type));
        http_text_lit(t, "\r\n");
    }
    if (x->site->site->source.cache->status_field)
        cache_report_put_error(t, x);
    put_limits(t, x);
    if (status == 503 && x->err.code != WEIR_E_RATE_LIMIT)
        http_text_lit(t, "Retry-After: 5\r\n");
    if (x->err.code == WEIR_E_METHOD_NOT_ALLOWED)
        http_text_lit(t, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n");
}

static void log_error(const struct weir_exchange *x, int status)
{
    char text[WEIR_ERR_DETAIL + 200], peer[NET_TEXT_MAX];

    if (status < 500 && !weir_log_enabled(WEIR_LOG_DEBUG))
        return; /* clients' faults fill no log */
    net_peer_text(&x->client_addr, peer);
    weir_log(status < 500 ? WEIR_LOG_DEBUG : WEIR_LOG_WARN, "client %s, request %s: %d: %s", peer,
             x->request_id, status, weir_err_str(&x->err, text, sizeof text));
}

/* "Trailers-Only": clients of gRPC look for their status there, and make a worse one of ours. */
static void put_call_status(struct http_text *t, const struct weir_exchange *x, int status,
                            struct weir_span id)
{
    put_common(t, x, 200);
    http_text_lit(t, "Content-Type: application/grpc\r\ngrpc-status: ");
    http_text_i64(t, http_grpc_status(status));
    http_text_lit(t, "\r\ngrpc-message: ");
    http_text_add(t, http_status_reason(status));
    http_text_lit(t, ", request ");
    http_text_add(t, id);
    http_text_lit(t, "\r\n");
    put_limits(t, x);
}

static void reply_to_call(struct weir_exchange *x, int status)
{
    struct weir_span id = trace_request_id(x);
    size_t room = HEAD_MAX + more_room(x);
    char *head = weir_arena_alloc(&x->arena, room);
    struct http_text t;

    log_error(x, status);
    http_text_init(&t, head != NULL ? head : x->extra, head != NULL ? room : sizeof x->extra);
    if (head == NULL)
        put_common(&t, x, status);
    else
        put_call_status(&t, x, status, id);
    set_response(x, head != NULL ? 200 : status, &t, WEIR_SPAN_NONE);
    x->response.close = must_close(x->err.code);
}

static void reply_in_html_or_json(struct weir_exchange *x, int status)
{
    struct weir_span reason = http_status_reason(status);
    struct weir_span id = trace_request_id(x);
    size_t room = HEAD_MAX + more_room(x);
    char *head = weir_arena_alloc(&x->arena, room);
    char *body = weir_arena_alloc(&x->arena, BODY_MAX);
    bool json = wants_json(&x->req);
    struct http_text t, b;

    log_error(x, status);
    if (head == NULL || body == NULL) { /* x->extra is always there */
        http_text_init(&t, x->extra, sizeof x->extra);
        put_common(&t, x, status);
        set_response(x, status, &t, WEIR_SPAN_NONE);
        x->response.close = true;
        return;
    }
    http_text_init(&b, body, BODY_MAX);
    (json ? put_json : put_html)(&b, status, reason, id);
    http_text_init(&t, head, room);
    put_error_fields(&t, x, status, json);
    set_response(x, status, &t, http_text_span(&b));
    x->response.close = must_close(x->err.code);
}

void reply_with_error(struct weir_exchange *x)
{
    int status =
        x->err.code == WEIR_E_RATE_LIMIT ? limit_stage_status(x) : weir_code_status(x->err.code);

    if (x->err.code == WEIR_E_MISDIRECTED)
        weir_metric_add(x->w->metrics, WEIR_M_requests_misdirected, 1);
    else if (x->err.code == WEIR_E_TOO_EARLY)
        weir_metric_add(x->w->metrics, WEIR_M_requests_too_early, 1);
    if (http_grpc_call(&x->req))
        reply_to_call(x, status);
    else
        reply_in_html_or_json(x, status);
}

/* ---- redirects and fixed responses ---- */

/* Lets the route's edits touch the fields; then serializes. */
static bool finish(struct weir_exchange *x, int status, struct http_head *h,
                   struct weir_span content)
{
    struct template_values v;
    char client[NET_TEXT_MAX];
    struct http_text t;
    size_t room;
    char *buf;

    if (x->route->response_edits != NULL) {
        trace_request_id(x);
        exchange_template_values(x, &v, client);
        if (!edits_apply(x->route->response_edits, &v, h, &x->arena, &x->err))
            return false;
    }
    connection_fields_remove(x, h); /* of edits, too: there is one of each */
    room = http_fields_bytes(h) + 128 + more_room(x);
    buf = weir_arena_alloc(&x->arena, room);
    if (buf == NULL)
        return weir_fail(&x->err, WEIR_E_MEMORY, "reply: head", 0);
    http_text_init(&t, buf, room);
    put_common(&t, x, status);
    http_text_fields(&t, h);
    put_limits(&t, x);
    set_response(x, status, &t, content);
    return true;
}

bool reply_with_location(struct weir_exchange *x, int status, struct weir_span location)
{
    struct http_head h;

    http_head_init(&h, NULL, 0);
    if (!http_head_add_id(&h, &x->arena, HTTP_F_LOCATION, location))
        return weir_fail(&x->err, WEIR_E_MEMORY, "reply: redirect", 0);
    return finish(x, status, &h, WEIR_SPAN_NONE);
}

bool reply_with_redirect(struct weir_exchange *x)
{
    struct template_values v;
    char client[NET_TEXT_MAX];
    struct weir_span location;

    trace_request_id(x);
    exchange_template_values(x, &v, client);
    return template_expand(x->route->redirect_to, &v, &x->arena, &location, &x->err) &&
           reply_with_location(x, x->route->settings->redirect_status, location);
}

bool reply_with_fixed(struct weir_exchange *x)
{
    const struct route_settings *s = x->route->settings;
    struct weir_span content = weir_span_str(s->respond_body);
    struct http_head h;

    http_head_init(&h, NULL, 0);
    if (content.len > 0 &&
        !http_head_add_id(&h, &x->arena, HTTP_F_CONTENT_TYPE, weir_span_str(s->respond_type)))
        return weir_fail(&x->err, WEIR_E_MEMORY, "reply: fixed", 0);
    return finish(x, s->respond_status, &h, content);
}

/* Who can read this answer is proof that the node lives. */
bool reply_with_health(struct weir_exchange *x)
{
    const atomic_bool *flag = x->w->ready;
    bool asks_ready = x->route->settings->health == ROUTE_HEALTH_READY;
    bool fine = !asks_ready || flag == NULL || atomic_load_explicit(flag, memory_order_relaxed);
    struct weir_span content = !fine        ? WEIR_SPAN_LIT("not ready\n")
                               : asks_ready ? WEIR_SPAN_LIT("ready\n")
                                            : WEIR_SPAN_LIT("live\n");
    struct http_head h;

    http_head_init(&h, NULL, 0);
    if (!http_head_add_id(&h, &x->arena, HTTP_F_CACHE_CONTROL, WEIR_SPAN_LIT("no-store")) ||
        !http_head_add_id(&h, &x->arena, HTTP_F_CONTENT_TYPE,
                          WEIR_SPAN_LIT("text/plain; charset=utf-8")))
        return weir_fail(&x->err, WEIR_E_MEMORY, "reply: health", 0);
    return finish(x, fine ? 200 : 503, &h, content);
}

/* fields: each with its CRLF. */
static bool reply_with(struct weir_exchange *x, int status, struct weir_span fields,
                       struct weir_span content)
{
    size_t room = HEAD_MAX + more_room(x);
    char *head = weir_arena_alloc(&x->arena, room);
    struct http_text t;

    if (head == NULL)
        return weir_fail(&x->err, WEIR_E_MEMORY, "reply: content", 0);
    http_text_init(&t, head, room);
    put_common(&t, x, status);
    http_text_add(&t, fields);
    set_response(x, status, &t, content);
    return true;
}

bool reply_with_json(struct weir_exchange *x, int status, struct weir_span content)
{
    return reply_with(x, status,
                      WEIR_SPAN_LIT(
                          "Content-Type: application/json\r\nCache-Control: no-store\r\n"),
                      content);
}

bool reply_with_text(struct weir_exchange *x, int status, struct weir_span content)
{
    return reply_with(x, status,
                      WEIR_SPAN_LIT(
                          "Content-Type: text/plain\r\nX-Content-Type-Options: nosniff\r\n"
                          "Cache-Control: no-store\r\n"),
                      content);
}
