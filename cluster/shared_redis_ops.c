/* Each operation of the door as one command or one script. */
#include <stdio.h>
#include <string.h>

#include "shared_redis_own.h"
#include "weir/alloc.h"

/* Number of parts of a value that need no memory: as many as one stored in blobs of 16 KiB has. */
#define PARTS_INLINE 72
/* Exact trimming of a log costs a little with each append, and gives what was asked for; of a long
 * one nobody will notice up to a hundred records more. */
#define LOG_EXACT_MAX 1000

/* ---- common ---- */

struct number {
    char text[24];
};

static struct redis_arg number(struct number *n, int64_t value)
{
    int len = snprintf(n->text, sizeof n->text, "%lld", (long long)value);

    return redis_arg(weir_span(n->text, (size_t)len));
}

/* A task for c, or NULL: c has ended. */
static struct redis_task *begin(struct shared_port *p, struct shared_call *c, enum redis_op op,
                                enum redis_call_kind kind)
{
    struct redis_task *t = redis_task_new(redis_port(p), op, c->area, c);

    if (t == NULL) {
        shared_complete(p, c, SHARED_FULL);
        return NULL;
    }
    c->pending = t;
    t->call.kind = kind;
    t->call.bulk = c->bulk;
    t->call.timeout_ms = c->timeout_ms;
    if (c->confirm && (kind == REDIS_WRITE || kind == REDIS_STORE))
        t->call.confirm_ms = redis_engine(p)->confirm_ms;
    return t;
}

static void command(struct redis_task *t, struct weir_span key, const struct redis_arg *argv,
                    size_t argc)
{
    redis_call_command(t->port->clusters[t->area], &t->call, key, argv, argc);
}

static void script(struct redis_task *t, const struct redis_script *s, size_t keys,
                   const struct redis_arg *argv, size_t argc)
{
    redis_call_script(t->port->clusters[t->area], &t->call, s, keys, argv, argc);
}

#define COMMAND(t, key, argv)    command(t, key, argv, sizeof(argv) / sizeof *(argv))
#define SCRIPT(t, s, keys, argv) script(t, s, keys, argv, sizeof(argv) / sizeof *(argv))

static const struct redis_scripts *scripts(const struct shared_port *p)
{
    return &redis_engine(p)->scripts;
}

void redis_ops_cancel(struct shared_port *p, struct shared_call *c)
{
    (void)p;
    if (c->pending != NULL)
        redis_task_leave(c->pending);
}

/* ---- values ---- */

void redis_ops_get(struct shared_port *p, struct shared_call *c, struct weir_span key)
{
    /* State is read where it is written: one endpoint may serve both areas. */
    struct redis_task *t =
        begin(p, c, REDIS_OP_GET,
              c->area == SHARED_CACHE && !c->primary ? REDIS_READ : REDIS_READ_MASTER);
    struct redis_arg argv[] = {redis_arg(WEIR_SPAN_LIT("GET")), redis_arg(key)};

    if (t != NULL)
        COMMAND(t, key, argv);
}

/* The value as one argument in pieces; returns how many. */
static size_t value_args(struct redis_arg *argv, const struct shared_put *put)
{
    size_t n = 0;

    for (size_t i = 0; i < put->count; i++) {
        if (put->slices[i].len == 0)
            continue;
        argv[n] = redis_arg_slice(put->slices[i]);
        argv[n].joined = n > 0;
        n++;
    }
    if (n == 0)
        argv[n++] = redis_arg(WEIR_SPAN_LIT(""));
    return n;
}

static void put_args(struct redis_task *t, const struct redis_scripts *s,
                     const struct shared_put *put, struct redis_arg *argv)
{
    struct number fence, ttl;
    size_t n = 0;

    if (put->how == SHARED_PUT_FENCED) {
        argv[n++] = redis_arg(put->key);
        argv[n++] = redis_arg(put->fence_key);
        argv[n++] = number(&fence, put->fence > INT64_MAX ? INT64_MAX : (int64_t)put->fence);
        argv[n++] = number(&ttl, put->ttl_ms);
        n += value_args(argv + n, put);
        script(t, &s->put_fenced, 2, argv, n);
        return;
    }
    argv[n++] = redis_arg(WEIR_SPAN_LIT("SET"));
    argv[n++] = redis_arg(put->key);
    n += value_args(argv + n, put);
    argv[n++] = redis_arg(WEIR_SPAN_LIT("PX"));
    argv[n++] = number(&ttl, put->ttl_ms);
    if (put->how == SHARED_PUT_NEW)
        argv[n++] = redis_arg(WEIR_SPAN_LIT("NX"));
    command(t, put->key, argv, n);
}

#define PUT_ARGS_OTHER 6 /* beside the value's */

void redis_ops_put(struct shared_port *p, struct shared_call *c, const struct shared_put *put)
{
    static const enum redis_op ops[] = {
        [SHARED_PUT] = REDIS_OP_PUT,
        [SHARED_PUT_NEW] = REDIS_OP_PUT_NEW,
        [SHARED_PUT_FENCED] = REDIS_OP_PUT_FENCED,
    };
    struct redis_arg few[PARTS_INLINE + PUT_ARGS_OTHER];
    struct redis_arg *many = NULL;
    struct redis_task *t;

    if (put->count > PARTS_INLINE) {
        many = weir_malloc((put->count + PUT_ARGS_OTHER) * sizeof *many);
        if (many == NULL) {
            shared_complete(p, c, SHARED_FULL);
            return;
        }
    }
    t = begin(p, c, ops[put->how], REDIS_STORE);
    if (t != NULL)
        put_args(t, scripts(p), put, many != NULL ? many : few);
    weir_free(many);
}

void redis_ops_remove(struct shared_port *p, struct shared_call *c, struct weir_span key)
{
    struct redis_task *t = begin(p, c, REDIS_OP_REMOVE, REDIS_WRITE);
    struct redis_arg argv[] = {redis_arg(WEIR_SPAN_LIT("UNLINK")), redis_arg(key)};

    if (t != NULL)
        COMMAND(t, key, argv);
}

void redis_ops_remove_if(struct shared_port *p, struct shared_call *c, struct weir_span key,
                         size_t offset, struct weir_span bytes)
{
    struct redis_task *t = begin(p, c, REDIS_OP_REMOVE_IF, REDIS_WRITE);
    struct number at;
    struct redis_arg argv[] = {redis_arg(key), number(&at, (int64_t)offset), redis_arg(bytes)};

    if (t != NULL)
        SCRIPT(t, &scripts(p)->remove_if, 1, argv);
}

void redis_ops_touch(struct shared_port *p, struct shared_call *c, struct weir_span key,
                     int64_t ttl_ms)
{
    struct redis_task *t = begin(p, c, REDIS_OP_TOUCH, REDIS_WRITE);
    struct number ttl;
    struct redis_arg argv[] = {redis_arg(key), number(&ttl, ttl_ms)};

    if (t != NULL)
        SCRIPT(t, &scripts(p)->touch, 1, argv);
}

/* ---- leases ---- */

static void lease_take(struct redis_task *t, const struct redis_scripts *s,
                       const struct shared_lease *l)
{
    struct number life, fence_life;
    struct redis_arg argv[] = {
        redis_arg(l->key),     redis_arg(l->fence_key),    redis_arg(l->owner),
        redis_arg(l->channel), number(&life, l->lease_ms), number(&fence_life, l->fence_ttl_ms),
    };

    SCRIPT(t, &s->lease_take, 2, argv);
}

static void lease_renew(struct redis_task *t, const struct redis_scripts *s,
                        const struct shared_lease *l)
{
    struct number life, fence_life;
    struct redis_arg argv[] = {
        redis_arg(l->key),
        redis_arg(l->fence_key),
        redis_arg(l->owner),
        number(&life, l->lease_ms),
        number(&fence_life, l->fence_ttl_ms),
    };

    SCRIPT(t, &s->lease_renew, 2, argv);
}

/* The hint is kept until the waiters are known. */
static void lease_wake(struct redis_task *t, const struct redis_scripts *s,
                       const struct shared_lease *l, struct weir_span hint)
{
    struct redis_arg argv[] = {
        redis_arg(l->key),
        redis_arg(l->owner),
        redis_arg_str(t->op == REDIS_OP_LEASE_RELEASE ? "1" : "0"),
    };

    t->hint = weir_strndup(hint.len > 0 ? hint.ptr : "", hint.len);
    t->hint_len =
        t->hint != NULL ? hint.len : 0; /* without memory they are not told: it got lost */
    SCRIPT(t, &s->lease_wake, 1, argv);
}

void redis_ops_lease(struct shared_port *p, struct shared_call *c, enum shared_lease_how how,
                     const struct shared_lease *l, struct weir_span hint)
{
    static const enum redis_op ops[] = {
        [SHARED_LEASE_TAKE] = REDIS_OP_LEASE_TAKE,
        [SHARED_LEASE_RENEW] = REDIS_OP_LEASE_RENEW,
        [SHARED_LEASE_WAKE] = REDIS_OP_LEASE_WAKE,
        [SHARED_LEASE_RELEASE] = REDIS_OP_LEASE_RELEASE,
    };
    struct redis_task *t = begin(p, c, ops[how], REDIS_WRITE);

    if (t == NULL)
        return;
    if (how == SHARED_LEASE_TAKE)
        lease_take(t, scripts(p), l);
    else if (how == SHARED_LEASE_RENEW)
        lease_renew(t, scripts(p), l);
    else
        lease_wake(t, scripts(p), l, hint);
}

/* ---- logs ---- */

void redis_ops_log_append(struct shared_port *p, struct shared_call *c,
                          const struct shared_log *log, struct weir_span bytes)
{
    struct redis_task *t = begin(p, c, REDIS_OP_LOG_APPEND, REDIS_STORE);
    char above[REDIS_LOG_ID_TEXT];
    struct number max;
    struct redis_arg argv[] = {
        redis_arg(log->key),
        redis_arg_str(log->max <= LOG_EXACT_MAX ? "=" : "~"),
        number(&max, log->max > INT64_MAX ? INT64_MAX : (int64_t)log->max),
        redis_arg(bytes),
        redis_arg(log->channel), /* the same tag, so the same slot: the front has seen to it */
        redis_arg(redis_log_id_text(log->above, above)),
    };

    if (t != NULL)
        SCRIPT(t, &scripts(p)->log_append, 1, argv);
}

void redis_ops_log_open(struct shared_port *p, struct shared_call *c, const struct shared_log *log)
{
    struct redis_task *t = begin(p, c, REDIS_OP_LOG_OPEN, REDIS_STORE);
    struct redis_arg argv[] = {redis_arg(log->key)};

    if (t != NULL)
        SCRIPT(t, &scripts(p)->log_open, 1, argv);
}

void redis_ops_log_read(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                        uint64_t after, size_t max)
{
    struct redis_task *t = begin(p, c, REDIS_OP_LOG_READ, REDIS_READ_MASTER);
    char id[REDIS_LOG_ID_TEXT];
    struct number count;
    struct redis_arg argv[] = {
        redis_arg(log->key),
        redis_arg(redis_log_id_text(after, id)),
        number(&count, max > INT64_MAX ? INT64_MAX : (int64_t)max),
    };

    if (t != NULL)
        SCRIPT(t, &scripts(p)->log_read, 1, argv);
}

/* ---- boards ---- */

/* The board's second key, beside it by its part in braces: the front has seen to that. */
struct ends_key {
    char text[SHARED_KEY_MAX + 2];
};

static struct redis_arg ends_key(struct ends_key *k, struct weir_span board)
{
    memcpy(k->text, board.ptr, board.len);
    memcpy(k->text + board.len, ":e", 2);
    return redis_arg(weir_span(k->text, board.len + 2));
}

static struct weir_span hint_of(const struct shared_board *b, struct weir_span hint)
{
    return b->channel.len > 0 ? hint : WEIR_SPAN_NONE;
}

#define POST_ARGS      4
#define BOARD_PUT_ARGS (6 + POST_ARGS * SHARED_BOARD_POSTS)

void redis_ops_board_put(struct shared_port *p, struct shared_call *c, const struct shared_board *b,
                         const struct shared_post *posts, size_t count, struct weir_span hint)
{
    struct redis_task *t = begin(p, c, REDIS_OP_BOARD_PUT, REDIS_STORE);
    struct number most, most_bytes, ttls[SHARED_BOARD_POSTS];
    struct redis_arg argv[BOARD_PUT_ARGS];
    struct ends_key ends;
    size_t n = 0;

    if (t == NULL)
        return;
    argv[n++] = redis_arg(b->key);
    argv[n++] = ends_key(&ends, b->key);
    argv[n++] = redis_arg(b->channel);
    argv[n++] = redis_arg(hint_of(b, hint));
    argv[n++] = number(&most, SHARED_BOARD_MAX);
    argv[n++] = number(&most_bytes, SHARED_BOARD_BYTES);
    for (size_t i = 0; i < count; i++) {
        argv[n++] = redis_arg(posts[i].id);
        argv[n++] = redis_arg(posts[i].bytes);
        argv[n++] = number(&ttls[i], posts[i].ttl_ms);
        argv[n++] = redis_arg_str(posts[i].if_absent ? "1" : "0");
    }
    script(t, &scripts(p)->board_put, 2, argv, n);
}

void redis_ops_board_remove(struct shared_port *p, struct shared_call *c,
                            const struct shared_board *b, const struct weir_span *ids, size_t count,
                            struct weir_span hint)
{
    struct redis_task *t = begin(p, c, REDIS_OP_BOARD_REMOVE, REDIS_WRITE);
    struct redis_arg argv[4 + SHARED_BOARD_POSTS];
    struct ends_key ends;
    size_t n = 0;

    if (t == NULL)
        return;
    argv[n++] = redis_arg(b->key);
    argv[n++] = ends_key(&ends, b->key);
    argv[n++] = redis_arg(b->channel);
    argv[n++] = redis_arg(hint_of(b, hint));
    for (size_t i = 0; i < count; i++)
        argv[n++] = redis_arg(ids[i]);
    script(t, &scripts(p)->board_remove, 2, argv, n);
}

void redis_ops_board_read(struct shared_port *p, struct shared_call *c,
                          const struct shared_board *b)
{
    struct redis_task *t = begin(p, c, REDIS_OP_BOARD_READ, REDIS_READ_MASTER);
    struct redis_arg argv[] = {redis_arg(b->key)};

    if (t != NULL)
        SCRIPT(t, &scripts(p)->board_read, 1, argv);
}

/* ---- tokens ---- */

void redis_ops_tokens_take(struct shared_port *p, struct shared_call *c,
                           const struct shared_rate *r, uint32_t want)
{
    struct redis_task *t = begin(p, c, REDIS_OP_TOKENS_TAKE, REDIS_STORE);
    struct number interval, burst, most;
    struct redis_arg argv[] = {
        redis_arg(r->key),
        number(&interval, (int64_t)r->interval_us),
        number(&burst, r->burst),
        number(&most, want),
    };

    if (t == NULL)
        return;
    t->want = want;
    SCRIPT(t, &scripts(p)->tokens_take, 1, argv);
}

/* ---- hints ---- */

void redis_ops_hint(struct shared_port *p, struct shared_call *c, struct weir_span channel,
                    struct weir_span bytes)
{
    struct redis_task *t = begin(p, c, REDIS_OP_HINT, REDIS_WRITE);

    if (t != NULL)
        redis_task_publish(t, channel, bytes);
}
