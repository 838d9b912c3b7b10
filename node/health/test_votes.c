#include "votes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct vote three[] = {
    {1, HEALTH_VOTE_UP, HEALTH_R_ANSWERED, 5},
    {UINT64_C(0x8000000000000000), HEALTH_VOTE_DOWN, HEALTH_R_TIMEOUT, 300},
    {UINT64_MAX, HEALTH_VOTE_UP, HEALTH_R_TRAFFIC, UINT16_MAX},
};

static struct weir_span written(char *room, size_t count)
{
    room[0] = 1;
    for (size_t i = 0; i < count; i++)
        votes_put(&three[i], i, room);
    return (struct weir_span){room, votes_bytes(count)};
}

static void what_is_written_is_read(void **state)
{
    char room[64];
    struct weir_span bytes = written(room, 3);
    struct vote v;

    (void)state;
    assert_true(votes_valid(bytes));
    assert_int_equal(votes_count(bytes), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(votes_find(bytes, three[i].check, &v));
        assert_true(v.check == three[i].check);
        assert_int_equal(v.vote, three[i].vote);
        assert_int_equal(v.reason, three[i].reason);
        assert_int_equal(v.run, three[i].run);
    }
    assert_false(votes_find(bytes, 2, &v));
    assert_false(votes_find(bytes, 0, &v));
}

static void nothing_is_valid_and_no_vote(void **state)
{
    char room[64];
    struct vote v;

    (void)state;
    assert_true(votes_valid((struct weir_span){NULL, 0}));
    assert_false(votes_find((struct weir_span){NULL, 0}, 1, &v));
    assert_int_equal(votes_count((struct weir_span){NULL, 0}), 0);
    assert_true(votes_valid(written(room, 0)));
    assert_false(votes_find(written(room, 0), 1, &v));
}

static void cut_anywhere_it_is_whole_votes_or_nothing(void **state)
{
    char room[64];
    struct weir_span bytes = written(room, 3);

    (void)state;
    for (size_t len = 1; len <= bytes.len; len++)
        assert_int_equal(votes_valid((struct weir_span){room, len}), (len - 1) % 12 == 0);
}

static void another_format_a_vote_that_is_none_and_disorder_mean_nothing(void **state)
{
    char room[64];
    struct weir_span bytes = written(room, 3);

    (void)state;
    room[0] = 2;
    assert_false(votes_valid(bytes));
    written(room, 3);
    room[1 + 8] = 0;
    assert_false(votes_valid(bytes));
    room[1 + 8] = 3;
    assert_false(votes_valid(bytes));
    written(room, 3);
    memcpy(room + 1 + 12, room + 1, 12); /* twice the same check */
    assert_false(votes_valid(bytes));
    written(room, 3);
    memmove(room + 1, room + 1 + 12, 24);
    memcpy(room + 1 + 12, room + 1, 8);
    room[1] = (char)0xff; /* ids that descend */
    assert_false(votes_valid(bytes));
}

static void a_reason_of_a_newer_version_is_none(void **state)
{
    char room[64];
    struct weir_span bytes = written(room, 1);
    struct vote v;

    (void)state;
    room[1 + 9] = (char)HEALTH_REASONS;
    assert_true(votes_valid(bytes));
    assert_true(votes_find(bytes, 1, &v));
    assert_int_equal(v.reason, HEALTH_R_NONE);
    assert_int_equal(v.vote, HEALTH_VOTE_UP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(nothing_is_valid_and_no_vote),
        cmocka_unit_test(cut_anywhere_it_is_whole_votes_or_nothing),
        cmocka_unit_test(another_format_a_vote_that_is_none_and_disorder_mean_nothing),
        cmocka_unit_test(a_reason_of_a_newer_version_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
