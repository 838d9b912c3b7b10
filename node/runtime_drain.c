#include "runtime_own.h"

#include "weir/container.h"
#include "weir/log.h"
#include "fleet.h"
#include "hooks.h"
#include "readiness.h"

/*
 * The orderly end. Being asked for it again leads to the next phase, or through it.
 *
 *   SERVING     --runtime_drain----------------------------------------> WITHDRAWING
 *   WITHDRAWING --the hook has ended (on_hooks_idle), or again---------> GRACE
 *   GRACE       --node.drain_grace is over (on_timer), or again--------> FINISHING
 *   FINISHING   --no connection is left (runtime_worker_drained)-------> LEAVING
 *   LEAVING     --the farm is told, no hook runs (stop_if_done), again--> the loop stops
 *
 * SERVING, WITHDRAWING, GRACE  it accepts and serves; from WITHDRAWING on it is not ready
 * FINISHING                    nothing is accepted; what is left after drain_timeout is reset
 * LEAVING                      no client is left; a hook may still run
 */

#define POLITE_MS   10000 /* how long before the end of the grace clients are asked to go */
#define HOOK_END_MS 3000  /* a hook ends at the latest so long after its time: hooks.h */

static void go_on(struct runtime *rt);

static void wait_at_most(struct runtime *rt, int64_t ms)
{
    net_timer_start(&rt->control, &rt->drain.timer, rt->control.clock.mono_ms + ms);
}

static int64_t hook_bound_ms(const struct runtime *rt)
{
    return rt->settings->hooks.timeout_ms + HOOK_END_MS;
}

/* ---- the phases, as they begin ---- */

static void withdraw(struct runtime *rt)
{
    char why[READINESS_TEXT_MAX];

    weir_log(WEIR_LOG_INFO, "draining");
    rt->drain.unready_since_ms =
        readiness_is(rt->readiness) ? 0 : readiness_since_ms(rt->readiness);
    readiness_set(rt->readiness, READY_DRAINING, true);
    fleet_turn(rt->fleet); /* it was unready perhaps: that it drains is news all the same */
    hooks_run(rt->hooks, false, readiness_text(rt->readiness, why));
    if (hooks_busy(rt->hooks))
        wait_at_most(rt, hook_bound_ms(rt));
    else
        go_on(rt);
}

/* It counts from when the world could know: a node that was unready for an hour has no clients to
 * wait for. */
static void be_graceful(struct runtime *rt)
{
    int64_t grace = rt->settings->drain_grace_ms, left = grace, polite;

    if (rt->drain.unready_since_ms != 0)
        left -= rt->control.clock.mono_ms - rt->drain.unready_since_ms;
    if (left <= 0) {
        go_on(rt);
        return;
    }
    weir_log(WEIR_LOG_INFO, "drain: serving on for %lld ms", (long long)left);
    polite = left / 2 < POLITE_MS ? left / 2 : POLITE_MS;
    rt->drain.grace_end_ms = rt->control.clock.mono_ms + left;
    wait_at_most(rt, left - polite);
}

static void be_polite(struct runtime *rt)
{
    rt->drain.polite = true;
    for (unsigned w = 0; w < rt->worker_count; w++)
        worker_be_polite(rt->workers[w]);
    wait_at_most(rt, rt->drain.grace_end_ms - rt->control.clock.mono_ms);
}

static void finish(struct runtime *rt)
{
    if (rt->settings->drain_grace_ms > 0)
        weir_log(WEIR_LOG_INFO, "drain: no longer accepting");
    wait_at_most(rt, rt->settings->drain_timeout_ms);
    for (unsigned w = 0; w < rt->worker_count; w++)
        worker_drain(rt->workers[w]);
}

static void stop_if_done(struct runtime *rt)
{
    if (rt->drain.phase == DRAIN_LEAVING && !hooks_busy(rt->hooks) && fleet_left(rt->fleet))
        net_loop_stop(&rt->control);
}

static void leave(struct runtime *rt)
{
    wait_at_most(rt, hook_bound_ms(rt));
    fleet_leave(rt->fleet, runtime_left, rt);
}

static void go_on(struct runtime *rt)
{
    static void (*const begin[])(struct runtime * rt) = {
        [DRAIN_WITHDRAWING] = withdraw,
        [DRAIN_GRACE] = be_graceful,
        [DRAIN_FINISHING] = finish,
        [DRAIN_LEAVING] = leave,
    };

    net_timer_stop(&rt->control, &rt->drain.timer);
    rt->drain.phase++;
    begin[rt->drain.phase](rt);
}

/* ---- what happens meanwhile ---- */

static void abort_all(struct runtime *rt)
{
    if (rt->drain.aborted)
        return;
    rt->drain.aborted = true;
    for (unsigned w = 0; w < rt->worker_count; w++)
        worker_abort(rt->workers[w]);
}

static void on_timer(struct net_timer *t)
{
    struct runtime *rt = WEIR_CONTAINER(t, struct runtime, drain.timer);

    switch (rt->drain.phase) {
    case DRAIN_GRACE:
        if (rt->drain.polite)
            go_on(rt);
        else
            be_polite(rt);
        break;
    case DRAIN_FINISHING:
        weir_log(WEIR_LOG_WARN, "drain time is over: closing what is left");
        abort_all(rt);
        break;
    case DRAIN_WITHDRAWING:
        go_on(rt);
        break;
    default:
        net_loop_stop(&rt->control);
    }
}

static void hasten(struct runtime *rt)
{
    switch (rt->drain.phase) {
    case DRAIN_WITHDRAWING: /* the hook may go on */
        rt->drain.phase = DRAIN_GRACE;
        go_on(rt);
        break;
    case DRAIN_GRACE:
        go_on(rt);
        break;
    case DRAIN_FINISHING:
        weir_log(WEIR_LOG_INFO, "stopping at once");
        abort_all(rt);
        break;
    default:
        hooks_hasten(rt->hooks);
    }
}

void runtime_drain(struct runtime *rt)
{
    if (rt->draining) {
        hasten(rt);
        return;
    }
    rt->draining = true;
    runtime_reload_give_up(rt); /* what no worker knows yet is not begun any more */
    go_on(rt);
}

void runtime_worker_drained(void *arg)
{
    struct runtime *rt = arg;

    if (++rt->drain.drained == rt->worker_count)
        go_on(rt);
}

void runtime_left(void *arg)
{
    stop_if_done(arg);
}

void runtime_hooks_idle(void *arg)
{
    struct runtime *rt = arg;

    if (rt->drain.phase == DRAIN_WITHDRAWING)
        go_on(rt);
    else
        stop_if_done(rt);
}

static void on_readiness(struct readiness_watcher *w, bool ready)
{
    struct runtime *rt = WEIR_CONTAINER(w, struct runtime, ready_watcher);
    char why[READINESS_TEXT_MAX];

    if (rt->draining) /* withdraw() has seen to it */
        return;
    readiness_text(rt->readiness, why);
    if (!ready)
        weir_log(WEIR_LOG_WARN, "not ready for traffic: %s", why);
    else if (rt->was_unready)
        weir_log(WEIR_LOG_INFO, "ready for traffic again");
    rt->was_unready = !ready;
    hooks_run(rt->hooks, ready, why);
}

void runtime_drain_init(struct runtime *rt)
{
    rt->drain.timer.fire = on_timer;
    rt->ready_watcher.changed = on_readiness;
    readiness_watch(rt->readiness, &rt->ready_watcher);
    hooks_configure(rt->hooks, &rt->settings->hooks);
    readiness_set(rt->readiness, READY_STARTING, false);
}
