#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_redis.h"
#include "redis_cluster.h"
#include "redis_settings.h"
#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"

/* ---- a cluster of three fakes; d is a spare: a replica, or a node that comes later ---- */

struct test {
    struct event_base *base;
    struct redis_loop *loop;
    struct redis_settings conn;
    struct redis_cluster_settings settings;
    struct redis_address seeds[3];
    struct fake a, b, c, d;
    struct redis_cluster *cluster;
};

/* One call and what became of it. */
struct ask {
    struct redis_call call;
    struct test *t;
    bool asking; /* done() must not come while this is true */
    int done;
    enum redis_result result;
    char text[256];
    void (*then)(struct ask *a);
};

static void turn(struct test *t)
{
    event_base_loop(t->base, EVLOOP_ONCE);
}

#define WAIT_FOR(t, condition)                                                                     \
    do {                                                                                           \
        int64_t until = redis_now_ms() + 5000;                                                     \
        while (!(condition)) {                                                                     \
            if (redis_now_ms() > until)                                                            \
                fail_msg("waited in vain for " #condition);                                        \
            turn(t);                                                                               \
        }                                                                                          \
    } while (0)

static void map_three(struct test *t, struct fake *a, struct fake *b, struct fake *c,
                      struct fake *replica_of_a)
{
    char one[256] = "";
    char text[2048];

    if (replica_of_a != NULL)
        snprintf(one, sizeof one, "*3\n$9\n127.0.0.1\n:%d\n$2\nid\n", replica_of_a->port);
    snprintf(text, sizeof text,
             "*3\n"
             "*%d\n:0\n:5460\n*3\n$9\n127.0.0.1\n:%d\n$2\nid\n%s"
             "*3\n:5461\n:10922\n*3\n$9\n127.0.0.1\n:%d\n$2\nid\n"
             "*3\n:10923\n:16383\n*3\n$9\n127.0.0.1\n:%d\n$2\nid\n",
             replica_of_a != NULL ? 4 : 3, a->port, one, b->port, c->port);
    for (struct fake *f = &t->a; f <= &t->d; f++)
        snprintf(f->slots, sizeof f->slots, "%s", text);
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof *t);

    t->base = event_base_new();
    t->loop = redis_loop_new(t->base, NULL);
    t->conn = redis_settings_default();
    fake_start(&t->a, t->base, "a");
    fake_start(&t->b, t->base, "b");
    fake_start(&t->c, t->base, "c");
    fake_start(&t->d, t->base, "d");
    map_three(t, &t->a, &t->b, &t->c, NULL);
    for (int i = 0; i < 3; i++)
        redis_address_set(&t->seeds[i], WEIR_SPAN_LIT("127.0.0.1"), (&t->a)[i].port);
    t->settings = (struct redis_cluster_settings){.name = "test",
                                                  .seeds = t->seeds,
                                                  .seed_count = 3,
                                                  .conn = &t->conn,
                                                  .breaker = {.first_ms = 60, .most_ms = 120},
                                                  .refresh_least_ms = 10,
                                                  .refresh_most_ms = 50};
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;

    redis_cluster_free(t->cluster);
    for (struct fake *f = &t->a; f <= &t->d; f++)
        fake_stop(f);
    redis_loop_free(t->loop);
    event_base_free(t->base);
    free(t);
    return 0;
}

static void start(struct test *t)
{
    t->cluster = redis_cluster_new(t->loop, &t->settings, NULL);
    assert_non_null(t->cluster);
}

static const struct redis_cluster_stats *stats(struct test *t)
{
    static struct redis_cluster_stats *last;

    free(last);
    last = t->cluster != NULL ? redis_cluster_stats(t->cluster) : NULL;
    return last;
}

static void start_and_know_the_map(struct test *t)
{
    start(t);
    WAIT_FOR(t, stats(t)->map_version == 1);
}

/* A key whose slot is in the part of a (0), b (1) or c (2). */
static const char *key_of(int part)
{
    static char keys[3][16];

    for (int i = 0; i < 1000; i++) {
        snprintf(keys[part], sizeof keys[part], "key%d", i);
        if (redis_slot(weir_span_str(keys[part])) / 5461 == part)
            return keys[part];
    }
    return NULL;
}

static void on_done(struct redis_call *call)
{
    struct ask *a = WEIR_CONTAINER(call, struct ask, call);

    assert_false(a->asking);
    assert_true(redis_call_idle(call));
    a->done++;
    a->result = call->result;
    assert_true((call->reply != NULL) == (call->result == REDIS_OK));
    if (call->reply != NULL)
        snprintf(a->text, sizeof a->text, "%.*s", (int)call->reply->text.len,
                 call->reply->text.ptr);
    else
        snprintf(a->text, sizeof a->text, "(%s)", redis_result_name(call->result));
    if (a->then != NULL)
        a->then(a);
}

static void ask_words(struct test *t, struct ask *a, enum redis_call_kind kind, const char *word,
                      const char *key)
{
    const struct redis_arg argv[] = {redis_arg_str(word), redis_arg_str(key)};

    a->t = t;
    a->call.done = on_done;
    a->call.kind = kind;
    if (a->call.timeout_ms == 0)
        a->call.timeout_ms = 2000;
    a->done = 0;
    a->asking = true;
    redis_call_command(t->cluster, &a->call, weir_span_str(key), argv, 2);
    a->asking = false;
}

static const char *outcome(struct test *t, struct ask *a)
{
    WAIT_FOR(t, a->done > 0);
    assert_int_equal(a->done, 1);
    return a->text;
}

static const char *get(struct test *t, const char *key)
{
    static struct ask a;

    memset(&a, 0, sizeof a);
    ask_words(t, &a, REDIS_READ, "GET", key);
    return outcome(t, &a);
}

static const char *set(struct test *t, enum redis_call_kind kind, const char *key)
{
    static struct ask a;

    memset(&a, 0, sizeof a);
    ask_words(t, &a, kind, "SET", key);
    return outcome(t, &a);
}

static const char *answer_of(const char *node, const char *word, const char *key)
{
    static char text[128];

    snprintf(text, sizeof text, "%s %s %s", node, word, key != NULL ? key : "(null)");
    return text;
}

static void rule(struct fake *f, const char *command, int times, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void rule(struct fake *f, const char *command, int times, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fake_rule(f, command, times, text);
}

static uint16_t slot_of(const char *key)
{
    return redis_slot(weir_span_str(key));
}

/* ---- finding out ---- */

static void a_key_goes_to_the_node_that_owns_its_slot(void **state)
{
    struct test *t = *state;

    start(t);
    assert_true(redis_cluster_ready(t->cluster));
    for (int i = 0; i < 3; i++)
        assert_string_equal(get(t, key_of(i)), answer_of((&t->a)[i].name, "GET", key_of(i)));
    assert_int_equal(stats(t)->mode, REDIS_MODE_CLUSTER);
    assert_int_equal(stats(t)->shard_count, 3);
    assert_int_equal(stats(t)->covered, REDIS_SLOTS);
    assert_int_equal(stats(t)->shards[0].slots, 5461);
}

static void one_redis_alone_owns_all_slots(void **state)
{
    struct test *t = *state;

    t->settings.seed_count = 1;
    rule(&t->a, "CLUSTER SLOTS", -1, "-ERR This instance has cluster support disabled\n");
    start(t);
    for (int i = 0; i < 3; i++)
        assert_string_equal(get(t, key_of(i)), answer_of("a", "GET", key_of(i)));
    assert_int_equal(stats(t)->mode, REDIS_MODE_PLAIN);
    assert_int_equal(stats(t)->covered, REDIS_SLOTS);
}

static void with_nobody_there_calls_end_at_once_and_later_all_is_well(void **state)
{
    struct test *t = *state;

    for (struct fake *f = &t->a; f <= &t->c; f++)
        fake_vanish(f);
    start(t);
    assert_string_equal(get(t, "x"), "(gone)");
    WAIT_FOR(t, !redis_cluster_ready(t->cluster));
    assert_string_equal(get(t, "x"), "(gone)");
    for (struct fake *f = &t->a; f <= &t->c; f++)
        fake_return(f);
    WAIT_FOR(t, redis_cluster_ready(t->cluster) && stats(t)->map_version == 1);
    WAIT_FOR(t, strcmp(get(t, key_of(0)), answer_of("a", "GET", key_of(0))) == 0);
}

static void a_seed_that_is_down_is_passed_over(void **state)
{
    struct test *t = *state;

    fake_vanish(&t->a);
    fake_vanish(&t->b);
    start(t);
    WAIT_FOR(t, stats(t)->map_version == 1);
    assert_string_equal(get(t, key_of(2)), answer_of("c", "GET", key_of(2)));
}

static void maps_that_make_no_sense_are_not_taken(void **state)
{
    struct test *t = *state;

    t->settings.seed_count = 2;
    rule(&t->a, "CLUSTER SLOTS", -1, "*0\n");
    rule(&t->b, "CLUSTER SLOTS", 1, "*1\n*3\n:0\n:99999\n*2\n$1\nx\n:1\n");
    rule(&t->b, "CLUSTER SLOTS", 1, "+OK\n");
    start(t);
    WAIT_FOR(t, stats(t)->map_version == 1);
    assert_string_equal(get(t, key_of(2)), answer_of("c", "GET", key_of(2)));
    assert_true(stats(t)->refreshes_failed >= 2);
    assert_int_equal(stats(t)->node_count, 3);
}

static void a_node_that_has_forgotten_its_cluster_changes_nothing(void **state)
{
    struct test *t = *state;

    t->settings.refresh_ms = 12;
    start_and_know_the_map(t);
    for (struct fake *f = &t->a; f <= &t->c; f++)
        rule(f, "CLUSTER SLOTS", -1,
             f == &t->b ? "-ERR This instance has cluster support disabled\n" : "*0\n");
    WAIT_FOR(t, stats(t)->refreshes_failed > 8);
    assert_int_equal(stats(t)->mode, REDIS_MODE_CLUSTER);
    assert_int_equal(stats(t)->map_version, 1);
    assert_string_equal(get(t, key_of(0)), answer_of("a", "GET", key_of(0)));
}

/* Two hundred masters where nobody listens. */
static void whom_the_operator_named_is_asked_when_a_map_names_nobody(void **state)
{
    struct test *t = *state;
    char text[16384];
    int n = snprintf(text, sizeof text, "*200\n");
    int64_t end_ms = redis_now_ms() + 5000;

    for (int i = 0; i < 200; i++)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "*3\n:%d\n:%d\n*3\n$9\n127.0.0.1\n:%d\n$2\nid\n", i * 80, i * 80 + 79, i + 1);
    t->settings.seed_count = 1;
    fake_rule(&t->a, "CLUSTER SLOTS", 1, text);
    start(t);
    WAIT_FOR(t, stats(t)->map_version == 1);
    while (stats(t)->map_version == 1 && redis_now_ms() < end_ms)
        get(t, key_of(0));
    assert_int_equal(stats(t)->map_version, 2);
    assert_in_range(stats(t)->refreshes, 2, 6);
    assert_string_equal(get(t, key_of(0)), answer_of("a", "GET", key_of(0)));
}

static void the_map_is_asked_for_now_and_then(void **state)
{
    struct test *t = *state;

    t->settings.refresh_ms = 12;
    start_and_know_the_map(t);
    WAIT_FOR(t, stats(t)->refreshes >= 5);
    assert_int_equal(stats(t)->map_version, 1);
    assert_int_equal(stats(t)->refreshes_failed, 0);
}

static void a_node_that_leaves_the_map_is_let_go(void **state)
{
    struct test *t = *state;

    t->settings.refresh_ms = 12;
    t->settings.seed_count = 1;
    start_and_know_the_map(t);
    assert_string_equal(get(t, key_of(1)), answer_of("b", "GET", key_of(1)));
    map_three(t, &t->a, &t->d, &t->c, NULL);
    WAIT_FOR(t, stats(t)->map_version == 2);
    WAIT_FOR(t, t->b.clients[0] == NULL && t->b.clients[1] == NULL);
    assert_string_equal(get(t, key_of(1)), answer_of("d", "GET", key_of(1)));
}

/* ---- redirections ---- */

static void moved_is_followed_and_remembered(void **state)
{
    struct test *t = *state;
    const char *key = key_of(0);
    uint64_t refreshes;

    start_and_know_the_map(t);
    refreshes = stats(t)->refreshes;
    snprintf(t->a.slots, sizeof t->a.slots, "%s", "*0\n"); /* no new map: the overlay alone */
    snprintf(t->b.slots, sizeof t->b.slots, "%s", "*0\n");
    snprintf(t->c.slots, sizeof t->c.slots, "%s", "*0\n");
    rule(&t->a, "GET", -1, "-MOVED %d 127.0.0.1:%d\n", slot_of(key), t->d.port);
    assert_string_equal(get(t, key), answer_of("d", "GET", key));
    assert_string_equal(get(t, key), answer_of("d", "GET", key));
    assert_int_equal(fake_heard(&t->a, "GET"), 1);
    WAIT_FOR(t, stats(t)->refreshes > refreshes);
    assert_int_equal(stats(t)->shard_count, 4);
    assert_int_equal(stats(t)->shards[3].slots, 1);
    assert_int_equal(stats(t)->nodes[0].moved, 1);
}

static void moved_to_the_same_host_may_leave_it_out(void **state)
{
    struct test *t = *state;
    const char *key = key_of(0);

    start_and_know_the_map(t);
    rule(&t->a, "SET", -1, "-MOVED %d :%d\n", slot_of(key), t->b.port);
    assert_string_equal(set(t, REDIS_WRITE, key), answer_of("b", "SET", key));
}

static void moved_in_circles_ends(void **state)
{
    struct test *t = *state;
    const char *key = key_of(0);

    start_and_know_the_map(t);
    rule(&t->a, "GET", -1, "-MOVED %d 127.0.0.1:%d\n", slot_of(key), t->b.port);
    rule(&t->b, "GET", -1, "-MOVED %d 127.0.0.1:%d\n", slot_of(key), t->a.port);
    assert_string_equal(get(t, key), "(gone)");
    assert_int_equal(fake_heard(&t->a, "GET") + fake_heard(&t->b, "GET"), 1 + REDIS_HOPS_MAX);
}

static void moved_to_itself_is_not_followed(void **state)
{
    struct test *t = *state;
    const char *key = key_of(0);

    start_and_know_the_map(t);
    rule(&t->a, "GET", -1, "-MOVED %d :%d\n", slot_of(key), t->a.port);
    assert_string_equal(get(t, key), "(gone)");
    assert_int_equal(fake_heard(&t->a, "GET"), 1);
}

static void moved_to_nowhere_ends(void **state)
{
    struct test *t = *state;
    const char *key = key_of(0);

    start_and_know_the_map(t);
    rule(&t->a, "GET", 1, "-MOVED\n");
    assert_string_equal(get(t, key), "(gone)");
    rule(&t->a, "GET", 1, "-MOVED %d 127.0.0.1:99999\n", slot_of(key));
    assert_string_equal(get(t, key), "(gone)");
    rule(&t->a, "GET", 1, "-MOVED 99999 127.0.0.1:%d\n", t->b.port);
    assert_string_equal(get(t, key), "(gone)");
    rule(&t->a, "GET", 1, "-MOVED %d 127.0.0.1:1\n", slot_of(key)); /* nobody listens there */
    assert_string_equal(get(t, key), "(gone)");
}

static void ask_is_for_once_and_asking_goes_right_before(void **state)
{
    struct test *t = *state;
    const char *key = key_of(0);
    struct ask many[20] = {0};

    start_and_know_the_map(t);
    rule(&t->a, "GET", -1, "-ASK %d 127.0.0.1:%d\n", slot_of(key), t->b.port);
    for (int i = 0; i < 20; i++)
        ask_words(t, &many[i], REDIS_READ, i % 2 == 0 ? "GET" : "TTL",
                  i % 2 == 0 ? key : key_of(1));
    for (int i = 0; i < 20; i++)
        assert_string_equal(outcome(t, &many[i]), i % 2 == 0 ? answer_of("b", "GET", key)
                                                             : answer_of("b", "TTL", key_of(1)));
    assert_int_equal(fake_heard(&t->a, "GET"), 10); /* not remembered */
    assert_int_equal(fake_heard(&t->b, "ASKING"), 10);
    for (const char *at = t->b.heard; (at = strstr(at, "ASKING\n")) != NULL; at += 7)
        assert_int_equal(strncmp(at + 7, "GET ", 4), 0);
    assert_int_equal(stats(t)->map_version, 1);
}

static void an_asked_node_that_moves_it_back_is_not_followed_for_ever(void **state)
{
    struct test *t = *state;
    const char *key = key_of(0);

    start_and_know_the_map(t);
    rule(&t->a, "GET", -1, "-ASK %d 127.0.0.1:%d\n", slot_of(key), t->b.port);
    rule(&t->b, "GET", -1, "-MOVED %d 127.0.0.1:%d\n", slot_of(key), t->a.port);
    assert_string_equal(get(t, key), "(gone)");
    assert_int_equal(fake_heard(&t->a, "GET") + fake_heard(&t->b, "GET"), 1 + REDIS_HOPS_MAX);
}

static void an_ipv6_address_is_followed(void **state)
{
    struct test *t = *state;
    const char *key = key_of(0);

    fake_vanish(&t->d);
    t->d.port = 0;
    fake_listen(&t->d, true);
    start_and_know_the_map(t);
    rule(&t->a, "GET", 1, "-ASK %d ::1:%d\n", slot_of(key), t->d.port);
    assert_string_equal(get(t, key), answer_of("d", "GET", key));
    rule(&t->a, "GET", 1, "-MOVED %d ::1:%d\n", slot_of(key), t->d.port);
    assert_string_equal(get(t, key), answer_of("d", "GET", key));
}

/* ---- errors ---- */

static void tryagain_is_tried_again_once(void **state)
{
    struct test *t = *state;

    start_and_know_the_map(t);
    rule(&t->a, "GET", 1, "-TRYAGAIN later\n");
    assert_string_equal(get(t, key_of(0)), answer_of("a", "GET", key_of(0)));
    rule(&t->a, "GET", 2, "-TRYAGAIN later\n");
    assert_string_equal(get(t, key_of(0)), "(gone)");
    assert_int_equal(fake_heard(&t->a, "GET"), 4);
}

static void clusterdown_opens_the_breaker_of_that_shard_alone(void **state)
{
    struct test *t = *state;

    start_and_know_the_map(t);
    rule(&t->a, "GET", 5, "-CLUSTERDOWN The cluster is down\n");
    for (int i = 0; i < 5; i++)
        assert_string_equal(get(t, key_of(0)), "(gone)");
    assert_int_equal(stats(t)->nodes[0].breaker, REDIS_BREAKER_OPEN);
    assert_int_equal(stats(t)->nodes[0].why, REDIS_OUTCOME_DOWN);
    assert_string_equal(get(t, key_of(0)), "(gone)");
    assert_int_equal(fake_heard(&t->a, "GET"), 5); /* not asked any more */
    assert_string_equal(get(t, key_of(1)), answer_of("b", "GET", key_of(1)));
    assert_true(redis_cluster_ready(t->cluster));
    WAIT_FOR(t, stats(t)->nodes[0].breaker == REDIS_BREAKER_CLOSED); /* PING was answered */
    assert_string_equal(get(t, key_of(0)), answer_of("a", "GET", key_of(0)));
}

static void a_read_goes_to_another_copy_when_one_cannot(void **state)
{
    static const char *const why[] = {"-LOADING the dataset\n", "-MASTERDOWN Link is down\n",
                                      "-CLUSTERDOWN The cluster is down\n",
                                      "-ERR max number of clients reached\n"};
    struct test *t = *state;

    map_three(t, &t->a, &t->b, &t->c, &t->d);
    t->settings.replica_reads = true;
    t->settings.breaker.in_a_row = 1000;
    t->settings.breaker.least = 1000;
    start_and_know_the_map(t);
    for (size_t i = 0; i < sizeof why / sizeof why[0]; i++) {
        rule(&t->a, "GET", -1, "%s", why[i]);
        for (int k = 0; k < 8; k++)
            assert_string_equal(get(t, key_of(0)), answer_of("d", "GET", key_of(0)));
        fake_forget_rules(&t->a);
        rule(&t->d, "GET", -1, "%s", why[i]);
        for (int k = 0; k < 8; k++)
            assert_string_equal(get(t, key_of(0)), answer_of("a", "GET", key_of(0)));
        fake_forget_rules(&t->d);
    }
    assert_true(fake_heard(&t->d, "READONLY") > 0);
}

static void reads_are_spread_over_the_copies_and_nothing_else_is(void **state)
{
    struct test *t = *state;
    struct ask a = {0};

    map_three(t, &t->a, &t->b, &t->c, &t->d);
    t->settings.replica_reads = true;
    start_and_know_the_map(t);
    for (int i = 0; i < 60; i++)
        get(t, key_of(0));
    assert_in_range(fake_heard(&t->a, "GET"), 10, 50);
    assert_int_equal(fake_heard(&t->a, "GET") + fake_heard(&t->d, "GET"), 60);
    for (int i = 0; i < 20; i++) {
        set(t, REDIS_WRITE, key_of(0));
        ask_words(t, &a, REDIS_READ_MASTER, "TTL", key_of(0));
        outcome(t, &a);
    }
    assert_int_equal(fake_heard(&t->d, "SET") + fake_heard(&t->d, "TTL"), 0);
}

static void a_write_to_a_demoted_master_goes_to_the_new_one(void **state)
{
    struct test *t = *state;

    start_and_know_the_map(t);
    map_three(t, &t->d, &t->b, &t->c, &t->a);
    rule(&t->a, "SET", -1, "-READONLY You can't write against a read only replica.\n");
    assert_string_equal(set(t, REDIS_WRITE, key_of(0)), answer_of("d", "SET", key_of(0)));
    assert_int_equal(fake_heard(&t->a, "SET"), 1);
}

static void a_write_that_no_master_takes_is_sent_twice_at_most(void **state)
{
    struct test *t = *state;

    start_and_know_the_map(t);
    rule(&t->a, "SET", -1, "-READONLY You can't write against a read only replica.\n");
    assert_string_equal(set(t, REDIS_WRITE, key_of(0)), "(gone)");
    assert_int_equal(fake_heard(&t->a, "SET"), 2);
}

static void the_single_master_is_found_among_the_seeds(void **state)
{
    struct test *t = *state;

    t->settings.seed_count = 2;
    rule(&t->a, "CLUSTER SLOTS", -1, "-ERR This instance has cluster support disabled\n");
    rule(&t->b, "CLUSTER SLOTS", -1, "-ERR This instance has cluster support disabled\n");
    rule(&t->a, "SET", -1, "-READONLY You can't write against a read only replica.\n");
    start(t);
    WAIT_FOR(t, strcmp(set(t, REDIS_WRITE, "x"), "b SET x") == 0);
    for (int i = 0; i < 20; i++)
        assert_string_equal(set(t, REDIS_WRITE, "x"), "b SET x");
    assert_int_equal(stats(t)->mode, REDIS_MODE_PLAIN);
}

static void the_single_master_is_not_left_for_a_lost_connection(void **state)
{
    struct test *t = *state;
    uint64_t refreshes;

    t->settings.seed_count = 2;
    fake_rule(&t->b, "CLUSTER SLOTS", 1, FAKE_CLOSE);
    rule(&t->a, "CLUSTER SLOTS", -1, "-ERR This instance has cluster support disabled\n");
    start(t);
    WAIT_FOR(t, stats(t)->map_version == 1);
    rule(&t->b, "CLUSTER SLOTS", -1, "-ERR This instance has cluster support disabled\n");
    for (int i = 0; i < 10; i++) {
        assert_string_equal(set(t, REDIS_WRITE, "x"), "a SET x");
        refreshes = stats(t)->refreshes;
        fake_drop_clients(&t->a);
        WAIT_FOR(t, stats(t)->refreshes > refreshes);
    }
    assert_int_equal(fake_heard(&t->b, "SET"), 0);
    assert_int_equal(stats(t)->map_version, 1);
    fake_vanish(&t->a); /* but for a master that stays away */
    WAIT_FOR(t, strcmp(set(t, REDIS_WRITE, "x"), "b SET x") == 0);
}

static void out_of_memory_stops_storing_but_not_the_rest(void **state)
{
    struct test *t = *state;

    start_and_know_the_map(t);
    rule(&t->a, "SET", 1, "-OOM command not allowed when used memory > 'maxmemory'.\n");
    assert_string_equal(set(t, REDIS_STORE, key_of(0)), "(full)");
    assert_string_equal(set(t, REDIS_STORE, key_of(0)), "(full)");
    assert_int_equal(fake_heard(&t->a, "SET"), 1);
    assert_string_equal(get(t, key_of(0)), answer_of("a", "GET", key_of(0)));
    assert_string_equal(set(t, REDIS_WRITE, key_of(0)), answer_of("a", "SET", key_of(0)));
    assert_string_equal(set(t, REDIS_STORE, key_of(1)), answer_of("b", "SET", key_of(1)));
    assert_int_equal(stats(t)->nodes[0].oom, 1);
    assert_int_equal(stats(t)->nodes[0].breaker, REDIS_BREAKER_CLOSED);
}

static void not_let_in_opens_the_breaker_at_once(void **state)
{
    struct test *t = *state;

    start_and_know_the_map(t);
    rule(&t->a, "GET", 1, "-NOPERM this user has no permissions\n");
    assert_string_equal(get(t, key_of(0)), "(denied)");
    assert_string_equal(get(t, key_of(0)), "(gone)");
    assert_int_equal(stats(t)->nodes[0].why, REDIS_OUTCOME_CONFIG);
    assert_int_equal(stats(t)->nodes[0].denied, 1);
}

static void a_wrong_password_is_told(void **state)
{
    struct test *t = *state;

    t->conn.password = "wrong";
    for (struct fake *f = &t->a; f <= &t->c; f++)
        rule(f, "AUTH", -1, "-WRONGPASS invalid username-password pair\n");
    start(t);
    assert_string_equal(get(t, "x"), "(gone)");
    WAIT_FOR(t, !redis_cluster_ready(t->cluster));
}

static void errors_of_the_command_itself_are_handed_on(void **state)
{
    struct test *t = *state;

    start_and_know_the_map(t);
    rule(&t->a, "GET", -1, "-CROSSSLOT Keys in request don't hash to the same slot\n");
    assert_string_equal(get(t, key_of(0)), "CROSSSLOT Keys in request don't hash to the same slot");
    assert_int_equal(fake_heard(&t->a, "GET"), 1); /* never sent again */
}

/* ---- scripts ---- */

static void run_script(struct test *t, struct ask *a, const struct redis_script *s)
{
    const struct redis_arg argv[] = {redis_arg_str(key_of(0)), redis_arg_str("arg")};

    memset(a, 0, sizeof *a);
    a->call.done = on_done;
    a->call.kind = REDIS_WRITE;
    a->call.timeout_ms = 2000;
    redis_call_script(t->cluster, &a->call, s, 1, argv, 2);
}

static void a_script_travels_by_its_sum_and_once_with_its_source(void **state)
{
    struct test *t = *state;
    struct redis_script s;
    struct ask a;
    char text[256];

    redis_script_init(&s, "return 1");
    assert_string_equal(s.sha1, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    start_and_know_the_map(t);
    rule(&t->a, "EVALSHA", 1, "-NOSCRIPT No matching script. Please use EVAL.\n");
    run_script(t, &a, &s);
    snprintf(text, sizeof text, "a EVAL return 1 1 %s arg", key_of(0));
    assert_string_equal(outcome(t, &a), text);
    run_script(t, &a, &s);
    snprintf(text, sizeof text, "a EVALSHA %s 1 %s arg", s.sha1, key_of(0));
    assert_string_equal(outcome(t, &a), text);
    rule(&t->a, "EVAL", -1, "-NOSCRIPT No matching script. Please use EVAL.\n");
    run_script(t, &a, &s); /* a node that answers so even to EVAL */
    assert_string_equal(outcome(t, &a), "NOSCRIPT No matching script. Please use EVAL.");
}

/* ---- silence and loss ---- */

static void a_node_that_never_answers_costs_the_deadline_then_nothing(void **state)
{
    struct test *t = *state;
    struct ask a = {.call = {.timeout_ms = 20}};
    int late = 0;

    start_and_know_the_map(t);
    fake_rule(&t->a, "", -1, FAKE_SILENCE);
    do {
        ask_words(t, &a, REDIS_READ, "GET", key_of(0));
        late += strcmp(outcome(t, &a), "(late)") == 0;
    } while (a.result == REDIS_LATE);
    assert_string_equal(a.text, "(gone)");
    assert_in_range(late, 3, 5); /* the connection that was given up counts as well */
    WAIT_FOR(t, stats(t)->nodes[0].breaker != REDIS_BREAKER_CLOSED);
    assert_string_equal(get(t, key_of(0)), "(gone)");
    assert_string_equal(get(t, key_of(1)), answer_of("b", "GET", key_of(1)));
    WAIT_FOR(t, stats(t)->nodes[0].openings >= 2); /* tested, and still silent */
    fake_forget_rules(&t->a);
    WAIT_FOR(t, stats(t)->nodes[0].breaker == REDIS_BREAKER_CLOSED);
    assert_string_equal(get(t, key_of(0)), answer_of("a", "GET", key_of(0)));
}

static void a_lost_master_is_replaced_by_what_the_others_say(void **state)
{
    struct test *t = *state;

    start_and_know_the_map(t);
    get(t, key_of(0));
    fake_vanish(&t->a);
    WAIT_FOR(t, strcmp(set(t, REDIS_WRITE, key_of(0)), "(gone)") == 0);
    /* The map from before the promotion came first: it is asked for again until it helps. */
    WAIT_FOR(t, stats(t)->refreshes >= 4);
    map_three(t, &t->d, &t->b, &t->c, NULL);
    WAIT_FOR(t, strcmp(set(t, REDIS_WRITE, key_of(0)), answer_of("d", "SET", key_of(0))) == 0);
}

static void a_read_survives_a_closed_connection_and_a_write_does_not(void **state)
{
    struct test *t = *state;

    start_and_know_the_map(t);
    fake_rule(&t->a, "GET", 1, FAKE_CLOSE);
    assert_string_equal(get(t, key_of(0)), answer_of("a", "GET", key_of(0)));
    fake_rule(&t->a, "SET", 1, FAKE_CLOSE);
    assert_string_equal(set(t, REDIS_WRITE, key_of(0)), "(lost)");
    assert_int_equal(fake_heard(&t->a, "SET"), 1);
    fake_rule(&t->a, "GET", -1, FAKE_CLOSE);
    assert_string_equal(get(t, key_of(0)), "(lost)");
    assert_true(fake_heard(&t->a, "GET") <= 2 + 3);
}

static void a_reply_that_makes_no_sense_is_a_loss(void **state)
{
    struct test *t = *state;

    start_and_know_the_map(t);
    rule(&t->a, "SET", 1, "!nonsense\n");
    assert_string_equal(set(t, REDIS_WRITE, key_of(0)), "(lost)");
    assert_string_equal(set(t, REDIS_WRITE, key_of(0)), answer_of("a", "SET", key_of(0)));
}

static void replicas_answer_reads_when_the_master_is_lost(void **state)
{
    struct test *t = *state;

    map_three(t, &t->a, &t->b, &t->c, &t->d);
    t->settings.replica_reads = true;
    start_and_know_the_map(t);
    fake_vanish(&t->a);
    for (int i = 0; i < 30; i++)
        assert_string_equal(get(t, key_of(0)), answer_of("d", "GET", key_of(0)));
}

static void a_slow_copy_is_hedged(void **state)
{
    struct test *t = *state;
    struct ask a = {0};
    int64_t began;

    map_three(t, &t->a, &t->b, &t->c, &t->d);
    t->settings.replica_reads = true;
    t->settings.hedge_ms = 3;
    start_and_know_the_map(t);
    fake_rule(&t->a, "GET", -1, FAKE_SILENCE);
    began = redis_now_ms();
    for (int i = 0; i < 10; i++) {
        ask_words(t, &a, REDIS_READ, "GET", key_of(0));
        assert_string_equal(outcome(t, &a), answer_of("d", "GET", key_of(0)));
    }
    assert_true(redis_now_ms() - began < 1500);
    assert_true(stats(t)->hedged > 0 && stats(t)->hedges_won > 0);
}

static void too_much_in_flight_is_refused_at_once(void **state)
{
    struct test *t = *state;
    struct ask a[4] = {0};

    t->conn.in_flight_max = 3;
    start_and_know_the_map(t);
    fake_rule(&t->a, "GET", -1, FAKE_SILENCE);
    for (int i = 0; i < 4; i++)
        ask_words(t, &a[i], REDIS_READ, "GET", key_of(0));
    assert_string_equal(outcome(t, &a[3]), "(full)");
    assert_int_equal(a[0].done, 0);
    assert_int_equal(stats(t)->nodes[0].full, 1);
    assert_int_equal(stats(t)->nodes[0].in_flight, 3);
    for (int i = 0; i < 3; i++)
        redis_call_cancel(&a[i].call);
}

/* ---- confirmation ---- */

static void a_confirmed_write_waits_for_a_replica(void **state)
{
    struct test *t = *state;
    struct ask a = {.call = {.confirm_ms = 50}};

    map_three(t, &t->a, &t->b, &t->c, &t->d);
    start_and_know_the_map(t);
    rule(&t->a, "WAIT", 1, ":1\n");
    ask_words(t, &a, REDIS_WRITE, "SET", key_of(0));
    assert_string_equal(outcome(t, &a), answer_of("a", "SET", key_of(0)));
    assert_int_equal(a.call.confirmed, 1);
    assert_non_null(strstr(t->a.heard, "\nWAIT 1 50\n"));
    rule(&t->a, "WAIT", 1, ":0\n");
    a.call.confirm_ms = 7;
    ask_words(t, &a, REDIS_WRITE, "SET", key_of(0));
    outcome(t, &a);
    assert_non_null(strstr(t->a.heard, "\nWAIT 1 7\n"));
    assert_int_equal(a.call.confirmed, 0);
    assert_false(a.call.alone);
    ask_words(t, &a, REDIS_WRITE, "SET", key_of(1)); /* b has no replica */
    outcome(t, &a);
    assert_true(a.call.alone);
    assert_int_equal(fake_heard(&t->b, "WAIT"), 0);
}

static void a_confirmation_that_does_not_come_is_none(void **state)
{
    struct test *t = *state;
    struct ask a = {.call = {.confirm_ms = 50, .timeout_ms = 60}};

    map_three(t, &t->a, &t->b, &t->c, &t->d);
    start_and_know_the_map(t);
    fake_rule(&t->a, "WAIT", 1, FAKE_SILENCE);
    ask_words(t, &a, REDIS_WRITE, "SET", key_of(0));
    assert_string_equal(outcome(t, &a), answer_of("a", "SET", key_of(0)));
    assert_int_equal(a.call.confirmed, 0);
}

static void what_confirms_a_redirected_write_is_the_wait_behind_it(void **state)
{
    struct test *t = *state;
    struct ask a = {.call = {.confirm_ms = 50}};

    map_three(t, &t->a, &t->b, &t->c, &t->d);
    start_and_know_the_map(t);
    rule(&t->a, "WAIT", -1, ":3\n");
    rule(&t->d, "WAIT", -1, ":2\n");
    rule(&t->a, "SET", 1, "-MOVED %d 127.0.0.1:%d\n", slot_of(key_of(0)), t->d.port);
    ask_words(t, &a, REDIS_WRITE, "SET", key_of(0));
    assert_string_equal(outcome(t, &a), answer_of("d", "SET", key_of(0)));
    assert_int_equal(a.call.confirmed, 2);
}

/* ---- ends of all kinds ---- */

static void cancelled_in_every_state_nothing_comes(void **state)
{
    struct test *t = *state;
    struct ask parked = {0}, sent = {0}, ended = {0}, later = {0};

    t->settings.breaker.in_a_row = 1;
    start(t);
    ask_words(t, &parked, REDIS_READ, "GET", key_of(0)); /* no map yet */
    redis_call_cancel(&parked.call);
    WAIT_FOR(t, stats(t)->map_version == 1);
    ask_words(t, &sent, REDIS_READ, "GET", key_of(0));
    turn(t);
    redis_call_cancel(&sent.call);
    rule(&t->a, "TTL", 1, "-TRYAGAIN later\n");
    ask_words(t, &later, REDIS_READ, "TTL", key_of(0));
    WAIT_FOR(t, stats(t)->parked == 1);
    redis_call_cancel(&later.call);
    rule(&t->a, "SET", 1, "-LOADING\n");
    set(t, REDIS_WRITE, key_of(0)); /* opens the breaker */
    ask_words(t, &ended, REDIS_READ, "GET", key_of(0));
    redis_call_cancel(&ended.call);
    redis_call_cancel(&ended.call); /* harmless twice */
    get(t, key_of(1));
    assert_int_equal(parked.done + sent.done + ended.done + later.done, 0);
    assert_true(redis_call_idle(&ended.call) && redis_call_idle(&sent.call));
    assert_int_equal(stats(t)->under_way, 0);
}

static void freed_with_calls_in_every_state_nothing_comes(void **state)
{
    struct test *t = *state;
    struct ask a[4] = {0};

    start_and_know_the_map(t);
    fake_rule(&t->a, "GET", -1, FAKE_SILENCE);
    rule(&t->b, "GET", -1, "-TRYAGAIN later\n");
    ask_words(t, &a[0], REDIS_READ, "GET", key_of(0));
    ask_words(t, &a[1], REDIS_READ, "GET", key_of(1));
    WAIT_FOR(t, stats(t)->parked == 1);
    ask_words(t, &a[2], REDIS_READ, "GET", key_of(2));
    redis_cluster_free(t->cluster);
    t->cluster = NULL;
    for (int i = 0; i < 3; i++) {
        assert_true(redis_call_idle(&a[i].call));
        redis_call_cancel(&a[i].call);
    }
    for (int i = 0; i < 5; i++)
        event_base_loop(t->base, EVLOOP_NONBLOCK);
    assert_int_equal(a[0].done + a[1].done + a[2].done, 0);
}

static void free_it(struct ask *a)
{
    redis_cluster_free(a->t->cluster);
    a->t->cluster = NULL;
}

static void freed_from_inside_done(void **state)
{
    struct test *t = *state;
    struct ask a[3] = {0};

    start_and_know_the_map(t);
    for (int i = 0; i < 3; i++) {
        a[i].then = i == 0 ? free_it : NULL;
        ask_words(t, &a[i], REDIS_READ, "GET", key_of(0));
    }
    WAIT_FOR(t, a[0].done == 1);
    for (int i = 0; i < 5; i++)
        event_base_loop(t->base, EVLOOP_NONBLOCK);
    assert_int_equal(a[1].done + a[2].done, 0);
    assert_true(redis_call_idle(&a[1].call));
}

static void freed_while_connecting(void **state)
{
    struct test *t = *state;
    struct ask a = {0};

    start(t);
    ask_words(t, &a, REDIS_READ, "GET", "x");
    redis_cluster_free(t->cluster);
    t->cluster = NULL;
    turn(t);
    assert_int_equal(a.done, 0);
}

static void ask_again(struct ask *a)
{
    if (a->t->cluster != NULL && --a->call.confirmed < 1000)
        return;
    ask_words(a->t, a, REDIS_READ, "GET", key_of(0));
}

/* Callbacks that ask for more while connections break, maps change and nodes vanish. */
static void callbacks_may_ask_while_everything_changes(void **state)
{
    struct test *t = *state;
    struct ask a[30] = {0};
    int done = 0;

    t->settings.refresh_ms = 6;
    t->settings.replica_reads = true;
    t->settings.hedge_ms = 1;
    start_and_know_the_map(t);
    for (int i = 0; i < 30; i++) {
        a[i].then = ask_again;
        a[i].call.timeout_ms = 30;
        ask_words(t, &a[i], REDIS_READ, "GET", key_of(i % 3));
    }
    for (int i = 0; i < 60; i++) {
        struct fake *f = &t->a + i % 4;

        fake_forget_rules(f);
        if (i % 5 == 0)
            rule(f, "GET", 3, "-MOVED %d 127.0.0.1:%d\n", slot_of(key_of(0)),
                 (&t->a + (i + 1) % 4)->port);
        if (i % 7 == 0)
            fake_rule(f, "GET", 3, FAKE_CLOSE);
        if (i % 4 == 0)
            fake_vanish(f);
        map_three(t, i % 2 == 0 ? &t->a : &t->d, &t->b, &t->c, i % 3 == 0 ? &t->c : NULL);
        for (int k = 0; k < 20; k++)
            turn(t);
        if (f->listener == NULL)
            fake_return(f);
    }
    for (int i = 0; i < 30; i++)
        done += a[i].done;
    assert_true(done >= 0);
    redis_cluster_free(t->cluster);
    t->cluster = NULL;
    for (int i = 0; i < 30; i++)
        assert_true(redis_call_idle(&a[i].call));
}

/* ---- watchers ---- */

struct watcher {
    struct redis_watch w;
    int changes;
    struct test *free_of;
};

static void on_changed(struct redis_watch *w)
{
    struct watcher *me = WEIR_CONTAINER(w, struct watcher, w);

    me->changes++;
    if (me->free_of != NULL) {
        redis_cluster_free(me->free_of->cluster);
        me->free_of->cluster = NULL;
    }
}

static void watchers_hear_of_changes_and_may_end_it(void **state)
{
    struct test *t = *state;
    struct watcher one = {.w = {.changed = on_changed}}, two = one, three = one;
    struct redis_address owner;

    start(t);
    assert_false(redis_cluster_owner(t->cluster, 5, &owner));
    redis_cluster_watch(t->cluster, &one.w);
    redis_cluster_watch(t->cluster, &two.w);
    redis_cluster_watch(t->cluster, &three.w);
    WAIT_FOR(t, one.changes == 1 && two.changes == 1);
    assert_true(redis_cluster_owner(t->cluster, 5, &owner));
    assert_int_equal(owner.port, t->a.port);
    redis_cluster_unwatch(&one.w);
    two.free_of = t;
    map_three(t, &t->d, &t->b, &t->c, NULL);
    redis_cluster_suspect(t->cluster, &owner);
    WAIT_FOR(t, t->cluster == NULL);
    assert_int_equal(one.changes, 1);
    assert_int_equal(two.changes, 2);
    redis_cluster_unwatch(&one.w);
    redis_cluster_unwatch(&two.w);
}

#ifdef WEIR_FAULTS
static void without_memory_a_call_ends_and_a_cluster_is_not_made(void **state)
{
    struct test *t = *state;

    for (unsigned long n = 1; t->cluster == NULL; n++) {
        weir_alloc_fail_at(n);
        t->cluster = redis_cluster_new(t->loop, &t->settings, NULL);
        assert_true((t->cluster == NULL) == weir_alloc_failed());
        weir_alloc_fail_at(0);
    }
    WAIT_FOR(t, stats(t)->map_version == 1);
    for (unsigned long n = 1;; n++) {
        struct ask a = {0};
        bool failed;

        weir_alloc_fail_at(n);
        ask_words(t, &a, REDIS_READ, "GET", key_of(0));
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        outcome(t, &a);
        if (!failed)
            break;
    }
    assert_string_equal(get(t, key_of(0)), answer_of("a", "GET", key_of(0)));
}
#endif

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_goes_to_the_node_that_owns_its_slot),
        TEST(one_redis_alone_owns_all_slots),
        TEST(with_nobody_there_calls_end_at_once_and_later_all_is_well),
        TEST(a_seed_that_is_down_is_passed_over),
        TEST(maps_that_make_no_sense_are_not_taken),
        TEST(a_node_that_has_forgotten_its_cluster_changes_nothing),
        TEST(whom_the_operator_named_is_asked_when_a_map_names_nobody),
        TEST(the_map_is_asked_for_now_and_then),
        TEST(a_node_that_leaves_the_map_is_let_go),
        TEST(moved_is_followed_and_remembered),
        TEST(moved_to_the_same_host_may_leave_it_out),
        TEST(moved_in_circles_ends),
        TEST(moved_to_itself_is_not_followed),
        TEST(moved_to_nowhere_ends),
        TEST(ask_is_for_once_and_asking_goes_right_before),
        TEST(an_asked_node_that_moves_it_back_is_not_followed_for_ever),
        TEST(an_ipv6_address_is_followed),
        TEST(tryagain_is_tried_again_once),
        TEST(clusterdown_opens_the_breaker_of_that_shard_alone),
        TEST(a_read_goes_to_another_copy_when_one_cannot),
        TEST(reads_are_spread_over_the_copies_and_nothing_else_is),
        TEST(a_write_to_a_demoted_master_goes_to_the_new_one),
        TEST(a_write_that_no_master_takes_is_sent_twice_at_most),
        TEST(the_single_master_is_found_among_the_seeds),
        TEST(the_single_master_is_not_left_for_a_lost_connection),
        TEST(out_of_memory_stops_storing_but_not_the_rest),
        TEST(not_let_in_opens_the_breaker_at_once),
        TEST(a_wrong_password_is_told),
        TEST(errors_of_the_command_itself_are_handed_on),
        TEST(a_script_travels_by_its_sum_and_once_with_its_source),
        TEST(a_node_that_never_answers_costs_the_deadline_then_nothing),
        TEST(a_lost_master_is_replaced_by_what_the_others_say),
        TEST(a_read_survives_a_closed_connection_and_a_write_does_not),
        TEST(a_reply_that_makes_no_sense_is_a_loss),
        TEST(replicas_answer_reads_when_the_master_is_lost),
        TEST(a_slow_copy_is_hedged),
        TEST(too_much_in_flight_is_refused_at_once),
        TEST(a_confirmed_write_waits_for_a_replica),
        TEST(a_confirmation_that_does_not_come_is_none),
        TEST(what_confirms_a_redirected_write_is_the_wait_behind_it),
        TEST(cancelled_in_every_state_nothing_comes),
        TEST(freed_with_calls_in_every_state_nothing_comes),
        TEST(freed_from_inside_done),
        TEST(freed_while_connecting),
        TEST(callbacks_may_ask_while_everything_changes),
        TEST(watchers_hear_of_changes_and_may_end_it),
#ifdef WEIR_FAULTS
        TEST(without_memory_a_call_ends_and_a_cluster_is_not_made),
#endif
    };

    weir_log_set_level(WEIR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
