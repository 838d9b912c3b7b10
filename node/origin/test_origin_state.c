#include "origin_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>

#include <cmocka.h>

#include "weir/alloc.h"

#include "test_pool.h"

static void the_same_origin_has_the_same_state(void **state)
{
    struct origin_registry *r = origin_registry_new(NULL);
    struct origin_state *a = origin_registry_get(r, "app", "http://a", NULL);
    struct origin_state *again = origin_registry_get(r, "app", "http://a", NULL);
    struct origin_state *elsewhere = origin_registry_get(r, "media", "http://a", NULL);

    (void)state;
    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, elsewhere);
    assert_string_equal(a->url, "http://a");
    assert_string_equal(elsewhere->upstream, "media");
    assert_int_equal(origin_registry_count(r), 2);
    origin_state_unref(a);
    origin_state_unref(again);
    origin_state_unref(elsewhere);
    origin_registry_free(r);
}

static void what_a_reload_dropped_is_forgotten_when_nobody_holds_it(void **state)
{
    struct origin_registry *r = origin_registry_new(NULL);
    struct origin_state *kept = origin_registry_get(r, "app", "http://a", NULL);
    struct origin_state *gone = origin_registry_get(r, "app", "http://b", NULL);

    (void)state;
    assert_int_equal(origin_registry_prune(r), 0);
    atomic_store(&kept->verdict, ORIGIN_DOWN);
    origin_state_unref(gone);
    assert_int_equal(origin_registry_prune(r), 1);
    assert_int_equal(origin_registry_count(r), 1);
    gone = origin_registry_get(r, "app", "http://a", NULL);
    assert_int_equal(atomic_load(&gone->verdict), ORIGIN_DOWN);
    origin_state_unref(gone);
    origin_state_unref(kept);
    origin_registry_free(r);
}

static void connections_stop_at_the_most(void **state)
{
    struct pool p;

    (void)state;
    pool_open(&p, 1, BALANCE_EWMA2);
    assert_true(origin_state_connect(p.states[0], 2));
    assert_true(origin_state_connect(p.states[0], 2));
    assert_false(origin_state_connect(p.states[0], 2));
    assert_false(origin_state_connect(p.states[0], 1)); /* a reload made it smaller */
    origin_state_disconnect(p.states[0]);
    assert_false(origin_state_connect(p.states[0], 1));
    assert_true(origin_state_connect(p.states[0], 2));
    pool_close(&p);
}

static void coming_back_counts_from_the_verdict(void **state)
{
    struct pool p;
    struct origin_state *s;

    (void)state;
    pool_open(&p, 1, BALANCE_EWMA2);
    s = p.states[0];
    origin_state_set_verdict(s, ORIGIN_DOWN, 5 * SECOND);
    assert_int_equal(atomic_load(&s->out_until_us), 0);
    origin_state_set_verdict(s, ORIGIN_UP, 9 * SECOND);
    assert_int_equal(atomic_load(&s->out_until_us), 9 * SECOND);
    origin_state_set_verdict(s, ORIGIN_UNKNOWN, 12 * SECOND); /* was not out */
    origin_state_set_verdict(s, ORIGIN_UP, 13 * SECOND);
    assert_int_equal(atomic_load(&s->out_until_us), 9 * SECOND);
    atomic_store(&s->out_until_us, 60 * SECOND); /* ejected as well: that lasts longer */
    origin_state_set_verdict(s, ORIGIN_DRAIN, 20 * SECOND);
    origin_state_set_verdict(s, ORIGIN_UP, 21 * SECOND);
    assert_int_equal(atomic_load(&s->out_until_us), 60 * SECOND);
    assert_true(origin_state_ejected(s, 59 * SECOND));
    assert_false(origin_state_ejected(s, 60 * SECOND));
    pool_close(&p);
}

struct crowd {
    struct pool *pool;
    atomic_uint most;
};

static void *connect_often(void *arg)
{
    struct crowd *c = arg;

    for (int i = 0; i < 20000; i++) {
        struct origin_state *s = origin_registry_get(c->pool->registry, "app", "http://x", NULL);
        unsigned open, most;

        if (origin_state_connect(s, 3)) {
            open = atomic_load(&s->connections);
            most = atomic_load(&c->most);
            while (open > most && !atomic_compare_exchange_weak(&c->most, &most, open))
                ;
            origin_state_disconnect(s);
        }
        origin_state_unref(s);
        if (i % 1000 == 0)
            origin_registry_prune(c->pool->registry);
    }
    return NULL;
}

static void threads_together_stay_within_the_most(void **state)
{
    struct pool p;
    struct crowd c = {.pool = &p};
    pthread_t threads[4];

    (void)state;
    pool_open(&p, 1, BALANCE_EWMA2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, connect_often, &c), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(atomic_load(&c.most), 1, 3);
    pool_close(&p);
}

#ifdef WEIR_FAULTS
static void without_memory_there_is_no_state_and_no_half_of_one(void **state)
{
    (void)state;
    for (unsigned long n = 1;; n++) {
        struct weir_err err = {0};
        struct origin_registry *r;
        struct origin_state *s = NULL;

        weir_alloc_fail_at(n);
        r = origin_registry_new(&err);
        if (r != NULL)
            s = origin_registry_get(r, "app", "http://a", &err);
        if (weir_alloc_failed()) {
            assert_null(s);
            assert_int_equal(err.code, WEIR_E_MEMORY);
            assert_true(r == NULL || origin_registry_count(r) == 0);
        }
        origin_state_unref(s);
        origin_registry_free(r);
        if (!weir_alloc_failed())
            break;
    }
    weir_alloc_fail_at(0);
}
#endif

static void an_order_wins_over_the_verdict_which_goes_on_beside_it(void **state)
{
    struct pool p;
    struct origin_state *s;

    (void)state;
    pool_open(&p, 1, BALANCE_EWMA2);
    s = p.states[0];
    assert_int_equal(origin_state_in_force(s), ORIGIN_UP);
    origin_state_set_word(s, ORIGIN_DISABLED, 0, 0);
    origin_state_set_verdict(s, ORIGIN_DOWN, 0);
    assert_int_equal(origin_state_in_force(s), ORIGIN_DISABLED);
    origin_state_set_word(s, ORIGIN_UP, 0, 0);
    assert_int_equal(origin_state_in_force(s), ORIGIN_UP);
    origin_state_set_word(s, ORIGIN_NO_WORD, 0, 0);
    assert_int_equal(origin_state_in_force(s), ORIGIN_DOWN);
    pool_close(&p);
}

static void coming_back_by_an_order_is_slow_too_and_a_weight_is_no_return(void **state)
{
    struct pool p;
    struct origin_state *s;
    unsigned changes;

    (void)state;
    pool_open(&p, 1, BALANCE_EWMA2);
    s = p.states[0];
    origin_state_set_word(s, ORIGIN_DISABLED, 0, 1 * SECOND);
    origin_state_set_verdict(s, ORIGIN_DOWN, 2 * SECOND);
    origin_state_set_verdict(s, ORIGIN_UP, 3 * SECOND); /* still disabled: nothing returns */
    assert_int_equal(atomic_load(&s->out_until_us), 0);
    origin_state_set_word(s, ORIGIN_NO_WORD, 0, 4 * SECOND);
    assert_int_equal(atomic_load(&s->out_until_us), 4 * SECOND);
    changes = atomic_load(s->changes);
    origin_state_set_word(s, ORIGIN_NO_WORD, 7, 5 * SECOND);
    assert_int_equal(atomic_load(&s->out_until_us), 4 * SECOND);
    assert_int_equal(atomic_load(s->changes), changes + 1);
    origin_state_set_word(s, ORIGIN_NO_WORD, 7, 6 * SECOND); /* as before: nobody looks again */
    assert_int_equal(atomic_load(s->changes), changes + 1);
    pool_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_origin_has_the_same_state),
        cmocka_unit_test(what_a_reload_dropped_is_forgotten_when_nobody_holds_it),
        cmocka_unit_test(connections_stop_at_the_most),
        cmocka_unit_test(coming_back_counts_from_the_verdict),
        cmocka_unit_test(threads_together_stay_within_the_most),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_there_is_no_state_and_no_half_of_one),
#endif
        cmocka_unit_test(an_order_wins_over_the_verdict_which_goes_on_beside_it),
        cmocka_unit_test(coming_back_by_an_order_is_slow_too_and_a_weight_is_no_return),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
