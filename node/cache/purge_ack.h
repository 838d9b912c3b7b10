/*
 * purge_ack.h - "tell me when you have it": how the node that was asked for a purge hears from all
 * others that they have applied it, at once.
 *
 * Entries of the log stay as they are. Whoever wants to know says so on the log's own channel,
 * which every node hears anyway (a node of an older version reads the log, as with any hint there):
 *
 *     asker   --w1:{P<farm>}:ch "ack <id>"------------------------> all nodes
 *     each    reads the log, applies what is there up to <id>, and
 *             --w1:{P<farm>}:ack seal("<position> <node>")--------> those that ask: few, mostly one
 *
 * Both are hints and may get lost: the asker asks again (purge_receipt.h), and besides, the next
 * beat of a member tells how far it has come (weir/members.h). An ack carries how far the node has
 * come, not what was asked: one answers all that is asked at the time.
 *
 * Everything runs on the feed's thread.
 */
#ifndef PURGE_ACK_H
#define PURGE_ACK_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/span.h"

struct purge_feed;

#define PURGE_NODE_MAX 128 /* bytes of what names a node: "id/incarnation" */

/* Who wants to hear of acks; embedded. */
struct purge_watch {
    void (*heard)(struct purge_watch *w, struct weir_span node, uint64_t applied);
    struct purge_watch *next, **at; /* private */
};

/* From now on. heard() comes from the loop; it may unwatch itself. */
void purge_ack_watch(struct purge_feed *f, struct purge_watch *w);
void purge_ack_unwatch(struct purge_watch *w); /* harmless twice */
/* Asks all nodes to tell when they have applied the log up to `id`. */
void purge_ack_ask(struct purge_feed *f, uint64_t id);

#endif
