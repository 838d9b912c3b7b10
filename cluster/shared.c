#include "weir/shared.h"

#include <assert.h>
#include <event2/event.h>

#include "weir/alloc.h"
#include "shared_engine.h"

#define TTL_MS_MAX ((int64_t)1000 * 86400 * 36525) /* a hundred years */

const char *shared_result_text(enum shared_result r)
{
    static const char *const texts[SHARED_RESULTS] = {
        [SHARED_OK] = "ok",     [SHARED_NONE] = "none", [SHARED_REFUSED] = "refused",
        [SHARED_FULL] = "full", [SHARED_LATE] = "late", [SHARED_GONE] = "gone",
        [SHARED_BAD] = "bad",
    };

    return (unsigned)r < SHARED_RESULTS ? texts[r] : "?";
}

/* ---- queues ---- */

static void queue_init(struct shared_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void enqueue(struct shared_queue *q, struct shared_call *c)
{
    c->in = q;
    c->next = NULL;
    c->at = q->last;
    *q->last = c;
    q->last = &c->next;
}

static void dequeue(struct shared_call *c)
{
    if (c->next != NULL)
        c->next->at = c->at;
    else
        c->in->last = c->at;
    *c->at = c->next;
    c->next = NULL;
    c->at = NULL;
    c->in = NULL;
}

/* Moves all of `from` behind `to`. */
static void requeue(struct shared_queue *to, struct shared_queue *from)
{
    while (from->first != NULL) {
        struct shared_call *c = from->first;

        dequeue(c);
        enqueue(to, c);
    }
}

/* ---- telling ---- */

void shared_visit(struct shared_port *p, bool *gone)
{
    *gone = false;
    p->gone = gone;
    if (p->loop.enter != NULL)
        p->loop.enter(p->loop.arg);
}

void shared_visit_end(struct shared_port *p)
{
    p->gone = NULL;
}

static void tell_soon(struct shared_port *p)
{
    static const struct timeval at_once = {0, 0};

    /* What completes while callers are being told waits for the next turn, which a timer of zero is
     * and an event made active is not: callers that ask again and again must not keep the loop from
     * everything else. */
    if (p->told_now)
        event_add(p->tell_event, &at_once);
    else
        event_active(p->tell_event, EV_TIMEOUT, 0);
}

static void on_tell(evutil_socket_t fd, short what, void *arg)
{
    struct shared_port *p = arg;
    bool gone;

    (void)fd;
    (void)what;
    shared_visit(p, &gone);
    p->told_now = true;
    requeue(&p->telling, &p->complete);
    while (p->telling.first != NULL) {
        struct shared_call *c = p->telling.first;

        dequeue(c);
        c->done(c); /* may free c, cancel others, or free the port */
        if (gone)
            return;
    }
    p->told_now = false;
    shared_visit_end(p);
}

void shared_complete(struct shared_port *p, struct shared_call *c, enum shared_result result)
{
    assert(c->in == &p->under_way);
    dequeue(c);
    c->pending = NULL;
    c->result = result;
    if (p->complete.first == NULL)
        tell_soon(p);
    enqueue(&p->complete, c);
    atomic_fetch_add_explicit(&p->results[c->area][result], 1, memory_order_relaxed);
}

/* ---- calls ---- */

void shared_call_clear(struct shared_call *c)
{
    assert(c->in == NULL);
    weir_blob_unref(c->value.blob);
    c->value = (struct weir_slice){.blob = NULL};
    weir_free(c->owned);
    c->owned = NULL;
    c->entries = NULL;
    c->entry_count = 0;
    c->number = 0;
    c->left_ms = 0;
    c->unconfirmed = false;
    c->log_first = c->log_last = 0;
    c->notes = NULL;
    c->note_count = 0;
    c->rest = 0;
}

void shared_cancel(struct shared_port *p, struct shared_call *c)
{
    if (c->in == &p->under_way) {
        p->shared->ops->cancel(p, c);
        c->pending = NULL;
    }
    if (c->in != NULL)
        dequeue(c);
    shared_call_clear(c);
}

/* True if the engine is to be asked; else the call has ended already. */
static bool begin(struct shared_port *p, struct shared_call *c, bool sound)
{
    assert(c->done != NULL && c->timeout_ms > 0 && (unsigned)c->area < SHARED_AREAS);
    assert(c->in == NULL); /* else it is under way: a bug that would lose one of the two */
    shared_call_clear(c);
    c->pending = NULL;
    enqueue(&p->under_way, c);
    if (!sound)
        shared_complete(p, c, SHARED_BAD);
    else if (!p->shared->ops->ready(p, c->area))
        shared_complete(p, c, SHARED_GONE);
    else
        return true;
    return false;
}

/* ---- what keeps the rules ---- */

static bool key_ok(struct weir_span key)
{
    return key.len > 0 && key.len <= SHARED_KEY_MAX;
}

struct weir_span shared_tag(struct weir_span key)
{
    const char *open = key.len > 0 ? memchr(key.ptr, '{', key.len) : NULL;
    const char *after, *close;

    if (open == NULL)
        return key;
    after = open + 1;
    close = memchr(after, '}', (size_t)(key.ptr + key.len - after));
    return close != NULL && close > after ? weir_span(after, (size_t)(close - after)) : key;
}

static bool pair_ok(struct weir_span a, struct weir_span b)
{
    return key_ok(a) && key_ok(b) && weir_span_eq(shared_tag(a), shared_tag(b));
}

/* Of two different keys. */
static bool keys_ok(struct weir_span a, struct weir_span b)
{
    return pair_ok(a, b) && !weir_span_eq(a, b);
}

/* Sums of any clock and this do not overflow, here and in a Redis. */
static int64_t bounded_ttl(int64_t ttl_ms)
{
    return ttl_ms < TTL_MS_MAX ? ttl_ms : TTL_MS_MAX;
}

static bool sum_slices(struct shared_put *put)
{
    size_t i;

    put->bytes = 0;
    for (i = 0; i < put->count; i++) {
        put->bytes += put->slices[i].len;
        if (put->bytes > SHARED_VALUE_MAX)
            return false;
    }
    return true;
}

static bool lease_ok(const struct shared_lease *l, struct weir_span hint)
{
    return keys_ok(l->key, l->fence_key) && l->owner.len > 0 && l->owner.len <= SHARED_OWNER_MAX &&
           l->channel.len <= SHARED_KEY_MAX && l->lease_ms > 0 && l->fence_ttl_ms > 0 &&
           hint.len <= SHARED_HINT_MAX;
}

static bool log_ok(const struct shared_log *log)
{
    return pair_ok(log->key, log->channel) && log->max > 0;
}

/* The part in braces must be there: an engine may keep the board under two keys. */
static bool board_ok(const struct shared_board *b, struct weir_span hint)
{
    return key_ok(b->key) && shared_tag(b->key).ptr != b->key.ptr &&
           (b->channel.len == 0 || pair_ok(b->key, b->channel)) && hint.len <= SHARED_HINT_MAX;
}

static bool id_ok(struct weir_span id)
{
    return id.len > 0 && id.len <= SHARED_BOARD_ID_MAX;
}

static bool is_among(struct weir_span id, const struct shared_post *posts, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (weir_span_eq(posts[i].id, id))
            return true;
    return false;
}

static bool posts_ok(const struct shared_post *posts, size_t count)
{
    size_t i;

    if (count == 0 || count > SHARED_BOARD_POSTS)
        return false;
    for (i = 0; i < count; i++)
        if (!id_ok(posts[i].id) || posts[i].bytes.len > SHARED_BOARD_POST_MAX ||
            posts[i].ttl_ms < 0 || is_among(posts[i].id, posts, i))
            return false;
    return true;
}

static bool ids_ok(const struct weir_span *ids, size_t count)
{
    size_t i;

    for (i = 0; i < count && count <= SHARED_BOARD_POSTS; i++)
        if (!id_ok(ids[i]))
            return false;
    return count > 0 && count <= SHARED_BOARD_POSTS;
}

static bool rate_ok(const struct shared_rate *r)
{
    return key_ok(r->key) && r->interval_us > 0 && r->interval_us <= SHARED_INTERVAL_US_MAX &&
           r->burst > 0 && r->burst <= SHARED_BURST_MAX;
}

/* ---- the door ---- */

const char *shared_engine_name(const struct weir_shared *s)
{
    return s->ops->name;
}

bool shared_is_farm(const struct weir_shared *s)
{
    return s->ops->farm;
}

void shared_free(struct weir_shared *s)
{
    if (s != NULL)
        s->ops->free(s);
}

bool shared_port_init(struct shared_port *p, struct weir_shared *s, const struct shared_loop *loop,
                      struct weir_err *err)
{
    size_t area, result;

    p->shared = s;
    p->loop = *loop;
    queue_init(&p->under_way);
    queue_init(&p->complete);
    queue_init(&p->telling);
    p->told_now = false;
    p->gone = NULL;
    for (area = 0; area < SHARED_AREAS; area++)
        for (result = 0; result < SHARED_RESULTS; result++)
            atomic_init(&p->results[area][result], 0);
    p->tell_event = event_new(loop->base, -1, 0, on_tell, p);
    return p->tell_event != NULL || weir_fail(err, WEIR_E_MEMORY, "shared: port", 0);
}

void shared_port_end(struct shared_port *p)
{
    if (p->tell_event != NULL)
        event_free(p->tell_event);
    p->tell_event = NULL;
}

struct shared_port *shared_port_new(struct weir_shared *s, const struct shared_loop *loop,
                                    struct weir_err *err)
{
    return s->ops->port_new(s, loop, err);
}

static void drop_all(struct shared_port *p, struct shared_queue *q)
{
    while (q->first != NULL)
        shared_cancel(p, q->first);
}

void shared_port_free(struct shared_port *p)
{
    if (p == NULL)
        return;
    drop_all(p, &p->under_way);
    drop_all(p, &p->complete);
    drop_all(p, &p->telling);
    if (p->gone != NULL)
        *p->gone = true;
    p->shared->ops->port_free(p);
}

bool shared_ready(const struct shared_port *p, enum shared_area area)
{
    return p->shared->ops->ready(p, area);
}

void shared_get(struct shared_port *p, struct shared_call *c, struct weir_span key)
{
    if (begin(p, c, key_ok(key)))
        p->shared->ops->get(p, c, key);
}

static void put(struct shared_port *p, struct shared_call *c, struct shared_put *what)
{
    bool fence_ok = what->how != SHARED_PUT_FENCED || keys_ok(what->key, what->fence_key);

    what->ttl_ms = bounded_ttl(what->ttl_ms);
    if (begin(p, c, key_ok(what->key) && fence_ok && what->ttl_ms > 0 && sum_slices(what)))
        p->shared->ops->put(p, c, what);
}

void shared_put(struct shared_port *p, struct shared_call *c, struct weir_span key,
                const struct weir_slice *slices, size_t count, int64_t ttl_ms)
{
    put(p, c,
        &(struct shared_put){
            .how = SHARED_PUT, .key = key, .slices = slices, .count = count, .ttl_ms = ttl_ms});
}

void shared_put_fenced(struct shared_port *p, struct shared_call *c, struct weir_span key,
                       struct weir_span fence_key, uint64_t fence, const struct weir_slice *slices,
                       size_t count, int64_t ttl_ms)
{
    put(p, c,
        &(struct shared_put){.how = SHARED_PUT_FENCED,
                             .key = key,
                             .fence_key = fence_key,
                             .fence = fence,
                             .slices = slices,
                             .count = count,
                             .ttl_ms = ttl_ms});
}

void shared_put_new(struct shared_port *p, struct shared_call *c, struct weir_span key,
                    const struct weir_slice *slices, size_t count, int64_t ttl_ms)
{
    put(p, c,
        &(struct shared_put){
            .how = SHARED_PUT_NEW, .key = key, .slices = slices, .count = count, .ttl_ms = ttl_ms});
}

void shared_touch(struct shared_port *p, struct shared_call *c, struct weir_span key,
                  int64_t ttl_ms)
{
    if (begin(p, c, key_ok(key) && ttl_ms > 0))
        p->shared->ops->touch(p, c, key, bounded_ttl(ttl_ms));
}

void shared_remove(struct shared_port *p, struct shared_call *c, struct weir_span key)
{
    if (begin(p, c, key_ok(key)))
        p->shared->ops->remove(p, c, key);
}

void shared_remove_if(struct shared_port *p, struct shared_call *c, struct weir_span key,
                      size_t offset, struct weir_span bytes)
{
    if (begin(p, c,
              key_ok(key) && bytes.len > 0 && bytes.len <= SHARED_VALUE_MAX &&
                  offset <= SHARED_VALUE_MAX))
        p->shared->ops->remove_if(p, c, key, offset, bytes);
}

static void lease(struct shared_port *p, struct shared_call *c, enum shared_lease_how how,
                  const struct shared_lease *l, struct weir_span hint)
{
    if (begin(p, c, lease_ok(l, hint)))
        p->shared->ops->lease(p, c, how, l, hint);
}

void shared_lease_take(struct shared_port *p, struct shared_call *c, const struct shared_lease *l)
{
    lease(p, c, SHARED_LEASE_TAKE, l, WEIR_SPAN_NONE);
}

void shared_lease_renew(struct shared_port *p, struct shared_call *c, const struct shared_lease *l)
{
    lease(p, c, SHARED_LEASE_RENEW, l, WEIR_SPAN_NONE);
}

void shared_lease_wake(struct shared_port *p, struct shared_call *c, const struct shared_lease *l,
                       struct weir_span hint)
{
    lease(p, c, SHARED_LEASE_WAKE, l, hint);
}

void shared_lease_release(struct shared_port *p, struct shared_call *c,
                          const struct shared_lease *l, struct weir_span hint)
{
    lease(p, c, SHARED_LEASE_RELEASE, l, hint);
}

void shared_log_append(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                       struct weir_span bytes)
{
    if (begin(p, c, log_ok(log) && bytes.len > 0 && bytes.len <= SHARED_RECORD_MAX))
        p->shared->ops->log_append(p, c, log, bytes);
}

void shared_log_open(struct shared_port *p, struct shared_call *c, const struct shared_log *log)
{
    if (begin(p, c, log_ok(log)))
        p->shared->ops->log_open(p, c, log);
}

void shared_log_read(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                     uint64_t after, size_t max)
{
    if (begin(p, c, log_ok(log) && max > 0))
        p->shared->ops->log_read(p, c, log, after, max);
}

void shared_board_put(struct shared_port *p, struct shared_call *c, const struct shared_board *b,
                      const struct shared_post *posts, size_t count, struct weir_span hint)
{
    struct shared_post bounded[SHARED_BOARD_POSTS];
    size_t i;

    if (!begin(p, c, board_ok(b, hint) && posts_ok(posts, count)))
        return;
    for (i = 0; i < count; i++) {
        bounded[i] = posts[i];
        bounded[i].ttl_ms = bounded_ttl(posts[i].ttl_ms);
    }
    p->shared->ops->board_put(p, c, b, bounded, count, hint);
}

void shared_board_remove(struct shared_port *p, struct shared_call *c, const struct shared_board *b,
                         const struct weir_span *ids, size_t count, struct weir_span hint)
{
    if (begin(p, c, board_ok(b, hint) && ids_ok(ids, count)))
        p->shared->ops->board_remove(p, c, b, ids, count, hint);
}

void shared_board_read(struct shared_port *p, struct shared_call *c, const struct shared_board *b)
{
    if (begin(p, c, board_ok(b, WEIR_SPAN_NONE)))
        p->shared->ops->board_read(p, c, b);
}

void shared_tokens_take(struct shared_port *p, struct shared_call *c, const struct shared_rate *r,
                        uint32_t want)
{
    if (begin(p, c, rate_ok(r) && want > 0))
        p->shared->ops->tokens_take(p, c, r, want);
}

bool shared_listen(struct shared_port *p, struct shared_listener *l, enum shared_area area,
                   struct weir_span channel, struct weir_err *err)
{
    assert(l->subscription == NULL && l->on_hint != NULL && l->on_gap != NULL);
    if (!key_ok(channel))
        return weir_fail(err, WEIR_E_INTERNAL, "shared: channel", 0);
    return p->shared->ops->listen(p, l, area, channel, err);
}

void shared_unlisten(struct shared_port *p, struct shared_listener *l)
{
    if (l->subscription != NULL)
        p->shared->ops->unlisten(p, l);
    l->subscription = NULL;
}

void shared_hint(struct shared_port *p, struct shared_call *c, struct weir_span channel,
                 struct weir_span bytes)
{
    if (begin(p, c, key_ok(channel) && bytes.len <= SHARED_HINT_MAX))
        p->shared->ops->hint(p, c, channel, bytes);
}

void shared_port_counts(const struct shared_port *p, struct shared_counts *out)
{
    size_t area, result;

    for (area = 0; area < SHARED_AREAS; area++)
        for (result = 0; result < SHARED_RESULTS; result++)
            out->results[area][result] =
                atomic_load_explicit(&p->results[area][result], memory_order_relaxed);
}
