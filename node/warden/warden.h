/*
 * warden.h - the process of root's that stays behind when the node gives its privileges up: it
 * opens root's files for reading, binds low ports and gives the node's Unix sockets to those they
 * are meant for, on request, and nothing else.
 *
 *   warden_start() as root -> warden_drop() -> the node, unprivileged, asks by warden_open() and
 *   warden_bind() for as long as it lives; the warden ends with it.
 *
 * The boundary: whoever takes the node over can ask what the node can. The warden therefore
 * answers only for
 *   - files and directories below the paths it was given at the start, by absolute names without
 *     "..", and only where all of the way belongs to root and nobody else can write to it (so
 *     that no link can lead elsewhere);
 *   - bind(2) of TCP sockets that are passed to it;
 *   - chown(2) of files that are passed to it, that are Unix sockets of the node's user, to owners
 *     it was given at the start.
 * It is forked before any thread is made, holds no descriptor but its end of a socket pair, and
 * keeps the capabilities to read files, to bind and, if there are owners, to chown, no others. It
 * parses nothing but its requests, which have a fixed form.
 */
#ifndef WARDEN_H
#define WARDEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "weir/err.h"
#include "weir/opener.h"

struct warden;

/* Somebody a socket may be given to; -1: that half stays as it is. */
struct warden_owner {
    uid_t uid;
    gid_t gid;
};

/* What it may do. Borrowed for the call that takes it. */
struct warden_duties {
    /* Files (their folders are opened, too, for what replaces them) and folders; absolute. */
    const char *const *paths;
    size_t path_count;
    const struct warden_owner *owners;
    size_t owner_count;
    uid_t node; /* whose sockets they are */
};

/* What is not root's alone among the paths is left out, with a warning. As root, before any thread
 * is made. Returns owned; NULL: *err. */
struct warden *warden_start(const struct warden_duties *duties, struct weir_err *err);
/* Closes the connection, on which it ends, and waits for that. NULL does nothing. */
void warden_stop(struct warden *k);

/* Any thread; waits, five seconds at most. -1: errno. k: NULL: EACCES. */
int warden_open(struct warden *k, const char *path);
int warden_bind(struct warden *k, int fd, const struct sockaddr *addr, socklen_t len);
/* file: O_PATH, of a Unix socket. */
int warden_own(struct warden *k, int file, uid_t uid, gid_t gid);
/* For who takes an opener; fills *room and returns it. k: NULL: NULL. */
const struct weir_opener *warden_opener(struct warden *k, struct weir_opener *room);
pid_t warden_pid(const struct warden *k);

/* Who the node becomes. */
struct warden_identity {
    uid_t uid;
    gid_t gid;
    char name[64]; /* of the user */
};

/* user: a name or a number; group: likewise, "": the user's. false: *err. */
bool warden_find_identity(const char *user, const char *group, struct warden_identity *out,
                          struct weir_err *err);
/* For good: groups, ids, every capability; no_new_privs. false: *err, and the process must end. */
bool warden_drop(const struct warden_identity *id, struct weir_err *err);
/* No core dump of this process, and nobody but root looks into it. */
void warden_hide_memory(void);

#endif
