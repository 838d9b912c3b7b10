/*
 * admin_socket.h - the Unix socket that operators connect to: found, made, kept apart from other
 * nodes', removed.
 *
 * A socket file that nobody listens on is left over from a crash and is replaced; one that answers
 * is another node's and is never taken away.
 */
#ifndef ADMIN_SOCKET_H
#define ADMIN_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "weir/admin_place.h"
#include "weir/err.h"
#include "admin_settings.h"

struct net_helper;

struct admin_socket {
    int fd; /* listening, non-blocking; -1: none */
    char path[WEIR_ADMIN_PATH_MAX];
    dev_t device; /* this and the rest: of the file we made; nothing else is removed */
    ino_t inode;
    struct timespec changed; /* for inode numbers are used again */
};

/*
 * Listens where the settings say. "off": none, and true. "auto": in the first place where this user
 * can make a socket; if another node has it, or there is no such place, none and true, after a
 * warning. false (LISTEN): the path that was named cannot be had. helper: gives it to its owner
 * where this process may not; NULL: nobody.
 */
bool admin_socket_open(struct admin_socket *s, const struct admin_settings *settings,
                       const struct net_helper *helper, struct weir_err *err);
/* Would admin_socket_open() with these settings look for the socket that is open already? */
bool admin_socket_is(const struct admin_socket *s, const struct admin_settings *settings);
/* Changes the permissions of one that is open. */
void admin_socket_mode(struct admin_socket *s, mode_t mode);
/* Closes and removes the file if it is still ours. Harmless where there is none. */
void admin_socket_close(struct admin_socket *s);

#endif
