#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "farm_json.h"
#include "farm_judgement.h"

/* Single quotes stand for double ones. */
static json_t *parsed(const char *text)
{
    char *copy = strdup(text);
    json_error_t error;
    json_t *json;

    for (char *at = copy; (at = strchr(at, '\'')) != NULL;)
        *at = '"';
    json = json_loads(copy, 0, &error);
    if (json == NULL)
        fail_msg("%s: %s", error.text, copy);
    free(copy);
    return json;
}

static const char good_node[] =
    "{'id': 'n1', 'ready': true, 'draining': false, 'version': '0.1', 'clock_skew_ms': 3,"
    " 'config': {'hash': 'aa', 'loaded_at': 5, 'last_reload': null}, 'hook_failed': null,"
    " 'purges': {'applied': 4, 'pending': 0, 'reachable': true},"
    " 'load': {'connections': 3, 'requests_per_s': 10.0, 'hit_ratio': 0.5, 'errors_per_s': 1,"
    "          'bytes_per_s': 2}}";

/* A farm of one good node, with `change` laid over it. */
static json_t *farm_with(const char *change)
{
    json_t *farm = parsed("{'farm': 'f', 'asked': 'n1', 'members': {'lost': false, 'missing': []},"
                          " 'origins': [], 'words': [], 'words_state': {'pending': 0},"
                          " 'redis': []}");
    json_t *over = parsed(change), *nodes = json_array();

    json_array_append_new(nodes, parsed(good_node));
    json_object_set_new(farm, "nodes", nodes);
    json_object_update(farm, over);
    json_decref(over);
    assert_true(farm_judge(farm));
    return farm;
}

/* The node differs so from the good one. */
static json_t *farm_of_node(const char *change)
{
    json_t *node = parsed(good_node), *over = parsed(change), *whole = json_object();
    json_t *nodes = json_array(), *farm;
    char *text;

    json_object_update(node, over);
    json_array_append_new(nodes, node);
    json_object_set_new(whole, "nodes", nodes);
    text = json_dumps(whole, 0);
    farm = farm_with(text);
    free(text);
    json_decref(over);
    json_decref(whole);
    return farm;
}

static const json_t *fault(const json_t *farm, const char *code)
{
    const json_t *f;
    size_t i;

    json_array_foreach(json_object_get(farm, "faults"), i, f)
    {
        if (strcmp(json_string_value(json_object_get(f, "code")), code) == 0)
            return f;
    }
    return NULL;
}

static const char *text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* Takes farm. */
static void expect(json_t *farm, const char *code, const char *severity, const char *where,
                   const char *what)
{
    const json_t *f = fault(farm, code);

    if (f == NULL)
        fail_msg("no %s", code);
    assert_string_equal(text(f, "severity"), severity);
    assert_string_equal(text(f, "where"), where);
    if (strstr(text(f, "what"), what) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", what, text(f, "what"));
    json_decref(farm);
}

static void a_good_farm_is_fine(void **state)
{
    json_t *farm = farm_with("{}");

    (void)state;
    assert_string_equal(text(farm, "status"), "fine");
    assert_int_equal(json_array_size(json_object_get(farm, "faults")), 0);
    assert_int_equal(farm_judged_status(farm), 0);
    assert_true(
        json_is_false(json_object_get(json_array_get(json_object_get(farm, "nodes"), 0), "drift")));
    json_decref(farm);
}

static void what_a_node_says_of_itself_is_a_fault(void **state)
{
    (void)state;
    expect(farm_of_node("{'ready': false, 'not_ready_because': ['starting']}"), "node_not_ready",
           "degraded", "n1", "not ready: starting");
    expect(farm_of_node("{'ready': false}"), "nodes_none_ready", "down", "farm", "no node");
    expect(farm_of_node("{'draining': true, 'ready': false}"), "node_draining", "info", "n1",
           "way");
    expect(farm_of_node("{'suspect': true}"), "node_suspect", "degraded", "n1", "suspects");
    expect(farm_of_node("{'autonomous': true}"), "node_autonomous", "degraded", "n1", "sight");
    expect(farm_of_node("{'twin': true}"), "twin", "degraded", "n1", "two");
    expect(farm_of_node("{'record': 'missing'}"), "node_silent", "degraded", "n1", "record");
    expect(farm_of_node("{'hook_failed': 'on_ready: exit 1'}"), "hook_failed", "degraded", "n1",
           "exit 1");
    expect(farm_of_node("{'certificates': {'expired': 1, 'expiring': 0}}"), "certificate_expired",
           "degraded", "n1", "1 certificate expired");
    expect(farm_of_node("{'certificates': {'expired': 0, 'expiring': 2}}"), "certificate_expires",
           "degraded", "n1", "2 certificates within 14 days");
    expect(farm_of_node("{'config': {'hash': 'aa', 'last_reload': {'ok': false, 'error': 'x'}}}"),
           "reload_failed", "degraded", "n1", "failed: x");
    expect(farm_of_node("{'purges': {'applied': 4, 'pending': 2, 'reachable': false}}"),
           "purges_pending", "degraded", "n1", "2 purges");
    expect(farm_of_node("{'purges': {'applied': 4, 'pending': 0, 'reachable': false}}"),
           "purges_pending", "degraded", "n1", "cannot read");
}

static void a_clock_may_be_two_seconds_off(void **state)
{
    json_t *farm = farm_of_node("{'clock_skew_ms': -2000}");

    (void)state;
    assert_null(fault(farm, "clock"));
    json_decref(farm);
    expect(farm_of_node("{'clock_skew_ms': -2001}"), "clock", "degraded", "n1", "2.0 s behind");
    expect(farm_of_node("{'clock_skew_ms': 90000}"), "clock", "degraded", "n1", "90.0 s ahead of");
}

static void without_a_farm_no_log_can_be_out_of_reach(void **state)
{
    json_t *farm = farm_of_node("{'purges': {'applied': null, 'pending': 0, 'reachable': false}}");

    (void)state;
    assert_null(fault(farm, "purges_pending"));
    json_decref(farm);
}

static void the_few_drift_from_the_many(void **state)
{
    json_t *farm = farm_with("{'nodes': ["
                             "{'id': 'a', 'version': '1', 'config': {'hash': 'x', 'loaded_at': 9}},"
                             "{'id': 'b', 'version': '1', 'config': {'hash': 'y', 'loaded_at': 1}},"
                             "{'id': 'c', 'version': '2', 'config': {'hash': 'y', 'loaded_at': 1}}"
                             "]}");

    (void)state;
    assert_string_equal(text(fault(farm, "version"), "where"), "c");
    expect(farm, "config_drift", "degraded", "a", "x");
}

static void of_two_halves_the_one_that_was_loaded_last_is_right(void **state)
{
    (void)state;
    expect(farm_with("{'nodes': [{'id': 'a', 'config': {'hash': 'x', 'loaded_at': 1}},"
                     "{'id': 'b', 'config': {'hash': 'y', 'loaded_at': 2}}]}"),
           "config_drift", "degraded", "a", "x");
}

static void members_that_are_gone_are_told(void **state)
{
    (void)state;
    expect(farm_with("{'members': {'lost': true, 'last_live': 3}}"), "members_lost", "degraded",
           "n1", "3 nodes");
    expect(farm_with("{'members': {'missing': [{'id': 'n7', 'since_s': 12}]}}"), "node_missing",
           "degraded", "n7", "12 s ago");
}

#define ORIGIN(url, rest) "{'upstream': 'app', 'url': '" url "', " rest "}"
#define UP                "'in_force': 'up', 'verdict': 'up'"
#define DOWN              "'in_force': 'down', 'verdict': 'down', 'why': '2 of 3 votes', 'reason': 'refused'"
#define OUT               "'in_force': 'disabled', 'verdict': 'up'"

static void an_origin_that_is_down_degrades_and_all_of_them_bring_down(void **state)
{
    json_t *farm = farm_with("{'origins': [" ORIGIN("u1", UP) ", " ORIGIN("u2", DOWN) "]}");

    (void)state;
    assert_string_equal(text(farm, "status"), "degraded");
    assert_null(fault(farm, "upstream_down"));
    expect(farm, "origin_down", "degraded", "app u2", "refused (2 of 3 votes)");
    farm = farm_with(
        "{'origins': [" ORIGIN("u1", "'ejected': true, " UP) ", " ORIGIN("u2", DOWN) "]}");
    assert_int_equal(farm_judged_status(farm), 2);
    expect(farm, "upstream_down", "down", "app", "none of its 2");
}

static void what_an_operator_took_out_is_no_fault(void **state)
{
    json_t *farm = farm_with("{'origins': [" ORIGIN("u1", UP) ", " ORIGIN("u2", OUT) "]}");

    (void)state;
    assert_string_equal(text(farm, "status"), "fine");
    json_decref(farm);
    farm = farm_with("{'origins': [" ORIGIN("u1", "'in_force': 'maintenance'") "]}");
    assert_string_equal(text(farm, "status"), "fine");
    json_decref(farm);
    farm = farm_with("{'origins': [" ORIGIN("u1", OUT) "]}");
    assert_string_equal(text(farm, "status"), "degraded");
    expect(farm, "upstream_down", "degraded", "app", "operators");
}

static void flaps_panic_and_doubt_are_told(void **state)
{
    (void)state;
    expect(farm_with("{'origins': [" ORIGIN("u1", "'flapping': true, " DOWN) "]}"),
           "origin_flapping", "degraded", "app u1", "up and down");
    expect(farm_with("{'origins': [" ORIGIN("u1", "'panic': true, " UP) ", " ORIGIN(
               "u2", "'panic': true, " DOWN) "]}"),
           "upstream_panic", "degraded", "app", "1 of 2");
    expect(farm_with("{'origins': [" ORIGIN("u1", "'held': true, " UP) "]}"), "origin_held", "info",
           "app u1", "last verdict");
    expect(farm_with("{'origins': [" ORIGIN("u1", "'checked': true, 'verdict': 'unknown',"
                                                  "'in_force': 'unknown'") "]}"),
           "origin_unknown", "info", "app u1", "nobody");
}

static void a_node_that_alone_does_not_reach_an_origin_is_told(void **state)
{
    (void)state;
    expect(farm_with(
               "{'origins': [" ORIGIN("u1", UP) "], 'nodes': [{'id': 'n2', 'origins': [" ORIGIN(
                   "u1", "'own': 'down', 'reason': 'no connection'") "]}]}"),
           "origin_local", "degraded", "n2", "app u1, others do: no connection");
}

static void words_in_force_are_told_and_are_no_fault(void **state)
{
    json_t *farm = farm_with("{'words': [{'target': 'origin', 'name': 'app', 'url': 'u1',"
                             " 'kind': 'drain', 'author': 'eve', 'reason': 'kernel'}]}");

    (void)state;
    assert_string_equal(text(farm, "status"), "fine");
    expect(farm, "word", "info", "app u1", "drain, said by eve: kernel");
    expect(farm_with("{'words_state': {'pending': 2}}"), "words_pending", "degraded", "farm",
           "2 words");
}

static void redis_is_judged_by_nodes_and_slots(void **state)
{
    (void)state;
    expect(farm_with("{'redis': [{'endpoint': 'redis', 'nodes_up': 0, 'nodes_down': 3,"
                     " 'trouble': 'refused'}]}"),
           "redis_down", "degraded", "redis", "refused");
    expect(farm_with("{'redis': [{'endpoint': 'redis', 'nodes_up': 5, 'nodes_down': 1,"
                     " 'slots_covered': 16384}]}"),
           "redis_node", "degraded", "redis", "1 of 6");
    expect(farm_with("{'redis': [{'endpoint': 'redis', 'nodes_up': 5, 'nodes_down': 0,"
                     " 'slots_covered': 16380}]}"),
           "redis_slots", "degraded", "redis", "4 slots");
}

static void the_worst_come_first(void **state)
{
    json_t *farm = farm_of_node("{'ready': false, 'draining': true, 'suspect': true}");
    json_t *faults = json_object_get(farm, "faults");

    (void)state;
    assert_int_equal(json_array_size(faults), 3);
    assert_string_equal(text(json_array_get(faults, 0), "severity"), "down");
    assert_string_equal(text(json_array_get(faults, 1), "severity"), "degraded");
    assert_string_equal(text(json_array_get(faults, 2), "severity"), "info");
    json_decref(farm);
}

static void totals_are_over_all_nodes(void **state)
{
    json_t *farm =
        farm_with("{'nodes': [{'load': {'requests_per_s': 30, 'hit_ratio': 1.0, 'connections': 2}},"
                  "{'load': {'requests_per_s': 10, 'hit_ratio': 0.0, 'errors_per_s': 0.5}},"
                  "{'load': {'requests_per_s': 0, 'hit_ratio': null}}, {'record': 'missing'}]}");
    const json_t *totals = json_object_get(farm, "totals");

    (void)state;
    assert_int_equal(json_integer_value(json_object_get(totals, "nodes")), 4);
    assert_int_equal(json_integer_value(json_object_get(totals, "connections")), 2);
    assert_true(json_number_value(json_object_get(totals, "requests_per_s")) == 40);
    assert_true(json_number_value(json_object_get(totals, "hit_ratio")) == 0.75);
    assert_true(json_number_value(json_object_get(totals, "errors_per_s")) == 0.5);
    json_decref(farm);
    farm = farm_with("{'nodes': []}");
    assert_true(json_is_null(json_object_get(json_object_get(farm, "totals"), "hit_ratio")));
    json_decref(farm);
}

static void what_nodes_say_of_clients_adds_up(void **state)
{
    json_t *farm = farm_with(
        "{'nodes': [{'clients': {'connections': {'http2': 3, 'tls': 4},"
        " 'handshakes_per_s': {'full': 1.5},"
        " 'lately': {'span_s': 300, 'floods_cut': {'resets': 2, 'pings': 1}}}},"
        "{'clients': {'connections': {'http2': 1}, 'handshakes_per_s': {'full': 0.25},"
        " 'lately': {'span_s': 20, 'floods_cut': {'resets': 5}, 'proxy_refused': {'new': 1}}}},"
        "{'record': 'missing'}]}");
    const json_t *sums = json_object_get(json_object_get(farm, "totals"), "clients"), *lately;

    (void)state;
    lately = json_object_get(sums, "lately");
    assert_int_equal(farm_int(json_object_get(sums, "connections"), "http2"), 4);
    assert_int_equal(farm_int(json_object_get(sums, "connections"), "tls"), 4);
    assert_true(farm_real(json_object_get(sums, "handshakes_per_s"), "full") == 1.75);
    assert_int_equal(farm_int(lately, "span_s"), 300); /* a time is not added */
    assert_int_equal(farm_int(json_object_get(lately, "floods_cut"), "resets"), 7);
    assert_int_equal(farm_int(json_object_get(lately, "floods_cut"), "pings"), 1);
    assert_int_equal(farm_int(json_object_get(lately, "proxy_refused"), "new"), 1);
    json_decref(farm);
}

static void sums_of_absurd_numbers_stay_numbers(void **state)
{
    json_t *farm = farm_with("{'nodes': [{'clients': {'handshakes_per_s': {'full': 1e308},"
                             " 'connections': {'tls': 9223372036854775807, 'http2': -5}}},"
                             "{'clients': {'handshakes_per_s': {'full': 1e308},"
                             " 'connections': {'tls': 9223372036854775807}}},"
                             "{'clients': {'connections': 7, 'lately': {'a': {'b': {'c': 1}}}}}]}");
    const json_t *sums = json_object_get(json_object_get(farm, "totals"), "clients");

    (void)state;
    assert_true(farm_real(json_object_get(sums, "handshakes_per_s"), "full") == 1e15);
    assert_int_equal(json_integer_value(json_object_get(sums, "connections")), 7);
    json_decref(farm);
}

/* Records of other versions, and of who lies. */
static void members_of_other_types_mean_nothing(void **state)
{
    static const char *const odd[] = {
        "{'nodes': 7, 'origins': 'x', 'words': {}, 'redis': true, 'members': []}",
        "{'nodes': [7, null, [], 'x', {}]}",
        "{'nodes': [{'id': 5, 'config': 'x', 'load': [], 'purges': 1, 'version': {}}]}",
        "{'nodes': [{'config': {'hash': 5}, 'clock_skew_ms': 'late', 'ready': 'no'}]}",
        "{'origins': [1, {}, {'upstream': 4, 'url': []}]}",
        "{'words': [null, {'name': 3}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        json_decref(farm_with(odd[i]));
}

static void long_texts_are_cut_at_whole_characters(void **state)
{
    json_t *node = parsed(good_node), *nodes = json_array(), *farm = json_object();
    char id[3001];

    (void)state;
    for (size_t i = 0; i < 3000; i += 2)
        memcpy(id + i, "\xc3\xa9", 2);
    id[3000] = '\0';
    json_object_set_new(node, "id", json_string(id));
    json_object_set_new(node, "suspect", json_true());
    json_array_append_new(nodes, node);
    json_object_set_new(farm, "nodes", nodes);
    assert_true(farm_judge(farm));
    assert_true(strlen(text(fault(farm, "node_suspect"), "where")) < 1024);
    json_decref(farm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_farm_is_fine),
        cmocka_unit_test(what_a_node_says_of_itself_is_a_fault),
        cmocka_unit_test(a_clock_may_be_two_seconds_off),
        cmocka_unit_test(without_a_farm_no_log_can_be_out_of_reach),
        cmocka_unit_test(the_few_drift_from_the_many),
        cmocka_unit_test(of_two_halves_the_one_that_was_loaded_last_is_right),
        cmocka_unit_test(members_that_are_gone_are_told),
        cmocka_unit_test(an_origin_that_is_down_degrades_and_all_of_them_bring_down),
        cmocka_unit_test(what_an_operator_took_out_is_no_fault),
        cmocka_unit_test(flaps_panic_and_doubt_are_told),
        cmocka_unit_test(a_node_that_alone_does_not_reach_an_origin_is_told),
        cmocka_unit_test(words_in_force_are_told_and_are_no_fault),
        cmocka_unit_test(redis_is_judged_by_nodes_and_slots),
        cmocka_unit_test(the_worst_come_first),
        cmocka_unit_test(totals_are_over_all_nodes),
        cmocka_unit_test(what_nodes_say_of_clients_adds_up),
        cmocka_unit_test(sums_of_absurd_numbers_stay_numbers),
        cmocka_unit_test(members_of_other_types_mean_nothing),
        cmocka_unit_test(long_texts_are_cut_at_whole_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
