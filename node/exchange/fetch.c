#include "fetch.h"

#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "compressible.h"
#include "content.h"
#include "cookie.h"
#include "inflight.h"
#include "negotiate.h"
#include "origin_state.h"
#include "purging.h"
#include "recoder.h"
#include "request_out.h"
#include "response_in.h"
#include "response_policy.h"
#include "resume.h"
#include "search_key.h"
#include "slice.h"
#include "sticky.h"
#include "storable.h"
#include "stored.h"
#include "tags.h"
#include "tier.h"
#include "trailers.h"
#include "validate.h"
#include "vary.h"

#define TRAILERS_MAX     32
#define REFRESH_PAUSE_MS 1000 /* between refreshes of one stored response */
#define KEPT_MAX         64   /* fetches kept for reuse, per worker */

struct fetch {
    struct exchange_worker *w;
    struct fetch *next, **at; /* all of the worker */
    struct site_worker *site; /* counted */
    struct weir_arena arena;
    struct fill *fill;            /* reference */
    struct weir_exchange *leader; /* NULL once it has left */
    bool pass;
    bool ended;
    const struct route *route;
    struct http_head req; /* a pass borrows the leader's; else a copy in the arena */
    struct weir_hash128 hash;
    struct weir_span query;      /* as keyed, before any rule of No-Vary-Search; ptr NULL: none */
    struct exchange_slice slice; /* what is asked for, if not the whole */
    struct stored_response *validating; /* reference */
    struct tags tags;                   /* of the response, once it is known to be storable */
    struct origin_upstream *upstream;
    const struct site_upstream *site_upstream;
    struct origin_request request;
    struct origin_fetch origin;
    int64_t request_time_s;
    unsigned resumes;            /* times the rest was asked for */
    struct resume_extent extent; /* what is fetched, when the rest is asked for */
    uint64_t rest_end;           /* the byte behind the last of the rest being read */
    struct weir_err broke;       /* why it had to be asked for */
    struct net_deferred wake, gone;
    /* always written before they are read: not cleared when a fetch is used again */
    struct http_head trailers;
    struct vary_spec vary;
};

static const struct origin_events origin_events, rest_events;
static void on_space(void *arg);
static void on_abandoned(void *arg);
static const struct fill_owner fill_owner = {on_space, on_abandoned};

static int64_t now_s(const struct fetch *f)
{
    return f->w->loop->clock.wall_s;
}

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
static void finish(struct fetch *f)
{
    if (f->ended)
        return;
    f->ended = true;
    *f->at = f->next;
    if (f->next != NULL)
        f->next->at = f->at;
    if (f->leader != NULL)
        f->leader->fetch = NULL;
    inflight_remove(f->w->inflight, f->fill);
    fill_detach_owner(f->fill);
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
    f->hash = x->key.hash;
    f->slice = x->slice;
    f->request_time_s = x->loop->clock.wall_s;
    f->next = x->w->fetches;
    f->at = &x->w->fetches;
    if (f->next != NULL)
        f->next->at = &f->next;
    x->w->fetches = f;
    return f;
}

/* ---- sending ---- */

/* Which upstream, and what the balancer should know of this client. */
static void choose_upstream(struct fetch *f, struct weir_exchange *x, struct balance_hint *hint)
{
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

static bool start(struct fetch *f, struct weir_exchange *x)
{
    struct request_out out = {
        .x = x,
        .upstream = NULL,
        .shared = !f->pass,
        .validating = f->validating,
        .route = f->route,
    };
    struct balance_hint hint;

    choose_upstream(f, x, &hint);
    out.upstream = f->upstream->settings;
    f->request.method = x->req.method_id;
    if (f->pass) {
        f->request.body = content_stream(x);
        f->request.upgrade = x->framing.upgrade && f->route->settings->websocket;
        f->request.websocket_key = http_head_value(&x->req, HTTP_F_SEC_WEBSOCKET_KEY);
        out.upgrade = f->request.upgrade;
    }
    f->request.body_chunked = f->request.body != NULL && !x->framing.has_length;
    if (f->route->settings->trailer_count > 0) {
        struct http_field *fields = weir_arena_alloc(&f->arena, TRAILERS_MAX * sizeof *fields);

        if (fields == NULL)
            return weir_fail(&x->err, WEIR_E_MEMORY, "fetch: trailers", 0);
        http_head_init(&f->trailers, fields, TRAILERS_MAX);
        f->request.trailers = &f->trailers;
    }
    if (!request_out_write(&out, &f->arena, &f->request.head, &x->err))
        return false;
    origin_fetch_start(&f->origin, f->upstream, &f->request, &hint, &origin_events, f);
    return true;
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
    if (x->reader == NULL || !start(f, x)) {
        finish(f);
        return false;
    }
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

/* The request, for as long as the fetch needs it: one that is x's alone ends with x, until the
 * answer turns out to be for all, and then nobody looks at the request any more. */
static bool take_request(struct fetch *f, struct weir_exchange *x)
{
    if (!f->fill->alone)
        return http_head_copy(&f->req, &x->req, &f->arena);
    f->req = x->req;
    return true;
}

static bool take_query(struct fetch *f, const struct weir_exchange *x)
{
    f->query = WEIR_SPAN_NONE;
    if (x->keyed.query.ptr == NULL || !f->route->settings->cache.key.no_vary_search)
        return true;
    f->query = weir_arena_dup(&f->arena, x->keyed.query);
    return f->query.ptr != NULL;
}

/* The common part of leading and refreshing; the fill is in the table. */
static struct fetch *start_shared(struct weir_exchange *x, struct fill *fill,
                                  struct stored_response *validating)
{
    struct fetch *f = new_fetch(x, fill, false);

    if (f == NULL)
        return NULL;
    fill->owner_arg = f;
    if (validating != NULL)
        f->validating = stored_response_ref(validating);
    if (!take_request(f, x) || !take_query(f, x)) {
        weir_fail(&x->err, WEIR_E_MEMORY, "fetch: request", 0);
        finish(f);
        return NULL;
    }
    if (!start(f, x)) {
        finish(f);
        return NULL;
    }
    return f;
}

bool fetch_lead(struct weir_exchange *x, struct fill *fill, void (*wake)(void *arg))
{
    struct fetch *f;

    x->reader = fill_reader_open(fill, &x->loop->box, wake, x);
    if (x->reader == NULL)
        weir_fail(&x->err, WEIR_E_MEMORY, "fetch: reader", 0);
    f = x->reader != NULL ? start_shared(x, fill, x->validating) : NULL;
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

/* An origin that fails, or has nothing to store any more, is not asked again by every hit. */
static bool refresh_due(struct stored_response *r, int64_t now_ms)
{
    if (now_ms < atomic_load_explicit(&r->refresh_from_ms, memory_order_relaxed))
        return false;
    atomic_store_explicit(&r->refresh_from_ms, now_ms + REFRESH_PAUSE_MS, memory_order_relaxed);
    return true;
}

void fetch_refresh(struct weir_exchange *x, struct stored_response *stale)
{
    struct fill *fill, *other;

    if (!refresh_due(stale, net_now_ms(x->loop)))
        return;
    fill = fetch_new_fill(x);
    if (fill == NULL)
        return;
    other = inflight_join(x->w->inflight, fill, &x->req);
    if (other != NULL)
        fill_unref(other);
    else if (start_shared(x, fill, stale) == NULL) {
        inflight_remove(x->w->inflight, fill);
        fill_fail(fill, &x->err); /* somebody may have joined meanwhile */
    }
    fill_unref(fill);
    x->err.code = WEIR_OK;
}

void fetch_leave(struct weir_exchange *x)
{
    struct fetch *f = x->fetch;

    if (f == NULL)
        return;
    x->fetch = NULL;
    f->leader = NULL;
    if (!f->pass && !f->fill->alone)
        return; /* goes on for the others, and for the store */
    origin_fetch_cancel(&f->origin);
    finish(f);
}

void fetch_cancel_all(struct exchange_worker *w)
{
    struct weir_err err = {.code = WEIR_E_OVERLOAD, .where = "fetch: the node stops"};

    while (w->fetches != NULL) {
        struct fetch *f = w->fetches;

        inflight_remove(w->inflight, f->fill);
        origin_fetch_cancel(&f->origin);
        fill_fail(f->fill, &err);
        finish(f);
    }
}

/* ---- what the fill says ---- */

static void on_space(void *arg)
{
    struct fetch *f = arg;

    origin_fetch_resume(&f->origin);
}

static void on_abandoned(void *arg)
{
    struct fetch *f = arg;
    struct weir_err err = {.code = WEIR_E_CLIENT_GONE, .where = "fetch: nobody reads it any more"};

    origin_fetch_cancel(&f->origin);
    fill_fail(f->fill, &err);
    finish(f);
}

/* ---- storing ---- */

static void key_draft(const struct fetch *f, struct stored_draft *d)
{
    memset(d, 0, sizeof *d);
    d->hash = f->hash;
    d->key = f->fill->key;
    d->variant = f->fill->variant;
    d->tags = f->tags.text;
    d->purges = f->fill->purges;
    d->purge = &f->fill->purge;
}

/* Was it purged, in any way, since this fetch began? Its tags count once they are known. */
static bool is_purged(struct fetch *f)
{
    int64_t since_s;

    return f->fill->purges != NULL &&
           purge_check(f->fill->purges, &f->fill->purge, &since_s) != PURGE_VALID;
}

/*
 * The tags of a response that may be stored, those in `kept` if it names none itself. From here on
 * nobody joins whom a purge of one of them should keep away. false: no memory.
 */
static bool note_tags(struct fetch *f, const struct http_head *head, struct weir_span kept)
{
    const struct cache_settings *cache = f->site->site->source.cache;
    struct cache_key_parts parts;
    struct tags_question q = {
        .response = head,
        .fields = cache->tag_fields,
        .field_count = cache->tag_field_count,
        .kept = kept,
    };

    if (f->fill->purges == NULL || !cache_key_read(f->fill->key, &parts))
        return true;
    q.scheme = parts.scheme;
    q.authority = parts.authority;
    if (!tags_of(&f->tags, &q, f->fill->purges, &f->arena))
        return false;
    inflight_tags(f->w->inflight, f->fill, f->tags.hashes, f->tags.count);
    return true;
}

/*
 * Nobody shall queue for what cannot be shared. Where the response has a Vary it speaks for its
 * variant alone: the private page of one who is logged in says nothing of what all others get.
 */
static void put_marker(struct fetch *f, const struct http_head *head, const char *why)
{
    char buf[VARY_KEY_INLINE];
    struct stored_draft d;
    struct stored_response *marker;

    key_draft(f, &d);
    d.variant = WEIR_SPAN_NONE; /* whatever the variant */
    d.why = why;
    if (head != NULL) {
        storable_vary(head, &f->route->settings->cache, &f->vary);
        d.variant = vary_key(&f->vary, &f->req, buf, sizeof buf, &f->arena);
    }
    marker =
        stored_marker_new(&d, net_now_ms(f->w->loop) + f->site->site->source.cache->hit_for_miss_ms,
                          NULL);
    if (marker != NULL)
        tier_put(f->w->tier, marker);
    stored_response_unref(marker);
}

/*
 * Stores r, unless it was purged since this fetch began: it may be older than that. (Should a purge
 * come between the question and the answer, look-up will know.) Nobody joins from here on.
 */
static bool keep(struct fetch *f, struct stored_response *r)
{
    bool put = !is_purged(f) && tier_put(f->w->tier, r);

    inflight_remove(f->w->inflight, f->fill);
    return put;
}

/* How the coding of this response's content is dealt with. length: -1 unknown. */
static void judge_coding(const struct fetch *f, const struct http_head *head, int64_t length,
                         struct compressible *out)
{
    const struct route_settings *route = f->route->settings;

    compressible_response(head, length, &route->compression, out);
    if (!route->compression.stream && (f->pass || out->events))
        out->yes = false;
    if (route->cache.esi.enabled) /* templates are read, and stay as they came */
        out->yes = false;
}

/* What is stored coded is small for that reason. */
static bool large_enough(const struct fetch *f, enum coding c, uint64_t len)
{
    return c != CODING_IDENTITY || len >= f->route->settings->compression.min_bytes;
}

/* Its zstd will take the place of what came without coding. */
static void begin_coding(struct fetch *f, struct stored_response *r)
{
    struct recoder_settings levels;

    if (r->forms == NULL || r->sent_coding != CODING_IDENTITY || f->w->recoder == NULL)
        return;
    negotiate_levels(f->site->site, &levels);
    recoder_begin(f->w->recoder, r, CODING_ZSTD, &levels);
}

static void store(struct fetch *f)
{
    const struct fill_head *h = &f->fill->head;
    struct stored_draft d;
    struct stored_response *r;
    struct weir_err err;

    if (!h->storable || !f->fill->retain)
        return;
    key_draft(f, &d);
    d.status = h->status;
    d.head = weir_span(h->bytes->bytes, h->bytes->len);
    d.fields = h->fields;
    d.field_count = h->field_count;
    d.hidden_len = h->hidden_len;
    d.hidden_count = h->hidden_count;
    d.slices = f->fill->parts;
    d.slice_count = f->fill->part_count;
    d.etag = h->etag;
    d.last_modified = h->last_modified;
    d.facts = h->facts;
    d.head_common = h->common;
    d.coding = h->coding;
    d.recodable = h->recodable && large_enough(f, h->coding, f->fill->bytes);
    r = stored_response_new(&d, &err);
    if (r == NULL)
        return; /* the clients have it; the next one asks again */
    if (keep(f, r)) {
        weir_metric_add(f->w->metrics, WEIR_M_cache_stores, 1);
        begin_coding(f, r);
    }
    stored_response_unref(r);
}

/* ---- validation ---- */

static void judge_for(struct fetch *f, const struct http_head *request,
                      const struct http_head *head, struct response_policy *policy)
{
    const struct response_question q = {
        .request = request,
        .response = head,
        .site = f->site->site,
        .route = &f->route->settings->cache,
        .request_time_s = f->request_time_s,
        .response_time_s = now_s(f),
        .part = f->slice.size > 0,
    };

    response_policy_of(policy, &q, &f->arena);
}

static void judge(struct fetch *f, const struct http_head *head, struct response_policy *policy)
{
    judge_for(f, &f->req, head, policy);
}

/* The head of a stored GET response as it will be: a HEAD may have asked for it. */
static void judge_as_get(struct fetch *f, const struct http_head *head,
                         struct response_policy *policy)
{
    struct http_head get = f->req;

    get.method_id = HTTP_M_GET;
    judge_for(f, &get, head, policy);
}

/* What is for the client alone whose request this is does not go where others take it from. */
static bool give_own(struct fetch *f, const struct http_head *head,
                     const struct response_policy *policy, struct weir_err *err)
{
    return f->leader == NULL || response_in_own(&f->leader->own, head, policy, &f->leader->arena) ||
           weir_fail(err, WEIR_E_MEMORY, "fetch: fields of one client", 0);
}

static bool read_search(struct fetch *f, const struct http_head *head, struct search_key *k);

/* A 304 may bring another No-Vary-Search: then what it freshens lies under the wrong key. */
static bool keeps_key(struct fetch *f, const struct http_head *merged)
{
    struct search_key search;
    bool keeps = read_search(f, merged, &search) && !search.moved;

    search_key_release(&search);
    return keeps;
}

/* any_client: its coding suits everyone. Then Accept-Encoding selects nothing where every request
 * went out with the same. */
static void read_vary(struct fetch *f, const struct http_head *head, bool any_client)
{
    storable_vary(head, &f->route->settings->cache, &f->vary);
    if (any_client && request_out_asks_identity(f->route->settings))
        vary_forget_accept_encoding(&f->vary);
}

/* The variant that a 304 makes of what it freshens: it may bring another Vary. */
static struct weir_span freshened_variant(struct fetch *f, const struct http_head *not_modified,
                                          const struct http_head *merged,
                                          const struct stored_response *old)
{
    struct weir_span variant = WEIR_SPAN_NONE;

    if (http_head_has(not_modified, HTTP_F_VARY)) {
        read_vary(f, merged, old->sent_coding == CODING_IDENTITY || old->forms != NULL);
        variant = vary_key(&f->vary, &f->req, NULL, 0, &f->arena);
    }
    return variant.ptr != NULL ? variant : old->variant;
}

/* What a 304 has made of what we hold. */
enum freshened {
    FRESHENED_FOR_ALL, /* it is stored under its new head */
    FRESHENED_FOR_ONE, /* it stays as it was: the client's no-store or Authorization forbids more */
    FRESHENED_OUTDATED, /* it has become private or the like: for who asked, not for others */
};

static enum freshened outcome(const struct response_policy *policy, bool keeps_key)
{
    if (!keeps_key || storable_marks_key(policy->verdict))
        return FRESHENED_OUTDATED;
    return policy->verdict == STORABLE_YES ? FRESHENED_FOR_ALL : FRESHENED_FOR_ONE;
}

/* The new head over the content as it is now: meanwhile it may have been coded. */
static struct stored_response *
over_content(const struct fetch *f, const struct stored_response *old, const struct stored_draft *d)
{
    struct stored_response *holder = old->forms != NULL ? tier_holder(f->w->tier, old) : NULL;
    struct stored_response *r = stored_response_freshened(holder != NULL ? holder : old, d, NULL);

    stored_response_unref(holder);
    return r;
}

/*
 * The stored response, seen as `view`, under its new head (RFC 9111 4.3.4); NULL without memory.
 * *is: what becomes of the old one.
 */
static struct stored_response *freshen(struct fetch *f, const struct http_head *not_modified,
                                       struct stored_response *old, const struct http_head *view,
                                       enum freshened *is)
{
    struct response_policy policy;
    struct http_head merged;
    struct compressible coding;
    struct fill_head h;
    struct stored_draft d;
    struct stored_response *r = NULL;
    struct weir_err err;

    if (!validate_merge(&merged, view, not_modified, &f->arena) ||
        !note_tags(f, &merged, old->tags))
        return NULL;
    judge_as_get(f, &merged, &policy);
    judge_coding(f, &merged, (int64_t)old->sent_len, &coding);
    if (!give_own(f, &merged, &policy, &err) ||
        !response_in_build(&h, &merged, NULL, f->site->site, &policy, &coding, now_s(f), &err))
        return NULL;
    *is = outcome(&policy, keeps_key(f, &merged));
    key_draft(f, &d);
    d.variant = freshened_variant(f, not_modified, &merged, old);
    d.status = old->status;
    d.head = weir_span(h.bytes->bytes, h.bytes->len);
    d.fields = h.fields;
    d.field_count = h.field_count;
    d.hidden_len = h.hidden_len;
    d.hidden_count = h.hidden_count;
    d.etag = h.etag;
    d.last_modified = h.last_modified;
    d.facts = h.facts;
    d.head_common = h.common;
    d.recodable = h.recodable;
    r = over_content(f, old, &d);
    response_in_clear(&h);
    return r;
}

/* What came is of no use to anybody: who waits gets the error. */
static void give_up(struct fetch *f, const struct weir_err *err)
{
    inflight_remove(f->w->inflight, f->fill);
    origin_fetch_cancel(&f->origin);
    fill_fail(f->fill, err);
    finish(f);
}

/* The 304 speaks of something that we do not hold, so what we hold is of no use (RFC 9111 4.3.4):
 * everyone who waits looks again, and finds nothing to make a condition from. */
static void ask_without_condition(struct fetch *f)
{
    tier_drop(f->w->tier, f->validating);
    inflight_remove(f->w->inflight, f->fill);
    origin_fetch_cancel(&f->origin);
    f->fill->outdated = true;
    fill_disband(f->fill, NULL);
    finish(f);
}

/* A 304 for what we hold, or what says as much: everyone who waits is answered from it. */
static void on_not_modified(struct fetch *f, const struct http_head *head)
{
    struct stored_response *old = f->validating, *r = NULL;
    struct http_head view;
    enum freshened is = FRESHENED_FOR_ONE;
    bool stored = false;
    struct weir_err err = {0};

    if (response_in_view(&view, old->fields, old->field_count + old->hidden_count, old->status,
                         &f->arena)) {
        if (!validate_names(head, &view)) {
            ask_without_condition(f);
            return;
        }
        r = freshen(f, head, old, &view, &is);
    }
    if (r == NULL) {
        weir_fail(&err, WEIR_E_MEMORY, "fetch: freshen", 0);
        give_up(f, &err);
        return;
    }
    if (is == FRESHENED_FOR_ALL) {
        stored = keep(f, r);
        if (stored && !weir_span_eq(r->variant, old->variant))
            tier_drop(f->w->tier, old); /* it would go on answering whom the new Vary excludes */
    } else {
        inflight_remove(f->w->inflight, f->fill);
        if (is == FRESHENED_OUTDATED)
            tier_drop(f->w->tier, old);
        fill_disband(f->fill, f->leader != NULL ? f->leader->reader : NULL);
    }
    weir_metric_add(f->w->metrics, WEIR_M_cache_validated, 1);
    fill_answer(f->fill, r, true, stored, head->status, NULL);
    stored_response_unref(r);
}

/* The origin cannot answer, but what we hold may still serve (RFC 5861 4). */
static bool answer_stale(struct fetch *f, int status, const char *why)
{
    struct reuse_facts reuse;

    if (f->validating == NULL || !purging_reuse(f->w, f->validating, &reuse) ||
        !reuse_on_error(&reuse, now_s(f)))
        return false;
    inflight_remove(f->w->inflight, f->fill);
    fill_answer(f->fill, f->validating, false, false, status, why);
    return true;
}

/* ---- the response ---- */

static void on_interim(void *arg, const struct http_head *head)
{
    struct fetch *f = arg;

    if (f->leader != NULL)
        f->leader->client->interim(f->leader, head);
}

static void note_origin(struct fetch *f, const struct http_head *head)
{
    struct weir_exchange *x = f->leader;

    if (x == NULL)
        return;
    x->origin_status = head->status;
    x->origin_url = f->upstream->settings->origins[f->origin.index].url;
}

/*
 * A HEAD that was to validate, and was answered 200: does it validate all the same (RFC 9111
 * 4.3.5)? If it tells that what we hold is another thing, that is no longer fresh.
 */
static bool head_validates(struct fetch *f, const struct http_head *head)
{
    struct stored_response *old = f->validating;
    struct http_head view;

    if (f->request.method != HTTP_M_HEAD || head->status != 200 || old->status != 200 ||
        !response_in_view(&view, old->fields, old->field_count, old->status, &f->arena))
        return false;
    switch (validate_head(head, &view, old->sent_len)) {
    case VALIDATE_HEAD_SAME:
        return true;
    case VALIDATE_HEAD_DIFFERS:
        if (reuse_check(&old->facts.reuse, NULL, now_s(f)).verdict == REUSE_FRESH)
            tier_drop(f->w->tier, old); /* only the client wanted the origin asked */
        return false;
    case VALIDATE_HEAD_SILENT:
        break;
    }
    return false;
}

/* Tells the table which variant this is; false: it cannot be shared. */
static bool settle_variant(struct fetch *f, const struct http_head *head, const struct fill_head *h)
{
    char buf[VARY_KEY_INLINE];
    struct weir_span variant;

    read_vary(f, head, h->coding == CODING_IDENTITY || h->recodable);
    variant = vary_key(&f->vary, &f->req, buf, sizeof buf, &f->arena);
    return variant.ptr != NULL && inflight_variant(f->w->inflight, f->fill, &f->vary, variant);
}

/* What the response says of its query: the rule, and whether the fill stands under the right key.
 */
static bool read_search(struct fetch *f, const struct http_head *head, struct search_key *k)
{
    return search_key_of(k, head, f->route->settings->cache.key.no_vary_search, f->fill->key,
                         f->query, f->w->secret, &f->arena);
}

/* Puts the fill under the key that is right for the response; false: it is for its leader alone. */
static bool settle_key(struct fetch *f, const struct search_key *k)
{
    if (!k->moved)
        return true;
    if (!inflight_move(f->w->inflight, f->fill, &k->key, f->query,
                       purging_url(f->fill, k->key.bytes)))
        return false;
    f->hash = f->fill->hash;
    if (f->validating != NULL) /* it answers no more, but would be found first */
        tier_drop(f->w->tier, f->validating);
    return true;
}

/* Not where there is one already, and not for a passing failure: it would hide what we hold from
 * the next validation. */
static bool leaves_marker(const struct fetch *f, const struct http_head *head)
{
    return !f->fill->alone && !(f->validating != NULL && head->status >= 500);
}

/* A slice was asked for and this is something else: the whole, an error, another part. */
static bool not_the_slice(const struct fetch *f, const struct fill_head *h)
{
    struct slice_facts facts;

    return f->slice.size > 0 &&
           (!slice_read(h->fields, h->field_count, h->status, &f->slice, &facts) ||
            h->length != (int64_t)http_range_length(&facts.range));
}

/* Decides whether the response is for all or for the leader alone. */
static void judge_sharing(struct fetch *f, const struct http_head *head, struct fill_head *h,
                          enum storable_verdict v)
{
    uint64_t max = f->site->site->source.cache->object_max_bytes;
    bool too_large = h->length > 0 && (uint64_t)h->length > max;
    bool purged = is_purged(f); /* under the key it has, or below, by its tags */
    struct search_key search = {.moved = false};
    bool settled = read_search(f, head, &search) && settle_key(f, &search);
    bool odd = not_the_slice(f, h);

    h->detail = too_large ? "too-large" : v == STORABLE_YES ? NULL : storable_text(v);
    h->storable = v == STORABLE_YES && !too_large && !odd && settled &&
                  note_tags(f, head, WEIR_SPAN_NONE) && settle_variant(f, head, h);
    if (h->storable && (purged || is_purged(f))) { /* some who joined came after that */
        h->storable = false;
        h->detail = "purged";
        f->fill->outdated = true; /* read once it is disbanded */
    }
    if (h->storable)
        search_key_learn(f->w->search_rules, &search, f->fill->key, f->w->secret);
    search_key_release(&search);
    if (h->storable)
        return;
    if (settled && !odd && (storable_marks_key(v) || too_large) && leaves_marker(f, head))
        put_marker(f, too_large ? NULL : head, h->detail);
    inflight_remove(f->w->inflight, f->fill);
    fill_disband(f->fill, f->leader != NULL ? f->leader->reader : NULL);
}

/* At the end of the turn: the head came alone. */
static void wake_readers(struct net_deferred *d)
{
    struct fetch *f = WEIR_CONTAINER(d, struct fetch, wake);

    if (!f->ended)
        fill_wake(f->fill);
}

static void on_head(void *arg, const struct http_head *head, const struct http_framing *framing)
{
    struct fetch *f = arg;
    struct response_policy policy;
    struct compressible coding;
    struct fill_head h;
    struct weir_err err = {0};

    note_origin(f, head);
    if (f->leader != NULL)
        purging_by(f->leader, head);
    if (f->validating != NULL && (head->status == 304 || head_validates(f, head))) {
        on_not_modified(f, head);
        return;
    }
    if (reuse_status_is_error(head->status) && answer_stale(f, head->status, "stale-if-error")) {
        origin_fetch_cancel(&f->origin);
        finish(f);
        return;
    }
    if (!f->pass)
        judge(f, head, &policy);
    judge_coding(f, head, framing->has_length ? (int64_t)framing->length : -1, &coding);
    if ((!f->pass && !give_own(f, head, &policy, &err)) ||
        !response_in_build(&h, head, framing, f->site->site, f->pass ? NULL : &policy, &coding,
                           now_s(f), &err)) {
        give_up(f, &err);
        return;
    }
    if (!f->pass)
        judge_sharing(f, head, &h, policy.verdict);
    if (!f->pass && !h.storable && f->leader == NULL) {
        response_in_clear(&h); /* for nobody */
        origin_fetch_cancel(&f->origin);
        finish(f);
        return;
    }
    if (f->leader != NULL && !h.storable && f->site_upstream->sticky != NULL &&
        f->origin.sticky_moved)
        f->leader->sticky_set = f->origin.index; /* never on what others may get from the store */
    /* Content that came with the head goes out with it, in one send. */
    fill_open(f->fill, &h, true);
    net_defer(f->w->loop, &f->wake, wake_readers);
}

/* The body has outgrown what may be stored: it goes on as a stream, for those who read it already.
 */
static void give_up_storing(struct fetch *f)
{
    put_marker(f, NULL, "too-large");
    inflight_remove(f->w->inflight, f->fill);
    fill_stop_retaining(f->fill);
}

static bool on_data(void *arg, struct weir_slice s, bool last)
{
    struct fetch *f = arg;
    bool go_on = true;

    if (last)
        fill_append_last(f->fill, s);
    else
        go_on = fill_append(f->fill, s);
    if (!f->ended && f->fill->retain &&
        f->fill->bytes > f->site->site->source.cache->object_max_bytes)
        give_up_storing(f);
    return go_on;
}

static void on_end(void *arg)
{
    struct fetch *f = arg;

    if (f->ended)
        return;
    if (f->fill->state == FILL_OPEN) {
        struct weir_blob *trailers = NULL;

        if (f->request.trailers != NULL)
            trailers = trailers_filter(&f->trailers, f->route->settings->trailers,
                                       f->route->settings->trailer_count, false);
        store(f);
        /* From here on the stored response answers, by its own freshness; nobody joins what is
         * over. */
        inflight_remove(f->w->inflight, f->fill);
        fill_finish(f->fill, trailers);
    }
    finish(f);
}

/* ---- the rest of what broke off ---- */

/* Which byte of the whole comes next. */
static uint64_t next_byte(const struct fetch *f)
{
    return f->extent.range.first + f->fill->bytes;
}

/* False: it is not asked for. */
static bool ask_for_rest(struct fetch *f, const struct weir_err *err)
{
    const struct fill *fill = f->fill;
    struct weir_span head;

    if (fill->state != FILL_OPEN || !resume_cause(err->code) || f->request.method != HTTP_M_GET ||
        f->request.body != NULL || f->resumes >= f->upstream->settings->retries ||
        !resume_possible(&fill->head, &f->slice, &f->extent) ||
        fill->bytes >= (uint64_t)fill->head.length)
        return false;
    head = resume_request(f->request.head, &fill->head, &f->extent, next_byte(f), &f->arena);
    if (head.ptr == NULL || !retry_budget_take(&f->upstream->budget, f->w->loop->clock.mono_us))
        return false;
    f->resumes++;
    f->broke = *err;
    f->request.head = head;
    weir_metric_add(f->w->metrics, WEIR_M_origin_resumes, 1);
    weir_log(WEIR_LOG_INFO, "upstream %s: a response broke off after %llu of %lld bytes, resuming",
             f->upstream->settings->name, (unsigned long long)fill->bytes,
             (long long)fill->head.length);
    origin_fetch_start(&f->origin, f->upstream, &f->request, &BALANCE_HINT_NONE, &rest_events, f);
    return true;
}

/* What came for the rest is not it: the body ends where it broke off. */
static void give_up_rest(struct fetch *f)
{
    struct weir_err err = f->broke;

    give_up(f, &err);
}

static void on_rest_head(void *arg, const struct http_head *head,
                         const struct http_framing *framing)
{
    struct fetch *f = arg;

    if (!resume_fits(&f->fill->head, &f->extent, next_byte(f), head, framing, &f->rest_end))
        give_up_rest(f);
}

static bool on_rest_data(void *arg, struct weir_slice s, bool last)
{
    struct fetch *f = arg;
    uint64_t at = next_byte(f) + s.len;

    if (at > f->rest_end) { /* more than its Content-Range says */
        weir_blob_unref(s.blob);
        give_up_rest(f);
        return true;
    }
    return on_data(f, s, last && at == f->extent.range.last + 1);
}

/* The origin may have given less than was asked for: then there is a further rest. */
static void on_rest_end(void *arg)
{
    struct fetch *f = arg;
    bool whole = f->fill->bytes == (uint64_t)f->fill->head.length;

    if (whole || f->fill->state != FILL_OPEN)
        on_end(f);
    else if (!ask_for_rest(f, &f->broke))
        give_up_rest(f);
}

/*
 * What must not be used stale was to be validated, and nobody could be asked: that is 504
 * rather than 502 (RFC 9111 5.2.2.2). What happened to us (memory, overload) stays what it is.
 */
static struct weir_err not_validated(const struct fetch *f, const struct weir_err *err)
{
    struct weir_err e = *err;

    if (f->fill->state == FILL_WAITING && f->validating != NULL &&
        f->validating->facts.reuse.never_stale && weir_code_status(err->code) == 502)
        e.code = WEIR_E_NOT_VALIDATED;
    return e;
}

static void on_fail(void *arg, const struct weir_err *err)
{
    struct fetch *f = arg;
    struct weir_err answer = not_validated(f, err);

    if (ask_for_rest(f, err))
        return;
    if (weir_log_enabled(WEIR_LOG_INFO) && err->code != WEIR_E_CLIENT_GONE)
        weir_log_err(WEIR_LOG_INFO, f->upstream->settings->name,
                     err); /* readers may end f, and its site */
    if (f->fill->state != FILL_WAITING || !answer_stale(f, 0, "stale-if-error")) {
        inflight_remove(f->w->inflight, f->fill); /* first: nobody shall join what has failed */
        fill_fail(f->fill, &answer);
    }
    finish(f);
}

static void on_upgraded(void *arg, int fd, const struct http_head *head, struct weir_span surplus)
{
    struct fetch *f = arg;
    struct weir_exchange *x =
        f->leader; /* only passes ask for it, and they end with their leader */

    note_origin(f, head);
    finish(f);
    x->client->upgraded(x, fd, head, surplus);
}

static const struct origin_events origin_events = {on_interim, on_head, on_data,
                                                   on_end,     on_fail, on_upgraded};
static const struct origin_events rest_events = {on_interim,  on_rest_head, on_rest_data,
                                                 on_rest_end, on_fail,      NULL};
