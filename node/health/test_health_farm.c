/* A farm of nodes: what becomes of the verdicts when origins, networks, Redis and nodes fail. */
#include "health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_health_farm.h"

/* 2 s to the next probe, two more 500 ms apart, each up to a tick late, and the word to the others.
 */
#define DEATH_MS 3300

static int probers_of(struct farm *f, size_t origin)
{
    int count = 0;

    for (int i = 0; i < f->node_count; i++)
        if (f->nodes[i].runs)
            count += view_of(f, i, origin).prober;
    return count;
}

static void three_nodes_probe_each_origin_and_all_agree_whom(void **state)
{
    struct farm *f = farm_open(10, 20);
    uint64_t before;

    (void)state;
    run(f, 6000);
    for (size_t o = 0; o < 20; o++) {
        assert_int_equal(probers_of(f, o), 3);
        assert_int_equal(view_of(f, 4, o).votes_up, 3);
        assert_string_equal(view_of(f, 4, o).why, "3 of 3 votes");
    }
    before = f->probes;
    run(f, 20000);
    /* 3 probers, 2 s, 20 origins: 30 a second */
    assert_in_range(f->probes - before, 570, 610);
    farm_close(f);
}

static void an_origin_that_dies_is_down_for_all_within_three_seconds(void **state)
{
    struct farm *f = farm_open(5, 10);
    int64_t worst = 0;

    (void)state;
    run(f, 8000);
    for (int round = 0; round < 60; round++) {
        const size_t o = (size_t)round % 10;
        int64_t took;

        f->dead[o] = true;
        took = until_all(f, o, ORIGIN_DOWN, 10000);
        assert_in_range(took, 1, DEATH_MS);
        worst = took > worst ? took : worst;
        assert_int_equal(view_of(f, 0, o).reason, HEALTH_R_REFUSED);
        assert_in_range(view_of(f, 0, o).votes_down, 2, 3);
        assert_int_equal(count_nodes(f, (o + 1) % 10, ORIGIN_UP), 5);
        f->dead[o] = false;
        assert_in_range(until_all(f, o, ORIGIN_UP, 10000), 1, DEATH_MS);
        run(f, 170 + round * 37);
        for (int i = 0; i < 5; i++) /* not what this test is about */
            f->nodes[i].health->items[o]->flaps.penalty = 0;
    }
    print_message("worst of 60 deaths: %d ms\n", (int)worst);
    for (int i = 0; i < 5; i++)
        assert_false(health_suspects_self(f->nodes[i].health));
    farm_close(f);
}

static void a_node_cut_from_one_origin_routes_around_it_and_nobody_else_does(void **state)
{
    struct farm *f = farm_open(5, 10);

    (void)state;
    run(f, 8000);
    for (int n = 0; n < 5; n++) { /* whether it is the origin's prober or not */
        const bool prober = view_of(f, n, 3).prober;

        f->cut[n][3] = true;
        for (int k = 0; k < 5 && !prober; k++) /* then its requests find out */
            outlier_failure(&f->settings, f->nodes[n].states, 3, f->now_ms * 1000, f->now_ms * 1000,
                            false);
        run(f, 15000);
        assert_int_equal(verdict_at(f, n, 3), ORIGIN_DOWN);
        assert_string_equal(view_of(f, n, 3).why, "down from here");
        assert_int_equal(view_of(f, n, 3).verdict, ORIGIN_UP);
        assert_int_equal(count_nodes(f, 3, ORIGIN_DOWN), 1);
        assert_false(health_suspects_self(f->nodes[n].health));
        f->cut[n][3] = false;
        assert_true(until_all(f, 3, ORIGIN_UP, 8000) >= 0);
        run(f, 8000);
        f->nodes[n].health->items[3]->flaps.penalty = 0;
        atomic_store(&f->nodes[n].states[3]->out_until_us, 1);
    }
    farm_close(f);
}

static void a_node_cut_from_all_suspects_itself_and_the_origins_stay_up(void **state)
{
    struct farm *f = farm_open(5, 20);
    const int64_t from = f->now_ms;

    (void)state;
    run(f, 8000);
    for (size_t o = 0; o < 20; o++)
        f->cut[2][o] = true;
    while (!health_suspects_self(f->nodes[2].health) && f->now_ms - from < 60000) {
        step(f);
        for (size_t o = 0; o < 20; o++)
            assert_true(count_nodes(f, o, ORIGIN_DOWN) <= 1);
    }
    assert_true(health_suspects_self(f->nodes[2].health));
    assert_in_range(f->now_ms - from, 0, 8000 + 20000);
    run(f, 20000);
    assert_true(health_suspects_self(f->nodes[2].health));
    for (size_t o = 0; o < 20; o++) {
        assert_true(count_nodes(f, o, ORIGIN_UP) >= 4);
        assert_int_equal(probers_of(f, o), 3); /* others have taken over */
        assert_false(view_of(f, 2, o).prober);
    }
    for (size_t o = 0; o < 20; o++)
        f->cut[2][o] = false;
    run(f, 12000);
    assert_false(health_suspects_self(f->nodes[2].health));
    for (size_t o = 0; o < 20; o++)
        assert_int_equal(count_nodes(f, o, ORIGIN_UP), 5);
    farm_close(f);
}

static void the_only_origin_gone_for_one_node_is_that_nodes_fault(void **state)
{
    struct farm *f = farm_open(3, 1);

    (void)state;
    run(f, 8000);
    f->cut[1][0] = true;
    run(f, 20000);
    assert_true(health_suspects_self(f->nodes[1].health));
    assert_int_equal(count_nodes(f, 0, ORIGIN_UP), 2);
    f->cut[1][0] = false;
    f->dead[0] = true; /* gone for all: nobody's fault */
    assert_in_range(until_all(f, 0, ORIGIN_DOWN, 20000), 0, 15000);
    run(f, 30000);
    for (int i = 0; i < 3; i++)
        assert_false(health_suspects_self(f->nodes[i].health));
    farm_close(f);
}

static void all_origins_dead_is_nobodys_own_fault(void **state)
{
    struct farm *f = farm_open(5, 10);

    (void)state;
    run(f, 8000);
    for (size_t o = 0; o < 10; o++)
        f->silent[o] = true; /* the slowest way to go */
    for (int ms = 0; ms < 40000; ms += STEP_MS) {
        step(f);
        for (int i = 0; i < 5; i++)
            assert_false(health_suspects_self(f->nodes[i].health));
    }
    for (size_t o = 0; o < 10; o++)
        assert_int_equal(count_nodes(f, o, ORIGIN_DOWN), 5);
    farm_close(f);
}

/* Redis is gone for a minute for all: each for himself, more slowly the more there are. */
static void without_the_channel_everybody_probes_a_little_and_comes_back_in_order(void **state)
{
    struct farm *f = farm_open(50, 5);
    uint64_t before;

    (void)state;
    run(f, 10000);
    f->dead[4] = true;
    assert_true(until_all(f, 4, ORIGIN_DOWN, 5000) >= 0);
    for (int i = 0; i < 50; i++)
        f->nodes[i].cut = true;
    run(f, 10000);
    before = f->probes;
    for (int ms = 0; ms < 50000; ms += STEP_MS) {
        step(f);
        for (size_t o = 0; o < 4; o++)
            assert_int_equal(count_nodes(f, o, ORIGIN_DOWN), 0);
        assert_int_equal(count_nodes(f, 4, ORIGIN_UP), 0);
    }
    for (int i = 0; i < 50; i++)
        assert_true(health_autonomous(f->nodes[i].health));
    /* 50 nodes, each every 10 s: 5 a second of each origin, 25 of all */
    assert_in_range(f->probes - before, 1000, 1300);
    f->dead[3] = true; /* found by each in his own time */
    assert_in_range(until_all(f, 3, ORIGIN_DOWN, 60000), 1, 45000);
    for (int i = 0; i < 50; i++)
        f->nodes[i].cut = false;
    for (int ms = 0; ms < 30000; ms += STEP_MS) {
        step(f);
        for (size_t o = 0; o < 5; o++)
            assert_int_equal(count_nodes(f, o, o < 3 ? ORIGIN_UP : ORIGIN_DOWN), 50);
    }
    for (int i = 0; i < 50; i++)
        assert_false(health_autonomous(f->nodes[i].health));
    before = f->probes;
    run(f, 20000);
    assert_in_range(f->probes - before, 140, 160); /* 7.5 a second again */
    farm_close(f);
}

static void one_node_without_the_channel_does_not_disturb_the_others(void **state)
{
    struct farm *f = farm_open(4, 6);

    (void)state;
    run(f, 8000);
    f->nodes[1].cut = true;
    for (int ms = 0; ms < 60000; ms += STEP_MS) {
        step(f);
        for (size_t o = 0; o < 6; o++)
            assert_int_equal(count_nodes(f, o, ORIGIN_UP), 4);
    }
    assert_true(health_autonomous(f->nodes[1].health));
    f->dead[2] = true;
    assert_in_range(until_all(f, 2, ORIGIN_DOWN, 10000), 1, DEATH_MS + 1000);
    f->nodes[1].cut = false;
    run(f, 15000);
    assert_int_equal(count_nodes(f, 2, ORIGIN_DOWN), 4);
    farm_close(f);
}

static void flapping_at_1_hz_does_not_make_the_verdict_flap(void **state)
{
    struct farm *f = farm_open(5, 4);
    uint64_t changes = 0;
    struct health_totals t;

    (void)state;
    run(f, 8000);
    f->flaps_ms[1] = 500; /* up and down within a second */
    run(f, 120000);
    for (int i = 0; i < 5; i++) {
        health_totals(f->nodes[i].health, &t);
        changes = t.verdict_changes > changes ? t.verdict_changes : changes;
        assert_false(health_suspects_self(f->nodes[i].health));
    }
    assert_in_range(changes, 0, 12);
    f->flaps_ms[1] = 0;
    run(f, 200000); /* forgiven */
    assert_int_equal(count_nodes(f, 1, ORIGIN_UP), 5);
    assert_false(view_of(f, 0, 1).flapping);
    farm_close(f);
}

static void what_goes_down_again_and_again_stays_out_for_a_while(void **state)
{
    struct farm *f = farm_open(3, 4);
    struct health_view v;

    (void)state;
    run(f, 8000);
    for (int round = 0; round < 4; round++) {
        f->dead[0] = true;
        assert_true(until_all(f, 0, ORIGIN_DOWN, 5000) >= 0);
        f->dead[0] = false;
        run(f, 5000);
    }
    v = view_of(f, 1, 0);
    assert_true(v.flapping);
    assert_int_equal(v.verdict, ORIGIN_UP); /* that is what the votes say */
    assert_int_equal(v.in_force, ORIGIN_DOWN);
    assert_string_equal(v.why, "flapping");
    assert_true(v.penalty > 3000);
    assert_in_range(until_all(f, 0, ORIGIN_UP, 300000), 60000, 180000);
    assert_false(view_of(f, 1, 0).flapping);
    farm_close(f);
}

static void wall_clocks_do_not_matter(void **state)
{
    struct farm *f = farm_open(3, 4);

    (void)state;
    run(f, 8000);
    f->loop.clock.wall_ms -= 3600 * 1000;
    f->loop.clock.wall_s -= 3600;
    run(f, 8000);
    for (size_t o = 0; o < 4; o++)
        assert_int_equal(count_nodes(f, o, ORIGIN_UP), 3);
    f->dead[1] = true;
    assert_in_range(until_all(f, 1, ORIGIN_DOWN, 10000), 1, DEATH_MS);
    farm_close(f);
}

static void a_hundred_nodes_that_join_within_a_second_make_no_burst(void **state)
{
    struct farm *f = farm_open(0, 20);
    uint64_t before;

    (void)state;
    for (int i = 0; i < 100; i++) {
        node_start(f, i, NULL);
        if (i % 5 == 4)
            step(f);
    }
    f->most_in_a_second = 0;
    run(f, 10000);
    /* probers change while they join; afterwards three of them every two seconds */
    assert_in_range(f->most_in_a_second, 1, 12);
    for (size_t o = 0; o < 20; o++) {
        assert_int_equal(count_nodes(f, o, ORIGIN_UP), 100);
        assert_int_equal(view_of(f, 7, o).votes_up, 3);
    }
    f->most_in_a_second = 0;
    before = f->probes;
    run(f, 10000);
    assert_in_range(f->most_in_a_second, 1, 3);
    assert_in_range(f->probes - before, 285, 315);
    f->dead[5] = true;
    assert_in_range(until_all(f, 5, ORIGIN_DOWN, 10000), 1, DEATH_MS);
    farm_close(f);
}

static void killed_probers_are_replaced_and_no_verdict_moves(void **state)
{
    struct farm *f = farm_open(6, 6);

    (void)state;
    run(f, 8000);
    f->dead[2] = true;
    assert_true(until_all(f, 2, ORIGIN_DOWN, 5000) >= 0);
    for (int i = 0, killed = 0; i < 6 && killed < 2; i++)
        if (view_of(f, i, 2).prober) {
            node_kill(&f->nodes[i]);
            killed++;
        }
    for (int ms = 0; ms < 30000; ms += STEP_MS) {
        step(f);
        for (size_t o = 0; o < 6; o++)
            assert_int_equal(count_nodes(f, o, o == 2 ? ORIGIN_DOWN : ORIGIN_UP), 4);
    }
    assert_int_equal(probers_of(f, 2), 3);
    f->dead[2] = false;
    assert_in_range(until_all(f, 2, ORIGIN_UP, 10000), 1, DEATH_MS);
    farm_close(f);
}

static void a_node_that_restarts_knows_at_once_what_is_down(void **state)
{
    struct farm *f = farm_open(4, 4);

    (void)state;
    run(f, 8000);
    f->dead[1] = true;
    assert_true(until_all(f, 1, ORIGIN_DOWN, 5000) >= 0);
    run(f, 3000); /* so that all three say so */
    node_kill(&f->nodes[0]);
    node_start(f, 0, NULL);
    run(f, 300);
    assert_int_equal(verdict_at(f, 0, 1), ORIGIN_DOWN);
    assert_int_equal(verdict_at(f, 0, 2), ORIGIN_UP);
    run(f, 10000);
    assert_int_equal(count_nodes(f, 1, ORIGIN_DOWN), 4);
    farm_close(f);
}

static void twins_do_no_harm(void **state)
{
    struct farm *f = farm_open(3, 6);

    (void)state;
    node_start(f, 3, "node-1");
    run(f, 10000);
    for (size_t o = 0; o < 6; o++) {
        assert_int_equal(count_nodes(f, o, ORIGIN_UP), 4);
        assert_int_equal(probers_of(f, o), 3);
    }
    f->dead[4] = true;
    assert_in_range(until_all(f, 4, ORIGIN_DOWN, 10000), 1, DEATH_MS);
    node_kill(&f->nodes[3]);
    run(f, 12000);
    assert_int_equal(count_nodes(f, 4, ORIGIN_DOWN), 3);
    farm_close(f);
}

/* A node of another version, or one gone mad: its votes are none, and the others carry on. */
static void votes_that_make_no_sense_are_no_votes(void **state)
{
    struct farm *f = farm_open(4, 6);

    (void)state;
    run(f, 8000);
    f->nodes[2].garbage = true;
    run(f, 20000);
    for (size_t o = 0; o < 6; o++) {
        assert_true(view_of(f, 0, o).votes_up >= 2);
        assert_int_equal(count_nodes(f, o, ORIGIN_UP), 4);
    }
    f->dead[0] = true;
    assert_in_range(until_all(f, 0, ORIGIN_DOWN, 10000), 1, DEATH_MS + 500);
    farm_close(f);
}

/* Two of three say down, but have been silent since, or are no probers. */
static void old_votes_and_those_of_bystanders_do_not_count(void **state)
{
    struct farm *f = farm_open(5, 2);
    int bystander = -1;

    (void)state;
    run(f, 8000);
    for (int i = 0; i < 5; i++)
        if (!view_of(f, i, 0).prober)
            bystander = i;
    assert_true(bystander >= 0);
    for (int i = 0; i < 5; i++) { /* a bystander that says what it was not asked */
        struct said *s = &f->board[bystander];
        const struct vote v = {f->nodes[0].health->by_id[0]->check->id, HEALTH_VOTE_DOWN,
                               HEALTH_R_REFUSED, 9};

        votes_put(&v, 0, s->votes);
        s->votes_len = (uint32_t)votes_bytes(1);
        step(f);
        assert_int_equal(count_nodes(f, 0, ORIGIN_UP), 5);
        assert_int_equal(view_of(f, (bystander + 1) % 5, 0).votes_down, 0);
    }
    farm_close(f);
}

static void where_too_few_vote_the_verdict_is_held_then_each_sees_for_itself(void **state)
{
    struct farm *f = farm_open(3, 2);

    (void)state;
    run(f, 8000);
    f->dead[0] = true;
    assert_true(until_all(f, 0, ORIGIN_DOWN, 5000) >= 0);
    f->nodes[1].garbage = f->nodes[2].garbage = true; /* one vote is left */
    run(f, 11000);
    assert_int_equal(verdict_at(f, 0, 0), ORIGIN_DOWN);
    assert_true(view_of(f, 0, 0).held);
    run(f, 4000);
    assert_false(view_of(f, 0, 0).held);
    assert_string_equal(view_of(f, 0, 1).why, "too few votes");
    assert_int_equal(view_of(f, 0, 1).verdict, ORIGIN_UNKNOWN);
    assert_int_equal(verdict_at(f, 0, 0), ORIGIN_DOWN); /* from here */
    assert_string_equal(view_of(f, 0, 0).why, "down from here");
    f->dead[0] = false;
    run(f, 5000);
    assert_int_equal(verdict_at(f, 0, 0), ORIGIN_UNKNOWN);
    farm_close(f);
}

static void a_node_alone_and_a_farm_of_two_judge_too(void **state)
{
    (void)state;
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct farm *f = farm_open(nodes, 3);

        run(f, 5000);
        assert_int_equal(probers_of(f, 0), nodes);
        f->dead[0] = true;
        assert_in_range(until_all(f, 0, ORIGIN_DOWN, 10000), 1, DEATH_MS);
        run(f, 30000);
        assert_int_equal(count_nodes(f, 0, ORIGIN_DOWN), nodes);
        assert_int_equal(count_nodes(f, 1, ORIGIN_UP), nodes);
        for (int i = 0; i < nodes; i++)
            assert_false(health_suspects_self(f->nodes[i].health));
        f->dead[0] = false;
        assert_in_range(until_all(f, 0, ORIGIN_UP, 10000), 1, DEATH_MS);
        farm_close(f);
    }
}

/* Of two that disagree neither is believed: the one that sees it down routes around it. */
static void in_a_farm_of_two_one_alone_takes_nothing_down(void **state)
{
    struct farm *f = farm_open(2, 4);

    (void)state;
    run(f, 5000);
    f->cut[0][1] = true;
    run(f, 30000);
    assert_int_equal(verdict_at(f, 0, 1), ORIGIN_DOWN);
    assert_int_equal(verdict_at(f, 1, 1), ORIGIN_UP);
    assert_int_equal(view_of(f, 1, 1).votes_down, 1);
    farm_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_nodes_probe_each_origin_and_all_agree_whom),
        cmocka_unit_test(an_origin_that_dies_is_down_for_all_within_three_seconds),
        cmocka_unit_test(a_node_cut_from_one_origin_routes_around_it_and_nobody_else_does),
        cmocka_unit_test(a_node_cut_from_all_suspects_itself_and_the_origins_stay_up),
        cmocka_unit_test(the_only_origin_gone_for_one_node_is_that_nodes_fault),
        cmocka_unit_test(all_origins_dead_is_nobodys_own_fault),
        cmocka_unit_test(without_the_channel_everybody_probes_a_little_and_comes_back_in_order),
        cmocka_unit_test(one_node_without_the_channel_does_not_disturb_the_others),
        cmocka_unit_test(flapping_at_1_hz_does_not_make_the_verdict_flap),
        cmocka_unit_test(what_goes_down_again_and_again_stays_out_for_a_while),
        cmocka_unit_test(wall_clocks_do_not_matter),
        cmocka_unit_test(a_hundred_nodes_that_join_within_a_second_make_no_burst),
        cmocka_unit_test(killed_probers_are_replaced_and_no_verdict_moves),
        cmocka_unit_test(a_node_that_restarts_knows_at_once_what_is_down),
        cmocka_unit_test(twins_do_no_harm),
        cmocka_unit_test(votes_that_make_no_sense_are_no_votes),
        cmocka_unit_test(old_votes_and_those_of_bystanders_do_not_count),
        cmocka_unit_test(where_too_few_vote_the_verdict_is_held_then_each_sees_for_itself),
        cmocka_unit_test(a_node_alone_and_a_farm_of_two_judge_too),
        cmocka_unit_test(in_a_farm_of_two_one_alone_takes_nothing_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
