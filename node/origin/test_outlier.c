#include "outlier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>

#include <cmocka.h>

#include "test_pool.h"

/* n failures in a row at this instant; true if one of them ejected. */
static bool fail_row(struct pool *p, int i, unsigned n, int64_t now_us)
{
    bool ejected = false;

    while (n-- > 0)
        ejected |= outlier_failure(&p->settings, p->states, i, now_us, now_us, false);
    return ejected;
}

static int64_t out_for_s(const struct pool *p, int i, int64_t now_us)
{
    return (atomic_load(&p->states[i]->out_until_us) - now_us) / SECOND;
}

static void so_many_failures_in_a_row_eject(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 4, BALANCE_EWMA2);
    assert_false(fail_row(&p, 0, 4, SECOND));
    outlier_success(p.states[0], SECOND);
    assert_false(fail_row(&p, 0, 4, SECOND)); /* the row was broken */
    assert_true(fail_row(&p, 0, 1, SECOND));
    assert_true(origin_state_ejected(p.states[0], 11 * SECOND - 1));
    assert_false(origin_state_ejected(p.states[0], 11 * SECOND));
    assert_int_equal(atomic_load(&p.states[0]->ejections_total), 1);
    assert_int_equal(atomic_load(&p.states[0]->failures), 9);
    assert_false(origin_state_ejected(p.states[1], 2 * SECOND));
    pool_close(&p);
}

static void zero_max_fails_never_ejects(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 4, BALANCE_EWMA2);
    p.settings.max_fails = 0;
    assert_false(fail_row(&p, 0, 100, SECOND));
    pool_close(&p);
}

static void the_only_origin_is_never_ejected(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 1, BALANCE_EWMA2);
    p.settings.eject_percent = 100;
    assert_false(fail_row(&p, 0, 100, SECOND));
    pool_close(&p);
}

static void one_of_several_may_always_be_ejected(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 3, BALANCE_EWMA2);
    p.settings.eject_percent = 0;
    assert_true(fail_row(&p, 1, 5, SECOND));
    assert_false(fail_row(&p, 2, 50, SECOND));
    pool_close(&p);
}

static void no_more_than_the_share_is_out_at_a_time(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 5, BALANCE_EWMA2);
    assert_true(fail_row(&p, 0, 5, SECOND));
    assert_true(fail_row(&p, 1, 5, 2 * SECOND));
    assert_false(fail_row(&p, 2, 50, 3 * SECOND)); /* half of five is two */
    assert_true(fail_row(&p, 2, 1, 11 * SECOND));  /* the first is back */
    pool_close(&p);
}

static void a_returning_origin_is_on_probation(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 4, BALANCE_EWMA2);
    assert_true(fail_row(&p, 0, 5, 0));
    assert_true(fail_row(&p, 0, 1, 10 * SECOND));
    assert_int_equal(out_for_s(&p, 0, 10 * SECOND), 20); /* base x 2 */
    outlier_success(p.states[0], 31 * SECOND);           /* passed */
    assert_false(fail_row(&p, 0, 4, 32 * SECOND));
    assert_true(fail_row(&p, 0, 1, 32 * SECOND));
    pool_close(&p);
}

static void stragglers_count_for_nothing(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 4, BALANCE_EWMA2);
    assert_true(fail_row(&p, 0, 5, SECOND));
    for (int i = 0; i < 50; i++) /* begun before the ejection, timed out after the return */
        assert_false(outlier_failure(&p.settings, p.states, 0, SECOND, 12 * SECOND, false));
    outlier_success(p.states[0], SECOND); /* an old success does not end the probation */
    assert_true(fail_row(&p, 0, 1, 12 * SECOND));
    pool_close(&p);
}

static void each_time_is_longer_up_to_the_longest(void **state)
{
    struct pool p;
    int64_t now = SECOND;

    (void)state;
    pool_open(&p, 4, BALANCE_EWMA2);
    p.settings.eject_max_ms = 45000;
    fail_row(&p, 0, 5, now);
    for (int n = 1; n <= 8; n++) {
        const int64_t length = n * 10 < 45 ? n * 10 : 45;

        assert_int_equal(out_for_s(&p, 0, now), length);
        now += length * SECOND;
        assert_true(fail_row(&p, 0, 1, now));
    }
    pool_close(&p);
}

static void good_behaviour_is_remembered_too(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 4, BALANCE_EWMA2);
    fail_row(&p, 0, 5, 0);
    fail_row(&p, 0, 1, 10 * SECOND);
    fail_row(&p, 0, 1, 30 * SECOND);
    assert_int_equal(out_for_s(&p, 0, 30 * SECOND), 30);
    /* Back at 60 s, in for 25 s: two steps forgiven, so 3 - 2 + 1. */
    assert_true(fail_row(&p, 0, 1, 85 * SECOND));
    assert_int_equal(out_for_s(&p, 0, 85 * SECOND), 20);
    /* Back at 105 s, in for an hour: all forgiven. */
    assert_true(fail_row(&p, 0, 5, 3705 * SECOND));
    assert_int_equal(out_for_s(&p, 0, 3705 * SECOND), 10);
    pool_close(&p);
}

static void a_refusal_is_noted(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 1, BALANCE_EWMA2);
    outlier_failure(&p.settings, p.states, 0, SECOND, 2 * SECOND, true);
    assert_int_equal(atomic_load(&p.states[0]->refused_at_us), 2 * SECOND);
    pool_close(&p);
}

struct worker {
    struct pool *pool;
    unsigned first;
    atomic_uint *ejected;
};

static void *fail_everywhere(void *arg)
{
    struct worker *w = arg;

    for (unsigned k = 0; k < 20000; k++)
        if (outlier_failure(&w->pool->settings, w->pool->states, (int)((w->first + k) % 8), SECOND,
                            SECOND, k % 2))
            atomic_fetch_add(w->ejected, 1);
    return NULL;
}

static void workers_together_do_not_exceed_the_share(void **state)
{
    struct pool p;
    atomic_uint ejected = 0;
    struct worker workers[4];
    pthread_t threads[4];
    unsigned out = 0;

    (void)state;
    pool_open(&p, 8, BALANCE_EWMA2);
    for (unsigned i = 0; i < 4; i++) {
        workers[i] = (struct worker){&p, i, &ejected};
        assert_int_equal(pthread_create(&threads[i], NULL, fail_everywhere, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 8; i++)
        out += origin_state_ejected(p.states[i], 2 * SECOND);
    assert_int_equal(out, 4);
    assert_int_equal(atomic_load(&ejected), 4);
    pool_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_failures_in_a_row_eject),
        cmocka_unit_test(zero_max_fails_never_ejects),
        cmocka_unit_test(the_only_origin_is_never_ejected),
        cmocka_unit_test(one_of_several_may_always_be_ejected),
        cmocka_unit_test(no_more_than_the_share_is_out_at_a_time),
        cmocka_unit_test(a_returning_origin_is_on_probation),
        cmocka_unit_test(stragglers_count_for_nothing),
        cmocka_unit_test(each_time_is_longer_up_to_the_longest),
        cmocka_unit_test(good_behaviour_is_remembered_too),
        cmocka_unit_test(a_refusal_is_noted),
        cmocka_unit_test(workers_together_do_not_exceed_the_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
