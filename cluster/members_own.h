/*
 * members_own.h - what members.c (life, beats, what this node says) and members_read.c (the board,
 * hints, who is seen) share. Private to the two and their tests.
 */
#ifndef MEMBERS_OWN_H
#define MEMBERS_OWN_H

#include <stdatomic.h>

#include <event2/event.h>

#include "weir/members.h"
#include "member_brief.h"
#include "member_table.h"

#define MEMBERS_TIMEOUT_MS 500 /* of a call (redis.md 3.4) */
#define MEMBERS_SPACE_MS   50  /* between two beats, and two reads, whatever happens: 20 a second */
#define MEMBERS_JITTER_MS  200 /* a beat comes so much earlier or later, half each */
#define MEMBERS_NAME_MAX   256

enum members_sight {
    SIGHT_UNKNOWN, /* not read yet */
    SIGHT_CURRENT,
    SIGHT_LOST,
    SIGHT_RETURNING, /* lost, but read again: not current until it was read once more, with ears */
};

struct members_reader {
    struct shared_call call;
    struct shared_listener listener;
    enum members_sight sight;
    bool busy, again; /* again: there may be more than the read under way will find */
    bool listening;
    bool gap;       /* heard since we began to listen: from then on no hint is missed unnoticed */
    bool after_gap; /* the read under way began after it */
    int64_t due_ms, sent_ms;
    int64_t contact_ms;   /* when it was read last; or else the start */
    int64_t current_ms;   /* since when it is current */
    int64_t returning_ms; /* since when it is returning */
    size_t last_live;
    int64_t skew_ms;
    bool ever, skew_known, skew_told;
    int64_t clock_ms; /* the shared clock less our monotonic one, with skew_known */
    uint64_t forged, stale, foreign;
};

struct members {
    struct shared_port *port;
    struct shared_loop loop;
    struct weir_seal_key key;
    size_t (*record)(void *arg, char *out, size_t cap);
    void (*changed)(void *arg);
    void *arg;

    bool watcher; /* never writes */
    bool farm;    /* others may be there at all: else it neither writes nor reads */
    char id[MEMBER_ID_MAX + 1];
    char entry_text[MEMBER_ENTRY_MAX + 1], board_key[MEMBERS_NAME_MAX], channel[MEMBERS_NAME_MAX];
    char record_prefix[MEMBERS_NAME_MAX];
    struct weir_span entry;
    struct shared_board board;
    uint64_t random;
    struct event *timer;
    atomic_size_t live;

    struct member self;
    char *votes;
    struct member_table table;
    struct members_reader reader;

    struct shared_call beat;
    bool beating;
    bool tell;    /* others must hear of what is said now */
    bool telling; /* the beat under way tells them */
    int64_t beat_due_ms, beat_sent_ms;
    struct shared_call record_call;
    bool recording;
    uint64_t record_hash;
    int64_t record_ms; /* when it was put last; 0: never */

    bool leaving, leave_sent, left_told;
    int64_t leave_until_ms;
    void (*left)(void *arg);
    void *left_arg;
};

static inline int64_t members_now(const struct members *m)
{
    return m->loop.clock->mono_ms;
}

/* Below `below`. */
uint64_t members_draw(struct members *m, uint64_t below);
/* Sets the timer to what is due first. */
void members_arm(struct members *m);

/* ---- members_read.c ---- */

void members_reader_start(struct members *m);
void members_reader_stop(struct members *m);
/* Reads if it is due. */
void members_reader_turn(struct members *m);
/* There may be something new. */
void members_look(struct members *m);
/* Is what the table holds the farm? */
bool members_sees(const struct members *m);
/* Unix time by the shared clock, in milliseconds; 0: not known yet. */
uint64_t members_shared_now(const struct members *m);
/* Tells the owner if anything has changed. The last thing that a callback does: m may be gone. */
void members_notify(struct members *m);

#endif
