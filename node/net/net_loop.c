#include "net_loop.h"

#include <assert.h>
#include <string.h>
#include <sys/time.h>

#define LAST_TURNS 3

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct net_loop *loop = arg;

    (void)fd;
    (void)what;
    net_loop_enter(loop);
    weir_mailbox_drain(&loop->box);
}

static struct net_timer **slot_of(struct net_loop *loop, int64_t at_ms)
{
    return &loop->wheel[(uint64_t)(at_ms / NET_TICK_MS) % NET_WHEEL_SIZE];
}

static void unlink_timer(struct net_loop *loop, struct net_timer *t)
{
    *t->at = t->next;
    if (t->next != NULL)
        t->next->at = t->at;
    t->at = NULL;
    loop->timers--;
}

/* The wheel is looked at when the next occupied slot comes round: an idle node sleeps. */
static void wake_at(struct net_loop *loop, int64_t at_ms)
{
    int64_t in_ms = at_ms - loop->clock.mono_ms;
    struct timeval wait;

    if (loop->wake_ms != 0 && loop->wake_ms <= at_ms)
        return;
    loop->wake_ms = at_ms;
    in_ms = in_ms > 1 ? in_ms : 1;
    wait = (struct timeval){in_ms / 1000, in_ms % 1000 * 1000};
    event_add(&loop->tick_event, &wait);
}

static void link_timer(struct net_loop *loop, struct net_timer *t)
{
    int64_t horizon = loop->wheel_ms + (int64_t)NET_TICK_MS * (NET_WHEEL_SIZE - 1);
    struct net_timer **head;

    /* Rounded up: a timer never fires early; never into the slot being walked. */
    t->slot_ms = (t->due_ms > horizon ? horizon : t->due_ms) + NET_TICK_MS - 1;
    t->slot_ms -= t->slot_ms % NET_TICK_MS;
    if (t->slot_ms <= loop->wheel_ms)
        t->slot_ms = loop->wheel_ms + NET_TICK_MS;
    head = slot_of(loop, t->slot_ms);
    t->next = *head;
    if (t->next != NULL)
        t->next->at = &t->next;
    t->at = head;
    *head = t;
    loop->timers++;
    wake_at(loop, t->slot_ms);
}

/*
 * Looks at one slot. Timers fire one at a time from the head of a private list, because
 * firing may stop any other timer, also one that waits in the same list.
 */
static void walk_slot(struct net_loop *loop, int64_t slot_ms)
{
    struct net_timer **head = slot_of(loop, slot_ms);
    struct net_timer *due = *head;

    *head = NULL;
    if (due != NULL)
        due->at = &due;
    while (due != NULL) {
        struct net_timer *t = due;

        unlink_timer(loop, t);
        if (t->due_ms <= loop->clock.mono_ms)
            t->fire(t);
        else if (t->due_ms != INT64_MAX)
            link_timer(loop, t);
    }
}

static void wait_for_next_slot(struct net_loop *loop)
{
    if (loop->timers == 0)
        return;
    for (int64_t at = loop->wheel_ms + NET_TICK_MS;; at += NET_TICK_MS)
        if (*slot_of(loop, at) != NULL) {
            wake_at(loop, at);
            return;
        }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct net_loop *loop = arg;

    (void)fd;
    (void)what;
    net_loop_enter(loop);
    loop->wake_ms = 0;
    if (loop->clock.mono_ms - loop->wheel_ms > (int64_t)NET_TICK_MS * NET_WHEEL_SIZE)
        /* Suspended for longer than the wheel is round: one round meets every timer. */
        loop->wheel_ms = loop->clock.mono_ms - (int64_t)NET_TICK_MS * NET_WHEEL_SIZE;
    while (loop->wheel_ms + NET_TICK_MS <= loop->clock.mono_ms) {
        loop->wheel_ms += NET_TICK_MS;
        loop->wheel_ms -= loop->wheel_ms % NET_TICK_MS;
        walk_slot(loop, loop->wheel_ms);
    }
    wait_for_next_slot(loop);
}

bool net_loop_init(struct net_loop *loop, struct weir_err *err)
{
    struct event_config *config = event_config_new();

    memset(loop, 0, sizeof *loop);
    loop->box.fd = -1;
    loop->last_deferred = &loop->deferred;
    if (config == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "loop: configure", 0);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (loop->base == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "loop: create", 0);
    weir_clock_update(&loop->clock);
    loop->wheel_ms = loop->clock.mono_ms;
    if (!weir_mailbox_init(&loop->box, err)) {
        event_base_free(loop->base);
        loop->base = NULL;
        return false;
    }
    event_assign(&loop->mail_event, loop->base, loop->box.fd, EV_READ | EV_PERSIST, on_mail, loop);
    event_assign(&loop->tick_event, loop->base, -1, 0, on_tick, loop);
    event_add(&loop->mail_event, NULL);
    return true;
}

static void run_deferred(struct net_loop *loop)
{
    while (loop->deferred != NULL) {
        struct net_deferred *d = loop->deferred;

        loop->deferred = d->next;
        if (loop->deferred == NULL)
            loop->last_deferred = &loop->deferred;
        d->run(d);
    }
}

void net_loop_close(struct net_loop *loop)
{
    if (loop->base == NULL)
        return;
    run_deferred(loop);
    event_del(&loop->mail_event);
    event_del(&loop->tick_event);
    weir_mailbox_close(&loop->box);
    /* What libevent itself has put off (the end of a bufferevent, of a cancelled look-up) holds
     * memory that goes when it runs. Nothing of ours is left to run. */
    for (int turn = 0; turn < LAST_TURNS; turn++)
        event_base_loop(loop->base, EVLOOP_NONBLOCK);
    event_base_free(loop->base);
    loop->base = NULL;
}

void net_loop_settle(struct net_loop *loop)
{
    if (loop->base != NULL)
        run_deferred(loop);
}

void net_loop_run(struct net_loop *loop)
{
    while (!loop->stopping) {
        loop->fresh = false;
        if (event_base_loop(loop->base, EVLOOP_ONCE) < 0)
            break;
        run_deferred(loop);
    }
    weir_mailbox_drain(&loop->box);
    run_deferred(loop);
}

void net_loop_stop(struct net_loop *loop)
{
    loop->stopping = true;
    event_base_loopbreak(loop->base);
}

void net_timer_start(struct net_loop *loop, struct net_timer *t, int64_t due_ms)
{
    if (t->at != NULL)
        unlink_timer(loop, t);
    t->due_ms = due_ms;
    if (loop->timers == 0)
        /* The wheel stood still: nothing waits in the slots it would have passed. */
        loop->wheel_ms = loop->clock.mono_ms - loop->clock.mono_ms % NET_TICK_MS;
    link_timer(loop, t);
}

void net_timer_stop(struct net_loop *loop, struct net_timer *t)
{
    if (t->at != NULL)
        unlink_timer(loop, t);
}

void net_defer(struct net_loop *loop, struct net_deferred *d, void (*run)(struct net_deferred *d))
{
    d->run = run;
    d->next = NULL;
    *loop->last_deferred = d;
    loop->last_deferred = &d->next;
}
