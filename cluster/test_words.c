/* Operators' words on one thread: several nodes, one engine, the test's clock, a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test_crowd.h"
#include "weir/record.h"
#include "weir/work.h"
#include "words_file.h"
#include "words_own.h"

#define NODES 3
#define URL   "http://10.0.0.1:3000"
#define HOUR  ((int64_t)3600000)
#define DAY   (24 * HOUR)

struct person {
    struct crowd_node *node;
    struct words *w;
    unsigned changes, told;
    enum words_outcome outcome;
    uint64_t number;
    bool free_itself;
};

struct scene {
    struct crowd *crowd;
    struct person person[NODES];
    char dir[40], file[64], bad[72];
    struct weir_work_pool *pool;
    struct weir_mailbox box;
};

static void on_changed(void *arg)
{
    struct person *p = arg;

    p->changes++;
}

static void on_told(void *arg, enum words_outcome outcome, uint64_t number)
{
    struct person *p = arg;

    p->told++;
    p->outcome = outcome;
    p->number = number;
    if (p->free_itself) {
        words_free(p->w);
        p->w = NULL;
    }
}

static void turn(struct crowd_node *n)
{
    struct person *p = n->owner;

    if (p->w != NULL)
        words_turn(p->w);
}

static struct words *open_with(struct scene *s, size_t i, const char *file, bool gone)
{
    struct person *p = &s->person[i];
    struct words_options o = {.farm = CROWD_FARM,
                              .key = &s->crowd->key,
                              .file = file,
                              .pool = s->pool,
                              .box = &s->box,
                              .seed = i + 1,
                              .changed = on_changed,
                              .arg = p};

    p->node = crowd_open(s->crowd, i);
    p->node->owner = p;
    p->node->turn = turn;
    p->node->gone = gone;
    o.port = p->node->port;
    o.loop = &p->node->loop;
    p->w = words_new(&o, NULL);
    assert_non_null(p->w);
    crowd_run(s->crowd);
    return p->w;
}

static struct words *open_node(struct scene *s, size_t i)
{
    return open_with(s, i, NULL, false);
}

static void close_node(struct scene *s, size_t i)
{
    if (s->person[i].w == NULL)
        return;
    words_free(s->person[i].w);
    s->person[i].w = NULL;
    crowd_close(s->person[i].node);
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    s->crowd = crowd_new(NODES);
    strcpy(s->dir, "/tmp/weir-test-words-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->file, sizeof s->file, "%s/words.json", s->dir);
    snprintf(s->bad, sizeof s->bad, "%s.bad", s->file);
    s->pool = weir_work_pool_new(1, NULL);
    assert_true(weir_mailbox_init(&s->box, NULL));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    for (size_t i = 0; i < NODES; i++)
        close_node(s, i);
    weir_work_pool_free(s->pool);
    weir_mailbox_drain(&s->box);
    weir_mailbox_close(&s->box);
    crowd_free(s->crowd);
    remove(s->file);
    remove(s->bad);
    rmdir(s->dir);
    free(s);
    return 0;
}

/* ---- saying and seeing ---- */

static struct words_say origin(struct person *p, enum word_kind kind, int64_t left_ms)
{
    return (struct words_say){.word = {.target = WORD_ORIGIN,
                                       .kind = kind,
                                       .name = "app",
                                       .url = URL,
                                       .weight = kind == WORD_WEIGHT ? 7 : 0,
                                       .author = "alice",
                                       .reason = "why"},
                              .left_ms = left_ms,
                              .told = on_told,
                              .arg = p};
}

static void say(struct scene *s, size_t i, enum word_kind kind, int64_t left_ms)
{
    struct person *p = &s->person[i];
    struct words_say say_it = origin(p, kind, left_ms);

    p->told = 0;
    assert_true(words_say(p->w, &say_it, NULL));
    assert_int_equal(p->told, 0); /* never from inside */
    crowd_run(s->crowd);
}

static size_t listed(struct words *w)
{
    const struct word *list;

    return words_list(w, &list);
}

static const struct word *only(struct words *w)
{
    const struct word *list;

    assert_int_equal(words_list(w, &list), 1);
    return &list[0];
}

static struct words_state state_of(struct words *w)
{
    struct words_state st;

    words_state(w, &st);
    return st;
}

static const struct shared_board board = {.key = WEIR_SPAN_LIT("w1:{B." CROWD_FARM "}:w"),
                                          .channel = WEIR_SPAN_LIT("w1:{B." CROWD_FARM "}:ch")};

struct asked {
    struct shared_call call;
    bool done;
};

static void on_done(struct shared_call *c)
{
    ((struct asked *)(void *)c)->done = true;
}

/* As by FLUSHALL. */
static void flush(struct scene *s)
{
    struct asked a = {.call = {.done = on_done, .timeout_ms = 100, .area = SHARED_STATE}};
    struct shared_port *p = s->person[s->person[0].w == NULL].node->port;

    shared_remove(p, &a.call, board.key);
    while (!a.done)
        event_base_loop(s->crowd->base, EVLOOP_ONCE);
}

static size_t on_board(struct scene *s)
{
    struct asked a = {.call = {.done = on_done, .timeout_ms = 100, .area = SHARED_STATE}};
    size_t n;

    shared_board_read(s->person[0].node->port, &a.call, &board);
    while (!a.done)
        event_base_loop(s->crowd->base, EVLOOP_ONCE);
    n = a.call.note_count;
    shared_call_clear(&a.call);
    return n;
}

static void put_bytes(struct scene *s, struct weir_span id, struct weir_span bytes)
{
    struct asked a = {.call = {.done = on_done, .timeout_ms = 100, .area = SHARED_STATE}};
    const struct shared_post post = {.id = id, .bytes = bytes};

    shared_board_put(s->person[0].node->port, &a.call, &board, &post, 1, WEIR_SPAN_LIT("l"));
    while (!a.done)
        event_base_loop(s->crowd->base, EVLOOP_ONCE);
    crowd_pass(s->crowd, 100);
}

static void a_word_is_in_force_here_at_once_and_everywhere_soon(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b = open_node(s, 1);
    const struct word *w;
    unsigned changes = s->person[1].changes;

    crowd_pass(s->crowd, 500);
    assert_true(words_settled(a) && words_settled(b));
    say(s, 0, WORD_DRAIN, 0);
    assert_int_equal(s->person[0].told, 1);
    assert_int_equal(s->person[0].outcome, WORDS_SAID);
    assert_int_equal(s->person[0].changes, 1);
    crowd_pass(s->crowd, 60);
    w = only(b);
    assert_int_equal(w->kind, WORD_DRAIN);
    assert_string_equal(w->name, "app");
    assert_string_equal(w->url, URL);
    assert_string_equal(w->author, "alice");
    assert_string_equal(w->reason, "why");
    assert_int_equal(w->until_ms, 0);
    assert_int_equal(w->number, s->person[0].number);
    assert_in_range(w->said_at_s, s->crowd->shared_ms / 1000 - 2, s->crowd->shared_ms / 1000);
    assert_int_equal(s->person[1].changes, changes + 1);
    crowd_pass(s->crowd, 30000);
    assert_int_equal(s->person[1].changes, changes + 1);
    assert_int_equal(state_of(a).restored + state_of(b).restored, 0);
    assert_int_equal(state_of(a).pending, 0);
}

static void a_word_that_no_replica_has_is_unconfirmed(void **state)
{
    struct scene *s = *state;

    open_node(s, 0);
    s->person[0].node->unsure = true;
    say(s, 0, WORD_DRAIN, 0);
    assert_int_equal(s->person[0].outcome, WORDS_UNCONFIRMED);
}

static void of_two_words_the_later_one_holds_and_weights_stand_beside(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b = open_node(s, 1);
    const struct word *list;
    uint64_t first;

    say(s, 0, WORD_DRAIN, 0);
    first = s->person[0].number;
    crowd_pass(s->crowd, 100);
    say(s, 1, WORD_DISABLE, 0);
    say(s, 1, WORD_WEIGHT, 0);
    crowd_pass(s->crowd, 100);
    assert_int_equal(words_list(a, &list), 2);
    assert_int_equal(list[0].kind, WORD_DISABLE);
    assert_true(list[0].number > first);
    assert_int_equal(list[1].kind, WORD_WEIGHT);
    assert_int_equal(list[1].weight, 7);
    assert_int_equal(listed(b), 2);
}

static void taking_back_leaves_nothing_for_a_week(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b = open_node(s, 1);
    struct words_say back = origin(&s->person[0], WORD_NOTHING, 0);

    say(s, 0, WORD_DRAIN, 0);
    say(s, 0, WORD_WEIGHT, 0);
    crowd_pass(s->crowd, 100);
    say(s, 1, WORD_NOTHING, 0);
    crowd_pass(s->crowd, 100);
    assert_int_equal(only(a)->kind, WORD_WEIGHT);
    back.weight_only = true;
    assert_true(words_say(a, &back, NULL));
    crowd_pass(s->crowd, 100);
    assert_int_equal(listed(a) + listed(b), 0);
    assert_int_equal(on_board(s), 2);
    assert_int_equal(a->table.count, 2);
    for (size_t i = 0; i < NODES; i++) { /* a week later */
        s->crowd->nodes[i].clock.mono_ms += WORD_NOTHING_MS;
    }
    s->crowd->shared_ms += WORD_NOTHING_MS;
    crowd_pass(s->crowd, 3000);
    assert_int_equal(a->table.count, 0);
    assert_int_equal(on_board(s), 0);
}

static void a_word_ends_by_itself_everywhere(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b = open_node(s, 1);
    unsigned changes;

    say(s, 0, WORD_DRAIN, 10000);
    crowd_pass(s->crowd, 100);
    assert_in_range(only(b)->until_ms, words_now(b) + 9700, words_now(b) + 10000);
    crowd_pass(s->crowd, 9700);
    assert_int_equal(listed(a) + listed(b), 2);
    changes = s->person[1].changes;
    crowd_pass(s->crowd, 400);
    assert_int_equal(listed(a) + listed(b), 0);
    assert_int_equal(s->person[1].changes, changes + 1);
    crowd_pass(s->crowd, 5000);
    assert_int_equal(on_board(s), 0);
    assert_int_equal(state_of(a).restored + state_of(b).restored, 0);
}

static void an_order_ends_after_an_hour_and_stands_beside_a_state(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0);
    struct words_say order = {.word = {.target = WORD_NODE, .kind = WORD_RELOAD, .name = ""}};
    struct words_say unready = {.word = {.target = WORD_NODE, .kind = WORD_UNREADY, .name = "n1"}};
    const struct word *list;

    assert_true(words_say(a, &order, NULL));
    assert_true(words_say(a, &unready, NULL));
    order.word.name = "n1";
    order.word.kind = WORD_DRAIN;
    assert_true(words_say(a, &order, NULL));
    crowd_pass(s->crowd, 100);
    assert_int_equal(words_list(a, &list), 3);
    assert_string_equal(list[0].name, "");
    assert_in_range(list[0].until_ms, words_now(a) + HOUR - 200, words_now(a) + HOUR);
    assert_int_equal(list[1].kind, WORD_UNREADY);
    assert_int_equal(list[1].until_ms, 0);
    assert_int_equal(list[2].kind, WORD_DRAIN);
}

static void what_makes_no_sense_is_not_said(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0);
    struct words_say w = origin(&s->person[0], WORD_WEIGHT, 0);
    struct weir_err err = {0};

    w.word.weight = 0;
    assert_false(words_say(a, &w, &err));
    assert_int_equal(err.code, WEIR_E_CONFIG);
    assert_string_equal(err.detail, "a weight is 1 to 1000");
    w.word.weight = 5;
    w.left_ms = -1;
    assert_false(words_say(a, &w, NULL));
    crowd_run(s->crowd);
    assert_int_equal(listed(a), 0);
    assert_int_equal(s->person[0].told, 0);
}

static void there_are_only_so_many_words(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0);
    struct words_say w = origin(NULL, WORD_DRAIN, 0);
    struct weir_err err = {0};
    char name[16];

    w.told = NULL;
    w.word.name = name;
    for (int i = 0; i < WORDS_MAX; i++) {
        snprintf(name, sizeof name, "u%d", i);
        assert_true(words_say(a, &w, NULL));
        if (i % 256 == 0)
            crowd_run(s->crowd);
    }
    strcpy(name, "more");
    assert_false(words_say(a, &w, &err));
    assert_int_equal(err.code, WEIR_E_OVERLOAD);
    crowd_pass(s->crowd, 100);
    assert_int_equal(listed(a), WORDS_MAX);
    strcpy(name, "u7"); /* what is known can be said anew */
    assert_true(words_say(a, &w, &err));
}

/* ---- without Redis, and after ---- */

static void a_word_said_while_nobody_answers_is_put_on_the_board_later(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b = open_node(s, 1);

    crowd_pass(s->crowd, 3000);
    s->person[0].node->gone = true;
    say(s, 0, WORD_DRAIN, 0);
    assert_int_equal(s->person[0].outcome, WORDS_HERE_ONLY);
    assert_int_equal(only(a)->kind, WORD_DRAIN);
    assert_int_equal(state_of(a).pending, 1);
    crowd_pass(s->crowd, 10000);
    assert_false(state_of(a).current);
    assert_int_equal(listed(b), 0);
    s->person[0].node->gone = false;
    crowd_pass(s->crowd, 4500);
    assert_int_equal(only(b)->kind, WORD_DRAIN);
    assert_int_equal(state_of(a).pending, 0);
    assert_true(state_of(a).current);
}

static void a_later_word_of_the_others_wins_over_one_that_waited(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b = open_node(s, 1);

    crowd_pass(s->crowd, 3000);
    s->person[0].node->gone = true;
    say(s, 0, WORD_DRAIN, 0);
    crowd_pass(s->crowd, 2000);
    say(s, 1, WORD_DISABLE, 0);
    s->person[0].node->gone = false;
    crowd_pass(s->crowd, 4500);
    assert_int_equal(only(a)->kind, WORD_DISABLE);
    assert_int_equal(only(b)->kind, WORD_DISABLE);
    assert_int_equal(state_of(a).pending, 0);
}

static void a_word_that_waited_replaces_an_older_one(void **state)
{
    struct scene *s = *state;
    struct words *b;

    open_node(s, 0);
    b = open_node(s, 1);
    say(s, 1, WORD_DISABLE, 0);
    crowd_pass(s->crowd, 3000);
    s->person[0].node->gone = true;
    say(s, 0, WORD_DRAIN, 0);
    s->person[0].node->gone = false;
    crowd_pass(s->crowd, 4500);
    assert_int_equal(only(b)->kind, WORD_DRAIN);
}

static void what_the_board_has_lost_is_put_back_once(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b = open_node(s, 1), *c = open_node(s, 2);
    size_t puts;

    say(s, 0, WORD_DRAIN, 3600000);
    say(s, 0, WORD_WEIGHT, 0);
    crowd_pass(s->crowd, 3000);
    say(s, 0, WORD_NOTHING, 0);
    crowd_pass(s->crowd, 3000);
    puts = s->crowd->puts;
    flush(s);
    crowd_pass(s->crowd, 6000);
    assert_int_equal(on_board(s), 2); /* what was taken back, too */
    assert_int_equal(listed(a), 1);
    assert_int_equal(listed(b), 1);
    assert_int_equal(listed(c), 1);
    assert_in_range(state_of(a).restored + state_of(b).restored + state_of(c).restored, 2, 4);
    assert_in_range(s->crowd->puts - puts, 1, 2);
    crowd_pass(s->crowd, 10000);
    assert_in_range(s->crowd->puts - puts, 1, 2);
}

static void a_board_that_went_back_in_time_gets_what_came_later(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b;
    struct weir_span old;
    char id[SHARED_BOARD_ID_MAX + 1];
    struct word_known *k;
    char *copy;

    say(s, 0, WORD_DRAIN, 0);
    k = a->table.known[0];
    word_entry(&k->said, id);
    copy = malloc(k->len);
    memcpy(copy, k->sealed, k->len);
    old = weir_span(copy, k->len);
    crowd_pass(s->crowd, 100);
    say(s, 0, WORD_UP, 0);
    crowd_pass(s->crowd, 100);
    put_bytes(s, weir_span_str(id), old); /* as a failover would, or somebody with bad intent */
    assert_int_equal(only(a)->kind, WORD_UP);
    crowd_pass(s->crowd, 5000);
    b = open_node(s, 1);
    crowd_pass(s->crowd, 100);
    assert_int_equal(only(b)->kind, WORD_UP);
    free(copy);
}

static void who_was_away_for_a_week_forgets_what_is_gone(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b = open_node(s, 1);

    say(s, 0, WORD_DRAIN, 0);
    crowd_pass(s->crowd, 3000);
    s->person[1].node->gone = true;
    say(s, 0, WORD_NOTHING, 0);
    crowd_pass(s->crowd, 3000);
    for (size_t i = 0; i < NODES; i++)
        s->crowd->nodes[i].clock.mono_ms += WORD_NOTHING_MS + HOUR;
    s->crowd->shared_ms += WORD_NOTHING_MS + HOUR;
    crowd_pass(s->crowd, 3000);
    assert_int_equal(listed(a), 0);
    assert_int_equal(listed(b), 1);
    s->person[1].node->gone = false;
    crowd_pass(s->crowd, 6000);
    assert_int_equal(listed(b), 0);
    assert_int_equal(listed(a), 0);
}

/* ---- what is not to be believed ---- */

static void forged_and_foreign_words_mean_nothing(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b = open_node(s, 1);
    char buf[256], id[SHARED_BOARD_ID_MAX + 1];
    struct word_known *k;

    (void)b;
    put_bytes(s, WEIR_SPAN_LIT("origin|state|" URL "|app"), WEIR_SPAN_LIT("disable it"));
    assert_true(state_of(a).forged > 0);
    assert_int_equal(state_of(a).foreign, 0);
    /* ours, but not a word */
    assert_true(weir_seal(&s->crowd->key, "word", WEIR_SPAN_LIT("new"), WEIR_SPAN_LIT("?"), buf));
    put_bytes(s, WEIR_SPAN_LIT("new"), weir_span(buf, WEIR_SEAL_BYTES + 1));
    assert_true(state_of(a).foreign > 0);
    /* a word of another target */
    say(s, 0, WORD_DRAIN, 0);
    crowd_pass(s->crowd, 100);
    k = a->table.known[0];
    word_entry(&k->said, id);
    id[strlen(id) - 1] = 'q';
    put_bytes(s, weir_span_str(id), weir_span(k->sealed, k->len));
    assert_int_equal(only(a)->kind, WORD_DRAIN);
    assert_string_equal(only(a)->name, "app");
}

static void a_wrong_clock_of_a_node_orders_nothing(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0), *b = open_node(s, 1);

    crowd_pass(s->crowd, 3000);
    s->person[0].node->clock.wall_ms += 10 * DAY;
    s->person[1].node->clock.wall_ms -= 10 * DAY;
    say(s, 0, WORD_DRAIN, 10000);
    crowd_pass(s->crowd, 100);
    say(s, 1, WORD_DISABLE, 10000);
    crowd_pass(s->crowd, 100);
    assert_int_equal(only(a)->kind, WORD_DISABLE);
    assert_int_equal(only(b)->kind, WORD_DISABLE);
    assert_in_range(only(a)->until_ms, words_now(a) + 9500, words_now(a) + 10000);
}

static void a_shared_clock_beyond_reason_does_not_use_up_the_numbers(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0);
    int64_t right;

    crowd_pass(s->crowd, 3000);
    right = s->crowd->shared_ms;
    s->crowd->shared_ms = INT64_C(253402300799990); /* in the year 9999 */
    crowd_pass(s->crowd, 3000);
    say(s, 0, WORD_DRAIN, 10000);
    s->crowd->shared_ms = right;
    crowd_pass(s->crowd, 3000);
    say(s, 0, WORD_DISABLE, 10000);
    assert_int_equal(only(a)->kind, WORD_DISABLE);
    assert_in_range(only(a)->number, 1, right + 60000);
}

static void on_quiet(void *arg)
{
    ++*(unsigned *)arg;
}

static void who_ends_waits_until_the_last_order_was_put(void **state)
{
    struct scene *s = *state;
    struct words *a = open_node(s, 0);
    struct words_say last = origin(&s->person[0], WORD_DRAIN, 10000);
    unsigned quiet = 0;

    crowd_pass(s->crowd, 3000);
    words_when_quiet(a, on_quiet, &quiet);
    assert_int_equal(quiet, 0); /* not from inside */
    crowd_pass(s->crowd, 10);
    assert_int_equal(quiet, 1);
    assert_true(words_say(a, &last, NULL));
    words_when_quiet(a, on_quiet, &quiet);
    words_turn(a);
    assert_int_equal(quiet, 1); /* it is under way */
    crowd_pass(s->crowd, 1000);
    assert_int_equal(s->person[0].told, 1);
    assert_int_equal(quiet, 2); /* once */
}

/* ---- the file ---- */

/* Until the pool has written what it was given. */
static void await_file(struct scene *s, size_t i)
{
    struct pollfd p = {.fd = s->box.fd, .events = POLLIN};

    while (s->person[i].w->save != NULL || s->person[i].w->dirty) {
        words_turn(s->person[i].w);
        if (s->person[i].w->save != NULL)
            assert_int_equal(poll(&p, 1, 20000), 1);
        weir_mailbox_drain(&s->box);
    }
}

static void a_node_without_words_writes_no_file(void **state)
{
    struct scene *s = *state;

    open_with(s, 0, s->file, false);
    crowd_pass(s->crowd, 10000);
    close_node(s, 0);
    assert_int_not_equal(access(s->file, F_OK), 0);
}

static void words_outlive_a_restart_without_redis(void **state)
{
    struct scene *s = *state;
    struct words *a = open_with(s, 0, s->file, false);
    struct stat st;

    say(s, 0, WORD_DRAIN, HOUR);
    say(s, 0, WORD_WEIGHT, 0);
    crowd_run(s->crowd);
    await_file(s, 0);
    assert_int_equal(stat(s->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close_node(s, 0);
    crowd_pass(s->crowd, 60000);
    a = open_with(s, 0, s->file, true);
    assert_int_equal(listed(a), 2);
    crowd_pass(s->crowd, 1000);
    assert_true(words_settled(a));
    assert_int_equal(listed(a), 2);
    {
        const struct word *list;

        words_list(a, &list);
        assert_int_equal(list[0].kind, WORD_DRAIN);
        assert_in_range(list[0].until_ms - words_now(a), HOUR - 62000, HOUR - 60000);
        assert_string_equal(list[0].author, "alice");
        assert_int_equal(list[1].weight, 7);
    }
}

static void what_was_said_last_is_in_the_file_when_the_process_ends(void **state)
{
    struct scene *s = *state;
    struct words *a = open_with(s, 0, s->file, true);

    say(s, 0, WORD_DRAIN, 0); /* the pool may be at it, or not have begun */
    close_node(s, 0);
    weir_mailbox_drain(&s->box);
    a = open_with(s, 0, s->file, true);
    assert_int_equal(only(a)->kind, WORD_DRAIN);
    s->person[0].node->gone = false; /* it was never on the board: it waits for it */
    crowd_pass(s->crowd, 4500);
    assert_int_equal(on_board(s), 1);
}

static void a_newer_word_on_the_board_wins_over_the_file(void **state)
{
    struct scene *s = *state;
    struct words *a;

    open_with(s, 0, s->file, false);
    open_node(s, 1);
    say(s, 0, WORD_DRAIN, 0);
    close_node(s, 0);
    crowd_pass(s->crowd, 3000);
    say(s, 1, WORD_UP, 0);
    a = open_with(s, 0, s->file, false);
    crowd_pass(s->crowd, 100);
    assert_int_equal(only(a)->kind, WORD_UP);
    close_node(s, 0);
    crowd_pass(s->crowd, 1000);
    say(s, 1, WORD_NOTHING, 0);
    crowd_pass(s->crowd, 1000);
    a = open_with(s, 0, s->file, false);
    crowd_pass(s->crowd, 100);
    assert_int_equal(listed(a), 0);
}

static void a_file_of_last_month_brings_nothing_back(void **state)
{
    struct scene *s = *state;
    struct words *a;

    open_with(s, 0, s->file, false);
    say(s, 0, WORD_DRAIN, 0);
    crowd_pass(s->crowd, 3000);
    close_node(s, 0);
    open_node(s, 1);
    crowd_pass(s->crowd, 1000);
    say(s, 1, WORD_NOTHING, 0);
    for (size_t i = 0; i < NODES; i++)
        s->crowd->nodes[i].clock.mono_ms += 30 * DAY;
    s->crowd->shared_ms += 30 * DAY;
    crowd_pass(s->crowd, 3000);
    a = open_with(s, 0, s->file, false);
    crowd_pass(s->crowd, 5000);
    assert_int_equal(listed(a), 0);
    assert_int_equal(listed(s->person[1].w), 0);
}

static void a_node_alone_keeps_its_words_however_long(void **state)
{
    struct scene *s = *state;
    struct words *a;

    s->crowd->ops.farm = false;
    open_with(s, 0, s->file, false);
    say(s, 0, WORD_DRAIN, 0);
    close_node(s, 0);
    open_node(s, 1);
    flush(s); /* the memory of another process */
    s->crowd->nodes[0].clock.mono_ms += 30 * DAY;
    s->crowd->nodes[0].clock.wall_ms += 30 * DAY;
    s->crowd->shared_ms += 30 * DAY;
    a = open_with(s, 0, s->file, false);
    crowd_pass(s->crowd, 5000);
    assert_int_equal(only(a)->kind, WORD_DRAIN);
    assert_int_equal(state_of(a).restored, 0);
    assert_int_equal(state_of(a).pending, 0);
    s->crowd->ops.farm = true;
}

static void without_a_farm_the_board_is_read_when_something_was_said_alone(void **state)
{
    struct scene *s = *state;
    struct words *w;
    size_t reads;

    s->crowd->ops.farm = false;
    w = open_node(s, 0);
    crowd_pass(s->crowd, 1000);
    reads = s->crowd->reads;
    crowd_pass(s->crowd, 60000);
    assert_int_equal(s->crowd->reads, reads);
    say(s, 0, WORD_DRAIN, 0);
    crowd_pass(s->crowd, 1000);
    reads = s->crowd->reads;
    crowd_pass(s->crowd, 60000);
    assert_int_equal(s->crowd->reads, reads);
    assert_true(state_of(w).current);
}

static void a_file_that_makes_no_sense_is_set_aside(void **state)
{
    struct scene *s = *state;
    struct words *a;
    FILE *f = fopen(s->file, "w");

    fputs("{\"format\": 1, \"words\"", f);
    fclose(f);
    weir_log_set_level(WEIR_LOG_ERROR + 1);
    a = open_with(s, 0, s->file, false);
    weir_log_set_level(WEIR_LOG_ERROR);
    assert_int_equal(listed(a), 0);
    assert_int_equal(access(s->bad, F_OK), 0);
    assert_int_not_equal(access(s->file, F_OK), 0);
    say(s, 0, WORD_DRAIN, 0);
    close_node(s, 0);
    assert_int_equal(access(s->file, F_OK), 0);
}

static void a_file_that_cannot_be_written_is_tried_again(void **state)
{
    struct scene *s = *state;
    char moved[64];

    snprintf(moved, sizeof moved, "%s.away", s->dir);
    open_with(s, 0, s->file, false);
    assert_int_equal(rename(s->dir, moved), 0);
    weir_log_set_level(WEIR_LOG_ERROR + 1);
    say(s, 0, WORD_DRAIN, 0);
    words_turn(s->person[0].w);
    while (!s->person[0].w->save_failed) {
        struct pollfd p = {.fd = s->box.fd, .events = POLLIN};

        assert_int_equal(poll(&p, 1, 20000), 1);
        weir_mailbox_drain(&s->box);
    }
    weir_log_set_level(WEIR_LOG_ERROR);
    assert_int_equal(rename(moved, s->dir), 0);
    crowd_pass(s->crowd, 61000);
    await_file(s, 0);
    assert_false(s->person[0].w->save_failed);
    assert_int_equal(access(s->file, F_OK), 0);
}

/* ---- freeing ---- */

static void words_may_be_freed_when_they_tell_the_outcome(void **state)
{
    struct scene *s = *state;
    struct words_say w;

    open_node(s, 0);
    s->person[0].free_itself = true;
    w = origin(&s->person[0], WORD_DRAIN, 0);
    assert_true(words_say(s->person[0].w, &w, NULL));
    while (s->person[0].told == 0)
        event_base_loop(s->crowd->base, EVLOOP_ONCE);
    assert_null(s->person[0].w);
    crowd_close(s->person[0].node);
    words_free(NULL);
}

/* ---- without memory ---- */

#ifdef WEIR_FAULTS
/* Whatever fails, a word that was said is in force, and one that was not is not. */
static bool say_without_memory(void **state, unsigned long fail_at)
{
    struct scene *s = *state;
    struct words *b = open_node(s, 1);
    struct words_say w = origin(&s->person[0], WORD_DRAIN, 0);
    bool said, failed;

    open_node(s, 0);
    crowd_pass(s->crowd, 100);
    weir_alloc_fail_at(fail_at);
    said = words_say(s->person[0].w, &w, NULL);
    assert_int_equal(listed(s->person[0].w), said ? 1 : 0);
    crowd_pass(s->crowd, 100);
    flush(s);
    crowd_pass(s->crowd, 3000);
    failed = weir_alloc_failed();
    weir_alloc_fail_at(0);
    crowd_pass(s->crowd, 6000);
    assert_int_equal(listed(s->person[0].w), said ? 1 : 0);
    assert_int_equal(listed(b), said ? 1 : 0);
    assert_int_equal(s->person[0].told, said ? 1 : 0);
    return failed;
}

static void memory_that_fails_is_made_up_for(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned long n = 1; failed && n < 1000; n++) {
        void *scene;

        setup(&scene);
        failed = say_without_memory(&scene, n);
        teardown(&scene);
    }
}

static void a_file_is_read_whole_or_not_at_all(void **state)
{
    struct scene *s = *state;
    struct words_options o = {.farm = CROWD_FARM,
                              .key = &s->crowd->key,
                              .file = s->file,
                              .pool = s->pool,
                              .box = &s->box};
    bool failed = true;

    open_with(s, 0, s->file, false);
    say(s, 0, WORD_DRAIN, 0);
    say(s, 0, WORD_WEIGHT, 0);
    close_node(s, 0);
    s->person[0].node = crowd_open(s->crowd, 0);
    o.port = s->person[0].node->port;
    o.loop = &s->person[0].node->loop;
    for (unsigned long n = 1; failed && n < 1000; n++) {
        struct weir_err err = {0};
        struct words *w;

        weir_alloc_fail_at(n);
        w = words_new(&o, &err);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_true(w != NULL || err.code == WEIR_E_MEMORY);
        assert_true(w == NULL || listed(w) == 2);
        words_free(w);
        assert_int_equal(access(s->file, F_OK), 0);
    }
    crowd_close(s->person[0].node);
}
#endif

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_word_is_in_force_here_at_once_and_everywhere_soon),
        T(a_word_that_no_replica_has_is_unconfirmed),
        T(of_two_words_the_later_one_holds_and_weights_stand_beside),
        T(taking_back_leaves_nothing_for_a_week),
        T(a_word_ends_by_itself_everywhere),
        T(an_order_ends_after_an_hour_and_stands_beside_a_state),
        T(what_makes_no_sense_is_not_said),
        T(there_are_only_so_many_words),
        T(a_word_said_while_nobody_answers_is_put_on_the_board_later),
        T(a_later_word_of_the_others_wins_over_one_that_waited),
        T(a_word_that_waited_replaces_an_older_one),
        T(what_the_board_has_lost_is_put_back_once),
        T(a_board_that_went_back_in_time_gets_what_came_later),
        T(who_was_away_for_a_week_forgets_what_is_gone),
        T(forged_and_foreign_words_mean_nothing),
        T(a_wrong_clock_of_a_node_orders_nothing),
        T(who_ends_waits_until_the_last_order_was_put),
        T(a_shared_clock_beyond_reason_does_not_use_up_the_numbers),
        T(a_node_without_words_writes_no_file),
        T(words_outlive_a_restart_without_redis),
        T(what_was_said_last_is_in_the_file_when_the_process_ends),
        T(a_newer_word_on_the_board_wins_over_the_file),
        T(a_file_of_last_month_brings_nothing_back),
        T(a_node_alone_keeps_its_words_however_long),
        T(without_a_farm_the_board_is_read_when_something_was_said_alone),
        T(a_file_that_makes_no_sense_is_set_aside),
        T(a_file_that_cannot_be_written_is_tried_again),
        T(words_may_be_freed_when_they_tell_the_outcome),
#ifdef WEIR_FAULTS
        T(memory_that_fails_is_made_up_for),
        T(a_file_is_read_whole_or_not_at_all),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
