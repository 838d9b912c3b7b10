#include "share_lead.h"

#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "cache_settings.h"
#include "exchange.h"
#include "purge_mark.h"
#include "recoder.h"
#include "share_coding.h"
#include "stored.h"
#include "stored_record.h"

#define FENCE_TTL_MS 600000        /* how far back "lately" reaches */
#define RELEASE_MS   1000          /* for calls that nobody waits for */
#define QUEUE_HIGH   (1024 * 1024) /* bytes that wait: the origin is held back */
#define QUEUE_LOW    (QUEUE_HIGH / 2)
#define STALL_MS     250 /* held back so long, a client would notice: then it is not stored */
#define OWNER_MAX    64

enum doing { NOTHING, TAKING, RENEWING, WAKING, COUNTING, RELEASING };

struct queue {
    struct weir_slice *at;
    size_t first, count, cap;
    uint64_t bytes;
};

struct share_lead {
    struct share *share;
    struct share_lead *next, **at;
    const struct share_lead_events *events; /* NULL: the fetch has let go of it */
    void *arg;
    struct net_deferred gone;

    /* the lease */
    struct store_name name;
    char key[STORE_KEY_MAX], fence_key[STORE_KEY_MAX], owner[OWNER_MAX];
    struct shared_lease lease;
    struct shared_call call; /* one at a time */
    struct shared_call mark;
    enum doing doing;
    bool held;
    bool wake_due; /* when the call is free */
    uint32_t take_ms;
    uint64_t fence, store_after;
    struct net_timer renew, stall;

    /* what is stored */
    struct share_item item;
    struct record_fields stub, meta;
    struct store_put *put;
    struct store_read *read; /* of what is to be freshened */
    struct stored_response *whole;
    struct recoder_wait *coding;
    bool codes; /* by these levels */
    struct recoder_settings levels;
    struct share_encoder *encoder; /* of what streams; NULL: it is stored as it comes */
    struct queue queue;
    bool freshening; /* put has no content of its own */
    bool streaming;
    bool ended;    /* the queue holds the rest */
    bool finished; /* store_put_finish() was called */
    bool lost;
    bool paused;
};

static void release(struct share_lead *l, enum share_hint hint);
static void store_whole(struct share_lead *l);

static struct net_loop *loop_of(const struct share_lead *l)
{
    return l->share->w->loop;
}

static void count(const struct share_lead *l, enum weir_metric m)
{
    weir_metric_add(l->share->w->metrics, m, 1);
}

/* ---- life ---- */

static void clear_queue(struct share_lead *l)
{
    for (size_t i = l->queue.first; i < l->queue.count; i++)
        weir_blob_unref(l->queue.at[i].blob);
    weir_free(l->queue.at);
    l->queue = (struct queue){NULL, 0, 0, 0, 0};
}

static void free_lead(struct net_deferred *d)
{
    weir_free(WEIR_CONTAINER(d, struct share_lead, gone));
}

/* Lets go of everything; the memory goes at the end of the turn. */
static void end(struct share_lead *l)
{
    *l->at = l->next;
    if (l->next != NULL)
        l->next->at = l->at;
    shared_cancel(l->share->port, &l->call);
    shared_cancel(l->share->port, &l->mark);
    net_timer_stop(loop_of(l), &l->renew);
    net_timer_stop(loop_of(l), &l->stall);
    store_put_close(l->put);
    store_read_close(l->read);
    recoder_wait_close(l->coding);
    stored_response_unref(l->whole);
    record_fields_free(&l->stub);
    record_fields_free(&l->meta);
    share_encoder_free(l->encoder);
    clear_queue(l);
    net_defer(loop_of(l), &l->gone, free_lead);
}

void share_lead_cancel(struct share_lead *l)
{
    end(l);
}

/* ---- the lease ---- */

static void on_call(struct shared_call *c);

/* Makes the call ready for use. What was under way is forgotten: it does not matter any more. */
static struct shared_call *call_for(struct share_lead *l, enum doing doing, uint32_t timeout_ms)
{
    shared_cancel(l->share->port, &l->call);
    l->doing = doing;
    l->call.done = on_call;
    l->call.area = SHARED_CACHE;
    l->call.timeout_ms = timeout_ms;
    return &l->call;
}

/* Without it the URL stays invalidated here alone: there is nothing to be done about it. */
static void on_marked(struct shared_call *c)
{
    (void)c;
}

void share_lead_mark(struct share_lead *l, uint64_t url, int64_t ttl_ms)
{
    shared_cancel(l->share->port, &l->mark);
    l->mark.done = on_marked;
    l->mark.timeout_ms = RELEASE_MS;
    purge_mark(l->share->port, &l->mark, url, ttl_ms);
}

static void on_renew(struct net_timer *t)
{
    struct share_lead *l = WEIR_CONTAINER(t, struct share_lead, renew);

    net_timer_start(loop_of(l), &l->renew, net_now_ms(loop_of(l)) + l->lease.lease_ms / 3);
    if (l->doing == NOTHING && l->held)
        shared_lease_renew(l->share->port, call_for(l, RENEWING, RELEASE_MS), &l->lease);
}

static void wake(struct share_lead *l, enum doing doing, enum share_hint hint)
{
    char bytes[SHARE_HINT_BYTES];

    share_hint_write(bytes, &l->name, hint);
    shared_lease_wake(l->share->port, call_for(l, doing, RELEASE_MS), &l->lease,
                      weir_span(bytes, sizeof bytes));
}

static void on_taken(struct share_lead *l, enum shared_result result)
{
    l->held = result == SHARED_OK;
    if (l->held) {
        l->fence = l->call.number;
        l->renew.fire = on_renew;
        net_timer_start(loop_of(l), &l->renew, net_now_ms(loop_of(l)) + l->lease.lease_ms / 3);
        count(l, WEIR_M_shared_leases);
    }
    if (l->events != NULL)
        l->events->taken(l, result, l->call.left_ms, l->arg);
    else if (l->held)
        release(l, SHARE_ALONE);
    else
        end(l);
}

/* Is it worth storing after all: has anybody waited for it? */
static void on_counted(struct share_lead *l, bool waited)
{
    if (waited) {
        store_whole(l);
    } else {
        count(l, WEIR_M_shared_store_skips);
        release(l, SHARE_ALONE);
    }
}

static void on_call(struct shared_call *c)
{
    struct share_lead *l = WEIR_CONTAINER(c, struct share_lead, call);
    enum doing done = l->doing;

    l->doing = NOTHING;
    switch (done) {
    case TAKING:
        on_taken(l, c->result);
        return;
    case COUNTING:
        on_counted(l, c->result == SHARED_OK && c->number > 0);
        return;
    case RELEASING:
        l->held = false;
        if (l->events == NULL)
            end(l);
        return;
    case RENEWING:
    case WAKING:
    case NOTHING:
        break;
    }
    if (l->wake_due && l->held) {
        l->wake_due = false;
        wake(l, WAKING, SHARE_GROWING);
    }
}

static void release(struct share_lead *l, enum share_hint hint)
{
    char bytes[SHARE_HINT_BYTES];

    net_timer_stop(loop_of(l), &l->renew);
    l->wake_due = false;
    share_hint_write(bytes, &l->name, hint);
    shared_lease_release(l->share->port, call_for(l, RELEASING, RELEASE_MS), &l->lease,
                         weir_span(bytes, sizeof bytes));
}

static void name_lease(struct share_lead *l, uint32_t lease_ms)
{
    struct share *s = l->share;
    int n = snprintf(l->owner, sizeof l->owner, "%.*s.%llu", (int)s->channel_len - 8,
                     s->channel + 5, (unsigned long long)++s->owners);

    l->lease = (struct shared_lease){
        .key = store_key(&l->name, STORE_KEY_LEASE, l->key),
        .fence_key = store_key(&l->name, STORE_KEY_FENCE, l->fence_key),
        .owner = weir_span(l->owner, (size_t)n),
        .channel = weir_span(s->channel, s->channel_len),
        .lease_ms = lease_ms,
        .fence_ttl_ms = FENCE_TTL_MS,
    };
}

struct share_lead *share_lead_new(struct share *s, const struct store_name *name,
                                  const struct shared_cache_settings *settings,
                                  const struct share_lead_events *events, void *arg)
{
    struct share_lead *l = weir_calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->share = s;
    l->events = events;
    l->arg = arg;
    l->name = *name;
    l->take_ms = (uint32_t)settings->head_timeout_ms;
    l->store_after = settings->store_after;
    name_lease(l, (uint32_t)settings->lease_ms);
    l->next = s->leads;
    l->at = &s->leads;
    if (l->next != NULL)
        l->next->at = &l->next;
    s->leads = l;
    return l;
}

void share_lead_take(struct share_lead *l)
{
    shared_lease_take(l->share->port, call_for(l, TAKING, l->take_ms), &l->lease);
}

uint64_t share_lead_fence(const struct share_lead *l)
{
    return l->held ? l->fence : 0;
}

void share_lead_give_up(struct share_lead *l, enum share_hint hint)
{
    if (l == NULL)
        return;
    l->events = NULL;
    if (l->doing == TAKING || l->doing == RELEASING)
        return;                                   /* goes on when that is over */
    if (l->held || l->call.result == SHARED_LATE) /* then it may be ours all the same */
        release(l, hint);
    else
        end(l);
}

/* ---- the queue of bytes to be stored ---- */

/* Takes the reference. */
static bool queue_add(struct queue *q, struct weir_slice s)
{
    if (q->first == q->count)
        q->first = q->count = 0;
    if (q->count == q->cap) {
        size_t cap = q->cap == 0 ? 16 : q->cap * 2;
        struct weir_slice *grown = weir_realloc(q->at, cap * sizeof *grown);

        if (grown == NULL) {
            weir_blob_unref(s.blob);
            return false;
        }
        q->at = grown;
        q->cap = cap;
    }
    q->at[q->count++] = s;
    q->bytes += s.len;
    return true;
}

/* Takes up to max bytes off the front. */
static struct weir_slice queue_front(struct queue *q, size_t max)
{
    struct weir_slice *front = &q->at[q->first], s = *front;

    if (s.len > max) {
        s.len = (uint32_t)max;
        weir_blob_ref(s.blob);
        front->off += s.len;
        front->len -= s.len;
    } else {
        q->first++;
    }
    q->bytes -= s.len;
    return s;
}

/* ---- storing ---- */

static void go_on(struct share_lead *l)
{
    if (!l->paused)
        return;
    l->paused = false;
    net_timer_stop(loop_of(l), &l->stall);
    if (l->events != NULL)
        l->events->room(l, l->arg);
}

/* It will not be stored; those who wait need not wait for the end of the fetch. */
static void lose(struct share_lead *l)
{
    if (l->lost)
        return;
    l->lost = true;
    store_put_close(l->put);
    l->put = NULL;
    clear_queue(l);
    count(l, WEIR_M_shared_store_failures);
    if (l->held)
        release(l, SHARE_ALONE);
    go_on(l);
}

/* Gives the store what it has room for. */
static void drain(struct share_lead *l)
{
    while (!l->lost && l->queue.first < l->queue.count) {
        size_t room = store_put_room(l->put);
        struct weir_slice s;

        if (room == 0)
            break;
        s = queue_front(&l->queue, room);
        store_put_append(l->put, s);
        weir_blob_unref(s.blob);
    }
    if (!l->lost && l->ended && !l->finished && l->queue.first == l->queue.count) {
        l->finished = true;
        store_put_finish(l->put, record_fields_span(&l->meta));
    }
    if (l->queue.bytes < QUEUE_LOW)
        go_on(l);
}

static void on_room(struct store_put *p, void *arg)
{
    (void)p;
    drain(arg);
}

static void on_done(struct store_put *p, enum shared_result result, void *arg)
{
    struct share_lead *l = arg;

    (void)p;
    if (l->freshening && result == SHARED_NONE) { /* its content has gone meanwhile */
        l->freshening = l->finished = false;
        store_put_close(l->put);
        l->put = NULL;
        store_whole(l);
        return;
    }
    if (result != SHARED_OK || !l->finished) {
        bool alone = l->events == NULL;

        lose(l);
        if (alone && !l->held && l->doing != RELEASING)
            end(l);
        return;
    }
    count(l, WEIR_M_shared_stores);
    store_put_close(l->put);
    l->put = NULL;
    release(l, SHARE_LOOK);
}

static struct store_put_wish wish_of(struct share_lead *l, enum store_kind kind)
{
    return (struct store_put_wish){
        .name = &l->item.name,
        .kind = kind,
        .stub = record_fields_span(&l->stub),
        .ttl_ms = l->item.ttl_ms,
        .fence = l->fence,
        .leased = &l->name,
        .on_room = on_room,
        .on_done = on_done,
        .arg = l,
    };
}

/* false: it cannot be stored. */
static bool begin_put(struct share_lead *l, enum store_kind kind)
{
    const struct store_put_wish wish = wish_of(l, kind);

    l->put = store_put_begin(l->share->store, &wish);
    return l->put != NULL;
}

/* What is stored where; false: nothing is. */
static bool take_item(struct share_lead *l, const struct share_item *item)
{
    char *stub = NULL;

    l->item = *item;
    l->item.stub = WEIR_SPAN_NONE;
    record_fields_free(&l->stub);
    if (item->stub.len > 0) {
        stub = weir_malloc(item->stub.len);
        if (stub == NULL)
            return false;
        memcpy(stub, item->stub.ptr, item->stub.len);
        l->stub = (struct record_fields){stub, item->stub.len, item->stub.len, false};
    }
    return item->ttl_ms > 0;
}

static void take_meta(struct share_lead *l, struct record_fields *meta)
{
    record_fields_free(&l->meta);
    l->meta = *meta;
    *meta = (struct record_fields){NULL, 0, 0, false};
}

void share_lead_marker(struct share_lead *l, const struct share_item *item,
                       struct record_fields *meta)
{
    l->events = NULL;
    store_put_close(l->put); /* what came so far was to be stored */
    l->put = NULL;
    clear_queue(l);
    take_meta(l, meta);
    if (!l->held || l->lost || !take_item(l, item) || l->meta.failed ||
        !begin_put(l, STORE_MARKER)) {
        share_lead_give_up(l, SHARE_ALONE);
        return;
    }
    l->ended = true;
    drain(l);
}

/* ---- a whole response ---- */

/* What is to be put, as r has it or, with a form, in that coding. */
static bool queue_whole(struct share_lead *l, const struct stored_form *form)
{
    const struct weir_slice *slices = form != NULL ? form->slices : l->whole->slices;
    uint32_t n = form != NULL ? form->slice_count : l->whole->slice_count;
    struct stored_record record;

    stored_record_of(&record, l->whole, 0, 0);
    if (form != NULL)
        record.coding = form->coding;
    stored_record_write(&l->meta, &record);
    for (uint32_t i = 0; i < n; i++) {
        weir_blob_ref(slices[i].blob);
        if (!queue_add(&l->queue, slices[i]))
            return false;
    }
    return !l->meta.failed;
}

static void put_whole(struct share_lead *l, const struct stored_form *form)
{
    if (!queue_whole(l, form) || !begin_put(l, STORE_OBJECT)) {
        count(l, WEIR_M_shared_store_failures);
        release(l, SHARE_ALONE);
        return;
    }
    l->ended = true;
    drain(l);
}

static void on_coded(void *arg)
{
    struct share_lead *l = arg;
    struct stored_form *form = recoder_wait_form(l->coding);

    recoder_wait_close(l->coding);
    l->coding = NULL;
    put_whole(l, form);
    stored_form_unref(form);
}

static void store_whole(struct share_lead *l)
{
    struct exchange_worker *w = l->share->w;

    if (l->codes && w->recoder != NULL)
        l->coding =
            recoder_ask(w->recoder, l->whole, CODING_ZSTD, &l->levels, &w->loop->box, on_coded, l);
    if (l->coding == NULL)
        put_whole(l, NULL);
}

void share_lead_store(struct share_lead *l, const struct share_item *item,
                      struct stored_response *r, const struct recoder_settings *levels)
{
    l->events = NULL;
    if (!l->held || !take_item(l, item)) {
        share_lead_give_up(l, SHARE_ALONE);
        return;
    }
    l->whole = stored_response_ref(r);
    l->codes = levels != NULL;
    if (levels != NULL)
        l->levels = *levels;
    if (l->fence < l->store_after)
        wake(l, COUNTING, SHARE_AGAIN);
    else
        store_whole(l);
}

/* ---- a new head over a content that is there ---- */

/* Is this what was validated? *coding: of its content. */
static bool is_whole(const struct share_lead *l, struct weir_span meta, enum coding *coding)
{
    const struct stored_response *r = l->whole;
    struct stored_record found;
    struct weir_arena arena;
    bool same;

    weir_arena_init(&arena, 0);
    same = stored_record_read(&found, meta, &arena) && found.kind == STORED_RESPONSE &&
           weir_span_eq(found.key, r->key) && weir_span_eq(found.variant, r->variant) &&
           weir_span_eq(found.etag, r->etag) &&
           weir_span_eq(found.last_modified, r->last_modified) &&
           (r->etag.ptr != NULL || r->last_modified.ptr != NULL) &&
           found.sent_coding == r->sent_coding && found.sent_len == r->sent_len &&
           found.recodable == (r->forms != NULL);
    *coding = found.coding;
    weir_arena_free(&arena);
    return same;
}

static void on_there(struct store_read *read, const struct store_found *found, void *arg)
{
    struct share_lead *l = arg;
    const struct store_put_wish wish = wish_of(l, STORE_OBJECT);
    struct record_fields meta = {.len = 0};
    struct stored_record record;
    enum coding coding;

    if (found->kind == STORE_OBJECT && is_whole(l, found->meta, &coding)) {
        stored_record_of(&record, l->whole, 0, 0);
        record.coding = coding;
        stored_record_write(&meta, &record);
        if (!meta.failed)
            l->put = store_freshen(l->share->store, read, &wish, record_fields_span(&meta));
        record_fields_free(&meta);
    }
    store_read_close(l->read);
    l->read = NULL;
    l->freshening = l->finished = l->put != NULL;
    if (l->put == NULL)
        store_whole(l);
}

static const struct store_read_events there_events = {on_there, NULL};

void share_lead_freshen(struct share_lead *l, const struct share_item *item,
                        struct stored_response *r)
{
    l->events = NULL;
    if (!l->held || !take_item(l, item)) {
        share_lead_give_up(l, SHARE_ALONE);
        return;
    }
    l->whole = stored_response_ref(r);
    l->read = store_read_open(l->share->store, &l->item.name, STORE_NEWEST, &there_events, l);
    if (l->read == NULL)
        store_whole(l);
}

/* ---- storing while it comes ---- */

static void on_stall(struct net_timer *t)
{
    lose(WEIR_CONTAINER(t, struct share_lead, stall));
}

/* false: no memory. */
static bool make_encoder(struct share_lead *l, unsigned zstd_level)
{
    if (zstd_level > 0)
        l->encoder = share_encoder_new(zstd_level);
    return zstd_level == 0 || l->encoder != NULL;
}

bool share_lead_stream(struct share_lead *l, const struct share_item *item,
                       struct record_fields *meta, unsigned zstd_level)
{
    take_meta(l, meta);
    if (!l->held || l->fence < l->store_after || l->meta.failed || !take_item(l, item) ||
        !make_encoder(l, zstd_level) || !begin_put(l, STORE_OBJECT)) {
        count(l, WEIR_M_shared_store_skips);
        l->lost = true;
        if (l->held)
            release(l, SHARE_ALONE);
        return false;
    }
    l->streaming = true;
    store_put_announce(l->put, record_fields_span(&l->meta));
    if (l->doing == NOTHING)
        wake(l, WAKING, SHARE_GROWING);
    else
        l->wake_due = true;
    return true;
}

bool share_lead_streams(const struct share_lead *l)
{
    return l->streaming && !l->lost;
}

bool share_lead_paused(const struct share_lead *l)
{
    return l->paused;
}

static bool queue_slice(struct share_lead *l, struct weir_slice s)
{
    weir_blob_ref(s.blob);
    return queue_add(&l->queue, s);
}

/* What the encoder makes of `in`, or of its end. */
static bool queue_coded(struct share_lead *l, struct weir_span in)
{
    struct coding_out *out;

    if (!share_encoder_run(l->encoder, in, &out))
        return false;
    for (size_t i = 0; i < out->count; i++)
        if (!queue_slice(l, out->slices[i]))
            return false;
    return true;
}

bool share_lead_append(struct share_lead *l, struct weir_slice s)
{
    if (!share_lead_streams(l))
        return true;
    if (!(l->encoder != NULL ? queue_coded(l, weir_span(weir_slice_ptr(s), s.len))
                             : queue_slice(l, s))) {
        lose(l);
        return true;
    }
    drain(l);
    if (l->lost || l->queue.bytes < QUEUE_HIGH)
        return true;
    if (!l->paused) {
        l->paused = true;
        l->stall.fire = on_stall;
        net_timer_start(loop_of(l), &l->stall, net_now_ms(loop_of(l)) + STALL_MS);
    }
    return false;
}

void share_lead_end(struct share_lead *l, struct record_fields *meta)
{
    l->events = NULL;
    take_meta(l, meta);
    if (!share_lead_streams(l) || l->meta.failed ||
        (l->encoder != NULL && !queue_coded(l, WEIR_SPAN_NONE))) {
        share_lead_give_up(l, SHARE_ALONE);
        return;
    }
    l->ended = true;
    l->paused = false;
    net_timer_stop(loop_of(l), &l->stall);
    drain(l);
}
