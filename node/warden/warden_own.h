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

enum warden_verb { WARDEN_OPEN = 1, WARDEN_BIND = 2 };

struct warden_request {
    uint32_t verb;
    uint32_t len;         /* of `bytes` */
    char bytes[PATH_MAX]; /* OPEN: the path, with its NUL; BIND: the address; the socket goes along
                           */
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

/* What may be opened: pure but for looking at who owns the way. */
struct warden_paths {
    char **folders; /* without a final slash */
    size_t count;
};

/* Is the whole way to it root's, and nobody else's to change? */
bool warden_way_is_roots(const char *path);
bool warden_may_open(const struct warden_paths *paths, const char *path);

/* Answers until the node is gone; never returns. */
_Noreturn void warden_serve(int sock, const struct warden_paths *paths);

#endif
