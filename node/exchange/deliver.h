/*
 * deliver.h - from an answer found to x->response: the head as it is sent, what of the body
 * follows.
 */
#ifndef DELIVER_H
#define DELIVER_H

#include "exchange.h"
#include "http_range.h"

/* x->stored answers (a hit, or what a fetch came to); `stored`: it was stored just now. Client's
 * conditions are judged here: 304. false: x->err. */
bool deliver_stored(struct weir_exchange *x, bool stored);
/* x->reader's fill answers; its head is known. */
bool deliver_fill(struct weir_exchange *x);

/* A whole that is put together from parts. */
struct deliver_whole {
    const struct http_field *fields; /* of one of its parts */
    uint32_t field_count;
    uint64_t length;
    int64_t response_time;
    struct exchange_body body; /* closed here if it is not sent */
    void (*seek)(void *state, const struct http_range *part);
    bool stored; /* the part with the fields was stored just now */
    bool has_age;
};
/* x->age, ttl, fwd and so on have been set. */
bool deliver_whole(struct weir_exchange *x, const struct deliver_whole *w);

#endif
