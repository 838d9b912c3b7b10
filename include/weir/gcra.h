/*
 * gcra.h - the arithmetic of a rate: the generic cell rate algorithm.
 *
 * `burst` tokens may go at once, and one comes back every interval_us. The whole state is one
 * instant, the *theoretical arrival time*: when the cell would be full again. Time is a parameter,
 * of any clock, as long as a cell sees one and the same. Allocates nothing, cannot fail.
 *
 *          now                      full again (tat)
 *   --------|--x-----x-----x-----x-----|--------->      4 tokens are out, burst - 4 are there
 *
 * Source: ITU-T I.371 annex A.
 */
#ifndef WEIR_GCRA_H
#define WEIR_GCRA_H

#include <stdbool.h>
#include <stdint.h>

#define WEIR_GCRA_INTERVAL_MAX 1000000000000 /* microseconds: about eleven days */
#define WEIR_GCRA_BURST_MAX    1000000

struct weir_gcra_rate {
    uint64_t interval_us; /* 1 ... WEIR_GCRA_INTERVAL_MAX */
    uint32_t burst;       /* 1 ... WEIR_GCRA_BURST_MAX */
};

struct weir_gcra_answer {
    uint32_t taken;  /* 0: refused */
    uint32_t rest;   /* how many more could have been taken now */
    int64_t next_us; /* refused: until one token is there; else 0 */
    int64_t full_us; /* until the cell is as if it had never been used: it may be forgotten then */
};

/*
 * Takes up to `want` tokens (0: looks, takes nothing, and is refused if there is none). *tat_us is
 * 0 for a cell that was never used; now_us > 0. A clock that went back refuses for burst *
 * interval_us at most. false: none was there (out->taken is 0).
 */
bool weir_gcra_take(int64_t *tat_us, const struct weir_gcra_rate *r, int64_t now_us, uint32_t want,
                    struct weir_gcra_answer *out);
/* Puts tokens back that were not used. */
void weir_gcra_give_back(int64_t *tat_us, const struct weir_gcra_rate *r, uint32_t count);

#endif
