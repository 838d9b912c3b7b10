#include "shared_redis_stats.h"

#include <assert.h>
#include <event2/event.h>

#include "shared_redis_own.h"
#include "shared_redis_sum.h"
#include "weir/alloc.h"
#include "weir/container.h"

/*
 *   shared_redis_ask() --a mail to each port--> [asked] --each: share--> [counted]
 *        --the last one: a mail to the asker--> told() and freed
 *
 * The engine's mutex guards the list of ports, `asker` and `left`. A port that is freed answers
 * what was asked of it first; a port that had asked is forgotten by its asks.
 */
struct share {
    struct weir_mail mail; /* to the port */
    struct shared_redis_ask *ask;
    struct redis_port *port;
    bool counted;
    bool ready[SHARED_AREAS];
    struct redis_cluster_stats *clusters[SHARED_AREAS]; /* NULL without memory */
    struct redis_sub_stats heard[SHARED_AREAS];
    uint64_t ops[SHARED_AREAS][REDIS_OPS][SHARED_RESULTS];
};

struct shared_redis_ask {
    struct weir_mail home; /* to the asker */
    struct redis_engine *engine;
    struct redis_port *asker;            /* NULL: freed */
    struct shared_redis_ask *next, **at; /* of the asker's */
    shared_redis_told_fn *told;          /* NULL: cancelled */
    void *arg;
    unsigned count, left;
    struct share shares[];
};

static void ask_free(struct shared_redis_ask *ask)
{
    for (unsigned i = 0; i < ask->count; i++)
        for (int a = 0; a < SHARED_AREAS; a++)
            weir_free(ask->shares[i].clusters[a]);
    weir_free(ask);
}

/* ---- on the asker's thread: the sum ---- */

static unsigned endpoint_count(const struct redis_engine *e)
{
    return e->one ? 1 : SHARED_AREAS;
}

static bool add_share(struct shared_redis_stats *sum, const struct share *s)
{
    for (unsigned i = 0; i < sum->endpoint_count; i++) {
        if (s->clusters[i] == NULL || !shared_redis_add(&sum->endpoints[i], s->clusters[i]))
            return false;
        sum->endpoints[i].ports_ready += s->ready[i];
        shared_redis_add_heard(&sum->endpoints[i].heard, &s->heard[i]);
    }
    for (int a = 0; a < SHARED_AREAS; a++)
        for (int op = 0; op < REDIS_OPS; op++)
            for (int r = 0; r < SHARED_RESULTS; r++)
                sum->ops[a][op][r] += s->ops[a][op][r];
    sum->ports++;
    return true;
}

static bool add_all(struct shared_redis_stats *sum, const struct shared_redis_ask *ask)
{
    sum->endpoint_count = endpoint_count(ask->engine);
    for (unsigned i = 0; i < sum->endpoint_count; i++)
        sum->endpoints[i].name = ask->engine->endpoints[i].name;
    for (unsigned i = 0; i < ask->count; i++)
        if (!add_share(sum, &ask->shares[i]))
            return false;
    return true;
}

static void unlist(struct shared_redis_ask *ask)
{
    *ask->at = ask->next;
    if (ask->next != NULL)
        ask->next->at = ask->at;
}

static void on_home(struct weir_mail *mail)
{
    struct shared_redis_ask *ask = WEIR_CONTAINER(mail, struct shared_redis_ask, home);
    struct shared_redis_stats sum = {.ports = 0};

    if (ask->asker != NULL)
        unlist(ask);
    if (ask->told != NULL)
        ask->told(add_all(&sum, ask) ? &sum : NULL, ask->arg);
    shared_redis_sum_clear(&sum);
    ask_free(ask);
}

/* ---- on each port's thread: its share ---- */

static void count_share(struct share *s)
{
    struct redis_port *p = s->port;

    for (unsigned i = 0; i < endpoint_count(s->ask->engine); i++) {
        s->clusters[i] = redis_cluster_stats(p->clusters[i]);
        s->ready[i] = redis_cluster_ready(p->clusters[i]);
        if (p->subs[i] != NULL)
            redis_sub_stats(p->subs[i], &s->heard[i]);
    }
    memcpy(s->ops, p->results, sizeof s->ops);
}

static void on_share(struct weir_mail *mail)
{
    struct share *s = WEIR_CONTAINER(mail, struct share, mail);
    struct shared_redis_ask *ask = s->ask;
    struct redis_engine *e = ask->engine;
    bool orphan = false;

    count_share(s);
    pthread_mutex_lock(&e->lock);
    if (--ask->left == 0) {
        orphan = ask->asker == NULL;
        if (!orphan)
            weir_mailbox_post(&ask->asker->box, &ask->home);
    }
    pthread_mutex_unlock(&e->lock);
    if (orphan)
        ask_free(ask);
}

/* ---- asking ---- */

/* Under the lock. The count of ports does not change before all are asked. */
static struct shared_redis_ask *ask_all(struct redis_engine *e, struct redis_port *asker)
{
    struct shared_redis_ask *ask =
        weir_calloc(1, sizeof *ask + e->port_count * sizeof ask->shares[0]);

    if (ask == NULL)
        return NULL;
    ask->engine = e;
    ask->asker = asker;
    ask->home.run = on_home;
    ask->count = ask->left = e->port_count;
    struct share *s = ask->shares;

    for (struct redis_port *p = e->ports; p != NULL; p = p->next_port, s++) {
        s->ask = ask;
        s->port = p;
        s->mail.run = on_share;
        weir_mailbox_post(&p->box, &s->mail);
    }
    return ask;
}

struct shared_redis_ask *shared_redis_ask(struct shared_port *asker, shared_redis_told_fn *told,
                                          void *arg, struct weir_err *err)
{
    struct redis_engine *e = redis_engine(asker);
    struct redis_port *p = redis_port(asker);
    struct shared_redis_ask *ask;

    pthread_mutex_lock(&e->lock);
    ask = ask_all(e, p);
    if (ask != NULL) {
        ask->told = told; /* told() is on this thread: it cannot come before we return */
        ask->arg = arg;
        ask->next = p->asks;
        ask->at = &p->asks;
        if (p->asks != NULL)
            p->asks->at = &ask->next;
        p->asks = ask;
    }
    pthread_mutex_unlock(&e->lock);
    if (ask == NULL)
        weir_fail(err, WEIR_E_MEMORY, "shared: statistics", 0);
    return ask;
}

void shared_redis_ask_cancel(struct shared_redis_ask *ask)
{
    ask->told = NULL;
}

/* ---- ports come and go ---- */

static void on_box(evutil_socket_t fd, short what, void *arg)
{
    struct redis_port *p = arg;

    (void)fd;
    (void)what;
    if (p->base.loop.enter != NULL)
        p->base.loop.enter(p->base.loop.arg);
    weir_mailbox_drain(&p->box);
}

bool redis_stats_join(struct redis_port *p, struct weir_err *err)
{
    struct redis_engine *e = redis_engine(&p->base);

    if (!weir_mailbox_init(&p->box, err))
        return false;
    p->box_event = event_new(p->base.loop.base, p->box.fd, EV_READ | EV_PERSIST, on_box, p);
    if (p->box_event == NULL || event_add(p->box_event, NULL) != 0) {
        if (p->box_event != NULL)
            event_free(p->box_event);
        p->box_event = NULL;
        weir_mailbox_close(&p->box);
        return weir_fail(err, WEIR_E_MEMORY, "shared: mailbox", 0);
    }
    pthread_mutex_lock(&e->lock);
    p->next_port = e->ports;
    e->ports = p;
    e->port_count++;
    pthread_mutex_unlock(&e->lock);
    return true;
}

static void remove_port(struct redis_engine *e, struct redis_port *p)
{
    struct redis_port **at = &e->ports;

    while (*at != p)
        at = &(*at)->next_port;
    *at = p->next_port;
    e->port_count--;
}

void redis_stats_leave(struct redis_port *p)
{
    struct redis_engine *e = redis_engine(&p->base);

    if (p->box_event == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    remove_port(e, p);
    for (struct shared_redis_ask *ask = p->asks; ask != NULL; ask = ask->next) {
        ask->asker = NULL;
        ask->told = NULL;
    }
    p->asks = NULL;
    pthread_mutex_unlock(&e->lock);
    weir_mailbox_drain(&p->box); /* what others asked of it, and answers that nobody hears */
    event_free(p->box_event);
    weir_mailbox_close(&p->box);
}
