#include "origin_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/log.h"

static void assert_literal(const struct origin_settings *o, const char *expected)
{
    struct origin_names *n = origin_names_new(o, 1000, NULL, NULL, NULL);
    struct net_addr a;
    char text[NET_TEXT_MAX];
    unsigned count;

    assert_non_null(n);
    assert_true(origin_names_settled(n));
    origin_names_turn(n, 1); /* nothing to ask */
    for (unsigned i = 0; i < 3; i++) {
        assert_true(origin_names_pick(n, i, &a, &count));
        assert_int_equal(count, 1);
        assert_string_equal(net_addr_text(&a, text), expected);
    }
    origin_names_unref(n);
}

static void literals_are_ready_at_once(void **state)
{
    struct origin_settings v4 = {.host = "192.0.2.1", .port = 80};
    struct origin_settings v6 = {.host = "2001:db8::1", .port = 8080};
    struct origin_settings path = {.unix_path = "/run/app.sock"};

    (void)state;
    assert_literal(&v4, "192.0.2.1:80");
    assert_literal(&v6, "[2001:db8::1]:8080");
    assert_literal(&path, "unix:/run/app.sock");
}

static void a_path_that_no_socket_can_have_is_refused(void **state)
{
    char path[200];
    struct origin_settings o = {.url = "unix:...", .unix_path = path};
    struct weir_err err = {0};

    (void)state;
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_null(origin_names_new(&o, 1000, NULL, NULL, &err));
    assert_int_equal(err.code, WEIR_E_CONFIG);
}

static void read_mail(struct weir_mailbox *box)
{
    struct pollfd p = {.fd = box->fd, .events = POLLIN};

    assert_int_equal(poll(&p, 1, 60000), 1);
    weir_mailbox_drain(box);
}

static void a_name_is_resolved_and_resolved_again(void **state)
{
    struct weir_work_pool *pool = weir_work_pool_new(1, NULL);
    struct weir_mailbox box;
    struct origin_settings o = {.host = "localhost", .port = 3000};
    struct origin_names *n;
    struct net_addr a;
    unsigned count;

    (void)state;
    assert_true(weir_mailbox_init(&box, NULL));
    n = origin_names_new(&o, 1000, pool, &box, NULL);
    assert_false(origin_names_settled(n));
    assert_false(origin_names_pick(n, 0, &a, &count));
    origin_names_turn(n, 5000);
    origin_names_turn(n, 9000); /* one question at a time */
    read_mail(&box);
    assert_true(origin_names_settled(n));
    assert_true(origin_names_pick(n, 7, &a, &count));
    assert_true(count >= 1);
    assert_int_equal(ntohs(a.sa.any.sa_family == AF_INET ? a.sa.in.sin_port : a.sa.in6.sin6_port),
                     3000);
    origin_names_turn(n, 5999); /* not yet */
    origin_names_turn(n, 6000);
    read_mail(&box); /* asked again */
    origin_names_unref(n);
    weir_work_pool_free(pool);
    weir_mailbox_close(&box);
}

static void a_name_that_does_not_resolve_settles_without_address(void **state)
{
    struct weir_work_pool *pool = weir_work_pool_new(1, NULL);
    struct weir_mailbox box;
    struct origin_settings o = {.host = "no such name", .port = 1};
    struct origin_names *n;
    struct net_addr a;
    unsigned count;

    (void)state;
    assert_true(weir_mailbox_init(&box, NULL));
    n = origin_names_new(&o, 1000, pool, &box, NULL);
    origin_names_turn(n, 5000);
    read_mail(&box);
    assert_true(origin_names_settled(n));
    assert_false(origin_names_pick(n, 0, &a, &count));
    assert_int_equal(count, 0);
    origin_names_unref(n);
    weir_work_pool_free(pool);
    weir_mailbox_close(&box);
}

static void who_asked_may_leave_before_the_answer(void **state)
{
    struct weir_work_pool *pool = weir_work_pool_new(1, NULL);
    struct weir_mailbox box;
    struct origin_settings o = {.host = "localhost", .port = 1};
    struct origin_names *n;

    (void)state;
    assert_true(weir_mailbox_init(&box, NULL));
    n = origin_names_new(&o, 1000, pool, &box, NULL);
    origin_names_turn(n, 5000);
    origin_names_unref(n);
    read_mail(&box);
    weir_work_pool_free(pool);
    weir_mailbox_close(&box);
}

#ifdef WEIR_FAULTS
static void without_memory_there_is_a_clean_error_or_a_later_try(void **state)
{
    struct weir_work_pool *pool = weir_work_pool_new(1, NULL);
    struct weir_mailbox box;
    struct origin_settings o = {.host = "localhost", .port = 1};
    struct origin_names *n;
    struct weir_err err = {0};

    (void)state;
    assert_true(weir_mailbox_init(&box, NULL));
    for (unsigned long i = 1; i <= 2; i++) {
        weir_alloc_fail_at(i);
        assert_null(origin_names_new(&o, 1000, pool, &box, &err));
        weir_alloc_fail_at(0);
        assert_int_equal(err.code, WEIR_E_MEMORY);
    }
    n = origin_names_new(&o, 1000, pool, &box, NULL);
    weir_alloc_fail_at(1);
    origin_names_turn(n, 5000);
    weir_alloc_fail_at(0);
    assert_false(origin_names_settled(n));
    origin_names_turn(n, 5001);
    read_mail(&box);
    assert_true(origin_names_settled(n));
    origin_names_unref(n);
    weir_work_pool_free(pool);
    weir_mailbox_close(&box);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_ready_at_once),
        cmocka_unit_test(a_path_that_no_socket_can_have_is_refused),
        cmocka_unit_test(a_name_is_resolved_and_resolved_again),
        cmocka_unit_test(a_name_that_does_not_resolve_settles_without_address),
        cmocka_unit_test(who_asked_may_leave_before_the_answer),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_there_is_a_clean_error_or_a_later_try),
#endif
    };

    weir_log_set_level(WEIR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
