#include "redis_cluster_own.h"

#include <stdio.h>

#include "redis_args.h"
#include "weir/alloc.h"
#include "weir/container.h"

#define TRIES_MAX   3    /* sendings for want of an answer: redirections are counted apart */
#define PARKED_MAX  1024 /* calls that wait for a map */
#define TRYAGAIN_MS 10
#define FULL_MS     1000 /* nothing is stored in a node for so long after it answered OOM */

enum call_state { CALL_IDLE, CALL_SENT, CALL_PARKED_FOR_MAP, CALL_PARKED_FOR_TIME, CALL_ENDED };

static void dispatch(struct redis_call *call, const struct redis_node *avoid);
static void on_reply(struct redis_command *cmd, struct redis_reply *reply, enum redis_fault fault);

/* ---- the life of a call ---- */

static void link_call(struct redis_cluster *c, struct redis_call *call)
{
    call->cluster = c;
    call->next = NULL;
    call->at = c->calls_end;
    *c->calls_end = call;
    c->calls_end = &call->next;
    c->under_way++;
}

static void set_state(struct redis_call *call, enum call_state state)
{
    struct redis_cluster *c = call->cluster;

    c->parked -= call->state == CALL_PARKED_FOR_MAP || call->state == CALL_PARKED_FOR_TIME;
    call->state = (uint8_t)state;
    c->parked += state == CALL_PARKED_FOR_MAP || state == CALL_PARKED_FOR_TIME;
}

static void attempt_over(struct redis_attempt *a)
{
    redis_command_cancel(&a->cmd);
    if (a->node != NULL)
        a->node->busy--;
    a->node = NULL;
}

/* Everything it waits for, and everything it holds. */
void redis_call_drop(struct redis_call *call)
{
    struct redis_cluster *c = call->cluster;

    if (c == NULL)
        return;
    set_state(call, CALL_IDLE);
    attempt_over(&call->attempts[0]);
    attempt_over(&call->attempts[1]);
    redis_command_cancel(&call->wait);
    redis_timer_stop(&call->timer);
    redis_later_cancel(c->loop, &call->later);
    redis_reply_unref(call->held);
    call->held = NULL;
    redis_args_free(call->args);
    call->args = NULL;
    *call->at = call->next;
    if (call->next != NULL)
        call->next->at = call->at;
    else
        c->calls_end = call->at;
    call->cluster = NULL;
    c->under_way--;
}

void redis_call_cancel(struct redis_call *call)
{
    redis_call_drop(call);
}

/* Only from the loop's level, and the last thing that is done: call and cluster may be gone after
 * it. reply: borrowed. */
static void finish(struct redis_call *call, enum redis_result result, struct redis_reply *reply)
{
    call->cluster->results[result]++;
    redis_call_drop(call);
    call->result = result;
    call->reply = reply;
    call->done(call);
}

static void on_later(struct redis_later *l)
{
    struct redis_call *call = WEIR_CONTAINER(l, struct redis_call, later);

    finish(call, call->result, NULL);
}

/* At the end of the turn: may be called from inside what the caller asked. */
static void end(struct redis_call *call, enum redis_result result)
{
    struct redis_cluster *c = call->cluster;

    redis_timer_stop(&call->timer);
    set_state(call, CALL_ENDED);
    call->result = result;
    call->later.run = on_later;
    redis_later(c->loop, &call->later);
}

static void on_timer(struct redis_timer *t)
{
    struct redis_call *call = WEIR_CONTAINER(t, struct redis_call, timer);

    if (redis_now_ms() >= call->deadline_ms)
        end(call, REDIS_LATE);
    else
        dispatch(call, NULL);
}

static void park(struct redis_call *call, enum call_state state, int64_t until_ms)
{
    struct redis_cluster *c = call->cluster;

    if (c->parked >= PARKED_MAX) {
        end(call, REDIS_FULL);
        return;
    }
    set_state(call, state);
    call->timer.fire = on_timer;
    redis_timer_start(c->loop, &call->timer,
                      until_ms < call->deadline_ms ? until_ms : call->deadline_ms);
}

void redis_calls_wake(struct redis_cluster *c)
{
    struct redis_call *next;

    for (struct redis_call *call = c->calls; call != NULL; call = next) {
        next = call->next; /* dispatching ends none at once: nobody leaves the list here */
        if (call->state == CALL_PARKED_FOR_MAP) {
            redis_timer_stop(&call->timer);
            dispatch(call, NULL);
        }
    }
}

/* ---- sending ---- */

static enum redis_lane lane_of(const struct redis_call *call)
{
    if (call->confirm_ms > 0)
        return REDIS_LANE_CONFIRM;
    return call->bulk ? REDIS_LANE_BULK : REDIS_LANE_SMALL;
}

static enum redis_result result_of(enum redis_fault fault)
{
    switch (fault) {
    case REDIS_FAULT_TIMEOUT:
        return REDIS_LATE;
    case REDIS_FAULT_CONNECT:
    case REDIS_FAULT_TLS:
        return REDIS_GONE;
    case REDIS_FAULT_AUTH:
        return REDIS_DENIED;
    case REDIS_FAULT_FULL:
        return REDIS_FULL;
    default:
        return REDIS_LOST;
    }
}

static struct redis_shard *shard_of(struct redis_cluster *c, uint16_t slot)
{
    uint16_t shard = c->route[slot];

    return shard < c->shard_count ? &c->shards[shard] : NULL;
}

static bool has_no_replica(const struct redis_call *call)
{
    const struct redis_cluster *c = call->cluster;
    uint16_t shard = c->route[call->slot];

    /* A shard of the overlay and a Redis alone may have some that we have not heard of. */
    return c->mode == REDIS_MODE_CLUSTER && shard < c->map->shard_count &&
           c->shards[shard].count == 1;
}

static void on_confirmed(struct redis_command *cmd, struct redis_reply *reply,
                         enum redis_fault fault)
{
    struct redis_call *call = WEIR_CONTAINER(cmd, struct redis_call, wait);
    struct redis_reply *held = call->held;
    int64_t replicas;

    if (fault == REDIS_FAULT_NONE && redis_reply_int(reply, &replicas) && replicas > 0)
        call->confirmed = (uint32_t)replicas;
    if (held == NULL)
        return; /* ended before the command it confirms: that one's own end is on its way */
    call->held = NULL;
    finish(call, REDIS_OK, held);
    redis_reply_unref(held);
}

/* Right behind the command on its connection. Not sent: then it is not confirmed. */
static void send_wait(struct redis_call *call, struct redis_conn *conn)
{
    char ms[16];
    int len = snprintf(ms, sizeof(ms), "%u", call->confirm_ms);
    const struct redis_arg argv[] = {redis_arg_str("WAIT"), redis_arg_str("1"),
                                     redis_arg(weir_span(ms, (size_t)len))};

    call->alone = has_no_replica(call);
    if (call->alone)
        return; /* WAIT would wait for all of its time */
    call->wait.done = on_confirmed;
    call->wait.deadline_ms = call->deadline_ms;
    (void)redis_conn_submit(conn, &call->wait, argv, 3, 0);
}

static enum redis_fault send_on(struct redis_call *call, struct redis_attempt *a,
                                struct redis_node *n, bool readonly, unsigned flags)
{
    struct redis_conn *conn = redis_node_lane(n, lane_of(call), readonly);
    enum redis_fault fault;

    a->cmd.done = on_reply;
    a->cmd.deadline_ms = call->deadline_ms;
    if (conn == NULL)
        return REDIS_FAULT_MEMORY;
    if (call->script != NULL)
        redis_args_reload(call->args, call->script, call->reloading);
    fault = redis_conn_submit(conn, &a->cmd, call->args->argv, call->args->argc, flags);
    if (fault != REDIS_FAULT_NONE) {
        n->counts.full += fault == REDIS_FAULT_FULL;
        return fault;
    }
    a->node = n;
    a->flags = flags;
    a->readonly = readonly;
    a->sent_us = redis_now_us();
    n->busy++;
    n->counts.calls++;
    if (call->confirm_ms > 0)
        send_wait(call, conn);
    return REDIS_FAULT_NONE;
}

/* The first attempt, or what comes after it: a redirection, another copy. */
static void send_to(struct redis_call *call, struct redis_node *n, bool readonly, unsigned flags)
{
    enum redis_fault fault;

    if (call->kind == REDIS_STORE && redis_now_ms() < n->full_until_ms) {
        end(call, REDIS_FULL);
        return;
    }
    if (!redis_breaker_admits(&n->breaker, redis_now_ms())) {
        end(call, REDIS_GONE);
        return;
    }
    fault = send_on(call, &call->attempts[0], n, readonly, flags);
    if (fault == REDIS_FAULT_NONE)
        set_state(call, CALL_SENT);
    else
        end(call, fault == REDIS_FAULT_CLOSED ? REDIS_GONE : REDIS_FULL);
}

/* ---- routing ---- */

/* Not `avoid`, and not one whose breaker is open; by lot. NULL: there is none. */
static struct redis_node *copy_for(struct redis_call *call, const struct redis_shard *s,
                                   const struct redis_node *avoid)
{
    struct redis_cluster *c = call->cluster;
    bool any = call->kind == REDIS_READ && c->settings.replica_reads && s->count > 1;
    uint32_t first = any ? redis_cluster_random(c, s->count) : 0;

    for (uint32_t i = 0; i < (any ? s->count : 1); i++) {
        struct redis_node *n = s->copies[(first + i) % s->count];

        if (n != avoid && !redis_breaker_open(&n->breaker))
            return n;
    }
    return NULL;
}

static void hedge(struct redis_timer *t)
{
    struct redis_call *call = WEIR_CONTAINER(t, struct redis_call, timer);
    struct redis_shard *s = shard_of(call->cluster, call->slot);
    struct redis_node *n = s != NULL ? copy_for(call, s, call->attempts[0].node) : NULL;

    if (n == NULL || call->attempts[0].node == NULL)
        return;
    if (send_on(call, &call->attempts[1], n, n != s->copies[0], 0) == REDIS_FAULT_NONE)
        call->cluster->hedged++;
}

static void plan_hedge(struct redis_call *call, const struct redis_shard *s)
{
    struct redis_cluster *c = call->cluster;
    const struct redis_node *n = call->attempts[0].node;
    int64_t usual_ms, wait_ms = c->settings.hedge_ms;

    if (wait_ms == 0 || call->kind != REDIS_READ || !c->settings.replica_reads || s->count < 2 ||
        call->state != CALL_SENT)
        return;
    usual_ms = ((int64_t)n->rtt_us + 4 * (int64_t)n->var_us) / 1000;
    call->timer.fire = hedge;
    redis_timer_start(c->loop, &call->timer,
                      redis_now_ms() + (usual_ms > wait_ms ? usual_ms : wait_ms));
}

/* To the owner of the slot, or into the waiting room while nobody is known. */
static void dispatch(struct redis_call *call, const struct redis_node *avoid)
{
    struct redis_cluster *c = call->cluster;
    struct redis_shard *s = shard_of(c, call->slot);
    struct redis_node *n;

    if (c->map == NULL && !c->refresh.failed) {
        park(call, CALL_PARKED_FOR_MAP, call->deadline_ms);
        return;
    }
    if (s == NULL) { /* a slot that nobody owns, or nobody to ask at all */
        redis_refresh_want(c, NULL, NULL);
        end(call, REDIS_GONE);
        return;
    }
    n = copy_for(call, s, avoid);
    if (n == NULL) {
        end(call, REDIS_GONE);
        return;
    }
    send_to(call, n, n != s->copies[0], 0);
    plan_hedge(call, s);
}

/* ---- what came back ---- */

/* Sends a read once more, to another copy if there is one, to the same node if `again`. */
static bool second_try(struct redis_call *call, struct redis_node *failed, bool again)
{
    struct redis_shard *s = shard_of(call->cluster, call->slot);
    bool read = call->kind == REDIS_READ || call->kind == REDIS_READ_MASTER;

    if (!read || s == NULL || call->tries >= TRIES_MAX - 1 || redis_now_ms() >= call->deadline_ms)
        return false;
    if (copy_for(call, s, failed) == NULL && !again)
        return false;
    call->tries++;
    dispatch(call, copy_for(call, s, failed) != NULL ? failed : NULL);
    return true;
}

static void moved(struct redis_call *call, struct redis_node *from, uint16_t slot,
                  const struct redis_address *to)
{
    struct redis_cluster *c = call->cluster;
    struct redis_node *n = redis_node_told(c, to);

    if (n != NULL && n != from)
        redis_route_patch(c, slot, n);
    redis_refresh_want(c, from, NULL); /* it knows more than our map did */
    if (n == NULL || n == from || ++call->hops > REDIS_HOPS_MAX)
        end(call, REDIS_GONE); /* in circles: nothing was executed */
    else
        send_to(call, n, false, 0);
}

static void ask(struct redis_call *call, struct redis_node *from, const struct redis_address *to)
{
    struct redis_node *n = redis_node_told(call->cluster, to);

    if (n == NULL || n == from || ++call->hops > REDIS_HOPS_MAX)
        end(call, REDIS_GONE);
    else
        send_to(call, n, false, REDIS_ASKING);
}

static void wait_once(struct redis_call *call, enum call_state state, int64_t until_ms)
{
    if (call->waited) {
        end(call, REDIS_GONE);
        return;
    }
    call->waited = true;
    park(call, state, until_ms);
}

static void unknown_script(struct redis_call *call, const struct redis_attempt *a,
                           struct redis_node *n, struct redis_reply *reply)
{
    if (call->script == NULL || call->reloading) {
        finish(call, REDIS_OK, reply); /* not ours to mend */
        return;
    }
    call->reloading = true;
    send_to(call, n, a->readonly, a->flags);
}

static void out_of_memory(struct redis_call *call, struct redis_node *n)
{
    n->full_until_ms = redis_now_ms() + FULL_MS;
    end(call, REDIS_FULL);
}

static void not_let_in(struct redis_call *call, struct redis_node *n, struct redis_reply *reply)
{
    redis_node_complain(n, REDIS_FAULT_AUTH, reply->text);
    end(call, REDIS_DENIED);
}

/* The table of redis.md 3.3. The node has not executed anything, unless it is an ANSWER or ERROR.
 */
static void act(struct redis_call *call, const struct redis_attempt *a, struct redis_node *n,
                struct redis_reply *reply, enum redis_says says, uint16_t slot,
                const struct redis_address *to)
{
    struct redis_cluster *c = call->cluster;

    switch (says) {
    case REDIS_SAYS_ANSWER:
    case REDIS_SAYS_ERROR:
    case REDIS_SAYS_NO_CLUSTER:
        finish(call, REDIS_OK, reply);
        return;
    case REDIS_SAYS_MOVED:
        moved(call, n, slot, to);
        return;
    case REDIS_SAYS_ASK:
        ask(call, n, to);
        return;
    case REDIS_SAYS_TRYAGAIN:
        wait_once(call, CALL_PARKED_FOR_TIME, redis_now_ms() + TRYAGAIN_MS);
        return;
    case REDIS_SAYS_READONLY:
        redis_refresh_want(c, NULL, n);
        wait_once(call, CALL_PARKED_FOR_MAP, call->deadline_ms);
        return;
    case REDIS_SAYS_NOSCRIPT:
        unknown_script(call, a, n, reply);
        return;
    case REDIS_SAYS_OOM:
        out_of_memory(call, n);
        return;
    case REDIS_SAYS_DENIED:
        not_let_in(call, n, reply);
        return;
    case REDIS_SAYS_REFUSES:
        end(call, REDIS_GONE);
        return;
    case REDIS_SAYS_CLUSTERDOWN:
    case REDIS_SAYS_LOADING:
    case REDIS_SAYS_CLIENTS:
    case REDIS_SAYS_NONSENSE:
        redis_refresh_want(c, NULL, n);
        if (!second_try(call, n, false))
            end(call, REDIS_GONE);
        return;
    }
}

static void came_to_nothing(struct redis_call *call, struct redis_node *n, enum redis_fault fault)
{
    /* A connection that Redis closed for its idleness is no reason to miss: the same node again. */
    if (fault == REDIS_FAULT_TIMEOUT || !second_try(call, n, fault == REDIS_FAULT_CLOSED))
        end(call, result_of(fault));
}

static bool of_use(enum redis_says says)
{
    return says == REDIS_SAYS_ANSWER || says == REDIS_SAYS_ERROR;
}

/* Of two that were asked the first answer counts; a refusal does not while the other may answer. */
static bool leave_it_to_the_other(struct redis_call *call, size_t i, bool usable)
{
    struct redis_attempt *other = &call->attempts[1 - i];

    if (other->node == NULL)
        return false;
    if (!usable)
        return true;
    attempt_over(other);
    call->cluster->hedges_won += i == 1;
    return false;
}

static void on_reply(struct redis_command *cmd, struct redis_reply *reply, enum redis_fault fault)
{
    struct redis_attempt *a = WEIR_CONTAINER(cmd, struct redis_attempt, cmd);
    struct redis_call *call = a->call;
    struct redis_node *n = a->node;
    enum redis_says says = REDIS_SAYS_NONSENSE;
    struct redis_address to;
    uint16_t slot = 0;

    a->node = NULL;
    n->busy--;
    if (fault == REDIS_FAULT_NONE) {
        says = redis_says(reply, &n->address, &slot, &to);
        n->counts.says[says]++;
        redis_node_measured(n, redis_now_us() - a->sent_us);
        redis_node_note(n, redis_says_outcome(says));
    }
    if (fault == REDIS_FAULT_TIMEOUT) {
        n->counts.timeouts++;
        redis_node_note(n, REDIS_OUTCOME_TIMEOUT); /* other ends were noted with the connection */
    }
    if (leave_it_to_the_other(call, (size_t)(a - call->attempts), of_use(says)))
        return;
    redis_timer_stop(&call->timer);
    if (of_use(says) && !redis_command_idle(&call->wait)) {
        call->held = redis_reply_ref(reply);
        return;
    }
    redis_command_cancel(&call->wait);
    if (fault != REDIS_FAULT_NONE)
        came_to_nothing(call, n, fault);
    else
        act(call, a, n, reply, says, slot, &to);
}

/* ---- asking ---- */

static void begin(struct redis_cluster *c, struct redis_call *call, uint16_t slot,
                  const struct redis_script *script, struct redis_args *args)
{
    link_call(c, call);
    call->args = args;
    call->script = script;
    call->slot = slot;
    call->deadline_ms = redis_now_ms() + call->timeout_ms;
    call->hops = call->tries = 0;
    call->reloading = call->waited = false;
    call->confirmed = 0;
    call->alone = false;
    call->reply = NULL;
    call->attempts[0].call = call->attempts[1].call = call;
    if (args == NULL)
        end(call, REDIS_FULL);
    else
        dispatch(call, NULL);
}

void redis_call_command(struct redis_cluster *c, struct redis_call *call, struct weir_span key,
                        const struct redis_arg *argv, size_t argc)
{
    begin(c, call, redis_slot(key), NULL,
          redis_args_new(argv, argc, call->args_room, sizeof(call->args_room)));
}

void redis_call_script(struct redis_cluster *c, struct redis_call *call,
                       const struct redis_script *script, size_t key_count,
                       const struct redis_arg *argv, size_t argc)
{
    begin(c, call, redis_slot(argv[0].text), script,
          redis_args_script(script, key_count, argv, argc));
}

const char *redis_result_name(enum redis_result r)
{
    static const char *const names[REDIS_RESULTS] = {"ok",   "full", "late",
                                                     "lost", "gone", "denied"};

    return (unsigned)r < REDIS_RESULTS ? names[r] : "unknown";
}
