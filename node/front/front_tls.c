#include <string.h>

#include "weir/container.h"
#include "front_conn.h"
#include "h2_server.h"
#include "tls_session.h"

/*
 * Handshakes cost a thousand times what a request costs: a worker has so many of them under way and
 * no more. The others wait in the order they came, in the time that a handshake has; what a flood
 * leaves waiting too long is closed without having cost a signature. Who has not said anything yet
 * is not under way: silence keeps nobody else waiting.
 */

static void step(struct front_conn *c);

/* ---- whose turn it is ---- */

static void enqueue(struct front_conn *c)
{
    struct front *f = c->front;

    c->phase = FRONT_WAITING;
    c->queued = true;
    c->next = NULL;
    c->before = f->last_waiting;
    *(c->before != NULL ? &c->before->next : &f->first_waiting) = c;
    f->last_waiting = c;
    weir_metric_add(f->w->metrics, WEIR_M_handshakes_delayed, 1);
}

static void dequeue(struct front_conn *c)
{
    struct front *f = c->front;

    c->queued = false;
    *(c->before != NULL ? &c->before->next : &f->first_waiting) = c->next;
    *(c->next != NULL ? &c->next->before : &f->last_waiting) = c->before;
}

static void begin(struct front_conn *c)
{
    struct weir_err err = {0};
    struct front *f = c->front;

    c->phase = FRONT_TLS;
    c->counted = true;
    f->handshakes++;
    weir_metric_add(f->w->metrics, WEIR_M_handshakes_open, 1);
    c->session = tls_accept(f->tls, c->client.entry->tls, c->client.chan.fd, &err);
    if (c->session == NULL)
        front_fail(c, WEIR_LOG_WARN, &err);
    else
        step(c);
}

static void next_in_turn(struct net_deferred *d)
{
    struct front *f = WEIR_CONTAINER(d, struct front, turn);

    f->turning = false;
    while (f->first_waiting != NULL && f->handshakes < f->first_waiting->client.entry->handshakes) {
        struct front_conn *c = f->first_waiting;

        dequeue(c);
        begin(c);
    }
}

void front_tls_leave(struct front_conn *c)
{
    struct front *f = c->front;

    if (c->queued)
        dequeue(c);
    tls_session_free(c->session);
    c->session = NULL;
    if (!c->counted)
        return;
    c->counted = false;
    f->handshakes--;
    weir_metric_add(f->w->metrics, WEIR_M_handshakes_open, -1);
    if (f->first_waiting != NULL && !f->turning) {
        f->turning = true;
        net_defer(f->w->loop, &f->turn, next_in_turn);
    }
}

void front_tls_begin(struct front_conn *c)
{
    c->phase = FRONT_TLS;
    front_expect(c, c->client.entry->handshake_timeout_ms);
}

/* The hello has begun to arrive. */
static void admit(struct front_conn *c)
{
    if (c->front->handshakes < c->client.entry->handshakes && c->front->first_waiting == NULL) {
        begin(c);
        return;
    }
    front_watch(c, 0);
    enqueue(c);
}

/* ---- the handshake ---- */

/* From here on it is read and written through the layer. */
static void done(struct front_conn *c)
{
    const struct tls_facts *facts = tls_session_facts(c->session);

    c->client.chan.layer = tls_session_layer(c->session);
    c->client.tls = facts;
    c->session = NULL;
    weir_metric_add(c->front->w->metrics, WEIR_M_tls_connections_open, 1); /* net_clients_leave() */
    front_hand_over(c, strcmp(facts->alpn, "h2") == 0, WEIR_SPAN_NONE);
}

static void again(void *arg)
{
    step(arg);
}

static void step(struct front_conn *c)
{
    struct weir_err err = {0};

    switch (tls_handshake(c->session, again, c, &err)) {
    case TLS_DONE:
        done(c);
        break;
    case TLS_WANT_READ:
        front_watch(c, EV_READ);
        break;
    case TLS_WANT_WRITE:
        front_watch(c, EV_WRITE);
        break;
    case TLS_BUSY:
        front_watch(c, 0);
        break;
    case TLS_FAILED:
        front_fail(c, WEIR_LOG_INFO, &err);
        break;
    }
}

void front_tls_ready(struct front_conn *c)
{
    if (c->session == NULL)
        admit(c);
    else
        step(c);
}

void front_tls_late(struct front_conn *c)
{
    struct weir_err late = {.code = WEIR_E_CLIENT_TIMEOUT, .where = "TLS handshake"};

    weir_metric_add(c->front->w->metrics, WEIR_M_handshakes_late, 1);
    if (c->phase == FRONT_WAITING)
        late = (struct weir_err){.code = WEIR_E_OVERLOAD, .where = "TLS handshake"};
    front_fail(c, WEIR_LOG_INFO, &late);
}
