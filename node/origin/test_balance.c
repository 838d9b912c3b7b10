#include "balance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "weir/alloc.h"

#include "outlier.h"
#include "test_pool.h"

static const enum balance_kind every_kind[] = {
    BALANCE_EWMA2, BALANCE_ROUND_ROBIN, BALANCE_LEAST, BALANCE_RANDOM, BALANCE_HASH,
};
#define KINDS (sizeof(every_kind) / sizeof(*every_kind))

static struct balance_rng seeded(uint64_t seed)
{
    struct balance_rng rng;

    balance_rng_seed(&rng, seed);
    return rng;
}

/* n requests one after the other, each with its own hash and the same latency; counts who got them.
 */
static void spread(struct balancer *b, unsigned n, int64_t now_us, unsigned got[POOL_MAX])
{
    struct balance_rng rng = seeded(7);

    memset(got, 0, POOL_MAX * sizeof(*got));
    for (unsigned k = 0; k < n; k++) {
        struct balance_hint hint = BALANCE_HINT_NONE;
        int i;

        hint.hash = balance_rng_next(&rng);
        i = balancer_pick(b, &hint, now_us, &rng);
        assert_in_range(i, 0, balancer_count(b) - 1);
        balancer_begin(b, i);
        balancer_end(b, i, now_us, 1000, true);
        got[i]++;
    }
}

static int pick(struct balancer *b, int64_t now_us)
{
    static const struct balance_hint none = {.sticky = -1};
    struct balance_rng rng = seeded(3);

    return balancer_pick(b, &none, now_us, &rng);
}

static void eject(struct pool *p, int i, int64_t until_us)
{
    atomic_store(&p->states[i]->out_until_us, until_us);
    origin_state_changed(p->states[i]);
}

/* --- who may be picked: the same for every balancer --- */

static void ejected_and_down_origins_get_nothing(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct pool p;
        struct balancer *b;
        unsigned got[POOL_MAX];

        pool_open(&p, 5, every_kind[k]);
        b = balancer_new(&p.settings, p.states, NULL);
        spread(b, 100, SECOND, got);
        eject(&p, 1, 10 * SECOND);
        origin_state_set_verdict(p.states[3], ORIGIN_DOWN, SECOND);
        origin_state_set_verdict(p.states[4], ORIGIN_UNKNOWN, SECOND);
        spread(b, 1000, SECOND, got);
        assert_int_equal(got[1] + got[3], 0);
        assert_true(got[0] > 0 && got[2] > 0 && got[4] > 0);
        assert_false(balancer_panics(b, SECOND));
        balancer_free(b);
        pool_close(&p);
    }
}

static void an_ejection_ends_by_itself(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned got[POOL_MAX];

    (void)state;
    pool_open(&p, 2, BALANCE_RANDOM);
    b = balancer_new(&p.settings, p.states, NULL);
    eject(&p, 0, 10 * SECOND);
    spread(b, 100, 10 * SECOND - 1, got);
    assert_int_equal(got[0], 0);
    spread(b, 100, 60 * SECOND, got);
    assert_in_range(got[0], 30, 70);
    balancer_free(b);
    pool_close(&p);
}

static void a_request_is_not_sent_twice_to_the_same_origin(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct pool p;
        struct balancer *b;
        struct balance_rng rng = seeded(1);
        struct balance_hint hint = BALANCE_HINT_NONE;
        bool seen[4] = {false};

        pool_open(&p, 4, every_kind[k]);
        b = balancer_new(&p.settings, p.states, NULL);
        for (int n = 0; n < 4; n++) {
            const int i = balancer_pick(b, &hint, SECOND, &rng);

            assert_in_range(i, 0, 3);
            assert_false(seen[i]);
            seen[i] = true;
            balance_hint_tried(&hint, i);
        }
        assert_int_equal(balancer_pick(b, &hint, SECOND, &rng), -1);
        balancer_free(b);
        pool_close(&p);
    }
}

static void the_hint_remembers_the_last_it_has_room_for(void **state)
{
    struct balance_hint hint = BALANCE_HINT_NONE;

    (void)state;
    for (int i = 0; i < BALANCE_TRIED_MAX + 3; i++)
        balance_hint_tried(&hint, i);
    assert_int_equal(hint.tried_count, BALANCE_TRIED_MAX);
    assert_int_equal(hint.tried[0], 3);
    assert_int_equal(hint.tried[BALANCE_TRIED_MAX - 1], BALANCE_TRIED_MAX + 2);
}

static void backups_wait_until_no_primary_is_left(void **state)
{
    struct pool p;
    struct balancer *b;
    struct balance_hint hint = BALANCE_HINT_NONE;
    struct balance_rng rng = seeded(1);
    unsigned got[POOL_MAX];

    (void)state;
    pool_open(&p, 3, BALANCE_EWMA2);
    p.origins[2].backup = true;
    b = balancer_new(&p.settings, p.states, NULL);
    spread(b, 100, SECOND, got);
    assert_int_equal(got[2], 0);
    balance_hint_tried(&hint, 0);
    balance_hint_tried(&hint, 1);
    assert_int_equal(balancer_pick(b, &hint, SECOND, &rng), 2); /* this request has no other */
    balance_hint_tried(&hint, 2);
    assert_int_equal(balancer_pick(b, &hint, SECOND, &rng), -1);
    eject(&p, 0, 10 * SECOND);
    eject(&p, 1, 10 * SECOND);
    spread(b, 100, SECOND, got);
    assert_int_equal(got[2], 100);
    assert_false(balancer_panics(b, SECOND));
    spread(b, 100, 10 * SECOND, got);
    assert_int_equal(got[2], 0);
    balancer_free(b);
    pool_close(&p);
}

static void draining_takes_no_new_clients_and_keeps_the_bound_ones(void **state)
{
    struct pool p;
    struct balancer *b;
    struct balance_hint bound = BALANCE_HINT_NONE;
    struct balance_rng rng = seeded(1);
    unsigned got[POOL_MAX];

    (void)state;
    pool_open(&p, 2, BALANCE_EWMA2);
    b = balancer_new(&p.settings, p.states, NULL);
    origin_state_set_verdict(p.states[0], ORIGIN_DRAIN, SECOND);
    spread(b, 100, SECOND, got);
    assert_int_equal(got[0], 0);
    assert_false(balancer_panics(b, SECOND)); /* put aside, not missing */
    bound.sticky = 0;
    assert_int_equal(balancer_pick(b, &bound, SECOND, &rng), 0);
    origin_state_set_verdict(p.states[1], ORIGIN_DRAIN, SECOND);
    assert_int_equal(pick(b, SECOND), -1);
    balancer_free(b);
    pool_close(&p);
}

static void a_disabled_origin_gets_nobody_not_even_in_panic(void **state)
{
    struct balance_hint bound = BALANCE_HINT_NONE;
    struct balance_rng rng = seeded(1);

    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct pool p;
        struct balancer *b;
        unsigned got[POOL_MAX];

        pool_open(&p, 3, every_kind[k]);
        b = balancer_new(&p.settings, p.states, NULL);
        origin_state_set_word(p.states[0], ORIGIN_DISABLED, 0, SECOND);
        origin_state_set_verdict(p.states[1], ORIGIN_DOWN, SECOND);
        origin_state_set_verdict(p.states[2], ORIGIN_DOWN, SECOND);
        assert_true(balancer_panics(b, SECOND));
        spread(b, 200, SECOND, got);
        assert_int_equal(got[0], 0);
        assert_true(got[1] > 0 && got[2] > 0);
        bound.sticky = 0;
        assert_int_not_equal(balancer_pick(b, &bound, SECOND, &rng), 0);
        balancer_free(b);
        pool_close(&p);
    }
}

static void an_upstream_in_maintenance_has_nobody_and_that_is_no_panic(void **state)
{
    struct pool p;
    struct balancer *b;

    (void)state;
    pool_open(&p, 3, BALANCE_EWMA2);
    p.origins[2].backup = true;
    b = balancer_new(&p.settings, p.states, NULL);
    for (int i = 0; i < 3; i++)
        origin_state_set_word(p.states[i], ORIGIN_DISABLED, 0, SECOND);
    assert_int_equal(pick(b, SECOND), -1);
    assert_false(balancer_panics(b, SECOND));
    assert_false(balance_panics(&p.settings, p.states, SECOND));
    for (int i = 0; i < 3; i++)
        origin_state_set_word(p.states[i], ORIGIN_NO_WORD, 0, SECOND);
    assert_int_not_equal(pick(b, 40 * SECOND), -1);
    balancer_free(b);
    pool_close(&p);
}

static void what_is_forced_up_is_used_whatever_checks_say_but_not_while_ejected(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned got[POOL_MAX];

    (void)state;
    pool_open(&p, 3, BALANCE_RANDOM);
    b = balancer_new(&p.settings, p.states, NULL);
    origin_state_set_verdict(p.states[0], ORIGIN_DOWN, SECOND);
    origin_state_set_word(p.states[0], ORIGIN_UP, 0, SECOND);
    spread(b, 300, 60 * SECOND, got);
    assert_in_range(got[0], 60, 140);
    eject(&p, 0, 100 * SECOND);
    spread(b, 300, 60 * SECOND, got);
    assert_int_equal(got[0], 0);
    origin_state_set_word(p.states[0], ORIGIN_NO_WORD, 0, 200 * SECOND); /* the verdict again */
    spread(b, 300, 200 * SECOND, got);
    assert_int_equal(got[0], 0);
    balancer_free(b);
    pool_close(&p);
}

static void an_operators_weight_replaces_the_configured_one(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned got[POOL_MAX];

    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        pool_open(&p, 2, every_kind[k]);
        p.settings.hash_load_percent = 0;
        b = balancer_new(&p.settings, p.states, NULL);
        spread(b, 10, SECOND, got);
        origin_state_set_word(p.states[1], ORIGIN_NO_WORD, 3, SECOND);
        spread(b, 1000, SECOND, got);
        if (every_kind[k] != BALANCE_EWMA2 && every_kind[k] != BALANCE_LEAST)
            assert_in_range(got[1], 650, 850);
        assert_true(got[1] > got[0]);
        origin_state_set_word(p.states[1], ORIGIN_NO_WORD, 0, SECOND);
        spread(b, 1000, SECOND, got);
        assert_in_range(got[1], 400, 600);
        balancer_free(b);
        pool_close(&p);
    }
}

static void a_draining_origin_that_is_down_loses_its_bound_clients_too(void **state)
{
    struct pool p;
    struct balancer *b;
    struct balance_hint bound = BALANCE_HINT_NONE;
    struct balance_rng rng = seeded(1);

    (void)state;
    pool_open(&p, 2, BALANCE_EWMA2);
    b = balancer_new(&p.settings, p.states, NULL);
    bound.sticky = 0;
    origin_state_set_word(p.states[0], ORIGIN_DRAIN, 0, SECOND);
    assert_int_equal(balancer_pick(b, &bound, SECOND, &rng), 0);
    origin_state_set_verdict(p.states[0], ORIGIN_DOWN, SECOND);
    assert_int_equal(balancer_pick(b, &bound, SECOND, &rng), 1);
    balancer_free(b);
    pool_close(&p);
}

/* The share of the weight that must be left, as an operator chose it; seen from outside alike. */
static void panic_begins_where_the_settings_say(void **state)
{
    static const struct {
        unsigned percent, down;
        bool panic;
    } cases[] = {{40, 6, false}, {40, 7, true}, {80, 2, false}, {80, 3, true},
                 {0, 9, false},  {0, 10, true}, {40, 10, true}};

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct pool p;
        struct balancer *b;

        pool_open(&p, 10, BALANCE_EWMA2);
        p.settings.panic_percent = cases[k].percent;
        b = balancer_new(&p.settings, p.states, NULL);
        for (unsigned i = 0; i < cases[k].down; i++)
            origin_state_set_verdict(p.states[i], ORIGIN_DOWN, SECOND);
        if (cases[k].down < 10)
            origin_state_set_verdict(p.states[9], ORIGIN_UNKNOWN, SECOND); /* counts as well */
        assert_int_equal(balancer_panics(b, SECOND), cases[k].panic);
        assert_int_equal(balance_panics(&p.settings, p.states, SECOND), cases[k].panic);
        balancer_free(b);
        pool_close(&p);
    }
}

static void a_bound_client_keeps_its_origin_while_that_is_available(void **state)
{
    struct pool p;
    struct balancer *b;
    struct balance_hint hint = BALANCE_HINT_NONE;
    struct balance_rng rng = seeded(1);

    (void)state;
    pool_open(&p, 8, BALANCE_RANDOM);
    b = balancer_new(&p.settings, p.states, NULL);
    hint.sticky = 5;
    for (int n = 0; n < 50; n++)
        assert_int_equal(balancer_pick(b, &hint, SECOND, &rng), 5);
    balance_hint_tried(&hint, 5);
    assert_int_not_equal(balancer_pick(b, &hint, SECOND, &rng), 5);
    hint = BALANCE_HINT_NONE;
    hint.sticky = 5;
    eject(&p, 5, 10 * SECOND);
    assert_int_not_equal(balancer_pick(b, &hint, SECOND, &rng), 5);
    hint.sticky = 99; /* from a pool that was larger */
    assert_in_range(balancer_pick(b, &hint, SECOND, &rng), 0, 7);
    balancer_free(b);
    pool_close(&p);
}

static void with_too_few_left_the_load_is_spread_over_all_that_accept(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned got[POOL_MAX];

    (void)state;
    pool_open(&p, 10, BALANCE_EWMA2);
    b = balancer_new(&p.settings, p.states, NULL);
    for (int i = 0; i < 6; i++)
        origin_state_set_verdict(p.states[i], ORIGIN_DOWN, SECOND);
    assert_false(balancer_panics(b, SECOND)); /* 40 % is enough */
    origin_state_set_verdict(p.states[6], ORIGIN_DOWN, SECOND);
    outlier_failure(&p.settings, p.states, 0, SECOND, SECOND, true);
    spread(b, 1000, SECOND, got);
    assert_true(balancer_panics(b, SECOND));
    assert_int_equal(got[0], 0); /* refused a moment ago */
    for (int i = 1; i < 10; i++)
        assert_true(got[i] > 50);
    spread(b, 1000, 3 * SECOND, got); /* two seconds later it is tried too */
    assert_true(got[0] > 50);
    origin_state_set_verdict(p.states[6], ORIGIN_UP, 4 * SECOND);
    assert_false(balancer_panics(b, 4 * SECOND));
    balancer_free(b);
    pool_close(&p);
}

static void panic_goes_by_weight_and_tries_even_those_that_refuse(void **state)
{
    struct pool p;
    struct balancer *b;

    (void)state;
    pool_open(&p, 2, BALANCE_RANDOM);
    p.origins[0].weight = 7;
    p.origins[1].weight = 3;
    b = balancer_new(&p.settings, p.states, NULL);
    origin_state_set_verdict(p.states[0], ORIGIN_DOWN, SECOND);
    assert_true(balancer_panics(b, SECOND)); /* 30 % of the weight */
    outlier_failure(&p.settings, p.states, 0, SECOND, SECOND, true);
    assert_int_equal(pick(b, SECOND), 1);
    outlier_failure(&p.settings, p.states, 1, SECOND, SECOND, true);
    assert_in_range(pick(b, SECOND), 0, 1);
    balancer_free(b);
    pool_close(&p);
}

static void a_returning_origin_warms_up_over_thirty_seconds(void **state)
{
    static const struct {
        int64_t after_s;
        unsigned least, most; /* of 10000, of which it would have 2500 */
    } steps[] = {
        {0, 220, 440}, {3, 220, 440}, {15, 1250, 1600}, {29, 2300, 2600}, {30, 2350, 2650}};
    static const enum balance_kind kinds[] = {BALANCE_ROUND_ROBIN, BALANCE_RANDOM, BALANCE_LEAST,
                                              BALANCE_HASH};

    (void)state;
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
        struct pool p;
        struct balancer *b;
        unsigned got[POOL_MAX];

        pool_open(&p, 4, kinds[k]);
        b = balancer_new(&p.settings, p.states, NULL);
        eject(&p, 2, 100 * SECOND);
        assert_int_not_equal(pick(b, 99 * SECOND), 2);
        for (size_t s = 0; s < sizeof(steps) / sizeof(*steps); s++) {
            spread(b, 10000, (100 + steps[s].after_s) * SECOND, got);
            assert_in_range(got[2], steps[s].least, steps[s].most);
        }
        balancer_free(b);
        pool_close(&p);
    }
}

static void under_ewma2_a_warming_origin_gets_at_most_its_share(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned got[POOL_MAX];

    (void)state;
    pool_open(&p, 2, BALANCE_EWMA2);
    b = balancer_new(&p.settings, p.states, NULL);
    spread(b, 100, 0, got);
    eject(&p, 1, 10 * SECOND);
    spread(b, 100, 5 * SECOND, got);
    spread(b, 10000, 10 * SECOND, got);
    assert_in_range(got[1], 300, 1000); /* a trickle: at most 0.1 of 1.1 */
    balancer_free(b);
    pool_close(&p);
}

static void a_return_is_counted_from_the_verdict_too(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned got[POOL_MAX];

    (void)state;
    pool_open(&p, 4, BALANCE_RANDOM);
    b = balancer_new(&p.settings, p.states, NULL);
    origin_state_set_verdict(p.states[0], ORIGIN_DOWN, SECOND);
    origin_state_set_verdict(p.states[0], ORIGIN_UP, 50 * SECOND);
    spread(b, 10000, 51 * SECOND, got);
    assert_in_range(got[0], 220, 440);
    balancer_free(b);
    pool_close(&p);
}

/* --- each balancer --- */

static void round_robin_interleaves_by_weight(void **state)
{
    static const int turns[] = {0, 0, 1, 0, 2, 0, 0}; /* nginx's: a a b a c a a */
    struct pool p;
    struct balancer *b;

    (void)state;
    pool_open(&p, 3, BALANCE_ROUND_ROBIN);
    p.origins[0].weight = 5;
    b = balancer_new(&p.settings, p.states, NULL);
    for (int n = 0; n < 70; n++)
        assert_int_equal(pick(b, SECOND), turns[n % 7]);
    balancer_free(b);
    pool_close(&p);
}

static void random_goes_by_weight(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned got[POOL_MAX];

    (void)state;
    pool_open(&p, 4, BALANCE_RANDOM);
    p.origins[1].weight = 2;
    p.origins[2].weight = 6;
    b = balancer_new(&p.settings, p.states, NULL);
    spread(b, 100000, SECOND, got);
    assert_in_range(got[0], 9700, 10300);
    assert_in_range(got[1], 19600, 20400);
    assert_in_range(got[2], 59500, 60500);
    assert_in_range(got[3], 9700, 10300);
    balancer_free(b);
    pool_close(&p);
}

static void least_evens_out_what_is_in_flight_by_weight(void **state)
{
    struct pool p;
    struct balancer *b;
    struct balance_rng rng = seeded(1);
    const struct balance_hint none = BALANCE_HINT_NONE;

    (void)state;
    pool_open(&p, 3, BALANCE_LEAST);
    p.origins[2].weight = 2;
    b = balancer_new(&p.settings, p.states, NULL);
    for (int n = 0; n < 400; n++)
        balancer_begin(b, balancer_pick(b, &none, SECOND, &rng));
    assert_int_equal(balancer_in_flight(b, 0), 100);
    assert_int_equal(balancer_in_flight(b, 1), 100);
    assert_int_equal(balancer_in_flight(b, 2), 200);
    assert_int_equal(atomic_load(&p.states[2]->in_flight), 200);
    for (int n = 0; n < 30; n++)
        balancer_end(b, 1, SECOND, 1000, true);
    for (int n = 0; n < 30; n++) {
        const int i = balancer_pick(b, &none, SECOND, &rng);

        assert_int_equal(i, 1);
        balancer_begin(b, i);
    }
    balancer_free(b);
    pool_close(&p);
}

static void least_uses_an_idle_pool_evenly(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned got[POOL_MAX];

    (void)state;
    pool_open(&p, 4, BALANCE_LEAST);
    p.origins[3].weight = 2;
    b = balancer_new(&p.settings, p.states, NULL);
    spread(b, 50000, SECOND, got);
    for (int i = 0; i < 3; i++)
        assert_in_range(got[i], 9600, 10400);
    assert_in_range(got[3], 19500, 20500);
    balancer_free(b);
    pool_close(&p);
}

static int place(struct balancer *b, uint64_t hash)
{
    struct balance_hint hint = BALANCE_HINT_NONE;
    struct balance_rng rng = seeded(1);

    hint.hash = hash;
    return balancer_pick(b, &hint, SECOND, &rng);
}

static void losing_an_origin_moves_only_its_own_keys(void **state)
{
    (void)state;
    for (uint32_t weight = 1; weight <= 3; weight += 2) { /* equal weights take another way */
        struct pool p;
        struct balancer *b;
        unsigned moved_to[10] = {0};
        int before[10000];

        pool_open(&p, 10, BALANCE_HASH);
        p.origins[0].weight = weight;
        b = balancer_new(&p.settings, p.states, NULL);
        for (int k = 0; k < 10000; k++)
            before[k] = place(b, (uint64_t)k);
        eject(&p, 4, 10 * SECOND);
        for (int k = 0; k < 10000; k++) {
            const int now = place(b, (uint64_t)k);

            if (before[k] != 4)
                assert_int_equal(now, before[k]);
            else
                moved_to[now]++;
        }
        for (int i = 0; i < 10; i++) /* and they are shared by all others */
            assert_true(i == 4 ? moved_to[i] == 0 : moved_to[i] > 50);
        balancer_free(b);
        pool_close(&p);
    }
}

static void hashing_goes_by_weight_and_not_by_the_order_of_the_origins(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned got[POOL_MAX];
    struct origin_state *states[4];
    struct origin_settings origins[4];

    (void)state;
    pool_open(&p, 4, BALANCE_HASH);
    p.origins[0].weight = 3;
    b = balancer_new(&p.settings, p.states, NULL);
    spread(b, 60000, SECOND, got);
    assert_in_range(got[0], 29400, 30600);
    for (int i = 1; i < 4; i++)
        assert_in_range(got[i], 9600, 10400);
    for (int i = 0; i < 4; i++) {
        states[i] = p.states[3 - i];
        origins[i] = p.origins[3 - i];
    }
    {
        struct upstream_settings turned = p.settings;
        struct balancer *other;

        turned.origins = origins;
        other = balancer_new(&turned, states, NULL);
        for (uint64_t k = 0; k < 1000; k++)
            assert_int_equal(place(b, k), 3 - place(other, k));
        balancer_free(other);
    }
    balancer_free(b);
    pool_close(&p);
}

static void a_popular_key_spills_before_its_origin_has_too_much(void **state)
{
    struct pool p;
    struct balancer *b;
    struct balance_rng rng = seeded(5);
    int home;

    (void)state;
    pool_open(&p, 10, BALANCE_HASH);
    b = balancer_new(&p.settings, p.states, NULL);
    home = place(b, 42);
    for (unsigned n = 1; n <= 1000; n++) {
        struct balance_hint hint = BALANCE_HINT_NONE;
        int i;

        hint.hash = n % 2 == 0 ? 42 : balance_rng_next(&rng); /* every other request */
        i = balancer_pick(b, &hint, SECOND, &rng);
        balancer_begin(b, i);
        /* ceil(1.25 x the average, this one counted) */
        assert_true(balancer_in_flight(b, i) <= (125 * n + 999) / 1000);
    }
    assert_int_equal(balancer_in_flight(b, home), 125);
    while (balancer_in_flight(b, home) > 0)
        balancer_end(b, home, SECOND, 1000, true);
    assert_int_equal(place(b, 42), home); /* with room again it goes home */
    balancer_free(b);
    pool_close(&p);
}

static void feed(struct balancer *b, int i, int64_t now_us, int64_t latency_us, bool ok)
{
    balancer_begin(b, i);
    balancer_end(b, i, now_us, latency_us, ok);
}

static void ewma2_believes_a_peak_at_once_and_good_news_slowly(void **state)
{
    struct pool p;
    struct balancer *b;

    (void)state;
    pool_open(&p, 2, BALANCE_EWMA2);
    b = balancer_new(&p.settings, p.states, NULL);
    assert_true(balancer_latency_us(b, 0) < 0);
    feed(b, 0, SECOND, 1000, true);
    assert_true(balancer_latency_us(b, 0) == 1000);
    feed(b, 0, SECOND, 100000, true);
    assert_true(balancer_latency_us(b, 0) == 100000);
    feed(b, 0, 2 * SECOND, 1000, true); /* a tenth of tau */
    assert_in_range((uint64_t)balancer_latency_us(b, 0), 90500, 90700);
    feed(b, 0, 12 * SECOND, 1000, true); /* tau */
    assert_in_range((uint64_t)balancer_latency_us(b, 0), 33000, 34500);
    balancer_free(b);
    pool_close(&p);
}

static void ewma2_is_not_fooled_by_fast_failures(void **state)
{
    struct pool p;
    struct balancer *b;

    (void)state;
    pool_open(&p, 2, BALANCE_EWMA2);
    b = balancer_new(&p.settings, p.states, NULL);
    feed(b, 0, SECOND, 20000, true);
    feed(b, 0, 30 * SECOND, 10, false);
    assert_true(balancer_latency_us(b, 0) == 20000);
    feed(b, 0, 30 * SECOND, 2000000, false); /* a time-out does count */
    assert_true(balancer_latency_us(b, 0) == 2000000);
    feed(b, 1, SECOND, 10, false);
    assert_true(balancer_latency_us(b, 1) < 0);
    feed(b, 1, SECOND, -1, true); /* nothing was seen */
    assert_true(balancer_latency_us(b, 1) < 0);
    balancer_free(b);
    pool_close(&p);
}

static void ewma2_avoids_the_slow_one_until_it_is_forgiven(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned slow = 0;

    (void)state;
    pool_open(&p, 2, BALANCE_EWMA2);
    b = balancer_new(&p.settings, p.states, NULL);
    for (int64_t ms = 0; ms < 60000; ms += 10) {
        const int i = pick(b, ms * 1000);

        slow += i == 1;
        feed(b, i, ms * 1000, i == 1 ? 80000 : 20000, true);
    }
    assert_in_range(slow, 2,
                    10); /* of 6000: each 14 s, when e^-t/10s has made up for the factor 4 */
    balancer_free(b);
    pool_close(&p);
}

static void ewma2_starts_a_newcomer_at_the_median(void **state)
{
    struct pool p;
    struct balancer *b;
    unsigned got[POOL_MAX];

    (void)state;
    pool_open(&p, 5, BALANCE_EWMA2);
    b = balancer_new(&p.settings, p.states, NULL);
    for (int i = 0; i < 4; i++)
        feed(b, i, SECOND, 10000 * (i + 1), true);
    while (balancer_latency_us(b, 4) < 0)
        spread(b, 10, SECOND, got);
    assert_in_range((uint64_t)balancer_latency_us(b, 4), 20000, 30000);
    balancer_free(b);
    pool_close(&p);
}

static void ewma2_forgets_the_latency_of_an_origin_that_was_out(void **state)
{
    struct pool p;
    struct balancer *b;

    (void)state;
    pool_open(&p, 3, BALANCE_EWMA2);
    b = balancer_new(&p.settings, p.states, NULL);
    feed(b, 0, SECOND, 9000000, true);
    feed(b, 1, SECOND, 10000, true);
    feed(b, 2, SECOND, 10000, true);
    eject(&p, 0, 5 * SECOND);
    assert_int_not_equal(pick(b, 2 * SECOND), 0);
    assert_true(balancer_latency_us(b, 0) < 0);
    balancer_free(b);
    pool_close(&p);
}

static void ewma2_fills_origins_by_weight(void **state)
{
    struct pool p;
    struct balancer *b;
    struct balance_rng rng = seeded(11);
    const struct balance_hint none = BALANCE_HINT_NONE;

    (void)state;
    pool_open(&p, 4, BALANCE_EWMA2);
    p.origins[3].weight = 7;
    b = balancer_new(&p.settings, p.states, NULL);
    for (int i = 0; i < 4; i++)
        feed(b, i, SECOND, 10000, true);
    for (int n = 0; n < 1000; n++)
        balancer_begin(b, balancer_pick(b, &none, SECOND, &rng));
    assert_in_range(balancer_in_flight(b, 3), 650, 750); /* 7 of 10 */
    for (int i = 0; i < 3; i++)
        assert_in_range(balancer_in_flight(b, i), 80, 120);
    balancer_free(b);
    pool_close(&p);
}

static void each_kind_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(balance_kind_name(BALANCE_EWMA2), "ewma2");
    assert_string_equal(balance_kind_name(BALANCE_ROUND_ROBIN), "round_robin");
    assert_string_equal(balance_kind_name(BALANCE_LEAST), "least");
    assert_string_equal(balance_kind_name(BALANCE_RANDOM), "random");
    assert_string_equal(balance_kind_name(BALANCE_HASH), "hash");
    assert_null(balance_kind_name((enum balance_kind)17));
}

#ifdef WEIR_FAULTS
static void without_memory_there_is_no_balancer_and_no_reference(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 3, BALANCE_EWMA2);
    for (unsigned long n = 1;; n++) {
        struct weir_err err = {0};
        struct balancer *b;

        weir_alloc_fail_at(n);
        b = balancer_new(&p.settings, p.states, &err);
        if (!weir_alloc_failed()) {
            assert_non_null(b);
            balancer_free(b);
            break;
        }
        assert_null(b);
        assert_int_equal(err.code, WEIR_E_MEMORY);
        assert_int_equal(atomic_load(&p.states[0]->refs), 2);
    }
    weir_alloc_fail_at(0);
    assert_int_equal(atomic_load(&p.states[0]->refs), 2);
    pool_close(&p);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ejected_and_down_origins_get_nothing),
        cmocka_unit_test(an_ejection_ends_by_itself),
        cmocka_unit_test(a_request_is_not_sent_twice_to_the_same_origin),
        cmocka_unit_test(the_hint_remembers_the_last_it_has_room_for),
        cmocka_unit_test(backups_wait_until_no_primary_is_left),
        cmocka_unit_test(draining_takes_no_new_clients_and_keeps_the_bound_ones),
        cmocka_unit_test(a_disabled_origin_gets_nobody_not_even_in_panic),
        cmocka_unit_test(an_upstream_in_maintenance_has_nobody_and_that_is_no_panic),
        cmocka_unit_test(what_is_forced_up_is_used_whatever_checks_say_but_not_while_ejected),
        cmocka_unit_test(an_operators_weight_replaces_the_configured_one),
        cmocka_unit_test(a_draining_origin_that_is_down_loses_its_bound_clients_too),
        cmocka_unit_test(panic_begins_where_the_settings_say),
        cmocka_unit_test(a_bound_client_keeps_its_origin_while_that_is_available),
        cmocka_unit_test(with_too_few_left_the_load_is_spread_over_all_that_accept),
        cmocka_unit_test(panic_goes_by_weight_and_tries_even_those_that_refuse),
        cmocka_unit_test(a_returning_origin_warms_up_over_thirty_seconds),
        cmocka_unit_test(under_ewma2_a_warming_origin_gets_at_most_its_share),
        cmocka_unit_test(a_return_is_counted_from_the_verdict_too),
        cmocka_unit_test(round_robin_interleaves_by_weight),
        cmocka_unit_test(random_goes_by_weight),
        cmocka_unit_test(least_evens_out_what_is_in_flight_by_weight),
        cmocka_unit_test(least_uses_an_idle_pool_evenly),
        cmocka_unit_test(losing_an_origin_moves_only_its_own_keys),
        cmocka_unit_test(hashing_goes_by_weight_and_not_by_the_order_of_the_origins),
        cmocka_unit_test(a_popular_key_spills_before_its_origin_has_too_much),
        cmocka_unit_test(ewma2_believes_a_peak_at_once_and_good_news_slowly),
        cmocka_unit_test(ewma2_is_not_fooled_by_fast_failures),
        cmocka_unit_test(ewma2_avoids_the_slow_one_until_it_is_forgiven),
        cmocka_unit_test(ewma2_starts_a_newcomer_at_the_median),
        cmocka_unit_test(ewma2_forgets_the_latency_of_an_origin_that_was_out),
        cmocka_unit_test(ewma2_fills_origins_by_weight),
        cmocka_unit_test(each_kind_has_a_name),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_there_is_no_balancer_and_no_reference),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
