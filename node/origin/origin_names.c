#include "origin_names.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/log.h"

struct origin_names {
    atomic_uint refs;
    pthread_mutex_t lock; /* addrs, count, settled */
    struct net_addr addr[ORIGIN_ADDRS_MAX];
    unsigned count;
    bool settled;

    /* control thread only */
    char *host; /* NULL: nothing to resolve */
    uint16_t port;
    int64_t interval_ms, due_ms;
    bool asking; /* a query is on the pool; it holds a reference */
    bool failing;
    struct weir_work_pool *pool;
    struct weir_mailbox *reply;
};

/* One resolution: owned by the pool while it runs. */
struct query {
    struct weir_work work;
    struct origin_names *names;
    char host[256];
    uint16_t port;
    int error;
    unsigned count;
    struct net_addr addr[ORIGIN_ADDRS_MAX];
};

static bool set_literal(struct origin_names *n, const struct origin_settings *o)
{
    char text[300];

    if (o->unix_path != NULL)
        snprintf(text, sizeof text, "unix:%s", o->unix_path);
    else if (strchr(o->host, ':') != NULL)
        snprintf(text, sizeof text, "[%s]:%u", o->host, o->port);
    else
        snprintf(text, sizeof text, "%s:%u", o->host, o->port);
    if (!net_addr_parse(text, &n->addr[0], NULL))
        return false;
    n->count = 1;
    n->settled = true;
    return true;
}

struct origin_names *origin_names_new(const struct origin_settings *origin, int64_t interval_ms,
                                      struct weir_work_pool *pool, struct weir_mailbox *reply,
                                      struct weir_err *err)
{
    struct origin_names *n = weir_calloc(1, sizeof *n);

    if (n == NULL)
        goto no_memory;
    atomic_init(&n->refs, 1);
    pthread_mutex_init(&n->lock, NULL);
    if (set_literal(n, origin))
        return n;
    if (origin->host == NULL) {
        weir_failf(err, WEIR_E_CONFIG, "origin: address", 0, "%s", origin->url);
        origin_names_unref(n);
        return NULL;
    }
    n->host = weir_strndup(origin->host, strlen(origin->host));
    if (n->host == NULL) {
        origin_names_unref(n);
        goto no_memory;
    }
    n->port = origin->port;
    n->interval_ms = interval_ms;
    n->pool = pool;
    n->reply = reply;
    return n;
no_memory:
    weir_fail(err, WEIR_E_MEMORY, "origin: address", 0);
    return NULL;
}

struct origin_names *origin_names_ref(struct origin_names *n)
{
    atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    return n;
}

void origin_names_unref(struct origin_names *n)
{
    if (n == NULL || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&n->lock);
    weir_free(n->host);
    weir_free(n);
}

/* On a pool thread. */
static void resolve(struct weir_work *w)
{
    struct query *q = (struct query *)(void *)w;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    char port[8];

    snprintf(port, sizeof port, "%u", q->port);
    q->error = getaddrinfo(q->host, port, &hints, &list);
    if (q->error == EAI_NONAME || q->error == EAI_FAMILY) {
        /* AI_ADDRCONFIG hides loopback names on a machine with no other address. */
        hints.ai_flags = 0;
        q->error = getaddrinfo(q->host, port, &hints, &list);
    }
    for (struct addrinfo *a = q->error == 0 ? list : NULL; a != NULL && q->count < ORIGIN_ADDRS_MAX;
         a = a->ai_next) {
        if (a->ai_addrlen > sizeof q->addr[0].sa)
            continue;
        memcpy(&q->addr[q->count].sa, a->ai_addr, a->ai_addrlen);
        q->addr[q->count++].len = a->ai_addrlen;
    }
    if (list != NULL)
        freeaddrinfo(list);
}

static void resolved(struct weir_work *w)
{
    struct query *q = (struct query *)(void *)w;
    struct origin_names *n = q->names;

    n->asking = false;
    pthread_mutex_lock(&n->lock);
    if (q->count > 0) {
        memcpy(n->addr, q->addr, sizeof n->addr);
        n->count = q->count;
    }
    n->settled = true;
    pthread_mutex_unlock(&n->lock);
    if (q->count == 0 && !n->failing)
        weir_log(WEIR_LOG_WARN, "origin %s does not resolve: %s", q->host,
                 q->error != 0 ? gai_strerror(q->error) : "no address");
    else if (q->count > 0 && n->failing)
        weir_log(WEIR_LOG_INFO, "origin %s resolves again", q->host);
    n->failing = q->count == 0;
    weir_free(q);
    origin_names_unref(n);
}

void origin_names_turn(struct origin_names *n, int64_t now_ms)
{
    struct query *q;

    if (n->host == NULL || n->asking || now_ms < n->due_ms)
        return;
    q = weir_calloc(1, sizeof *q);
    if (q == NULL)
        return; /* the next turn tries again */
    n->due_ms = now_ms + n->interval_ms;
    q->work.reply = n->reply;
    q->work.run = resolve;
    q->work.done = resolved;
    q->names = origin_names_ref(n);
    q->port = n->port;
    snprintf(q->host, sizeof q->host, "%s", n->host);
    n->asking = true;
    weir_work_submit(n->pool, &q->work);
}

bool origin_names_settled(struct origin_names *n)
{
    bool settled;

    pthread_mutex_lock(&n->lock);
    settled = n->settled;
    pthread_mutex_unlock(&n->lock);
    return settled;
}

bool origin_names_pick(struct origin_names *n, unsigned i, struct net_addr *out, unsigned *count)
{
    bool any;

    pthread_mutex_lock(&n->lock);
    *count = n->count;
    any = n->count > 0;
    if (any)
        *out = n->addr[i % n->count];
    pthread_mutex_unlock(&n->lock);
    return any;
}
