/*
 * purge_feed_parts.h - what purge_feed.c (submitting, and the journal), purge_reader.c (the log)
 * and purge_ack.c (who has read it) share. Private to the three.
 */
#ifndef PURGE_FEED_PARTS_H
#define PURGE_FEED_PARTS_H

#include <event2/event.h>
#include <stdatomic.h>

#include "purge_ack.h"
#include "purge_feed.h"
#include "purge_journal.h"
#include "purge_trail.h"

#define FEED_TIMEOUT_MS 500    /* of all that is asked of the log (redis.md 3.4) */
#define FEED_LOG_MAX    100000 /* entries of the log */
#define FEED_NAME_MAX   128

enum reader_mode {
    READ_FIRST,   /* all of it, for the first time */
    READ_ON,      /* what is newer than `position` */
    READ_COMPARE, /* what the trail holds, and what is newer */
};

struct purge_reader {
    enum reader_mode mode;
    struct shared_call call;
    bool busy;   /* `call` is under way */
    bool wanted; /* there may be more than it will find */
    bool must_open;
    bool was_none; /* the last read found no log */
    uint64_t reads;
    uint64_t least_current; /* reads before this one may not know all: there was a gap */
    int64_t asked_ms;       /* the last read */
    uint64_t position;      /* id of the last entry read, or 0 */
    uint64_t cursor;        /* FIRST, COMPARE: read up to here */
    uint64_t newest;        /* the greatest id there ever was */
    struct purge_trail trail, rebuilt;
    size_t lost; /* found so far, by comparing */
    struct shared_listener listener;
    bool listening;
};

struct purge_acks {
    struct weir_seal_key key;
    char node[PURGE_NODE_MAX]; /* "": not introduced */
    char channel[FEED_NAME_MAX];
    /* answering */
    uint64_t wanted; /* somebody wants to know when the log is read up to here; 0: nobody */
    int64_t wanted_until_ms;
    struct shared_call tell;
    bool telling, tell_again;
    /* asking */
    struct purge_watch *watches;
    struct shared_listener listener;
    bool listening;
    struct shared_call ask;
    bool asking;
    uint64_t ask_next; /* to be asked when `ask` is done; 0: nothing */
};

struct purge_feed {
    struct purge_table *table;
    struct shared_port *port;
    struct weir_mailbox *box;
    struct shared_loop loop;
    char key[FEED_NAME_MAX], channel[FEED_NAME_MAX];
    struct shared_log log;
    uint64_t random;

    struct purge_reader reader;
    struct purge_acks acks;
    struct purge_submission *under_way; /* all that are not answered */
    struct purge_journal sure, unasked; /* unasked: only if there is a mark */
    struct purge_pending all;           /* a purge of everything is owed */
    bool owes_all;
    bool flushing; /* a submission from the journal is on its way */
    unsigned asking;
    atomic_bool lost_some;
    struct weir_mail lost_mail;
    struct event *poll, *soon;
    int64_t quiet_until_ms; /* the journal waits for what other nodes append */
    int64_t contact_ms;     /* 0: never */
    uint64_t missed, losses;
    bool reachable, known;
    bool told;       /* `reachable` as the log knows it, */
    int64_t tell_ms; /* which is told of another one not before this */
};

static inline int64_t feed_now_ms(const struct purge_feed *f)
{
    return f->loop.clock->mono_ms;
}

/* ---- purge_reader.c ---- */

void purge_reader_start(struct purge_feed *f);
void purge_reader_stop(struct purge_feed *f);
/* There is such an id. */
void purge_reader_heard(struct purge_reader *r, uint64_t id);
/* There may be something new. */
void purge_reader_look(struct purge_feed *f);

/* ---- purge_ack.c, for the two ---- */

/* false: the name is too long. */
bool purge_ack_start(struct purge_feed *f, const char *name);
void purge_ack_stop(struct purge_feed *f);
/* The log was read. */
void purge_ack_reached(struct purge_feed *f);
/* A hint on the log's channel: true if it only asked for what is known, so that there is nothing to
 * be read. */
bool purge_ack_is_asked(struct purge_feed *f, struct weir_span hint);

/* ---- purge_feed.c, for the reader ---- */

/* The log cannot be read: it is tried again soon. */
void purge_feed_retry(struct purge_feed *f);
/* The log was read up to reader.position, by the read that is number `read`. */
void purge_feed_reached(struct purge_feed *f, uint64_t read);
/* What was appended cannot be counted on: the log does not answer, or has lost its end. */
void purge_feed_doubt(struct purge_feed *f);
/* The log has lost this record. */
void purge_feed_restore(struct purge_feed *f, const struct purge_record *r);
/* The log has this record. */
void purge_feed_found(struct purge_feed *f, const struct purge_record *r);

#endif
