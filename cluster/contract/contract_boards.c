/* What holds for boards. */
#include "contract_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V(s)        WEIR_SPAN_LIT(s)
#define NOT_AT_ONCE 500 /* ms that a busy machine may take for a call, and not more */

static struct world *world_of(void **state)
{
    return *state;
}

static struct shared_board board_of(struct world *w)
{
    return (struct shared_board){.key = key(w, "board"), .channel = key(w, "ch")};
}

static enum shared_result put_all(struct asked *a, struct world *w, int port,
                                  const struct shared_board *b, const struct shared_post *posts,
                                  size_t count, struct weir_span hint)
{
    asked_init(a, w, SHARED_STATE);
    shared_board_put(w->ports[port], &a->call, b, posts, count, hint);
    asked_await(a);
    return a->call.result;
}

static enum shared_result post(struct world *w, int port, const struct shared_board *b,
                               struct weir_span id, struct weir_span bytes, int64_t ttl_ms)
{
    struct shared_post one = {.id = id, .bytes = bytes, .ttl_ms = ttl_ms};
    struct asked a;

    return put_all(&a, w, port, b, &one, 1, WEIR_SPAN_NONE);
}

static enum shared_result remove_all(struct world *w, int port, const struct shared_board *b,
                                     const struct weir_span *ids, size_t count,
                                     struct weir_span hint)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_board_remove(w->ports[port], &a.call, b, ids, count, hint);
    asked_await(&a);
    return a.call.result;
}

static void read_board(struct asked *a, struct world *w, int port, const struct shared_board *b)
{
    asked_init(a, w, SHARED_STATE);
    shared_board_read(w->ports[port], &a->call, b);
    asked_await(a);
    assert_int_equal(a->call.result, SHARED_OK);
}

static void assert_note(const struct asked *a, size_t i, struct weir_span id,
                        struct weir_span bytes)
{
    assert_in_range(i, 0, a->call.note_count - 1);
    assert_true(weir_span_eq(a->call.notes[i].id, id));
    assert_true(weir_span_eq(a->call.notes[i].bytes, bytes));
}

/* What stands on it, one character for each entry's id. */
static void assert_ids(struct world *w, const struct shared_board *b, const char *ids)
{
    struct asked a;
    size_t i;

    read_board(&a, w, PORT_B, b);
    assert_int_equal(a.call.note_count, strlen(ids));
    for (i = 0; i < a.call.note_count; i++)
        assert_true(weir_span_eq(a.call.notes[i].id, weir_span(ids + i, 1)));
    asked_clear(&a);
}

/* ---- putting, reading, removing ---- */

static void a_board_that_does_not_exist_is_empty(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct weir_span id = V("a");
    struct asked a;

    read_board(&a, w, PORT_A, &b);
    assert_int_equal(a.call.note_count, 0);
    assert_null(a.call.notes);
    assert_in_range((int64_t)a.call.number - w->clock.wall_ms + 60000, 0, 120000);
    asked_clear(&a);
    assert_int_equal(remove_all(w, PORT_A, &b, &id, 1, WEIR_SPAN_NONE), SHARED_OK);
}

static void all_ports_read_all_in_the_order_of_their_ids(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct asked a;
    int port;

    assert_int_equal(post(w, PORT_A, &b, V("b"), V("two"), 0), SHARED_OK);
    assert_int_equal(post(w, PORT_B, &b, V("\xff"), V("last"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(post(w, w->port_count - 1, &b, V("a"), V("one"), 0), SHARED_OK);
    assert_int_equal(post(w, PORT_A, &b, V("B"), V("capital"), 0), SHARED_OK);
    assert_int_equal(post(w, PORT_A, &b, V("b\0c"), V(""), 0), SHARED_OK);
    for (port = 0; port < w->port_count; port++) {
        read_board(&a, w, port, &b);
        assert_int_equal(a.call.note_count, 5);
        assert_note(&a, 0, V("B"), V("capital"));
        assert_note(&a, 1, V("a"), V("one"));
        assert_note(&a, 2, V("b"), V("two"));
        assert_note(&a, 3, V("b\0c"), V(""));
        assert_note(&a, 4, V("\xff"), V("last"));
        asked_clear(&a);
    }
}

static void a_post_replaces_what_has_its_id(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct asked a;

    assert_int_equal(post(w, PORT_A, &b, V("a"), V("old and long"), 0), SHARED_OK);
    pass(w, 30);
    assert_int_equal(post(w, PORT_B, &b, V("a"), V("new"), CONTRACT_LONG_MS), SHARED_OK);
    read_board(&a, w, PORT_A, &b);
    assert_int_equal(a.call.note_count, 1);
    assert_note(&a, 0, V("a"), V("new"));
    assert_in_range(a.call.notes[0].left_ms, CONTRACT_LONG_MS - NOT_AT_ONCE, CONTRACT_LONG_MS);
    asked_clear(&a);
}

static void several_are_put_and_removed_in_one_call(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct shared_post posts[SHARED_BOARD_POSTS];
    struct weir_span ids[SHARED_BOARD_POSTS];
    char names[SHARED_BOARD_POSTS];
    struct asked a;
    size_t i;

    for (i = 0; i < SHARED_BOARD_POSTS; i++) {
        names[i] = (char)('0' + i);
        ids[i] = weir_span(&names[i], 1);
        posts[i] = (struct shared_post){.id = ids[i], .bytes = ids[i]};
    }
    assert_int_equal(put_all(&a, w, PORT_A, &b, posts, SHARED_BOARD_POSTS, WEIR_SPAN_NONE),
                     SHARED_OK);
    read_board(&a, w, PORT_A, &b);
    assert_int_equal(a.call.note_count, SHARED_BOARD_POSTS);
    for (i = 0; i < SHARED_BOARD_POSTS; i++)
        assert_note(&a, i, ids[i], ids[i]);
    asked_clear(&a);
    assert_int_equal(remove_all(w, PORT_B, &b, ids + 1, SHARED_BOARD_POSTS - 2, WEIR_SPAN_NONE),
                     SHARED_OK);
    read_board(&a, w, PORT_A, &b);
    assert_int_equal(a.call.note_count, 2);
    assert_note(&a, 1, ids[SHARED_BOARD_POSTS - 1], ids[SHARED_BOARD_POSTS - 1]);
    asked_clear(&a);
    assert_int_equal(remove_all(w, PORT_B, &b, ids, SHARED_BOARD_POSTS, WEIR_SPAN_NONE), SHARED_OK);
    assert_ids(w, &b, "");
}

static void what_is_there_may_be_left(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct shared_post posts[] = {
        {.id = V("a"), .bytes = V("mine"), .if_absent = true},
        {.id = V("b"), .bytes = V("mine"), .if_absent = true},
        {.id = V("c"), .bytes = V("mine"), .if_absent = true},
    };
    struct asked a;

    assert_int_equal(post(w, PORT_A, &b, V("a"), V("yours"), 0), SHARED_OK);
    assert_int_equal(post(w, PORT_A, &b, V("b"), V("yours"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_int_equal(put_all(&a, w, PORT_B, &b, posts, 2, WEIR_SPAN_NONE), SHARED_OK);
    assert_true(a.call.number > 0);
    read_board(&a, w, PORT_A, &b);
    assert_note(&a, 0, V("a"), V("yours"));
    assert_note(&a, 1, V("b"), V("yours"));
    asked_clear(&a);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_int_equal(put_all(&a, w, PORT_B, &b, posts, 3, WEIR_SPAN_NONE), SHARED_OK);
    read_board(&a, w, PORT_A, &b);
    assert_int_equal(a.call.note_count, 3);
    assert_note(&a, 0, V("a"), V("yours"));
    assert_note(&a, 1, V("b"), V("mine")); /* it had ended */
    assert_note(&a, 2, V("c"), V("mine"));
    asked_clear(&a);
}

static void entries_are_any_bytes_up_to_their_limits(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    char *bytes = malloc(SHARED_BOARD_POST_MAX), id[SHARED_BOARD_ID_MAX];
    struct asked a;
    size_t i;

    for (i = 0; i < SHARED_BOARD_POST_MAX; i++)
        bytes[i] = (char)(i ^ i >> 8);
    for (i = 0; i < SHARED_BOARD_ID_MAX; i++)
        id[i] = (char)(255 - i);
    assert_int_equal(post(w, PORT_A, &b, weir_span(id, sizeof(id)),
                          weir_span(bytes, SHARED_BOARD_POST_MAX), 0),
                     SHARED_OK);
    assert_int_equal(post(w, PORT_A, &b, V("\0"), V("12 34 \0\r\n"), 0), SHARED_OK);
    read_board(&a, w, PORT_B, &b);
    assert_int_equal(a.call.note_count, 2);
    assert_note(&a, 0, V("\0"), V("12 34 \0\r\n"));
    assert_note(&a, 1, weir_span(id, sizeof(id)), weir_span(bytes, SHARED_BOARD_POST_MAX));
    asked_clear(&a);
    free(bytes);
}

/* ---- time ---- */

static void ages_and_ends_are_told(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    uint64_t before;
    struct asked a;

    assert_int_equal(post(w, PORT_A, &b, V("a"), V("stays"), 0), SHARED_OK);
    read_board(&a, w, PORT_A, &b);
    before = a.call.number;
    asked_clear(&a);
    pass(w, 100);
    assert_int_equal(post(w, PORT_A, &b, V("b"), V("ends"), 5000), SHARED_OK);
    read_board(&a, w, PORT_B, &b);
    assert_in_range(a.call.notes[0].age_ms, 100, 100 + NOT_AT_ONCE);
    assert_true(a.call.notes[0].left_ms == -1);
    assert_in_range(a.call.notes[1].age_ms, 0, NOT_AT_ONCE);
    assert_in_range(a.call.notes[1].left_ms, 5000 - NOT_AT_ONCE, 5000);
    assert_in_range(a.call.number, before + 100, before + 100 + 2 * NOT_AT_ONCE);
    asked_clear(&a);
}

static void an_entry_that_has_ended_is_not_read(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);

    assert_int_equal(post(w, PORT_A, &b, V("a"), V("brief"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_int_equal(post(w, PORT_A, &b, V("b"), V("long"), CONTRACT_LONG_MS), SHARED_OK);
    assert_ids(w, &b, "ab");
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_ids(w, &b, "b");
    assert_int_equal(post(w, PORT_A, &b, V("c"), V("another"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_ids(w, &b, "bc");
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_ids(w, &b, "b");
}

static void a_board_is_gone_with_its_last_entry(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct weir_span stays = V("s");

    assert_int_equal(post(w, PORT_A, &b, V("a"), V("brief"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_int_equal(post(w, PORT_A, &b, V("s"), V("stays"), 0), SHARED_OK);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_ids(w, &b, "s");
    assert_int_equal(post(w, PORT_A, &b, V("c"), V("brief"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_int_equal(remove_all(w, PORT_A, &b, &stays, 1, WEIR_SPAN_NONE), SHARED_OK);
    assert_ids(w, &b, "c");
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_int_equal(remove_key(w, b.key), 0); /* without anybody's help */
}

static void what_stayed_may_be_given_an_end(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);

    assert_int_equal(post(w, PORT_A, &b, V("a"), V("stays"), 0), SHARED_OK);
    assert_int_equal(post(w, PORT_A, &b, V("a"), V("brief"), CONTRACT_BRIEF_MS), SHARED_OK);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_int_equal(remove_key(w, b.key), 0);
}

static void what_was_to_end_may_stay(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);

    assert_int_equal(post(w, PORT_A, &b, V("a"), V("brief"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_int_equal(post(w, PORT_A, &b, V("a"), V("stays"), 0), SHARED_OK);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_ids(w, &b, "a");
}

static void a_life_of_a_thousand_years_is_one_all_the_same(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);

    assert_int_equal(post(w, PORT_A, &b, V("a"), V("long"), INT64_MAX), SHARED_OK);
    assert_ids(w, &b, "a");
}

/* Nodes' clocks decide nothing: ages and ends are the shared clock's. */
static void a_nodes_wall_clock_may_jump(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct asked a;

    assert_int_equal(post(w, PORT_A, &b, V("a"), V("entry"), CONTRACT_LONG_MS), SHARED_OK);
    w->clock.wall_ms += 10 * CONTRACT_LONG_MS;
    read_board(&a, w, PORT_A, &b);
    assert_int_equal(a.call.note_count, 1);
    assert_in_range(a.call.notes[0].age_ms, 0, NOT_AT_ONCE);
    asked_clear(&a);
    w->clock.wall_ms -= 20 * CONTRACT_LONG_MS;
    read_board(&a, w, PORT_A, &b);
    assert_int_equal(a.call.note_count, 1);
    assert_in_range(a.call.notes[0].age_ms, 0, NOT_AT_ONCE);
    asked_clear(&a);
}

/* ---- hints ---- */

static void a_hint_goes_out_once_with_what_it_is_about(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct shared_post one = {.id = V("a"), .bytes = V("entry")};
    struct hearer h[CONTRACT_PORTS] = {0};
    struct asked a;
    int port;

    for (port = 0; port < w->port_count; port++) {
        hearer_init(&h[port], w);
        hearer_listen(&h[port], port, b.channel);
    }
    assert_int_equal(put_all(&a, w, PORT_A, &b, &one, 1, V("put\0it")), SHARED_OK);
    for (port = 0; port < w->port_count; port++) {
        await(w, &h[port].hints, 1);
        assert_int_equal(h[port].last_len, 6);
        assert_memory_equal(h[port].last, "put\0it", 6);
    }
    assert_ids(w, &b, "a");
    assert_int_equal(remove_all(w, PORT_B, &b, &one.id, 1, V("removed")), SHARED_OK);
    for (port = 0; port < w->port_count; port++) {
        await(w, &h[port].hints, 2);
        assert_memory_equal(h[port].last, "removed", 7);
    }
    assert_int_equal(say(w, PORT_A, b.channel, V("behind them")), SHARED_OK);
    for (port = 0; port < w->port_count; port++) {
        await(w, &h[port].hints, 3);
        assert_int_equal(h[port].hints, 3);
        assert_memory_equal(h[port].last, "behind them", 11);
    }
}

static void without_a_hint_or_a_channel_nobody_is_told(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w), quiet = b;
    struct shared_post one = {.id = V("a"), .bytes = V("entry")};
    struct hearer h;
    struct asked a;

    quiet.channel = WEIR_SPAN_NONE;
    hearer_init(&h, w);
    hearer_listen(&h, PORT_B, b.channel);
    assert_int_equal(put_all(&a, w, PORT_A, &b, &one, 1, WEIR_SPAN_NONE), SHARED_OK);
    assert_int_equal(put_all(&a, w, PORT_A, &quiet, &one, 1, V("hint")), SHARED_OK);
    assert_int_equal(remove_all(w, PORT_A, &quiet, &one.id, 1, V("hint")), SHARED_OK);
    settle(w, &h, b.channel);
    assert_int_equal(h.hints, 0);
}

static void a_write_to_a_board_may_be_confirmed(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct shared_post one = {.id = V("a"), .bytes = V("entry")};
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    a.call.confirm = true;
    shared_board_put(w->ports[PORT_A], &a.call, &b, &one, 1, WEIR_SPAN_NONE);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_false(a.call.unconfirmed); /* there is no replica that could have it */
    shared_board_remove(w->ports[PORT_A], &a.call, &b, &one.id, 1, WEIR_SPAN_NONE);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_false(a.call.unconfirmed);
}

/* ---- limits ---- */

/* Puts entries "00000" ... until there are `count`; the last of all calls' results. */
static enum shared_result fill(struct world *w, const struct shared_board *b, size_t from,
                               size_t count, struct weir_span bytes, int64_t ttl_ms)
{
    struct shared_post posts[SHARED_BOARD_POSTS];
    char ids[SHARED_BOARD_POSTS][24];
    enum shared_result result = SHARED_OK;
    struct asked a;

    while (from < count && result == SHARED_OK) {
        size_t n;

        for (n = 0; n < SHARED_BOARD_POSTS && from < count; n++, from++) {
            snprintf(ids[n], sizeof(ids[n]), "%05zu", from);
            posts[n] =
                (struct shared_post){.id = weir_span(ids[n], 5), .bytes = bytes, .ttl_ms = ttl_ms};
        }
        result = put_all(&a, w, PORT_A, b, posts, n, WEIR_SPAN_NONE);
    }
    return result;
}

static void a_board_takes_ten_thousand_entries(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct shared_post two[] = {{.id = V("09999"), .bytes = V("again")},
                                {.id = V("one more"), .bytes = V("x")}};
    struct weir_span first = V("00000");
    struct asked a;

    assert_int_equal(fill(w, &b, 0, SHARED_BOARD_MAX, V("x"), 0), SHARED_OK);
    assert_int_equal(put_all(&a, w, PORT_A, &b, two, 2, WEIR_SPAN_NONE), SHARED_FULL);
    read_board(&a, w, PORT_B, &b);
    assert_int_equal(a.call.note_count, SHARED_BOARD_MAX);
    assert_note(&a, SHARED_BOARD_MAX - 1, V("09999"), V("x")); /* all or nothing */
    asked_clear(&a);
    assert_int_equal(put_all(&a, w, PORT_A, &b, two, 1, WEIR_SPAN_NONE), SHARED_OK);
    assert_int_equal(remove_all(w, PORT_A, &b, &first, 1, WEIR_SPAN_NONE), SHARED_OK);
    assert_int_equal(put_all(&a, w, PORT_A, &b, two, 2, WEIR_SPAN_NONE), SHARED_OK);
}

static void a_board_takes_only_so_many_bytes(void **state)
{
    enum { FIT = SHARED_BOARD_BYTES / SHARED_BOARD_POST_MAX - 1 };
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    char *bytes = calloc(1, SHARED_BOARD_POST_MAX);
    struct weir_span large = weir_span(bytes, SHARED_BOARD_POST_MAX), last = V("00010");
    size_t i;

    for (i = 0; i < FIT; i++) /* one at a time: not too much at once for anybody */
        assert_int_equal(fill(w, &b, i, i + 1, large, 0), SHARED_OK);
    assert_int_equal(fill(w, &b, i, i + 2, large, 0), SHARED_FULL);
    assert_int_equal(fill(w, &b, 10, 11, large, 0), SHARED_OK); /* in the place of one of them */
    assert_int_equal(remove_all(w, PORT_A, &b, &last, 1, WEIR_SPAN_NONE), SHARED_OK);
    assert_int_equal(fill(w, &b, i, i + 1, large, 0), SHARED_OK);
    free(bytes);
}

static void what_has_ended_takes_no_room(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct asked a;

    assert_int_equal(fill(w, &b, 0, SHARED_BOARD_MAX / 2, V("x"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_int_equal(fill(w, &b, SHARED_BOARD_MAX / 2, SHARED_BOARD_MAX / 2 + 1, V("x"), 0),
                     SHARED_OK);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_int_equal(fill(w, &b, 20000, 20000 + SHARED_BOARD_MAX - 1, V("y"), 0), SHARED_OK);
    read_board(&a, w, PORT_B, &b);
    assert_int_equal(a.call.note_count, SHARED_BOARD_MAX);
    asked_clear(&a);
    assert_int_equal(post(w, PORT_A, &b, V("z"), V("z"), 0), SHARED_FULL);
}

/* ---- the rules ---- */

static void assert_put_bad(struct world *w, const struct shared_board *b,
                           const struct shared_post *posts, size_t count, struct weir_span hint)
{
    struct asked a;

    assert_int_equal(put_all(&a, w, PORT_A, b, posts, count, hint), SHARED_BAD);
}

static void a_board_against_the_rules_is_bad(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct shared_board none = {.channel = b.channel}, apart = {b.key, V("w1:{other}:ch")};
    struct shared_board bare = {.key = V("w1:board")};
    struct shared_post one = {.id = V("a"), .bytes = V("x")};
    struct hearer h;
    struct asked a;

    hearer_init(&h, w);
    hearer_listen(&h, PORT_B, b.channel);
    assert_put_bad(w, &none, &one, 1, V("hint"));
    assert_put_bad(w, &apart, &one, 1, V("hint"));
    assert_put_bad(w, &bare, &one, 1, V("hint"));
    assert_put_bad(w, &b, &one, 0, V("hint"));
    assert_put_bad(w, &b, &one, 1, weir_span((char[SHARED_HINT_MAX + 1]){0}, SHARED_HINT_MAX + 1));
    asked_init(&a, w, SHARED_STATE);
    shared_board_read(w->ports[PORT_A], &a.call, &bare);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_BAD);
    assert_int_equal(remove_all(w, PORT_A, &apart, &one.id, 1, WEIR_SPAN_NONE), SHARED_BAD);
    assert_int_equal(remove_all(w, PORT_A, &b, &one.id, 0, WEIR_SPAN_NONE), SHARED_BAD);
    settle(w, &h, b.channel);
    assert_int_equal(h.hints, 0);
    assert_ids(w, &b, "");
}

static void a_post_against_the_rules_is_bad(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    char *bytes = calloc(1, SHARED_BOARD_POST_MAX + 1);
    struct shared_post many[SHARED_BOARD_POSTS + 1], twice[] = {{.id = V("a")}, {.id = V("a")}};
    char ids[SHARED_BOARD_POSTS + 1];
    struct shared_post bad[] = {
        {.id = WEIR_SPAN_NONE, .bytes = V("x")},
        {.id = weir_span(bytes, SHARED_BOARD_ID_MAX + 1), .bytes = V("x")},
        {.id = V("a"), .bytes = weir_span(bytes, SHARED_BOARD_POST_MAX + 1)},
        {.id = V("a"), .bytes = V("x"), .ttl_ms = -1},
    };
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_put_bad(w, &b, &bad[i], 1, WEIR_SPAN_NONE);
    for (i = 0; i <= SHARED_BOARD_POSTS; i++) {
        ids[i] = (char)(i + 1);
        many[i] = (struct shared_post){.id = weir_span(&ids[i], 1)};
    }
    assert_put_bad(w, &b, many, SHARED_BOARD_POSTS + 1, WEIR_SPAN_NONE);
    assert_put_bad(w, &b, twice, 2, WEIR_SPAN_NONE);
    for (i = 0; i < 2; i++)
        assert_int_equal(remove_all(w, PORT_A, &b, &bad[i].id, 1, WEIR_SPAN_NONE), SHARED_BAD);
    assert_ids(w, &b, "");
    free(bytes);
}

static void a_key_of_another_kind_is_bad_for_a_board(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w), on_lease = {.key = key(w, "lease")};
    struct shared_lease l = {.key = on_lease.key,
                             .fence_key = key(w, "fence"),
                             .owner = V("me"),
                             .lease_ms = CONTRACT_LONG_MS,
                             .fence_ttl_ms = CONTRACT_LONG_MS};
    struct shared_post one = {.id = V("o"), .bytes = V("x")};
    struct asked a;

    assert_int_equal(put(w, b.key, V("value"), CONTRACT_LONG_MS), SHARED_OK);
    assert_put_bad(w, &b, &one, 1, WEIR_SPAN_NONE);
    assert_int_equal(remove_all(w, PORT_A, &b, &one.id, 1, WEIR_SPAN_NONE), SHARED_BAD);
    asked_init(&a, w, SHARED_STATE);
    shared_board_read(w->ports[PORT_A], &a.call, &b);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_BAD);
    assert_value(w, b.key, V("value"));
    shared_lease_take(w->ports[PORT_A], &a.call, &l);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_put_bad(w, &on_lease, &one, 1, WEIR_SPAN_NONE);
    assert_int_equal(remove_all(w, PORT_A, &on_lease, &one.id, 1, WEIR_SPAN_NONE), SHARED_BAD);
    shared_board_read(w->ports[PORT_A], &a.call, &on_lease);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_BAD);
    shared_lease_renew(w->ports[PORT_A], &a.call, &l);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_int_equal(remove_key(w, b.key), 1);
    assert_int_equal(post(w, PORT_A, &b, V("a"), V("x"), 0), SHARED_OK);
    assert_int_equal(get(w, &a, PORT_A, b.key), SHARED_BAD);
    assert_int_equal(remove_key(w, b.key), 1);
    assert_ids(w, &b, "");
    assert_int_equal(post(w, PORT_A, &b, V("b"), V("x"), 0), SHARED_OK);
    assert_ids(w, &b, "b");
}

static void the_notes_before_are_gone_when_a_call_is_used_again(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = board_of(w);
    struct asked a;

    assert_int_equal(post(w, PORT_A, &b, V("a"), V("x"), 0), SHARED_OK);
    read_board(&a, w, PORT_A, &b);
    shared_get(w->ports[PORT_A], &a.call, key(w, "nothing"));
    asked_await(&a);
    assert_null(a.call.notes);
    assert_int_equal(a.call.note_count, 0);
    assert_int_equal(a.call.number, 0);
}

static const struct CMUnitTest tests[] = {
    CONTRACT_TEST(a_board_that_does_not_exist_is_empty),
    CONTRACT_TEST(all_ports_read_all_in_the_order_of_their_ids),
    CONTRACT_TEST(a_post_replaces_what_has_its_id),
    CONTRACT_TEST(several_are_put_and_removed_in_one_call),
    CONTRACT_TEST(what_is_there_may_be_left),
    CONTRACT_TEST(entries_are_any_bytes_up_to_their_limits),
    CONTRACT_TEST(ages_and_ends_are_told),
    CONTRACT_TEST(an_entry_that_has_ended_is_not_read),
    CONTRACT_TEST(a_board_is_gone_with_its_last_entry),
    CONTRACT_TEST(what_stayed_may_be_given_an_end),
    CONTRACT_TEST(what_was_to_end_may_stay),
    CONTRACT_TEST(a_life_of_a_thousand_years_is_one_all_the_same),
    CONTRACT_TEST(a_nodes_wall_clock_may_jump),
    CONTRACT_TEST(a_hint_goes_out_once_with_what_it_is_about),
    CONTRACT_TEST(without_a_hint_or_a_channel_nobody_is_told),
    CONTRACT_TEST(a_write_to_a_board_may_be_confirmed),
    CONTRACT_TEST(a_board_takes_ten_thousand_entries),
    CONTRACT_TEST(a_board_takes_only_so_many_bytes),
    CONTRACT_TEST(what_has_ended_takes_no_room),
    CONTRACT_TEST(a_board_against_the_rules_is_bad),
    CONTRACT_TEST(a_post_against_the_rules_is_bad),
    CONTRACT_TEST(a_key_of_another_kind_is_bad_for_a_board),
    CONTRACT_TEST(the_notes_before_are_gone_when_a_call_is_used_again),
};

const struct contract_table contract_boards = {tests, sizeof(tests) / sizeof(tests[0])};
