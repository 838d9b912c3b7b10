#include "config_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint64_t read_as(enum config_number kind, const char *text)
{
    uint64_t value = 4711;

    assert_int_equal(config_value_parse(kind, weir_span_str(text), &value), CONFIG_VALUE_OK);
    return value;
}

static enum config_value_fault fault_of(enum config_number kind, const char *text)
{
    uint64_t value;

    return config_value_parse(kind, weir_span_str(text), &value);
}

static void durations_are_kept_in_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(read_as(CONFIG_DURATION_MS, "250ms"), 250);
    assert_int_equal(read_as(CONFIG_DURATION_MS, "30s"), 30000);
    assert_int_equal(read_as(CONFIG_DURATION_MS, "5m"), 300000);
    assert_int_equal(read_as(CONFIG_DURATION_MS, "1h"), 3600000);
    assert_int_equal(read_as(CONFIG_DURATION_MS, "1d"), 86400000);
    assert_int_equal(read_as(CONFIG_DURATION_S, "1d"), 86400);
    assert_int_equal(fault_of(CONFIG_DURATION_S, "1500ms"), CONFIG_VALUE_NOT_WHOLE);
}

static void a_bare_number_is_a_duration_only_when_it_is_zero(void **state)
{
    (void)state;
    assert_int_equal(read_as(CONFIG_DURATION_MS, "0"), 0);
    assert_int_equal(read_as(CONFIG_DURATION_S, "00"), 0);
    assert_int_equal(fault_of(CONFIG_DURATION_MS, "30"), CONFIG_VALUE_NO_UNIT);
}

static void sizes_know_binary_and_decimal_units(void **state)
{
    (void)state;
    assert_int_equal(read_as(CONFIG_SIZE, "512"), 512);
    assert_int_equal(read_as(CONFIG_SIZE, "64KiB"), 65536);
    assert_int_equal(read_as(CONFIG_SIZE, "16MiB"), 16777216);
    assert_int_equal(read_as(CONFIG_SIZE, "1GiB"), 1073741824);
    assert_int_equal(read_as(CONFIG_SIZE, "2KB"), 2000);
    assert_int_equal(read_as(CONFIG_SIZE, "3MB"), 3000000);
}

static void malformed_words_are_refused(void **state)
{
    static const char *const words[] = {"",     " 1s", "1s ", "1 s",  "-1s",
                                        "1.5s", "s",   "1S",  "1sec", "1m30s"};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_int_equal(fault_of(CONFIG_DURATION_MS, words[i]), CONFIG_VALUE_MALFORMED);
    assert_int_equal(fault_of(CONFIG_SIZE, "64M"), CONFIG_VALUE_MALFORMED);
    assert_int_equal(fault_of(CONFIG_SIZE, "64kib"), CONFIG_VALUE_MALFORMED);
    assert_int_equal(fault_of(CONFIG_PERCENT, "50 %"), CONFIG_VALUE_MALFORMED);
    assert_int_equal(fault_of(CONFIG_MODE, "0980"), CONFIG_VALUE_MALFORMED);
    assert_int_equal(fault_of(CONFIG_MODE, "0o"), CONFIG_VALUE_MALFORMED);
    assert_int_equal(fault_of(CONFIG_BOOL, "yes"), CONFIG_VALUE_MALFORMED);
    assert_int_equal(fault_of(CONFIG_COUNT, "0x10"), CONFIG_VALUE_MALFORMED);
}

static void what_does_not_fit_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(fault_of(CONFIG_COUNT, "9223372036854775808"), CONFIG_VALUE_TOO_LARGE);
    assert_int_equal(read_as(CONFIG_COUNT, "9223372036854775807"), INT64_MAX);
    assert_int_equal(fault_of(CONFIG_SIZE, "9999999999TiB"), CONFIG_VALUE_TOO_LARGE);
    assert_int_equal(fault_of(CONFIG_DURATION_MS, "999999999999999999999d"),
                     CONFIG_VALUE_TOO_LARGE);
}

static void values_are_written_as_people_write_them(void **state)
{
    static const struct {
        enum config_number kind;
        const char *text;
    } samples[] = {
        {CONFIG_COUNT, "4096"},      {CONFIG_DURATION_MS, "5m"},  {CONFIG_DURATION_MS, "90s"},
        {CONFIG_DURATION_MS, "1ms"}, {CONFIG_DURATION_S, "400d"}, {CONFIG_DURATION_S, "0"},
        {CONFIG_SIZE, "500"},        {CONFIG_SIZE, "2000"},       {CONFIG_SIZE, "64KiB"},
        {CONFIG_SIZE, "3MiB"},       {CONFIG_PERCENT, "50%"},     {CONFIG_PERCENT, "0%"},
        {CONFIG_MODE, "0660"},       {CONFIG_BOOL, "true"},       {CONFIG_BOOL, "false"},
    };
    char buf[32];

    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        assert_string_equal(config_value_write(samples[i].kind,
                                               read_as(samples[i].kind, samples[i].text), buf),
                            samples[i].text);
}

static unsigned distance(const char *a, const char *b)
{
    return config_distance(weir_span_str(a), weir_span_str(b));
}

static void distance_counts_edits_and_swaps(void **state)
{
    (void)state;
    assert_int_equal(distance("origins", "origins"), 0);
    assert_int_equal(distance("orgins", "origins"), 1);
    assert_int_equal(distance("oirgins", "origins"), 1);
    assert_int_equal(distance("Origins", "origins"), 0);
    assert_int_equal(distance("", "abc"), 3);
    assert_int_equal(distance("kitten", "sitting"), 3);
}

static void short_words_are_near_only_to_very_similar_ones(void **state)
{
    unsigned d;

    (void)state;
    assert_true(config_is_near(weir_span_str("orgins"), weir_span_str("origins"), &d));
    assert_true(config_is_near(weir_span_str("ap"), weir_span_str("app"), &d));
    assert_false(config_is_near(weir_span_str("a"), weir_span_str("b"), &d));
    assert_false(config_is_near(weir_span_str("timeout"), weir_span_str("origins"), &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_kept_in_milliseconds),
        cmocka_unit_test(a_bare_number_is_a_duration_only_when_it_is_zero),
        cmocka_unit_test(sizes_know_binary_and_decimal_units),
        cmocka_unit_test(malformed_words_are_refused),
        cmocka_unit_test(what_does_not_fit_is_told_apart),
        cmocka_unit_test(values_are_written_as_people_write_them),
        cmocka_unit_test(distance_counts_edits_and_swaps),
        cmocka_unit_test(short_words_are_near_only_to_very_similar_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
