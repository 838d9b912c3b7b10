/*
 * redis_breaker.h - when to leave one Redis node alone, and when to come back to it.
 *
 *      CLOSED --note(): 5 failures in a row, half of >= 20 in 1 s, or CONFIG--> OPEN
 *      OPEN --probe_due(): the wait is over--> PROBING
 *      PROBING --probed(false)--> OPEN, the wait doubled
 *      PROBING --probed(true)--> CLOSED; with `ramp` RAMPING
 *      RAMPING --ramp_ms without a new opening--> CLOSED
 *      RAMPING --note(), as CLOSED--> OPEN, the wait doubled
 *
 * User traffic passes in CLOSED; in RAMPING a share of it does that grows from 5 % to all over
 * ramp_ms, so that a Redis that came back is not buried at once. In OPEN and PROBING none does: the
 * owner tests with a PING and a slot refresh. A wait is 0.5 s, doubled by each opening up to 10 s,
 * plus or minus a quarter; it starts over when the node has stayed closed for reset_ms.
 *
 * Pure: time is passed in (monotonic milliseconds), nothing is allocated. Numbers: redis.md 3.12.
 */
#ifndef REDIS_BREAKER_H
#define REDIS_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum redis_breaker_state {
    REDIS_BREAKER_CLOSED,
    REDIS_BREAKER_OPEN,
    REDIS_BREAKER_PROBING,
    REDIS_BREAKER_RAMPING,
};

/* What became of a command, as far as it speaks of the node's health. */
enum redis_outcome {
    REDIS_OUTCOME_OK,      /* any reply that shows the node at work, MOVED and OOM too */
    REDIS_OUTCOME_TIMEOUT, /* no answer in time */
    REDIS_OUTCOME_REFUSED, /* could not connect, or the connection was lost */
    REDIS_OUTCOME_DOWN,    /* CLUSTERDOWN, LOADING, MASTERDOWN, too many clients */
    REDIS_OUTCOME_CONFIG,  /* NOAUTH, NOPERM, WRONGPASS: opens at once, waits the longest */
};

#define REDIS_BREAKER_BUCKETS 4

/* Zero fields take the default given. */
struct redis_breaker_settings {
    uint32_t in_a_row;  /* 5 */
    uint32_t least;     /* 20: fewer calls in the window are not judged by their share */
    uint32_t percent;   /* 50 */
    uint32_t window_ms; /* 1000 */
    uint32_t first_ms;  /* 500 */
    uint32_t most_ms;   /* 10000 */
    uint32_t ramp_ms;   /* 10000 */
    uint32_t reset_ms;  /* 10000 */
    bool ramp;          /* the cache endpoint: traffic comes back step by step */
};

struct redis_breaker {
    struct redis_breaker_settings settings;
    enum redis_breaker_state state;
    enum redis_outcome why; /* what opened it last; OK if nothing ever did */
    uint32_t run;           /* failures in a row */
    uint32_t openings;      /* since the wait last started over */
    uint64_t opened;        /* how often in all, for operators */
    uint64_t refused;       /* calls not admitted */
    int64_t since_ms;       /* when it entered `state` */
    int64_t probe_ms;       /* OPEN: when to test */
    int64_t bucket_ms;      /* start of the newest bucket of the window */
    uint32_t at;            /* the newest bucket */
    struct {
        uint32_t calls, failures;
    } window[REDIS_BREAKER_BUCKETS];
    uint64_t random; /* xorshift; never 0 */
};

/* settings: borrowed, NULL for the defaults. seed: any number, different for each breaker. */
void redis_breaker_init(struct redis_breaker *b, const struct redis_breaker_settings *settings,
                        uint64_t seed, int64_t now_ms);

/* May a call of a user go to this node now? Counts those that may not. */
bool redis_breaker_admits(struct redis_breaker *b, int64_t now_ms);

/* The same without counting and without dice: is the node out of use? For choosing among copies. */
bool redis_breaker_open(const struct redis_breaker *b);

/* A call ended. Ignored in OPEN and PROBING: stragglers say nothing new. True if this opened it. */
bool redis_breaker_note(struct redis_breaker *b, enum redis_outcome outcome, int64_t now_ms);

/* True once for each wait that is over: now PROBING, and redis_breaker_probed() must follow. */
bool redis_breaker_probe_due(struct redis_breaker *b, int64_t now_ms);

/* How the test ended. Only in PROBING, else nothing happens. why: REFUSED, CONFIG ...; OK closes.
 */
void redis_breaker_probed(struct redis_breaker *b, enum redis_outcome why, int64_t now_ms);

const char *
redis_breaker_state_name(enum redis_breaker_state s); /* "closed" "open" "probing" ... */
const char *redis_outcome_name(enum redis_outcome o); /* "ok" "timeout" "refused" "down" ... */

#endif
