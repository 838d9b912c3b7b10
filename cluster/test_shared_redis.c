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
