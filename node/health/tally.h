/*
 * tally.h - results of probes, one after the other, to a vote: `fall` failures in a row turn it
 * down, `rise` successes turn it up.
 *
 *     NONE --rise--> UP <--rise-- DOWN
 *       '-----fall---> DOWN <--fall-- UP
 *
 * Arithmetic only.
 */
#ifndef TALLY_H
#define TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "health.h"

struct tally {
    enum health_vote vote;
    enum health_reason reason; /* of the last result that said something */
    bool last_ok;
    uint16_t run; /* results of the last one's kind in a row; stops at 65535 */
};

/* A result: ANSWERED and TRAFFIC are successes; NONE and LOCAL say nothing, as if they had never
 * been; all else is a failure. True if the vote changed. rise, fall: at least 1. */
bool tally_add(struct tally *t, enum health_reason result, uint32_t rise, uint32_t fall);

/* The last results speak against the vote, but are not enough yet: time to ask more often. */
bool tally_changing(const struct tally *t);

#endif
