/*
 * health_own.h - what the parts of health share; private to them.
 *
 * Each origin of the site is an *item*, with or without a check. Items are kept over reloads as
 * long as their origin state is the same.
 *
 *     look (a change elsewhere), or turn (each HEALTH_TURN_MS while there are checks)
 *       -> health_members_read()   who is there; whose turn it is to probe
 *       -> health_words_apply()    operators' orders (on a look)
 *       -> health_judge()          votes -> verdicts, suspicion
 *       -> health_turns_set()      which items are probed here, from when on
 *     a probe ends -> tally -> if the vote changed: look
 */
#ifndef HEALTH_OWN_H
#define HEALTH_OWN_H

#include <event2/event_struct.h>

#include "weir/members.h"
#include "weir/words.h"

#include "balance.h"
#include "flaps.h"
#include "health.h"
#include "health_check.h"
#include "health_probe.h"
#include "net_loop.h"
#include "origin_state.h"
#include "probers.h"
#include "quorum.h"
#include "site.h"
#include "suspicion.h"
#include "tally.h"
#include "votes.h"

#define HEALTH_TURN_MS  500
#define HEALTH_FRESH_MS MEMBER_LIVE_MS /* a vote of a member that was silent for longer is old */
#define HEALTH_RATE_MAX                                                                            \
    5 /* probes a second of one origin, by a farm in which everybody                               \
         probes for himself */

struct health_item {
    struct health *h;
    const struct site_upstream *up; /* of h->site */
    size_t index;                   /* in it */
    struct origin_state *state;     /* reference */
    struct origin_names *names;     /* reference */
    struct health_check *check;     /* owned; NULL: the upstream has none */

    /* health_members.c */
    struct probers probers; /* indices of h->members */
    bool prober;            /* this node is one */

    /* health_turns.c: probing here */
    bool wanted;
    int64_t interval_ms, fast_ms; /* between probes here: the check's, or longer */
    int64_t due_ms, began_ms;     /* the next; the last */
    int64_t said_ms;              /* when the tally was told something last */
    struct net_timer timer;
    struct health_probe probe;
    struct tally tally;
    uint64_t successes, failures; /* of requests, at the last due time */
    unsigned down_heard;          /* votes that said down, at the last due time */
    unsigned skipped;             /* probes in a row that traffic made needless */
    int64_t rtt_us;
    uint64_t probes, probes_failed;

    /* health_judge.c */
    struct quorum_votes votes;
    unsigned others_up; /* of them, without this node's own */
    enum health_reason votes_reason;
    struct quorum quorum;
    struct flaps flaps;
    bool down;   /* before flaps are looked at */
    int verdict; /* enum origin_verdict: as written to the state */
    const char *why;
    enum health_reason reason;

    int in_force; /* enum origin_verdict, when looked at last */
    int64_t since_ms;
};

struct health_member {      /* one of members_list(), read */
    struct weir_span votes; /* valid, of a member whose votes count; until the next turn */
};

struct health {
    struct health_options options;
    struct net_loop *loop;
    struct health_transport *transport, *sockets; /* sockets: owned, or NULL: the options' */
    struct site *site;                            /* reference; NULL before the first */
    struct health_item **items;                   /* in the order of the configuration */
    struct health_item **by_id;                   /* those with a check, by its id */
    size_t count, checked;
    struct balance_rng rng;
    struct net_timer turn;
    struct event look; /* activated by health_look() */

    /* health_members.c */
    const struct member *members; /* during a look: members_list() */
    struct prober_candidate *candidates;
    struct health_member *read; /* one for each member */
    size_t member_count, member_room;
    uint64_t signature; /* of who is there and takes part */
    uint64_t self_place;
    size_t last_live;
    bool autonomous;

    struct suspicion suspicion;
    int64_t doubt_ms;  /* since when something is down here that others call up; 0: nothing */
    bool said_changed; /* what a brief says: tell at the end of the look */
    char *votes;       /* room for all */
    uint64_t probes_skipped, verdict_changes, probes_all, probes_failed_all;
    unsigned under_way;
};

static inline int64_t health_now_ms(const struct health *h)
{
    return net_now_ms(h->loop);
}

/* health_members.c. False without memory: nothing was read, all stands. */
bool health_members_read(struct health *h);
/* Picks the probers of one item. */
void health_members_assign(struct health *h, struct health_item *it);
/* Members' memory goes with this turn of the loop. */
void health_members_forget(struct health *h);

/* health_words.c */
void health_words_apply(struct health *h);
struct health_orders {
    const struct word *word, *weight; /* NULL: none */
};
struct health_orders health_words_of(struct health *h, const struct health_item *it);

/* health_judge.c */
void health_judge(struct health *h);
bool health_doubts(const struct health *h);
/* Notes since when what holds for it has held. */
void health_note_force(struct health_item *it);

/* health_turns.c */
void health_turns_set(struct health *h);
/* Of an item that is probed: the next one when it is due. */
void health_turns_go_on(struct health_item *it);
/* Stops probing it; what was found out is forgotten. */
void health_turns_stop(struct health_item *it);

/* How it looks from here: by this node's own probes, or else by what its requests met. */
static inline enum health_vote health_own_view(const struct health_item *it)
{
    if (it->tally.vote == HEALTH_NONE &&
        origin_state_ejected(it->state, it->h->loop->clock.mono_us))
        return HEALTH_VOTE_DOWN;
    return it->tally.vote;
}

#endif
