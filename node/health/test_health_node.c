/* One node's side: operators' words, reloads, traffic, ejections, and what it lacks itself. */
#include "health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "weir/alloc.h"

#include "test_health_farm.h"

static int in_force(struct farm *f, int node, size_t origin)
{
    return (int)origin_state_in_force(f->nodes[node].states[origin]);
}

/* All nodes hear these words from now on; in the order of target, name, url. */
static void say(struct farm *f, const struct word *words, size_t count)
{
    for (int i = 0; i < f->node_count; i++) {
        f->nodes[i].words = (struct words){words, count};
        health_look(f->nodes[i].health);
    }
    step(f);
}

static struct word on_origin(struct farm *f, size_t origin, enum word_kind kind, uint32_t weight)
{
    return (struct word){.target = WORD_ORIGIN,
                         .kind = kind,
                         .name = "app",
                         .url = f->urls[origin],
                         .weight = weight,
                         .author = "alice",
                         .reason = "because"};
}

/* ---- words ---- */

static void words_win_over_verdicts_and_end_when_taken_back(void **state)
{
    struct farm *f = farm_open(3, 3);
    struct word words[4] = {on_origin(f, 0, WORD_DISABLE, 0), on_origin(f, 1, WORD_UP, 0),
                            on_origin(f, 1, WORD_WEIGHT, 7), on_origin(f, 2, WORD_DRAIN, 0)};
    struct health_view v;

    (void)state;
    run(f, 5000);
    f->dead[1] = true;
    assert_true(until_all(f, 1, ORIGIN_DOWN, 5000) >= 0);
    say(f, words, 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(in_force(f, i, 0), ORIGIN_DISABLED);
        assert_int_equal(in_force(f, i, 1), ORIGIN_UP);
        assert_int_equal(in_force(f, i, 2), ORIGIN_DRAIN);
        assert_int_equal(atomic_load(&f->nodes[i].states[1]->weight), 7);
    }
    v = view_of(f, 0, 1);
    assert_int_equal(v.verdict, ORIGIN_DOWN);
    assert_int_equal(v.in_force, ORIGIN_UP);
    assert_string_equal(v.why, "operator");
    assert_string_equal(v.word->author, "alice");
    assert_int_equal(v.weight, 7);
    assert_int_equal(v.weight_configured, 1);
    assert_int_equal(v.weight_word->kind, WORD_WEIGHT);
    assert_in_range(v.since_ms, 0, 200);
    run(f, 3000); /* probes go on meanwhile */
    assert_int_equal(view_of(f, 0, 0).votes_up, 3);
    say(f, NULL, 0);
    assert_int_equal(in_force(f, 0, 0), ORIGIN_UP);
    assert_int_equal(in_force(f, 0, 1), ORIGIN_DOWN);
    assert_int_equal(in_force(f, 0, 2), ORIGIN_UP);
    assert_int_equal(view_of(f, 0, 1).weight, 1);
    assert_null(view_of(f, 0, 1).word);
    farm_close(f);
}

static void maintenance_is_for_all_origins_of_the_upstream_whatever_was_said_of_one(void **state)
{
    struct farm *f = farm_open(1, 3);
    struct word words[2] = {on_origin(f, 1, WORD_UP, 0),
                            {.target = WORD_UPSTREAM,
                             .kind = WORD_MAINTENANCE,
                             .name = "app",
                             .url = "",
                             .author = "bob",
                             .reason = "moving"}};
    struct health_totals t;

    (void)state;
    run(f, 3000);
    say(f, words, 2);
    for (size_t o = 0; o < 3; o++) {
        assert_int_equal(in_force(f, 0, o), ORIGIN_DISABLED);
        assert_int_equal(view_of(f, 0, o).word->kind, WORD_MAINTENANCE);
    }
    health_totals(f->nodes[0].health, &t);
    assert_int_equal(t.panics, 0);
    words[1].name = "application"; /* another's */
    say(f, words, 2);
    assert_int_equal(in_force(f, 0, 0), ORIGIN_UP);
    farm_close(f);
}

static void without_checks_all_is_up_nobody_asks_and_words_apply(void **state)
{
    struct farm *f = farm_open(0, 2);
    struct word word;

    (void)state;
    f->settings.health.kind = HEALTH_KIND_OFF;
    node_start(f, 0, NULL);
    word = on_origin(f, 1, WORD_DISABLE, 0);
    run(f, 20000);
    assert_int_equal(f->probes, 0);
    assert_int_equal(f->loop.timers, 0);
    assert_false(view_of(f, 0, 0).checked);
    assert_string_equal(view_of(f, 0, 0).why, "not checked");
    say(f, &word, 1);
    assert_int_equal(in_force(f, 0, 1), ORIGIN_DISABLED);
    atomic_store(&f->nodes[0].states[0]->out_until_us, f->now_ms * 1000 + 5000000);
    assert_true(view_of(f, 0, 0).ejected);
    assert_true(view_of(f, 0, 0).panic); /* the one that is left is ejected */
    farm_close(f);
}

/* ---- reloads ---- */

static bool reload(struct farm *f, int node)
{
    make_site(f, &f->nodes[node]);
    return health_watch(f->nodes[node].health, &f->nodes[node].site, NULL);
}

static void a_reload_keeps_what_is_known_and_the_phase(void **state)
{
    struct farm *f = farm_open(1, 4);
    uint64_t before;

    (void)state;
    run(f, 5000);
    f->dead[2] = true;
    assert_true(until_all(f, 2, ORIGIN_DOWN, 5000) >= 0);
    before = f->probes;
    for (int i = 0; i < 40; i++) { /* twice a second */
        const char *votes;

        assert_true(reload(f, 0));
        assert_int_equal(health_votes(f->nodes[0].health, &votes), votes_bytes(4));
        step(f);
        assert_int_equal(verdict_at(f, 0, 2), ORIGIN_DOWN);
        assert_int_equal(view_of(f, 0, 2).own, HEALTH_VOTE_DOWN);
        assert_string_equal(view_of(f, 0, 1).why, "1 of 1 vote");
        run(f, 450);
    }
    assert_in_range(f->probes - before, 36, 44); /* 4 origins, 20 s */
    farm_close(f);
}

static void a_changed_check_begins_anew_and_the_verdict_stands_until_it_has_its_own(void **state)
{
    struct farm *f = farm_open(1, 2);
    uint64_t old;

    (void)state;
    run(f, 5000);
    f->dead[0] = true;
    assert_true(until_all(f, 0, ORIGIN_DOWN, 5000) >= 0);
    old = f->nodes[0].health->items[0]->check->id;
    f->settings.health.port = 8081;
    f->dead[0] = false;
    assert_true(reload(f, 0));
    assert_true(f->nodes[0].health->items[0]->check->id != old);
    step(f);
    assert_int_equal(verdict_at(f, 0, 0), ORIGIN_DOWN);
    assert_int_equal(view_of(f, 0, 0).own, HEALTH_NONE);
    assert_in_range(until_all(f, 0, ORIGIN_UP, 10000), 1, 3000);
    farm_close(f);
}

static void without_its_check_an_origin_is_up_again(void **state)
{
    struct farm *f = farm_open(1, 2);

    (void)state;
    run(f, 5000);
    f->dead[0] = true;
    assert_true(until_all(f, 0, ORIGIN_DOWN, 5000) >= 0);
    f->settings.health.kind = HEALTH_KIND_OFF;
    assert_true(reload(f, 0));
    assert_int_equal(verdict_at(f, 0, 0), ORIGIN_UP);
    step(f);
    assert_int_equal(f->loop.timers, 0);
    farm_close(f);
}

static void what_a_reload_drops_is_asked_no_more_and_its_vote_is_gone(void **state)
{
    struct farm *f = farm_open(1, 5);
    const char *votes;
    uint64_t before;

    (void)state;
    run(f, 5000);
    assert_int_equal(health_votes(f->nodes[0].health, &votes), votes_bytes(5));
    f->settings.origin_count = 2;
    assert_true(reload(f, 0));
    step(f);
    before = f->probes_of[4];
    run(f, 5000);
    assert_int_equal(f->probes_of[4], before);
    assert_int_equal(health_votes(f->nodes[0].health, &votes), votes_bytes(2));
    f->settings.origin_count = 5; /* and comes back */
    assert_true(reload(f, 0));
    run(f, 5000);
    assert_true(f->probes_of[4] > before);
    farm_close(f);
}

static void a_probe_that_is_cancelled_is_no_failure(void **state)
{
    struct farm *f = farm_open(1, 2);

    (void)state;
    run(f, 5000);
    f->silent[0] = true; /* each probe would take a second to fail, and never gets it */
    for (int i = 0; i < 100; i++) {
        assert_true(reload(f, 0));
        run(f, 300);
    }
    assert_int_equal(view_of(f, 0, 0).probes_failed, 0);
    assert_int_equal(view_of(f, 0, 0).own, HEALTH_NONE); /* but nobody has said anything for long */
    assert_int_equal(verdict_at(f, 0, 0), ORIGIN_UNKNOWN);
    farm_close(f); /* with probes under way */
}

/* ---- traffic ---- */

static void requests_pass(struct farm *f, int node, size_t origin, unsigned count, int64_t ms)
{
    for (int64_t t = 0; t < ms; t += 1000) {
        for (unsigned i = 0; i < count; i++)
            outlier_success(f->nodes[node].states[origin], f->now_ms * 1000);
        run(f, 1000);
    }
}

static void requests_that_are_answered_are_proof_but_the_check_is_asked_now_and_then(void **state)
{
    struct farm *f = farm_open(1, 2);
    struct health_totals t;
    uint64_t before;

    (void)state;
    run(f, 5000);
    before = f->probes_of[0];
    requests_pass(f, 0, 0, 3, 40000);                /* 6 in an interval */
    assert_in_range(f->probes_of[0] - before, 4, 5); /* of 20 */
    assert_int_equal(view_of(f, 0, 0).own, HEALTH_VOTE_UP);
    health_totals(f->nodes[0].health, &t);
    assert_in_range(t.probes_skipped, 15, 17);
    before = f->probes_of[0];
    requests_pass(f, 0, 0, 2, 20000); /* 4: too few */
    assert_in_range(f->probes_of[0] - before, 9, 11);
    farm_close(f);
}

static void one_that_fails_is_no_proof_and_hides_nothing(void **state)
{
    struct farm *f = farm_open(1, 2);

    (void)state;
    run(f, 5000);
    f->dead[0] = true; /* for new connections; old ones still answer */
    for (int64_t t = 0; t < 20000; t += 1000)
        requests_pass(f, 0, 0, 10, 1000);
    assert_int_equal(verdict_at(f, 0, 0), ORIGIN_DOWN);
    run(f, 3000);
    f->dead[0] = false;
    requests_pass(f, 0, 0, 10, 5000); /* down is taken back by probes alone */
    assert_int_equal(verdict_at(f, 0, 0), ORIGIN_UP);
    farm_close(f);
}

static void failing_requests_make_a_prober_look_at_once(void **state)
{
    struct farm *f = farm_open(1, 1);
    int64_t from;

    (void)state;
    f->settings.health.interval_ms = 30000;
    assert_true(reload(f, 0));
    run(f, 35000);
    f->dead[0] = true;
    from = f->now_ms;
    for (int i = 0; i < 3; i++)
        outlier_failure(&f->settings, f->nodes[0].states, 0, f->now_ms * 1000, f->now_ms * 1000,
                        true);
    assert_in_range(until_all(f, 0, ORIGIN_DOWN, 60000), 1, 2200);
    assert_true(f->now_ms - from < 3000);
    farm_close(f);
}

static void what_is_ejected_here_is_asked_here_by_whoever_it_is(void **state)
{
    struct farm *f = farm_open(10, 4);
    int bystander = -1;
    uint64_t before;

    (void)state;
    run(f, 8000);
    for (int i = 0; i < 10; i++)
        if (!view_of(f, i, 0).prober)
            bystander = i;
    before = view_of(f, bystander, 0).probes;
    assert_false(view_of(f, bystander, 0).probed);
    for (int i = 0; i < 5; i++)
        outlier_failure(&f->settings, f->nodes[bystander].states, 0, f->now_ms * 1000,
                        f->now_ms * 1000, false);
    run(f, 1500);
    assert_true(view_of(f, bystander, 0).probes > before);
    assert_int_equal(verdict_at(f, bystander, 0), ORIGIN_UP); /* it answers: the ejection decides */
    assert_true(view_of(f, bystander, 0).ejected);
    run(f, 20000);
    assert_false(view_of(f, bystander, 0).probed);
    assert_int_equal(count_nodes(f, 0, ORIGIN_UP), 10);
    farm_close(f);
}

/* ---- what the node lacks ---- */

static void what_this_node_lacks_is_no_vote(void **state)
{
    struct farm *f = farm_open(3, 3);

    (void)state;
    run(f, 8000);
    f->local[1] = HEALTH_R_LOCAL; /* no descriptors */
    run(f, 30000);
    for (size_t o = 0; o < 3; o++) {
        assert_int_equal(count_nodes(f, o, ORIGIN_UP), 3);
        assert_int_equal(view_of(f, 1, o).own, HEALTH_NONE);
        assert_int_equal(view_of(f, 0, o).votes_up, 2);
    }
    assert_false(health_suspects_self(f->nodes[1].health));
    f->local[1] = HEALTH_R_NONE;
    run(f, 5000);
    assert_int_equal(view_of(f, 0, 0).votes_up, 3);
    farm_close(f);
}

#ifdef WEIR_FAULTS
static void without_memory_a_new_site_changes_nothing(void **state)
{
    struct farm *f = farm_open(1, 3);
    bool done = false;

    (void)state;
    run(f, 5000);
    f->dead[0] = true;
    assert_true(until_all(f, 0, ORIGIN_DOWN, 5000) >= 0);
    f->settings.health.port = 99;
    for (unsigned long n = 1; !done; n++) {
        struct weir_err err = {0};

        make_site(f, &f->nodes[0]);
        weir_alloc_fail_at(n);
        done = health_watch(f->nodes[0].health, &f->nodes[0].site, &err);
        assert_true(done || err.code == WEIR_E_MEMORY);
        assert_true(!done || !weir_alloc_failed());
        weir_alloc_fail_at(0);
        assert_int_equal(verdict_at(f, 0, 0), ORIGIN_DOWN);
        assert_int_equal(view_of(f, 0, 0).own, done ? HEALTH_NONE : HEALTH_VOTE_DOWN);
    }
    run(f, 5000);
    assert_int_equal(view_of(f, 0, 0).own, HEALTH_VOTE_DOWN);
    farm_close(f);
}

static void without_memory_for_members_all_stands(void **state)
{
    struct farm *f = farm_open(2, 3);

    (void)state;
    run(f, 5000);
    for (int i = 2; i < 40; i++) {
        node_start(f, i, NULL);
        weir_alloc_fail_at(1);
        step(f);
        weir_alloc_fail_at(0);
    }
    run(f, 15000);
    for (size_t o = 0; o < 3; o++)
        assert_int_equal(count_nodes(f, o, ORIGIN_UP), 40);
    farm_close(f);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_win_over_verdicts_and_end_when_taken_back),
        cmocka_unit_test(maintenance_is_for_all_origins_of_the_upstream_whatever_was_said_of_one),
        cmocka_unit_test(without_checks_all_is_up_nobody_asks_and_words_apply),
        cmocka_unit_test(a_reload_keeps_what_is_known_and_the_phase),
        cmocka_unit_test(a_changed_check_begins_anew_and_the_verdict_stands_until_it_has_its_own),
        cmocka_unit_test(without_its_check_an_origin_is_up_again),
        cmocka_unit_test(what_a_reload_drops_is_asked_no_more_and_its_vote_is_gone),
        cmocka_unit_test(a_probe_that_is_cancelled_is_no_failure),
        cmocka_unit_test(requests_that_are_answered_are_proof_but_the_check_is_asked_now_and_then),
        cmocka_unit_test(one_that_fails_is_no_proof_and_hides_nothing),
        cmocka_unit_test(failing_requests_make_a_prober_look_at_once),
        cmocka_unit_test(what_is_ejected_here_is_asked_here_by_whoever_it_is),
        cmocka_unit_test(what_this_node_lacks_is_no_vote),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_a_new_site_changes_nothing),
        cmocka_unit_test(without_memory_for_members_all_stands),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
