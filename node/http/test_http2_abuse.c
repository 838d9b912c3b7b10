#include "test_http.h"

#include "http2_abuse.h"

#define NOW 1000000

static const struct http2_abuse_limits limits = {.points = 1000,
                                                 .forgiven_s = 100,
                                                 .continuations = 16};

static unsigned times_until_over(struct http2_abuse *a, enum http2_abuse_reason what,
                                 int64_t apart_ms)
{
    int64_t now = NOW;

    for (unsigned n = 1; n <= 100000; n++, now += apart_ms) {
        enum http2_abuse_reason why = http2_abuse_note(a, &limits, what, 1, now);

        if (why != HTTP2_ABUSE_NONE) {
            assert_int_equal(why, what);
            return n;
        }
    }
    return 0;
}

static void a_flood_of_anything_ends_the_connection(void **state)
{
    (void)state;
    for (unsigned what = 1; what < HTTP2_ABUSE_REASONS; what++) {
        struct http2_abuse a = {0};
        unsigned n = times_until_over(&a, (enum http2_abuse_reason)what, 0);

        assert_true(n > 0 && n <= 1001);
        assert_true(http2_abuse_text((enum http2_abuse_reason)what)[0] != '\0');
    }
}

static void leaving_a_page_of_a_hundred_pictures_is_no_attack(void **state)
{
    struct http2_abuse a = {0};

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(http2_abuse_note(&a, &limits, HTTP2_ABUSE_RESETS, 1, NOW),
                         HTTP2_ABUSE_NONE);
}

static void what_comes_slowly_is_forgiven_for_ever(void **state)
{
    struct http2_abuse a = {0};

    (void)state;
    assert_int_equal(times_until_over(&a, HTTP2_ABUSE_PINGS, 20), 0); /* 50 a second */
    a = (struct http2_abuse){0};
    assert_true(times_until_over(&a, HTTP2_ABUSE_PINGS, 10) > 0);
}

static void who_is_served_may_reset_as_often(void **state)
{
    struct http2_abuse a = {0};

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(http2_abuse_note(&a, &limits, HTTP2_ABUSE_RESETS, 1, NOW),
                         HTTP2_ABUSE_NONE);
        http2_abuse_served(&a);
    }
}

static void the_reason_is_what_weighs_most(void **state)
{
    struct http2_abuse a = {0};

    (void)state;
    http2_abuse_note(&a, &limits, HTTP2_ABUSE_PINGS, 200, NOW);
    http2_abuse_note(&a, &limits, HTTP2_ABUSE_RESETS, 140, NOW);
    assert_int_equal(http2_abuse_note(&a, &limits, HTTP2_ABUSE_EMPTY, 20, NOW), HTTP2_ABUSE_RESETS);
    /* Long ago and forgiven: not held against it. */
    assert_int_equal(http2_abuse_note(&a, &limits, HTTP2_ABUSE_EMPTY, 201, NOW + 60000),
                     HTTP2_ABUSE_EMPTY);
}

static void continuations_have_a_limit_in_each_block(void **state)
{
    struct http2_abuse a = {0};

    (void)state;
    for (unsigned block = 0; block < 1000; block++) {
        http2_abuse_block(&a, &limits, true, 16384, NOW);
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(http2_abuse_block(&a, &limits, false, 100, NOW), HTTP2_ABUSE_NONE);
    }
    assert_int_equal(http2_abuse_block(&a, &limits, false, 100, NOW), HTTP2_ABUSE_CONTINUATIONS);
}

static void empty_continuations_count_over_blocks(void **state)
{
    struct http2_abuse a = {0};
    unsigned blocks = 0;

    (void)state;
    do
        http2_abuse_block(&a, &limits, true, 100, NOW);
    while (http2_abuse_block(&a, &limits, false, 0, NOW) == HTTP2_ABUSE_NONE && ++blocks < 100);
    assert_int_equal(blocks, 50);
}

static unsigned blocks_until_over(uint32_t wire, uint32_t decoded)
{
    struct http2_abuse a = {0};

    for (unsigned n = 1; n <= 10000; n++) {
        enum http2_abuse_reason why;

        http2_abuse_block(&a, &limits, true, wire, NOW);
        why = http2_abuse_block_end(&a, &limits, decoded, NOW);
        if (why != HTTP2_ABUSE_NONE) {
            assert_int_equal(why, HTTP2_ABUSE_GROWTH);
            return n;
        }
    }
    return 0;
}

static void only_what_hpack_cannot_honestly_give_is_growth(void **state)
{
    (void)state;
    assert_int_equal(blocks_until_over(40, 6000), 0); /* a large cookie, sent once */
    assert_int_equal(blocks_until_over(12000, 32768), 0);
    assert_in_range(blocks_until_over(60, 32768), 5, 20);
    assert_in_range(blocks_until_over(60, UINT32_MAX), 1, 1);
}

static void updates_are_free_as_far_as_there_is_data(void **state)
{
    struct http2_abuse a = {0};
    unsigned n = 0;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(http2_abuse_sent(&a, &limits, 16384, false, NOW), HTTP2_ABUSE_NONE);
        assert_int_equal(http2_abuse_update(&a, &limits, NOW), HTTP2_ABUSE_NONE);
        assert_int_equal(http2_abuse_update(&a, &limits, NOW), HTTP2_ABUSE_NONE);
    }
    while (http2_abuse_update(&a, &limits, NOW) == HTTP2_ABUSE_NONE)
        n++;
    assert_int_equal(n, 1000);
}

static void what_every_client_owes_is_free_once(void **state)
{
    struct http2_abuse a = {0};

    (void)state;
    assert_int_equal(http2_abuse_settings(&a, &limits, NOW), HTTP2_ABUSE_NONE);
    for (unsigned i = 0; i < 4; i++) /* it opens windows before it has asked for anything */
        assert_int_equal(http2_abuse_update(&a, &limits, NOW), HTTP2_ABUSE_NONE);
    assert_int_equal(http2_abuse_take(&a), 0);
    http2_abuse_update(&a, &limits, NOW);
    assert_int_equal(http2_abuse_take(&a), 1);
    http2_abuse_settings(&a, &limits, NOW);
    assert_int_equal(http2_abuse_take(&a), 20);
}

static void what_is_served_is_forgiven_to_the_address_too(void **state)
{
    struct http2_abuse a = {0};

    (void)state;
    http2_abuse_note(&a, &limits, HTTP2_ABUSE_RESETS, 2, NOW);
    http2_abuse_served(&a);
    assert_int_equal(http2_abuse_take(&a), 4);
    http2_abuse_note(&a, &limits, HTTP2_ABUSE_PINGS, 1, NOW);
    http2_abuse_served(&a);
    assert_int_equal(http2_abuse_take(&a), 0); /* and no credit */
    http2_abuse_note(&a, &limits, HTTP2_ABUSE_PINGS, 1, NOW);
    assert_int_equal(http2_abuse_take(&a), 2);
}

static void a_window_of_one_byte_is_a_dribble(void **state)
{
    struct http2_abuse a = {0};
    enum http2_abuse_reason why = HTTP2_ABUSE_NONE;
    unsigned n = 0;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) /* small messages, all that there is */
        assert_int_equal(http2_abuse_sent(&a, &limits, 5, false, NOW), HTTP2_ABUSE_NONE);
    for (; why == HTTP2_ABUSE_NONE && n < 10000; n++)
        why = http2_abuse_sent(&a, &limits, 1, true, NOW);
    assert_int_equal(why, HTTP2_ABUSE_DRIBBLE);
    assert_int_equal(n, 501);
}

static void many_streams_behind_closed_windows_end_the_connection(void **state)
{
    struct http2_abuse a = {0};
    unsigned s = 0;

    (void)state;
    for (; s < 1000; s++) /* a few downloads that pause */
        assert_int_equal(http2_abuse_stalled(&a, &limits, 16, NOW + s * 1000), HTTP2_ABUSE_NONE);
    for (s = 0; http2_abuse_stalled(&a, &limits, 100, NOW + s * 1000) == HTTP2_ABUSE_NONE; s++)
        assert_true(s < 100);
    assert_in_range(s, 5, 30);
}

static void nothing_overflows(void **state)
{
    const struct http2_abuse_limits none = {.points = 0, .forgiven_s = UINT32_MAX};
    struct http2_abuse a = {0};

    (void)state;
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(http2_abuse_note(&a, &none, HTTP2_ABUSE_FAULTS, UINT32_MAX,
                                          i & 1 ? INT64_MAX : 0),
                         HTTP2_ABUSE_NONE);
    assert_int_equal(http2_abuse_take(&a), 1000000);
    assert_int_equal(http2_abuse_take(&a), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_anything_ends_the_connection),
        cmocka_unit_test(leaving_a_page_of_a_hundred_pictures_is_no_attack),
        cmocka_unit_test(what_comes_slowly_is_forgiven_for_ever),
        cmocka_unit_test(who_is_served_may_reset_as_often),
        cmocka_unit_test(the_reason_is_what_weighs_most),
        cmocka_unit_test(continuations_have_a_limit_in_each_block),
        cmocka_unit_test(empty_continuations_count_over_blocks),
        cmocka_unit_test(only_what_hpack_cannot_honestly_give_is_growth),
        cmocka_unit_test(updates_are_free_as_far_as_there_is_data),
        cmocka_unit_test(what_every_client_owes_is_free_once),
        cmocka_unit_test(what_is_served_is_forgiven_to_the_address_too),
        cmocka_unit_test(a_window_of_one_byte_is_a_dribble),
        cmocka_unit_test(many_streams_behind_closed_windows_end_the_connection),
        cmocka_unit_test(nothing_overflows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
