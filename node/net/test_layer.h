/*
 * test_layer.h - a layer for tests, as obstinate as TLS may be: bytes are XORed, read from the
 * socket in large pieces and handed out in small ones, accepted in large pieces and given to the
 * socket in small ones; the end has a byte of its own.
 */
#ifndef TEST_LAYER_H
#define TEST_LAYER_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/container.h"
#include "net_chan.h"

#define LAYER_XOR      0x55
#define LAYER_END      0xAA /* no text has it, XORed or not */
#define LAYER_BUFFER   262144
#define LAYER_NO_LIMIT LAYER_BUFFER

struct test_layer {
    struct net_layer layer;
    int fd;
    size_t give;   /* one recv gives out at most so much */
    size_t accept; /* one send accepts at most so much */
    size_t pass;   /* one call passes at most so much on to the socket; 0: none */
    unsigned char in[LAYER_BUFFER], out[LAYER_BUFFER];
    size_t in_at, in_len, out_at, out_len;
    int farewells;
    bool ended;
    int *freed; /* counted up */
};

static inline struct test_layer *layer_of(const struct net_layer *l)
{
    return WEIR_CONTAINER((struct net_layer *)(uintptr_t)l, struct test_layer, layer);
}

static inline ssize_t layer_recv(struct net_layer *l, void *buf, size_t len)
{
    struct test_layer *t = layer_of(l);
    size_t n = 0;

    if (t->in_at == t->in_len) {
        ssize_t got = recv(t->fd, t->in, sizeof t->in, MSG_DONTWAIT);

        if (got < 0)
            return -1;
        t->in_at = 0;
        t->in_len = (size_t)got;
        if (got == 0) {
            errno = ECONNRESET;
            return t->ended ? 0 : -1;
        }
    }
    while (n < len && n < t->give && t->in_at < t->in_len) {
        unsigned char c = t->in[t->in_at++];

        if (c == LAYER_END) {
            t->ended = true;
            break;
        }
        ((unsigned char *)buf)[n++] = c ^ LAYER_XOR;
    }
    return (ssize_t)n;
}

static inline bool layer_unsent(const struct net_layer *l)
{
    return layer_of(l)->out_at < layer_of(l)->out_len;
}

static inline bool layer_pass(struct test_layer *t)
{
    size_t left = t->out_len - t->out_at;
    ssize_t n = send(t->fd, t->out + t->out_at, left < t->pass ? left : t->pass,
                     MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n > 0)
        t->out_at += (size_t)n;
    if (t->out_at == t->out_len)
        t->out_at = t->out_len = 0;
    if (n >= 0)
        errno = EAGAIN;
    return n >= 0;
}

static inline ssize_t layer_send(struct net_layer *l, const struct iovec *iov, unsigned count)
{
    struct test_layer *t = layer_of(l);
    size_t n = 0;

    if (layer_unsent(l)) {
        if (!layer_pass(t) || layer_unsent(l))
            return -1;
    }
    for (unsigned i = 0; i < count; i++)
        for (size_t k = 0; k < iov[i].iov_len && n < t->accept && t->out_len < sizeof t->out; k++) {
            t->out[t->out_len++] = ((unsigned char *)iov[i].iov_base)[k] ^ LAYER_XOR;
            n++;
        }
    if (layer_unsent(l) && !layer_pass(t) && errno != EAGAIN)
        return -1;
    return (ssize_t)n;
}

static inline bool layer_pending(const struct net_layer *l)
{
    return layer_of(l)->in_at < layer_of(l)->in_len;
}

static inline void layer_farewell(struct net_layer *l)
{
    unsigned char end = LAYER_END;

    if (layer_of(l)->farewells++ == 0)
        (void)!send(layer_of(l)->fd, &end, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static inline void layer_free(struct net_layer *l)
{
    struct test_layer *t = layer_of(l);

    if (t->freed != NULL)
        ++*t->freed;
    free(t);
}

static const struct net_layer_ops layer_ops = {layer_recv,   layer_send,     layer_pending,
                                               layer_unsent, layer_farewell, layer_free};

static inline struct test_layer *layer_new(int fd, size_t give, size_t accept, size_t pass,
                                           int *freed)
{
    struct test_layer *t = calloc(1, sizeof *t);

    if (t == NULL)
        abort();
    t->layer.ops = &layer_ops;
    t->fd = fd;
    t->give = give;
    t->accept = accept;
    t->pass = pass;
    t->freed = freed;
    return t;
}

static inline void layer_cipher(void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((unsigned char *)bytes)[i] ^= LAYER_XOR;
}

#endif
