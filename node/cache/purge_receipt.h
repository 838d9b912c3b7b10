/*
 * purge_receipt.h - which nodes have applied a purge, and how long each took.
 *
 * Every live member (weir/members.h) has to say so: by an ack at once (purge_ack.h), or else by its
 * next beat. Who falls silent meanwhile is waited for until it is no member any more, who leaves is
 * not, and who joins has read the log before it serves. A member that is cut off is told of, and
 * that is all that is owed for it: it uses nothing of the shared store until it has read the log.
 *
 *     waiting --all live members have it, and they are the farm's--> done, complete
 *             --wait_ms are over-----------------------------------> done
 *
 * Everything runs on the feed's thread.
 */
#ifndef PURGE_RECEIPT_H
#define PURGE_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "purge_ack.h"

struct members;
struct purge_receipt;
struct shared_loop;

struct purge_receipt_options {
    struct purge_feed *feed;
    struct members *members;        /* NULL: nobody else is known of, and never all */
    const struct shared_loop *loop; /* borrowed */
    uint64_t id;                    /* the purge's; applied here */
    int64_t began_ms;               /* monotonic; where times count from */
    uint32_t wait_ms;               /* from now on */
    /* Once, from the loop. May free it. */
    void (*done)(struct purge_receipt *r, void *arg);
    void *arg;
};

/* NULL without memory. */
struct purge_receipt *purge_receipt_new(const struct purge_receipt_options *o);
/* done() will not be called. NULL does nothing. */
void purge_receipt_free(struct purge_receipt *r);

struct purge_receipt_row {
    char id[PURGE_NODE_MAX]; /* the member's, without its incarnation */
    bool applied;
    bool gone;  /* not applied, and no member any more: it fell silent, or has left */
    int64_t ms; /* applied: when it was heard */
};

/* ---- from done() on ---- */

/* Members that were seen, in the order of members_list(): this one first. */
size_t purge_receipt_rows(const struct purge_receipt *r, const struct purge_receipt_row **out);
/* All that live have it, and the list is the farm's. */
bool purge_receipt_complete(const struct purge_receipt *r);
int64_t purge_receipt_ms(const struct purge_receipt *r); /* from the beginning to the end */

#endif
