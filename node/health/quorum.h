/*
 * quorum.h - fresh votes of the probers to a verdict.
 *
 *     votes enough: DOWN if two or more of them, and more than half, say down; else UP
 *     too few:      the last verdict is held for QUORUM_HOLD_MS, then UNKNOWN
 *
 * Enough are two, or as many as there are probers where there is one alone. What counts as a vote
 * is the caller's to know: of a prober, fresh, and not of a member that suspects itself.
 *
 * Arithmetic only. Instants are milliseconds of this node's monotonic clock.
 */
#ifndef QUORUM_H
#define QUORUM_H

#include <stdbool.h>
#include <stdint.h>

#define QUORUM_HOLD_MS 10000

struct quorum_votes {
    unsigned probers; /* live */
    unsigned up, down;
};

struct quorum {
    int verdict;       /* enum origin_verdict: UP, DOWN or UNKNOWN */
    bool held;         /* by older votes than there are now */
    int64_t agreed_ms; /* when there were enough votes last */
};

/* Nobody has voted yet: `verdict` is held from now on. */
void quorum_begin(struct quorum *q, int verdict, int64_t now_ms);
/* True if the verdict changed. */
bool quorum_judge(struct quorum *q, const struct quorum_votes *v, int64_t now_ms);

#endif
