#include "origin_fetch.h"

#include <string.h>

#include "weir/container.h"
#include "weir/log.h"
#include "origin_dial.h"
#include "origin_h1.h"
#include "origin_h2.h"
#include "origin_pool.h"
#include "origin_state.h"
#include "outlier.h"

#define REFUSALS_MAX 3

/*
 *            .--------- retry() <--------------------------.
 *            v                                             |
 *   start -> attempt -> (waiting for a connection) -> sending, receiving -> ended
 *                 '------------- fail_later() ------------------'--------> failed
 */

static int64_t now_us(const struct origin_fetch *f)
{
    return f->up->client->loop->clock.mono_us;
}

static void forget_waiting(struct origin_fetch *f)
{
    origin_pool_unwait(f);
    net_timer_stop(f->up->client->loop, &f->queue_timer);
}

/* Gives the attempt back to the balancer. */
static void end_attempt(struct origin_fetch *f, bool ok)
{
    if (!f->counted)
        return;
    f->counted = false;
    balancer_end(f->up->balancer, f->index, now_us(f), f->latency_us, ok);
}

static void deliver_failure(struct net_deferred *d)
{
    struct origin_fetch *f = WEIR_CONTAINER(d, struct origin_fetch, later);

    f->deferred = false;
    if (!f->active)
        return; /* cancelled meanwhile */
    f->active = false;
    f->events->fail(f->arg, &f->err);
}

/* Failures reach the caller from a clean stack. */
static void fail_later(struct origin_fetch *f, const struct weir_err *err)
{
    f->err = *err;
    if (f->deferred)
        return;
    f->deferred = true;
    net_defer(f->up->client->loop, &f->later, deliver_failure);
}

static void on_queue_timeout(struct net_timer *t)
{
    struct origin_fetch *f = WEIR_CONTAINER(t, struct origin_fetch, queue_timer);
    struct weir_err err = {.code = WEIR_E_ORIGIN_LIMIT, .where = "origin: queue"};

    forget_waiting(f);
    f->latency_us = -1;
    end_attempt(f, true); /* it was not the origin's doing that we had no connection */
    fail_later(f, &err);
}

static void begin_on(struct origin_fetch *f, int index)
{
    f->index = index;
    f->counted = true;
    f->began_us = now_us(f);
    f->latency_us = -1;
    f->got_bytes = false;
    balancer_begin(f->up->balancer, index);
}

/* At the origin of this attempt. */
static void stand_in_line(struct origin_fetch *f)
{
    struct net_loop *loop = f->up->client->loop;
    struct weir_err err = {0};

    if (!origin_pool_wait(f->up->pools[f->index], f)) {
        weir_failf(&err, WEIR_E_ORIGIN_LIMIT, "origin: queue", 0, "%u requests wait already",
                   f->up->settings->queue);
        end_attempt(f, true);
        fail_later(f, &err);
        return;
    }
    f->queue_timer.fire = on_queue_timeout;
    net_timer_start(loop, &f->queue_timer, net_now_ms(loop) + f->up->settings->queue_timeout_ms);
}

/*
 * One attempt: the balancer's choice, or when that one has no connection to spare the next best
 * that has; if none has, stand in line at the first choice. last: why the attempt before failed, or
 * NULL.
 */
static void attempt(struct origin_fetch *f, const struct weir_err *last)
{
    struct origin_client *c = f->up->client;
    struct balance_hint hint = f->hint;
    struct weir_err err = {0};
    struct origin_place place;
    int first = -1;

    f->attempts++;
    for (unsigned i = 0; i < BALANCE_TRIED_MAX; i++) {
        int index = balancer_pick(f->up->balancer, &hint, c->loop->clock.mono_us, &c->rng);

        if (index < 0)
            break;
        if (first < 0)
            first = index;
        place = origin_pool_acquire(f->up->pools[index], f, false, &err);
        if (origin_place_any(place) || err.code != WEIR_OK) {
            begin_on(f, index);
            origin_fetch_connected(f, place, &err);
            return;
        }
        balance_hint_tried(&hint, index);
        hint.sticky = -1;
    }
    if (first < 0) { /* what the last attempt met says more than that there is no other */
        if (last == NULL)
            weir_fail(&err, WEIR_E_ORIGIN_UNAVAILABLE, "origin: balance", 0);
        f->index = -1;
        fail_later(f, last != NULL ? last : &err);
        return;
    }
    begin_on(f, first);
    stand_in_line(f);
}

void origin_fetch_start(struct origin_fetch *f, struct origin_upstream *up,
                        const struct origin_request *request, const struct balance_hint *hint,
                        const struct origin_events *events, void *arg)
{
    memset(f, 0, sizeof *f);
    f->up = up;
    f->request = *request;
    f->events = events;
    f->arg = arg;
    f->hint = hint != NULL ? *hint : BALANCE_HINT_NONE;
    f->index = -1;
    f->active = true;
    retry_budget_request(&up->budget, up->client->loop->clock.mono_us);
    attempt(f, NULL);
}

/* May the request go out once more? Never once a byte of a response has come. */
static bool may_retry(struct origin_fetch *f, bool sent)
{
    const struct net_pipe *body = f->request.body;
    bool body_begun = body != NULL && (body->passed > 0 || body->failed != WEIR_OK);

    if (f->got_bytes || body_begun || f->attempts > f->up->settings->retries)
        return false;
    /* What was never sent can be sent again whatever it is; else only what is safe (security 4). */
    if (sent && !http_method_safe(f->request.method))
        return false;
    return retry_budget_take(&f->up->budget, now_us(f));
}

/* Not what the client did (its content broke off or was refused), nor what we lack. */
static bool blames_origin(enum weir_code code)
{
    switch (code) {
    case WEIR_E_BAD_CHUNK:
    case WEIR_E_BODY_TOO_LARGE:
    case WEIR_E_CLIENT_TIMEOUT:
    case WEIR_E_CLIENT_GONE:
    case WEIR_E_MEMORY:
    case WEIR_E_DESCRIPTORS:
    case WEIR_E_UPGRADE_FAILED: /* it need not know WebSocket */
        return false;
    default:
        return true;
    }
}

void origin_fetch_failed(struct origin_fetch *f, const struct weir_err *err, bool reused, bool sent)
{
    struct origin_client *c = f->up->client;
    /* A kept connection that the origin closed before answering is the ordinary race of keep-alive.
     */
    bool race = reused && !f->got_bytes && err->code == WEIR_E_ORIGIN_RESET;
    bool blamed = !race && blames_origin(err->code);

    f->work = NULL;
    weir_metric_add(c->metrics, WEIR_M_origin_failures, 1);
    if (blamed && outlier_failure(f->up->settings, f->up->states, f->index, f->began_us, now_us(f),
                                  err->code == WEIR_E_ORIGIN_REFUSED)) {
        weir_metric_add(c->metrics, WEIR_M_origin_ejections, 1);
        weir_log(WEIR_LOG_WARN, "upstream %s: origin %s ejected", f->up->settings->name,
                 f->up->settings->origins[f->index].url);
    }
    if (!f->head_done)
        f->latency_us = blamed ? now_us(f) - f->began_us : -1;
    end_attempt(f, !blamed);
    if (may_retry(f, sent)) {
        weir_metric_add(c->metrics, WEIR_M_origin_retries, 1);
        if (!race)
            balance_hint_tried(&f->hint, f->index);
        attempt(f, err);
        return;
    }
    fail_later(f, err);
}

void origin_fetch_refused(struct origin_fetch *f, const struct weir_err *err)
{
    const struct net_pipe *body = f->request.body;

    if ((body != NULL && (body->passed > 0 || body->failed != WEIR_OK)) ||
        f->refusals == REFUSALS_MAX) {
        origin_fetch_failed(f, err, true, false);
        return;
    }
    f->work = NULL;
    f->refusals++;
    f->latency_us = -1;
    end_attempt(f, true);
    weir_metric_add(f->up->client->metrics, WEIR_M_origin_retries, 1);
    f->attempts--; /* it was none */
    attempt(f, err);
}

static void take_place(struct origin_fetch *f, struct origin_place place)
{
    if (place.h2 != NULL)
        origin_h2_serve(place.h2, f);
    else if (place.h1 != NULL)
        origin_h1_serve(place.h1, f);
    else
        origin_dial_join(place.dial, f);
}

void origin_fetch_connected(struct origin_fetch *f, struct origin_place place,
                            const struct weir_err *err)
{
    net_timer_stop(f->up->client->loop, &f->queue_timer);
    if (!origin_place_any(place)) {
        origin_fetch_failed(f, err, false, false);
        return;
    }
    f->began_us = now_us(f);
    weir_metric_add(f->up->client->metrics, WEIR_M_origin_requests, 1);
    take_place(f, place);
}

void origin_fetch_reconnect(struct origin_fetch *f)
{
    struct weir_err err = {0};
    struct origin_place place = origin_pool_acquire(f->up->pools[f->index], f, false, &err);

    if (origin_place_any(place))
        take_place(f, place); /* it is still the same request to the same origin */
    else if (err.code != WEIR_OK)
        origin_fetch_failed(f, &err, false, false);
    else
        stand_in_line(f);
}

static bool counts_as_failure(const struct origin_fetch *f, int status)
{
    return f->up->settings->fail_on_5xx &&
           (status == 500 || status == 502 || status == 503 || status == 504);
}

void origin_fetch_head(struct origin_fetch *f, const struct http_head *head,
                       const struct http_framing *framing)
{
    f->head_done = true;
    f->latency_us = now_us(f) - f->began_us;
    f->sticky_moved = f->hint.sticky != f->index;
    if (!counts_as_failure(f, head->status)) {
        outlier_success(f->up->states[f->index], f->began_us);
    } else if (outlier_failure(f->up->settings, f->up->states, f->index, f->began_us, now_us(f),
                               false)) {
        weir_metric_add(f->up->client->metrics, WEIR_M_origin_ejections, 1);
        weir_log(WEIR_LOG_WARN, "upstream %s: origin %s ejected for its %d answers",
                 f->up->settings->name, f->up->settings->origins[f->index].url, head->status);
    }
    f->events->head(f->arg, head, framing);
}

bool origin_fetch_retries_status(struct origin_fetch *f, int status)
{
    bool gateway = status == 502 || status == 503 || status == 504;

    return gateway && f->up->settings->retry_on_status && http_method_safe(f->request.method) &&
           f->request.body == NULL && f->attempts <= f->up->settings->retries &&
           retry_budget_take(&f->up->budget, now_us(f));
}

void origin_fetch_again(struct origin_fetch *f)
{
    f->work = NULL;
    f->latency_us = now_us(f) - f->began_us;
    outlier_failure(f->up->settings, f->up->states, f->index, f->began_us, now_us(f), false);
    end_attempt(f, false);
    weir_metric_add(f->up->client->metrics, WEIR_M_origin_retries, 1);
    balance_hint_tried(&f->hint, f->index);
    attempt(f, NULL);
}

void origin_fetch_upgraded(struct origin_fetch *f, struct net_chan chan,
                           const struct http_head *head, struct weir_span surplus)
{
    f->work = NULL;
    f->active = false;
    f->head_done = true;
    f->latency_us = now_us(f) - f->began_us;
    outlier_success(f->up->states[f->index], f->began_us);
    end_attempt(f, true);
    f->events->upgraded(f->arg, chan, head, surplus);
}

void origin_fetch_ended(struct origin_fetch *f)
{
    f->work = NULL;
    f->active = false;
    end_attempt(f, true);
    f->events->end(f->arg);
}

void origin_fetch_resume(struct origin_fetch *f)
{
    if (f->active && f->work != NULL)
        f->work->ops->resume(f->work);
}

void origin_fetch_cancel(struct origin_fetch *f)
{
    struct origin_work *work = f->work;

    if (!f->active)
        return;
    f->active = false;
    forget_waiting(f);
    origin_dial_leave(f);
    if (!f->head_done)
        f->latency_us = -1;
    end_attempt(f, true);
    f->work = NULL;
    if (work != NULL)
        work->ops->cancel(work);
}
