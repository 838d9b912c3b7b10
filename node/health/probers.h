/*
 * probers.h - which members probe a check: the first HEALTH_PROBERS in the order of rendezvous
 * hashing, so that all nodes agree without asking each other, and a member that comes or goes moves
 * about K/N of the checks.
 *
 * The order goes by the members' ids, not by their incarnations: a node that is restarted gets its
 * checks back. Twins (one id, two incarnations) are two members side by side in the order.
 *
 * Pure. The same on every host, whatever its byte order.
 *
 * Source: Thaler, Ravishankar: Using name-based mappings to increase hit rates (1998).
 */
#ifndef PROBERS_H
#define PROBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health.h"

struct prober_candidate {
    uint64_t place; /* probers_place() of its id */
    uint64_t incarnation;
    bool out; /* is not chosen */
};

struct probers {
    unsigned count;
    uint32_t at[HEALTH_PROBERS]; /* indices of candidates, the first in the order first */
};

uint64_t probers_place(const char *id);
/* Borrows the candidates; their order does not matter. */
void probers_pick(uint64_t check, const struct prober_candidate *candidates, size_t count,
                  struct probers *out);

#endif
