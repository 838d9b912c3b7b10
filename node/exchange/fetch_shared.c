#include "fetch_shared.h"

#include "weir/container.h"
#include "inflight.h"
#include "purge.h"
#include "purge_mark.h"
#include "reuse.h"
#include "stored.h"
#include "tier.h"

#define POLL_FIRST_MS 50
#define POLL_MAX_MS   400

static void look(struct fetch_shared *s, enum store_which which);
static void wait(struct fetch_shared *s);
static void on_taken(struct share_lead *l, enum shared_result result, uint32_t left_ms, void *arg);

static const struct share_lead_events lead_events = {on_taken, fetch_share_room};

static void count(const struct fetch_shared *s, enum weir_metric m)
{
    weir_metric_add(s->f->w->metrics, m, 1);
}

static int64_t now_ms(const struct fetch_shared *s)
{
    return net_now_ms(s->f->w->loop);
}

/* ---- leaving ---- */

static void stop_waiting(struct fetch_shared *s)
{
    s->waiting = false;
    share_wait_end(&s->wait);
    net_timer_stop(s->f->w->loop, &s->timer);
}

static void stop_reading(struct fetch_shared *s)
{
    store_read_close(s->read);
    s->read = NULL;
    share_decoder_free(s->decoder);
    s->decoder = NULL;
    shared_drop_slices(s);
}

void shared_release(struct fetch_shared *s, enum share_hint hint)
{
    share_lead_give_up(s->lead, hint);
    s->lead = NULL;
}

void fetch_shared_end(struct fetch *f)
{
    share_lead_give_up(f->lead, SHARE_ALONE);
    f->lead = NULL;
    if (f->shared == NULL)
        return;
    stop_waiting(f->shared);
    stop_reading(f->shared);
    shared_release(f->shared, SHARE_ALONE);
    f->shared = NULL;
}

/* Asks the origin: for the farm if the lease is ours, else for this node. */
static void ask_origin(struct fetch_shared *s, bool for_farm)
{
    struct fetch *f = s->f;

    stop_waiting(s);
    stop_reading(s);
    if (for_farm) {
        f->lead = s->lead;
        s->lead = NULL;
    }
    shared_release(s, SHARE_ALONE);
    f->shared = NULL; /* its memory is the fetch's */
    fetch_ask_origin(f);
}

/* No answer: as if there were no farm. */
static void without_farm(struct fetch_shared *s)
{
    count(s, WEIR_M_shared_errors);
    ask_origin(s, false);
}

/* ---- what was found ---- */

void shared_nothing(struct fetch_shared *s)
{
    stop_reading(s);
    if (s->leased)
        ask_origin(s, true);
    else if (s->which == STORE_GROWING)
        wait(s);
    else
        shared_lease(s);
}

/* The key says that there are variants: the request tells which. */
static void look_for_variant(struct fetch_shared *s, struct weir_span stub)
{
    struct fetch *f = s->f;
    struct weir_span variant;

    if (s->varies || !stored_record_read_vary(&f->vary, stub) ||
        (variant = vary_key(&f->vary, &f->req, NULL, 0, &f->arena)).ptr == NULL ||
        !store_name_variant(s->share->names, &s->base, variant, &s->name)) {
        shared_nothing(s);
        return;
    }
    s->varies = true;
    stop_reading(s);
    share_wait_end(&s->wait); /* it has a lease of its own */
    if (!s->leased)
        shared_release(s, SHARE_ALONE);
    look(s, s->which);
}

static bool is_ours(struct fetch_shared *s, struct weir_span meta)
{
    struct fetch *f = s->f;
    struct stored_record *r = &s->record;

    return stored_record_read(r, meta, &f->arena) && weir_span_eq(r->key, f->fill->key) &&
           (r->variant.len == 0 || vary_matches(r->variant, &f->req)) &&
           (f->w->purges == NULL || purge_admit(f->w->purges, r->logged, now_ms(s), &r->stamp));
}

/* Nobody waits for what cannot be shared: everyone finds the marker, and goes alone. */
static void use_marker(struct fetch_shared *s)
{
    struct fetch *f = s->f;
    struct stored_response *marker = NULL;

    if (s->record.kind == STORED_MARKER && s->record.until_s > fetch_now_s(f))
        marker = stored_record_restore(&s->record, f->hash, f->fill->purges, NULL, 0,
                                       fetch_now_s(f), now_ms(s), NULL);
    if (marker == NULL || !tier_put(f->w->tier, marker)) {
        stored_response_unref(marker);
        shared_nothing(s);
        return;
    }
    stored_response_unref(marker);
    shared_release(s, SHARE_LOOK);
    fetch_send_back(f);
}

/* false: purged for good. */
static bool reuse_of(struct fetch_shared *s, struct reuse_facts *reuse)
{
    struct purge_subject subject;
    int64_t since_s, now_s = fetch_now_s(s->f);

    *reuse = s->record.facts.reuse;
    if (s->f->w->purges == NULL)
        return true;
    stored_record_subject(&s->record, &subject);
    switch (purge_check(s->f->w->purges, &subject, &since_s)) {
    case PURGE_DEAD:
        return false;
    case PURGE_STALE:
        reuse_soften(reuse, &s->record.facts.reuse, since_s < now_s ? since_s : now_s);
        break;
    case PURGE_VALID:
        break;
    }
    return true;
}

/* Is there something to serve meanwhile, or to make a condition of, or to serve if the origin
 * fails, that is newer than what is held already? */
static bool worth_loading(const struct fetch_shared *s, const struct reuse_facts *reuse)
{
    const struct fetch *f = s->f;

    return !f->prepared && s->which != STORE_GROWING && !s->leased &&
           s->body_bytes <= f->site->site->source.cache->object_max_bytes &&
           (s->use == SHARED_STALE_NOW || s->record.etag.ptr != NULL ||
            s->record.last_modified.ptr != NULL || reuse_on_error(reuse, fetch_now_s(f))) &&
           (f->validating == NULL ||
            f->validating->facts.reuse.response_time < reuse->response_time);
}

/* What may it be used for? false: nothing. */
static bool judge(struct fetch_shared *s)
{
    const struct reuse_facts *facts = &s->record.facts.reuse;
    struct reuse_facts reuse;
    struct reuse is;

    if (facts->response_time > fetch_now_s(s->f) + STORED_RECORD_AHEAD_S || !reuse_of(s, &reuse))
        return false;
    is = reuse_check(&reuse, NULL, fetch_now_s(s->f));
    s->use = SHARED_VALIDATES;
    /* It is the answer to a request that was made while this one waited (RFC 9111 4). */
    if (is.verdict == REUSE_FRESH || s->woken)
        s->use = SHARED_ANSWERS;
    else if (is.verdict == REUSE_STALE_WHILE_REVALIDATE && !s->behind)
        s->use = SHARED_STALE_NOW;
    if (s->use == SHARED_ANSWERS)
        return !s->behind || is.age < reuse.refresh_age;
    return worth_loading(s, &reuse);
}

static void on_found(struct store_read *r, const struct store_found *found, void *arg)
{
    struct fetch_shared *s = arg;

    (void)r;
    s->body_bytes = found->body_bytes;
    switch (found->kind) {
    case STORE_STUB:
        look_for_variant(s, found->meta);
        return;
    case STORE_MARKER:
        if (is_ours(s, found->meta))
            use_marker(s);
        else
            shared_nothing(s);
        return;
    case STORE_OBJECT:
        if (is_ours(s, found->meta) && s->record.kind == STORED_RESPONSE && judge(s))
            shared_bring(s);
        else
            shared_nothing(s);
        return;
    case STORE_NOTHING:
        break;
    }
    if (found->result == SHARED_NONE || found->result == SHARED_BAD)
        shared_nothing(s);
    else
        without_farm(s);
}

static void on_ready(struct store_read *r, void *arg)
{
    (void)r;
    shared_pump(arg);
}

static const struct store_read_events read_events = {on_found, on_ready};

static void look(struct fetch_shared *s, enum store_which which)
{
    /* A growing one is announced once for all variants. */
    const struct store_name *name = which == STORE_GROWING ? &s->base : &s->name;

    s->which = which;
    s->read = store_read_open(s->share->store, name, which, &read_events, s);
    if (s->read == NULL)
        without_farm(s);
}

/* ---- the lease ---- */

void shared_lease(struct fetch_shared *s)
{
    if (s->f->req.method_id == HTTP_M_HEAD) { /* nothing to store will come */
        ask_origin(s, false);
        return;
    }
    if (s->lead == NULL) {
        if (!s->forced)
            count(s, WEIR_M_shared_misses);
        s->lead = share_lead_new(s->share, &s->name, s->settings, &lead_events, s->f);
    }
    if (s->lead == NULL)
        without_farm(s);
    else
        share_lead_take(s->lead);
}

/* Another node is fetching it. */
static void taken_by_another(struct fetch_shared *s)
{
    if (s->behind) /* it refreshes it for all */
        fetch_send_back(s->f);
    else if (s->forced)
        ask_origin(s, false);
    else
        look(s, STORE_GROWING);
}

static void on_taken(struct share_lead *l, enum shared_result result, uint32_t left_ms, void *arg)
{
    struct fetch *f = arg;
    struct fetch_shared *s = f->shared;

    (void)l;
    (void)left_ms;
    if (result == SHARED_REFUSED) {
        taken_by_another(s);
        return;
    }
    if (result != SHARED_OK) {
        without_farm(s);
        return;
    }
    share_lead_mark(s->lead, f->fill->purge.url, PURGE_MARK_FETCH_MS);
    /* Somebody had it lately: it may have come between our look and our lease. */
    s->leased = share_lead_fence(s->lead) > 1 && !s->forced;
    if (s->leased)
        look(s, STORE_NEWEST);
    else
        ask_origin(s, true);
}

/* ---- waiting ---- */

static void act_on(struct fetch_shared *s, enum share_hint hint)
{
    stop_waiting(s);
    switch (hint) {
    case SHARE_ALONE:
        ask_origin(s, false);
        return;
    case SHARE_AGAIN:
        shared_lease(s);
        return;
    case SHARE_LOOK:
        s->woken = true;
        look(s, STORE_NEWEST);
        return;
    case SHARE_GROWING:
        s->woken = true;
        look(s, STORE_GROWING);
        return;
    }
}

static void on_hint(struct share_wait *w, enum share_hint hint)
{
    struct fetch_shared *s = WEIR_CONTAINER(w, struct fetch_shared, wait);

    if (s->waiting) {
        act_on(s, hint);
        return;
    }
    s->hinted = true; /* heard when it waits again */
    s->hint = hint;
}

static void on_timer(struct net_timer *t)
{
    struct fetch_shared *s = WEIR_CONTAINER(t, struct fetch_shared, timer);

    if (now_ms(s) >= s->wait_until_ms) {
        count(s, WEIR_M_shared_wait_timeouts);
        ask_origin(s, false);
        return;
    }
    s->waiting = false; /* but still listening */
    look(s, STORE_NEWEST);
}

static void wait(struct fetch_shared *s)
{
    int64_t now = now_ms(s), until;

    if (s->wait_until_ms == 0) {
        count(s, WEIR_M_shared_waits);
        s->wait_until_ms = now + s->settings->wait_ms;
        s->poll_ms = POLL_FIRST_MS;
        s->wait.woken = on_hint;
    }
    if (s->wait.at == NULL)
        share_wait_begin(s->share, &s->wait, &s->name);
    s->waiting = true;
    if (s->hinted) {
        s->hinted = false;
        act_on(s, s->hint);
        return;
    }
    until = now + s->poll_ms;
    if (s->poll_ms < POLL_MAX_MS)
        s->poll_ms *= 2;
    s->timer.fire = on_timer;
    net_timer_start(s->f->w->loop, &s->timer, until < s->wait_until_ms ? until : s->wait_until_ms);
}

/* ---- the beginning ---- */

static bool wanted(const struct fetch *f)
{
    return f->w->share != NULL && !f->pass && !f->fill->alone &&
           f->site->site->source.cache->shared.enabled && f->route->settings->cache.shared &&
           (f->req.method_id == HTTP_M_GET || f->req.method_id == HTTP_M_HEAD) &&
           (f->w->purges == NULL || purge_log_current(f->w->purges, net_now_ms(f->w->loop))) &&
           shared_ready(f->w->shared, SHARED_CACHE);
}

bool fetch_shared_begin(struct fetch *f, const struct weir_exchange *x, bool behind)
{
    struct fetch_shared *s;

    if (!wanted(f))
        return false;
    s = weir_arena_zalloc(&f->arena, sizeof *s);
    if (s == NULL || !store_name_of(f->w->names, f->fill->key, &s->base))
        return false;
    s->f = f;
    s->share = f->w->share;
    s->settings = &f->site->site->source.cache->shared;
    s->name = s->base;
    s->behind = behind;
    s->forced = x->fwd == FWD_REQUEST && !behind;
    if (!s->forced) {
        s->which = STORE_STORED;
        s->read = store_read_open(s->share->store, &s->name, STORE_STORED, &read_events, s);
    } else if (f->req.method_id != HTTP_M_HEAD) {
        s->lead = share_lead_new(s->share, &s->name, s->settings, &lead_events, f);
        if (s->lead != NULL)
            share_lead_take(s->lead);
    }
    if (s->read == NULL && s->lead == NULL)
        return false;
    f->shared = s;
    return true;
}

void fetch_shared_space(struct fetch *f)
{
    if (f->shared != NULL && f->shared->streaming)
        shared_pump(f->shared);
}
