#include "fetch_parts.h"

#include "weir/container.h"
#include "weir/log.h"
#include "compressible.h"
#include "early_hints.h"
#include "inflight.h"
#include "origin_state.h"
#include "purging.h"
#include "response_in.h"
#include "response_policy.h"
#include "resume.h"
#include "reuse.h"
#include "search_key.h"
#include "slice.h"
#include "storable.h"
#include "stored.h"
#include "tier.h"
#include "trailers.h"

static const struct origin_events rest_events;
static bool ask_for_rest(struct fetch *f, const struct weir_err *err);

/* ---- the response ---- */

static void on_interim(void *arg, const struct http_head *head)
{
    struct fetch *f = arg;
    struct http_head hints;

    if (f->leader != NULL)
        head = early_hints(f->leader, head, &hints);
    if (f->leader != NULL && head != NULL)
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

/* Tells the table which variant this is; false: it cannot be shared. */
static bool settle_variant(struct fetch *f, const struct http_head *head, const struct fill_head *h)
{
    char buf[VARY_KEY_INLINE];
    struct weir_span variant;

    fetch_read_vary(f, head, h->coding == CODING_IDENTITY || h->recodable);
    variant = vary_key(&f->vary, &f->req, buf, sizeof buf, &f->arena);
    return variant.ptr != NULL && inflight_variant(f->w->inflight, f->fill, &f->vary, variant);
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
    bool too_large = h->length > 0 && (uint64_t)h->length > fetch_share_max(f);
    bool purged = fetch_is_purged(f); /* under the key it has, or below, by its tags */
    struct search_key search = {.moved = false};
    bool settled = fetch_read_search(f, head, &search) && settle_key(f, &search);
    bool odd = not_the_slice(f, h);

    h->detail = too_large ? "too-large" : v == STORABLE_YES ? NULL : storable_text(v);
    h->storable = v == STORABLE_YES && !too_large && !odd && settled &&
                  fetch_note_tags(f, head, WEIR_SPAN_NONE) && settle_variant(f, head, h);
    if (h->storable && (purged || fetch_is_purged(f))) { /* some who joined came after that */
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
        fetch_mark(f, too_large ? NULL : head, h->detail);
    fetch_share_nothing(f);
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

    if (head->status == 425 && fetch_asks_late(f))
        return;
    note_origin(f, head);
    if (f->leader != NULL)
        purging_by(f->leader, head);
    if (f->validating != NULL && (head->status == 304 || fetch_head_validates(f, head))) {
        fetch_not_modified(f, head);
        return;
    }
    if (reuse_status_is_error(head->status) &&
        fetch_answer_stale(f, head->status, "stale-if-error")) {
        origin_fetch_cancel(&f->origin);
        fetch_finish(f);
        return;
    }
    if (!f->pass)
        fetch_judge(f, head, &policy);
    fetch_judge_coding(f, head, framing->has_length ? (int64_t)framing->length : -1,
                       !f->pass && policy.verdict == STORABLE_YES, &coding);
    if ((!f->pass && !fetch_give_own(f, head, &policy, &err)) ||
        !response_in_build(&h, head, framing, f->site->site, f->pass ? NULL : &policy, &coding,
                           fetch_now_s(f), &err)) {
        fetch_give_up(f, &err);
        return;
    }
    if (!f->pass)
        judge_sharing(f, head, &h, policy.verdict);
    if (!f->pass && !h.storable && f->leader == NULL) {
        response_in_clear(&h); /* for nobody */
        origin_fetch_cancel(&f->origin);
        fetch_finish(f);
        return;
    }
    if (f->leader != NULL && !h.storable && f->site_upstream->sticky != NULL &&
        f->origin.sticky_moved)
        f->leader->sticky_set = f->origin.index; /* never on what others may get from the store */
    /* Content that came with the head goes out with it, in one send. */
    fill_open(f->fill, &h, true);
    fetch_share_open(f);
    net_defer(f->w->loop, &f->wake, wake_readers);
}

/* The body has outgrown what may be stored: it goes on as a stream, for those who read it already.
 */
static void give_up_storing(struct fetch *f)
{
    fetch_mark(f, NULL, "too-large");
    fetch_share_nothing(f);
    inflight_remove(f->w->inflight, f->fill);
    fill_stop_retaining(f->fill);
}

/* Too large for this node's memory. Those who come now find it in the farm's store. */
static void stop_retaining(struct fetch *f)
{
    f->fill->outdated = true;
    inflight_remove(f->w->inflight, f->fill);
    fill_stop_retaining(f->fill);
}

static void judge_size(struct fetch *f)
{
    uint64_t bytes = f->fill->bytes;

    if (bytes > fetch_share_max(f) && (f->fill->retain || fetch_share_streams(f)))
        give_up_storing(f);
    else if (f->fill->retain && bytes > f->site->site->source.cache->object_max_bytes)
        stop_retaining(f);
}

static bool on_data(void *arg, struct weir_slice s, bool last)
{
    struct fetch *f = arg;
    bool go_on;

    if (f->abandoned && !fetch_share_streams(f)) {
        struct weir_err err = {.code = WEIR_E_CLIENT_GONE,
                               .where = "fetch: nobody wants it any more"};

        weir_blob_unref(s.blob);
        fetch_give_up(f, &err);
        return true;
    }
    go_on = f->lead == NULL || fetch_share_data(f, s);
    if (last)
        fill_append_last(f->fill, s);
    else
        go_on = fill_append(f->fill, s) && go_on;
    if (!f->ended && (f->fill->retain || f->lead != NULL)) /* else it is stored nowhere */
        judge_size(f);
    return go_on;
}

static void on_end(void *arg)
{
    struct fetch *f = arg;

    if (f->ended)
        return;
    if (f->fill->state == FILL_OPEN) {
        struct weir_blob *trailers = NULL;

        if (f->grpc)
            trailers = trailers_of_call(&f->trailers);
        else if (f->request.trailers != NULL)
            trailers = trailers_filter(&f->trailers, f->route->settings->trailers,
                                       f->route->settings->trailer_count, false);
        fetch_store(f);
        /* From here on the stored response answers, by its own freshness; nobody joins what is
         * over. */
        inflight_remove(f->w->inflight, f->fill);
        fill_finish(f->fill, trailers);
    }
    fetch_finish(f);
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

    fetch_give_up(f, &err);
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
    if (f->fill->state != FILL_WAITING || !fetch_answer_stale(f, 0, "stale-if-error")) {
        inflight_remove(f->w->inflight, f->fill); /* first: nobody shall join what has failed */
        fill_fail(f->fill, &answer);
    }
    fetch_finish(f);
}

void fetch_broke_off(struct fetch *f, const struct weir_err *err)
{
    struct weir_err none = {0};

    if (fetch_prepare(f, &none) && ask_for_rest(f, err))
        return;
    inflight_remove(f->w->inflight, f->fill);
    fill_fail(f->fill, err);
    fetch_finish(f);
}

static void on_upgraded(void *arg, struct net_chan chan, const struct http_head *head,
                        struct weir_span surplus)
{
    struct fetch *f = arg;
    struct weir_exchange *x =
        f->leader; /* only passes ask for it, and they end with their leader */

    note_origin(f, head);
    fetch_finish(f);
    x->client->upgraded(x, chan, head, surplus);
}

const struct origin_events fetch_origin_events = {on_interim, on_head, on_data,
                                                  on_end,     on_fail, on_upgraded};
static const struct origin_events rest_events = {on_interim,  on_rest_head, on_rest_data,
                                                 on_rest_end, on_fail,      NULL};
