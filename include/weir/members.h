/*
 * members.h - who is in the farm: each node registers itself, beats every two seconds, and reads
 * who else does.
 *
 * A member is (id, incarnation): the id is the operator's or the host's name, the incarnation is
 * drawn at start, so a restart is a new member and two nodes with one id are two members, which is
 * reported. Members live on a board (weir/shared.h) whose clock decides who is alive; ages count
 * from there to the reader's own monotonic clock, so that no decision compares two hosts' clocks.
 *
 * What a member says with each beat is its *brief*: a few flags and numbers that all others need at
 * once, and its votes on origins (opaque here; health.h). The brief is sealed (weir/seal.h) and
 * numbered: forged, old and foreign ones are counted and ignored. A change is beaten at once, and
 * goes out as a hint that carries the brief itself. What only people want to know is its *record*,
 * JSON, read on demand.
 *
 *     w1:{N.<farm>}:b   board: "id/incarnation" -> sealed brief, for 6 s      :ch  its channel
 *     w1:{N.<farm>}:n:<id>/<incarnation>   the record, sealed
 *
 *     unknown   --first whole read----------------------> current
 *     unknown,
 *     current   --no read succeeded for 3 beats---------> lost      (autonomous: health.h)
 *     lost      --read, subscribed, read again----------> current
 *
 * Numbers: each brief of an incarnation has a greater one than the last. A hint tells more of a
 * member that the board shows to be alive; alone it makes nobody live. A member is gone when it has
 * put no new brief on the board for MEMBER_LIVE_MS, or has said that it leaves; what vanishes from
 * the board otherwise (somebody flushed Redis) stays for that long.
 *
 * A brief says when it was sealed, by the shared clock as its writer knows it. One that is a minute
 * old when it is read was kept by somebody and put there again: it means nothing, so that nobody
 * who recorded what a member said lets it live on, and vote, for those who never saw it die.
 *
 * Twins: of two incarnations with one id both have beaten since the younger was seen first. (After
 * kill -9 and a restart the old one is still to be seen for up to MEMBER_LIVE_MS, without that.)
 *
 * Everything runs on the thread of `loop` (the control thread) but what says "any thread". Without
 * a farm (shared_is_farm()) there is one member, and nothing is ever lost; nothing is written or
 * read, and no timer wakes the node up.
 *
 * Source: balancing-and-health 4.2 (membership), redis 3.8 (receipts).
 */
#ifndef WEIR_MEMBERS_H
#define WEIR_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/seal.h"
#include "weir/shared.h"
#include "weir/span.h"

struct members;

#define MEMBER_ID_MAX    64          /* bytes of a node's id: letters, digits, ". - _ :" */
#define MEMBER_BEAT_MS   2000        /* between beats, and between reads */
#define MEMBER_LIVE_MS   6000        /* a member that was silent for so long is none any more */
#define MEMBER_VOTES_MAX (48 * 1024) /* bytes */
#define MEMBERS_MAX      2000        /* that are looked at */

enum member_flag {
    MEMBER_READY = 1,      /* wants traffic */
    MEMBER_DRAINING = 2,   /* on its way out */
    MEMBER_SUSPECT = 4,    /* suspects itself: its votes weigh nothing */
    MEMBER_AUTONOMOUS = 8, /* had lost sight of the others when it wrote this */
    MEMBER_LEFT = 16,      /* set by members_leave(); such a member is in no list */
};

struct member_brief {
    uint32_t flags;         /* enum member_flag */
    uint64_t config;        /* hash of the configuration in force; equal means equal */
    uint64_t purges;        /* id up to which the purge log is applied here; 0: not known */
    uint64_t order;         /* number of the last order it has carried out (words.h) */
    struct weir_span votes; /* health's */
};

struct member {
    const char *id;
    uint64_t incarnation;
    bool self;
    bool twin;        /* another live member has the same id */
    int64_t beat_ms;  /* own monotonic clock: when it last beat */
    int64_t since_ms; /* own monotonic clock: first seen */
    unsigned format; /* version of what it writes; a brief of another one is read as far as known */
    uint64_t sequence; /* of the brief */
    struct member_brief brief;
};

struct members_options {
    struct shared_port *port;        /* borrowed; outlives it */
    const struct shared_loop *loop;  /* copied */
    const struct weir_seal_key *key; /* copied */
    const char *farm, *id;           /* copied */
    uint64_t incarnation;            /* drawn; never 0 */
    /* Writes the record anew into `out` (at most 32 KiB), before a beat. */
    size_t (*record)(void *arg, char *out, size_t cap);
    /* Something that others said has changed, or who is live, or `lost`. Never from inside a call.
     */
    void (*changed)(void *arg);
    void *arg;
};

/* NULL: *err. Beats at once; Redis need not be reachable. */
struct members *members_new(const struct members_options *o, struct weir_err *err);
/* Stops without leaving: to others it is silent from now on. NULL does nothing. */
void members_free(struct members *m);
/* Says that it goes (drain, end): the others drop it at once. Tells `left`, which may free m, when
 * that is done or failed (at most 500 ms later); never from inside. No beats after it. */
void members_leave(struct members *m, void (*left)(void *arg), void *arg);

/* The brief from now on; votes are copied. `at_once`: others must hear of it now (a vote changed,
 * it drains); else with the next beat. Several in one turn are one beat; more than 20 a second are
 * put off. false without memory (or too many votes): what was said before stands. */
bool members_say(struct members *m, const struct member_brief *b, bool at_once);

/* All live members, this one first, the others by id: valid until the loop's next turn or
 * members_say(). Always has this node itself, whatever Redis says. */
size_t members_list(struct members *m, const struct member **out);
/* How many share the farm's work: the number of the list; while `lost`, as many as there were last.
 * >= 1. Any thread. */
size_t members_live(const struct members *m);

struct members_state {
    bool current;       /* the list is the farm's */
    bool lost;          /* it was once, or was never, and nobody answers: each for himself */
    size_t last_live;   /* how many there were when it was current last; >= 1. While lost: of
                           all that may be there, each its own island */
    int64_t contact_ms; /* since it was read last; -1: never */
    int64_t skew_ms;    /* this host's clock less the shared one, smoothed; 0 until known */
    uint64_t forged, stale, foreign; /* what was ignored: no valid seal; an old number; a format */
};

void members_state(const struct members *m, struct members_state *out);

/* The record of a member as it was written last (within some 10 s): a get (weir/shared.h) on c. */
void members_record(struct members *m, struct shared_call *c, const char *id, uint64_t incarnation);
/* The JSON in the answer of that call, valid as long as the answer. false: there is none, or it was
 * not written by that member. */
bool members_record_json(const struct members *m, const struct shared_call *c, const char *id,
                         uint64_t incarnation, struct weir_span *json);

/* Does what is due by the loop's clock. A timer of the loop calls it; a test or a simulation with a
 * clock of its own does. */
void members_turn(struct members *m);

/* ---- for who is no member: weirctl ---- */

/* Reads and never writes: id, incarnation and record are not looked at, and members_say() is not
 * for it. The same as members_new() otherwise; the list has only others, perhaps nobody. */
struct members *members_watch(const struct members_options *o, struct weir_err *err);

#endif
