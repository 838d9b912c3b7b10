/*
 * warden_own.h - what node and warden say to each other. Private to them.
 *
 * One packet (SOCK_SEQPACKET) for each request and each answer, in turn.
 */
#ifndef WARDEN_OWN_H
#define WARDEN_OWN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "warden.h"

enum warden_verb { WARDEN_OPEN = 1, WARDEN_BIND = 2, WARDEN_OWN = 3 };

struct warden_request {
    uint32_t verb;
    uint32_t len;         /* of `bytes` */
    char bytes[PATH_MAX]; /* OPEN: the path, with its NUL; BIND: the address, and the socket goes
                             along; OWN: a struct warden_owner, and the file goes along */
};

struct warden_answer {
    int32_t error; /* errno; 0: OPEN: the descriptor goes along */
};

struct warden_packet {
    void *bytes;
    size_t len;
    int fd; /* -1: none */
};

/* false: errno. */
bool warden_send(int sock, const struct warden_packet *p);
/* Fills bytes and len (at most what it was), and fd. false: errno; 0: the other side is gone. */
bool warden_receive(int sock, struct warden_packet *p);

/* What may be opened, and who may be given a socket. */
struct warden_paths {
    char **folders; /* without a final slash */
    size_t count;
    struct warden_owner *owners;
    size_t owner_count;
    uid_t node;
};

/*
 * Goes the way step by step, links and all, each step from the folder the one before has led to: so
 * nothing can be put in its place meanwhile. Every step must be root's, and nobody else's to
 * change. The end of it as an O_PATH descriptor; -1: errno, EACCES where a step is not root's
 * alone.
 */
int warden_walk(const char *path);
bool warden_way_is_roots(const char *path);
/* Is it among what was named? (Where it leads is for warden_walk() to say.) */
bool warden_may_open(const struct warden_paths *paths, const char *path);

/* Answers until the node is gone; never returns. */
_Noreturn void warden_serve(int sock, const struct warden_paths *paths);

#endif
