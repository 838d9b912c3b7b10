/*
 * suspicion.h - when so much looks down from here that others see up, the fault is here.
 *
 *     trusting --more than 30 % down here, for as long as others would need to see it too-->
 * suspect suspect  --15 % or less, or nobody else to compare with----------------------------->
 * trusting
 *
 * One origin alone is no ground, unless it is the only one: a node cut from one origin routes
 * around it. And nobody suspects himself for being alone: only what another member calls up counts.
 *
 * Arithmetic only. Source: Lifeguard (Dadgar, Phillips, Currey 2017); balancing-and-health 4.2.
 */
#ifndef SUSPICION_H
#define SUSPICION_H

#include <stdbool.h>
#include <stdint.h>

#define SUSPICION_ENTER_PERCENT 30
#define SUSPICION_LEAVE_PERCENT 15

struct suspicion_sight {
    unsigned others_up; /* checks that other members call up, and the farm too */
    unsigned seen;      /* of them: those that this node has a view of */
    unsigned down;      /* of those: down from here */
    int64_t hold_ms;    /* how long it must last: others notice a death within it */
};

struct suspicion { /* all zero: trusting */
    bool suspect;
    bool over;        /* the share is exceeded */
    int64_t since_ms; /* over: since when */
};

/* True if `suspect` changed. Called at least once a second while anything is down here. */
bool suspicion_judge(struct suspicion *s, const struct suspicion_sight *sight, int64_t now_ms);

#endif
