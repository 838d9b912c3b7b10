/*
 * redis_names.h - from the host of an endpoint to addresses: literals, unix sockets, and names by
 * evdns (resolv.conf and /etc/hosts, no thread, no blocking).
 */
#ifndef REDIS_NAMES_H
#define REDIS_NAMES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct redis_loop;
struct redis_lookup;

#define REDIS_SOCKADDRS_MAX 8

struct redis_sockaddr {
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
        struct sockaddr_un path;
    } u;
    socklen_t len;
};

/* count 0: not found, and why says so. Borrowed for the call. */
typedef void redis_found_fn(const struct redis_sockaddr *found, unsigned count, const char *why,
                            void *arg);

/* Calls `found` once: before it returns (then it returns NULL), or later from the loop. */
struct redis_lookup *redis_lookup_start(struct redis_loop *loop, const char *host, uint16_t port,
                                        redis_found_fn *found, void *arg);
/* `found` will not be called. NULL does nothing. */
void redis_lookup_cancel(struct redis_lookup *l);
/* With the loop: nobody is told of what is under way. Its memory goes when evdns has been told, at
 * the next turn of the event_base: who frees that, turns it once more (EVLOOP_NONBLOCK). */
void redis_names_free(struct redis_loop *loop);

/* "192.0.2.1:6379", "[2001:db8::1]:6379", "/run/redis.sock"; returns buf. */
const char *redis_sockaddr_str(const struct redis_sockaddr *a, char *buf, size_t size);

#endif
