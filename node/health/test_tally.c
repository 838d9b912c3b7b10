#include "tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define RISE 2
#define FALL 3

/* u: answered, t: traffic, d: refused, l: this node's own trouble. The votes after each, as U, D
 * or -; a small letter where the tally is changing. */
static void follow(const char *results, const char *votes)
{
    struct tally t = {0};

    for (size_t i = 0; results[i] != '\0'; i++) {
        const enum health_reason r = results[i] == 'u'   ? HEALTH_R_ANSWERED
                                     : results[i] == 't' ? HEALTH_R_TRAFFIC
                                     : results[i] == 'd' ? HEALTH_R_REFUSED
                                                         : HEALTH_R_LOCAL;
        const enum health_vote before = t.vote;
        const bool changed = tally_add(&t, r, RISE, FALL);
        const char now = t.vote == HEALTH_NONE ? '-' : t.vote == HEALTH_VOTE_UP ? 'U' : 'D';

        assert_int_equal(changed, t.vote != before);
        assert_int_equal(votes[i] == '-' || votes[i] == '+' ? '-' : votes[i] & ~0x20, now);
        assert_int_equal(votes[i] == '+' || (votes[i] & 0x20 && votes[i] > 'Z'),
                         tally_changing(&t));
    }
}

static void a_vote_takes_as_many_results_in_a_row_as_are_asked_for(void **state)
{
    (void)state;
    follow("uuddduu", "+UuuDdU");
}

static void the_first_vote_is_earned_too(void **state)
{
    (void)state;
    follow("ddd", "++D");
    follow("dud", "+++");
}

static void one_that_does_not_fit_begins_the_row_anew(void **state)
{
    (void)state;
    follow("uuddudduddd", "+UuuUuuUuuD");
    follow("dddudud", "++DdDdD");
}

static void what_this_node_lacks_says_nothing(void **state)
{
    (void)state;
    follow("uulldlldld", "+UUUuuuuuD");
    follow("lll", "---");
}

static void traffic_is_a_success(void **state)
{
    struct tally t = {0};

    (void)state;
    follow("tt", "+U");
    tally_add(&t, HEALTH_R_TRAFFIC, 1, FALL);
    assert_int_equal(t.vote, HEALTH_VOTE_UP);
    assert_int_equal(t.reason, HEALTH_R_TRAFFIC);
}

static void the_count_stops_instead_of_wrapping(void **state)
{
    struct tally t = {0};

    (void)state;
    for (unsigned i = 0; i < 70000; i++)
        tally_add(&t, HEALTH_R_ANSWERED, RISE, FALL);
    assert_int_equal(t.run, UINT16_MAX);
    assert_false(tally_changing(&t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vote_takes_as_many_results_in_a_row_as_are_asked_for),
        cmocka_unit_test(the_first_vote_is_earned_too),
        cmocka_unit_test(one_that_does_not_fit_begins_the_row_anew),
        cmocka_unit_test(what_this_node_lacks_says_nothing),
        cmocka_unit_test(traffic_is_a_success),
        cmocka_unit_test(the_count_stops_instead_of_wrapping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
