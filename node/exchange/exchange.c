#include "exchange.h"

#include <assert.h>
#include <string.h>

#include "access_log.h"
#include "connection_rules.h"
#include "deliver.h"
#include "fetch.h"
#include "lookup.h"
#include "reply.h"
#include "stages.h"
#include "tls_facts.h"

/*
 *   open --head--> started --stages--> waiting <--> resumed --> responded --> closed
 *     '--refused--------------------------------------------------^
 */

void exchange_init(struct weir_exchange *x, struct exchange_worker *w)
{
    memset(x, 0, sizeof *x);
    x->w = w;
    x->loop = w->loop;
    weir_arena_init(&x->arena, 0);
}

void exchange_open_in(struct weir_exchange *x, const struct exchange_client *client,
                      const struct net_peer *peer, int64_t now_us, struct site_worker *site)
{
    struct weir_arena arena = x->arena;
    struct exchange_worker *w = x->w;

    /* What is large and always written before it is read stays as it is. */
    memset(x, 0, offsetof(struct weir_exchange, req));
    memset(&x->framing, 0,
           offsetof(struct weir_exchange, match) - offsetof(struct weir_exchange, framing));
    x->match.captures.count = 0;
    memset(&x->request_id, 0,
           offsetof(struct weir_exchange, key_buf) - offsetof(struct weir_exchange, request_id));
    memset(&x->stored, 0,
           offsetof(struct weir_exchange, extra) - offsetof(struct weir_exchange, stored));
    x->sent_bytes = x->received_bytes = 0;
    x->w = w;
    x->loop = w->loop;
    x->arena = arena;
    x->client = client;
    x->peer = peer;
    x->began_us = now_us;
    x->site = site_use(site);
    x->open = true;
    x->sticky_set = -1;
    http_head_init(&x->req, w->fields, w->field_cap);
    weir_metric_add(w->metrics, WEIR_M_exchanges_open, 1);
}

void exchange_open(struct weir_exchange *x, const struct exchange_client *client,
                   const struct net_peer *peer, int64_t now_us)
{
    exchange_open_in(x, client, peer, now_us, x->w->site);
}

static void respond(struct weir_exchange *x)
{
    assert(!x->responded);
    x->responded = true;
    x->client->respond(x);
}

/* The answer is known. A page made of fragments may have to wait for the first of them. */
static bool goes_out(struct weir_exchange *x)
{
    if (x->compose == NULL || x->stage == STAGE_COMPOSE)
        return true;
    x->stage = STAGE_COMPOSE;
    return false;
}

static void run(struct weir_exchange *x)
{
    while (exchange_stages[x->stage].run != NULL) {
        switch (exchange_stages[x->stage].run(x)) {
        case EXCHANGE_NEXT:
            x->stage++;
            break;
        case EXCHANGE_WAIT:
            x->waiting = true;
            return;
        case EXCHANGE_FAIL:
            reply_with_error(x);
            respond(x);
            return;
        case EXCHANGE_REPLY:
            if (goes_out(x)) {
                respond(x);
                return;
            }
            break;
        }
    }
    assert(!"the last stage replies, waits or fails");
}

void exchange_start(struct weir_exchange *x)
{
    x->started = true;
    x->client_addr = *x->peer;
    weir_metric_add(x->w->metrics, WEIR_M_requests, 1);
    run(x);
}

void exchange_start_at(struct weir_exchange *x, enum exchange_stage_index stage)
{
    x->started = true;
    x->stage = (uint8_t)stage;
    run(x);
}

void exchange_resume(struct weir_exchange *x, enum exchange_verdict verdict)
{
    assert(x->waiting);
    x->waiting = false;
    switch (verdict) {
    case EXCHANGE_NEXT:
        x->stage++;
        run(x);
        break;
    case EXCHANGE_REPLY:
        if (goes_out(x))
            respond(x);
        else
            run(x);
        break;
    case EXCHANGE_FAIL:
        reply_with_error(x);
        respond(x);
        break;
    case EXCHANGE_WAIT:
        run(x); /* the stage wants to be run again */
        break;
    }
}

void exchange_refuse(struct weir_exchange *x, const struct weir_err *err)
{
    x->err = *err;
    x->client_addr = *x->peer;
    if (!x->started)
        weir_metric_add(x->w->metrics, WEIR_M_requests_refused, 1);
    reply_with_error(x);
    x->response.close = true;
    respond(x);
}

void exchange_time_out(struct weir_exchange *x)
{
    assert(x->waiting && !x->responded);
    x->waiting = false;
    if (exchange_stages[x->stage].cancel != NULL)
        exchange_stages[x->stage].cancel(x);
    fetch_leave(x);
    fill_reader_close(x->reader);
    x->reader = NULL;
    weir_fail(&x->err, WEIR_E_ORIGIN_READ_TIMEOUT, "exchange: total time", 0);
    reply_with_error(x);
    x->response.close = true;
    respond(x);
}

/* ---- holding ---- */

static void move_span(struct weir_span *s, const char *from, size_t len, const char *to)
{
    if (s->ptr >= from && s->ptr < from + len)
        s->ptr = to + (s->ptr - from);
}

bool exchange_hold(struct weir_exchange *x)
{
    struct weir_span old = x->raw;
    struct weir_span copy;
    struct http_field *fields;

    if (x->held)
        return true;
    fields = weir_arena_alloc(&x->arena, (x->req.count + 1) * sizeof *fields);
    copy = weir_arena_dup(&x->arena, old);
    if (fields == NULL || copy.ptr == NULL)
        return weir_fail(&x->err, WEIR_E_MEMORY, "exchange: hold", 0);
    memcpy(fields, x->req.fields, x->req.count * sizeof *fields);
    x->req.fields = fields;
    x->req.cap = x->req.count;
    http_head_rebase(&x->req, old.ptr, old.len, copy.ptr);
    move_span(&x->target.host, old.ptr, old.len, copy.ptr);
    move_span(&x->target.authority, old.ptr, old.len, copy.ptr);
    move_span(&x->target.path, old.ptr, old.len, copy.ptr);
    move_span(&x->target.query, old.ptr, old.len, copy.ptr);
    move_span(&x->target.origin_form, old.ptr, old.len, copy.ptr);
    move_span(&x->keyed.authority, old.ptr, old.len, copy.ptr);
    move_span(&x->keyed.query, old.ptr, old.len, copy.ptr);
    for (uint32_t i = 0; i < x->match.captures.count; i++)
        move_span(&x->match.captures.at[i], old.ptr, old.len, copy.ptr);
    x->raw = copy;
    x->held = true;
    return true;
}

/* ---- the body ---- */

struct exchange_content exchange_content(const struct weir_exchange *x)
{
    const struct stored_response *r = x->stored;
    const struct stored_form *f = x->form;

    if (f != NULL)
        return (struct exchange_content){f->slices, f->slice_count, f->len,
                                         f->coding == r->sent_coding};
    return (struct exchange_content){r->slices, r->slice_count, r->body_len,
                                     r->coding == r->sent_coding};
}

enum exchange_pull exchange_pull(struct weir_exchange *x, struct exchange_part *out, unsigned max,
                                 unsigned *n)
{
    return body_pull(x, &x->response.body, out, max, n);
}

bool exchange_pulled_all(struct weir_exchange *x)
{
    return body_pulled_all(x, &x->response.body);
}

struct weir_span exchange_trailers(struct weir_exchange *x)
{
    return body_trailers(x, &x->response.body);
}

/* ---- the end ---- */

/* What came as far as the cache: which part of it, and of its content, was answered from there. */
static void count_lookup(struct weir_exchange *x)
{
    if (x->key.bytes.ptr == NULL)
        return;
    weir_metric_add(x->w->metrics, WEIR_M_cache_lookups, 1);
    if (x->parent == NULL)
        weir_metric_add(x->w->metrics,
                        x->hit ? WEIR_M_cache_hit_bytes : WEIR_M_cache_forwarded_bytes,
                        (int64_t)x->sent_bytes);
}

void exchange_close(struct weir_exchange *x, bool complete)
{
    struct site_worker *site = x->site;

    if (!x->open)
        return;
    x->open = false;
    if (x->waiting && exchange_stages[x->stage].cancel != NULL)
        exchange_stages[x->stage].cancel(x);
    x->waiting = false;
    body_close(x, &x->response.body); /* first: it may draw on what goes now */
    fetch_leave(x);
    fill_reader_close(x->reader);
    x->reader = NULL;
    if ((x->started || x->responded) && x->parent == NULL)
        access_log_write(x, complete);
    count_lookup(x);
    stored_form_unref(x->form);
    x->form = NULL;
    stored_response_unref(x->stored);
    stored_response_unref(x->validating);
    weir_blob_unref(x->content);
    x->stored = x->validating = NULL;
    x->content = NULL;
    x->site = NULL;
    weir_arena_reset(&x->arena);
    weir_metric_add(x->w->metrics, WEIR_M_exchanges_open, -1);
    site_leave(site);
}

void exchange_free(struct weir_exchange *x)
{
    weir_arena_free(&x->arena);
}

static void put_identity(const struct tls_identity *who, struct weir_span out[TEMPLATE_CLIENT_CERT])
{
    out[TEMPLATE_CERT_SUBJECT] = weir_span_str(who->subject);
    out[TEMPLATE_CERT_ISSUER] = weir_span_str(who->issuer);
    out[TEMPLATE_CERT_SERIAL] = weir_span_str(who->serial);
    out[TEMPLATE_CERT_FINGERPRINT] = weir_span_str(who->fingerprint);
    out[TEMPLATE_CERT_SAN] = weir_span_str(who->san);
}

void exchange_template_values(struct weir_exchange *x, struct template_values *v,
                              char client[NET_TEXT_MAX])
{
    *v = (struct template_values){
        .host = x->target.authority,
        .path = x->target.path,
        .query = x->target.query,
        .client = weir_span(client, net_peer_text(&x->client_addr, client)),
        .scheme = weir_span_str(x->target.https ? "https" : "http"),
        .request_id = weir_span_str(x->request_id),
        .captures = x->match.captures.at,
        .capture_count = x->match.captures.count,
    };
    if (x->identified)
        put_identity(connection_identity(x), v->client_cert);
}
