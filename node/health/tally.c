#include "tally.h"

bool tally_add(struct tally *t, enum health_reason result, uint32_t rise, uint32_t fall)
{
    const bool ok = result == HEALTH_R_ANSWERED || result == HEALTH_R_TRAFFIC;
    const enum health_vote said = ok ? HEALTH_VOTE_UP : HEALTH_VOTE_DOWN;

    if (result == HEALTH_R_NONE || result == HEALTH_R_LOCAL)
        return false;
    if (t->run > 0 && t->last_ok != ok)
        t->run = 0;
    t->run += t->run < UINT16_MAX;
    t->last_ok = ok;
    t->reason = result;
    if (t->vote == said || t->run < (ok ? rise : fall))
        return false;
    t->vote = said;
    return true;
}

bool tally_changing(const struct tally *t)
{
    return t->run > 0 && t->vote != (t->last_ok ? HEALTH_VOTE_UP : HEALTH_VOTE_DOWN);
}
