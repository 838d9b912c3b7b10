#include "redis_names.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <event2/dns.h>
#include <event2/util.h>

#include "redis_loop_own.h"
#include "weir/alloc.h"

/* evdns, and all that it has been asked: it calls back for each, whatever was cancelled, and needs
 * its base for that. So the base outlives the loop that made it until the last of them has been
 * told. */
struct redis_names {
    struct evdns_base *base;
    struct redis_lookup *lookups;
    bool orphaned; /* the loop is gone */
};

struct redis_lookup {
    struct redis_names *names;
    struct redis_lookup *next, **at; /* among those of the names */
    struct evdns_getaddrinfo_request *asked;
    redis_found_fn *found; /* NULL: cancelled; evdns calls back all the same, later */
    void *arg;
    uint16_t port;
};

const char *redis_sockaddr_str(const struct redis_sockaddr *a, char *buf, size_t size)
{
    const struct sockaddr_in *v4 = (const void *)&a->u.storage;
    const struct sockaddr_in6 *v6 = (const void *)&a->u.storage;
    char text[INET6_ADDRSTRLEN] = "?";

    if (a->u.any.sa_family == AF_UNIX) {
        snprintf(buf, size, "%s", a->u.path.sun_path);
    } else if (a->u.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        snprintf(buf, size, "[%s]:%u", text, (unsigned)ntohs(v6->sin6_port));
    } else {
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        snprintf(buf, size, "%s:%u", text, (unsigned)ntohs(v4->sin_port));
    }
    return buf;
}

/* The path of a unix socket, or an address in digits. */
static bool literal(const char *host, uint16_t port, struct redis_sockaddr *a)
{
    struct sockaddr_in *v4 = (void *)&a->u.storage;
    struct sockaddr_in6 *v6 = (void *)&a->u.storage;

    memset(a, 0, sizeof *a);
    if (host[0] == '/') {
        if (strlen(host) >= sizeof a->u.path.sun_path)
            return false;
        a->u.path.sun_family = AF_UNIX;
        memcpy(a->u.path.sun_path, host, strlen(host));
        a->len = sizeof a->u.path;
    } else if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        a->len = sizeof *v4;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        a->len = sizeof *v6;
    } else {
        return false;
    }
    return true;
}

/* In the order they came, but in turns of both families: if one of them leads nowhere, that takes
 * one attempt (RFC 8305 4). */
static unsigned in_turns(const struct evutil_addrinfo *list, struct redis_sockaddr *out)
{
    const struct evutil_addrinfo *at[2] = {list, list};
    int family[2] = {list->ai_family, list->ai_family == AF_INET ? AF_INET6 : AF_INET};
    unsigned count = 0;

    while (count < REDIS_SOCKADDRS_MAX && (at[0] != NULL || at[1] != NULL)) {
        for (int f = 0; f < 2; f++) {
            while (at[f] != NULL &&
                   (at[f]->ai_family != family[f] || at[f]->ai_addrlen > sizeof out[0].u))
                at[f] = at[f]->ai_next;
            if (at[f] == NULL || count == REDIS_SOCKADDRS_MAX)
                continue;
            memcpy(&out[count].u, at[f]->ai_addr, (size_t)at[f]->ai_addrlen);
            out[count++].len = (socklen_t)at[f]->ai_addrlen;
            at[f] = at[f]->ai_next;
        }
    }
    return count;
}

static void names_release(struct redis_names *names)
{
    evdns_base_free(names->base, 0);
    weir_free(names);
}

static void lookup_free(struct redis_lookup *l)
{
    struct redis_names *names = l->names;

    *l->at = l->next;
    if (l->next != NULL)
        l->next->at = l->at;
    weir_free(l);
    if (names->orphaned && names->lookups == NULL)
        names_release(names);
}

static void on_addresses(int result, struct evutil_addrinfo *list, void *arg)
{
    struct redis_lookup *l = arg;
    struct redis_sockaddr found[REDIS_SOCKADDRS_MAX];
    redis_found_fn *tell = l->found;
    void *tell_arg = l->arg;
    unsigned count = 0;

    lookup_free(l);
    if (tell != NULL && result == 0 && list != NULL)
        count = in_turns(list, found);
    if (list != NULL)
        evutil_freeaddrinfo(list);
    if (tell != NULL)
        tell(found, count, count > 0 ? NULL : evutil_gai_strerror(result), tell_arg);
}

/* Made when the first name is asked for: most farms list addresses. */
static struct redis_names *names_of(struct redis_loop *loop)
{
    struct redis_names *names = loop->names;

    if (names != NULL)
        return names;
    names = weir_calloc(1, sizeof *names);
    if (names == NULL)
        return NULL;
    names->base = evdns_base_new(loop->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (names->base == NULL) {
        weir_free(names);
        return NULL;
    }
    /* Without resolv.conf it asks 127.0.0.1; names of /etc/hosts hold in any case. */
    evdns_base_resolv_conf_parse(names->base, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    loop->names = names;
    return names;
}

static struct redis_lookup *lookup_new(struct redis_names *names)
{
    struct redis_lookup *l = weir_calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->names = names;
    l->next = names->lookups;
    l->at = &names->lookups;
    if (l->next != NULL)
        l->next->at = &l->next;
    names->lookups = l;
    return l;
}

struct redis_lookup *redis_lookup_start(struct redis_loop *loop, const char *host, uint16_t port,
                                        redis_found_fn *found, void *arg)
{
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct evdns_getaddrinfo_request *asked;
    struct redis_names *names;
    struct redis_sockaddr one;
    struct redis_lookup *l = NULL;
    char service[8];

    if (literal(host, port, &one)) {
        found(&one, 1, NULL, arg);
        return NULL;
    }
    names = host[0] != '/' ? names_of(loop) : NULL;
    if (names != NULL)
        l = lookup_new(names);
    if (l == NULL) {
        found(NULL, 0, host[0] == '/' ? "path too long" : "out of memory", arg);
        return NULL;
    }
    l->found = found;
    l->arg = arg;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    asked = evdns_getaddrinfo(names->base, host, service, &hints, on_addresses, l);
    if (asked == NULL) /* on_addresses() has been called */
        return NULL;
    l->asked = asked;
    return l;
}

void redis_lookup_cancel(struct redis_lookup *l)
{
    if (l == NULL)
        return;
    l->found = NULL;
    evdns_getaddrinfo_cancel(l->asked);
}

void redis_names_free(struct redis_loop *loop)
{
    struct redis_names *names = loop->names;

    loop->names = NULL;
    if (names == NULL)
        return;
    names->orphaned = true;
    if (names->lookups == NULL)
        names_release(names);
    else
        for (struct redis_lookup *l = names->lookups; l != NULL; l = l->next)
            redis_lookup_cancel(l); /* the last one that is told releases the names */
}
