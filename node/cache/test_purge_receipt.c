/* Receipts: a farm of nodes over one embedded engine, each with a table and a feed, and a list of
 * members that says what the test says. */
#include "purge_receipt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "weir/members.h"
#include "weir/shared.h"
#include "purge_feed.h"
#include "shared_embedded.h"

#define NODES     3
#define WAIT_MS   5000
#define TURNS_MAX 2000

struct node {
    struct purge_table *table;
    struct shared_port *port;
    struct shared_loop loop;
    struct weir_mailbox box;
    struct purge_feed *feed; /* NULL: it hears nothing, and says nothing */
};

/* What this program's members_list() says; the feeds know nothing of it. */
struct members {
    struct member list[NODES];
    size_t count;
    bool current;
};

struct farm {
    struct event_base *base;
    struct weir_clock clock;
    struct weir_shared *shared;
    struct weir_hash_secret secret;
    struct weir_seal_key key;
    struct node node[NODES];
    struct members members;
    int done;
};

static const char *const ids[NODES] = {"a", "b", "c"};

size_t members_list(struct members *m, const struct member **out)
{
    *out = m->list;
    return m->count;
}

void members_state(const struct members *m, struct members_state *out)
{
    *out = (struct members_state){.current = m->current};
}

/* ---- the farm ---- */

static void enter(void *arg)
{
    struct farm *w = arg;

    weir_clock_update(&w->clock);
}

static void feed_start(struct farm *w, int i, const struct weir_seal_key *key)
{
    struct node *n = &w->node[i];
    char name[32];
    const struct purge_feed_options o = {
        .table = n->table,
        .port = n->port,
        .box = &n->box,
        .loop = &n->loop,
        .name = "test",
        .seed = 1,
    };

    n->feed = purge_feed_new(&o, NULL);
    assert_non_null(n->feed);
    snprintf(name, sizeof name, "%s/%d", ids[i], i + 1);
    if (key != NULL)
        purge_feed_introduce(n->feed, key, name);
}

static void feed_stop(struct farm *w, int i)
{
    struct node *n = &w->node[i];

    if (n->feed != NULL)
        weir_mailbox_drain(&n->box);
    purge_feed_free(n->feed);
    n->feed = NULL;
}

static void node_start(struct farm *w, int i)
{
    struct node *n = &w->node[i];

    n->loop = (struct shared_loop){w->base, enter, w, &w->clock};
    n->table = purge_new(&w->secret, 0, NULL);
    n->port = shared_port_new(w->shared, &n->loop, NULL);
    assert_true(weir_mailbox_init(&n->box, NULL));
    feed_start(w, i, &w->key);
    w->members.list[i] =
        (struct member){.id = ids[i], .incarnation = (uint64_t)i + 1, .self = i == 0};
}

static void turn(struct farm *w)
{
    enter(w);
    for (int i = 0; i < NODES; i++)
        if (w->node[i].feed != NULL)
            weir_mailbox_drain(&w->node[i].box);
    event_base_loop(w->base, EVLOOP_NONBLOCK);
}

/* Something happens within a moment. */
static void wait_a_bit(struct farm *w)
{
    static const struct timeval most = {0, 5000};

    event_base_loopexit(w->base, &most);
    event_base_loop(w->base, EVLOOP_ONCE);
    turn(w);
}

static int open_farm(void **state)
{
    struct farm *w = calloc(1, sizeof *w);

    weir_log_set_level(WEIR_LOG_ERROR);
    w->base = event_base_new();
    weir_clock_update(&w->clock);
    w->shared = shared_embedded_new(NULL, NULL);
    assert_true(
        weir_seal_key_derive(&w->key, WEIR_SPAN_LIT("secret"), WEIR_SPAN_LIT("farm"), NULL));
    for (int i = 0; i < NODES; i++)
        node_start(w, i);
    w->members.count = NODES;
    w->members.current = true;
    for (int i = 0; i < 20; i++)
        turn(w);
    *state = w;
    return 0;
}

static int close_farm(void **state)
{
    struct farm *w = *state;

    for (int i = 0; i < NODES; i++) {
        feed_stop(w, i);
        shared_port_free(w->node[i].port);
        weir_mailbox_close(&w->node[i].box);
        purge_free(w->node[i].table);
    }
    shared_free(w->shared);
    event_base_free(w->base);
    free(w);
    return 0;
}

/* ---- a purge, and its receipt ---- */

static void on_answer(struct purge_submission *s)
{
    *(uint64_t *)s->arg = s->sequence;
    purge_submission_free(s);
}

static uint64_t purge(struct farm *w)
{
    struct purge_target t = {.scope = PURGE_TAG, .tag = WEIR_SPAN_LIT("news")};
    struct purge_submission *s = purge_submission_new();
    struct purge_record r;
    uint64_t id = 0;

    assert_true(purge_record_make(w->node[0].table, &t, w->clock.wall_s, &r));
    assert_true(purge_submission_add(s, &r));
    s->home = &w->node[0].box;
    s->done = on_answer;
    s->arg = &id;
    purge_feed_submit(w->node[0].feed, s);
    for (int i = 0; id == 0 && i < TURNS_MAX; i++)
        turn(w);
    assert_true(id > 0);
    return id;
}

static void on_done(struct purge_receipt *r, void *arg)
{
    struct farm *w = arg;

    (void)r;
    w->done++;
}

static struct purge_receipt *begin(struct farm *w, uint64_t id, uint32_t wait_ms)
{
    const struct purge_receipt_options o = {
        .feed = w->node[0].feed,
        .members = &w->members,
        .loop = &w->node[0].loop,
        .id = id,
        .began_ms = w->clock.mono_ms,
        .wait_ms = wait_ms,
        .done = on_done,
        .arg = w,
    };
    struct purge_receipt *r = purge_receipt_new(&o);

    assert_non_null(r);
    w->done = 0;
    return r;
}

static void await(struct farm *w)
{
    for (int i = 0; w->done == 0 && i < TURNS_MAX; i++)
        wait_a_bit(w);
    assert_int_equal(w->done, 1);
}

/* Which have it, a capital letter for each; the others small; who is gone: a digit. */
static void assert_rows(const struct purge_receipt *r, const char *expected)
{
    const struct purge_receipt_row *rows;
    size_t count = purge_receipt_rows(r, &rows);

    assert_int_equal(count, strlen(expected));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].id[0] - (rows[i].gone      ? 'a' - '1'
                                          : rows[i].applied ? 'a' - 'A'
                                                            : 0),
                         expected[i]);
        assert_int_equal(strlen(rows[i].id), 1);
        assert_in_range(rows[i].ms, 0, purge_receipt_ms(r));
    }
}

static void all_live_nodes_say_that_they_have_it(void **state)
{
    struct farm *w = *state;

    for (int i = 0; i < 20; i++) { /* a subscription is made with the first */
        struct purge_receipt *r = begin(w, purge(w), WAIT_MS);

        await(w);
        assert_true(purge_receipt_complete(r));
        assert_rows(r, "ABC");
        assert_in_range(purge_receipt_ms(r), 0, 1000);
        purge_receipt_free(r);
    }
}

static void who_does_not_say_so_is_named(void **state)
{
    struct farm *w = *state;
    struct purge_receipt *r;

    feed_stop(w, 2);
    r = begin(w, purge(w), 100);
    await(w);
    assert_false(purge_receipt_complete(r));
    assert_rows(r, "ABc");
    assert_in_range(purge_receipt_ms(r), 100, 2000);
    purge_receipt_free(r);
}

static void the_next_beat_says_it_as_well(void **state)
{
    struct farm *w = *state;
    struct purge_receipt *r;
    uint64_t id;

    feed_stop(w, 1);
    feed_start(w, 1, NULL); /* of a version that knows of no acks */
    id = purge(w);
    r = begin(w, id, WAIT_MS);
    for (int i = 0; i < 10; i++)
        wait_a_bit(w);
    assert_int_equal(w->done, 0);
    w->members.list[1].brief.purges = id - 1;
    wait_a_bit(w);
    assert_int_equal(w->done, 0);
    w->members.list[1].brief.purges = id;
    await(w);
    assert_rows(r, "ABC");
    purge_receipt_free(r);
}

static void who_is_no_member_any_more_is_not_waited_for(void **state)
{
    struct farm *w = *state;
    struct purge_receipt *r;

    feed_stop(w, 2);
    r = begin(w, purge(w), WAIT_MS);
    for (int i = 0; i < 10; i++)
        wait_a_bit(w);
    assert_int_equal(w->done, 0);
    w->members.count = 2;
    await(w);
    assert_true(purge_receipt_complete(r));
    assert_rows(r, "AB3");
    purge_receipt_free(r);
}

static void who_joins_meanwhile_is_asked_too(void **state)
{
    struct farm *w = *state;
    struct purge_receipt *r;
    uint64_t id;

    feed_stop(w, 2);
    w->members.count = 1;
    w->members.current = false; /* not known yet who there is */
    id = purge(w);
    r = begin(w, id, WAIT_MS);
    for (int i = 0; i < 5; i++)
        wait_a_bit(w);
    assert_int_equal(w->done, 0);
    w->members.count = NODES;
    w->members.current = true;
    for (int i = 0; i < 5; i++)
        wait_a_bit(w);
    assert_int_equal(w->done, 0);
    feed_start(w, 2, &w->key);
    await(w);
    assert_true(purge_receipt_complete(r));
    assert_rows(r, "ABC");
    purge_receipt_free(r);
}

static void a_list_that_is_not_the_farms_is_never_complete(void **state)
{
    struct farm *w = *state;
    struct purge_receipt *r;

    w->members.current = false;
    r = begin(w, purge(w), 60);
    await(w);
    assert_rows(r, "ABC");
    assert_false(purge_receipt_complete(r));
    purge_receipt_free(r);
}

static void a_strangers_ack_counts_for_nothing(void **state)
{
    struct farm *w = *state;
    struct weir_seal_key other;
    struct purge_receipt *r;

    assert_true(weir_seal_key_derive(&other, WEIR_SPAN_LIT("other"), WEIR_SPAN_LIT("farm"), NULL));
    feed_stop(w, 2);
    feed_start(w, 2, &other);
    r = begin(w, purge(w), 100);
    await(w);
    assert_false(purge_receipt_complete(r));
    assert_rows(r, "ABc");
    purge_receipt_free(r);
}

static void two_members_of_one_name_are_two(void **state)
{
    struct farm *w = *state;
    struct purge_receipt *r;

    w->members.list[2].id = "b";
    r = begin(w, purge(w), 100);
    await(w);
    assert_rows(r, "ABb");
    purge_receipt_free(r);
}

static void several_receipts_are_waited_for_at_once(void **state)
{
    struct farm *w = *state;
    struct purge_receipt *r[20];

    for (int i = 0; i < 20; i++)
        r[i] = begin(w, purge(w), WAIT_MS);
    w->done = 0;
    for (int i = 0; w->done < 20 && i < TURNS_MAX; i++)
        wait_a_bit(w);
    for (int i = 0; i < 20; i++) {
        assert_rows(r[i], "ABC");
        purge_receipt_free(r[i]);
    }
}

static void a_receipt_may_be_given_up(void **state)
{
    struct farm *w = *state;
    struct purge_receipt *r;

    for (int i = 0; i < 8; i++) {
        r = begin(w, purge(w), WAIT_MS);
        for (int k = 0; k < i && w->done == 0; k++)
            wait_a_bit(w);
        purge_receipt_free(r);
    }
    purge_receipt_free(NULL);
    purge_receipt_free(begin(w, purge(w), WAIT_MS));
    for (int i = 0; i < 5; i++)
        wait_a_bit(w);
    assert_int_equal(w->done, 0);
}

#ifdef WEIR_FAULTS
static void without_memory_there_is_no_receipt_or_an_incomplete_one(void **state)
{
    struct farm *w = *state;
    uint64_t id = purge(w);
    bool failed = true;

    for (unsigned long n = 1; failed; n++) {
        const struct purge_receipt_options o = {.feed = w->node[0].feed,
                                                .members = &w->members,
                                                .loop = &w->node[0].loop,
                                                .id = id,
                                                .began_ms = w->clock.mono_ms,
                                                .wait_ms = 300,
                                                .done = on_done,
                                                .arg = w};
        struct purge_receipt *r;

        assert_in_range(n, 1, 200);
        w->done = 0;
        weir_alloc_fail_at(n);
        r = purge_receipt_new(&o);
        if (r != NULL)
            await(w);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_true(r != NULL || failed);
        assert_true(r == NULL || failed || purge_receipt_complete(r));
        purge_receipt_free(r);
    }
}
#endif

#define FARM(test) cmocka_unit_test_setup_teardown(test, open_farm, close_farm)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FARM(all_live_nodes_say_that_they_have_it),
        FARM(who_does_not_say_so_is_named),
        FARM(the_next_beat_says_it_as_well),
        FARM(who_is_no_member_any_more_is_not_waited_for),
        FARM(who_joins_meanwhile_is_asked_too),
        FARM(a_list_that_is_not_the_farms_is_never_complete),
        FARM(a_strangers_ack_counts_for_nothing),
        FARM(two_members_of_one_name_are_two),
        FARM(several_receipts_are_waited_for_at_once),
        FARM(a_receipt_may_be_given_up),
#ifdef WEIR_FAULTS
        FARM(without_memory_there_is_no_receipt_or_an_incomplete_one),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
