#include "shared_redis_own.h"

#include "redis_reply.h"
#include "weir/alloc.h"
#include "weir/container.h"

#define PUBLISH_TIMEOUT_MS 500 /* of hints that nobody waits for */

/* ---- life ---- */

static void on_done(struct redis_call *call);

struct redis_task *redis_task_new(struct redis_port *p, enum redis_op op, enum shared_area area,
                                  struct shared_call *c)
{
    struct redis_task *t = p->idle;

    if (t != NULL) {
        p->idle = t->next_idle;
    } else {
        t = weir_calloc(1, sizeof *t);
        if (t == NULL)
            return NULL;
        t->port = p;
        t->call.done = on_done;
        t->next = p->tasks;
        p->tasks = t;
    }
    t->op = op;
    t->area = area;
    t->c = c;
    t->call.bulk = false;
    t->call.confirm_ms = 0;
    return t;
}

static void release(struct redis_task *t)
{
    weir_free(t->hint);
    t->hint = NULL;
    t->c = NULL;
    t->next_idle = t->port->idle;
    t->port->idle = t;
}

void redis_task_leave(struct redis_task *t)
{
    t->c = NULL;
    if (t->hint != NULL)
        return; /* the waiters are forgotten in Redis: who waits must hear of it */
    redis_call_cancel(&t->call);
    release(t);
}

void redis_tasks_free(struct redis_port *p)
{
    struct redis_task *next;

    for (struct redis_task *t = p->tasks; t != NULL; t = next) {
        next = t->next;
        weir_free(t->hint);
        weir_free(t);
    }
    p->tasks = p->idle = NULL;
}

/* ---- hints ---- */

void redis_task_publish(struct redis_task *t, struct weir_span channel, struct weir_span bytes)
{
    struct redis_arg argv[] = {redis_arg_str("SPUBLISH"), redis_arg(channel), redis_arg(bytes)};

    t->call.kind = REDIS_WRITE;
    t->call.timeout_ms = t->c != NULL ? t->c->timeout_ms : PUBLISH_TIMEOUT_MS;
    redis_call_command(t->port->clusters[t->area], &t->call, channel, argv, 3);
}

/* The waiters' channels lie in other slots, where the script that collected them may not publish.
 * A hint that is not sent for want of memory is one that got lost. */
static void tell_waiters(struct redis_task *t, const struct redis_reply *reply, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct redis_task *hint = redis_task_new(t->port, REDIS_OP_HINT, t->area, NULL);

        if (hint != NULL)
            redis_task_publish(hint, redis_answer_waiter(reply, i),
                               weir_span(t->hint, t->hint_len));
    }
}

/* ---- the end ---- */

static enum shared_result result_without_reply(enum redis_result r)
{
    switch (r) {
    case REDIS_FULL:
        return SHARED_FULL;
    case REDIS_GONE:
        return SHARED_GONE;
    case REDIS_DENIED:
        return SHARED_BAD;
    case REDIS_LATE:
    case REDIS_LOST: /* not late, but as little is known of what has become of it */
    default:
        return SHARED_LATE;
    }
}

/* A Redis alone does not say whether it has replicas: it has, once one has confirmed a write. */
static bool unconfirmed(const struct redis_task *t)
{
    struct redis_port *p = t->port;
    const struct redis_call *call = &t->call;

    if (call->confirm_ms == 0)
        return false;
    if (call->confirmed > 0)
        p->replica_seen[t->area] = true;
    return call->confirmed == 0 && !call->alone &&
           (p->replica_seen[t->area] ||
            redis_cluster_mode(p->clusters[t->area]) != REDIS_MODE_PLAIN);
}

static void on_done(struct redis_call *call)
{
    struct redis_task *t = WEIR_CONTAINER(call, struct redis_task, call);
    struct redis_port *p = t->port;
    struct shared_call nobody = {.done = NULL};
    struct shared_call *c = t->c != NULL ? t->c : &nobody;
    enum shared_result result;

    if (call->result == REDIS_OK) {
        redis_answer(t->op, call->reply, c);
        result = c->result;
        if (t->op == REDIS_OP_TOKENS_TAKE && c->number > t->want) {
            c->number = c->rest = 0; /* tokens that nobody asked for are none */
            result = SHARED_BAD;
        }
        if (result == SHARED_OK && t->hint != NULL)
            tell_waiters(t, call->reply, c->number);
        c->unconfirmed = result == SHARED_OK && unconfirmed(t);
    } else {
        result = result_without_reply(call->result);
    }
    p->results[t->area][t->op][result]++;
    release(t);
    if (c != &nobody)
        shared_complete(&p->base, c, result);
}
