#include "shared_redis_own.h"

#include <event2/event.h>

#include "redis_loop.h"
#include "redis_settings.h"
#include "redis_tls.h"
#include "redis_voice.h"
#include "weir/alloc.h"

#define CONFIRM_MS 50

/* ---- ports ---- */

static void end_loop(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    redis_loop_free(arg);
}

/* What called us, if it is the client, goes on with its loop when we return: then that is freed in
 * the next turn. */
static void loop_end(struct redis_port *p)
{
    static const struct timeval at_once = {0, 0};

    if (!p->in_client)
        redis_loop_free(p->loop);
    else
        event_base_once(redis_loop_base(p->loop), -1, EV_TIMEOUT, end_loop, p->loop, &at_once);
}

static void port_end(struct redis_port *p)
{
    redis_stats_leave(p);
    redis_hints_end(p);
    for (size_t i = 0; i < SHARED_AREAS; i++)
        if (i == 0 || p->clusters[i] != p->clusters[0])
            redis_cluster_free(p->clusters[i]);
    redis_tasks_free(p);
    loop_end(p);
    weir_free(p);
}

static bool connect_all(struct redis_port *p, const struct redis_engine *e, struct weir_err *err)
{
    for (size_t i = 0; i < SHARED_AREAS; i++) {
        p->clusters[i] =
            i > 0 && e->one ? p->clusters[0] : redis_cluster_new(p->loop, &e->endpoints[i], err);
        if (p->clusters[i] == NULL)
            return false;
    }
    return true;
}

static struct shared_port *port_new(struct weir_shared *s, const struct shared_loop *loop,
                                    struct weir_err *err)
{
    struct redis_port *p = weir_calloc(1, sizeof *p);

    if (p == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "shared: port", 0);
        return NULL;
    }
    if (!shared_port_init(&p->base, s, loop, err)) {
        weir_free(p);
        return NULL;
    }
    p->loop = redis_loop_new(loop->base, err);
    if (p->loop == NULL || !connect_all(p, (struct redis_engine *)s, err) ||
        !redis_stats_join(p, err)) {
        shared_port_end(&p->base);
        port_end(p);
        return NULL;
    }
    return &p->base;
}

static void port_free(struct shared_port *base)
{
    shared_port_end(base);
    port_end(redis_port(base));
}

static bool ready(const struct shared_port *base, enum shared_area area)
{
    const struct redis_port *p = (const struct redis_port *)base;

    return redis_cluster_ready(p->clusters[area]);
}

/* ---- the engine ---- */

static void engine_free(struct weir_shared *s)
{
    struct redis_engine *e = (struct redis_engine *)s;

    for (size_t i = 0; i < SHARED_AREAS; i++) {
        redis_tls_free(e->tls[i]);
        redis_voice_free(e->voices[i]);
    }
    pthread_mutex_destroy(&e->lock);
    weir_free(e);
}

static const struct shared_engine_ops ops = {
    .name = "redis",
    .farm = true,
    .free = engine_free,
    .port_new = port_new,
    .port_free = port_free,
    .ready = ready,
    .cancel = redis_ops_cancel,
    .get = redis_ops_get,
    .put = redis_ops_put,
    .remove = redis_ops_remove,
    .remove_if = redis_ops_remove_if,
    .touch = redis_ops_touch,
    .lease = redis_ops_lease,
    .log_append = redis_ops_log_append,
    .log_open = redis_ops_log_open,
    .log_read = redis_ops_log_read,
    .board_put = redis_ops_board_put,
    .board_remove = redis_ops_board_remove,
    .board_read = redis_ops_board_read,
    .tokens_take = redis_ops_tokens_take,
    .hint = redis_ops_hint,
    .listen = redis_hints_listen,
    .unlisten = redis_hints_unlisten,
};

static bool open_tls(struct redis_engine *e, size_t i, struct weir_err *err)
{
    const struct redis_tls_settings *tls = &e->endpoints[i].conn->tls;

    if (!tls->on)
        return true;
    e->tls[i] = redis_tls_new(tls, err);
    e->endpoints[i].tls = e->tls[i];
    return e->tls[i] != NULL;
}

static bool open_voice(struct redis_engine *e, size_t i, struct weir_err *err)
{
    const char *name = e->endpoints[i].name;

    e->voices[i] = redis_voice_new(name != NULL ? name : "");
    e->endpoints[i].voice = e->voices[i];
    return e->voices[i] != NULL || weir_fail(err, WEIR_E_MEMORY, "shared: redis", 0);
}

struct weir_shared *shared_redis_new(const struct shared_redis_settings *settings,
                                     struct weir_err *err)
{
    struct redis_engine *e = weir_calloc(1, sizeof *e);

    if (e == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "shared: redis", 0);
        return NULL;
    }
    e->base.ops = &ops;
    e->one = settings->endpoints[SHARED_STATE] == settings->endpoints[SHARED_CACHE];
    e->confirm_ms = settings->confirm_ms > 0 ? settings->confirm_ms : CONFIRM_MS;
    redis_scripts_init(&e->scripts);
    pthread_mutex_init(&e->lock, NULL);
    for (size_t i = 0; i < (e->one ? 1u : SHARED_AREAS); i++) {
        e->endpoints[i] = *settings->endpoints[i];
        if (!open_voice(e, i, err) || !open_tls(e, i, err)) {
            engine_free(&e->base);
            return NULL;
        }
    }
    return &e->base;
}
