#include "quorum.h"

#include "origin_state.h"

#define ENOUGH 2

void quorum_begin(struct quorum *q, int verdict, int64_t now_ms)
{
    *q = (struct quorum){.verdict = verdict, .held = true, .agreed_ms = now_ms};
}

static int agreed(const struct quorum_votes *v, unsigned enough)
{
    return v->down >= enough && 2 * v->down > v->up + v->down ? ORIGIN_DOWN : ORIGIN_UP;
}

bool quorum_judge(struct quorum *q, const struct quorum_votes *v, int64_t now_ms)
{
    const unsigned enough = v->probers == 1 ? 1 : ENOUGH;
    const int before = q->verdict;

    q->held = v->up + v->down < enough;
    if (!q->held) {
        q->verdict = agreed(v, enough);
        q->agreed_ms = now_ms;
    } else if (now_ms - q->agreed_ms >= QUORUM_HOLD_MS) {
        q->verdict = ORIGIN_UNKNOWN;
    }
    return q->verdict != before;
}
