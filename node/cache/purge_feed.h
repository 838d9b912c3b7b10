/*
 * purge_feed.h - the purges of a farm: a log that all nodes append to and read, and this node's
 * table, which holds what was read.
 *
 * A purge that is submitted is appended to the log, read back with whatever stands before it, and
 * applied; then it is answered. Others read it when they hear the hint, or within a second.
 *
 *     unknown       --reachable--------------------------------> reading from 0
 *     reading from 0 --to its end------------------------------> known
 *     known         --hint, gap, every second------------------> reads on
 *     reads on      --what was read last is there--------------> known
 *                   --it is not: the log was lost, or its end--> comparing
 *     comparing     --with what was read (purge_trail.h)-------> known
 *
 * What a node does without the log, and after it:
 *
 *   | the log                    | this node                                                      |
 *   |----------------------------|----------------------------------------------------------------|
 *   | not read since its start   | serves, but uses nothing of the shared store (purge_admit())   |
 *   | read, then unreachable     | the same, and goes on with what it knows; its own purges are   |
 *   |                            | in force here, kept in memory (purge_journal.h) and appended   |
 *   |                            | later                                                          |
 *   | not read to its end for    | uses nothing of the shared store: purges may have been missed. |
 *   | 3 s, or since hints may    | Where the log is another cluster than the store, it could be   |
 *   | have been missed           | reached and old otherwise. Back with the next read             |
 *   | answers too late           | the same; what did arrive is then there twice, which is no harm|
 *   | has dropped what it needs  | all that was fetched by now is purged for good                 |
 *   | lost its end (failover)    | what others do not have is appended again, above all old ids   |
 *   | lost altogether (flushed,  | the same, as far as the trail goes; nodes that start later     |
 *   | restarted empty)           | purge what was fetched before the log began                    |
 *   | holds what it cannot read  | all that was fetched by now is purged for good                 |
 *
 * Several nodes notice a loss at once: each waits for a random moment before it appends, and leaves
 * out what another one has appended meanwhile.
 *
 * Everything runs on the thread of `loop` (the control thread), but what says "any thread".
 *
 * Source: redis.md 3.8, 3.12, 3.14.
 */
#ifndef PURGE_FEED_H
#define PURGE_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/mailbox.h"
#include "weir/seal.h"
#include "weir/shared.h"
#include "purge.h"

struct purge_feed;
struct purge_question;

#define PURGE_BATCH_MAX 16384 /* records of one submission, and of one entry of the log */

struct purge_feed_options {
    struct purge_table *table;      /* borrowed, like the next two */
    struct shared_port *port;       /* of the same thread as `loop`; outlives the feed */
    struct weir_mailbox *box;       /* of that thread */
    const struct shared_loop *loop; /* copied */
    const char *name;               /* the farm's; copied */
    uint64_t seed;                  /* of random delays */
};

/* NULL: memory. The log need not be reachable. */
struct purge_feed *purge_feed_new(const struct purge_feed_options *o, struct weir_err *err);
/*
 * This node answers who wants to know when it has applied a purge, and may want to know itself
 * (purge_ack.h). node: "id/incarnation", less than PURGE_NODE_MAX bytes; both copied. Until then,
 * it only reads the log.
 */
void purge_feed_introduce(struct purge_feed *f, const struct weir_seal_key *key, const char *node);
/* Nobody is told any more: what was submitted is freed. Nothing may be submitted from here on, and
 * the mailbox must have been drained. NULL does nothing. */
void purge_feed_free(struct purge_feed *f);

/* Is there nothing to wait for at the start: it is known, or cannot be reached for now? */
bool purge_feed_settled(const struct purge_feed *f);

/* ---- submitting ---- */

enum purge_outcome {
    PURGE_APPLIED,     /* in the log, in all its places, and in force here */
    PURGE_UNCONFIRMED, /* the same, but in one place of the log only: it could still get lost */
    PURGE_PENDING,     /* in force here; the log could not be reached and gets it later */
};

/*
 * Records that belong together: all of them get the same id. Made by the caller, who adds to it and
 * submits it.
 */
struct purge_submission {
    struct purge_record *records;
    size_t count, cap;
    /* Who is told, and where: on the thread of `home`, which takes the submission and frees it.
     * NULL: nobody, and the feed frees it. */
    struct weir_mailbox *home;
    void (*done)(struct purge_submission *s);
    void *arg;
    int token; /* of purge_ahead(): the records are in force already; -1: they are not */
    bool ask;  /* URLs: only if the shared store may have any of them (purge_mark.h) */

    /* the answer */
    enum purge_outcome outcome;
    uint64_t sequence; /* the id; 0 if pending */

    struct weir_mail mail; /* private, like all below */
    struct shared_call call;
    struct purge_feed *feed;
    struct purge_submission *next, **at;
    struct purge_question *question;
    size_t asked;               /* records that were found unmarked */
    size_t ahead[PURGE_TOKENS]; /* of what is applied ahead it stands for so many */
    bool from_journal;          /* nobody waits, and nothing is to be applied */
    bool flush;                 /* the one that empties the journal */
    bool again;                 /* as in purge_pending, of all its records */
    uint64_t least_read;        /* in which it must be found */
};

/* NULL without memory. */
struct purge_submission *purge_submission_new(void);
/* false without memory, or if it is full. */
bool purge_submission_add(struct purge_submission *s, const struct purge_record *r);
void purge_submission_free(struct purge_submission *s); /* NULL does nothing */

/* Takes s, which has at least one record. Any thread. */
void purge_feed_submit(struct purge_feed *f, struct purge_submission *s);
/* There was no memory to say what had to be purged: everything is. Any thread. */
void purge_feed_submit_all(struct purge_feed *f);

/* ---- seeing ---- */

struct purge_feed_stats {
    bool known;               /* read since the start */
    bool reachable;           /* the last attempt was answered */
    uint64_t applied, newest; /* ids; newest: that this node has heard of */
    size_t pending;           /* purges that are not in the log yet */
    int64_t contact_ms;       /* since it was last read in full; -1: never */
    uint64_t missed; /* since the start: how often records were dropped before we read them */
    uint64_t losses; /* the log had lost what we had read */
};

void purge_feed_stats(const struct purge_feed *f, struct purge_feed_stats *out);

#endif
