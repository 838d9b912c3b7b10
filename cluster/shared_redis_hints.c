/* Listening: a sharded channel of the area's subscriber for each listener. */
#include <event2/event.h>

#include "redis_sub.h"
#include "shared_redis_own.h"
#include "weir/alloc.h"
#include "weir/container.h"

struct subscription {
    struct redis_channel channel;
    struct shared_listener *listener;
    struct redis_port *port;
    struct subscription *next, **at; /* of the port's */
};

/* ---- called by the subscriber ---- */

static void on_message(struct redis_channel *ch, struct weir_span bytes)
{
    struct subscription *s = WEIR_CONTAINER(ch, struct subscription, channel);
    struct redis_port *p = s->port;
    bool gone;

    shared_visit(&p->base, &gone);
    p->in_client = true;
    s->listener->on_hint(s->listener, bytes);
    if (gone)
        return;
    p->in_client = false;
    shared_visit_end(&p->base);
}

static void on_gap(struct redis_channel *ch)
{
    struct subscription *s = WEIR_CONTAINER(ch, struct subscription, channel);
    struct redis_port *p = s->port;
    bool gone;

    shared_visit(&p->base, &gone);
    p->in_client = true;
    s->listener->on_gap(s->listener);
    if (gone)
        return;
    p->in_client = false;
    shared_visit_end(&p->base);
}

/* ---- called by the front ---- */

/* Made when somebody listens: most ports of workers need none for the state. */
static struct redis_sub *sub_of(struct redis_port *p, enum shared_area area, struct weir_err *err)
{
    size_t i = redis_engine(&p->base)->one ? 0 : (size_t)area;

    if (p->subs[i] == NULL)
        p->subs[i] = redis_sub_new(p->clusters[i], err);
    return p->subs[i];
}

bool redis_hints_listen(struct shared_port *base, struct shared_listener *l, enum shared_area area,
                        struct weir_span channel, struct weir_err *err)
{
    struct redis_port *p = redis_port(base);
    struct redis_sub *sub = sub_of(p, area, err);
    struct subscription *s;

    if (sub == NULL)
        return false;
    s = weir_calloc(1, sizeof *s);
    if (s == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "shared: listen", 0);
    s->channel.on_message = on_message;
    s->channel.on_gap = on_gap;
    s->listener = l;
    s->port = p;
    if (!redis_sub_add(sub, &s->channel, channel, err)) {
        weir_free(s);
        return false;
    }
    s->next = p->subscriptions;
    s->at = &p->subscriptions;
    if (s->next != NULL)
        s->next->at = &s->next;
    p->subscriptions = s;
    l->subscription = s;
    return true;
}

static void subscription_free(struct subscription *s)
{
    redis_sub_remove(&s->channel);
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    s->listener->subscription = NULL;
    weir_free(s);
}

void redis_hints_unlisten(struct shared_port *base, struct shared_listener *l)
{
    (void)base;
    subscription_free(l->subscription);
}

void redis_hints_end(struct redis_port *p)
{
    for (struct subscription *s = p->subscriptions, *next; s != NULL; s = next) {
        next = s->next;
        subscription_free(s);
    }
    for (size_t i = 0; i < SHARED_AREAS; i++)
        redis_sub_free(p->subs[i]);
}
