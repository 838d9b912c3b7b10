#include "weir/gcra.h"

bool weir_gcra_take(int64_t *tat_us, const struct weir_gcra_rate *r, int64_t now_us, uint32_t want,
                    struct weir_gcra_answer *out)
{
    const int64_t interval = (int64_t)r->interval_us;
    const int64_t all = interval * r->burst; /* 10^18 at most */
    int64_t tat = *tat_us < now_us ? now_us : *tat_us;
    int64_t room, there;

    if (tat - now_us > all) /* the clock went back: remembered, or it would refuse until then */
        *tat_us = tat = now_us + all;
    room = now_us + all - tat;
    there = room / interval;
    out->taken = there < (int64_t)want ? (uint32_t)there : want;
    out->rest = (uint32_t)there - out->taken;
    out->next_us = there > 0 ? 0 : interval - room;
    if (out->taken > 0)
        *tat_us = tat += out->taken * interval;
    out->full_us = tat - now_us;
    return there > 0;
}

void weir_gcra_give_back(int64_t *tat_us, const struct weir_gcra_rate *r, uint32_t count)
{
    *tat_us -= (int64_t)r->interval_us * count;
}
