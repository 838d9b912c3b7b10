/* The engine against real servers: the contract of the door on one Redis and on a cluster of three
 * masters, and what is Redis' own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "redis_settings.h"
#include "shared_contract.h"
#include "shared_redis.h"
#include "shared_redis_stats.h"
#include "test_redis_servers.h"
#include "test_shared_loop.h"
#include "weir/gcra.h"

#define MASTERS 3

/* How to get at one Redis, or at the cluster that this one belongs to. */
struct way {
    struct redis_address seed;
    struct redis_settings conn;
    struct redis_cluster_settings endpoint;
    struct shared_redis_settings settings;
};

static void way_to(struct way *w, const struct test_server *s)
{
    memset(w, 0, sizeof *w);
    strcpy(w->seed.host, "127.0.0.1");
    w->seed.port = (uint16_t)s->port;
    w->conn = redis_settings_default();
    w->endpoint = (struct redis_cluster_settings){.name = "test",
                                                  .seeds = &w->seed,
                                                  .seed_count = 1,
                                                  .conn = &w->conn};
    w->settings.confirm_ms = 500; /* a busy machine must not fail a test */
    w->settings.endpoints[SHARED_CACHE] = w->settings.endpoints[SHARED_STATE] = &w->endpoint;
}

static struct weir_shared *open_way(void *arg)
{
    struct way *w = arg;

    return shared_redis_new(&w->settings, NULL);
}

static int contract(const struct test_server *s)
{
    struct way w;
    const struct contract_engine engine = {
        .name = "redis", .open = open_way, .arg = &w, .farm = true, .log_slack = 100};

    way_to(&w, s);
    return shared_contract_run(&engine);
}

/* ---- what is Redis' own ---- */

struct rig {
    struct test_server *server, *replica; /* replica: NULL for most */
    struct way way;
    struct test_loop loop;
    struct weir_shared *shared;
    struct shared_port *port;
};

static struct test_server one, replica, masters[MASTERS];

static int open_rig(void **state, struct test_server *server)
{
    struct rig *r = calloc(1, sizeof *r);
    struct shared_loop loop = test_loop_start(&r->loop);

    r->server = server;
    way_to(&r->way, server);
    r->shared = open_way(&r->way);
    r->port = shared_port_new(r->shared, &loop, NULL);
    assert_non_null(r->port);
    *state = r;
    return 0;
}

static int open_one(void **state)
{
    return open_rig(state, &one);
}

static int open_cluster(void **state)
{
    return open_rig(state, &masters[0]);
}

static int close_rig(void **state)
{
    struct rig *r = *state;

    shared_port_free(r->port);
    shared_free(r->shared);
    event_base_free(r->loop.base);
    free(r);
    return 0;
}

static void tell(const struct rig *r, const char *command)
{
    redisReply *reply = test_server_ask(r->server, command);

    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", command, reply->str);
    freeReplyObject(reply);
}

static struct weir_slice slice(const char *text)
{
    size_t len = strlen(text);
    struct weir_slice s = {.blob = weir_blob_new(len + 1), .len = (uint32_t)len};

    memcpy(s.blob->bytes, text, len);
    s.blob->len = (uint32_t)len;
    return s;
}

static enum shared_result put(struct rig *r, struct test_wait *w, const char *key)
{
    struct weir_slice value = slice("some bytes");

    shared_put(r->port, &w->call, weir_span_str(key), &value, 1, 60000);
    weir_blob_unref(value.blob);
    return test_answer(w);
}

static const struct shared_log log_l = {.key = WEIR_SPAN_LIT("{o}:log"),
                                        .channel = WEIR_SPAN_LIT("{o}:ch"),
                                        .max = 100};

static uint64_t append(struct rig *r, const char *bytes)
{
    struct test_wait w;

    shared_log_append(r->port, test_call(&w, &r->loop), &log_l, weir_span_str(bytes));
    assert_int_equal(test_answer(&w), SHARED_OK);
    return w.call.number;
}

static void a_full_redis_takes_nothing_and_says_so(void **state)
{
    struct rig *r = *state;
    struct test_wait w;

    tell(r, "CONFIG SET maxmemory-policy noeviction");
    tell(r, "CONFIG SET maxmemory 1");
    test_call(&w, &r->loop);
    assert_int_equal(put(r, &w, "full"), SHARED_FULL);
    shared_log_append(r->port, test_call(&w, &r->loop), &log_l, WEIR_SPAN_LIT("x"));
    assert_int_equal(test_answer(&w), SHARED_FULL);
    shared_get(r->port, test_call(&w, &r->loop), WEIR_SPAN_LIT("full"));
    assert_int_equal(test_answer(&w), SHARED_NONE);
    tell(r, "CONFIG SET maxmemory 0");
}

static void ids_keep_their_bits_when_the_clock_stands_behind_them(void **state)
{
    struct rig *r = *state;
    const uint64_t ms = 4000000000000; /* in the year 2096 */

    tell(r, "DEL {o}:log");
    tell(r, "XADD {o}:log 4000000000000-1048574 b x");
    assert_int_equal(append(r, "a"), ms << 20 | 1048575);
    assert_int_equal(append(r, "b"), (ms + 1) << 20);
    assert_int_equal(append(r, "c"), (ms + 1) << 20 | 1);
    tell(r, "DEL {o}:log");
}

static void a_log_whose_ids_are_not_ours_is_bad(void **state)
{
    struct rig *r = *state;
    struct test_wait w;

    tell(r, "DEL {o}:log");
    tell(r, "XADD {o}:log 1-1048576 b x");
    shared_log_read(r->port, test_call(&w, &r->loop), &log_l, 0, 10);
    assert_int_equal(test_answer(&w), SHARED_BAD);
    tell(r, "DEL {o}:log");
}

/* Whoever reads it knows that something is missing. */
static void a_strangers_record_reads_as_a_beginning(void **state)
{
    struct rig *r = *state;
    struct test_wait w;

    tell(r, "DEL {o}:log");
    tell(r, "XADD {o}:log 1-1 other x");
    shared_log_read(r->port, test_call(&w, &r->loop), &log_l, 0, 10);
    assert_int_equal(test_answer(&w), SHARED_OK);
    assert_int_equal(w.call.entry_count, 1);
    assert_int_equal(w.call.entries[0].bytes.len, 0);
    shared_call_clear(&w.call);
    tell(r, "DEL {o}:log");
}

static void an_emptied_log_has_lost_all_before_its_newest_id(void **state)
{
    struct rig *r = *state;
    struct test_wait w;
    uint64_t id;

    tell(r, "DEL {o}:log");
    id = append(r, "a");
    tell(r, "XTRIM {o}:log MAXLEN 0");
    shared_log_read(r->port, test_call(&w, &r->loop), &log_l, 0, 10);
    assert_int_equal(test_answer(&w), SHARED_OK);
    assert_int_equal(w.call.log_first, id);
    assert_int_equal(w.call.log_last, id);
    assert_int_equal(w.call.entry_count, 0);
    tell(r, "DEL {o}:log");
}

static const struct shared_lease lease = {.key = WEIR_SPAN_LIT("{o}:l"),
                                          .fence_key = WEIR_SPAN_LIT("{o}:f"),
                                          .owner = WEIR_SPAN_LIT("me"),
                                          .channel = WEIR_SPAN_LIT("{n}:ch"),
                                          .lease_ms = 60000,
                                          .fence_ttl_ms = 1000};

static void a_lease_without_an_end_is_taken_over(void **state)
{
    struct rig *r = *state;
    struct test_wait w;

    tell(r, "DEL {o}:l {o}:f");
    tell(r, "HSET {o}:l o somebody f 9");
    shared_lease_take(r->port, test_call(&w, &r->loop), &lease);
    assert_int_equal(test_answer(&w), SHARED_OK);
    assert_int_equal(w.call.number, 1);
    tell(r, "DEL {o}:l {o}:f");
}

static void a_count_of_fences_that_was_evicted_comes_back_with_the_next_renewal(void **state)
{
    struct rig *r = *state;
    struct test_wait w;

    tell(r, "DEL {o}:l");
    tell(r, "SET {o}:f 41");
    shared_lease_take(r->port, test_call(&w, &r->loop), &lease);
    assert_int_equal(test_answer(&w), SHARED_OK);
    assert_int_equal(w.call.number, 42);
    tell(r, "DEL {o}:f");
    shared_lease_renew(r->port, test_call(&w, &r->loop), &lease);
    assert_int_equal(test_answer(&w), SHARED_OK);
    assert_true(test_server_says(r->server, "GET {o}:f", "42"));
    tell(r, "DEL {o}:l {o}:f");
}

/* format: one %s, any text. */
static void tell_with(const struct rig *r, const char *format, const char *text)
{
    redisContext *c = redisConnectUnix(r->server->socket);
    redisReply *reply = redisCommand(c, format, text);

    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    redisFree(c);
}

static long long number_of(const struct rig *r, const char *command)
{
    redisReply *reply = test_server_ask(r->server, command);
    long long n = reply->integer;

    freeReplyObject(reply);
    return n;
}

/* ---- boards ---- */

static const struct shared_board board = {.key = WEIR_SPAN_LIT("{o}:b")};

static enum shared_result post(struct rig *r, const char *id, const char *bytes, int64_t ttl_ms)
{
    struct shared_post it = {.id = weir_span_str(id),
                             .bytes = weir_span_str(bytes),
                             .ttl_ms = ttl_ms};
    struct test_wait w;

    shared_board_put(r->port, test_call(&w, &r->loop), &board, &it, 1, WEIR_SPAN_NONE);
    return test_answer(&w);
}

static size_t posted(struct rig *r)
{
    struct test_wait w;
    size_t count;

    shared_board_read(r->port, test_call(&w, &r->loop), &board);
    assert_int_equal(test_answer(&w), SHARED_OK);
    count = w.call.note_count;
    shared_call_clear(&w.call);
    return count;
}

static void a_board_leaves_nothing_behind_in_redis(void **state)
{
    struct rig *r = *state;
    struct weir_span ids[] = {WEIR_SPAN_LIT("a"), WEIR_SPAN_LIT("b")};
    struct test_wait w;

    tell(r, "FLUSHALL");
    assert_int_equal(post(r, "a", "x", 60000), SHARED_OK);
    assert_int_equal(post(r, "b", "x", 1), SHARED_OK);
    shared_board_remove(r->port, test_call(&w, &r->loop), &board, ids, 2, WEIR_SPAN_NONE);
    assert_int_equal(test_answer(&w), SHARED_OK);
    assert_int_equal(number_of(r, "DBSIZE"), 0);
    assert_int_equal(post(r, "a", "x", 1), SHARED_OK);
    for (int i = 0; i < 100 && number_of(r, "DBSIZE") > 0; i++)
        usleep(20000); /* both keys had an end */
    assert_int_equal(number_of(r, "DBSIZE"), 0);
}

static void a_board_that_lost_one_of_its_keys_begins_anew(void **state)
{
    struct rig *r = *state;

    tell(r, "DEL {o}:b {o}:b:e");
    assert_int_equal(post(r, "a", "x", 0), SHARED_OK);
    tell(r, "DEL {o}:b:e");
    assert_int_equal(post(r, "b", "x", 0), SHARED_OK);
    assert_int_equal(posted(r), 1);
    tell(r, "DEL {o}:b");
    assert_int_equal(posted(r), 0);
    assert_int_equal(post(r, "c", "x", 60000), SHARED_OK);
    assert_int_equal(posted(r), 1);
    assert_int_equal(number_of(r, "ZCARD {o}:b:e"), 1);
    tell(r, "DEL {o}:b {o}:b:e");
}

/* What a full Redis did not let it write must not make the board look full for ever. */
static void a_member_leaves_a_full_redis(void **state)
{
    struct rig *r = *state;
    struct weir_span id = WEIR_SPAN_LIT("a");
    struct test_wait w;

    tell(r, "DEL {o}:b {o}:b:e");
    assert_int_equal(post(r, "a", "some bytes", 0), SHARED_OK);
    assert_int_equal(post(r, "b", "others", 60000), SHARED_OK);
    tell(r, "CONFIG SET maxmemory-policy noeviction");
    tell(r, "CONFIG SET maxmemory 1");
    assert_int_equal(post(r, "b", "another", 60000), SHARED_FULL);
    shared_board_remove(r->port, test_call(&w, &r->loop), &board, &id, 1, WEIR_SPAN_NONE);
    assert_int_equal(test_answer(&w), SHARED_OK);
    assert_int_equal(posted(r), 1);
    tell(r, "CONFIG SET maxmemory 0");
    tell_with(r, "HSET {o}:b %s 99999999999", ""); /* as if that had happened often */
    for (int i = 0; i < 40 && post(r, "a", "x", 0) != SHARED_OK; i++)
        usleep(100000); /* for a while after OOM nothing is asked */
    assert_int_equal(posted(r), 2);
    tell(r, "DEL {o}:b {o}:b:e");
}

/* What somebody else put beside the entries hides none of them. */
static void a_field_that_is_no_entry_is_skipped(void **state)
{
    struct rig *r = *state;

    tell(r, "DEL {o}:b {o}:b:e");
    assert_int_equal(post(r, "b", "x", 60000), SHARED_OK);
    tell(r, "HSET {o}:b a nonsense");
    assert_int_equal(posted(r), 1);
    tell(r, "DEL {o}:b {o}:b:e");
}

static void what_is_no_board_is_bad(void **state)
{
    struct rig *r = *state;

    tell(r, "DEL {o}:b {o}:b:e");
    tell_with(r, "HSET {o}:b %s nonsense", "");
    tell(r, "ZADD {o}:b:e inf a");
    assert_int_equal(post(r, "a", "x", 0), SHARED_BAD);
    tell(r, "DEL {o}:b:e");
    tell(r, "SET {o}:b:e text");
    assert_int_equal(post(r, "a", "x", 0), SHARED_BAD);
    tell(r, "DEL {o}:b {o}:b:e");
}

/* ---- tokens ---- */

static uint64_t drawn(uint64_t below)
{
    uint64_t a = (uint64_t)random(), b = (uint64_t)random();

    return (a << 31 ^ b) % below;
}

/* What Redis remembers of a rate. */
struct owing {
    long long at_us;
    unsigned long long owed, part_us;
};

/* false: it is gone, as what is owed for microseconds soon is. */
static bool read_owing(const struct rig *r, struct owing *o)
{
    redisReply *reply = test_server_ask(r->server, "GET {o}:r");
    bool there = reply->type == REDIS_REPLY_STRING;

    if (there)
        assert_int_equal(sscanf(reply->str, "%lld %llu %llu", &o->at_us, &o->owed, &o->part_us), 3);
    freeReplyObject(reply);
    return there;
}

static void write_owing(const struct rig *r, const struct owing *o)
{
    char text[80];

    snprintf(text, sizeof text, "%lld %llu %llu", o->at_us, o->owed, o->part_us);
    tell_with(r, "SET {o}:r %s", text);
}

static int64_t tat_of(const struct owing *o, const struct shared_rate *rate)
{
    return o->at_us + (int64_t)(o->owed * rate->interval_us + o->part_us);
}

/* Any debt, of up to two minutes ago or of five seconds to come: the clock was set back. */
static struct owing draw_owing(const struct shared_rate *rate)
{
    struct weir_clock now;

    weir_clock_update(&now);
    return (struct owing){.at_us = now.wall_ms * 1000 + 5000000 - (long long)drawn(125000000),
                          .owed = drawn(rate->burst + 2),
                          .part_us = drawn(rate->interval_us)};
}

/* True if Redis says at what time it counted. */
static bool compare_once(struct rig *r, const struct shared_rate *rate, uint32_t want)
{
    const struct weir_gcra_rate same = {rate->interval_us, rate->burst};
    struct owing before = draw_owing(rate), after;
    int64_t tat_us = tat_of(&before, rate);
    struct weir_gcra_answer a;
    struct test_wait w;

    write_owing(r, &before);
    test_call(&w, &r->loop)->timeout_ms = 30000; /* a busy machine must not fail it */
    shared_tokens_take(r->port, &w.call, rate, want);
    test_answer(&w);
    if (!read_owing(r, &after) || (w.call.result == SHARED_REFUSED && after.at_us == before.at_us))
        return false; /* nothing was written, or not for long */
    assert_int_equal(w.call.result, weir_gcra_take(&tat_us, &same, after.at_us, want, &a)
                                        ? SHARED_OK
                                        : SHARED_REFUSED);
    assert_int_equal(w.call.number, a.taken);
    assert_int_equal(w.call.rest, a.rest);
    assert_int_equal(w.call.left_ms, a.next_us / 1000 + (a.next_us % 1000 > 0));
    assert_true(after.part_us < rate->interval_us);
    assert_true(tat_of(&after, rate) == (tat_us > after.at_us ? tat_us : after.at_us));
    return true;
}

static void the_script_counts_as_the_node_does(void **state)
{
    static const uint64_t scales[] = {3, 1000, 1000000, 1000000000, 1000000000000};
    struct rig *r = *state;
    int compared = 0;

    srandom(7);
    for (int i = 0; i < 600; i++) {
        struct shared_rate rate = {WEIR_SPAN_LIT("{o}:r"), 1 + drawn(scales[i % 5]),
                                   (uint32_t)(1 + drawn(scales[i % 3]))};

        compared += compare_once(r, &rate, (uint32_t)(1 + drawn(i % 2 ? 3 : 2 * rate.burst)));
    }
    assert_in_range(compared, 150, 600);
    tell(r, "DEL {o}:r");
}

static void what_is_no_rate_is_bad(void **state)
{
    static const char *const wrong[] = {"x", "1", "1 2", "99999999999999999999999999999999999999"};
    struct shared_rate rate = {WEIR_SPAN_LIT("{o}:r"), 1000, 1};
    struct rig *r = *state;
    struct test_wait w;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tell_with(r, "SET {o}:r %s", wrong[i]);
        shared_tokens_take(r->port, test_call(&w, &r->loop), &rate, 1);
        assert_int_equal(test_answer(&w), SHARED_BAD);
    }
    tell(r, "DEL {o}:r");
}

static void scripts_that_were_flushed_are_sent_again(void **state)
{
    struct rig *r = *state;

    append(r, "a");
    tell(r, "SCRIPT FLUSH");
    append(r, "b");
}

static bool confirmed(struct rig *r)
{
    struct test_wait w;

    test_call(&w, &r->loop)->confirm = true;
    assert_int_equal(put(r, &w, "confirmed"), SHARED_OK);
    return !w.call.unconfirmed;
}

static void a_write_is_confirmed_where_there_is_nobody_to_confirm_it(void **state)
{
    assert_true(confirmed(*state));
}

/* A replica that is online takes up to a second until it hears of writes. */
static bool has_replica(const struct test_server *s)
{
    redisContext *c = redisConnectUnix(s->socket);
    redisReply *reply;
    long long replicas = 0;

    for (int i = 0; i < 20 && replicas == 0; i++) {
        freeReplyObject(redisCommand(c, "SET replicated 1"));
        reply = redisCommand(c, "WAIT 1 500");
        replicas = reply != NULL ? reply->integer : 0;
        freeReplyObject(reply);
    }
    redisFree(c);
    return replicas > 0;
}

static void a_write_that_no_replica_has_is_unconfirmed(void **state)
{
    struct rig *r = *state;
    char command[160];
    bool once = false;

    assert_true(test_server_start(&replica, "repl-diskless-sync-delay 0"));
    snprintf(command, sizeof command, "REPLICAOF 127.0.0.1 %d", one.port);
    freeReplyObject(test_server_ask(&replica, command));
    assert_true(test_server_wait(&replica, "INFO replication", "master_link_status:up"));
    assert_true(has_replica(r->server));
    /* On a busy machine some are late; that there is a replica shows when one is not. */
    for (int i = 0; i < 20; i++)
        once = confirmed(r) || once;
    assert_true(once);
    kill(replica.pid, SIGSTOP);
    assert_int_equal(waitpid(replica.pid, NULL, WUNTRACED), replica.pid); /* it stands still now */
    assert_false(confirmed(r));
    kill(replica.pid, SIGCONT);
    test_server_stop(&replica);
}

/* ---- what operators are told ---- */

struct told {
    struct test_loop *loop;
    unsigned count, ports, nodes, ready, live;
    uint64_t gets, puts;
};

static void on_told(const struct shared_redis_stats *stats, void *arg)
{
    struct told *t = arg;

    assert_non_null(stats);
    t->count++;
    t->ports = stats->ports;
    t->nodes = stats->endpoints[0].node_count;
    t->live = stats->endpoints[0].heard.live;
    t->ready = stats->endpoints[0].ports_ready;
    t->gets = stats->ops[SHARED_STATE][REDIS_OP_GET][SHARED_NONE];
    t->puts = stats->ops[SHARED_STATE][REDIS_OP_PUT][SHARED_OK];
    event_base_loopbreak(t->loop->base);
}

struct hearer {
    struct shared_listener listener; /* first */
    unsigned gaps;
};

static void on_hint(struct shared_listener *l, struct weir_span bytes)
{
    (void)l;
    (void)bytes;
}

static void on_gap(struct shared_listener *l)
{
    ((struct hearer *)l)->gaps++;
}

/* A worker: a port of its own, asked with, until it is stopped. */
struct worker {
    struct weir_shared *shared;
    pthread_t thread;
    atomic_bool stop;
    atomic_uint asked;
};

static void *work(void *arg)
{
    struct worker *me = arg;
    struct test_loop l;
    struct shared_loop loop = test_loop_start(&l);
    struct shared_port *p = shared_port_new(me->shared, &loop, NULL);
    struct test_wait w;

    while (!atomic_load(&me->stop)) {
        shared_get(p, test_call(&w, &l), WEIR_SPAN_LIT("no such key"));
        if (test_answer(&w) == SHARED_NONE)
            atomic_fetch_add(&me->asked, 1);
    }
    shared_port_free(p);
    event_base_free(l.base);
    return NULL;
}

static void ask_stats(struct rig *r, struct told *t)
{
    memset(t, 0, sizeof *t);
    t->loop = &r->loop;
    assert_non_null(shared_redis_ask(r->port, on_told, t, NULL));
    assert_int_equal(t->count, 0);
    while (t->count == 0)
        assert_int_equal(event_base_loop(r->loop.base, EVLOOP_ONCE), 0);
}

static void operators_see_all_threads_in_one_sum(void **state)
{
    struct rig *r = *state;
    struct worker worker = {.shared = r->shared};
    struct hearer hearer = {.listener = {.on_hint = on_hint, .on_gap = on_gap}};
    struct test_wait w;
    struct told t;
    uint64_t least;

    test_call(&w, &r->loop);
    assert_int_equal(put(r, &w, "seen"), SHARED_OK);
    assert_true(shared_listen(r->port, &hearer.listener, SHARED_STATE, WEIR_SPAN_LIT("ch"), NULL));
    while (hearer.gaps == 0)
        assert_int_equal(event_base_loop(r->loop.base, EVLOOP_ONCE), 0);
    assert_int_equal(pthread_create(&worker.thread, NULL, work, &worker), 0);
    while (atomic_load(&worker.asked) < 3)
        sched_yield();
    least = atomic_load(&worker.asked);
    ask_stats(r, &t);
    assert_int_equal(t.ports, 2);
    assert_int_equal(t.ready, 2);
    assert_int_equal(t.nodes, r->server == &one ? 1 : MASTERS);
    assert_int_equal(t.puts, 1);
    assert_int_equal(t.live, 1);
    assert_true(t.gets >= least);
    /* one that is not waited for, and one that its asker does not live to see */
    shared_redis_ask_cancel(shared_redis_ask(r->port, on_told, &t, NULL));
    atomic_store(&worker.stop, true);
    assert_non_null(shared_redis_ask(r->port, on_told, &t, NULL));
    shared_port_free(r->port);
    r->port = NULL;
    pthread_join(worker.thread, NULL);
    assert_int_equal(t.count, 1);
}

#define ONE(test)     cmocka_unit_test_setup_teardown(test, open_one, close_rig)
#define CLUSTER(test) cmocka_unit_test_setup_teardown(test, open_cluster, close_rig)

static const struct CMUnitTest tests[] = {
    ONE(a_full_redis_takes_nothing_and_says_so),
    ONE(ids_keep_their_bits_when_the_clock_stands_behind_them),
    ONE(a_log_whose_ids_are_not_ours_is_bad),
    ONE(a_strangers_record_reads_as_a_beginning),
    ONE(an_emptied_log_has_lost_all_before_its_newest_id),
    ONE(a_lease_without_an_end_is_taken_over),
    ONE(a_count_of_fences_that_was_evicted_comes_back_with_the_next_renewal),
    ONE(a_board_leaves_nothing_behind_in_redis),
    ONE(a_board_that_lost_one_of_its_keys_begins_anew),
    ONE(a_member_leaves_a_full_redis),
    ONE(a_field_that_is_no_entry_is_skipped),
    ONE(what_is_no_board_is_bad),
    ONE(the_script_counts_as_the_node_does),
    ONE(what_is_no_rate_is_bad),
    ONE(scripts_that_were_flushed_are_sent_again),
    ONE(a_write_is_confirmed_where_there_is_nobody_to_confirm_it),
    CLUSTER(a_write_is_confirmed_where_there_is_nobody_to_confirm_it),
    ONE(a_write_that_no_replica_has_is_unconfirmed),
    ONE(operators_see_all_threads_in_one_sum),
    CLUSTER(operators_see_all_threads_in_one_sum),
};

int main(void)
{
    int failed = 0;

    signal(SIGPIPE, SIG_IGN);
    if (!test_server_start(&one, "") || !test_cluster_start(masters, MASTERS))
        return 1;
    failed += contract(&one);
    failed += contract(&masters[1]);
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    test_server_stop(&one);
    for (int i = 0; i < MASTERS; i++)
        test_server_stop(&masters[i]);
    return failed;
}
