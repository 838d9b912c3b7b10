/*
 * sub.h - an exchange that another exchange makes for itself: a fragment of its page, a part of a
 * large file.
 *
 *   sub_open() --> the caller edits sub->x.req --> sub_route() or sub_fetch()
 *        |                                              |  owner->responded(): sub->x.response
 *        |                                              v
 *        '--------------------------------> sub_pull() ... sub_close()
 *
 * It runs on the parent's worker, in the parent's site, for the parent's peer and with its trust,
 * through the same stages and the same cache as a client's request. It has no line in the access
 * log and is not counted among clients' requests and responses (metric sub_requests). Interim
 * responses end here; it never upgrades and has no content.
 *
 * Who opens one closes it, at the latest when the parent closes (from body_source.close).
 * Back-pressure: it is pulled only when the parent is.
 *
 * The parent must be held (exchange_hold()): the sub-exchange's request borrows its bytes.
 */
#ifndef SUB_H
#define SUB_H

#include "exchange.h"

#define SUB_DEPTH_MAX 12 /* sub-exchanges of sub-exchanges, whatever the settings say */

struct sub_exchange;

/* Both may run inside sub_route(), sub_fetch() and (more) inside sub_pull(), and may close the
 * sub-exchange and the parent. */
struct sub_owner {
    /* The answer is known: sub->x.response.status, .length, .head, and the errors' own pages too
     * (sub->x.err.code is then set). Once. */
    void (*responded)(struct sub_exchange *s);
    /* After sub_pull() said WAIT: pull again. */
    void (*more)(struct sub_exchange *s);
};

struct sub_exchange {
    struct weir_exchange x; /* first: the exchange is the sub-exchange */
    const struct sub_owner *owner;
    void *arg; /* the owner's */
    struct sub_exchange *next_free;
    struct net_deferred gone;
    bool ended; /* sub_pull() said END */
};

/*
 * A request derived from the parent's: GET, its fields but for those that belong to one connection,
 * to content, to conditions (If-*) and to ranges. Cookie and Authorization stay. Its method, fields
 * and so on may be edited until it is started; bytes from s->x.arena live long enough. NULL: *err
 * (MEMORY; LOOP when SUB_DEPTH_MAX is reached).
 */
struct sub_exchange *sub_open(struct weir_exchange *parent, const struct sub_owner *owner,
                              void *arg, struct weir_err *err);

/* Another target: s->x.target has been set (http_target_parse() on s->x.req, arena s->x.arena).
 * Finds its route and goes on from there. */
void sub_route(struct sub_exchange *s);
/* The same target by the parent's route: begins at the look-up. */
void sub_fetch(struct sub_exchange *s);

/* As exchange_pull(). FAILED: s->x.err says why. */
enum exchange_pull sub_pull(struct sub_exchange *s, struct exchange_part *out, unsigned max,
                            unsigned *n);
/* Cancels what still runs. No callback comes any more; the memory goes at the end of the turn. NULL
 * does nothing. */
void sub_close(struct sub_exchange *s);

/* Frees what is kept for reuse; once the loop has run its last turn. */
void sub_free_kept(struct exchange_worker *w);

/* The exchange a client asked for, at the top. */
static inline struct weir_exchange *exchange_root(struct weir_exchange *x)
{
    while (x->parent != NULL)
        x = x->parent;
    return x;
}

#endif
