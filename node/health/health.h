/*
 * health.h - which origins are up: this node's own probes and traffic, the votes of the others, the
 * verdict, and the operator's word on top.
 *
 * For each check (an upstream's way of asking one origin; health_check.h) the three live members
 * that come first in the order of rendezvous hashing probe it; the others do not. Each prober votes
 * with its beat (weir/members.h). Every node computes the verdict for itself, from the fresh votes
 * of the probers: nobody leads.
 *
 *     DOWN     at least two fresh votes, and more than half of them, say down
 *     UP       otherwise, as long as there are two fresh votes
 *     held     fewer than two: the last verdict stands for 10 s,
 *     UNKNOWN  then: what this node sees itself decides (its own probes and ejections)
 *
 * A farm of one or two live probers needs as many votes as there are probers. Members that suspect
 * themselves are no probers.
 *
 *     node's own view --outliers, own probes--> acts at once, here alone
 *     own view against the farm's, for more than 30 % of its origins --> this node suspects itself:
 *         its votes weigh nothing, and it is not ready
 *     flaps: +1000 for each DOWN, halved every 60 s; above 3000 it stays out until below 750
 *     members lost --> autonomous: every node probes everything, the more seldom the more there are
 *     traffic: 5 answers in an interval and no failure are a vote UP without a probe
 *
 * The verdict goes into struct origin_state, which balancers read; verdicts survive reloads because
 * states do. All of it on the control thread, but the origin states.
 *
 * An upstream without `health:` has no checks: its verdict is UP, and words apply to it all the
 * same. The operator's word wins over all of it: DRAIN, DISABLE, MAINTENANCE and UP; but an origin
 * that is forced UP can still be ejected here, by what requests meet.
 *
 * Files. Pure: health_check.* (settings to what is asked, its id), health_answer.* (what an origin
 * sends, judged), tally.* (rise and fall), probers.* (rendezvous), votes.* (what a member says),
 * quorum.* (votes to a verdict), flaps.*, suspicion.*. On the control thread: health_probe.* (one
 * probe), health.c (what is watched), health_turns.c (who probes when), health_judge.c (verdicts),
 * health_words.c, health_view.c.
 *
 * Source: balancing-and-health 4.
 */
#ifndef HEALTH_H
#define HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"

struct health;
struct health_transport;
struct members;
struct net_loop;
struct origin_registry;
struct origin_state;
struct site;
struct word;
struct words;

enum health_vote {
    HEALTH_NONE, /* not known yet */
    HEALTH_VOTE_UP,
    HEALTH_VOTE_DOWN,
};

/*
 * Why: of a probe, and of a vote. ANSWERED and TRAFFIC speak for the origin, LOCAL (no descriptor,
 * no memory) says nothing of it, the others speak against it.
 */
enum health_reason {
#define X(id, text) HEALTH_R_##id,
#include "probe_reasons.def"
#undef X
    HEALTH_REASONS
};

/* Static; for numbers of a newer version, too. */
const char *health_reason_text(enum health_reason r); /* "no whole answer in time" */

#define HEALTH_PROBERS 3 /* of each check */

struct health_options {
    struct net_loop *loop;
    struct members *members;
    struct words *words;                /* NULL: nobody says any */
    struct health_transport *transport; /* how probes are made; borrowed. NULL: by sockets */
    /* This node has begun or ceased to suspect itself, or something else that a brief or readiness
     * says has changed. Never from inside a call. */
    void (*changed)(void *arg);
    void *arg;
    uint64_t seed; /* of random offsets */
};

struct health *health_new(const struct health_options *o, struct weir_err *err);
/* Probes under way end and count for nothing. NULL does nothing. */
void health_free(struct health *h);
/* The upstreams of this site from now on: at the start and after each reload. Keeps a reference.
 * What is known of checks that stay is kept; where a check changed, the verdict stands until the
 * new one has its own. false: no memory, all is as before. */
bool health_watch(struct health *h, struct site *site, struct weir_err *err);

/* From the callbacks of members and words: soon after, all is judged anew. */
void health_look(struct health *h);

/* ---- what this node says and thinks ---- */

/* Votes for member_brief.votes; valid until the next turn. */
size_t health_votes(struct health *h, const char **bytes);
bool health_suspects_self(const struct health *h);
bool health_autonomous(const struct health *h);

/* One origin as status shows it. */
struct health_view {
    const char *upstream, *url;
    bool checked; /* active checks are on */
    bool backup;
    bool panic;                /* its upstream is in panic (balance.h) */
    int verdict;               /* enum origin_verdict, of checks and quorum alone */
    int in_force;              /* enum origin_verdict: after the operator's word */
    bool held;                 /* too few fresh votes: the last verdict stands for now */
    const char *why;           /* static: "2 of 3 votes", "held", "flapping", "operator", ... */
    enum health_reason reason; /* of the votes that decided, or of this node's last probe */
    int64_t since_ms;          /* how long in_force has been so */
    const char *probers[HEALTH_PROBERS]; /* ids of those who should probe it */
    unsigned prober_count;
    bool prober;          /* this node is one of them */
    bool probed;          /* this node probes it, prober or not */
    enum health_vote own; /* its vote */
    enum health_reason own_reason;
    int64_t rtt_us; /* of its last probe; -1 none */
    unsigned votes_up, votes_down;
    bool ejected, flapping;
    double penalty;
    uint64_t probes, probes_failed; /* by this node */
    uint32_t weight, weight_configured;
    const struct origin_state *state; /* connections, requests, failures ... */
    /* In force for it; NULL: none. `word` may be one on its upstream (MAINTENANCE). */
    const struct word *word, *weight_word;
};

/* `see` for each origin, in the order of the configuration; the view is borrowed for the call. */
void health_each(struct health *h, void (*see)(void *arg, const struct health_view *v), void *arg);

struct health_totals {
    uint64_t probes, probes_skipped; /* skipped: traffic was proof */
    uint64_t verdict_changes;
    uint64_t probes_failed;
    unsigned checks, probed_here, under_way;
    unsigned down;   /* origins that are DOWN here, of those with checks */
    unsigned panics; /* upstreams in panic */
};
void health_totals(const struct health *h, struct health_totals *out);

#endif
