#include "fetch.h"

#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "content.h"
#include "cookie.h"
#include "fetch_parts.h"
#include "http_grpc.h"
#include "inflight.h"
#include "net_clients.h"
#include "origin_state.h"
#include "purging.h"
#include "request_out.h"
#include "share_lead.h"
#include "sticky.h"
#include "stored.h"
#include "tls_facts.h"

#define TRAILERS_MAX     32
#define REFRESH_PAUSE_MS 1000 /* between refreshes of one stored response */
#define KEPT_MAX         64   /* fetches kept for reuse, per worker */

static void on_space(void *arg);
static void on_abandoned(void *arg);
static const struct fill_owner fill_owner = {on_space, on_abandoned};

/* ---- life ---- */

static void free_fetch(struct net_deferred *d)
{
    struct fetch *f = WEIR_CONTAINER(d, struct fetch, gone);

    if (f->w->free_fetch_count < KEPT_MAX) {
        weir_arena_reset(&f->arena);
        f->next = f->w->free_fetches;
        f->w->free_fetches = f;
        f->w->free_fetch_count++;
        return;
    }
    weir_arena_free(&f->arena);
    weir_free(f);
}

/* Zeroed, but for an arena that may hold a chunk already. */
static struct fetch *take_fetch(struct exchange_worker *w)
{
    struct fetch *f = w->free_fetches;
    struct weir_arena arena;

    if (f == NULL) {
        f = weir_calloc(1, sizeof *f);
        if (f != NULL)
            weir_arena_init(&f->arena, 0);
        return f;
    }
    w->free_fetches = f->next;
    w->free_fetch_count--;
    arena = f->arena;
    memset(f, 0, offsetof(struct fetch, trailers));
    f->arena = arena;
    return f;
}

void fetch_free_kept(struct exchange_worker *w)
{
    while (w->free_fetches != NULL) {
        struct fetch *f = w->free_fetches;

        w->free_fetches = f->next;
        weir_arena_free(&f->arena);
        weir_free(f);
    }
    w->free_fetch_count = 0;
}

/* The fetch is over, however: lets go of everything; the memory goes at the end of the turn. */
void fetch_finish(struct fetch *f)
{
    if (f->ended)
        return;
    f->ended = true;
    *f->at = f->next;
    if (f->next != NULL)
        f->next->at = f->at;
    if (f->leader != NULL)
        f->leader->fetch = NULL;
    fetch_owed_remove(&f->debt);
    inflight_remove(f->w->inflight, f->fill);
    fill_detach_owner(f->fill);
    if (f->shared != NULL || f->lead != NULL)
        fetch_shared_end(f);
    fill_unref(f->fill);
    stored_response_unref(f->validating);
    site_leave(f->site);
    net_defer(f->w->loop, &f->gone, free_fetch);
}

static struct fetch *new_fetch(struct weir_exchange *x, struct fill *fill, bool pass)
{
    struct fetch *f = take_fetch(x->w);

    if (f == NULL) {
        weir_fail(&x->err, WEIR_E_MEMORY, "fetch: create", 0);
        return NULL;
    }
    f->w = x->w;
    f->site = site_use(x->site);
    f->fill = fill_ref(fill);
    f->pass = pass;
    f->route = x->route;
    f->hash = fill->hash; /* x's key may have become another since the fill was made */
    f->slice = x->slice;
    f->request_time_s = x->loop->clock.wall_s;
    f->next = x->w->fetches;
    f->at = &x->w->fetches;
    if (f->next != NULL)
        f->next->at = &f->next;
    x->w->fetches = f;
    return f;
}

/* What came is of no use to anybody: who waits gets the error. */
void fetch_give_up(struct fetch *f, const struct weir_err *err)
{
    inflight_remove(f->w->inflight, f->fill);
    origin_fetch_cancel(&f->origin);
    fill_fail(f->fill, err);
    fetch_finish(f);
}

void fetch_send_back(struct fetch *f)
{
    inflight_remove(f->w->inflight, f->fill);
    origin_fetch_cancel(&f->origin);
    f->fill->outdated = true;
    fill_disband(f->fill, NULL);
    fetch_finish(f);
}

/* ---- sending ---- */

/* Which upstream, and what the balancer should know of this client. */
static void choose_upstream(struct fetch *f, struct weir_exchange *x)
{
    struct balance_hint *hint = &f->hint;
    uint32_t index = route_pick_upstream(f->route, (uint32_t)balance_rng_next(&f->w->origins.rng));
    const struct upstream_settings *s;
    struct weir_span on = WEIR_SPAN_NONE;
    struct weir_span bound;

    f->upstream = f->site->upstreams[index];
    f->site_upstream = &f->site->site->upstreams[index];
    s = f->upstream->settings;
    x->upstream_index = index;
    x->upstream_name = s->name;
    *hint = BALANCE_HINT_NONE;
    if (s->balance == BALANCE_HASH) {
        char client[NET_TEXT_MAX];
        const struct http_field *field;

        switch (s->hash_on) {
        case HASH_ON_PATH:
            on = x->target.path;
            break;
        case HASH_ON_CLIENT:
            on = weir_span(client, net_peer_text(&x->client_addr, client));
            break;
        case HASH_ON_FIELD:
            field = http_head_find(&x->req, weir_span_str(s->hash_name));
            if (field != NULL)
                on = field->value;
            break;
        case HASH_ON_COOKIE:
            cookie_find(&x->req, weir_span_str(s->hash_name), &on);
            break;
        }
        hint->hash = origin_hash(on.ptr, on.len);
    }
    if (f->site_upstream->sticky != NULL &&
        cookie_find(&x->req, weir_span_str(s->sticky_cookie), &bound))
        hint->sticky = sticky_find(f->site_upstream->sticky, bound);
}

/* The request, for as long as the fetch needs it: one that is x's alone ends with x, until the
 * answer turns out to be for all, and then nobody looks at the request any more. */
static bool take_request(struct fetch *f, struct weir_exchange *x)
{
    if (f->pass || f->fill->alone)
        return true;
    return http_head_copy(&f->req, &x->req, &f->arena) ||
           weir_fail(&x->err, WEIR_E_MEMORY, "fetch: request", 0);
}

static bool prepare(struct fetch *f, struct weir_exchange *x)
{
    struct request_out out = {
        .x = x,
        .upstream = NULL,
        .shared = !f->pass,
        .alone = f->fill->alone,
        .validating = f->validating,
        .route = f->route,
    };

    if (!take_request(f, x))
        return false;
    choose_upstream(f, x);
    out.upstream = f->upstream->settings;
    f->request.method = x->req.method_id;
    if (out.upstream->proxy_protocol != ORIGIN_PROXY_OFF && x->connection != NULL) {
        f->request.from = x->client_addr;
        f->request.to = *net_client_local(x->connection);
    }
    if (f->pass) {
        f->request.body = content_stream(x);
        f->request.upgrade = x->framing.upgrade && f->route->settings->websocket;
        f->request.websocket_key = http_head_value(&x->req, HTTP_F_SEC_WEBSOCKET_KEY);
        out.upgrade = f->request.upgrade;
    }
    f->request.body_chunked = f->request.body != NULL && !x->framing.has_length;
    f->grpc = f->pass && http_grpc_call(&x->req);
    if (f->route->settings->trailer_count > 0 || f->grpc) {
        struct http_field *fields = weir_arena_alloc(&f->arena, TRAILERS_MAX * sizeof *fields);

        if (fields == NULL)
            return weir_fail(&x->err, WEIR_E_MEMORY, "fetch: trailers", 0);
        http_head_init(&f->trailers, fields, TRAILERS_MAX);
        f->request.trailers = &f->trailers;
    }
    if (!request_out_write(&out, &f->arena, &f->request.head, &x->err))
        return false;
    f->prepared = true;
    return true;
}

static void start(struct fetch *f)
{
    origin_fetch_start(&f->origin, f->upstream, &f->request, &f->hint, &fetch_origin_events, f);
}

bool fetch_asks_late(struct fetch *f)
{
    struct weir_exchange *x = f->leader;
    struct weir_err err = {0};

    if (x == NULL || !x->early || x->tls == NULL || x->tls->early ||
        http_head_has(&x->req, HTTP_F_EARLY_DATA))
        return false;
    x->early = false; /* so that it happens once, and the origin is not told any more */
    f->prepared = false;
    origin_fetch_cancel(&f->origin);
    if (fetch_prepare(f, &err))
        start(f);
    else
        fetch_give_up(f, &err);
    return true;
}

bool fetch_prepare(struct fetch *f, struct weir_err *err)
{
    struct weir_exchange *x = f->leader;

    if (f->prepared)
        return true;
    if (x == NULL)
        return weir_fail(err, WEIR_E_INTERNAL, "fetch: who asked has left", 0);
    if (prepare(f, x))
        return true;
    *err = x->err;
    return false;
}

void fetch_ask_origin(struct fetch *f)
{
    struct weir_err err = {0};

    if (!fetch_prepare(f, &err)) {
        fetch_give_up(f, &err);
        return;
    }
    start(f);
}

bool fetch_pass(struct weir_exchange *x, void (*wake)(void *arg))
{
    struct cache_key none = {.bytes = WEIR_SPAN_NONE};
    struct fill *fill = fill_new(&none, false, &x->loop->box, &fill_owner, NULL, &x->err);
    struct fetch *f;

    if (fill == NULL)
        return false;
    f = new_fetch(x, fill, true);
    fill_unref(fill);
    if (f == NULL)
        return false;
    fill->owner_arg = f;
    f->req = x->req;
    x->reader = fill_reader_open(fill, &x->loop->box, wake, x);
    if (x->reader == NULL)
        weir_fail(&x->err, WEIR_E_MEMORY, "fetch: reader", 0);
    if (x->reader == NULL || !prepare(f, x)) {
        fetch_finish(f);
        return false;
    }
    start(f);
    fill_reader_state(x->reader); /* arms the wake-up */
    f->leader = x;
    x->fetch = f;
    return true;
}

struct fill *fetch_new_fill(struct weir_exchange *x)
{
    struct fill *fill = fill_new(&x->key, true, &x->loop->box, &fill_owner, NULL, &x->err);

    if (fill != NULL)
        purging_name(x, fill);
    return fill;
}

void fetch_drop_fill(struct fill *f)
{
    fill_unref(f);
}

static bool take_query(struct fetch *f, const struct weir_exchange *x)
{
    f->query = WEIR_SPAN_NONE;
    if (x->keyed.query.ptr == NULL || !f->route->settings->cache.key.no_vary_search)
        return true;
    f->query = weir_arena_dup(&f->arena, x->keyed.query);
    return f->query.ptr != NULL;
}

/* The common part of leading and refreshing; the fill is in the table. behind: x does not wait. */
static struct fetch *start_shared(struct weir_exchange *x, struct fill *fill,
                                  struct stored_response *validating, bool behind)
{
    struct fetch *f = new_fetch(x, fill, false);

    if (f == NULL)
        return NULL;
    fill->owner_arg = f;
    if (validating != NULL)
        f->validating = stored_response_ref(validating);
    f->req = x->req; /* x's own, until it is prepared */
    if (!take_query(f, x)) {
        weir_fail(&x->err, WEIR_E_MEMORY, "fetch: query", 0);
        fetch_finish(f);
        return NULL;
    }
    if (!behind && fetch_shared_begin(f, x, false))
        return f; /* the request is copied and written when it turns out to be needed */
    if (!prepare(f, x)) {
        fetch_finish(f);
        return NULL;
    }
    if (!behind || !fetch_shared_begin(f, x, true))
        start(f);
    return f;
}

bool fetch_lead(struct weir_exchange *x, struct fill *fill, void (*wake)(void *arg))
{
    struct fetch *f;

    x->reader = fill_reader_open(fill, &x->loop->box, wake, x);
    if (x->reader == NULL)
        weir_fail(&x->err, WEIR_E_MEMORY, "fetch: reader", 0);
    f = x->reader != NULL ? start_shared(x, fill, x->validating, false) : NULL;
    if (f == NULL) { /* others may have joined meanwhile: they fail with it */
        inflight_remove(x->w->inflight, fill);
        fill_fail(fill, &x->err);
        fill_unref(fill);
        return false;
    }
    fill_unref(fill);
    fill_reader_state(x->reader);
    f->leader = x;
    x->fetch = f;
    return true;
}

void fetch_refresh(struct weir_exchange *x, struct stored_response *stale)
{
    struct fill *fill, *other;

    /* An origin that fails, or has nothing to store any more, is not asked again by every hit. */
    if (!stored_due(stale, net_now_ms(x->loop), REFRESH_PAUSE_MS))
        return;
    fill = fetch_new_fill(x);
    if (fill == NULL)
        return;
    other = inflight_join(x->w->inflight, fill, &x->req);
    if (other != NULL)
        fill_unref(other);
    else if (start_shared(x, fill, stale, true) == NULL) {
        inflight_remove(x->w->inflight, fill);
        fill_fail(fill, &x->err); /* somebody may have joined meanwhile */
    }
    fill_unref(fill);
    x->err.code = WEIR_OK;
}

/* It goes on without who began it: what it may need of him must be its own. */
static bool may_need_leader(const struct fetch *f)
{
    return !f->pass && !f->prepared &&
           (f->fill->state == FILL_WAITING || f->fill->state == FILL_OPEN);
}

void fetch_leave(struct weir_exchange *x)
{
    struct fetch *f = x->fetch;

    if (f == NULL)
        return;
    x->fetch = NULL;
    if (may_need_leader(f)) {
        struct weir_err err = {0};

        if (!fetch_prepare(f, &err)) { /* by whom, if not by x? */
            fetch_give_up(f, &err);
            return;
        }
    }
    f->leader = NULL;
    if (!f->pass && !f->fill->alone) { /* goes on for the others, and for the store */
        fetch_owed_add(x->owed, &f->debt);
        return;
    }
    origin_fetch_cancel(&f->origin);
    fetch_finish(f);
}

void fetch_cancel_all(struct exchange_worker *w)
{
    struct weir_err err = {.code = WEIR_E_OVERLOAD, .where = "fetch: the node stops"};

    while (w->fetches != NULL) {
        struct fetch *f = w->fetches;

        inflight_remove(w->inflight, f->fill);
        origin_fetch_cancel(&f->origin);
        fill_fail(f->fill, &err);
        fetch_finish(f);
    }
}

/* ---- what the fill says ---- */

static void on_space(void *arg)
{
    struct fetch *f = arg;

    fetch_shared_space(f);
    if (f->lead == NULL || !share_lead_paused(f->lead))
        origin_fetch_resume(&f->origin);
}

static void on_abandoned(void *arg)
{
    struct fetch *f = arg;
    struct weir_err err = {.code = WEIR_E_CLIENT_GONE, .where = "fetch: nobody reads it any more"};

    if (fetch_share_streams(f)) {
        f->abandoned = true;
        return;
    }
    origin_fetch_cancel(&f->origin);
    fill_fail(f->fill, &err);
    fetch_finish(f);
}
