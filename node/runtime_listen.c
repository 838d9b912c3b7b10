#include "runtime_own.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "front_entry.h"
#include "warden.h"
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

static int bind_by_warden(void *arg, int fd, const struct sockaddr *addr, socklen_t len)
{
    return warden_bind(arg, fd, addr, len);
}

static int give_by_warden(void *arg, int file, uid_t uid, gid_t gid)
{
    return warden_own(arg, file, uid, gid);
}

struct net_helper runtime_helper(const struct runtime *rt)
{
    return (struct net_helper){bind_by_warden, give_by_warden, rt->options.warden};
}

/* The socket whoever started us has opened for this address, or one of our own. */
static bool open_sockets(struct runtime *rt, const struct listen_settings *l, int *fds,
                         struct net_addr *where, bool *inherited, struct weir_err *err)
{
    const struct net_helper helper = runtime_helper(rt);
    struct net_inherited_socket *s;

    err->code = WEIR_OK;
    s = net_inherit_find(&rt->inherited, l->address, err);
    *inherited = s != NULL;
    if (s == NULL)
        return err->code == WEIR_OK &&
               net_listen_open_by(l, &helper, fds, rt->worker_count, where, err);
    *where = s->addr;
    if (!net_inherit_adopt(s, fds, rt->worker_count, err))
        return false;
    net_listen_tune(fds[0], where->sa.any.sa_family, &l->tuning); /* the others are the same one */
    return true;
}

/* Opens one address for all workers. */
static bool bind_address(struct runtime *rt, const struct listen_settings *l, int *fds,
                         struct weir_err *err)
{
    struct net_addr where;
    char text[NET_TEXT_MAX];
    struct bound *b = &rt->bound[rt->bound_count];
    bool inherited, removes;

    if (rt->bound_count == WORKER_LISTENERS_MAX)
        return weir_failf(err, WEIR_E_LISTEN, "listen", 0, "more than %d addresses",
                          WORKER_LISTENERS_MAX);
    if (!open_sockets(rt, l, fds, &where, &inherited, err))
        return false;
    removes = where.sa.any.sa_family == AF_UNIX && !inherited;
    b->address = weir_strndup(l->address, strlen(l->address));
    b->unix_path =
        removes ? weir_strndup(where.sa.un.sun_path, strlen(where.sa.un.sun_path)) : NULL;
    if (b->address == NULL || (b->unix_path == NULL && removes)) {
        for (unsigned w = 0; w < rt->worker_count; w++)
            close(fds[w]);
        weir_free(b->address);
        weir_free(b->unix_path);
        return weir_fail(err, WEIR_E_MEMORY, "listen", 0);
    }
    b->id = ++rt->last_id;
    rt->bound_count++;
    weir_log(WEIR_LOG_INFO, "listening on %s%s", net_addr_text(&where, text),
             inherited ? ", inherited" : "");
    return true;
}

bool runtime_listen_all(struct runtime *rt, struct weir_err *err)
{
    struct runtime_entries entries;
    int fds[WORKERS_MAX];
    bool ok = runtime_make_entries(rt, rt->settings, &entries, err);

    for (unsigned i = 0; ok && i < entries.count; i++) {
        ok = bind_address(rt, &rt->settings->listens[i], fds, err);
        entries.entry[i]->id = rt->last_id;
        for (unsigned w = 0; ok && w < rt->worker_count; w++)
            ok = worker_listen(rt->workers[w], entries.entry[i], fds[w], err);
    }
    runtime_drop_entries(&entries);
    if (ok)
        net_inherit_close_rest(&rt->inherited);
    return ok;
}

/* For every worker: this entry is in force; fds NULL: on the socket that it has. */
static void plan_entry(struct runtime *rt, struct worker_change *changes,
                       const struct front_entry *entry, const int *fds)
{
    for (unsigned w = 0; w < rt->worker_count; w++)
        changes[w].listen[changes[w].listen_count++] =
            (struct worker_listen){entry->id, fds != NULL ? fds[w] : -1, front_entry_ref(entry)};
}

static void drop_plan(struct runtime *rt, struct worker_change *changes)
{
    for (unsigned w = 0; w < rt->worker_count; w++)
        for (unsigned i = 0; i < changes[w].listen_count; i++) {
            if (changes[w].listen[i].fd >= 0)
                close(changes[w].listen[i].fd);
            front_entry_unref(changes[w].listen[i].entry);
        }
}

/* New addresses are opened before anything changes: the step that may fail. */
bool runtime_plan_listeners(struct runtime *rt, const struct settings *s,
                            struct worker_change *changes, struct weir_err *err)
{
    unsigned had = rt->bound_count;
    struct runtime_entries entries;
    bool ok = runtime_make_entries(rt, s, &entries, err);

    for (unsigned i = 0; ok && i < entries.count; i++) {
        const struct bound *b = find_bound(rt, s->listens[i].address);
        int fds[WORKERS_MAX];

        if (b == NULL)
            ok = bind_address(rt, &s->listens[i], fds, err);
        if (!ok)
            break;
        entries.entry[i]->id = b != NULL ? b->id : rt->last_id;
        plan_entry(rt, changes, entries.entry[i], b != NULL ? NULL : fds);
    }
    runtime_drop_entries(&entries);
    if (ok)
        return true;
    while (rt->bound_count > had)
        forget_bound(rt, &rt->bound[rt->bound_count - 1]);
    drop_plan(rt, changes);
    return false;
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
                changes[w].listen[changes[w].listen_count++] =
                    (struct worker_listen){b->id, -1, NULL};
        weir_log(WEIR_LOG_INFO, "no longer listening on %s", b->address);
        forget_bound(rt, b);
    }
}

void runtime_forget_listeners(struct runtime *rt)
{
    while (rt->bound_count > 0)
        forget_bound(rt, &rt->bound[rt->bound_count - 1]);
    net_inherit_free(&rt->inherited);
}
