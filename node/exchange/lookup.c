#include "lookup.h"

#include <string.h>

#include "weir/container.h"

#include "compose.h"
#include "content.h"
#include "deliver.h"
#include "deliver_range.h"
#include "fetch.h"
#include "http_cache_control.h"
#include "inflight.h"
#include "keyed.h"
#include "negotiate.h"
#include "purging.h"
#include "reuse.h"
#include "sliced.h"
#include "search_key.h"
#include "storable.h"
#include "stored.h"
#include "tier.h"
#include "validate.h"
#include "vary.h"

/*
 *                    .-> hit ------------------------------------> REPLY
 *   run -> tier -----+-> stale, to be validated --.
 *                    '-> nothing ------------------+-> join or lead a fill -> WAIT -> woken:
 *                    .-> marker, not cacheable ------> pass (own fetch) ----> WAIT      head known:
 * REPLY not for us: run again, or pass
 */

#define DISPATCHES_MAX  4 /* then this request asks for itself */
#define MARKER_TRIES    4
#define MARKER_PAUSE_MS 1000

static void on_wake(void *arg);
static enum exchange_verdict settle(struct weir_exchange *x, bool late);
struct wanted;
static struct stored_response *find(struct weir_exchange *x, struct wanted *wanted,
                                    unsigned *variants);
static enum exchange_verdict use_stored(struct weir_exchange *x, struct stored_response *r,
                                        const struct reuse_facts *facts,
                                        const struct http_cache_control *request_cc);

struct wanted {
    struct weir_exchange *x;
    int64_t now_ms;
};

static bool serves(const struct stored_response *r, void *arg)
{
    const struct wanted *w = arg;

    if (r->kind == STORED_MARKER && w->now_ms >= r->marker_until_ms)
        return false; /* there may be something older behind it */
    if (r->variant.len > 0 && !vary_matches(r->variant, &w->x->req))
        return false;
    negotiate_look(w->x, r); /* here, under the lock that is held anyway */
    return true;
}

static int64_t now_s(const struct weir_exchange *x)
{
    return x->loop->clock.wall_s;
}

/* What the client asks of caches, where the route lets that count; else NULL. */
static const struct http_cache_control *client_directives(const struct weir_exchange *x,
                                                          struct http_cache_control *cc)
{
    enum cache_client_directives which = x->route->settings->cache.client_directives;

    if (which == CLIENT_DIRECTIVES_NONE ||
        (!http_head_has(&x->req, HTTP_F_CACHE_CONTROL) && !http_head_has(&x->req, HTTP_F_PRAGMA)))
        return NULL;
    http_cache_control_request(&x->req, cc);
    if (which == CLIENT_DIRECTIVES_SPARING) { /* what would have the origin asked does not count */
        cc->no_cache = false;
        cc->max_age = cc->min_fresh = HTTP_CC_ABSENT;
    }
    return cc;
}

/* ---- asking for oneself ---- */

/* Under which reason a pass is counted. */
static enum weir_metric pass_reason(enum cache_fwd fwd, const char *detail)
{
    if (fwd == FWD_BYPASS)
        return WEIR_M_cache_pass_bypass;
    if (fwd == FWD_METHOD)
        return WEIR_M_cache_pass_method;
    if (detail != NULL && strcmp(detail, "hit-for-miss") == 0)
        return WEIR_M_cache_pass_hit_for_miss;
    if (detail != NULL && strcmp(detail, "collapse-timeout") == 0)
        return WEIR_M_cache_pass_collapse_timeout;
    return WEIR_M_cache_pass_miss;
}

static void count_pass(struct weir_exchange *x, enum cache_fwd fwd, const char *detail)
{
    weir_metric_add(x->w->metrics, WEIR_M_cache_passes, 1);
    weir_metric_add(x->w->metrics, pass_reason(fwd, detail), 1);
}

static enum exchange_verdict start_pass(struct weir_exchange *x, enum cache_fwd fwd,
                                        const char *detail)
{
    x->pass = true;
    x->fwd = fwd;
    x->cache_detail = detail;
    x->collapsed = false;
    count_pass(x, fwd, detail);
    if (!exchange_hold(x) || !fetch_pass(x, on_wake))
        return EXCHANGE_FAIL;
    return EXCHANGE_WAIT;
}

/* ---- sharing a fetch ---- */

static void on_collapse_timeout(struct net_timer *t)
{
    struct weir_exchange *x = WEIR_CONTAINER(t, struct weir_exchange, collapse_timer);

    /* Whoever leads is slow or dead: its followers do not wait with it. */
    fill_reader_close(x->reader);
    x->reader = NULL;
    if (start_pass(x, x->fwd, "collapse-timeout") == EXCHANGE_FAIL)
        exchange_resume(x, EXCHANGE_FAIL);
}

static bool follow(struct weir_exchange *x, struct fill *fill)
{
    x->collapsed = true;
    weir_metric_add(x->w->metrics, WEIR_M_cache_collapsed, 1);
    x->reader = fill_reader_open(fill, &x->loop->box, on_wake, x);
    fill_unref(fill);
    if (x->reader == NULL)
        return weir_fail(&x->err, WEIR_E_MEMORY, "lookup: follow", 0);
    x->collapse_timer.fire = on_collapse_timeout;
    net_timer_start(x->loop, &x->collapse_timer,
                    net_now_ms(x->loop) + x->site->site->source.cache->collapse_timeout_ms);
    return true;
}

/*
 * A fetch may have come to its end, and been stored, between our look into the cache and our place
 * in the table: then there is nothing left to fetch. Whoever joined us already gets it too.
 */
static bool came_meanwhile(struct weir_exchange *x, struct fill *fresh,
                           enum exchange_verdict *verdict)
{
    struct wanted wanted = {x, net_now_ms(x->loop)};
    struct http_cache_control cc;
    const struct http_cache_control *request_cc = client_directives(x, &cc);
    struct stored_response *r = find(x, &wanted, NULL);
    struct reuse_facts facts;

    if (r == NULL || r->kind == STORED_MARKER || r == x->validating ||
        !purging_reuse(x->w, r, &facts) ||
        reuse_check(&facts, request_cc, now_s(x)).verdict != REUSE_FRESH) {
        stored_response_unref(r);
        return false;
    }
    inflight_remove(x->w->inflight, fresh);
    fill_answer(fresh, r, true, false, 0, NULL);
    fetch_drop_fill(fresh);
    *verdict = use_stored(x, r, &facts, request_cc);
    return true;
}

static enum exchange_verdict join_or_lead(struct weir_exchange *x)
{
    enum exchange_verdict verdict;
    struct fill *fresh, *other;

    if (!exchange_hold(x))
        return EXCHANGE_FAIL;
    fresh = fetch_new_fill(x);
    if (fresh == NULL)
        return EXCHANGE_FAIL;
    other = inflight_join(x->w->inflight, fresh, &x->req);
    if (other == NULL && came_meanwhile(x, fresh, &verdict))
        return verdict;
    if (other == NULL)
        return fetch_lead(x, fresh, on_wake) ? EXCHANGE_WAIT : EXCHANGE_FAIL;
    fetch_drop_fill(fresh);
    return follow(x, other) ? settle(x, true) : EXCHANGE_FAIL;
}

/* An answer for a marked key may be one to store after all: the first few are looked at, then one a
 * second, for looking costs the others as much as a quarter of their pass. */
static bool worth_a_look(struct stored_response *marker, int64_t now_ms)
{
    if (atomic_load_explicit(&marker->marker_tries, memory_order_relaxed) < MARKER_TRIES) {
        atomic_fetch_add_explicit(&marker->marker_tries, 1, memory_order_relaxed);
        return true;
    }
    return stored_due(marker, now_ms, MARKER_PAUSE_MS);
}

/*
 * The key is marked: the last answer could not be shared, so nobody waits for this one. If it can
 * be, and we look, it is stored. A condition or a range is the client's own matter with the origin
 * then: it passes.
 */
static enum exchange_verdict ask_alone(struct weir_exchange *x, bool look)
{
    struct fill *fill;

    x->fwd = FWD_URI_MISS;
    if (!look || x->req.method_id == HTTP_M_HEAD || http_head_has(&x->req, HTTP_F_RANGE) ||
        validate_is_conditional(&x->req))
        return start_pass(x, FWD_URI_MISS, "hit-for-miss");
    x->cache_detail = "hit-for-miss";
    count_pass(x, x->fwd, x->cache_detail);
    fill = exchange_hold(x) ? fetch_new_fill(x) : NULL;
    if (fill == NULL)
        return EXCHANGE_FAIL;
    inflight_alone(fill);
    return fetch_lead(x, fill, on_wake) ? EXCHANGE_WAIT : EXCHANGE_FAIL;
}

/* ---- woken by the fill ---- */

/* The fetch was not for this request: look again, or after some rounds go alone. */
static enum exchange_verdict ask_again(struct weir_exchange *x, const char *alone)
{
    fill_reader_close(x->reader);
    x->reader = NULL;
    x->own = NULL;
    x->collapsed = false;
    stored_response_unref(
        x->validating); /* may be why: looking again finds it if it still counts */
    x->validating = NULL;
    if (alone == NULL && ++x->dispatches < DISPATCHES_MAX)
        return lookup_run(x);
    return start_pass(x, x->fwd, alone);
}

/* What another node has stored is a hit, though it was not found in our memory. */
static void note_farm(struct weir_exchange *x, const struct fill *f)
{
    if (!f->from_farm)
        return;
    x->hit = true;
    x->cache_detail = "shared";
    weir_metric_add(x->w->metrics, WEIR_M_shared_hits, 1);
}

static enum exchange_verdict use_answer(struct weir_exchange *x, struct fill *f)
{
    /* While it was under way nobody knew which variant would answer. */
    if (x->collapsed &&
        (!weir_span_eq(f->answer->key, x->key.bytes) || /* found by the leader's whole query */
         (f->answer->variant.len > 0 && !vary_matches(f->answer->variant, &x->req)) ||
         (f->answer_fresh && purging_is_purged(x->w, f->answer))))
        return ask_again(x, NULL);
    stored_response_unref(x->stored);
    x->stored = stored_response_ref(f->answer);
    x->origin_status = f->answer_fwd_status;
    x->cache_detail = f->answer_detail;
    note_farm(x, f);
    x->age = reuse_age(&x->stored->facts.reuse, now_s(x));
    x->ttl = x->stored->facts.reuse.lifetime - x->age;
    x->looked = NULL; /* another may lie where that one was */
    return negotiate_stored(x, f->answer_stored);
}

/*
 * The whole was asked for where the client wants a part; it cannot be kept, and is too large, or of
 * unknown length: it is not worth reading for the part alone.
 */
static bool asks_for_part_of_much(const struct weir_exchange *x, const struct fill_head *h)
{
    uint64_t max = x->site->site->source.cache->object_max_bytes;

    return range_asked(&x->req) && !x->pass && h->status == 200 && !h->storable &&
           (h->length < 0 || (uint64_t)h->length > max) &&
           range_permitted(h->fields, h->field_count);
}

/* Gives the whole up; the part is asked for as the client asked. */
static enum exchange_verdict ask_for_part(struct weir_exchange *x, const struct fill_head *h)
{
    const char *why = h->detail != NULL ? h->detail : "hit-for-miss";

    fetch_leave(x); /* it ends with its last reader */
    return ask_again(x, why);
}

/*
 * A response that had come before this request did must be fresh, as if it were stored already.
 * Who waited for it has had it validated, whatever its lifetime (RFC 9111 4).
 */
static bool usable_late(const struct weir_exchange *x, const struct fill *f)
{
    struct http_cache_control cc;
    struct reuse reuse = reuse_check(&f->head.facts.reuse, client_directives(x, &cc), now_s(x));

    return reuse.verdict == REUSE_FRESH || reuse.verdict == REUSE_STALE;
}

static enum exchange_verdict use_stream(struct weir_exchange *x, struct fill *f, bool late)
{
    if (late && !usable_late(x, f))
        return ask_again(x, "stale");
    if (x->collapsed && (!search_key_serves(x, f) ||
                         (f->variant.ptr != NULL && !vary_matches(f->variant, &x->req))))
        return ask_again(x, NULL);
    if (asks_for_part_of_much(x, &f->head))
        return ask_for_part(x, &f->head);
    note_farm(x, f);
    return deliver_fill(x) ? EXCHANGE_REPLY : EXCHANGE_FAIL;
}

/* What the fill has come to means for this request; WAIT: nothing yet. late: it had come to that
 * before this request joined. */
static enum exchange_verdict settle(struct weir_exchange *x, bool late)
{
    struct fill *f = x->reader->fill;
    enum fill_state state = fill_reader_state(x->reader);

    if (state == FILL_WAITING)
        return EXCHANGE_WAIT;
    net_timer_stop(x->loop, &x->collapse_timer);
    switch (state) {
    case FILL_DISBANDED:
        return ask_again(x, f->outdated ? NULL : "hit-for-miss");
    case FILL_ANSWERED:
        return use_answer(x, f);
    case FILL_FAILED:
        if (f->head.bytes == NULL) {
            x->err = f->err;
            return EXCHANGE_FAIL;
        }
        return use_stream(x, f, late); /* the head is there, the body will break off */
    default:
        return use_stream(x, f, late);
    }
}

static void on_wake(void *arg)
{
    struct weir_exchange *x = arg;
    enum exchange_verdict v;

    if (x->responded) { /* the body grows */
        x->client->more(x);
        return;
    }
    if (x->form_wait != NULL) /* the answer is known, and being coded */
        return;
    if (x->compose != NULL) { /* it is known, but the head waits for a fragment */
        compose_wake(x);
        return;
    }
    v = settle(x, false);
    if (v != EXCHANGE_WAIT)
        exchange_resume(x, v);
}

/* ---- the stage ---- */

static enum exchange_verdict use_stored(struct weir_exchange *x, struct stored_response *r,
                                        const struct reuse_facts *facts,
                                        const struct http_cache_control *request_cc)
{
    struct reuse reuse = reuse_check(facts, request_cc, now_s(x));

    x->age = reuse.age;
    x->ttl = reuse.ttl;
    switch (reuse.verdict) {
    case REUSE_GATEWAY_TIMEOUT:
        stored_response_unref(r);
        weir_fail(&x->err, WEIR_E_ONLY_IF_CACHED, "lookup", 0);
        return EXCHANGE_FAIL;
    case REUSE_VALIDATE:
        x->fwd = reuse.fwd;
        stored_response_unref(x->validating);
        x->validating = r;
        return join_or_lead(x);
    case REUSE_STALE_WHILE_REVALIDATE:
        weir_metric_add(x->w->metrics, WEIR_M_cache_stale_hits, 1);
        fetch_refresh(x, r);
        break;
    case REUSE_STALE:
        weir_metric_add(x->w->metrics, WEIR_M_cache_stale_hits, 1);
        break;
    case REUSE_FRESH:
        if (reuse.age >= r->facts.reuse.refresh_age)
            fetch_refresh(x, r);
        weir_metric_add(x->w->metrics, WEIR_M_cache_hits, 1);
        break;
    }
    x->hit = true;
    x->stored = r;
    return negotiate_stored(x, false);
}

/* Under a key that a No-Vary-Search rule made, or else under that of the whole query, where lies
 * what came without a rule. */
static struct stored_response *find(struct weir_exchange *x, struct wanted *wanted,
                                    unsigned *variants)
{
    struct stored_response *r =
        tier_find(x->w->tier, x->key.hash, x->key.bytes, serves, wanted, variants);
    struct cache_key exact;

    if (r != NULL || !cache_key_has_search(x->key.bytes) || !search_key_exact(x, &exact))
        return r;
    r = tier_find(x->w->tier, exact.hash, exact.bytes, serves, wanted, NULL);
    if (r != NULL)
        x->key = exact;
    return r;
}

/* Why the cache may not even be asked, or NULL. */
static const char *bypass(const struct weir_exchange *x, enum cache_fwd *fwd)
{
    enum storable_verdict v;

    *fwd = FWD_BYPASS;
    if (x->w->tier == NULL)
        return "off";
    v = storable_request(&x->req, content_unkeyed(x), &x->route->settings->cache);
    if (v == STORABLE_NO_METHOD)
        *fwd = FWD_METHOD;
    /* An upgrade is a GET that never yields a response to store. */
    if (v == STORABLE_YES && x->framing.upgrade && x->route->settings->websocket)
        return "upgrade";
    return v == STORABLE_YES ? NULL : storable_text(v);
}

/* Conditions that are for the origin alone to judge (RFC 9111 4.3.2), and which a fetch for all
 * would leave out. */
static bool asks_the_origin(const struct http_head *req)
{
    return http_head_has(req, HTTP_F_IF_MATCH) || http_head_has(req, HTTP_F_IF_UNMODIFIED_SINCE);
}

/* A HEAD, for which the whole is too much to fetch; a part, if the route says so; several parts of
 * what is kept in slices. */
static bool asks_for_little(const struct weir_exchange *x)
{
    const struct route_cache_settings *cache = &x->route->settings->cache;

    if (x->req.method_id == HTTP_M_HEAD)
        return true;
    return http_head_has(&x->req, HTTP_F_RANGE) &&
           (cache->range_miss == RANGE_MISS_PASS || (cache->slice_bytes > 0 && !x->unsliced));
}

enum exchange_verdict lookup_run(struct weir_exchange *x)
{
    const struct http_cache_control *request_cc;
    struct http_cache_control cc;
    struct stored_response *r;
    struct wanted wanted = {x, net_now_ms(x->loop)};
    struct reuse_facts facts;
    unsigned variants = 0;
    const char *why;

    if (!keyed_build(x))
        return EXCHANGE_FAIL;
    why = bypass(x, &x->fwd);
    if (why != NULL)
        return start_pass(x, x->fwd, x->fwd == FWD_METHOD ? NULL : why);
    x->keyed.sent = true;
    request_cc = client_directives(x, &cc);
    r = find(x, &wanted, &variants);
    if (r != NULL && r->kind == STORED_MARKER) {
        bool look = worth_a_look(r, wanted.now_ms);

        stored_response_unref(r);
        r = NULL;
        if (!reuse_only_if_cached(request_cc))
            return ask_alone(x, look);
    }
    if (r != NULL && !purging_reuse(x->w, r, &facts)) { /* this very moment */
        stored_response_unref(r);
        r = NULL;
    }
    if (r != NULL)
        return use_stored(x, r, &facts, request_cc);
    x->fwd = variants > 0 ? FWD_VARY_MISS : FWD_URI_MISS;
    if (sliced_wanted(x) && !asks_the_origin(&x->req))
        return sliced_begin(x);
    if (reuse_only_if_cached(request_cc)) {
        weir_fail(&x->err, WEIR_E_ONLY_IF_CACHED, "lookup", 0);
        return EXCHANGE_FAIL;
    }
    if (asks_the_origin(&x->req) || asks_for_little(x))
        return start_pass(x, x->fwd, NULL);
    weir_metric_add(x->w->metrics, WEIR_M_cache_misses, 1);
    return join_or_lead(x);
}

enum exchange_verdict lookup_pass(struct weir_exchange *x)
{
    return start_pass(x, x->fwd, "unsliced");
}

void lookup_cancel(struct weir_exchange *x)
{
    negotiate_cancel(x);
    sliced_close(x->sliced);
    net_timer_stop(x->loop, &x->collapse_timer);
}
