#include "admin_state.h"

#include <stdio.h>
#include <sys/resource.h>

#include "admin.h"
#include "net_loop.h"
#include "shared_redis_stats.h"

#define REDIS_TURNS 5 /* each of which asks every thread */

/* ---- rates ---- */

static int64_t cpu_us(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

int64_t admin_failed_handshakes(const int64_t m[WEIR_METRICS])
{
    int64_t sum = m[WEIR_M_handshakes_late];

    for (int i = WEIR_M_tls_failed_closed; i <= WEIR_M_tls_failed_other; i++)
        sum += m[i];
    return sum;
}

static void sample(struct admin_state *s)
{
    int64_t m[WEIR_METRICS], sum[RATES];

    s->source->metrics(s->source->arg, m);
    sum[RATE_REQUESTS] = m[WEIR_M_requests];
    sum[RATE_LOOKUPS] = m[WEIR_M_cache_lookups];
    sum[RATE_HITS] = m[WEIR_M_cache_hits] + m[WEIR_M_cache_stale_hits];
    sum[RATE_ERRORS] = m[WEIR_M_responses_5xx];
    sum[RATE_BYTES] = m[WEIR_M_bytes_out];
    sum[RATE_CPU_US] = cpu_us();
    sum[RATE_TLS_FULL] = m[WEIR_M_tls_handshakes];
    sum[RATE_TLS_RESUMED] = m[WEIR_M_tls_resumed];
    sum[RATE_TLS_FAILED] = admin_failed_handshakes(m);
    rates_add(&s->rates, s->source->loop->clock.mono_ms, sum);
    recent_add(&s->recent, s->source->loop->clock.mono_ms, m);
}

/* ---- Redis ---- */

static void see_endpoint(struct admin_redis_seen *seen, const struct shared_redis_endpoint *e)
{
    snprintf(seen->name, sizeof seen->name, "%s", e->name);
    snprintf(seen->trouble, sizeof seen->trouble, "%s", e->trouble);
    seen->mode = redis_mode_name(e->mode);
    seen->covered = e->mode == REDIS_MODE_CLUSTER ? (int)e->covered : -1;
    seen->up = seen->down = 0;
    for (uint32_t i = 0; i < e->node_count; i++) {
        bool down = e->nodes[i].ports_open > 0;

        seen->down += down;
        seen->up += !down;
    }
    if (e->ports_ready == 0) { /* no thread has a master to ask: what is known of them is old */
        seen->down += seen->up;
        seen->up = 0;
    }
}

static void on_told(const struct shared_redis_stats *stats, void *arg)
{
    struct admin_state *s = arg;

    s->asking = NULL;
    if (stats == NULL)
        return;
    s->redis_count = stats->endpoint_count;
    for (unsigned i = 0; i < stats->endpoint_count; i++)
        see_endpoint(&s->redis[i], &stats->endpoints[i]);
}

/* ---- members ---- */

static void see_members(struct admin_state *s)
{
    const struct member *list;
    struct members_state state;
    size_t n;

    if (s->source->members == NULL)
        return;
    members_state(s->source->members, &state);
    if (!state.current)
        return;
    n = members_list(s->source->members, &list);
    known_nodes_see(&s->known, list, n, s->source->loop->clock.mono_ms);
}

void admin_state_turn(struct admin_state *s)
{
    sample(s);
    see_members(s);
    if (s->source->farm_name != NULL && s->asking == NULL && s->turns++ % REDIS_TURNS == 0)
        s->asking = shared_redis_ask(s->source->shared, on_told, s, NULL);
}

void admin_state_end(struct admin_state *s)
{
    if (s->asking != NULL)
        shared_redis_ask_cancel(s->asking);
    s->asking = NULL;
    known_nodes_free(&s->known);
}
