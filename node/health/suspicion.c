#include "suspicion.h"

static bool exceeds(const struct suspicion_sight *s)
{
    const unsigned least = s->others_up > 1 ? 2 : 1;

    return s->down >= least && s->down * 100 > s->seen * SUSPICION_ENTER_PERCENT;
}

bool suspicion_judge(struct suspicion *s, const struct suspicion_sight *sight, int64_t now_ms)
{
    const bool before = s->suspect;
    const bool over = exceeds(sight);

    if (over && !s->over)
        s->since_ms = now_ms;
    s->over = over;
    if (!s->suspect)
        s->suspect = over && now_ms - s->since_ms >= sight->hold_ms;
    else
        s->suspect = sight->down * 100 > sight->seen * SUSPICION_LEAVE_PERCENT;
    return s->suspect != before;
}
