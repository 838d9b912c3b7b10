/* Members on one thread: many nodes, one engine, the test's clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "members_own.h"
#include "test_crowd.h"
#include "weir/record.h"

#define NODES 4

struct person {
    struct crowd_node *node;
    struct members *m;
    unsigned changes, lefts;
    char record[64];
    bool free_itself;
};

struct scene {
    struct crowd *crowd;
    struct person *person;
    size_t count;
};

static void on_changed(void *arg)
{
    struct person *p = arg;

    p->changes++;
    if (p->free_itself) {
        members_free(p->m);
        p->m = NULL;
        p->node->turn = NULL;
    }
}

static void on_left(void *arg)
{
    struct person *p = arg;

    p->lefts++;
}

static size_t write_record(void *arg, char *out, size_t cap)
{
    const struct person *p = arg;
    size_t len = strlen(p->record);

    assert_true(len <= cap);
    memcpy(out, p->record, len);
    return len;
}

static void turn(struct crowd_node *n)
{
    struct person *p = n->owner;

    if (p->m != NULL)
        members_turn(p->m);
}

static struct members_options options(struct scene *s, size_t i, const char *id,
                                      uint64_t incarnation)
{
    struct person *p = &s->person[i];

    return (struct members_options){.port = p->node->port,
                                    .loop = &p->node->loop,
                                    .key = &s->crowd->key,
                                    .farm = CROWD_FARM,
                                    .id = id,
                                    .incarnation = incarnation,
                                    .record = write_record,
                                    .changed = on_changed,
                                    .arg = p};
}

static void open_node(struct scene *s, size_t i)
{
    struct person *p = &s->person[i];

    p->node = crowd_open(s->crowd, i);
    p->node->owner = p;
    p->node->turn = turn;
}

/* Without time passing. */
static struct members *join_as(struct scene *s, size_t i, const char *id, uint64_t incarnation)
{
    struct members_options o;

    open_node(s, i);
    o = options(s, i, id, incarnation);
    s->person[i].m = members_new(&o, NULL);
    assert_non_null(s->person[i].m);
    crowd_run(s->crowd);
    return s->person[i].m;
}

static struct members *join(struct scene *s, size_t i)
{
    char id[16];

    snprintf(id, sizeof id, "n%03zu", i);
    return join_as(s, i, id, i + 1);
}

/* As by kill -9. */
static void die(struct scene *s, size_t i)
{
    members_free(s->person[i].m);
    s->person[i].m = NULL;
    crowd_close(s->person[i].node);
}

static struct scene *scene_new(size_t count)
{
    struct scene *s = calloc(1, sizeof *s);

    s->crowd = crowd_new(count);
    s->person = calloc(count, sizeof *s->person);
    s->count = count;
    return s;
}

static void scene_free(struct scene *s)
{
    for (size_t i = 0; i < s->count; i++)
        members_free(s->person[i].m);
    crowd_free(s->crowd);
    free(s->person);
    free(s);
}

static int setup(void **state)
{
    *state = scene_new(NODES);
    return 0;
}

static int teardown(void **state)
{
    scene_free(*state);
    return 0;
}

static const struct member *find(struct members *m, const char *id, uint64_t incarnation)
{
    const struct member *list;
    size_t n = members_list(m, &list);

    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].id, id) == 0 && list[i].incarnation == incarnation)
            return &list[i];
    return NULL;
}

static size_t listed(struct members *m)
{
    const struct member *list;

    return members_list(m, &list);
}

static struct members_state state_of(struct members *m)
{
    struct members_state st;

    members_state(m, &st);
    return st;
}

static void say(struct members *m, uint32_t flags, uint64_t purges, const char *votes, bool at_once)
{
    const struct member_brief b = {.flags = flags, .purges = purges, .votes = weir_span_str(votes)};

    assert_true(members_say(m, &b, at_once));
}

/* ---- joining ---- */

static void a_node_alone_is_a_member_at_once(void **state)
{
    struct scene *s = *state;
    struct members *m = join(s, 0);
    const struct member *list;

    assert_int_equal(members_list(m, &list), 1);
    assert_true(list[0].self);
    assert_string_equal(list[0].id, "n000");
    assert_int_equal(members_live(m), 1);
    assert_true(state_of(m).current);
    crowd_pass(s->crowd, 60000);
    assert_int_equal(listed(m), 1);
    assert_false(state_of(m).lost);
    assert_in_range(s->crowd->puts, 27, 34);
}

static void without_a_farm_nothing_is_written_or_read(void **state)
{
    struct scene *s = *state;
    struct members *m;

    s->crowd->ops.farm = false;
    m = join(s, 0);
    assert_true(state_of(m).current);
    say(m, MEMBER_READY, 0, "votes", true);
    crowd_pass(s->crowd, 60000);
    assert_int_equal(s->crowd->puts + s->crowd->reads, 0);
    assert_false(event_pending(m->timer, EV_TIMEOUT, NULL));
    assert_true(state_of(m).current);
    assert_int_equal(state_of(m).contact_ms, 0);
    assert_int_equal(listed(m), 1);
}

static void a_list_begins_with_oneself_and_goes_on_by_id(void **state)
{
    struct scene *s = *state;
    const struct member *list;

    join_as(s, 0, "b", 1);
    join_as(s, 1, "c", 2);
    join_as(s, 2, "a", 3);
    crowd_pass(s->crowd, 2300);
    assert_int_equal(members_list(s->person[0].m, &list), 3);
    assert_string_equal(list[0].id, "b");
    assert_string_equal(list[1].id, "a");
    assert_string_equal(list[2].id, "c");
    assert_true(list[0].self && !list[1].self && !list[2].self);
    assert_int_equal(members_live(s->person[1].m), 3);
    assert_true(s->person[0].changes > 0);
}

static void an_id_that_is_none_is_refused(void **state)
{
    struct scene *s = *state;
    struct members_options o;
    struct weir_err err = {0};

    open_node(s, 0);
    o = options(s, 0, "a/b", 1);
    assert_null(members_new(&o, &err));
    assert_int_equal(err.code, WEIR_E_INTERNAL);
    o = options(s, 0, "a", 0);
    assert_null(members_new(&o, &err));
}

static void a_hundred_that_join_in_one_second_all_see_each_other(void **state)
{
    enum { MANY = 100 };
    struct scene *s = scene_new(MANY);

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        join(s, i);
        crowd_pass(s->crowd, 10);
    }
    crowd_pass(s->crowd, 2300);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(listed(s->person[i].m), MANY);
    scene_free(s);
}

/* ---- saying ---- */

static void what_is_said_at_once_is_heard_without_time_passing(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *b = join(s, 1);
    const struct member *m;
    size_t reads;

    crowd_pass(s->crowd, 5000);
    reads = s->crowd->reads;
    say(a, MEMBER_READY, 77, "votes", true);
    crowd_run(s->crowd);
    m = find(b, "n000", 1);
    assert_non_null(m);
    assert_int_equal(m->brief.flags, MEMBER_READY);
    assert_int_equal(m->brief.purges, 77);
    assert_true(weir_span_eq(m->brief.votes, WEIR_SPAN_LIT("votes")));
    assert_int_equal(s->crowd->reads, reads); /* the hint carried it */
    assert_true(weir_span_eq(find(a, "n000", 1)->brief.votes, WEIR_SPAN_LIT("votes")));
}

static void what_is_too_much_for_a_hint_is_read_at_once(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *b = join(s, 1);
    struct member_brief large = {.flags = MEMBER_READY};
    char *votes = calloc(1, MEMBER_VOTES_MAX + 1);

    crowd_pass(s->crowd, 5000);
    memset(votes, 'v', MEMBER_VOTES_MAX + 1);
    large.votes = weir_span(votes, MEMBER_VOTES_MAX + 1);
    assert_false(members_say(a, &large, true));
    large.votes.len = MEMBER_VOTES_MAX;
    assert_true(members_say(a, &large, true));
    crowd_pass(s->crowd, 60);
    assert_int_equal(find(b, "n000", 1)->brief.votes.len, MEMBER_VOTES_MAX);
    free(votes);
}

static void what_is_not_urgent_goes_with_the_next_beat(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *b = join(s, 1);

    crowd_pass(s->crowd, 5000);
    say(a, MEMBER_READY, 0, "", false);
    crowd_run(s->crowd);
    assert_int_equal(find(b, "n000", 1)->brief.flags, 0);
    crowd_pass(s->crowd, 4300);
    assert_int_equal(find(b, "n000", 1)->brief.flags, MEMBER_READY);
}

static void several_sayings_of_a_turn_are_one_beat_and_more_than_twenty_a_second_wait(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *b;
    size_t puts;

    b = join(s, 1);
    crowd_pass(s->crowd, 5000);
    puts = s->crowd->puts;
    for (uint64_t i = 1; i <= 10; i++)
        say(a, 0, i, "", true);
    crowd_run(s->crowd);
    assert_int_equal(s->crowd->puts, puts + 1);
    assert_int_equal(find(b, "n000", 1)->brief.purges, 10);
    puts = s->crowd->puts;
    for (uint64_t i = 11; i <= 110; i++) {
        say(a, 0, i, "", true);
        crowd_pass(s->crowd, 10);
    }
    assert_in_range(s->crowd->puts - puts, 15, 23); /* a second; two regular beats at most */
    crowd_pass(s->crowd, 60);
    assert_int_equal(find(b, "n000", 1)->brief.purges, 110);
}

static void only_what_says_something_new_is_a_change(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0);
    unsigned changes;

    join(s, 1);
    crowd_pass(s->crowd, 5000);
    changes = s->person[1].changes;
    crowd_pass(s->crowd, 20000);
    assert_int_equal(s->person[1].changes, changes);
    say(a, MEMBER_DRAINING, 0, "", true);
    crowd_run(s->crowd);
    assert_int_equal(s->person[1].changes, changes + 1);
}

/* ---- going ---- */

static void who_leaves_is_gone_at_once_and_does_not_come_back(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *b = join(s, 1);
    struct members *c = join(s, 2);

    crowd_pass(s->crowd, 5000);
    members_leave(a, on_left, &s->person[0]);
    assert_int_equal(s->person[0].lefts, 0); /* never from inside */
    crowd_run(s->crowd);
    assert_int_equal(s->person[0].lefts, 1);
    assert_int_equal(listed(b), 2);
    assert_int_equal(members_live(c), 2);
    for (int i = 0; i < 10; i++) {
        crowd_pass(s->crowd, 1000);
        assert_int_equal(listed(b), 2);
    }
    assert_int_equal(s->person[0].lefts, 1);
}

static void who_leaves_while_nobody_answers_is_told_in_time(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0);

    crowd_pass(s->crowd, 3000);
    s->person[0].node->gone = true;
    members_leave(a, on_left, &s->person[0]);
    crowd_pass(s->crowd, 500);
    assert_int_equal(s->person[0].lefts, 1);
    crowd_pass(s->crowd, 1000);
    assert_int_equal(s->person[0].lefts, 1);
}

static void who_leaves_without_a_farm_is_told_at_once(void **state)
{
    struct scene *s = *state;
    struct members *m;

    s->crowd->ops.farm = false;
    m = join(s, 0);
    members_leave(m, on_left, &s->person[0]);
    assert_int_equal(s->person[0].lefts, 0); /* never from inside */
    crowd_run(s->crowd);
    assert_int_equal(s->person[0].lefts, 1);
    crowd_pass(s->crowd, 1000);
    assert_int_equal(s->person[0].lefts, 1);
}

static void who_falls_silent_is_gone_after_six_seconds(void **state)
{
    struct scene *s = *state;
    struct members *b = join(s, 1);

    join(s, 0);
    crowd_pass(s->crowd, 5000);
    die(s, 0);
    crowd_pass(s->crowd, 3500);
    assert_int_equal(listed(b), 2);
    crowd_pass(s->crowd, 4700); /* 6 s after the last beat, and a read */
    assert_int_equal(listed(b), 1);
    assert_int_equal(members_live(b), 1);
}

/* ---- restarts and twins ---- */

static void a_restart_is_a_new_member_and_no_twin(void **state)
{
    struct scene *s = *state;
    struct members *b = join(s, 1), *again;

    join_as(s, 0, "node", 10);
    crowd_pass(s->crowd, 5000);
    die(s, 0);
    again = join_as(s, 0, "node", 11);
    for (int i = 0; i < 12; i++) {
        crowd_pass(s->crowd, 1000);
        assert_non_null(find(b, "node", 11));
        assert_false(find(b, "node", 11)->twin);
        assert_false(find(again, "node", 11)->twin);
        assert_true(find(b, "node", 10) == NULL || !find(b, "node", 10)->twin);
    }
    assert_null(find(b, "node", 10));
}

static void two_with_one_id_are_twins_until_one_goes(void **state)
{
    struct scene *s = *state;
    struct members *b = join(s, 1), *one = join_as(s, 0, "node", 10), *two;

    crowd_pass(s->crowd, 5000);
    two = join_as(s, 2, "node", 11);
    crowd_pass(s->crowd, 5000);
    assert_int_equal(listed(b), 3);
    assert_true(find(b, "node", 10)->twin && find(b, "node", 11)->twin);
    assert_true(find(one, "node", 10)->twin && find(one, "node", 11)->twin);
    assert_true(find(two, "node", 10)->twin && find(two, "node", 11)->twin);
    assert_false(find(b, "n001", 2)->twin);
    die(s, 0);
    crowd_pass(s->crowd, 9000);
    assert_false(find(b, "node", 11)->twin);
    assert_false(find(two, "node", 11)->twin);
}

/* ---- what is not to be believed ---- */

struct forger {
    struct shared_call call;
    struct crowd_node *node;
    bool done;
};

static void on_forged(struct shared_call *c)
{
    ((struct forger *)(void *)c)->done = true;
}

static const struct shared_board board = {.key = WEIR_SPAN_LIT("w1:{N." CROWD_FARM "}:b"),
                                          .channel = WEIR_SPAN_LIT("w1:{N." CROWD_FARM "}:ch")};

/* Puts any bytes onto the board, and says any hint. */
static void forge(struct scene *s, struct crowd_node *n, struct weir_span entry,
                  struct weir_span bytes, struct weir_span hint)
{
    struct forger f = {.call = {.done = on_forged, .timeout_ms = 100, .area = SHARED_STATE}};
    const struct shared_post post = {.id = entry, .bytes = bytes, .ttl_ms = 60000};

    shared_board_put(n->port, &f.call, &board, &post, 1, hint);
    while (!f.done)
        event_base_loop(s->crowd->base, EVLOOP_ONCE);
    assert_int_equal(f.call.result, SHARED_OK);
    crowd_run(s->crowd);
}

/* What a member would put, sealed for `place`. */
static struct weir_span sealed_then(struct scene *s, const char *place, uint64_t sequence,
                                    uint64_t shared_ms, bool critical, char buf[1024])
{
    const struct member_said said = {.format = 1,
                                     .sequence = sequence,
                                     .shared_ms = shared_ms,
                                     .brief = {.flags = MEMBER_READY}};
    struct record_fields fs = {0};
    struct weir_span bytes;

    member_brief_write(&fs, &said);
    if (critical)
        record_add(&fs, 0x02ff | RECORD_CRITICAL, WEIR_SPAN_LIT("new"));
    bytes = record_fields_span(&fs);
    assert_true(weir_seal(&s->crowd->key, "member", weir_span_str(place), bytes, buf));
    record_fields_free(&fs);
    return weir_span(buf, bytes.len + WEIR_SEAL_BYTES);
}

static struct weir_span sealed_brief(struct scene *s, const char *place, uint64_t sequence,
                                     bool critical, char buf[1024])
{
    return sealed_then(s, place, sequence, 0, critical, buf);
}

static void forged_entries_and_hints_mean_nothing_and_are_counted(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0);
    char buf[1024], hint[SHARED_HINT_MAX];
    struct weir_span sealed;
    uint64_t forged;

    crowd_pass(s->crowd, 3000);
    forge(s, s->person[0].node, WEIR_SPAN_LIT("evil/0000000000000001"), WEIR_SPAN_LIT("anything"),
          WEIR_SPAN_LIT("l"));
    crowd_pass(s->crowd, 100);
    assert_true(state_of(a).forged > 0);
    assert_int_equal(listed(a), 1);
    /* a seal for another place */
    forged = state_of(a).forged;
    sealed = sealed_brief(s, "good/0000000000000001", 5, false, buf);
    forge(s, s->person[0].node, WEIR_SPAN_LIT("evil/0000000000000001"), sealed,
          member_hint_write(WEIR_SPAN_LIT("evil/0000000000000002"), sealed, hint));
    assert_int_equal(state_of(a).forged, forged + 1);
    crowd_pass(s->crowd, 3000);
    assert_int_equal(listed(a), 1);
}

static void a_member_cannot_be_spoken_for(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *b = join(s, 1);
    char hint[SHARED_HINT_MAX], buf[1024];
    uint64_t forged;

    crowd_pass(s->crowd, 3000);
    say(b, MEMBER_READY, 9, "", true);
    crowd_run(s->crowd);
    forged = state_of(a).forged;
    memset(buf, 'x', sizeof buf);
    forge(s, s->person[0].node, WEIR_SPAN_LIT("x/0000000000000009"), WEIR_SPAN_LIT(""),
          member_hint_write(WEIR_SPAN_LIT("n001/0000000000000002"), weir_span(buf, 100), hint));
    assert_int_equal(state_of(a).forged, forged + 1);
    assert_int_equal(find(a, "n001", 2)->brief.purges, 9);
}

static void what_is_shown_again_is_stale(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0);
    char one[1024], two[1024], hint[SHARED_HINT_MAX];
    struct weir_span place = WEIR_SPAN_LIT("x/0000000000000001"), old, young;

    old = sealed_brief(s, place.ptr, 5, false, one);
    young = sealed_brief(s, place.ptr, 6, false, two);
    forge(s, s->person[0].node, place, young, WEIR_SPAN_LIT("l"));
    crowd_pass(s->crowd, 100);
    assert_int_equal(find(a, "x", 1)->sequence, 6);
    forge(s, s->person[0].node, place, old, member_hint_write(place, old, hint));
    assert_int_equal(find(a, "x", 1)->sequence, 6);
    assert_int_equal(state_of(a).stale, 1); /* the hint */
    crowd_pass(s->crowd, 2100);
    assert_int_equal(state_of(a).stale, 2); /* the entry */
    assert_int_equal(find(a, "x", 1)->sequence, 6);
}

static void bytes_that_are_put_again_and_again_keep_nobody_alive(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0);
    struct weir_span place = WEIR_SPAN_LIT("x/0000000000000001"), sealed;
    char buf[1024], hint[SHARED_HINT_MAX];

    sealed = sealed_brief(s, place.ptr, 5, false, buf);
    for (int i = 0; i < 10; i++) {
        forge(s, s->person[0].node, place, sealed, member_hint_write(place, sealed, hint));
        crowd_pass(s->crowd, 1000);
        assert_true(i > 3 || listed(a) == 2);
    }
    assert_int_equal(listed(a), 1);
}

static void what_was_recorded_and_is_played_back_later_makes_nobody_live(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0);
    struct weir_span place = WEIR_SPAN_LIT("x/0000000000000001");
    uint64_t then;
    char buf[1024];

    crowd_pass(s->crowd, 3000);
    then = (uint64_t)s->crowd->shared_ms;
    forge(s, s->person[0].node, place, sealed_then(s, place.ptr, 5, then, false, buf),
          WEIR_SPAN_LIT("l"));
    crowd_pass(s->crowd, 2200);
    assert_int_equal(listed(a), 2); /* it is new */
    crowd_pass(s->crowd, 70000);
    for (uint64_t i = 6; i < 12; i++) {
        forge(s, s->person[0].node, place, sealed_then(s, place.ptr, i, then, false, buf),
              WEIR_SPAN_LIT("l"));
        crowd_pass(s->crowd, 1000);
        assert_int_equal(listed(a), 1);
    }
    assert_true(state_of(a).stale > 0);
}

static void a_shared_clock_that_jumps_takes_nobody_out(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *b = join(s, 1);

    crowd_pass(s->crowd, 7000);
    for (int i = 0; i < 4; i++) {
        s->crowd->shared_ms += i % 2 == 0 ? 3600000 : -3600000;
        for (int step = 0; step < 100; step++) {
            crowd_pass(s->crowd, 100);
            assert_int_equal(listed(a), 2);
            assert_int_equal(listed(b), 2);
        }
    }
}

static void a_hint_alone_makes_nobody_live(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0);
    struct weir_span place = WEIR_SPAN_LIT("x/0000000000000001"), sealed;
    char buf[1024], hint[SHARED_HINT_MAX];

    crowd_pass(s->crowd, 1000);
    sealed = sealed_brief(s, place.ptr, 5, false, buf);
    forge(s, s->person[0].node, WEIR_SPAN_LIT("n000/0000000000000001"), WEIR_SPAN_LIT(""),
          member_hint_write(place, sealed, hint));
    crowd_pass(s->crowd, 500);
    assert_int_equal(listed(a), 1);
}

static void what_cannot_be_read_here_is_foreign(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0);
    struct weir_span place = WEIR_SPAN_LIT("x/0000000000000001"), no = WEIR_SPAN_LIT("no entry");
    char buf[1024];

    crowd_pass(s->crowd, 1000);
    forge(s, s->person[0].node, place, sealed_brief(s, place.ptr, 5, true, buf),
          WEIR_SPAN_LIT("l"));
    crowd_pass(s->crowd, 100);
    assert_true(state_of(a).foreign > 0);
    assert_int_equal(state_of(a).forged, 0);
    forge(s, s->person[0].node, no, sealed_brief(s, no.ptr, 5, false, buf), WEIR_SPAN_LIT("?"));
    crowd_pass(s->crowd, 3000);
    assert_true(state_of(a).foreign > 2);
    assert_int_equal(listed(a), 1);
}

/* ---- without Redis ---- */

static void who_cannot_read_goes_on_alone_and_comes_back(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *b = join(s, 1);
    unsigned changes;

    join(s, 2);
    crowd_pass(s->crowd, 8000);
    assert_int_equal(listed(a), 3);
    changes = s->person[0].changes;
    s->person[0].node->gone = true;
    crowd_pass(s->crowd, 3900);
    assert_false(state_of(a).lost);
    assert_int_equal(listed(a), 3);
    crowd_pass(s->crowd, 4200);
    assert_true(state_of(a).lost);
    assert_int_equal(listed(a), 1);
    assert_int_equal(members_live(a), 3); /* shares go by that */
    assert_int_equal(state_of(a).last_live, 3);
    assert_int_equal(s->person[0].changes, changes + 1);
    assert_int_equal(listed(b), 2); /* it does not beat any more */
    crowd_pass(s->crowd, 60000);
    s->person[0].node->gone = false;
    crowd_pass(s->crowd, 4200);
    assert_true(state_of(a).current && !state_of(a).lost);
    assert_int_equal(listed(a), 3);
    assert_int_equal(listed(b), 3);
}

static void who_never_could_read_is_lost_after_three_beats(void **state)
{
    struct scene *s = *state;
    struct members *a;

    join(s, 1);
    a = join(s, 0);
    members_free(a);
    s->person[0].m = NULL;
    crowd_close(s->person[0].node);
    open_node(s, 0);
    s->person[0].node->gone = true;
    {
        struct members_options o = options(s, 0, "late", 9);

        a = s->person[0].m = members_new(&o, NULL);
    }
    crowd_pass(s->crowd, 3000);
    assert_false(state_of(a).lost);
    assert_false(state_of(a).current);
    assert_int_equal(state_of(a).contact_ms, -1);
    crowd_pass(s->crowd, 5100);
    assert_true(state_of(a).lost);
    assert_int_equal(members_live(a), 1);
    s->person[0].node->gone = false;
    crowd_pass(s->crowd, 4200);
    assert_true(state_of(a).current);
    assert_int_equal(listed(a), 2);
}

static void what_was_said_while_nobody_answered_is_told_later(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *b = join(s, 1);

    crowd_pass(s->crowd, 5000);
    s->person[0].node->gone = true;
    say(a, MEMBER_SUSPECT, 0, "", true);
    crowd_pass(s->crowd, 1000);
    assert_int_equal(find(b, "n000", 1)->brief.flags, 0);
    s->person[0].node->gone = false;
    crowd_pass(s->crowd, 2200);
    assert_int_equal(find(b, "n000", 1)->brief.flags, MEMBER_SUSPECT);
}

static void a_board_that_was_emptied_takes_nobody_out(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0);
    struct forger f = {.call = {.done = on_forged, .timeout_ms = 100, .area = SHARED_STATE}};

    join(s, 1);
    join(s, 2);
    crowd_pass(s->crowd, 7000);
    shared_remove(s->person[0].node->port, &f.call, board.key);
    crowd_run(s->crowd);
    assert_true(f.done);
    for (int i = 0; i < 80; i++) {
        crowd_pass(s->crowd, 100);
        assert_int_equal(listed(a), 3);
    }
}

/* ---- clocks ---- */

static void a_clock_that_is_set_back_changes_nothing_but_what_is_reported(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *b = join(s, 1);
    unsigned changes;

    crowd_pass(s->crowd, 8000);
    assert_in_range(state_of(a).skew_ms + 100, 0, 200);
    changes = s->person[1].changes;
    s->person[0].node->clock.wall_ms -= 3600000;
    for (int i = 0; i < 20; i++) {
        crowd_pass(s->crowd, 1000);
        assert_int_equal(listed(a), 2);
        assert_int_equal(listed(b), 2);
    }
    assert_int_equal(s->person[1].changes, changes);
    assert_in_range(state_of(a).skew_ms + 3600000 + 100, 0, 200);
    s->person[0].node->clock.wall_ms += 3600000;
    crowd_pass(s->crowd, 3000);
    assert_in_range(state_of(a).skew_ms + 100, 0, 200);
}

static void a_host_that_stood_still_for_a_minute_is_not_lost(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0);

    join(s, 1);
    crowd_pass(s->crowd, 5000);
    s->person[0].node->clock.mono_ms += 10; /* nothing happened here while others went on */
    s->person[0].node->turn = NULL;
    s->person[0].node->gone = true;
    crowd_pass(s->crowd, 1000);
    s->person[0].node->gone = false;
    s->person[0].node->turn = turn;
    crowd_pass(s->crowd, 100);
    assert_false(state_of(a).lost);
    assert_int_equal(listed(a), 2);
}

/* ---- the record ---- */

static void a_record_is_read_as_it_was_written_last(void **state)
{
    struct scene *s = *state;
    struct forger f = {.call = {.done = on_forged, .timeout_ms = 100, .area = SHARED_STATE}};
    struct members *b;
    struct weir_span json;

    strcpy(s->person[0].record, "{\"id\":\"n000\"}");
    join(s, 0);
    b = join(s, 1);
    crowd_pass(s->crowd, 25000); /* longer than it lives if it is not put again */
    members_record(b, &f.call, "n000", 1);
    crowd_run(s->crowd);
    assert_true(f.done);
    assert_true(members_record_json(b, &f.call, "n000", 1, &json));
    assert_true(weir_span_eq(json, WEIR_SPAN_LIT("{\"id\":\"n000\"}")));
    assert_false(members_record_json(b, &f.call, "n000", 2, &json)); /* it is another's */
    shared_call_clear(&f.call);
    strcpy(s->person[0].record, "{\"id\":\"n000\",\"ready\":true}");
    crowd_pass(s->crowd, 2200);
    f.done = false;
    members_record(b, &f.call, "n000", 1);
    crowd_run(s->crowd);
    assert_true(members_record_json(b, &f.call, "n000", 1, &json));
    assert_int_equal(json.len, strlen(s->person[0].record));
    shared_call_clear(&f.call);
    f.done = false;
    members_record(b, &f.call, "nobody", 1);
    crowd_run(s->crowd);
    assert_false(members_record_json(b, &f.call, "nobody", 1, &json));
}

/* ---- watching, freeing ---- */

static void a_watcher_sees_all_and_is_seen_by_nobody(void **state)
{
    struct scene *s = *state;
    struct members *a = join(s, 0), *w;
    struct members_options o;
    size_t puts;

    join(s, 1);
    crowd_pass(s->crowd, 3000);
    open_node(s, 2);
    o = options(s, 2, NULL, 0);
    w = s->person[2].m = members_watch(&o, NULL);
    assert_non_null(w);
    assert_int_equal(listed(w), 0);
    puts = s->crowd->puts;
    crowd_run(s->crowd);
    assert_int_equal(listed(w), 2);
    assert_int_equal(members_live(w), 2);
    assert_int_equal(s->crowd->puts, puts);
    crowd_pass(s->crowd, 5000);
    assert_int_equal(listed(a), 2);
}

static void members_may_be_freed_when_they_tell_of_a_change(void **state)
{
    struct scene *s = *state;

    join(s, 0);
    s->person[0].free_itself = true;
    join(s, 1);
    crowd_pass(s->crowd, 3000);
    assert_null(s->person[0].m);
}

static void members_may_be_freed_with_everything_under_way(void **state)
{
    struct scene *s = *state;
    struct members_options o;
    struct members *m;

    open_node(s, 0);
    o = options(s, 0, "a", 1);
    m = members_new(&o, NULL);
    members_free(m);
    m = members_new(&o, NULL);
    members_turn(m); /* asked, not answered */
    members_free(m);
    m = members_new(&o, NULL);
    members_turn(m);
    members_leave(m, on_left, &s->person[0]);
    members_free(m);
    crowd_run(s->crowd);
    assert_int_equal(s->person[0].lefts, 0);
    members_free(NULL);
}

/* ---- without memory ---- */

#ifdef WEIR_FAULTS
/* Two nodes meet, say much, one goes; whatever fails, both have lists that hold together, and what
 * failed comes right with time. */
static bool meet(struct scene *s, unsigned long fail_at)
{
    struct members *a = join(s, 0);
    struct members_options o;
    struct members *b = NULL;
    char votes[3000];
    struct member_brief brief = {.flags = MEMBER_READY, .votes = {votes, sizeof votes}};
    const struct member *list;
    bool failed;

    memset(votes, 'v', sizeof votes);
    crowd_pass(s->crowd, 100);
    open_node(s, 1);
    o = options(s, 1, "b", 2);
    weir_alloc_fail_at(fail_at);
    b = members_new(&o, NULL);
    if (b != NULL) {
        s->person[1].m = b;
        for (int i = 0; i < 50; i++) {
            crowd_pass(s->crowd, 100);
            brief.purges = (uint64_t)i;
            members_say(b, &brief, i % 5 == 0);
            assert_in_range(members_list(a, &list), 1, 2);
            assert_in_range(members_list(b, &list), 1, 2);
        }
    }
    failed = weir_alloc_failed();
    weir_alloc_fail_at(0);
    crowd_pass(s->crowd, 4500);
    if (b == NULL)
        return true;
    assert_int_equal(listed(a), 2);
    assert_int_equal(listed(b), 2);
    assert_int_equal(find(a, "b", 2)->brief.votes.len, sizeof votes);
    return failed;
}

static void memory_that_fails_is_made_up_for(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned long n = 1; failed && n < 2000; n++) {
        struct scene *s = scene_new(2);

        failed = meet(s, n);
        scene_free(s);
        if (n > 60)
            n += n / 8; /* the rest is more of the same */
    }
}
#endif

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_node_alone_is_a_member_at_once),
        T(without_a_farm_nothing_is_written_or_read),
        T(who_leaves_without_a_farm_is_told_at_once),
        T(a_list_begins_with_oneself_and_goes_on_by_id),
        T(an_id_that_is_none_is_refused),
        T(a_hundred_that_join_in_one_second_all_see_each_other),
        T(what_is_said_at_once_is_heard_without_time_passing),
        T(what_is_too_much_for_a_hint_is_read_at_once),
        T(what_is_not_urgent_goes_with_the_next_beat),
        T(several_sayings_of_a_turn_are_one_beat_and_more_than_twenty_a_second_wait),
        T(only_what_says_something_new_is_a_change),
        T(who_leaves_is_gone_at_once_and_does_not_come_back),
        T(who_leaves_while_nobody_answers_is_told_in_time),
        T(who_falls_silent_is_gone_after_six_seconds),
        T(a_restart_is_a_new_member_and_no_twin),
        T(two_with_one_id_are_twins_until_one_goes),
        T(forged_entries_and_hints_mean_nothing_and_are_counted),
        T(a_member_cannot_be_spoken_for),
        T(what_is_shown_again_is_stale),
        T(bytes_that_are_put_again_and_again_keep_nobody_alive),
        T(what_was_recorded_and_is_played_back_later_makes_nobody_live),
        T(a_shared_clock_that_jumps_takes_nobody_out),
        T(a_hint_alone_makes_nobody_live),
        T(what_cannot_be_read_here_is_foreign),
        T(who_cannot_read_goes_on_alone_and_comes_back),
        T(who_never_could_read_is_lost_after_three_beats),
        T(what_was_said_while_nobody_answered_is_told_later),
        T(a_board_that_was_emptied_takes_nobody_out),
        T(a_clock_that_is_set_back_changes_nothing_but_what_is_reported),
        T(a_host_that_stood_still_for_a_minute_is_not_lost),
        T(a_record_is_read_as_it_was_written_last),
        T(a_watcher_sees_all_and_is_seen_by_nobody),
        T(members_may_be_freed_when_they_tell_of_a_change),
        T(members_may_be_freed_with_everything_under_way),
#ifdef WEIR_FAULTS
        T(memory_that_fails_is_made_up_for),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
