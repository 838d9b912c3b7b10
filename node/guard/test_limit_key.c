#include "limit_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>

#include "http_head.h"
#include "limit_rate.h"
#include "net_addr.h"

struct asked {
    struct http_field fields[8];
    struct http_head head;
    struct net_peer client;
    struct limit_subject s;
};

static const struct weir_hash_secret secret = {{7, 9, 3}};

static void ask(struct asked *a, const char *address)
{
    memset(a, 0, sizeof *a);
    http_head_init(&a->head, a->fields, 8);
    a->client.port = 4711;
    if (address == NULL)
        a->client.family = AF_UNIX;
    else if (inet_pton(AF_INET, address, a->client.ip) == 1)
        a->client.family = AF_INET;
    else if (inet_pton(AF_INET6, address, a->client.ip) == 1)
        a->client.family = AF_INET6;
    a->s = (struct limit_subject){&a->head, &a->client, WEIR_SPAN_LIT("shop")};
}

static void with(struct asked *a, const char *name, const char *value)
{
    assert_true(http_head_add(&a->head, NULL, weir_span_str(name), weir_span_str(value)));
}

static struct limit_key_rule rule_of(const char *name, const char **words, size_t count)
{
    const struct limit_settings s = {
        .name = name, .key = words, .key_count = count, .ipv4_prefix = 24, .ipv6_prefix = 56};
    struct limit_key_rule r;

    limit_key_rule_init(&r, &s, &secret);
    return r;
}

static struct limit_key_rule rule(const char *word)
{
    return rule_of("one", &word, 1);
}

static bool same(const struct limit_key_rule *r, const struct asked *a, const struct asked *b)
{
    struct weir_hash128 x, y;

    assert_true(limit_key(r, &a->s, &secret, &x));
    assert_true(limit_key(r, &b->s, &secret, &y));
    return x.lo == y.lo && x.hi == y.hi;
}

static void clients_are_one_within_their_prefix(void **state)
{
    struct limit_key_rule r = rule("client");
    struct asked a, b, c, d;

    (void)state;
    ask(&a, "192.0.2.7");
    ask(&b, "192.0.2.200");
    ask(&c, "192.0.3.7");
    ask(&d, "::ffff:192.0.2.9");
    b.client.port = 1;
    assert_true(same(&r, &a, &b));
    assert_false(same(&r, &a, &c));
    assert_true(same(&r, &a, &d));
    ask(&a, "2001:db8:0:ab01::1");
    ask(&b, "2001:db8:0:abff:1::");
    ask(&c, "2001:db8:0:ac01::1");
    assert_true(same(&r, &a, &b));
    assert_false(same(&r, &a, &c));
    ask(&a, NULL);
    ask(&b, NULL);
    b.client.ip[3] = 1;
    assert_true(same(&r, &a, &b));
    ask(&b, "0.0.0.0");
    assert_false(same(&r, &a, &b));
}

static void prefixes_of_all_lengths_cut_where_they_say(void **state)
{
    struct limit_settings s = {.name = "p"};
    struct limit_key_rule r;
    struct asked a, b;

    (void)state;
    for (unsigned bits = 0; bits <= 128; bits++) {
        s.ipv6_prefix = bits;
        s.ipv4_prefix = bits <= 32 ? bits : 32;
        limit_key_rule_init(&r, &s, &secret);
        ask(&a, "2001:db8::");
        for (unsigned flip = 0; flip < 128; flip++) {
            b = a;
            b.s = (struct limit_subject){&b.head, &b.client, a.s.route};
            b.client.ip[flip / 8] ^= (uint8_t)(0x80 >> flip % 8);
            assert_int_equal(same(&r, &a, &b), flip >= bits);
        }
        ask(&a, "10.1.2.3");
        for (unsigned flip = 0; flip < 32; flip++) {
            b = a;
            b.s = (struct limit_subject){&b.head, &b.client, a.s.route};
            b.client.ip[flip / 8] ^= (uint8_t)(0x80 >> flip % 8);
            assert_int_equal(same(&r, &a, &b), flip >= s.ipv4_prefix);
        }
    }
}

static void a_field_counts_by_its_value(void **state)
{
    static const char *const names[] = {"X-Api-Key", "User-Agent"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char word[32] = "field ";
        struct limit_key_rule r;
        struct asked a, b, none, empty, twice;

        r = rule(strcat(word, names[i]));
        ask(&a, "192.0.2.7");
        ask(&b, "198.51.100.1");
        ask(&none, "192.0.2.7");
        ask(&empty, "192.0.2.7");
        ask(&twice, "192.0.2.7");
        with(&a, i == 0 ? "x-api-KEY" : "user-AGENT", "k1");
        with(&b, names[i], "k1");
        with(&empty, names[i], "");
        with(&twice, names[i], "k1");
        with(&twice, names[i], "k2");
        assert_true(same(&r, &a, &b));
        assert_false(same(&r, &a, &none));
        assert_false(same(&r, &a, &empty));
        assert_false(same(&r, &none, &empty));
        assert_true(same(&r, &none, &twice)); /* who repeats it gains nothing */
        b.head.fields[0].value = WEIR_SPAN_LIT("k2");
        assert_false(same(&r, &a, &b));
    }
}

static void a_cookie_counts_by_its_value(void **state)
{
    struct limit_key_rule r = rule("cookie sid");
    struct asked a, b, none;

    (void)state;
    ask(&a, "192.0.2.7");
    ask(&b, "192.0.2.7");
    ask(&none, "192.0.2.7");
    with(&a, "Cookie", "x=1; sid=abc");
    with(&b, "Cookie", "sid=abc; y=2");
    with(&none, "Cookie", "SID=abc");
    assert_true(same(&r, &a, &b));
    assert_false(same(&r, &a, &none));
}

static void routes_and_limits_do_not_share_keys(void **state)
{
    struct limit_key_rule r = rule("route"), all = rule("all");
    const char *word = "client";
    struct limit_key_rule one = rule_of("one", &word, 1), two = rule_of("two", &word, 1);
    struct weir_hash128 x, y;
    struct asked a, b;

    (void)state;
    ask(&a, "192.0.2.7");
    ask(&b, "192.0.2.7");
    b.s.route = WEIR_SPAN_LIT("api");
    assert_false(same(&r, &a, &b));
    assert_true(same(&all, &a, &b));
    limit_key(&one, &a.s, &secret, &x);
    limit_key(&two, &a.s, &secret, &y);
    assert_false(x.lo == y.lo && x.hi == y.hi);
}

static void parts_do_not_run_into_each_other(void **state)
{
    const char *words[] = {"field A", "field B"};
    struct limit_key_rule r = rule_of("one", words, 2);
    struct asked a, b, c;

    (void)state;
    ask(&a, "192.0.2.7");
    ask(&b, "192.0.2.7");
    ask(&c, "192.0.2.7");
    with(&a, "A", "xy");
    with(&a, "B", "z");
    with(&b, "A", "x");
    with(&b, "B", "yz");
    with(&c, "B", "xy"); /* A is missing */
    assert_false(same(&r, &a, &b));
    assert_false(same(&r, &a, &c));
}

static void who_lacks_a_part_may_be_exempt(void **state)
{
    struct limit_key_rule r = rule("field A");
    struct weir_hash128 key;
    struct asked a;

    (void)state;
    ask(&a, "192.0.2.7");
    assert_true(limit_key(&r, &a.s, &secret, &key));
    r.missing = LIMIT_MISSING_EXEMPT;
    assert_false(limit_key(&r, &a.s, &secret, &key));
    with(&a, "A", "");
    assert_true(limit_key(&r, &a.s, &secret, &key));
}

static void people_see_networks_but_no_values(void **state)
{
    const char *both[] = {"client", "route"};
    const char *hidden[] = {"client", "cookie sid"};
    struct limit_key_rule r = rule_of("one", both, 2);
    const struct weir_hash128 key = {.hi = 0xab, .lo = 1};
    char text[LIMIT_KEY_TEXT_MAX];
    struct asked a;

    (void)state;
    ask(&a, "192.0.2.7");
    assert_string_equal(limit_key_text(&r, &a.s, &key, text), "192.0.2.0/24 route shop");
    ask(&a, "2001:db8::1");
    assert_string_equal(limit_key_text(&r, &a.s, &key, text), "2001:db8::/56 route shop");
    r = rule_of("one", hidden, 2);
    with(&a, "Cookie", "sid=secret");
    assert_string_equal(limit_key_text(&r, &a.s, &key, text), "00000000000000ab0000000000000001");
    r = rule("all");
    assert_string_equal(limit_key_text(&r, &a.s, &key, text), "all");
}

static void words_that_are_no_part_are_told_apart(void **state)
{
    static const char *const bad[] = {"",        "clients",    "field",   "field ", "field a b",
                                      "cookie ", "cookie a=b", "session", "Client", "fields x"};
    struct limit_part part;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (limit_part_parse(weir_span_str(bad[i]), &part) == NULL)
            fail_msg("'%s' is a part", bad[i]);
    assert_null(limit_part_parse(WEIR_SPAN_LIT("field User-Agent"), &part));
    assert_int_equal(part.field, HTTP_F_USER_AGENT);
    assert_null(limit_part_parse(WEIR_SPAN_LIT("field X-Mine"), &part));
    assert_int_equal(part.field, HTTP_F_NONE);
}

static void rates_are_read_as_people_write_them(void **state)
{
    static const char *const bad[] = {"",
                                      "100",
                                      "/s",
                                      "100/",
                                      "100/w",
                                      "0/s",
                                      "-1/s",
                                      "1/ss",
                                      "1 /s",
                                      "2000000/s",
                                      "1/S",
                                      "1e3/s",
                                      "99999999999999999999/d"};
    struct weir_gcra_rate r;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (limit_rate_parse(weir_span_str(bad[i]), 0, &r) == NULL)
            fail_msg("'%s' is a rate", bad[i]);
    assert_null(limit_rate_parse(WEIR_SPAN_LIT("100/s"), 0, &r));
    assert_int_equal(r.interval_us, 10000);
    assert_int_equal(r.burst, 100);
    assert_int_equal(limit_rate_window_s(&r), 1);
    assert_null(limit_rate_parse(WEIR_SPAN_LIT("1000/m"), 20, &r));
    assert_int_equal(r.interval_us, 60000);
    assert_int_equal(r.burst, 20);
    assert_int_equal(limit_rate_window_s(&r), 2);
    assert_null(limit_rate_parse(WEIR_SPAN_LIT("7/h"), 0, &r));
    assert_int_equal(r.interval_us, 514285715);
    assert_null(limit_rate_parse(WEIR_SPAN_LIT("2000000/d"), 0, &r));
    assert_int_equal(r.burst, WEIR_GCRA_BURST_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_one_within_their_prefix),
        cmocka_unit_test(prefixes_of_all_lengths_cut_where_they_say),
        cmocka_unit_test(a_field_counts_by_its_value),
        cmocka_unit_test(a_cookie_counts_by_its_value),
        cmocka_unit_test(routes_and_limits_do_not_share_keys),
        cmocka_unit_test(parts_do_not_run_into_each_other),
        cmocka_unit_test(who_lacks_a_part_may_be_exempt),
        cmocka_unit_test(people_see_networks_but_no_values),
        cmocka_unit_test(words_that_are_no_part_are_told_apart),
        cmocka_unit_test(rates_are_read_as_people_write_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
