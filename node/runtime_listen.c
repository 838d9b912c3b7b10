#include "runtime_own.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "net_listener.h"

static struct bound *find_bound(struct runtime *rt, const char *address)
{
    for (unsigned i = 0; i < rt->bound_count; i++)
        if (strcmp(rt->bound[i].address, address) == 0)
            return &rt->bound[i];
    return NULL;
}

static void forget_bound(struct runtime *rt, struct bound *b)
{
    weir_free(b->address);
    if (b->unix_path != NULL)
        unlink(b->unix_path);
    weir_free(b->unix_path);
    *b = rt->bound[--rt->bound_count];
}

/* Opens one address for all workers. */
static bool bind_address(struct runtime *rt, const struct listen_settings *l, int *fds,
                         struct weir_err *err)
{
    struct net_addr where;
    char text[NET_TEXT_MAX];
    struct bound *b = &rt->bound[rt->bound_count];

    if (rt->bound_count == WORKER_LISTENERS_MAX)
        return weir_failf(err, WEIR_E_LISTEN, "listen", 0, "more than %d addresses",
                          WORKER_LISTENERS_MAX);
    if (!net_listen_open(l, fds, rt->worker_count, &where, err))
        return false;
    b->address = weir_strndup(l->address, strlen(l->address));
    b->unix_path = where.sa.any.sa_family == AF_UNIX
                       ? weir_strndup(where.sa.un.sun_path, strlen(where.sa.un.sun_path))
                       : NULL;
    if (b->address == NULL || (b->unix_path == NULL && where.sa.any.sa_family == AF_UNIX)) {
        for (unsigned w = 0; w < rt->worker_count; w++)
            close(fds[w]);
        weir_free(b->address);
        weir_free(b->unix_path);
        return weir_fail(err, WEIR_E_MEMORY, "listen", 0);
    }
    b->id = ++rt->last_id;
    rt->bound_count++;
    weir_log(WEIR_LOG_INFO, "listening on %s", net_addr_text(&where, text));
    return true;
}

bool runtime_listen_all(struct runtime *rt, struct weir_err *err)
{
    int fds[WORKERS_MAX];

    for (size_t i = 0; i < rt->settings->listen_count; i++) {
        if (!bind_address(rt, &rt->settings->listens[i], fds, err))
            return false;
        for (unsigned w = 0; w < rt->worker_count; w++)
            if (!worker_listen(rt->workers[w], rt->last_id, fds[w], err))
                return false;
    }
    return true;
}

/* New addresses are opened before anything changes: the step that may fail. */
bool runtime_plan_listeners(struct runtime *rt, const struct settings *s,
                            struct worker_change *changes, struct weir_err *err)
{
    unsigned had = rt->bound_count;

    for (size_t i = 0; i < s->listen_count; i++) {
        int fds[WORKERS_MAX];

        if (find_bound(rt, s->listens[i].address) != NULL)
            continue;
        if (!bind_address(rt, &s->listens[i], fds, err)) {
            while (rt->bound_count > had)
                forget_bound(rt, &rt->bound[rt->bound_count - 1]);
            for (unsigned w = 0; w < rt->worker_count; w++)
                for (unsigned k = 0; k < changes[w].listen_count; k++)
                    close(changes[w].listen[k].fd);
            return false;
        }
        for (unsigned w = 0; w < rt->worker_count; w++)
            changes[w].listen[changes[w].listen_count++] =
                (struct worker_listen){rt->last_id, fds[w]};
    }
    return true;
}

static bool still_wanted(const struct settings *s, const char *address)
{
    for (size_t i = 0; i < s->listen_count; i++)
        if (strcmp(s->listens[i].address, address) == 0)
            return true;
    return false;
}

void runtime_drop_listeners(struct runtime *rt, const struct settings *s,
                            struct worker_change *changes)
{
    for (unsigned i = rt->bound_count; i-- > 0;) {
        struct bound *b = &rt->bound[i];

        if (still_wanted(s, b->address))
            continue;
        for (unsigned w = 0; w < rt->worker_count; w++)
            if (changes[w].listen_count < WORKER_LISTENERS_MAX)
                changes[w].listen[changes[w].listen_count++] = (struct worker_listen){b->id, -1};
        weir_log(WEIR_LOG_INFO, "no longer listening on %s", b->address);
        forget_bound(rt, b);
    }
}

void runtime_forget_listeners(struct runtime *rt)
{
    while (rt->bound_count > 0)
        forget_bound(rt, &rt->bound[rt->bound_count - 1]);
}
