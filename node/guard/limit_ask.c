/*
 * limit_ask.c - asking the farm for tokens of one key, and telling all who wait for the answer.
 *
 *   limit_ask_begin (cell.asking) -> limit_ask_go -> on_answer --everybody has one--> over
 *                                        ^               |
 *                                        '--some wait----'
 */
#include "weir/alloc.h"
#include "weir/container.h"
#include "limit_own.h"

#define NAME_ROOM 128

struct limit_ask {
    struct shared_call call;
    struct limit_ask *next, **at; /* of its worker */
    struct limit_worker *worker;
    struct limit_counts *counts;
    struct weir_gcra_rate rate;
    struct weir_hash128 key;
    uint32_t want;
    size_t name_len;
    char name[NAME_ROOM];
};

static const char hex[] = "0123456789abcdef";

/* "w1:{r<limit>:<32 digits>}": the digits are a code over the key's hash that only the farm can
 * make. */
static bool put_name(struct limit_ask *a)
{
    char sealed[WEIR_SEAL_BYTES + sizeof a->key];
    struct weir_span limit = weir_span_str(a->counts->name);
    char *to = a->name;

    if (!weir_seal(&a->worker->node->seal, "limit", limit,
                   weir_span((const char *)&a->key, sizeof a->key), sealed))
        return false;
    memcpy(to, "w1:{r", 5);
    memcpy(to + 5, limit.ptr, limit.len); /* at most 64 */
    to += 5 + limit.len;
    *to++ = ':';
    for (int i = 0; i < WEIR_SEAL_BYTES; i++) {
        *to++ = hex[(unsigned char)sealed[i] >> 4];
        *to++ = hex[(unsigned char)sealed[i] & 15];
    }
    *to++ = '}';
    a->name_len = (size_t)(to - a->name);
    return true;
}

static void unlink_ask(struct limit_ask *a)
{
    *a->at = a->next;
    if (a->next != NULL)
        a->next->at = a->at;
}

/* ---- telling ---- */

static void arrive(struct limit_waiter *w)
{
    if (w->done != NULL) {
        atomic_fetch_sub_explicit(&w->limit->counts->waiting, 1, memory_order_relaxed);
        *w->out = w->taken;
        w->done(w->arg);
    }
    weir_free(w);
}

static void on_mail(struct weir_mail *mail)
{
    arrive(WEIR_CONTAINER(mail, struct limit_waiter, mail));
}

static struct limit_waiter *pop(struct limit_cell *c)
{
    struct limit_waiter *w = c->first;

    c->first = w->next;
    if (c->first != NULL)
        c->first->at = &c->first;
    c->waiting--;
    w->at = NULL;
    w->next = NULL;
    return w;
}

/* Told at once when it waits on this thread, which is outside of everything now; else by mail,
 * posted before the lock is left, so that who cancels finds it in the list or in the mailbox. */
static void tell(struct limit_waiter *w, const struct limit_said *said,
                 const struct limit_worker *here, struct limit_waiter ***own)
{
    limit_taken_say(&w->taken, said);
    if (w->home == here) {
        **own = w;
        *own = &w->next;
        return;
    }
    w->mail = (struct weir_mail){.run = on_mail};
    weir_mailbox_post(w->home->box, &w->mail);
}

/* All for whom there is an answer now; those of this thread are handed back. */
static struct limit_waiter *tell_all(struct limit_ask *a, struct limit_cell *c, bool answered,
                                     bool again)
{
    const uint32_t members = limit_members(a->worker->node);
    const int64_t now_us = a->worker->clock->mono_us;
    struct limit_waiter *own = NULL, **last = &own;
    struct limit_said said;

    while (c->first != NULL) {
        if (!limit_cell_known(c, &a->rate, members, now_us, &said)) {
            if (answered && again)
                break; /* there is more: it is worth asking for the rest of them */
            limit_cell_local(c, &a->rate, members, now_us, &said);
        }
        tell(pop(c), &said, a->worker, &last);
    }
    return own;
}

static void take_answer(struct limit_ask *a, struct limit_cell *c, bool answered)
{
    const int64_t now_us = a->worker->clock->mono_us;
    const struct shared_call *call = &a->call;

    if (!answered)
        limit_cell_lost(c, now_us);
    else if (call->result == SHARED_OK)
        limit_cell_answer(c, &a->rate, now_us, (uint32_t)call->number, 0, call->rest);
    else
        limit_cell_answer(c, &a->rate, now_us, 0, (int64_t)call->left_ms * 1000, 0);
}

static void count_result(struct limit_ask *a, bool answered)
{
    weir_metric_add(a->worker->metrics, WEIR_M_limit_questions, 1);
    if (answered)
        return;
    weir_metric_add(a->worker->metrics, WEIR_M_limit_late, 1);
    atomic_fetch_add_explicit(&a->counts->late, 1, memory_order_relaxed);
}

static void on_answer(struct shared_call *call)
{
    struct limit_ask *a = WEIR_CONTAINER(call, struct limit_ask, call);
    const bool granted = call->result == SHARED_OK && call->number > 0 && call->number <= a->want;
    const bool answered = granted || call->result == SHARED_REFUSED;
    struct limit_shard *shard = limit_table_enter(a->worker->node->table, &a->key);
    struct limit_cell *c = limit_shard_find(shard, &a->key); /* it is asking: it stays */
    struct limit_waiter *own;
    bool again;

    count_result(a, answered);
    c->asking = false;
    take_answer(a, c, answered);
    own = tell_all(a, c, answered, limit_may_ask(a->worker));
    again = c->first != NULL;
    c->asking = again;
    if (again)
        a->want =
            limit_cell_want(c, &a->rate, limit_members(a->worker->node), a->worker->clock->mono_us);
    limit_shard_leave(shard);
    shared_call_clear(call);
    if (again) {
        limit_ask_go(a);
    } else {
        unlink_ask(a);
        weir_free(a);
    }
    while (own != NULL) {
        struct limit_waiter *w = own;

        own = w->next;
        arrive(w);
    }
}

/* ---- asking ---- */

bool limit_ask_begin(struct limit_worker *w, const struct limit *l, struct limit_cell *c,
                     const struct weir_hash128 *key, struct limit_ask **out)
{
    struct limit_ask *a = weir_calloc(1, sizeof *a);

    if (a == NULL)
        return false;
    a->worker = w;
    a->counts = l->counts;
    a->rate = l->rate;
    a->key = *key;
    if (!put_name(a)) {
        weir_free(a);
        return false;
    }
    a->call.done = on_answer;
    a->call.area = SHARED_STATE;
    a->call.timeout_ms = w->node->timeout_ms;
    a->want = limit_cell_want(c, &a->rate, limit_members(w->node), w->clock->mono_us);
    c->asking = true;
    a->at = &w->asks;
    a->next = w->asks;
    if (a->next != NULL)
        a->next->at = &a->next;
    w->asks = a;
    *out = a;
    return true;
}

void limit_ask_go(struct limit_ask *a)
{
    const struct shared_rate rate = {weir_span(a->name, a->name_len), a->rate.interval_us,
                                     a->rate.burst};

    shared_tokens_take(a->worker->port, &a->call, &rate, a->want);
}

void limit_worker_close(struct limit_worker *w)
{
    for (struct limit_ask *a = w->asks, *next; a != NULL; a = next) {
        next = a->next;
        unlink_ask(a);
        shared_cancel(w->port, &a->call);
        weir_free(a);
    }
}
