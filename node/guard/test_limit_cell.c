#include "limit_cell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "limit_table.h"
#include "limit_top.h"

#define NOW 1000000000
#define MS  1000

static const struct weir_gcra_rate fast = {1000, 1000};   /* 1000/s */
static const struct weir_gcra_rate slow = {720000000, 5}; /* 5/h */

static void a_node_alone_counts_exactly(void **state)
{
    struct limit_cell c = {0};
    struct limit_said said;

    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        limit_cell_exact(&c, &slow, NOW, &said);
        assert_true(said.allowed);
        assert_int_equal(said.rest, 4 - i);
    }
    limit_cell_exact(&c, &slow, NOW, &said);
    assert_false(said.allowed);
    assert_int_equal(said.wait_us, 720000000);
    limit_cell_give_back(&c, &slow, 1, LIMIT_OF_NODE, NOW);
    limit_cell_exact(&c, &slow, NOW, &said);
    assert_true(said.allowed);
    assert_false(limit_cell_idle(&c, NOW));
    assert_true(limit_cell_idle(&c, NOW + INT64_C(3600000000)));
}

static void nothing_is_known_of_a_new_key(void **state)
{
    struct limit_cell c = {0};
    struct limit_said said;

    (void)state;
    assert_false(limit_cell_known(&c, &fast, 3, NOW, &said));
    assert_true(limit_cell_idle(&c, NOW));
}

static void a_lease_is_used_up_or_given_up(void **state)
{
    struct limit_cell c = {0};
    struct limit_said said;

    (void)state;
    limit_cell_answer(&c, &fast, NOW, 3, 0, 10);
    assert_true(limit_cell_known(&c, &fast, 3, NOW, &said));
    assert_true(said.allowed);
    assert_int_equal(said.rest, 12);
    assert_true(limit_cell_known(&c, &fast, 3, NOW, &said));
    assert_false(limit_cell_idle(&c, NOW));
    assert_false(limit_cell_known(&c, &fast, 3, NOW + LIMIT_LEASED_US, &said));
    assert_true(limit_cell_idle(&c, NOW + LIMIT_LEASED_US));
    limit_cell_answer(&c, &fast, NOW + 2 * LIMIT_LEASED_US, 1, 0, 5); /* what was left is gone */
    assert_true(limit_cell_known(&c, &fast, 3, NOW + 2 * LIMIT_LEASED_US, &said));
    assert_false(limit_cell_known(&c, &fast, 3, NOW + 2 * LIMIT_LEASED_US, &said));
}

static void a_refusal_is_remembered(void **state)
{
    struct limit_cell c = {0};
    struct limit_said said;

    (void)state;
    limit_cell_answer(&c, &slow, NOW, 0, 60000 * MS, 0);
    assert_true(limit_cell_known(&c, &slow, 3, NOW + 59999 * MS, &said));
    assert_false(said.allowed);
    assert_int_equal(said.wait_us, 1 * MS);
    assert_false(limit_cell_known(&c, &slow, 3, NOW + 60000 * MS, &said));
    /* An answer out of all proportion is not believed: a token is back after one interval. */
    limit_cell_answer(&c, &fast, NOW, 0, INT64_C(4000000000) * MS, 0);
    assert_false(limit_cell_known(&c, &fast, 3, NOW + 101 * MS, &said));
}

static void a_flood_of_a_fast_key_costs_few_questions(void **state)
{
    struct limit_cell c = {0};
    int64_t tat = 0;
    int questions = 0, allowed = 0;

    (void)state;
    /* 20,000 requests a second for 10 s against 1000/s. */
    for (int64_t us = NOW; us < NOW + 10000000; us += 50) {
        struct weir_gcra_answer a;
        struct limit_said said;

        if (!limit_cell_known(&c, &fast, 3, us, &said)) {
            weir_gcra_take(&tat, &fast, us, limit_cell_want(&c, &fast, 3, us), &a);
            limit_cell_answer(&c, &fast, us, a.taken, (a.next_us + 999) / 1000 * 1000, a.rest);
            questions++;
            assert_true(limit_cell_known(&c, &fast, 3, us, &said));
        }
        allowed += said.allowed;
    }
    assert_in_range(questions, 50, 250);
    assert_in_range(allowed, 10800, 11000); /* the burst, and ten seconds of the rate */
}

static void a_busy_key_asks_ten_times_a_second_and_a_rare_one_for_one_at_a_time(void **state)
{
    struct limit_cell c = {0};
    int questions = 0;

    (void)state;
    for (int64_t us = NOW; us < NOW + 10000000; us += 2000) { /* half of the rate */
        struct limit_said said;

        if (!limit_cell_known(&c, &fast, 3, us, &said)) {
            uint32_t want = limit_cell_want(&c, &fast, 3, us);

            assert_in_range(want, 1, 100);
            limit_cell_answer(&c, &fast, us, want, 0, 500);
            questions++;
            assert_true(limit_cell_known(&c, &fast, 3, us, &said));
        }
        assert_true(said.allowed);
    }
    assert_in_range(questions, 50, 130);
    for (int i = 1; i < 10; i++)
        assert_int_equal(limit_cell_want(&c, &fast, 3, NOW + 20000000 + i * 1000000), 1);
    assert_int_equal(limit_cell_want(&c, &slow, 3, NOW), 1);
}

static void those_who_wait_are_asked_for(void **state)
{
    struct limit_cell c = {.waiting = 40};

    (void)state;
    assert_int_equal(limit_cell_want(&c, &fast, 3, NOW), 40);
    assert_int_equal(limit_cell_want(&c, &slow, 3, NOW), 5);
}

static int share_in(uint32_t members, const struct weir_gcra_rate *r, int64_t span_us,
                    int64_t step_us)
{
    struct limit_cell c = {0};
    int allowed = 0;

    for (int64_t us = NOW; us < NOW + span_us; us += step_us) {
        struct limit_said said;

        limit_cell_local(&c, r, members, us, &said);
        assert_int_equal(said.source, LIMIT_OF_SHARE);
        allowed += said.allowed;
    }
    return allowed;
}

static void the_local_share_is_the_limit_by_the_members_and_a_fifth(void **state)
{
    (void)state;
    assert_in_range(share_in(1, &fast, 10000000, 100), 10990, 11001);
    assert_in_range(share_in(4, &fast, 10000000, 100), 3280, 3310); /* a burst of 300, 300/s */
    assert_int_equal(share_in(3, &slow, 1000000, 1000), 2);
    assert_int_equal(share_in(100, &slow, 1000000, 1000), 1); /* one may always come */
    assert_int_equal(share_in(2000, &fast, 1000000, 1000), 1 + 0);
}

static void without_an_answer_the_share_decides_for_a_second(void **state)
{
    struct limit_cell c = {0};
    struct limit_said said;

    (void)state;
    limit_cell_lost(&c, NOW);
    assert_true(limit_cell_known(&c, &slow, 3, NOW, &said));
    assert_true(said.allowed);
    assert_int_equal(said.source, LIMIT_OF_SHARE);
    assert_true(limit_cell_known(&c, &slow, 3, NOW, &said));
    assert_true(limit_cell_known(&c, &slow, 3, NOW, &said));
    assert_false(said.allowed);
    limit_cell_give_back(&c, &slow, 3, LIMIT_OF_SHARE, NOW);
    assert_true(limit_cell_known(&c, &slow, 3, NOW, &said));
    assert_true(said.allowed);
    assert_false(limit_cell_known(&c, &slow, 3, NOW + LIMIT_LOCAL_US, &said));
}

static void a_token_given_back_to_a_lease_is_there_again(void **state)
{
    struct limit_cell c = {0};
    struct limit_said said;

    (void)state;
    limit_cell_answer(&c, &slow, NOW, 1, 0, 0);
    assert_true(limit_cell_known(&c, &slow, 3, NOW, &said));
    limit_cell_give_back(&c, &slow, 3, LIMIT_OF_LEASE, NOW + 2 * LIMIT_LEASED_US);
    assert_true(limit_cell_known(&c, &slow, 3, NOW + 2 * LIMIT_LEASED_US, &said));
    assert_true(said.allowed);
    assert_false(limit_cell_known(&c, &slow, 3, NOW + 2 * LIMIT_LEASED_US, &said));
}

/* ---- the table ---- */

static struct weir_hash128 key_of(uint64_t n)
{
    return (struct weir_hash128){.lo = n * 0x9e3779b97f4a7c15, .hi = n};
}

static void a_full_table_lets_go_of_what_was_not_used_longest(void **state)
{
    struct weir_err err = {0};
    struct limit_table *t = limit_table_new(64 * 4, &err);
    struct limit_table_stats stats;
    struct limit_said said;

    (void)state;
    assert_non_null(t);
    for (uint64_t n = 0; n < 64 * 6; n++) {
        struct weir_hash128 key = key_of(n), first = key_of(n % 64);
        struct limit_shard *s = limit_table_enter(t, &key);

        limit_cell_exact(limit_shard_cell(s, &key, NOW), &slow, NOW, &said);
        assert_true(said.allowed);
        limit_shard_cell(s, &first, NOW); /* the shard's first is used all the time */
        limit_shard_leave(s);
    }
    limit_table_stats(t, &stats);
    assert_int_equal(stats.used, 64 * 4);
    assert_int_equal(stats.max, 64 * 4);
    assert_int_equal(stats.evicted, 64 * 2);
    for (uint64_t n = 0; n < 64 * 6; n++) {
        struct weir_hash128 key = key_of(n);
        struct limit_shard *s = limit_table_enter(t, &key);
        bool there = limit_shard_find(s, &key) != NULL;

        limit_shard_leave(s);
        assert_int_equal(there, n < 64 || n >= 64 * 3);
    }
    limit_table_free(t);
}

static void idle_cells_are_given_back(void **state)
{
    struct weir_err err = {0};
    struct limit_table *t = limit_table_new(64 * 100, &err);
    struct limit_table_stats stats;
    struct limit_said said;

    (void)state;
    for (uint64_t n = 0; n < 640; n++) {
        struct weir_hash128 key = key_of(n);
        struct limit_shard *s = limit_table_enter(t, &key);

        limit_cell_exact(limit_shard_cell(s, &key, NOW), &fast, NOW, &said);
        limit_shard_leave(s);
    }
    for (uint64_t n = 1000 * 64; n < 1020 * 64; n++) { /* a second later */
        struct weir_hash128 key = key_of(n);
        struct limit_shard *s = limit_table_enter(t, &key);

        limit_shard_cell(s, &key, NOW + 1000000)->tat_us = INT64_MAX;
        limit_shard_leave(s);
    }
    limit_table_stats(t, &stats);
    assert_int_equal(stats.used, 20 * 64);
    assert_int_equal(stats.evicted, 0);
    limit_table_free(t);
}

static void a_cell_that_asks_stays(void **state)
{
    struct weir_err err = {0};
    struct limit_table *t = limit_table_new(64, &err);
    struct weir_hash128 kept = key_of(0);
    struct limit_shard *s = limit_table_enter(t, &kept);

    (void)state;
    limit_shard_cell(s, &kept, NOW)->asking = true;
    for (uint64_t n = 1; n < 10; n++) {
        struct weir_hash128 key = key_of(n * 64);

        assert_non_null(limit_shard_cell(s, &key, NOW));
    }
    assert_non_null(limit_shard_find(s, &kept));
    limit_shard_leave(s);
    limit_table_free(t);
}

/* ---- who is refused most ---- */

static void the_keys_refused_most_are_found_among_many(void **state)
{
    static const struct limit_key_rule rule = {.parts = {{.kind = LIMIT_PART_ALL}}, .count = 1};
    const struct limit_subject s = {0};
    struct limit_top_entry out[LIMIT_TOP];
    struct limit_top t;
    size_t count;

    (void)state;
    limit_top_init(&t);
    for (uint64_t i = 0; i < 30000; i++) {
        struct weir_hash128 rare = key_of(1000 + i), often = key_of(1 + i % 3);

        limit_top_count(&t, 1, "api", &rare, &rule, &s);
        limit_top_count(&t, 1, "api", &often, &rule, &s);
    }
    count = limit_top_read(&t, 1, out);
    assert_int_equal(count, LIMIT_TOP);
    for (size_t i = 0; i < 3; i++) {
        assert_in_range(out[i].key.hi, 1, 3);
        assert_in_range(out[i].refused, 10000, 12000);
        assert_string_equal(out[i].text, "all");
        assert_string_equal(out[i].limit, "api");
    }
    count = limit_top_read(&t, 1 + 5 * 60000, out);
    assert_in_range(out[0].refused, 300, 400); /* halved each minute */
    assert_int_equal(limit_top_read(&t, 1 + 100 * 60000, out), 0);
    assert_true(count > 0);
    limit_top_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_alone_counts_exactly),
        cmocka_unit_test(nothing_is_known_of_a_new_key),
        cmocka_unit_test(a_lease_is_used_up_or_given_up),
        cmocka_unit_test(a_refusal_is_remembered),
        cmocka_unit_test(a_flood_of_a_fast_key_costs_few_questions),
        cmocka_unit_test(a_busy_key_asks_ten_times_a_second_and_a_rare_one_for_one_at_a_time),
        cmocka_unit_test(those_who_wait_are_asked_for),
        cmocka_unit_test(the_local_share_is_the_limit_by_the_members_and_a_fifth),
        cmocka_unit_test(without_an_answer_the_share_decides_for_a_second),
        cmocka_unit_test(a_token_given_back_to_a_lease_is_there_again),
        cmocka_unit_test(a_full_table_lets_go_of_what_was_not_used_longest),
        cmocka_unit_test(idle_cells_are_given_back),
        cmocka_unit_test(a_cell_that_asks_stays),
        cmocka_unit_test(the_keys_refused_most_are_found_among_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
