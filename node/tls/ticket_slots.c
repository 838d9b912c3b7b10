#include "ticket_slots.h"

#include <string.h>

/* All in one order: "counted in, then looked" here and "turned, then looked for readers" there must
 * not both miss each other. */
const struct ticket_view *ticket_slots_enter(struct ticket_slots *s, unsigned *place)
{
    for (;;) {
        unsigned used = atomic_load(&s->used);

        atomic_fetch_add(&s->readers[used], 1);
        if (atomic_load(&s->used) == used) {
            *place = used;
            return &s->view[used];
        }
        atomic_fetch_sub(&s->readers[used], 1); /* it was turned just now: the other one */
    }
}

void ticket_slots_leave(struct ticket_slots *s, unsigned place)
{
    atomic_fetch_sub(&s->readers[place], 1);
}

bool ticket_slots_publish(struct ticket_slots *s, const struct ticket_view *v)
{
    unsigned other = 1 - atomic_load(&s->used);

    if (atomic_load(&s->readers[other]) != 0)
        return false;
    s->view[other] = *v;
    atomic_store(&s->used, other);
    return true;
}

bool ticket_slots_clean(struct ticket_slots *s)
{
    unsigned other = 1 - atomic_load(&s->used);

    if (atomic_load(&s->readers[other]) != 0)
        return false;
    explicit_bzero(&s->view[other], sizeof s->view[other]);
    return true;
}
