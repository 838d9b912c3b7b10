#include "net_inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/log.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

/* Digits alone, at most max. */
static bool read_number(const char *text, unsigned long max, unsigned long *out)
{
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return errno == 0 && *end == '\0' && *out <= max;
}

static bool is_listening_stream(int fd)
{
    int type = 0, listens = 0;
    socklen_t len = sizeof type;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
        return false;
    len = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens != 0;
}

static bool read_address(struct net_inherited_socket *s)
{
    int v6only = 1;
    socklen_t len = sizeof v6only;

    memset(&s->addr, 0, sizeof s->addr);
    s->addr.len = sizeof s->addr.sa;
    if (getsockname(s->fd, &s->addr.sa.any, &s->addr.len) != 0)
        return false;
    if (s->addr.sa.any.sa_family == AF_INET6)
        getsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len);
    s->v4_too = !v6only;
    return true;
}

static void take_one(struct net_inherited *in, int fd, const char *name)
{
    struct net_inherited_socket *s = &in->socket[in->count];

    *s = (struct net_inherited_socket){.fd = fd, .name = name};
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (!is_listening_stream(fd) || !read_address(s)) {
        weir_log(WEIR_LOG_WARN, "inherited descriptor %d (%s) is no listening socket: ignored", fd,
                 name);
        return;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK); /* of the socket, for all duplicates */
    in->count++;
}

/* Cuts the next name off the list, which becomes NULL with the last. */
static const char *next_name(char **names)
{
    return *names != NULL ? strsep(names, ":") : "";
}

static bool take_all(struct net_inherited *in, unsigned long count, const char *names,
                     struct weir_err *err)
{
    char *rest;

    in->names = weir_strndup(names, strlen(names));
    if (in->names == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "inherited sockets", 0);
    rest = in->names;
    for (int i = 0; i < (int)count; i++)
        take_one(in, FIRST_FD + i, next_name(&rest));
    return true;
}

bool net_inherit_take(struct net_inherited *in, struct weir_err *err)
{
    const char *fds = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
    unsigned long pid, count;
    bool ok = true;

    memset(in, 0, sizeof *in);
    if (fds != NULL && read_number(getenv("LISTEN_PID"), LONG_MAX, &pid) &&
        pid == (unsigned long)getpid()) {
        ok = read_number(fds, NET_INHERIT_MAX, &count)
                 ? take_all(in, count, names != NULL ? names : "", err)
                 : weir_failf(err, WEIR_E_LISTEN, "inherited sockets", 0,
                              "LISTEN_FDS is no number up to %d: \"%s\"", NET_INHERIT_MAX, fds);
    }
    unsetenv("LISTEN_FDS"); /* hooks that we start must not take them for theirs */
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    return ok;
}

static struct net_inherited_socket *find_name(struct net_inherited *in, const char *name,
                                              struct weir_err *err)
{
    struct net_inherited_socket *found = NULL;

    for (unsigned i = 0; i < in->count; i++) {
        if (strcmp(in->socket[i].name, name) != 0)
            continue;
        if (found != NULL) {
            weir_failf(err, WEIR_E_LISTEN, "listen", 0,
                       NET_INHERIT_PREFIX "%s: several sockets have this name: configure their "
                                          "addresses instead",
                       name);
            return NULL;
        }
        found = &in->socket[i];
    }
    if (found == NULL)
        weir_failf(err, WEIR_E_LISTEN, "listen", 0,
                   NET_INHERIT_PREFIX "%s: no socket of this name was passed on to us", name);
    return found;
}

static bool same_address(const struct net_inherited_socket *s, const struct net_addr *a,
                         const char *address)
{
    const union net_sockaddr *x = &s->addr.sa, *y = &a->sa;

    if (x->any.sa_family != y->any.sa_family)
        return false;
    switch (x->any.sa_family) {
    case AF_INET:
        return x->in.sin_port == y->in.sin_port && x->in.sin_addr.s_addr == y->in.sin_addr.s_addr;
    case AF_INET6:
        return x->in6.sin6_port == y->in6.sin6_port && s->v4_too == (address[0] == ':') &&
               memcmp(&x->in6.sin6_addr, &y->in6.sin6_addr, sizeof x->in6.sin6_addr) == 0;
    case AF_UNIX:
        return s->addr.len > sizeof(sa_family_t) && strcmp(x->un.sun_path, y->un.sun_path) == 0;
    default:
        return false;
    }
}

struct net_inherited_socket *net_inherit_find(struct net_inherited *in, const char *address,
                                              struct weir_err *err)
{
    struct net_addr a;

    if (strncmp(address, NET_INHERIT_PREFIX, strlen(NET_INHERIT_PREFIX)) == 0)
        return find_name(in, address + strlen(NET_INHERIT_PREFIX), err);
    if (in->count == 0 || !net_addr_parse(address, &a, err))
        return NULL;
    for (unsigned i = 0; i < in->count; i++)
        if (same_address(&in->socket[i], &a, address))
            return &in->socket[i];
    return NULL;
}

bool net_inherit_adopt(struct net_inherited_socket *s, int *fds, unsigned count,
                       struct weir_err *err)
{
    for (unsigned i = 0; i < count; i++) {
        fds[i] = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
        if (fds[i] >= 0)
            continue;
        weir_fail(err, WEIR_E_LISTEN, "listen: duplicate", errno);
        while (i-- > 0)
            close(fds[i]);
        return false;
    }
    s->adopted = true;
    return true;
}

void net_inherit_close_rest(struct net_inherited *in)
{
    char text[NET_TEXT_MAX];
    unsigned kept = 0;

    for (unsigned i = 0; i < in->count; i++) {
        struct net_inherited_socket *s = &in->socket[i];

        if (s->adopted) {
            in->socket[kept++] = *s;
            continue;
        }
        weir_log(WEIR_LOG_WARN, "inherited socket %s (%s) is in no listen address: closed",
                 net_addr_text(&s->addr, text), s->name);
        close(s->fd);
    }
    in->count = kept;
}

void net_inherit_free(struct net_inherited *in)
{
    for (unsigned i = 0; i < in->count; i++)
        close(in->socket[i].fd);
    in->count = 0;
    weir_free(in->names);
    in->names = NULL;
}
