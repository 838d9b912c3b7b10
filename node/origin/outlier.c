#include "outlier.h"

#include "balance.h"
#include "origin_state.h"

#define US_PER_MS 1000

void outlier_success(struct origin_state *s, int64_t began_us)
{
    atomic_fetch_add_explicit(&s->successes, 1, memory_order_relaxed);
    if (began_us < atomic_load_explicit(&s->out_until_us, memory_order_relaxed))
        return; /* begun before it went out: says nothing of how it came back */
    /* Nearly always 0 already: do not take the line away from the other workers for nothing. */
    if (atomic_load_explicit(&s->fails, memory_order_relaxed) != 0)
        atomic_store_explicit(&s->fails, 0, memory_order_relaxed);
}

static void note_refused(struct origin_state *s, int64_t now_us)
{
    const int64_t before =
        atomic_exchange_explicit(&s->refused_at_us, now_us, memory_order_relaxed);

    /* A balancer that knows of the last one looks again when that expires. */
    if (before == ORIGIN_NEVER || now_us - before >= BALANCE_REFUSED_US)
        origin_state_changed(s);
}

static bool room_to_eject(const struct upstream_settings *settings,
                          struct origin_state *const *states, int i, int64_t now_us)
{
    size_t most = settings->origin_count * settings->eject_percent / 100;
    size_t out = 1; /* the candidate */

    if (settings->origin_count < 2)
        return false;
    if (most == 0)
        most = 1;
    for (size_t k = 0; k < settings->origin_count; k++)
        if (k != (size_t)i && origin_state_ejected(states[k], now_us))
            out++;
    return out <= most;
}

/* The n of "base x n" for an ejection now. */
static unsigned ejections_with_this(const struct origin_state *s, int64_t back_since_us,
                                    int64_t base_us, int64_t now_us)
{
    const unsigned before = atomic_load_explicit(&s->ejections, memory_order_relaxed);
    const int64_t healed = (now_us - back_since_us) / base_us;

    return (healed >= before ? 0 : before - (unsigned)healed) + 1;
}

static bool eject(const struct upstream_settings *settings, struct origin_state *const *states,
                  int i, int64_t now_us)
{
    struct origin_state *s = states[i];
    const int64_t base_us = (settings->eject_base_ms > 0 ? settings->eject_base_ms : 1) * US_PER_MS;
    const int64_t max_us = settings->eject_max_ms * US_PER_MS;
    long long before = atomic_load_explicit(&s->out_until_us, memory_order_relaxed);
    const unsigned n = ejections_with_this(s, before, base_us, now_us);
    const int64_t length_us = n <= max_us / base_us ? base_us * n : max_us;
    long long until = now_us + (length_us > base_us ? length_us : base_us);

    if (before > now_us || !room_to_eject(settings, states, i, now_us) ||
        !atomic_compare_exchange_strong_explicit(&s->out_until_us, &before, until,
                                                 memory_order_seq_cst, memory_order_relaxed))
        return false; /* no room, or another worker was first */
    if (!room_to_eject(settings, states, i, now_us)) {
        /* Two workers took the last place for two origins: both step back, a next failure decides.
         */
        atomic_compare_exchange_strong_explicit(&s->out_until_us, &until, before,
                                                memory_order_seq_cst, memory_order_relaxed);
        return false;
    }
    atomic_store_explicit(&s->ejections, n, memory_order_relaxed);
    /* Probation: its first failure after the return is the one too many. */
    atomic_store_explicit(&s->fails, settings->max_fails - 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->ejections_total, 1, memory_order_relaxed);
    origin_state_changed(s);
    return true;
}

bool outlier_failure(const struct upstream_settings *settings, struct origin_state *const *states,
                     int i, int64_t began_us, int64_t now_us, bool refused)
{
    struct origin_state *s = states[i];

    atomic_fetch_add_explicit(&s->failures, 1, memory_order_relaxed);
    if (refused)
        note_refused(s, now_us);
    if (began_us < atomic_load_explicit(&s->out_until_us, memory_order_relaxed))
        return false;
    if (settings->max_fails == 0 ||
        atomic_fetch_add_explicit(&s->fails, 1, memory_order_relaxed) + 1 < settings->max_fails)
        return false;
    return eject(settings, states, i, now_us);
}
