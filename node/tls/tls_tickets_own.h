/*
 * tls_tickets_own.h - what tls_tickets.c (life, time, what workers see) and tls_tickets_board.c
 * (what the farm shares) have in common. Private to them.
 */
#ifndef TLS_TICKETS_OWN_H
#define TLS_TICKETS_OWN_H

#include <event2/event.h>

#include "ticket_record.h"
#include "ticket_ring.h"
#include "ticket_slots.h"
#include "tls_tickets.h"

#define TICKETS_TIMEOUT_MS 500   /* of a call (redis.md 3.4) */
#define TICKETS_SPACE_MS   50    /* between two reads, the least */
#define TICKETS_LOOK_MS    60000 /* the most: a hint may get lost */
#define TICKETS_AGAIN_MS   5000  /* the most after a failure */
#define TICKETS_SPREAD_MS  5000  /* the most: nodes do not all make the next key at once */
#define TICKETS_TELL_MS    60000 /* between two lines about values that are refused */
#define TICKETS_NAME_MAX   256

struct tickets_board {
    struct shared_call read, put;
    struct shared_listener listener;
    bool reading, putting, again, listening;
    int64_t due_ms, sent_ms;
    int64_t contact_ms; /* -1: never */
    bool clock_known;
    int64_t clock_ms;           /* the shared clock less our monotonic one */
    bool has_current, has_next; /* as it was read */
    uint64_t refused, refused_told;
    int64_t tell_refused_ms; /* not before */
};

struct tls_tickets {
    struct shared_port *port;
    struct shared_loop loop;
    struct weir_wrap_key key;
    bool farm;
    char board_key[TICKETS_NAME_MAX], channel[TICKETS_NAME_MAX];
    struct shared_board place;
    struct event *timer;
    uint64_t random;
    _Atomic int64_t rotation_ms;
    uint64_t period; /* that was last acted upon */
    struct ticket_ring ring;
    struct tickets_board board;
    bool had_stored; /* a stored key issued */

    struct ticket_slots slots;
    bool unpublished, unclean;

    struct weir_keeper *keeper; /* NULL: keys are not kept */
    bool dirty, kept, keep_failed;
    int64_t keep_again_ms; /* 0: not due */
};

static inline int64_t tickets_mono(const struct tls_tickets *t)
{
    return t->loop.clock->mono_ms;
}

/* Unix time by the shared clock, as well as it is known. */
int64_t tickets_now(const struct tls_tickets *t);
/* Less than `below` (> 0). */
int64_t tickets_random(struct tls_tickets *t, int64_t below);
/* The ring's stored key has changed: for the file. What workers see follows at the next turn. */
void tickets_changed(struct tls_tickets *t);
/* Random. false: OpenSSL has none. */
bool tickets_draw(struct ticket_held *out, int64_t rotation_ms, uint64_t period);
void tickets_arm(struct tls_tickets *t);

/* ---- tls_tickets_board.c ---- */

bool tickets_board_start(struct tls_tickets *t, const char *farm, struct weir_err *err);
void tickets_board_stop(struct tls_tickets *t);
void tickets_board_turn(struct tls_tickets *t);
int64_t tickets_board_due(const struct tls_tickets *t);
/* A period has begun, or another length of them: reads in a while, and makes what is missing. */
void tickets_board_period(struct tls_tickets *t);

#endif
