#include "purge_journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weir/alloc.h"

static struct purge_pending pending(uint64_t hash, enum purge_mode mode, int64_t time_s)
{
    return (struct purge_pending){
        .record = {.scope = PURGE_TAG, .mode = mode, .hash = hash, .time_s = time_s},
        .ahead = {1, 0},
    };
}

static void several_for_the_same_are_one_that_purges_as_much(void **state)
{
    struct purge_pending soft = pending(1, PURGE_SOFT, 5), hard = pending(1, PURGE_HARD, 9), out;
    struct purge_journal j;

    (void)state;
    purge_journal_init(&j, 10);
    hard.ahead[0] = 0;
    hard.ahead[1] = 2;
    assert_true(purge_journal_add(&j, &soft) && purge_journal_add(&j, &hard));
    assert_int_equal(j.count, 1);
    assert_true(purge_journal_take(&j, &out));
    assert_int_equal(out.record.mode, PURGE_HARD);
    assert_int_equal(out.record.time_s, 5);
    assert_int_equal(out.ahead[0], 1);
    assert_int_equal(out.ahead[1], 2);
    assert_false(purge_journal_take(&j, &out));
    purge_journal_free(&j);
}

static void others_are_kept_apart(void **state)
{
    struct purge_pending a = pending(1, PURGE_SOFT, 5), b = a, c = a;
    struct purge_journal j;

    (void)state;
    purge_journal_init(&j, 10);
    b.record.scope = PURGE_HOST;
    c.record.hash = 2;
    assert_true(purge_journal_add(&j, &a) && purge_journal_add(&j, &b) &&
                purge_journal_add(&j, &c));
    assert_int_equal(j.count, 3);
    purge_journal_free(&j);
}

static void everything_comes_out_that_went_in_and_not_more_than_fits(void **state)
{
    enum { MAX = 1000 };
    static unsigned char seen[MAX + 1];
    struct purge_pending p, out;
    struct purge_journal j;

    (void)state;
    purge_journal_init(&j, MAX);
    for (unsigned i = 0; i < MAX; i++) {
        p = pending((uint64_t)i << 20, PURGE_SOFT, 1);
        assert_true(purge_journal_add(&j, &p));
    }
    p = pending((uint64_t)MAX << 20, PURGE_SOFT, 1);
    assert_false(purge_journal_add(&j, &p));
    p = pending(0, PURGE_HARD, 1);
    assert_true(purge_journal_add(&j, &p)); /* is there already */
    while (purge_journal_take(&j, &out))
        seen[out.record.hash >> 20]++;
    for (unsigned i = 0; i < MAX; i++)
        assert_int_equal(seen[i], 1);
    purge_journal_free(&j);
}

static void only_what_is_appended_again_goes_when_it_is_seen(void **state)
{
    struct purge_pending mine = pending(1, PURGE_HARD, 5), lost = pending(2, PURGE_HARD, 5), out;
    struct purge_record soft;
    struct purge_journal j;

    (void)state;
    purge_journal_init(&j, 10);
    lost.again = true;
    assert_true(purge_journal_add(&j, &mine) && purge_journal_add(&j, &lost));
    soft = lost.record;
    soft.mode = PURGE_SOFT;
    assert_false(purge_journal_seen(&j, &mine.record, &out));
    assert_false(purge_journal_seen(&j, &soft, &out));
    assert_true(purge_journal_seen(&j, &lost.record, &out));
    assert_false(purge_journal_seen(&j, &lost.record, &out));
    assert_int_equal(j.count, 1);
    lost.again = true;
    assert_true(purge_journal_add(&j, &lost));
    lost.again = false; /* and now somebody wants it */
    assert_true(purge_journal_add(&j, &lost));
    assert_false(purge_journal_seen(&j, &lost.record, &out));
    purge_journal_free(&j);
}

#ifdef WEIR_FAULTS
static void without_memory_it_says_so_and_keeps_what_it_has(void **state)
{
    struct purge_pending p, out;
    struct purge_journal j;
    size_t kept = 0, n = 0;

    (void)state;
    purge_journal_init(&j, 1000);
    for (uint64_t i = 1; i <= 500; i++) {
        p = pending(i * 77, PURGE_SOFT, 1);
        weir_alloc_fail_at(1 + i % 2);
        kept += purge_journal_add(&j, &p);
        weir_alloc_fail_at(0);
    }
    while (purge_journal_take(&j, &out))
        n++;
    assert_int_equal(n, kept);
    assert_true(kept < 500);
    purge_journal_free(&j);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_for_the_same_are_one_that_purges_as_much),
        cmocka_unit_test(others_are_kept_apart),
        cmocka_unit_test(everything_comes_out_that_went_in_and_not_more_than_fits),
        cmocka_unit_test(only_what_is_appended_again_goes_when_it_is_seen),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_it_says_so_and_keeps_what_it_has),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
