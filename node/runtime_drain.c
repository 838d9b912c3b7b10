#include "runtime_own.h"

#include "weir/container.h"
#include "weir/log.h"

static void abort_all(struct runtime *rt)
{
    if (rt->aborted)
        return;
    rt->aborted = true;
    for (unsigned w = 0; w < rt->worker_count; w++)
        worker_abort(rt->workers[w]);
}

static void on_deadline(struct net_timer *t)
{
    struct runtime *rt = WEIR_CONTAINER(t, struct runtime, deadline);

    weir_log(WEIR_LOG_WARN, "drain time is over: closing what is left");
    abort_all(rt);
}

void runtime_drain(struct runtime *rt)
{
    if (rt->draining) {
        weir_log(WEIR_LOG_INFO, "stopping at once");
        abort_all(rt);
        return;
    }
    rt->draining = true;
    weir_log(WEIR_LOG_INFO, "draining");
    runtime_reload_abandon(rt); /* what no worker knows yet is not begun any more */
    net_timer_start(&rt->control, &rt->deadline,
                    rt->control.clock.mono_ms + rt->settings->drain_timeout_ms);
    for (unsigned w = 0; w < rt->worker_count; w++)
        worker_drain(rt->workers[w]);
}

void runtime_worker_drained(void *arg)
{
    struct runtime *rt = arg;

    if (++rt->drained == rt->worker_count)
        net_loop_stop(&rt->control);
}

void runtime_drain_init(struct runtime *rt)
{
    rt->deadline.fire = on_deadline;
}
