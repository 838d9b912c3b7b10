#include "request_out.h"

#include <string.h>

#include "edits.h"
#include "http_chunked.h"
#include "http_coding_tag.h"
#include "http_text.h"
#include "rewrite.h"
#include "slice.h"
#include "trace.h"
#include "vary.h"

#define OWN_FIELDS_BYTES                                                                           \
    1024 /* what we add: forwarding fields, Via, framing ...; client-sized parts are counted apart \
          */

/* What depends on who sent the request. */
struct forwarding {
    enum forwarded_kind kind;
    bool trusted; /* the peer's fields are continued, else dropped */
    char client[NET_TEXT_MAX];
    size_t client_len;
    bool v6;
};

static bool conditional(uint16_t id)
{
    switch (id) {
    case HTTP_F_IF_MATCH:
    case HTTP_F_IF_NONE_MATCH:
    case HTTP_F_IF_MODIFIED_SINCE:
    case HTTP_F_IF_UNMODIFIED_SINCE:
    case HTTP_F_IF_RANGE:
    case HTTP_F_RANGE:
        return true;
    default:
        return false;
    }
}

/* The host it is asked for, as far as the origin hears of it. */
static struct weir_span authority_of(const struct weir_exchange *x)
{
    return x->keyed.sent ? x->keyed.authority : x->target.authority;
}

/* Templates are parsed: they must come as they are, and whole. */
static bool may_be_template(const struct request_out *r)
{
    return r->route->settings->cache.esi.enabled;
}

/* Fields weir writes itself; the client's are left out here. */
static bool written_anew(const struct request_out *r, const struct forwarding *fwd,
                         const struct http_field *f)
{
    const struct forward_settings *settings = r->x->site->site->source.forward;

    switch (f->id) {
    case HTTP_F_HOST:
    case HTTP_F_EXPECT:
        return true;
    case HTTP_F_X_FORWARDED_FOR: /* continued below when trusted */
    case HTTP_F_FORWARDED:
        return true;
    case HTTP_F_X_FORWARDED_PROTO:
    case HTTP_F_X_FORWARDED_HOST:
        return !fwd->trusted || fwd->kind == FORWARDED_NONE;
    case HTTP_F_ACCEPT_ENCODING:
        return r->shared || may_be_template(r);
    case HTTP_F_RANGE:
    case HTTP_F_IF_RANGE:
        return may_be_template(r);
    case HTTP_F_SURROGATE_CAPABILITY: /* continued below when trusted */
        return !fwd->trusted || may_be_template(r);
    case HTTP_F_TRACEPARENT:
        return !trace_parent_valid(f->value);
    case HTTP_F_NONE:
        break;
    default:
        break;
    }
    return settings->request_id_field[0] != '\0' &&
           weir_span_ieq(f->name, weir_span_str(settings->request_id_field));
}

/*
 * X-SSL-Client-Verify, SSL-Client-Cert, X-Client-Cert-Subject ...: no standard names them, but
 * applications behind other proxies believe what they say of a client's certificate.
 */
static bool speaks_of_tls(struct weir_span name)
{
    static const struct weir_span begins[] = {WEIR_SPAN_LIT("X-SSL-"),
                                              WEIR_SPAN_LIT("SSL-Client-"),
                                              WEIR_SPAN_LIT("SSL_CLIENT_"),
                                              WEIR_SPAN_LIT("X-Client-Cert"),
                                              WEIR_SPAN_LIT("X-TLS-Client-"),
                                              WEIR_SPAN_LIT("X-ARR-ClientCert"),
                                              WEIR_SPAN_LIT("X-Client-Verify")};
    char first = name.len > 0 ? weir_ascii_lower(name.ptr[0]) : 0;

    if (first != 'x' && first != 's')
        return false;
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (name.len >= begins[i].len &&
            weir_span_ieq(weir_span(name.ptr, begins[i].len), begins[i]))
            return true;
    return false;
}

static bool goes_on(const struct request_out *r, const struct forwarding *fwd,
                    const struct http_head *head, const struct http_field *f)
{
    if (f->flags & (HTTP_FF_HOP | HTTP_FF_FRAMING))
        return false;
    if ((f->flags & HTTP_FF_FORWARDING) && !fwd->trusted &&
        !(f->id == HTTP_F_CLIENT_CERT && r->x->identified))
        return false;
    if (f->id == HTTP_F_NONE && !fwd->trusted && speaks_of_tls(f->name))
        return false;
    if ((f->flags & HTTP_FF_METHOD) && r->x->keyed.sent)
        return false; /* the key says GET: whoever asks by it gets no answer to another method */
    if (written_anew(r, fwd, f) || (r->shared && conditional(f->id)))
        return false;
    return !http_head_has(head, HTTP_F_CONNECTION) || (f->flags & HTTP_FF_PROTECTED) ||
           !http_connection_names(head, f->name);
}

/* "a, b" of all lines the trusted peer sent, then ours. */
static void put_chain(struct http_text *t, const struct http_head *head, uint16_t id, bool trusted)
{
    http_text_add(t, http_field_name(id));
    http_text_lit(t, ": ");
    if (!trusted)
        return;
    for (const struct http_field *f = http_head_first(head, id); f != NULL;
         f = http_head_next(head, f)) {
        http_text_add(t, f->value);
        http_text_lit(t, ", ");
    }
}

/* An edit of the route has the last word on a field. */
static bool ours(const struct http_head *edited, uint16_t id)
{
    return edited == NULL || !http_head_has(edited, id);
}

static void put_forwarding(struct http_text *t, const struct request_out *r,
                           const struct forwarding *fwd, const struct http_head *edited)
{
    const struct weir_exchange *x = r->x;
    struct weir_span peer = weir_span(fwd->client, fwd->client_len);
    struct weir_span proto = weir_span_str(x->secure ? "https" : "http");
    struct weir_span host = authority_of(x);

    if (fwd->kind == FORWARDED_X || fwd->kind == FORWARDED_BOTH) {
        if (ours(edited, HTTP_F_X_FORWARDED_FOR)) {
            put_chain(t, &x->req, HTTP_F_X_FORWARDED_FOR, fwd->trusted);
            http_text_add(t, peer);
            http_text_lit(t, "\r\n");
        }
        if (ours(edited, HTTP_F_X_FORWARDED_PROTO) &&
            (!fwd->trusted || !http_head_has(&x->req, HTTP_F_X_FORWARDED_PROTO)))
            http_text_field(t, http_field_name(HTTP_F_X_FORWARDED_PROTO), proto);
        if (host.len > 0 && ours(edited, HTTP_F_X_FORWARDED_HOST) &&
            (!fwd->trusted || !http_head_has(&x->req, HTTP_F_X_FORWARDED_HOST)))
            http_text_field(t, http_field_name(HTTP_F_X_FORWARDED_HOST), host);
    }
    if ((fwd->kind == FORWARDED_RFC7239 || fwd->kind == FORWARDED_BOTH) &&
        ours(edited, HTTP_F_FORWARDED)) {
        put_chain(t, &x->req, HTTP_F_FORWARDED, fwd->trusted);
        http_text_lit(t, "for=");
        if (fwd->v6) { /* RFC 7239 6: in brackets and quotes */
            http_text_lit(t, "\"[");
            http_text_add(t, peer);
            http_text_lit(t, "]\"");
        } else {
            http_text_add(t, x->peer->family == AF_UNIX ? WEIR_SPAN_LIT("_unix") : peer);
        }
        if (host.len > 0) {
            http_text_lit(t, ";host=\"");
            http_text_add(t, host);
            http_text_lit(t, "\"");
        }
        http_text_lit(t, ";proto=");
        http_text_add(t, proto);
        http_text_lit(t, "\r\n");
    }
}

/* What we can do with the answer (W3C note "Edge Architecture Specification" 2.2): origins that are
 * not told send no ESI. */
static void put_capability(struct http_text *t, const struct request_out *r,
                           const struct forwarding *fwd)
{
    if (!may_be_template(r))
        return;
    http_text_field(t, http_field_name(HTTP_F_ACCEPT_ENCODING), WEIR_SPAN_LIT("identity"));
    put_chain(t, &r->x->req, HTTP_F_SURROGATE_CAPABILITY, fwd->trusted);
    http_text_add(t, r->x->site->site->pseudonym);
    http_text_lit(t, "=\"ESI/1.0\"\r\n");
}

static void put_framing(struct http_text *t, const struct weir_exchange *x)
{
    if (x->content_whole) {
        http_text_lit(t, "Content-Length: ");
        http_text_u64(t, x->content->len);
        http_text_lit(t, "\r\n");
    } else if (x->body == NULL) {
        /* Says so where a method usually has content (RFC 9110 8.6). */
        if (x->req.method_id == HTTP_M_POST || x->req.method_id == HTTP_M_PUT ||
            x->req.method_id == HTTP_M_PATCH || x->req.method_id == HTTP_M_QUERY)
            http_text_lit(t, "Content-Length: 0\r\n");
    } else if (x->framing.has_length) {
        http_text_lit(t, "Content-Length: ");
        http_text_u64(t, x->framing.length);
        http_text_lit(t, "\r\n");
    } else {
        http_text_lit(t, "Transfer-Encoding: chunked\r\n");
    }
}

static void put_slice(struct http_text *t, const struct exchange_slice *s)
{
    http_text_lit(t, "Range: bytes=");
    http_text_u64(t, slice_first(s));
    http_text_char(t, '-');
    http_text_u64(t, slice_first(s) + s->size - 1);
    http_text_lit(t, "\r\n");
}

/* A pass sends the client's own, as it came. */
static void put_accept_encoding(struct http_text *t, const struct request_out *r)
{
    struct exchange_worker *w = r->x->w;
    struct weir_span accept;

    if (!r->shared || may_be_template(r))
        return;
    accept = request_out_asks_identity(r->route->settings) && !r->alone
                 ? WEIR_SPAN_LIT("identity")
                 : vary_accept_encoding_memo(&r->x->req, &w->vary_accept);
    if (accept.len > 0)
        http_text_field(t, http_field_name(HTTP_F_ACCEPT_ENCODING), accept);
}

/* The client's own word goes on as it is (RFC 8470 5.1). */
static bool says_early(const struct weir_exchange *x)
{
    return x->early && !http_head_has(&x->req, HTTP_F_EARLY_DATA);
}

static void put_own(struct http_text *t, const struct request_out *r, const struct forwarding *fwd,
                    const struct http_head *edited)
{
    struct weir_exchange *x = r->x;
    const struct site *site = x->site->site;
    const char *id_field = site->source.forward->request_id_field;

    put_accept_encoding(t, r);
    put_capability(t, r, fwd);
    put_forwarding(t, r, fwd, edited);
    http_text_lit(t, "Via: "); /* the version the request came by (RFC 9110 7.6.3) */
    if (x->protocol != NULL && strcmp(x->protocol, "HTTP/2") == 0)
        http_text_lit(t, "2.0 ");
    else if (x->req.minor == 0)
        http_text_lit(t, "1.0 ");
    else
        http_text_lit(t, "1.1 ");
    http_text_add(t, site->pseudonym);
    http_text_lit(t, "\r\n");
    http_text_field(t, http_field_name(HTTP_F_CDN_LOOP), site->pseudonym);
    if (id_field[0] != '\0')
        http_text_field(t, weir_span_str(id_field), trace_request_id(x));
    if (r->validating != NULL && r->validating->etag.ptr != NULL)
        http_text_field(t, http_field_name(HTTP_F_IF_NONE_MATCH), r->validating->etag);
    if (r->validating != NULL && r->validating->last_modified.ptr != NULL)
        http_text_field(t, http_field_name(HTTP_F_IF_MODIFIED_SINCE), r->validating->last_modified);
    if (x->slice.size > 0)
        put_slice(t, &x->slice);
    if (says_early(x))
        http_text_lit(t, "Early-Data: 1\r\n");
    if (r->upgrade)
        http_text_lit(t, "Connection: upgrade\r\nUpgrade: websocket\r\n");
    put_framing(t, x);
}

/* path[?query] as the origin gets it. */
static bool target_of(const struct request_out *r, struct weir_arena *arena, struct weir_span *path,
                      struct weir_span *query, struct weir_err *err)
{
    struct weir_exchange *x = r->x;
    struct template_values v;
    char client[NET_TEXT_MAX];

    bool rekeyed = x->keyed.sent && x->keyed.query.ptr != x->target.query.ptr;

    *path = x->target.origin_form;
    *query = WEIR_SPAN_NONE;
    if ((r->route->rewrite == NULL && !rekeyed) || x->target.form == HTTP_TARGET_ASTERISK)
        return true;
    *path = x->target.path;
    *query = rekeyed ? x->keyed.query : x->target.query;
    if (r->route->rewrite == NULL)
        return true;
    exchange_template_values(x, &v, client);
    return rewrite_path(r->route->rewrite, &v, x->w->scratch, arena, path, err);
}

/* What the client sent and may go on, then as the route edits it. */
static bool edited_head(const struct request_out *r, const struct forwarding *fwd,
                        struct weir_arena *arena, struct http_head *edited, struct weir_err *err)
{
    const struct http_head *req = &r->x->req;
    struct template_values v;
    char client[NET_TEXT_MAX];

    trace_request_id(r->x);
    exchange_template_values(r->x, &v, client);
    http_head_init(edited, NULL, 0);
    for (uint32_t i = 0; i < req->count; i++) {
        const struct http_field *f = &req->fields[i];

        if (goes_on(r, fwd, req, f) && !http_head_add(edited, arena, f->name, f->value))
            return weir_fail(err, WEIR_E_MEMORY, "request: edits", 0);
    }
    return edits_apply(r->route->request_edits, &v, edited, arena, err);
}

static void put_line(struct http_text *t, const struct request_out *r, struct weir_span path,
                     struct weir_span query)
{
    http_text_add(t, r->x->req.method);
    http_text_char(t, ' ');
    http_text_add(t, path);
    if (query.ptr != NULL) {
        http_text_char(t, '?');
        http_text_add(t, query);
    }
    http_text_lit(t, " HTTP/1.1\r\n");
}

/* Entity tags that the client may have from us. */
static bool names_our_tags(const struct request_out *r, const struct http_field *f)
{
    return (f->id == HTTP_F_IF_NONE_MATCH || f->id == HTTP_F_IF_MATCH) &&
           r->route->settings->compression.enabled;
}

/* Bytes that those tags take once more. */
static size_t room_for_tags(const struct http_head *head)
{
    size_t room = 0;

    for (uint32_t i = 0; i < head->count; i++)
        if (head->fields[i].id == HTTP_F_IF_NONE_MATCH || head->fields[i].id == HTTP_F_IF_MATCH)
            room += 2 * head->fields[i].value.len;
    return room;
}

static void put_fields(struct http_text *t, const struct request_out *r,
                       const struct forwarding *fwd, const struct http_head *edited)
{
    const struct http_head *head = edited != NULL ? edited : &r->x->req;

    for (uint32_t i = 0; i < head->count; i++) {
        const struct http_field *f = &head->fields[i];

        if (edited != NULL ? f->id == HTTP_F_HOST : !goes_on(r, fwd, head, f))
            continue;
        http_text_add(t, f->name);
        http_text_lit(t, ": ");
        if (names_our_tags(r, f))
            http_coding_tag_for_origin(t, f->value);
        else
            http_text_add(t, f->value);
        http_text_lit(t, "\r\n");
    }
}

/* The Host that goes upstream: an edit's, the upstream's, the client's. */
static struct weir_span host_of(const struct request_out *r, const struct http_head *edited)
{
    if (edited != NULL && http_head_has(edited, HTTP_F_HOST))
        return http_head_value(edited, HTTP_F_HOST);
    if (r->upstream->host != NULL)
        return weir_span_str(r->upstream->host);
    return authority_of(r->x);
}

/* At least as many bytes as the head will take. */
static size_t room_for(const struct request_out *r, const struct http_head *edited, size_t target,
                       size_t host)
{
    const struct weir_exchange *x = r->x;
    const struct site *site = x->site->site;
    size_t room = http_fields_bytes(&x->req) + target + host + x->req.method.len +
                  3 * authority_of(x).len + site->via_len + 3 * site->pseudonym.len +
                  strlen(site->source.forward->request_id_field) + OWN_FIELDS_BYTES;

    room += room_for_tags(edited != NULL ? edited : &x->req);
    if (edited != NULL)
        room += http_fields_bytes(edited);
    if (x->content != NULL)
        room += x->content->len + HTTP_CHUNK_HEADER_MAX + 2;
    if (r->validating != NULL)
        room += r->validating->etag.len + r->validating->last_modified.len;
    return room;
}

/* What was gathered of the content: all of it, or the first chunk of what is being streamed. */
static void put_content(struct http_text *t, const struct weir_exchange *x)
{
    char header[HTTP_CHUNK_HEADER_MAX];

    if (x->content == NULL || x->content->len == 0)
        return;
    if (!x->content_whole)
        http_text_bytes(t, header, http_chunk_header(header, x->content->len));
    http_text_bytes(t, x->content->bytes, x->content->len);
    if (!x->content_whole)
        http_text_lit(t, "\r\n");
}

bool request_out_write(const struct request_out *r, struct weir_arena *arena, struct weir_span *out,
                       struct weir_err *err)
{
    const struct weir_exchange *x = r->x;
    struct forwarding fwd = {.kind = x->site->site->source.forward->fields,
                             .trusted = x->peer_trusted,
                             .v6 = x->peer->family == AF_INET6};
    struct http_head edits, *edited = NULL;
    struct weir_span path, query, host;
    struct http_text t;
    size_t room;
    char *buf;

    if (r->route->request_edits != NULL) {
        if (!edited_head(r, &fwd, arena, &edits, err))
            return false;
        edited = &edits;
    }
    if (!target_of(r, arena, &path, &query, err))
        return false;
    fwd.client_len = net_peer_text(x->peer, fwd.client);
    host = host_of(r, edited);
    room = room_for(r, edited, path.len + query.len, host.len);
    buf = weir_arena_alloc(arena, room);
    if (buf == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "request: head", 0);
    http_text_init(&t, buf, room);
    put_line(&t, r, path, query);
    http_text_field(&t, http_field_name(HTTP_F_HOST), host);
    put_fields(&t, r, &fwd, edited);
    put_own(&t, r, &fwd, edited);
    http_text_lit(&t, "\r\n");
    put_content(&t, x);
    *out = http_text_span(&t);
    return http_text_ok(&t) || weir_fail(err, WEIR_E_INTERNAL, "request: head does not fit", 0);
}
