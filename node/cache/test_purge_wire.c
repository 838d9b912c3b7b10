#include "purge_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct purge_record samples[] = {
    {.scope = PURGE_URL, .mode = PURGE_HARD, .hash = UINT64_MAX, .also = 1, .time_s = 1700000000},
    {.scope = PURGE_PREFIX, .mode = PURGE_SOFT, .hash = 2, .length = PURGE_PREFIX_MAX},
    {.scope = PURGE_ALL, .mode = PURGE_HARD, .hash = 3, .time_s = -1},
};
#define SAMPLES (sizeof samples / sizeof samples[0])

static void what_is_written_is_read(void **state)
{
    char bytes[PURGE_WIRE_BYTES(SAMPLES)];
    size_t count;

    (void)state;
    purge_wire_write(bytes, samples, SAMPLES);
    assert_true(purge_wire_read(weir_span(bytes, sizeof bytes), &count));
    assert_int_equal(count, SAMPLES);
    for (size_t i = 0; i < SAMPLES; i++) {
        struct purge_record r = purge_wire_record(weir_span(bytes, sizeof bytes), i);

        assert_int_equal(r.scope, samples[i].scope);
        assert_int_equal(r.mode, samples[i].mode);
        assert_int_equal(r.hash, samples[i].hash);
        assert_int_equal(r.also, samples[i].also);
        assert_int_equal(r.length, samples[i].length);
        assert_int_equal(r.time_s, samples[i].time_s);
        assert_int_equal(r.sequence, 0);
    }
}

static void the_beginning_of_the_log_has_no_records(void **state)
{
    size_t count = 7;

    (void)state;
    assert_true(purge_wire_read(WEIR_SPAN_NONE, &count));
    assert_int_equal(count, 0);
}

static void what_is_cut_or_longer_cannot_be_read(void **state)
{
    char bytes[PURGE_WIRE_BYTES(SAMPLES) + 1] = "";
    size_t count;

    (void)state;
    purge_wire_write(bytes, samples, SAMPLES);
    for (size_t n = 1; n <= sizeof bytes; n++)
        assert_int_equal(purge_wire_read(weir_span(bytes, n), &count),
                         n == PURGE_WIRE_BYTES(SAMPLES));
}

/* A node of a later version may write what this one does not know. */
static void what_is_not_known_cannot_be_read(void **state)
{
    static const struct {
        size_t at;
        char value;
    } changes[] = {
        {0, 2},                                /* another version */
        {1, 1},                                /* likewise */
        {2, 0},                                /* no records */
        {PURGE_WIRE_HEAD, PURGE_SCOPES},       /* another scope */
        {PURGE_WIRE_HEAD + 1, PURGE_HARD + 1}, /* another mode */
        {PURGE_WIRE_HEAD + 2, 1},              /* something new */
        {PURGE_WIRE_HEAD + 4, 1},              /* a URL has no length */
        {PURGE_WIRE_BYTES(1) + 5, 5},          /* a prefix that is too long */
    };
    char bytes[PURGE_WIRE_BYTES(SAMPLES)];
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        purge_wire_write(bytes, samples, SAMPLES);
        bytes[changes[i].at] = changes[i].value;
        assert_false(purge_wire_read(weir_span(bytes, sizeof bytes), &count));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_beginning_of_the_log_has_no_records),
        cmocka_unit_test(what_is_cut_or_longer_cannot_be_read),
        cmocka_unit_test(what_is_not_known_cannot_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
