#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "doctor.h"
#include "weir/alloc.h"

#define ID1 "07c37dfeb235213a872192d90877d0cd55635b91"
#define ID2 "67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1"

static struct weir_span lit(const char *s)
{
    return weir_span_str(s);
}

static void lines_are_names_and_values(void **state)
{
    struct weir_arena a;
    struct doctor_values v;

    (void)state;
    weir_arena_init(&a, 0);
    assert_true(doctor_read_lines(
        &a, lit("# Server\r\nredis_version:7.0.15\r\n\r\nexecutable:/a:b\nnothing\nempty:"), &v));
    assert_int_equal(v.count, 3);
    assert_string_equal(doctor_value(&v, "redis_version"), "7.0.15");
    assert_string_equal(doctor_value(&v, "executable"), "/a:b");
    assert_string_equal(doctor_value(&v, "empty"), "");
    assert_null(doctor_value(&v, "nothing"));
    assert_true(doctor_read_lines(&a, lit(""), &v));
    assert_int_equal(v.count, 0);
    weir_arena_free(&a);
}

static void addresses_have_a_host_and_a_port(void **state)
{
    static const struct {
        const char *text, *host;
        unsigned port;
    } good[] = {
        {"127.0.0.1:6379", "127.0.0.1", 6379},
        {"[2001:db8::1]:1", "2001:db8::1", 1},
        {"redis-1:65535", "redis-1", 65535},
        {"2001:db8::1:7000", "2001:db8::1", 7000}, /* so does CLUSTER NODES write it */
        {":7000", "", 7000},
    };
    static const char *const bad[] = {"",    "redis", "redis:", "redis:0", "redis:65536",
                                      "a:b", "a:1 "};
    struct weir_span host;
    uint16_t port;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(doctor_read_address(lit(good[i].text), &host, &port));
        assert_true(weir_span_eq(host, lit(good[i].host)));
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(doctor_read_address(lit(bad[i]), &host, &port));
}

static void the_list_of_nodes_says_who_owns_and_who_follows(void **state)
{
    struct doctor_report r = {.role = DOCTOR_CACHE};

    (void)state;
    assert_true(doctor_read_nodes(
        &r,
        lit(ID1 " 127.0.0.1:30004@31004,host-1 slave " ID2 " 0 1426238317239 4 connected\n" ID2
                " 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5460 5462 [5461->-" ID1
                "]\n"
                "aa :0@0 master,noaddr - 0 0 0 disconnected\n"
                "bb 127.0.0.1:30009@31009 handshake - 0 0 0 connected\n"
                "cc 127.0.0.1:30002@31002 master,fail? - 1 1 3 connected 5463\n"
                "dd ::1:30003@31003 master,fail - 1 1 3 disconnected\n"),
        "10.0.0.1", false));
    assert_int_equal(r.node_count, 4);
    assert_string_equal(r.nodes[0].address, "127.0.0.1:30004");
    assert_true(r.nodes[0].replica);
    assert_string_equal(r.nodes[0].master_id, ID2);
    assert_string_equal(r.nodes[1].id, ID2);
    assert_int_equal(r.nodes[1].slots, 5462);
    assert_false(r.nodes[1].replica || r.nodes[1].failed);
    assert_true(r.nodes[2].suspected && !r.nodes[2].failed);
    assert_true(r.nodes[3].failed && !r.nodes[3].suspected);
    assert_string_equal(r.nodes[3].address, "[::1]:30003");
    doctor_report_free(&r);
}

static void names_are_preferred_where_certificates_bear_them(void **state)
{
    struct doctor_report r = {.role = DOCTOR_CACHE};

    (void)state;
    assert_true(doctor_read_nodes(&r,
                                  lit("aa 10.0.0.1:1@2,redis-1 master - 0 0 1 connected 0\n"
                                      "bb 10.0.0.2:1@2 master - 0 0 1 connected 1\n"
                                      "cc 10.0.0.3:1@2,,shard-id=x master - 0 0 1 connected 1\n"),
                                  "10.0.0.9", true));
    assert_string_equal(r.nodes[0].host, "redis-1");
    assert_string_equal(r.nodes[1].host, "10.0.0.2");
    assert_string_equal(r.nodes[2].host, "10.0.0.3");
    doctor_report_free(&r);
}

static void a_node_that_does_not_know_its_address_is_where_it_was_asked(void **state)
{
    struct doctor_report r = {.role = DOCTOR_CACHE};

    (void)state;
    assert_true(doctor_read_nodes(&r, lit("aa :7000@17000 myself,master - 0 0 0 connected 0-16383"),
                                  "redis-1", false));
    assert_string_equal(r.nodes[0].address, "redis-1:7000");
    assert_int_equal(r.nodes[0].slots, 16384);
    doctor_report_free(&r);
}

static void nonsense_gives_no_nodes(void **state)
{
    struct doctor_report r = {.role = DOCTOR_CACHE};

    (void)state;
    assert_true(doctor_read_nodes(&r, lit("\n\n   \nx\nx y\nx y:z@ a\nx 1.1.1.1:70000@1 master\n"),
                                  "h", false));
    assert_int_equal(r.node_count, 0);
    doctor_report_free(&r);
}

static void more_nodes_than_anybody_has_are_counted_only(void **state)
{
    struct doctor_report r = {.role = DOCTOR_CACHE};
    char line[64];

    (void)state;
    for (int i = 1; i <= DOCTOR_NODES_MAX + 3; i++) {
        snprintf(line, sizeof line, "n%d 127.0.0.1:%d@1 slave x 0 0 0 connected", i, i);
        assert_true(doctor_read_nodes(&r, lit(line), "h", false));
    }
    assert_int_equal(r.node_count, DOCTOR_NODES_MAX);
    assert_int_equal(r.too_many, 3);
    doctor_report_free(&r);
}

static void without_memory_it_says_so(void **state)
{
#ifdef WEIR_FAULTS
    bool done = false;

    for (unsigned long n = 1; !done; n++) {
        struct doctor_report r = {.role = DOCTOR_CACHE};
        bool ok;

        weir_alloc_fail_at(n);
        ok =
            doctor_read_nodes(&r, lit("aa 127.0.0.1:1@2 master - 0 0 1 connected 0\n"), "h", false);
        done = !weir_alloc_failed();
        assert_int_equal(ok, done);
        weir_alloc_fail_at(0);
        doctor_report_free(&r);
    }
#endif
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_names_and_values),
        cmocka_unit_test(addresses_have_a_host_and_a_port),
        cmocka_unit_test(the_list_of_nodes_says_who_owns_and_who_follows),
        cmocka_unit_test(names_are_preferred_where_certificates_bear_them),
        cmocka_unit_test(a_node_that_does_not_know_its_address_is_where_it_was_asked),
        cmocka_unit_test(nonsense_gives_no_nodes),
        cmocka_unit_test(more_nodes_than_anybody_has_are_counted_only),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
