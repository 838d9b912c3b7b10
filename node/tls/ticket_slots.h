/*
 * ticket_slots.h - the keys that workers see: two places, of which one is read while the other is
 * written. A reader never waits, and neither does the writer: it comes again later where somebody
 * still reads.
 *
 * A reader counts itself in at the place that is in use, and then looks whether it still is. So
 * whoever writes to the other one, having seen nobody counted in there, writes where nobody reads.
 */
#ifndef TICKET_SLOTS_H
#define TICKET_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "ticket_ring.h"

struct ticket_view {
    struct ticket_key keys[TICKET_KEYS_MAX];
    bool renew[TICKET_KEYS_MAX]; /* who comes with a ticket under it gets a new one */
    size_t count;
    size_t issuer; /* count: none */
};

struct ticket_slots {
    struct ticket_view view[2];
    atomic_uint used;
    atomic_uint readers[2];
};

/* Any thread. Good until ticket_slots_leave(). */
const struct ticket_view *ticket_slots_enter(struct ticket_slots *s, unsigned *place);
void ticket_slots_leave(struct ticket_slots *s, unsigned place);

/* The writer's, one thread. false: somebody still reads what was there before; again in a moment.
 */
bool ticket_slots_publish(struct ticket_slots *s, const struct ticket_view *v);
/* Overwrites what is not in use any more. false: likewise. */
bool ticket_slots_clean(struct ticket_slots *s);

#endif
