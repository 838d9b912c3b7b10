#include "weir/metrics.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

static void every_metric_has_a_name_and_a_help(void **state)
{
    int m;

    (void)state;
    for (m = 0; m < WEIR_METRICS; m++) {
        assert_true(strlen(weir_metric_name((enum weir_metric)m)) > 0);
        assert_true(strlen(weir_metric_help((enum weir_metric)m)) > 0);
    }
    assert_string_equal(weir_metric_name(WEIR_M_cache_hits), "cache_hits");
    assert_false(weir_metric_is_gauge(WEIR_M_cache_hits));
    assert_true(weir_metric_is_gauge(WEIR_M_connections_open));
}

static void *count(void *arg)
{
    int i;

    for (i = 0; i < 10000; i++)
        weir_metric_add(arg, WEIR_M_requests, 1);
    return NULL;
}

static void a_reader_sees_the_writers_sum(void **state)
{
    static struct weir_metrics m;
    int64_t last = 0, seen;
    pthread_t writer;

    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, count, &m), 0);
    do {
        seen = atomic_load_explicit(&m.value[WEIR_M_requests], memory_order_relaxed);
        assert_true(seen >= last);
        last = seen;
    } while (seen < 10000);
    pthread_join(writer, NULL);
    assert_int_equal(seen, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_has_a_name_and_a_help),
        cmocka_unit_test(a_reader_sees_the_writers_sum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
