#include "limit_cell.h"

/* A local share is 6/5 of an even one. */
#define SHARE_NUMERATOR   6
#define SHARE_DENOMINATOR 5

#define PAUSE_US 100000 /* a refusal is remembered for so long at least, while the burst allows */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t all_us(const struct weir_gcra_rate *r)
{
    return (int64_t)r->interval_us * r->burst;
}

static void take(struct limit_cell *c, const struct weir_gcra_rate *r, int64_t now_us,
                 enum limit_source source, struct limit_said *out)
{
    struct weir_gcra_answer a;
    bool allowed = weir_gcra_take(&c->tat_us, r, now_us, 1, &a);

    *out = (struct limit_said){allowed, source, a.rest, a.next_us};
}

void limit_cell_exact(struct limit_cell *c, const struct weir_gcra_rate *r, int64_t now_us,
                      struct limit_said *out)
{
    take(c, r, now_us, LIMIT_OF_NODE, out);
}

/* ---- the local share ---- */

static struct weir_gcra_rate share_of(const struct weir_gcra_rate *r, uint32_t members)
{
    struct weir_gcra_rate share = *r;
    uint64_t burst;

    if (members <= 1)
        return share;
    share.interval_us = r->interval_us * members * SHARE_DENOMINATOR / SHARE_NUMERATOR;
    burst = ((uint64_t)r->burst * SHARE_NUMERATOR + (uint64_t)members * SHARE_DENOMINATOR - 1) /
            ((uint64_t)members * SHARE_DENOMINATOR);
    share.burst = burst < r->burst ? (uint32_t)burst : r->burst;
    return share;
}

void limit_cell_local(struct limit_cell *c, const struct weir_gcra_rate *r, uint32_t members,
                      int64_t now_us, struct limit_said *out)
{
    struct weir_gcra_rate share = share_of(r, members);

    take(c, &share, now_us, LIMIT_OF_SHARE, out);
}

/* ---- what is known ---- */

static void use_lease(struct limit_cell *c, const struct weir_gcra_rate *r, struct limit_said *out)
{
    uint64_t rest;

    c->leased--;
    rest = (uint64_t)c->leased + c->rest;
    *out =
        (struct limit_said){true, LIMIT_OF_LEASE, rest < r->burst ? (uint32_t)rest : r->burst, 0};
}

bool limit_cell_known(struct limit_cell *c, const struct weir_gcra_rate *r, uint32_t members,
                      int64_t now_us, struct limit_said *out)
{
    if (c->leased > 0 && now_us < c->leased_until_us) {
        use_lease(c, r, out);
        return true;
    }
    if (now_us < c->refused_until_us) {
        *out = (struct limit_said){false, LIMIT_OF_LEASE, 0, c->refused_until_us - now_us};
        return true;
    }
    if (now_us < c->local_until_us) {
        limit_cell_local(c, r, members, now_us, out);
        return true;
    }
    if (c->asking && c->waiting >= r->burst) { /* there cannot be one for each of them */
        *out = (struct limit_said){false, LIMIT_OF_LEASE, 0, (int64_t)r->interval_us};
        return true;
    }
    return false;
}

/* ---- asking ---- */

/* Never so much that one node could take what others need. */
static uint32_t lease_max(const struct weir_gcra_rate *r, uint32_t members)
{
    uint64_t worth = LIMIT_LEASE_US / r->interval_us;
    uint64_t share = (uint64_t)r->burst / 2 / (members > 0 ? members : 1);

    worth = worth < share ? worth : share;
    return worth > 0 ? (uint32_t)worth : 1;
}

uint32_t limit_cell_want(struct limit_cell *c, const struct weir_gcra_rate *r, uint32_t members,
                         int64_t now_us)
{
    const uint32_t max = lease_max(r, members);
    const int64_t lasted = now_us - c->asked_us;
    uint32_t want = c->want;

    /* A key that asks now and then gets one at a time, so that nothing lies about unused. */
    if (lasted < LIMIT_LEASE_US)
        want = want <= max / 2 ? want * 2 : max;
    else if (lasted > 4 * LIMIT_LEASE_US)
        want = 1;
    if (want > max)
        want = max;
    c->want = want > 0 ? want : 1;
    c->asked_us = now_us;
    want = c->want > c->waiting ? c->want : c->waiting;
    return want < r->burst ? want : r->burst;
}

void limit_cell_answer(struct limit_cell *c, const struct weir_gcra_rate *r, int64_t now_us,
                       uint32_t granted, int64_t left_us, uint32_t rest)
{
    /* Who asks again the moment one token is back would ask for each token: a flood would be a
     * question a request. The burst keeps what comes back meanwhile. */
    const int64_t pause = most(least(PAUSE_US, all_us(r) / 2), 1);

    c->local_until_us = 0;
    c->rest = rest < r->burst ? rest : r->burst;
    if (granted > 0) {
        if (now_us >= c->leased_until_us)
            c->leased = 0;
        c->leased += granted < r->burst ? granted : r->burst;
        c->leased_until_us = now_us + LIMIT_LEASED_US;
        /* These were the last. Where the next one is far off, the answer that says when is worth a
         * question. */
        c->refused_until_us = rest == 0 && r->interval_us < PAUSE_US ? now_us + pause : 0;
        return;
    }
    c->refused_until_us = now_us + most(least(left_us, (int64_t)r->interval_us), pause);
}

void limit_cell_lost(struct limit_cell *c, int64_t now_us)
{
    c->local_until_us = now_us + LIMIT_LOCAL_US;
}

void limit_cell_give_back(struct limit_cell *c, const struct weir_gcra_rate *r, uint32_t members,
                          enum limit_source source, int64_t now_us)
{
    struct weir_gcra_rate counted = source == LIMIT_OF_SHARE ? share_of(r, members) : *r;

    if (source != LIMIT_OF_LEASE) {
        weir_gcra_give_back(&c->tat_us, &counted, 1);
        return;
    }
    if (now_us >= c->leased_until_us) {
        c->leased = 0;
        c->leased_until_us = now_us + LIMIT_LEASED_US;
    }
    c->leased++;
}

bool limit_cell_idle(const struct limit_cell *c, int64_t now_us)
{
    return !c->asking && c->first == NULL && c->tat_us <= now_us &&
           (c->leased == 0 || c->leased_until_us <= now_us) && c->refused_until_us <= now_us &&
           c->local_until_us <= now_us;
}
