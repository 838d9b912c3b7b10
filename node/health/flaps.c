#include "flaps.h"

#include <math.h>

static void decay(struct flaps *f, int64_t now_ms)
{
    if (f->penalty > 0)
        f->penalty *= exp2(-(double)(now_ms - f->at_ms) / FLAPS_HALF_MS);
    if (f->penalty < 1)
        f->penalty = 0;
    f->at_ms = now_ms;
}

void flaps_down(struct flaps *f, int64_t now_ms)
{
    decay(f, now_ms);
    f->penalty = fmin(f->penalty + FLAPS_EACH, FLAPS_MOST);
    flaps_look(f, now_ms);
}

bool flaps_look(struct flaps *f, int64_t now_ms)
{
    decay(f, now_ms);
    f->suppressed = f->suppressed ? f->penalty >= FLAPS_REUSE : f->penalty > FLAPS_SUPPRESS;
    return f->suppressed;
}
