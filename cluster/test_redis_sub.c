#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_redis.h"
#include "redis_settings.h"
#include "redis_sub.h"
#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"

struct test {
    struct event_base *base;
    struct redis_loop *loop;
    struct redis_settings conn;
    struct redis_cluster_settings settings;
    struct redis_address seed;
    struct fake a, b;
    struct redis_cluster *cluster;
    struct redis_sub *sub;
};

struct listener {
    struct redis_channel ch;
    struct test *t;
    int gaps, messages;
    char last[64];
    void (*then)(struct listener *l);
};

#define WAIT_FOR(t, condition)                                                                     \
    do {                                                                                           \
        int64_t until = redis_now_ms() + 5000;                                                     \
        while (!(condition)) {                                                                     \
            if (redis_now_ms() > until)                                                            \
                fail_msg("waited in vain for " #condition);                                        \
            event_base_loop((t)->base, EVLOOP_ONCE);                                               \
        }                                                                                          \
    } while (0)

/* a has the lower half of the slots, b the upper one. "x" is in the upper, "foo{b}" in the lower.
 */
#define UPPER "x"
#define LOWER "foo{b}"

static void map_two(struct test *t, struct fake *lower, struct fake *upper)
{
    for (struct fake *f = &t->a; f <= &t->b; f++)
        snprintf(f->slots, sizeof f->slots,
                 "*2\n*3\n:0\n:8191\n*2\n$9\n127.0.0.1\n:%d\n"
                 "*3\n:8192\n:16383\n*2\n$9\n127.0.0.1\n:%d\n",
                 lower->port, upper->port);
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof *t);

    t->base = event_base_new();
    t->loop = redis_loop_new(t->base, NULL);
    t->conn = redis_settings_default();
    fake_start(&t->a, t->base, "a");
    fake_start(&t->b, t->base, "b");
    map_two(t, &t->a, &t->b);
    redis_address_set(&t->seed, WEIR_SPAN_LIT("127.0.0.1"), t->a.port);
    t->settings = (struct redis_cluster_settings){.name = "test",
                                                  .seeds = &t->seed,
                                                  .seed_count = 1,
                                                  .conn = &t->conn,
                                                  .breaker = {.first_ms = 60, .most_ms = 120},
                                                  .refresh_least_ms = 10,
                                                  .refresh_most_ms = 50};
    t->cluster = redis_cluster_new(t->loop, &t->settings, NULL);
    t->sub = redis_sub_new(t->cluster, NULL);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;

    redis_sub_free(t->sub);
    redis_cluster_free(t->cluster);
    fake_stop(&t->a);
    fake_stop(&t->b);
    redis_loop_free(t->loop);
    event_base_free(t->base);
    free(t);
    return 0;
}

static void on_message(struct redis_channel *ch, struct weir_span bytes)
{
    struct listener *l = WEIR_CONTAINER(ch, struct listener, ch);

    l->messages++;
    snprintf(l->last, sizeof l->last, "%.*s", (int)bytes.len, bytes.ptr);
    if (l->then != NULL)
        l->then(l);
}

static void on_gap(struct redis_channel *ch)
{
    struct listener *l = WEIR_CONTAINER(ch, struct listener, ch);

    l->gaps++;
}

static void listen_to(struct test *t, struct listener *l, const char *name)
{
    l->t = t;
    l->ch.on_message = on_message;
    l->ch.on_gap = on_gap;
    assert_true(redis_sub_add(t->sub, &l->ch, weir_span_str(name), NULL));
    assert_int_equal(l->gaps, 0);
}

/* From what the node takes for its subscribers. */
static void publish(struct fake *f, const char *name, const char *text)
{
    char push[256];

    snprintf(push, sizeof push, "*3\n$8\nsmessage\n$%zu\n%s\n$%zu\n%s\n", strlen(name), name,
             strlen(text), text);
    for (int i = 0; i < FAKE_CLIENTS; i++)
        if (f->clients[i] != NULL && f->clients[i]->subscribed)
            fake_say(f->clients[i], push);
}

/* Before what listens goes out of scope. */
static void end(struct test *t)
{
    redis_sub_free(t->sub);
    t->sub = NULL;
}

static struct redis_sub_stats stats(struct test *t)
{
    struct redis_sub_stats s;

    redis_sub_stats(t->sub, &s);
    return s;
}

static void a_channel_is_heard_at_the_owner_of_its_slot(void **state)
{
    struct test *t = *state;
    struct listener low = {0}, up = {0};

    listen_to(t, &low, LOWER);
    listen_to(t, &up, UPPER);
    assert_false(redis_channel_live(&low.ch));
    WAIT_FOR(t, low.gaps == 1 && up.gaps == 1);
    assert_true(redis_channel_live(&low.ch));
    assert_int_equal(fake_heard(&t->a, "SSUBSCRIBE " LOWER "\n"), 1);
    assert_int_equal(fake_heard(&t->b, "SSUBSCRIBE " UPPER "\n"), 1);
    publish(&t->a, LOWER, "one");
    publish(&t->b, UPPER, "two");
    WAIT_FOR(t, low.messages == 1 && up.messages == 1);
    assert_string_equal(low.last, "one");
    assert_string_equal(up.last, "two");
    assert_int_equal(stats(t).live, 2);
    assert_int_equal(stats(t).connections, 2);
    end(t);
}

static void one_redis_alone_is_listened_to_as_well(void **state)
{
    struct test *t = *state;
    struct listener l = {0};

    fake_rule(&t->a, "CLUSTER SLOTS", -1, "-ERR This instance has cluster support disabled\n");
    listen_to(t, &l, UPPER);
    WAIT_FOR(t, l.gaps == 1);
    publish(&t->a, UPPER, "one");
    WAIT_FOR(t, l.messages == 1);
    end(t);
}

static void several_listen_to_one_subscription(void **state)
{
    struct test *t = *state;
    struct listener one = {0}, two = {0}, late = {0};

    listen_to(t, &one, LOWER);
    listen_to(t, &two, LOWER);
    WAIT_FOR(t, one.gaps == 1 && two.gaps == 1);
    listen_to(t, &late, LOWER);
    WAIT_FOR(t, late.gaps == 1); /* told at once: it is live */
    assert_int_equal(one.gaps, 1);
    publish(&t->a, LOWER, "m");
    WAIT_FOR(t, one.messages == 1 && two.messages == 1 && late.messages == 1);
    redis_sub_remove(&one.ch);
    redis_sub_remove(&one.ch);
    publish(&t->a, LOWER, "m");
    WAIT_FOR(t, two.messages == 2 && late.messages == 2);
    assert_int_equal(one.messages, 1);
    assert_int_equal(fake_heard(&t->a, "SSUBSCRIBE"), 1);
    redis_sub_remove(&two.ch);
    redis_sub_remove(&late.ch);
    WAIT_FOR(t, stats(t).connections == 0); /* nobody listens: not needed */
    assert_int_equal(stats(t).topics, 0);
    end(t);
}

static void each_lost_connection_is_a_gap(void **state)
{
    struct test *t = *state;
    struct listener l = {0};

    listen_to(t, &l, UPPER);
    for (int i = 1; i <= 3; i++) {
        WAIT_FOR(t, l.gaps == i);
        fake_drop_clients(&t->b);
        WAIT_FOR(t, !redis_channel_live(&l.ch));
    }
    WAIT_FOR(t, l.gaps == 4);
    assert_true(stats(t).lost >= 3);
    end(t);
}

static void a_subscription_that_the_node_ends_is_made_again_where_the_slot_is(void **state)
{
    struct test *t = *state;
    struct listener l = {0};

    listen_to(t, &l, LOWER);
    WAIT_FOR(t, l.gaps == 1);
    map_two(t, &t->b, &t->b);
    for (int i = 0; i < FAKE_CLIENTS; i++)
        if (t->a.clients[i] != NULL && t->a.clients[i]->subscribed)
            fake_say(t->a.clients[i], "*3\n$12\nsunsubscribe\n$6\n" LOWER "\n:0\n");
    WAIT_FOR(t, l.gaps == 2);
    assert_int_equal(fake_heard(&t->b, "SSUBSCRIBE " LOWER), 1);
    publish(&t->b, LOWER, "m");
    WAIT_FOR(t, l.messages == 1);
    end(t);
}

static void a_new_owner_is_a_gap_even_if_nobody_says_so(void **state)
{
    struct test *t = *state;
    struct listener l = {0};

    listen_to(t, &l, LOWER);
    WAIT_FOR(t, l.gaps == 1);
    map_two(t, &t->b, &t->b);
    redis_cluster_suspect(t->cluster, NULL);
    WAIT_FOR(t, l.gaps == 2);
    assert_int_equal(fake_heard(&t->b, "SSUBSCRIBE " LOWER), 1);
    WAIT_FOR(t, stats(t).connections == 1);
    end(t);
}

static void moved_is_followed(void **state)
{
    struct test *t = *state;
    struct listener l = {0};
    char text[64];

    map_two(t, &t->a, &t->a);
    snprintf(text, sizeof text, "-MOVED %d 127.0.0.1:%d\n", redis_slot(WEIR_SPAN_LIT(UPPER)),
             t->b.port);
    fake_rule(&t->a, "SSUBSCRIBE", -1, text);
    listen_to(t, &l, UPPER);
    WAIT_FOR(t, l.gaps == 1);
    assert_int_equal(fake_heard(&t->b, "SSUBSCRIBE"), 1);
    end(t);
}

static void a_refusal_is_tried_again_ever_more_slowly(void **state)
{
    struct test *t = *state;
    struct listener refused = {0}, other = {0};

    fake_rule(&t->a, "SSUBSCRIBE " LOWER, 3, "-CLUSTERDOWN The cluster is down\n");
    listen_to(t, &refused, LOWER);
    listen_to(t, &other, "other{b}");
    WAIT_FOR(t, other.gaps == 1); /* the error is that of the right one */
    assert_int_equal(refused.gaps, 0);
    WAIT_FOR(t, refused.gaps == 1);
    assert_int_equal(fake_heard(&t->a, "SSUBSCRIBE " LOWER), 4);
    assert_int_equal(stats(t).errors, 3);
    end(t);
}

static void a_node_that_is_away_is_found_again(void **state)
{
    struct test *t = *state;
    struct listener l = {0};

    fake_vanish(&t->b);
    listen_to(t, &l, UPPER);
    WAIT_FOR(t, stats(t).lost >= 2);
    fake_return(&t->b);
    WAIT_FOR(t, l.gaps == 1);
    end(t);
}

static void what_makes_no_sense_is_passed_over(void **state)
{
    static const char *const odd[] = {
        "*0\n",
        "*1\n$8\nsmessage\n",
        "*2\n$8\nsmessage\n$1\nx\n",
        "*3\n$8\nsmessage\n$1\nx\n:5\n",
        "*3\n$8\nsmessage\n:1\n$1\nx\n",
        "*3\n$8\nsmessage\n$7\nunknown\n$1\nx\n",
        "*3\n$12\nsunsubscribe\n$-1\n:0\n",
        "*3\n$12\nsunsubscribe\n$7\nunknown\n:0\n",
        "*3\n$10\nssubscribe\n$7\nunknown\n:1\n",
        "*1\n$10\nssubscribe\n",
        "-ERR nobody knows why\n",
    };
    struct test *t = *state;
    struct listener l = {0};

    listen_to(t, &l, UPPER);
    WAIT_FOR(t, l.gaps == 1);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        for (int k = 0; k < FAKE_CLIENTS; k++)
            if (t->b.clients[k] != NULL && t->b.clients[k]->subscribed)
                fake_say(t->b.clients[k], odd[i]);
    publish(&t->b, UPPER, "m");
    WAIT_FOR(t, l.messages == 1);
    assert_int_equal(l.gaps, 1);
    end(t);
}

static void remove_all(struct listener *l)
{
    for (int i = 0; i < 3; i++)
        redis_sub_remove(&l[i].ch);
}

static void free_all(struct listener *l)
{
    redis_sub_free(l->t->sub);
    l->t->sub = NULL;
    redis_cluster_free(l->t->cluster);
    l->t->cluster = NULL;
}

static void add_another(struct listener *l)
{
    static struct listener more;

    memset(&more, 0, sizeof more);
    listen_to(l->t, &more, LOWER);
    redis_sub_remove(&more.ch);
}

static void listeners_may_do_anything(void **state)
{
    void (*const deeds[])(struct listener *) = {add_another, remove_all, free_all};
    struct test *t = *state;

    for (size_t d = 0; d < sizeof deeds / sizeof deeds[0]; d++) {
        struct listener l[3] = {0};

        for (int i = 2; i >= 0; i--) /* the newest is told first: l[0] */
            listen_to(t, &l[i], LOWER);
        WAIT_FOR(t, l[0].gaps == 1 && l[1].gaps == 1 && l[2].gaps == 1);
        l[0].then = deeds[d];
        publish(&t->a, LOWER, "m");
        WAIT_FOR(t, l[0].messages == 1);
        assert_int_equal(l[1].messages, deeds[d] == add_another);
        for (int i = 0; i < 3; i++)
            redis_sub_remove(&l[i].ch);
        event_base_loop(t->base, EVLOOP_NONBLOCK);
    }
}

static void freed_in_the_middle_of_subscribing(void **state)
{
    struct test *t = *state;
    struct listener l = {0};

    listen_to(t, &l, LOWER);
    WAIT_FOR(t, stats(t).connections == 1);
    redis_sub_free(t->sub);
    t->sub = NULL;
    redis_sub_remove(&l.ch);
    for (int i = 0; i < 5; i++)
        event_base_loop(t->base, EVLOOP_NONBLOCK);
    assert_int_equal(l.gaps, 0);
}

static void names_are_bounded(void **state)
{
    struct test *t = *state;
    struct redis_channel ch = {0};
    char name[600];

    memset(name, 'x', sizeof name);
    assert_false(redis_sub_add(t->sub, &ch, weir_span(name, sizeof name), NULL));
    assert_false(redis_sub_add(t->sub, &ch, WEIR_SPAN_NONE, NULL));
    assert_null(ch.topic);
}

#ifdef WEIR_FAULTS
static void without_memory_it_is_late_but_it_comes(void **state)
{
    struct test *t = *state;
    struct listener warm = {0};

    listen_to(t, &warm, UPPER);
    WAIT_FOR(t, warm.gaps == 1);
    for (unsigned long n = 1; n < 25; n++) {
        struct listener l = {.ch = {.on_message = on_message, .on_gap = on_gap}};
        bool listening;

        weir_alloc_fail_at(n);
        listening = redis_sub_add(t->sub, &l.ch, WEIR_SPAN_LIT(LOWER), NULL);
        event_base_loop(t->base, EVLOOP_NONBLOCK); /* settles; the fakes have nothing to do yet */
        weir_alloc_fail_at(0);
        if (listening)
            WAIT_FOR(t, l.gaps == 1);
        redis_sub_remove(&l.ch);
        WAIT_FOR(t, stats(t).topics == 1);
    }
    end(t);
}
#endif

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_channel_is_heard_at_the_owner_of_its_slot),
        TEST(one_redis_alone_is_listened_to_as_well),
        TEST(several_listen_to_one_subscription),
        TEST(each_lost_connection_is_a_gap),
        TEST(a_subscription_that_the_node_ends_is_made_again_where_the_slot_is),
        TEST(a_new_owner_is_a_gap_even_if_nobody_says_so),
        TEST(moved_is_followed),
        TEST(a_refusal_is_tried_again_ever_more_slowly),
        TEST(a_node_that_is_away_is_found_again),
        TEST(what_makes_no_sense_is_passed_over),
        TEST(listeners_may_do_anything),
        TEST(freed_in_the_middle_of_subscribing),
        TEST(names_are_bounded),
#ifdef WEIR_FAULTS
        TEST(without_memory_it_is_late_but_it_comes),
#endif
    };

    weir_log_set_level(WEIR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
