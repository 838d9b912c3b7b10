#include "health_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "weir/alloc.h"
#include "health.h"

static struct health_field_settings fields[2] = {{"X-Asked-By", "weir"}, {"accept", "text/plain"}};

/* As the configuration's defaults, but for `kind`. */
static struct upstream_settings app(void)
{
    return (struct upstream_settings){
        .name = "app",
        .health =
            {
                .kind = HEALTH_KIND_HTTP,
                .path = "/",
                .method = "GET",
                .expect_status = "200-299",
                .interval_ms = 2000,
                .fast_interval_ms = 500,
                .timeout_ms = 1000,
                .rise = 2,
                .fall = 3,
            },
    };
}

static const struct origin_settings plain = {.url = "http://10.0.0.1:3000",
                                             .host = "10.0.0.1",
                                             .port = 3000};

static void expect_request(const struct upstream_settings *up, const struct origin_settings *o,
                           const char *expected)
{
    struct health_check *c = health_check_new(up, o, NULL);

    assert_non_null(c);
    assert_int_equal(c->request.len, strlen(expected));
    assert_memory_equal(c->request.ptr, expected, c->request.len);
    health_check_free(c);
}

static void a_request_says_who_asks_and_that_the_connection_ends(void **state)
{
    struct upstream_settings up = app();

    (void)state;
    expect_request(&up, &plain,
                   "GET / HTTP/1.1\r\nHost: 10.0.0.1:3000\r\nUser-Agent: weir-health\r\n"
                   "Accept: */*\r\nConnection: close\r\n\r\n");
}

static void fields_are_added_and_replace_what_is_usual(void **state)
{
    struct upstream_settings up = app();

    (void)state;
    up.health.fields = fields;
    up.health.field_count = 2;
    up.health.method = "HEAD";
    up.health.path = "/up?x=1";
    expect_request(&up, &plain,
                   "HEAD /up?x=1 HTTP/1.1\r\nHost: 10.0.0.1:3000\r\nUser-Agent: weir-health\r\n"
                   "X-Asked-By: weir\r\naccept: text/plain\r\nConnection: close\r\n\r\n");
}

#define REST "\r\nUser-Agent: weir-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"

static void host_is_the_checks_or_the_upstreams_or_the_origins(void **state)
{
    struct upstream_settings up = app();
    struct origin_settings v6 = {.url = "http://[::1]", .host = "::1", .port = 80};
    struct origin_settings path = {.url = "unix:/x", .unix_path = "/x"};

    (void)state;
    expect_request(&up, &v6, "GET / HTTP/1.1\r\nHost: [::1]" REST);
    expect_request(&up, &path, "GET / HTTP/1.1\r\nHost: localhost" REST);
    up.health.port = 81;
    expect_request(&up, &v6, "GET / HTTP/1.1\r\nHost: [::1]:81" REST);
    up.host = "app.example";
    expect_request(&up, &plain, "GET / HTTP/1.1\r\nHost: app.example" REST);
    up.health.host = "check.example";
    expect_request(&up, &plain, "GET / HTTP/1.1\r\nHost: check.example" REST);
}

static void a_check_over_tcp_asks_nothing(void **state)
{
    struct upstream_settings up = app();
    struct health_check *c;

    (void)state;
    up.health.kind = HEALTH_KIND_TCP;
    c = health_check_new(&up, &plain, NULL);
    assert_non_null(c);
    assert_int_equal(c->request.len, 0);
    assert_int_equal(c->timeout_ms, 1000);
    assert_int_equal(c->id, health_check_id(&up, &plain));
    health_check_free(c);
}

/* The numbers themselves: nodes of other builds and versions come to them, too. */
static void the_id_is_the_same_everywhere(void **state)
{
    struct upstream_settings up = app();

    (void)state;
    assert_int_equal(health_check_id(&up, &plain), UINT64_C(0xf6f49d7aeec37656));
    up.health.kind = HEALTH_KIND_OFF;
    assert_int_equal(health_check_id(&up, &plain), UINT64_C(0x48009c2eef160ceb));
}

#define KINDS 14

/* One change each. */
static void change(struct upstream_settings *up, struct origin_settings *o, unsigned which)
{
    struct health_settings *h = &up->health;

    switch (which) {
    case 0:
        up->name = "web";
        break;
    case 1:
        o->url = "http://10.0.0.2:3000";
        break;
    case 2:
        h->kind = HEALTH_KIND_TCP;
        break;
    case 3:
        h->kind = HEALTH_KIND_OFF;
        break;
    case 4:
        h->port = 1;
        break;
    case 5:
        h->path = "/x";
        break;
    case 6:
        h->host = "x";
        break;
    case 7:
        up->host = "y"; /* asked as well, when the check has none */
        break;
    case 8:
        h->method = "HEAD";
        break;
    case 9:
        h->fields = fields;
        h->field_count = 1;
        break;
    case 10:
        h->fields = fields + 1;
        h->field_count = 1;
        break;
    case 11:
        h->expect_status = "200";
        break;
    case 12:
        h->expect_body = "ok";
        break;
    case 13:
        h->timeout_ms = 900;
        break;
    }
}

static void the_id_changes_with_all_that_is_asked_or_expected(void **state)
{
    uint64_t ids[KINDS + 1];

    (void)state;
    for (unsigned i = 0; i <= KINDS; i++) {
        struct upstream_settings up = app();
        struct origin_settings o = plain;

        change(&up, &o, i);
        ids[i] = health_check_id(&up, &o);
        for (unsigned k = 0; k < i; k++)
            assert_int_not_equal(ids[i], ids[k]);
    }
}

static void the_id_stays_when_one_only_asks_more_often(void **state)
{
    struct upstream_settings a = app(), b = app();
    struct origin_settings heavy = plain;

    (void)state;
    b.health.interval_ms = 5000;
    b.health.fast_interval_ms = 100;
    b.health.rise = b.health.fall = 1;
    b.max_connections = 7;
    heavy.weight = 9;
    heavy.backup = true;
    assert_int_equal(health_check_id(&a, &plain), health_check_id(&b, &heavy));
}

/* ---- statuses ---- */

static void statuses_are_codes_ranges_and_classes(void **state)
{
    struct health_statuses s;

    (void)state;
    assert_true(health_statuses_parse("200-299, 304 ,5XX", &s));
    assert_true(health_statuses_have(&s, 200) && health_statuses_have(&s, 299));
    assert_true(health_statuses_have(&s, 304));
    assert_true(health_statuses_have(&s, 500) && health_statuses_have(&s, 599));
    assert_false(health_statuses_have(&s, 300) || health_statuses_have(&s, 303) ||
                 health_statuses_have(&s, 499) || health_statuses_have(&s, 600));
    assert_false(health_statuses_have(&s, 0) || health_statuses_have(&s, -1) ||
                 health_statuses_have(&s, 100) || health_statuses_have(&s, 100000));
    assert_true(health_statuses_parse("999", &s));
    assert_true(health_statuses_have(&s, 999));
}

static void other_texts_are_no_statuses(void **state)
{
    static const char *const bad[] = {
        "",        ",",           "200,", ",200", "20",       "2000",    "199",         "100-200",
        "300-200", "200-",        "-200", "2x",   "1xx",      "x00",     "200 201",     "abc",
        "2xx-3xx", "200-300-400", "+200", "0200", "200--300", "200;201", "two hundred",
    };
    struct health_statuses s;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (health_statuses_parse(bad[i], &s))
            fail_msg("\"%s\"", bad[i]);
}

/* ---- reasons ---- */

static void every_reason_has_its_words(void **state)
{
    (void)state;
    for (unsigned r = 0; r < HEALTH_REASONS; r++)
        assert_true(health_reason_text((enum health_reason)r)[0] != '\0');
    assert_string_equal(health_reason_text(HEALTH_R_LOCAL), "this node could not ask");
    assert_non_null(health_reason_text((enum health_reason)200));
}

#ifdef WEIR_FAULTS
static void every_failed_allocation_is_reported(void **state)
{
    struct upstream_settings up = app();
    struct health_check *c = NULL;

    (void)state;
    up.health.fields = fields;
    up.health.field_count = 2;
    up.health.expect_body = "o(k)";
    for (unsigned long n = 1; c == NULL; n++) {
        struct weir_err err = {0};

        weir_alloc_fail_at(n);
        c = health_check_new(&up, &plain, &err);
        weir_alloc_fail_at(0);
        assert_true(c != NULL || err.code == WEIR_E_MEMORY);
        assert_true(n < 1000);
    }
    health_check_free(c);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_says_who_asks_and_that_the_connection_ends),
        cmocka_unit_test(fields_are_added_and_replace_what_is_usual),
        cmocka_unit_test(host_is_the_checks_or_the_upstreams_or_the_origins),
        cmocka_unit_test(a_check_over_tcp_asks_nothing),
        cmocka_unit_test(the_id_is_the_same_everywhere),
        cmocka_unit_test(the_id_changes_with_all_that_is_asked_or_expected),
        cmocka_unit_test(the_id_stays_when_one_only_asks_more_often),
        cmocka_unit_test(statuses_are_codes_ranges_and_classes),
        cmocka_unit_test(other_texts_are_no_statuses),
        cmocka_unit_test(every_reason_has_its_words),
#ifdef WEIR_FAULTS
        cmocka_unit_test(every_failed_allocation_is_reported),
#endif
    };

    return cmocka_run_group_tests_name("health_check", tests, NULL, NULL);
}
