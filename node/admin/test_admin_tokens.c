#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "weir/alloc.h"
#include "admin_failures.h"
#include "admin_tokens.h"

#define READER   "0123456789abcdef0123456789abcdef"
#define OPERATOR "fedcba9876543210fedcba9876543210-longer"

static char folder[] = "/tmp/weir-tokens-XXXXXX";
static char reader[64], operator[64], shorter[64], missing[64];

static void write_file(char path[64], const char *name, const char *text)
{
    FILE *f;

    snprintf(path, 64, "%s/%s", folder, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    write_file(reader, "reader", READER "\n");
    write_file(operator, "operator", OPERATOR);
    write_file(shorter, "short", "too short\n");
    snprintf(missing, sizeof missing, "%s/missing", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(reader);
    unlink(operator);
    unlink(shorter);
    return rmdir(folder);
}

static struct admin_tokens *both(struct weir_err *err)
{
    const struct admin_token_settings s[] = {{"grafana", reader, ADMIN_READ},
                                             {"deploy", operator, ADMIN_OPERATE } };

    return admin_tokens_new(s, 2, NULL, err);
}

static enum admin_role role_of(const struct admin_tokens *t, const char *text, const char **name)
{
    return admin_tokens_role(t, weir_span_str(text), name);
}

static void a_token_has_its_role_and_name(void **state)
{
    struct weir_err err = {0};
    struct admin_tokens *t = both(&err);
    const char *name;

    (void)state;
    assert_non_null(t);
    assert_int_equal(role_of(t, "Bearer " READER, &name), ADMIN_READ);
    assert_string_equal(name, "grafana");
    assert_int_equal(role_of(t, "bearer   " OPERATOR " ", &name), ADMIN_OPERATE);
    assert_string_equal(name, "deploy");
    admin_tokens_free(t);
}

static void what_is_not_exactly_a_token_is_nobody(void **state)
{
    static const char *const others[] = {
        "",
        "Bearer",
        "Bearer ",
        READER,
        "Basic " READER,
        "Bearer " READER "0",
        "Bearer x",
        "Bearer 0123456789abcdef0123456789abcde",
        "Bearer " READER "\n",
        "Bearer 0123456789ABCDEF0123456789ABCDEF",
    };
    struct admin_tokens *t = both(NULL);
    const char *name;

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (role_of(t, others[i], &name) != ADMIN_NOBODY)
            fail_msg("\"%s\" is somebody", others[i]);
        assert_null(name);
    }
    assert_int_equal(admin_tokens_role(t, WEIR_SPAN_NONE, &name), ADMIN_NOBODY);
    admin_tokens_free(t);
}

static void without_tokens_everybody_is_nobody(void **state)
{
    struct admin_tokens *t = admin_tokens_new(NULL, 0, NULL, NULL);
    const char *name;

    (void)state;
    assert_non_null(t);
    assert_int_equal(role_of(t, "Bearer " READER, &name), ADMIN_NOBODY);
    admin_tokens_free(t);
    admin_tokens_free(NULL);
}

static void refused(const char *first, const char *second, const char *why)
{
    const struct admin_token_settings s[] = {{"one", first, ADMIN_READ},
                                             {"two", second, ADMIN_READ}};
    struct weir_err err = {0};

    assert_null(admin_tokens_new(s, 2, NULL, &err));
    assert_int_equal(err.code, WEIR_E_CONFIG);
    if (strstr(err.detail, why) == NULL)
        fail_msg("%s", err.detail);
}

static void files_that_cannot_be_tokens_are_refused(void **state)
{
    (void)state;
    refused(reader, missing, "missing");
    refused(reader, shorter, "shorter than 32");
    refused(reader, reader, "holds the token of one");
}

#ifdef WEIR_FAULTS
static void without_memory_there_are_none(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned long n = 1; failed; n++) {
        struct admin_tokens *t;
        struct weir_err err = {0};

        weir_alloc_fail_at(n);
        t = both(&err);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_int_equal(t == NULL, failed);
        if (failed)
            assert_int_equal(err.code, WEIR_E_MEMORY);
        admin_tokens_free(t);
    }
}
#endif

/* ---- failures ---- */

static struct net_peer v4(uint32_t number)
{
    struct net_peer p = {.family = AF_INET};
    uint32_t ip = htonl(number);

    memcpy(p.ip, &ip, 4);
    return p;
}

static void ten_failures_are_free_then_one_waits(void **state)
{
    struct admin_failures f = {0};
    struct net_peer bad = v4(1), good = v4(2);

    (void)state;
    for (int i = 0; i < ADMIN_FAILURES_FREE; i++) {
        assert_int_equal(admin_failures_wait_ms(&f, &bad, 1000), 0);
        admin_failures_add(&f, &bad, 1000);
    }
    assert_int_equal(admin_failures_wait_ms(&f, &bad, 1000), ADMIN_FAILURES_EVERY_MS);
    assert_int_equal(admin_failures_wait_ms(&f, &good, 1000), 0);
    assert_int_equal(admin_failures_wait_ms(&f, &bad, 1000 + ADMIN_FAILURES_EVERY_MS), 0);
    admin_failures_add(&f, &bad, 1000 + ADMIN_FAILURES_EVERY_MS);
    assert_true(admin_failures_wait_ms(&f, &bad, 1000 + ADMIN_FAILURES_EVERY_MS) > 0);
    assert_int_equal(admin_failures_wait_ms(&f, &bad, 1000000), 0);
}

static void neighbours_in_a_network_of_one_customer_count_as_one(void **state)
{
    struct admin_failures f = {0};
    struct net_peer a = {.family = AF_INET6}, b = {.family = AF_INET6}, c = {.family = AF_INET6};

    (void)state;
    inet_pton(AF_INET6, "2001:db8::1", a.ip);
    inet_pton(AF_INET6, "2001:db8::ffff:2", b.ip);
    inet_pton(AF_INET6, "2001:db8:0:1::1", c.ip);
    for (int i = 0; i < ADMIN_FAILURES_FREE; i++)
        admin_failures_add(&f, &a, 5);
    assert_true(admin_failures_wait_ms(&f, &b, 5) > 0);
    assert_int_equal(admin_failures_wait_ms(&f, &c, 5), 0);
}

static void a_flood_of_addresses_does_not_free_the_worst(void **state)
{
    struct admin_failures f = {0};
    struct net_peer worst = v4(1);

    (void)state;
    for (int i = 0; i < 3 * ADMIN_FAILURES_FREE; i++)
        admin_failures_add(&f, &worst, 5);
    for (uint32_t i = 0; i < 100000; i++) {
        struct net_peer other = v4(100 + i);

        admin_failures_add(&f, &other, 5);
    }
    assert_true(admin_failures_wait_ms(&f, &worst, 5) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_has_its_role_and_name),
        cmocka_unit_test(what_is_not_exactly_a_token_is_nobody),
        cmocka_unit_test(without_tokens_everybody_is_nobody),
        cmocka_unit_test(files_that_cannot_be_tokens_are_refused),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_there_are_none),
#endif
        cmocka_unit_test(ten_failures_are_free_then_one_waits),
        cmocka_unit_test(neighbours_in_a_network_of_one_customer_count_as_one),
        cmocka_unit_test(a_flood_of_addresses_does_not_free_the_worst),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
