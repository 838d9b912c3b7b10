#include "net_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weir/container.h"
#include "weir/log.h"

#define ACCEPTS_PER_TURN 64    /* then others on this loop get their turn */
#define ACCEPTS_LAST     65535 /* as large as a backlog can be */

static bool is_any_dual(const char *address)
{
    return address[0] == ':';
}

static bool listen_failed(struct weir_err *err, const char *address, const char *what, int os)
{
    return weir_failf(err, WEIR_E_LISTEN, what, os, "%s", address);
}

/* helper: who may bind where this process may not; NULL: nobody. */
static bool bind_to(const struct net_helper *helper, int fd, const struct net_addr *a)
{
    if (bind(fd, &a->sa.any, a->len) == 0)
        return true;
    return errno == EACCES && helper != NULL &&
           helper->bind(helper->arg, fd, &a->sa.any, a->len) == 0;
}

/* SO_REUSEADDR only: fails while anybody listens, also with SO_REUSEPORT. */
static bool refuse_if_taken(const struct net_addr *a, const char *address,
                            const struct net_helper *helper, struct weir_err *err)
{
    int on = 1;
    int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = true;

    if (fd < 0)
        return listen_failed(err, address, "listen: socket", errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->sa.any.sa_family == AF_INET6) {
        int v6only = !is_any_dual(address);

        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    }
    if (!bind_to(helper, fd, a))
        ok = listen_failed(err, address, "listen: bind", errno);
    close(fd);
    return ok;
}

static void tune(int fd, int level, int option, int64_t value)
{
    int number = (int)value;

    setsockopt(fd, level, option, &number, sizeof number);
}

/* Accepted sockets inherit it: no system call per connection. */
void net_listen_tune(int fd, int family, const struct net_tuning *t)
{
    if (family == AF_UNIX)
        return;
    tune(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    tune(fd, SOL_SOCKET, SO_KEEPALIVE, t->keepalive);
    if (t->keepalive_idle_s > 0)
        tune(fd, IPPROTO_TCP, TCP_KEEPIDLE, t->keepalive_idle_s);
    if (t->keepalive_interval_s > 0)
        tune(fd, IPPROTO_TCP, TCP_KEEPINTVL, t->keepalive_interval_s);
    if (t->keepalive_count > 0)
        tune(fd, IPPROTO_TCP, TCP_KEEPCNT, t->keepalive_count);
    tune(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, (t->defer_accept_ms + 999) / 1000);
    if (t->fastopen > 0)
        tune(fd, IPPROTO_TCP, TCP_FASTOPEN, t->fastopen);
}

static int open_tcp(const struct listen_settings *s, struct net_addr *a,
                    const struct net_helper *helper, struct weir_err *err)
{
    int on = 1;
    int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        listen_failed(err, s->address, "listen: socket", errno);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (a->sa.any.sa_family == AF_INET6) {
        int v6only = !is_any_dual(s->address);

        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    }
    if (!bind_to(helper, fd, a)) {
        listen_failed(err, s->address, "listen: bind", errno);
        close(fd);
        return -1;
    }
    net_listen_tune(fd, a->sa.any.sa_family, &s->tuning);
    if (listen(fd, (int)s->tuning.backlog) != 0) {
        listen_failed(err, s->address, "listen: listen", errno);
        close(fd);
        return -1;
    }
    a->len = sizeof a->sa;
    getsockname(fd, &a->sa.any, &a->len); /* port 0: the next socket takes the same port */
    return fd;
}

/* A socket file nobody listens on is left over from a crash and is removed; one that answers is not
 * ours. */
static bool clear_stale_socket(const struct net_addr *a, const char *address, struct weir_err *err)
{
    struct stat st;
    int fd;
    bool stale;

    if (lstat(a->sa.un.sun_path, &st) != 0)
        return errno == ENOENT || listen_failed(err, address, "listen: stat", errno);
    if (!S_ISSOCK(st.st_mode))
        return listen_failed(err, address, "listen: the path is not a socket", EEXIST);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return listen_failed(err, address, "listen: socket", errno);
    /* Only a refusal proves that nobody is there: EACCES, EPROTOTYPE and EAGAIN are somebody's. */
    stale = connect(fd, &a->sa.any, a->len) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!stale)
        return listen_failed(err, address, "listen: bind", EADDRINUSE);
    if (unlink(a->sa.un.sun_path) != 0)
        return listen_failed(err, address, "listen: remove the old socket", errno);
    return true;
}

/* Mode before owner: who has given it away may not change it any more. Both before anybody can
 * connect. */
static bool show_unix(const struct listen_settings *s, int fd, const char *path,
                      const struct net_helper *helper, struct weir_err *err)
{
    if (chmod(path, s->mode) != 0)
        return listen_failed(err, s->address, "listen: mode", errno);
    if (!net_owner_give(path, s->user, s->group, helper, err))
        return false;
    return listen(fd, (int)s->tuning.backlog) == 0 ||
           listen_failed(err, s->address, "listen: listen", errno);
}

static int open_unix(const struct listen_settings *s, const struct net_addr *a,
                     const struct net_helper *helper, struct weir_err *err)
{
    int fd;

    if (!clear_stale_socket(a, s->address, err))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, &a->sa.any, a->len) != 0)
        listen_failed(err, s->address, "listen: open", errno);
    else if (show_unix(s, fd, a->sa.un.sun_path, helper, err))
        return fd;
    else
        unlink(a->sa.un.sun_path);
    if (fd >= 0)
        close(fd);
    return -1;
}

bool net_listen_open(const struct listen_settings *s, int *fds, unsigned count,
                     struct net_addr *bound, struct weir_err *err)
{
    return net_listen_open_by(s, NULL, fds, count, bound, err);
}

bool net_listen_open_by(const struct listen_settings *s, const struct net_helper *helper, int *fds,
                        unsigned count, struct net_addr *bound, struct weir_err *err)
{
    struct net_addr a;
    int opened[256];

    if (count > 256 || !net_addr_parse(s->address, &a, err))
        return false;
    if (a.sa.any.sa_family == AF_INET6 && is_any_dual(s->address)) {
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd >= 0) {
            close(fd);
        } else { /* a kernel without IPv6 */
            in_port_t port = a.sa.in6.sin6_port;

            memset(&a, 0, sizeof a);
            a.sa.in.sin_family = AF_INET;
            a.sa.in.sin_port = port;
            a.len = sizeof a.sa.in;
        }
    }
    if (a.sa.any.sa_family != AF_UNIX && !refuse_if_taken(&a, s->address, helper, err))
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (a.sa.any.sa_family != AF_UNIX)
            opened[i] = open_tcp(s, &a, helper, err);
        else if (i == 0)
            opened[i] = open_unix(s, &a, helper, err);
        else if ((opened[i] = fcntl(opened[0], F_DUPFD_CLOEXEC, 0)) < 0)
            listen_failed(err, s->address, "listen: duplicate", errno);
        if (opened[i] < 0) {
            while (i-- > 0)
                close(opened[i]);
            return false;
        }
    }
    memcpy(fds, opened, count * sizeof *fds);
    if (bound != NULL)
        *bound = a;
    return true;
}

static void pause_accept(struct net_listener *l)
{
    l->paused = true;
    event_del(&l->event);
    weir_metric_add(l->metrics, WEIR_M_accept_paused, 1);
    net_timer_start(l->loop, &l->resume, net_now_ms(l->loop) + NET_ACCEPT_PAUSE_MS);
}

enum accepted {
    ACCEPT_FULL, /* no descriptor, no memory: errno */
    ACCEPT_NONE, /* nobody waits */
    ACCEPT_TOOK, /* from here on there may be more */
    ACCEPT_GONE, /* ECONNABORTED and the network errors of accept(2): that connection is gone */
};

static enum accepted accept_one(struct net_listener *l)
{
    struct net_addr peer;
    int client;

    peer.len = sizeof peer.sa;
    client = accept4(l->fd, &peer.sa.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client >= 0) {
        l->accepted(l->arg, client, &peer);
        return ACCEPT_TOOK;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        return ACCEPT_FULL;
    return errno == EAGAIN || errno == EWOULDBLOCK ? ACCEPT_NONE : ACCEPT_GONE;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct net_listener *l = arg;

    (void)fd;
    (void)what;
    net_loop_enter(l->loop);
    for (int i = 0; i < ACCEPTS_PER_TURN && !l->paused && l->fd >= 0; i++) {
        enum accepted a = accept_one(l);

        if (a == ACCEPT_FULL) {
            weir_log(WEIR_LOG_WARN, "accept paused: %s", strerror(errno));
            pause_accept(l);
        }
        if (a < ACCEPT_TOOK)
            return;
    }
}

static void on_resume(struct net_timer *t)
{
    struct net_listener *l = WEIR_CONTAINER(t, struct net_listener, resume);

    net_listener_wake(l);
}

void net_listener_start(struct net_listener *l, struct net_loop *loop, int fd)
{
    l->loop = loop;
    l->fd = fd;
    l->paused = false;
    l->resume = (struct net_timer){.fire = on_resume};
    event_assign(&l->event, loop->base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
    event_add(&l->event, NULL);
}

void net_listener_stop(struct net_listener *l)
{
    if (l->fd < 0)
        return;
    event_del(&l->event);
    net_timer_stop(l->loop, &l->resume);
    close(l->fd);
    l->fd = -1;
}

void net_listener_finish(struct net_listener *l)
{
    for (int i = 0; i < ACCEPTS_LAST && l->fd >= 0 && accept_one(l) >= ACCEPT_TOOK; i++)
        continue;
    net_listener_stop(l);
}

void net_listener_wake(struct net_listener *l)
{
    if (!l->paused || l->fd < 0)
        return;
    l->paused = false;
    net_timer_stop(l->loop, &l->resume);
    event_add(&l->event, NULL);
}

void net_listener_retune(struct net_listener *l, const struct net_tuning *tuning)
{
    int family = AF_UNIX;
    socklen_t len = sizeof family;

    if (l->fd < 0)
        return;
    getsockopt(l->fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    net_listen_tune(l->fd, family, tuning);
    listen(l->fd, (int)tuning->backlog);
}
