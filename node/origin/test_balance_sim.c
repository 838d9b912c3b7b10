/*
 * The design's measurement (balancing-and-health 5) as a test: 20 origins x 8 slots, 20 ms mean
 * service, 70 % load, two origins four times slower. A discrete-event simulation with a fixed seed:
 * no clock, always the same result.
 */
#include "balance.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_pool.h"

#define ORIGINS     20
#define SLOTS       8
#define SERVICE_US  20000.0
#define SLOWER      4
#define LOAD        0.7
#define REQUESTS    150000
#define WARM_UP     50000 /* not measured */
#define NODES_MAX   10
#define WAITING_MAX 65536

struct job {
    int64_t arrived_us;
    int node;
};

struct done {
    int64_t at_us;
    int origin;
    struct job job;
};

struct farm {
    struct pool pool;
    int nodes;
    bool oracle;
    struct balancer *balancers[NODES_MAX];
    struct balance_rng rng;
    int64_t now_us;

    struct done heap[ORIGINS * SLOTS]; /* what is being served, the soonest first */
    int serving_all;
    int serving[ORIGINS];
    struct job waiting[ORIGINS][WAITING_MAX]; /* rings */
    unsigned head[ORIGINS], tail[ORIGINS];
    uint32_t *latency_us;
    int measured;
};

static double exponential(struct farm *f, double mean)
{
    return -log(1 - balance_rng_unit(&f->rng)) * mean;
}

static double mean_service_us(int origin)
{
    return origin < 2 ? SERVICE_US * SLOWER : SERVICE_US;
}

static void heap_push(struct farm *f, struct done d)
{
    int i = f->serving_all++;

    for (; i > 0 && f->heap[(i - 1) / 2].at_us > d.at_us; i = (i - 1) / 2)
        f->heap[i] = f->heap[(i - 1) / 2];
    f->heap[i] = d;
}

static struct done heap_pop(struct farm *f)
{
    const struct done top = f->heap[0];
    const struct done last = f->heap[--f->serving_all];
    int i = 0;

    for (int child = 1; child < f->serving_all; child = 2 * i + 1) {
        if (child + 1 < f->serving_all && f->heap[child + 1].at_us < f->heap[child].at_us)
            child++;
        if (last.at_us <= f->heap[child].at_us)
            break;
        f->heap[i] = f->heap[child];
        i = child;
    }
    f->heap[i] = last;
    return top;
}

/* Knows every queue and every speed: where would this request be done first? */
static int oracle_pick(struct farm *f)
{
    double best_us = INFINITY;
    int best = 0, tied = 0;

    for (int i = 0; i < ORIGINS; i++) {
        const unsigned all = (unsigned)f->serving[i] + f->tail[i] - f->head[i] + 1;
        const double us = mean_service_us(i) * (all > SLOTS ? all / (double)SLOTS : 1);

        if (us > best_us)
            continue;
        tied = us == best_us ? tied + 1 : 1;
        if (balance_rng_unit(&f->rng) * tied < 1)
            best = i;
        best_us = us;
    }
    return best;
}

static void serve(struct farm *f, int origin, struct job job)
{
    f->serving[origin]++;
    heap_push(f, (struct done){f->now_us + (int64_t)exponential(f, mean_service_us(origin)), origin,
                               job});
}

static void arrive(struct farm *f)
{
    const int node = (int)(balance_rng_unit(&f->rng) * f->nodes);
    const struct balance_hint none = BALANCE_HINT_NONE;
    const int i =
        f->oracle ? oracle_pick(f) : balancer_pick(f->balancers[node], &none, f->now_us, &f->rng);
    const struct job job = {f->now_us, node};

    if (!f->oracle)
        balancer_begin(f->balancers[node], i);
    if (f->serving[i] < SLOTS) {
        serve(f, i, job);
        return;
    }
    f->waiting[i][f->tail[i]++ % WAITING_MAX] = job;
    assert_true(f->tail[i] - f->head[i] <= WAITING_MAX);
}

static void finish(struct farm *f)
{
    const struct done d = heap_pop(f);
    const int64_t latency_us = d.at_us - d.job.arrived_us;
    const int i = d.origin;

    f->serving[i]--;
    if (!f->oracle)
        balancer_end(f->balancers[d.job.node], i, f->now_us, latency_us, true);
    if (f->head[i] != f->tail[i])
        serve(f, i, f->waiting[i][f->head[i]++ % WAITING_MAX]);
    f->latency_us[f->measured++] = latency_us < UINT32_MAX ? (uint32_t)latency_us : UINT32_MAX;
}

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static double p99_ms(enum balance_kind kind, int nodes, bool oracle)
{
    /* 70 % of what the origins, slow ones included, can do. */
    const double per_us = LOAD * SLOTS * ((ORIGINS - 2) + 2.0 / SLOWER) / SERVICE_US;
    struct farm *f = calloc(1, sizeof(*f));
    double next_us = 0, p99;

    assert_non_null(f);
    pool_open(&f->pool, ORIGINS, kind);
    f->nodes = nodes;
    f->oracle = oracle;
    for (int n = 0; n < nodes; n++)
        f->balancers[n] = balancer_new(&f->pool.settings, f->pool.states, NULL);
    balance_rng_seed(&f->rng, 2024);
    f->latency_us = calloc(REQUESTS, sizeof(*f->latency_us));
    for (int sent = 0; sent < REQUESTS;) {
        if (f->serving_all > 0 && f->heap[0].at_us <= (int64_t)next_us) {
            f->now_us = f->heap[0].at_us;
            finish(f);
            continue;
        }
        f->now_us = (int64_t)next_us;
        arrive(f);
        sent++;
        next_us += exponential(f, 1 / per_us);
    }
    assert_true(f->measured > WARM_UP);
    qsort(f->latency_us + WARM_UP, (size_t)(f->measured - WARM_UP), sizeof(uint32_t), ascending);
    p99 = f->latency_us[WARM_UP + (f->measured - WARM_UP) * 99LL / 100] / 1000.0;
    for (int n = 0; n < nodes; n++)
        balancer_free(f->balancers[n]);
    pool_close(&f->pool);
    free(f->latency_us);
    free(f);
    return p99;
}

static void ewma2_comes_near_the_oracle_with_two_slow_origins(void **state)
{
    const double oracle = p99_ms(BALANCE_EWMA2, 1, true);
    const double one = p99_ms(BALANCE_EWMA2, 1, false);
    const double ten = p99_ms(BALANCE_EWMA2, NODES_MAX, false);

    (void)state;
    print_message("p99: oracle %.1f ms, ewma2 %.1f ms, ten nodes with ewma2 %.1f ms\n", oracle, one,
                  ten);
    assert_true(one <= 1.3 * oracle);
    assert_true(ten <= 1.3 * oracle);
}

/* The measure measures: what knows nothing of load drowns the slow ones. */
static void round_robin_does_not(void **state)
{
    (void)state;
    assert_true(p99_ms(BALANCE_ROUND_ROBIN, 1, false) > 10 * p99_ms(BALANCE_EWMA2, 1, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ewma2_comes_near_the_oracle_with_two_slow_origins),
        cmocka_unit_test(round_robin_does_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
