/*
 * response_policy.h - what a response's words come to: what controls this cache, the facts that
 * decide about reuse, and whether the response is stored.
 *
 * Made once for each response that may be shared, and again for a stored head that a 304 renewed.
 * Pure but for the arena.
 */
#ifndef RESPONSE_POLICY_H
#define RESPONSE_POLICY_H

#include <stdint.h>

#include "control.h"
#include "storable.h"
#include "stored.h"

struct http_head;
struct route_cache_settings;
struct site;
struct weir_arena;

struct response_policy {
    struct control control; /* borrows from the response */
    struct stored_facts facts;
    enum storable_verdict verdict;
};

/* What was asked, and by whose rules. All borrowed. */
struct response_question {
    const struct http_head *request; /* without content */
    const struct http_head *response;
    const struct site *site;
    const struct route_cache_settings *route;
    int64_t request_time_s, response_time_s;
    bool part; /* a part was asked for: a 206 may be stored as what it is */
};

void response_policy_of(struct response_policy *p, const struct response_question *q,
                        struct weir_arena *arena);

#endif
