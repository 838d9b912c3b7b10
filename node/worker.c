#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "fetch.h"
#include "share.h"
#include "sub.h"
#include "thread.h"
#include "tls_session.h"

/* ---- sites go back to the control thread, which alone may free them ---- */

struct returned_site {
    struct weir_mail mail;
    struct site *site;
};

static void on_returned_site(struct weir_mail *mail)
{
    struct returned_site *r = (struct returned_site *)(void *)mail;

    site_unref(r->site);
    weir_free(r);
}

static void site_gone(void *arg, struct site *site)
{
    struct worker *w = arg;
    struct returned_site *r = weir_malloc(sizeof *r);

    if (r == NULL)
        return; /* leaks one configuration; better than freeing it on the wrong thread */
    r->mail = (struct weir_mail){.run = on_returned_site};
    r->site = site;
    weir_mailbox_post(&w->shared->control->box, &r->mail);
}

static struct site_worker *bind_site(struct worker *w, struct site *site, struct weir_err *err)
{
    struct site_worker *b = site_bind(site, &w->x, w->shared->workers, err);

    if (b != NULL) {
        b->gone = site_gone;
        b->gone_arg = w;
    }
    return b;
}

/* Request heads are parsed into a scratch array as large as the settings allow. */
static bool size_scratch(struct worker *w, const struct site *site, struct weir_err *err)
{
    struct http_field *fields;

    if (site->limits.fields <= w->x.field_cap)
        return true;
    fields = weir_realloc(w->x.fields, site->limits.fields * sizeof *fields);
    if (fields == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "worker: fields", 0);
    w->x.fields = fields;
    w->x.field_cap = site->limits.fields;
    return true;
}

/* ---- mail ---- */

static void on_drained_mail(struct weir_mail *mail)
{
    struct worker *w = WEIR_CONTAINER(mail, struct worker, drained_mail);

    w->shared->drained(w->shared->arg);
}

static void on_clients_gone(void *arg)
{
    struct worker *w = arg;

    if (w->drained)
        return;
    w->drained = true;
    weir_mailbox_post(&w->shared->control->box, &w->drained_mail);
}

static void on_connection_closed(void *arg)
{
    struct worker *w = arg;

    for (unsigned i = 0; i < WORKER_LISTENERS_MAX; i++)
        if (w->listeners[i].entry != NULL)
            net_listener_wake(&w->listeners[i].listener);
}

/* last: what waits already is accepted before. */
static void stop_listener(struct worker_listener *l, bool last)
{
    if (last)
        net_listener_finish(&l->listener);
    net_listener_stop(&l->listener);
    front_entry_unref(l->entry);
    l->entry = NULL;
}

static void stop_listening(struct worker *w)
{
    for (unsigned i = 0; i < WORKER_LISTENERS_MAX; i++)
        if (w->listeners[i].entry != NULL)
            stop_listener(&w->listeners[i], false);
}

static void on_drain_mail(struct weir_mail *mail)
{
    struct worker *w = WEIR_CONTAINER(mail, struct worker, drain_mail);

    for (unsigned i = 0; i < WORKER_LISTENERS_MAX; i++)
        if (w->listeners[i].entry != NULL)
            stop_listener(&w->listeners[i], true);
    net_clients_drain(&w->clients);
}

static void on_polite_mail(struct weir_mail *mail)
{
    struct worker *w = WEIR_CONTAINER(mail, struct worker, polite_mail);

    net_clients_be_polite(&w->clients);
}

static void on_shed_mail(struct weir_mail *mail)
{
    struct worker *w = WEIR_CONTAINER(mail, struct worker, shed_mail);

    atomic_store(&w->shedding, false);
    net_clients_shed(&w->clients);
    origin_client_drain(&w->x.origins);
}

static void on_abort_mail(struct weir_mail *mail)
{
    struct worker *w = WEIR_CONTAINER(mail, struct worker, abort_mail);

    net_clients_abort(&w->clients);
}

static void on_stop_mail(struct weir_mail *mail)
{
    struct worker *w = WEIR_CONTAINER(mail, struct worker, stop_mail);

    stop_listening(w);
    net_clients_abort(&w->clients);
    net_loop_stop(&w->loop); /* after what is deferred in this turn */
}

static void on_change_done(struct weir_mail *mail)
{
    struct worker_change *c = (struct worker_change *)(void *)mail;

    c->done(c);
}

/* NULL: it stopped listening meanwhile, for good. */
static struct worker_listener *find_listener(struct worker *w, unsigned id)
{
    for (unsigned i = 0; i < WORKER_LISTENERS_MAX; i++)
        if (w->listeners[i].entry != NULL && w->listeners[i].entry->id == id)
            return &w->listeners[i];
    return NULL;
}

/* New connections come by what is chosen now; the others keep what they came by. */
static void renew_listener(struct worker_listener *l, const struct front_entry *entry)
{
    front_entry_unref(l->entry);
    l->entry = front_entry_ref(entry);
    net_listener_retune(&l->listener, &entry->tuning);
}

static void change_listeners(struct worker *w, const struct worker_change *c)
{
    for (unsigned i = 0; i < c->listen_count; i++) {
        const struct worker_listen *l = &c->listen[i];
        struct worker_listener *there = l->fd < 0 ? find_listener(w, l->id) : NULL;

        if (l->fd >= 0 && !worker_listen(w, l->entry, l->fd, NULL))
            close(l->fd);
        if (there != NULL && l->entry != NULL)
            renew_listener(there, l->entry);
        else if (there != NULL)
            stop_listener(there, true);
        front_entry_unref(l->entry);
    }
}

static void on_change_mail(struct weir_mail *mail)
{
    struct worker_change *c = (struct worker_change *)(void *)mail;
    struct worker *w = c->worker;
    struct weir_err err = {0};
    struct site_worker *fresh = NULL, *old = w->x.site;

    if (size_scratch(w, c->site, &err))
        fresh = bind_site(w, c->site, &err);
    c->applied = fresh != NULL;
    w->x.access = c->access; /* these have changed for all, in any case: the old ones go */
    change_listeners(w, c);
    if (fresh != NULL) {
        w->x.site = fresh;
        site_retire(old);
    } else {
        weir_log_err(WEIR_LOG_ERROR, "worker keeps the old configuration", &err);
        site_gone(w, c->site);
    }
    c->mail = (struct weir_mail){.run = on_change_done};
    weir_mailbox_post(&w->shared->control->box, &c->mail);
}

/* ---- life ---- */

static bool set_up(struct worker *w, struct site *site, struct weir_err *err)
{
    uint64_t seed[2] = {w->index + 1, 0};

    if (!net_loop_init(&w->loop, err) || !size_scratch(w, site, err))
        return false;
    if (!farm_port_open(&w->port, w->shared->farm, &w->loop, w->shared->cache, err))
        return false;
    w->x.shared = w->port.shared;
    w->x.store = w->port.store;
    w->x.names = w->port.names;
    w->clients = (struct net_clients){.peers = w->shared->peers,
                                      .scores = w->shared->scores,
                                      .metrics = &w->metrics,
                                      .drained = on_clients_gone,
                                      .drained_arg = w,
                                      .closed = on_connection_closed,
                                      .closed_arg = w};
    w->front = (struct front){.w = &w->x, .clients = &w->clients, .h1 = &w->server, .h2 = &w->h2};
    w->x.index = w->index;
    w->x.loop = &w->loop;
    w->x.metrics = &w->metrics;
    w->x.tier = w->shared->tier;
    w->x.recoder = w->shared->recoder;
    w->x.inflight = w->shared->inflight;
    w->x.purges = w->shared->purges;
    w->x.purge_feed = w->shared->purge_feed;
    w->x.search_rules = w->shared->search_rules;
    w->x.secret = w->shared->secret;
    w->x.pressure = &w->shared->pressure;
    w->x.ready = w->shared->ready;
    w->x.limits = (struct limit_worker){w->shared->limits, w->port.shared, &w->loop.box,
                                        &w->loop.clock,    &w->metrics,    NULL};
    seed[1] = weir_hash64(w->shared->secret, seed, sizeof seed);
    w->x.request_ids = seed[1];
    w->x.scratch = pattern_scratch_new(err);
    if (w->x.scratch == NULL || !share_open(&w->x, err) ||
        !origin_client_init(&w->x.origins, &w->loop, &w->metrics, seed[1] | 1, err) ||
        !h1_server_init(&w->server, &w->x, &w->clients, err) ||
        !h2_server_init(&w->h2, &w->x, &w->clients, err) ||
        (w->tls = tls_worker_new(&w->loop, &w->metrics, w->shared->tls_pool, err)) == NULL)
        return false;
    w->front.tls = w->tls;
    w->x.origins.tls = w->tls;
    w->x.site = bind_site(w, site, err);
    if (w->x.site != NULL)
        site_ref(site);
    return w->x.site != NULL;
}

struct worker *worker_new(struct worker_shared *shared, unsigned index, struct site *site,
                          struct weir_sink *access, struct weir_err *err)
{
    struct worker *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);

    if (w == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "worker: create", 0);
        return NULL;
    }
    memset(w, 0, sizeof *w);
    w->shared = shared;
    w->index = index;
    w->polite_mail.run = on_polite_mail;
    w->drain_mail.run = on_drain_mail;
    w->abort_mail.run = on_abort_mail;
    w->shed_mail.run = on_shed_mail;
    w->stop_mail.run = on_stop_mail;
    w->drained_mail.run = on_drained_mail;
    if (!set_up(w, site, err)) {
        worker_free(w);
        return NULL;
    }
    w->x.access = access;
    return w;
}

static void on_accepted(void *arg, int fd, const struct net_addr *peer)
{
    struct worker_listener *l = arg;

    front_accept(&l->worker->front, l->entry, fd, peer);
}

bool worker_listen(struct worker *w, const struct front_entry *entry, int fd, struct weir_err *err)
{
    for (unsigned i = 0; i < WORKER_LISTENERS_MAX; i++) {
        struct worker_listener *l = &w->listeners[i];

        if (l->entry != NULL)
            continue;
        l->worker = w;
        l->entry = front_entry_ref(entry);
        l->listener.metrics = &w->metrics;
        l->listener.accepted = on_accepted;
        l->listener.arg = l;
        net_listener_start(&l->listener, &w->loop, fd);
        return true;
    }
    return weir_fail(err, WEIR_E_LISTEN, "worker: too many listeners", 0);
}

static void *run(void *arg)
{
    struct worker *w = arg;

    net_loop_run(&w->loop);
    /* Connections are gone; what still fetches for the store ends here. */
    fetch_cancel_all(&w->x);
    share_cancel_all(&w->x);
    weir_mailbox_drain(
        &w->loop.box); /* what fills had to say up to now: each such mail holds one */
    site_retire(w->x.site);
    w->x.site = NULL;
    return NULL;
}

bool worker_start(struct worker *w, struct weir_err *err)
{
    char name[16];

    snprintf(name, sizeof name, "weir-%u", w->index);
    w->started = true;
    if (thread_start(&w->thread, name, run, w) != 0) {
        w->started = false;
        return weir_fail(err, WEIR_E_INTERNAL, "worker: thread", 0);
    }
    return true;
}

void worker_apply(struct worker_change *c)
{
    c->mail = (struct weir_mail){.run = on_change_mail};
    weir_mailbox_post(&c->worker->loop.box, &c->mail);
}

void worker_shed(struct worker *w)
{
    if (!atomic_exchange(&w->shedding, true))
        weir_mailbox_post(&w->loop.box, &w->shed_mail);
}

void worker_be_polite(struct worker *w)
{
    weir_mailbox_post(&w->loop.box, &w->polite_mail);
}

void worker_drain(struct worker *w)
{
    weir_mailbox_post(&w->loop.box, &w->drain_mail);
}

void worker_abort(struct worker *w)
{
    weir_mailbox_post(&w->loop.box, &w->abort_mail);
}

void worker_stop(struct worker *w)
{
    if (!w->started)
        return;
    weir_mailbox_post(&w->loop.box, &w->stop_mail);
    pthread_join(w->thread, NULL);
    w->started = false;
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    worker_stop(w);
    stop_listening(w);
    if (w->x.site != NULL)
        site_retire(w->x.site);
    if (w->server.scratch != NULL)
        h1_server_close(&w->server);
    h2_server_close(&w->h2);
    if (w->x.origins.scratch != NULL)
        origin_client_close(&w->x.origins);
    net_loop_settle(&w->loop); /* the last connections go, and with them what they have of TLS */
    tls_worker_free(w->tls);
    share_close(&w->x);
    limit_worker_close(&w->x.limits);
    farm_port_close(&w->port);
    net_loop_close(&w->loop); /* runs what was put off: fetches that ended last */
    fetch_free_kept(&w->x);
    sub_free_kept(&w->x);
    pattern_scratch_free(w->x.scratch);
    weir_free(w->x.fields);
    free(w);
}
