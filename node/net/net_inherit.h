/*
 * net_inherit.h - listening sockets that whoever started us has opened: LISTEN_FDS, LISTEN_PID and
 * LISTEN_FDNAMES of systemd's socket activation (sd_listen_fds(3)).
 *
 * They are kept as long as the process runs, so that an address that a reload drops can come back.
 */
#ifndef NET_INHERIT_H
#define NET_INHERIT_H

#include "net_addr.h"
#include "weir/err.h"

#define NET_INHERIT_PREFIX "systemd:" /* an address that is the name of such a socket */
#define NET_INHERIT_MAX    64

struct net_inherited {
    unsigned count;
    struct net_inherited_socket {
        int fd;
        const char *name; /* "" if none was given */
        struct net_addr addr;
        bool v4_too; /* "[::]" takes IPv4 as well */
        bool adopted;
    } socket[NET_INHERIT_MAX];
    char *names; /* what `name` points into */
};

/* What there is for this process; the variables are removed. What is no listening stream socket is
 * ignored, with a warning. Before threads start. false: the variables make no sense, or no memory.
 */
bool net_inherit_take(struct net_inherited *in, struct weir_err *err);
/* The socket for a configured address: of that name, or bound to it. NULL: none, and *err is set if
 * it must be one (or one only). */
struct net_inherited_socket *net_inherit_find(struct net_inherited *in, const char *address,
                                              struct weir_err *err);
/* Duplicates for `count` threads; all or none. Marks it as adopted. */
bool net_inherit_adopt(struct net_inherited_socket *s, int *fds, unsigned count,
                       struct weir_err *err);
/* Closes what no address has adopted, with a warning. */
void net_inherit_close_rest(struct net_inherited *in);
/* Closes all. */
void net_inherit_free(struct net_inherited *in);

#endif
