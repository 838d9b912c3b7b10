/*
 * net_pipe.h - a bounded queue of body bytes from one producer to one consumer on the same loop (a
 * request's content on its way to the origin).
 *
 * Back-pressure: the producer stops reading its socket when the pipe is full and goes on from
 * `on_space`; the consumer stops writing when it is empty and goes on from `on_data`. Neither
 * callback runs inside the call of the same side.
 */
#ifndef NET_PIPE_H
#define NET_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/blob.h"
#include "weir/err.h"

#define NET_PIPE_SLOTS 16
#define NET_PIPE_BYTES 131072

struct net_pipe {
    struct weir_slice slot[NET_PIPE_SLOTS]; /* ring, each holds a reference */
    uint8_t first, count;
    bool ended; /* the last byte is in */
    struct weir_blob
        *trailers; /* field lines and the empty line, set before the end; owned; NULL none */
    enum weir_code
        failed;      /* the producer gave up; what is queued must not be taken for the whole */
    size_t bytes;    /* queued */
    size_t enough;   /* bytes that make it full: NET_PIPE_BYTES, unless the producer says less */
    uint64_t passed; /* taken out so far */
    void (*on_data)(void *consumer); /* data, the end or a failure came */
    void *consumer;
    void (*on_space)(void *producer);
    void *producer;
    void (*on_wanted)(
        void *producer); /* the consumer wants content for the first time (100-continue) */
    bool wanted;
};

void net_pipe_init(struct net_pipe *p);
/* Drops what is queued. */
void net_pipe_clear(struct net_pipe *p);

static inline bool net_pipe_full(const struct net_pipe *p)
{
    return p->count == NET_PIPE_SLOTS || p->bytes >= p->enough;
}

static inline unsigned net_pipe_free_slots(const struct net_pipe *p)
{
    return NET_PIPE_SLOTS - p->count;
}

/* Producer. Takes the slice; a free slot is required. Does not call on_data: net_pipe_flush() does,
 * once. */
void net_pipe_put(struct net_pipe *p, struct weir_slice s);
void net_pipe_end(struct net_pipe *p);
void net_pipe_fail(struct net_pipe *p, enum weir_code why);
void net_pipe_flush(struct net_pipe *p);

/* Consumer. Up to max queued slices, borrowed; returns how many. */
unsigned net_pipe_peek(const struct net_pipe *p, struct weir_slice *out, unsigned max);
/* Drops n bytes from the front and calls on_space when the pipe was full and no longer is. */
void net_pipe_took(struct net_pipe *p, size_t n);
/* Tells the producer, once, that content is wanted now. */
void net_pipe_want(struct net_pipe *p);

#endif
