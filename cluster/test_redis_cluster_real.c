/*
 * The client and the subscriber against real redis-servers, started here in a folder of its own: a
 * cluster of three masters, with a slot that moves under load, and one Redis alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#undef REDIS_OK /* the one of hiredis */
#include "redis_cluster.h"
#include "redis_settings.h"
#include "redis_sub.h"
#include "weir/container.h"
#include "weir/log.h"

#define MASTERS     3
#define SERVERS     (MASTERS + 1) /* the last one is no part of the cluster */
#define PATIENCE_MS 20000

struct server {
    pid_t pid;
    int port, bus_port;
    redisContext *admin;
};

struct farm {
    char dir[64];
    struct server servers[SERVERS];
    struct event_base *base;
    struct redis_loop *loop;
    struct redis_settings conn;
    struct redis_address seed;
    struct redis_cluster_settings settings;
    struct redis_cluster *cluster;
};

#define UNTIL(f, claim)                                                                            \
    do {                                                                                           \
        int64_t end_ms = redis_now_ms() + PATIENCE_MS;                                             \
        while (!(claim)) {                                                                         \
            if (redis_now_ms() > end_ms)                                                           \
                fail_msg("waited in vain for " #claim);                                            \
            event_base_loop((f)->base, EVLOOP_ONCE);                                               \
        }                                                                                          \
    } while (0)

/* ---- servers ---- */

/* Below the ports that connections are given, so that nobody takes it before the server does. */
static int free_port(void)
{
    static int next;

    if (next == 0)
        next = 20000 + (int)(getpid() % 10000);
    for (;; next = next >= 32000 ? 20000 : next + 1) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool mine;

        a.sin_port = htons((uint16_t)next);
        mine = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
        close(fd);
        if (mine)
            return next++;
    }
}

static void exec_server(const struct farm *f, const struct server *s, bool clustered)
{
    char port[16], bus[16], dir[128];

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves nothing behind */
    snprintf(port, sizeof port, "%d", s->port);
    snprintf(bus, sizeof bus, "%d", s->bus_port);
    snprintf(dir, sizeof dir, "%s/%d", f->dir, s->port);
    mkdir(dir, 0700);
    if (freopen("/dev/null", "w", stdout) == NULL)
        _exit(126);
    execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir,
           "--save", "", "--cluster-enabled", clustered ? "yes" : "no", "--cluster-port", bus,
           "--cluster-node-timeout", "5000", (char *)NULL);
    _exit(127);
}

static redisReply *admin(struct server *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static redisReply *admin(struct server *s, const char *format, ...)
{
    va_list args;
    redisReply *r;

    va_start(args, format);
    r = redisvCommand(s->admin, format, args);
    va_end(args);
    if (r == NULL || r->type == REDIS_REPLY_ERROR)
        fprintf(stderr, "%s: %s\n", format, r != NULL ? r->str : s->admin->errstr);
    return r;
}

/* For what is said: freed. */
static bool said(redisReply *r, const char *text)
{
    bool found = r != NULL && r->str != NULL && strstr(r->str, text) != NULL;

    freeReplyObject(r);
    return found;
}

static bool connect_admin(struct server *s)
{
    for (int64_t end = redis_now_ms() + PATIENCE_MS; redis_now_ms() < end; usleep(5000)) {
        int status;

        s->admin = redisConnect("127.0.0.1", s->port);
        if (s->admin != NULL && s->admin->err == 0)
            return true;
        redisFree(s->admin);
        s->admin = NULL;
        if (waitpid(s->pid, &status, WNOHANG) != 0)
            break;
    }
    fprintf(stderr, "redis-server does not start\n");
    return false;
}

static bool join(struct farm *f)
{
    static const char *const slots[] = {"0 5460", "5461 10922", "10923 16383"};

    for (int i = 0; i < MASTERS; i++) {
        char command[64];

        snprintf(command, sizeof command, "CLUSTER ADDSLOTSRANGE %s", slots[i]);
        freeReplyObject(redisCommand(f->servers[i].admin, command));
        freeReplyObject(admin(&f->servers[i], "CLUSTER SET-CONFIG-EPOCH %d", i + 1));
        if (i > 0)
            freeReplyObject(admin(&f->servers[0], "CLUSTER MEET 127.0.0.1 %d %d",
                                  f->servers[i].port, f->servers[i].bus_port));
    }
    for (int64_t end = redis_now_ms() + PATIENCE_MS; redis_now_ms() < end; usleep(20000)) {
        int whole = 0;

        for (int i = 0; i < MASTERS; i++)
            whole += said(admin(&f->servers[i], "CLUSTER INFO"), "cluster_state:ok") &&
                     said(admin(&f->servers[i], "CLUSTER INFO"), "cluster_slots_assigned:16384");
        if (whole == MASTERS)
            return true;
    }
    fprintf(stderr, "the cluster does not come about\n");
    return false;
}

static int begin(void **state)
{
    struct farm *f = calloc(1, sizeof *f);

    *state = f;
    snprintf(f->dir, sizeof f->dir, "/tmp/weir-cluster-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    for (int i = 0; i < SERVERS; i++) {
        struct server *s = &f->servers[i];

        s->port = free_port();
        s->bus_port = free_port();
        s->pid = fork();
        if (s->pid == 0)
            exec_server(f, s, i < MASTERS);
    }
    for (int i = 0; i < SERVERS; i++)
        if (!connect_admin(&f->servers[i]))
            return -1;
    f->conn = redis_settings_default();
    f->settings = (struct redis_cluster_settings){.name = "test",
                                                  .seeds = &f->seed,
                                                  .seed_count = 1,
                                                  .conn = &f->conn};
    return join(f) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static int end(void **state)
{
    struct farm *f = *state;

    for (int i = 0; i < SERVERS; i++) {
        if (f->servers[i].admin != NULL)
            redisFree(f->servers[i].admin);
        if (f->servers[i].pid > 0) {
            kill(f->servers[i].pid, SIGKILL);
            waitpid(f->servers[i].pid, NULL, 0);
        }
    }
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* A client of its own for each test, that starts at one server. */
static void come(struct farm *f, int server)
{
    f->base = event_base_new();
    f->loop = redis_loop_new(f->base, NULL);
    redis_address_set(&f->seed, WEIR_SPAN_LIT("127.0.0.1"), f->servers[server].port);
    f->cluster = redis_cluster_new(f->loop, &f->settings, NULL);
    assert_non_null(f->cluster);
}

static void go(struct farm *f)
{
    redis_cluster_free(f->cluster);
    redis_loop_free(f->loop);
    event_base_free(f->base);
}

/* ---- calls ---- */

struct ask {
    struct redis_call call;
    struct farm *f;
    int done;
    char text[300];
    int64_t number;
    void (*then)(struct ask *a);
};

static void on_done(struct redis_call *call)
{
    struct ask *a = WEIR_CONTAINER(call, struct ask, call);

    a->done++;
    a->number = -1;
    if (call->reply == NULL)
        snprintf(a->text, sizeof a->text, "(%s)", redis_result_name(call->result));
    else
        redis_reply_str(call->reply, a->text, sizeof a->text);
    if (call->reply != NULL && call->reply->kind == REDIS_KIND_BULK)
        snprintf(a->text, sizeof a->text, "%.*s", (int)call->reply->text.len,
                 call->reply->text.ptr);
    (void)redis_reply_number(call->reply, &a->number);
    if (a->then != NULL)
        a->then(a);
}

static void ask(struct farm *f, struct ask *a, enum redis_call_kind kind, const char *word,
                const char *key, const char *more)
{
    const struct redis_arg argv[] = {redis_arg_str(word), redis_arg_str(key), redis_arg_str(more)};

    a->f = f;
    a->done = 0;
    a->call.done = on_done;
    a->call.kind = kind;
    a->call.timeout_ms = 10000;
    redis_call_command(f->cluster, &a->call, weir_span_str(key), argv, more != NULL ? 3 : 2);
}

static const char *answer(struct farm *f, enum redis_call_kind kind, const char *word,
                          const char *key, const char *more)
{
    static struct ask a;

    memset(&a, 0, sizeof a);
    ask(f, &a, kind, word, key, more);
    UNTIL(f, a.done == 1);
    return a.text;
}

static uint64_t sum_of(struct farm *f, size_t figure)
{
    struct redis_cluster_stats *s = redis_cluster_stats(f->cluster);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->node_count; i++)
        sum += *(const uint64_t *)(const void *)((const char *)&s->nodes[i] + figure);
    free(s);
    return sum;
}

#define SUM(f, figure) sum_of(f, offsetof(struct redis_node_stats, figure))

/* ---- the tests ---- */

static void keys_of_all_slots_are_written_and_read(void **state)
{
    struct farm *f = *state;
    struct redis_cluster_stats *s;

    come(f, 0);
    for (int i = 0; i < 200; i++) {
        char key[16], value[16];

        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "v%d", i);
        assert_string_equal(answer(f, REDIS_STORE, "SET", key, value), "OK");
        assert_string_equal(answer(f, REDIS_READ, "GET", key, NULL), value);
    }
    s = redis_cluster_stats(f->cluster);
    assert_int_equal(s->mode, REDIS_MODE_CLUSTER);
    assert_int_equal(s->shard_count, MASTERS);
    assert_int_equal(s->covered, REDIS_SLOTS);
    for (uint32_t i = 0; i < s->node_count; i++)
        assert_true(s->nodes[i].ok > 50);
    free(s);
    assert_int_equal(SUM(f, moved), 0); /* every slot was computed as Redis does */
    go(f);
}

static void a_script_runs_on_every_node(void **state)
{
    struct farm *f = *state;
    struct redis_script script;

    redis_script_init(&script, "redis.call('SET', KEYS[1], ARGV[1]) return {ARGV[1]..'!'}");
    come(f, 1);
    for (int i = 0; i < 30; i++) {
        struct ask a = {.call = {.done = on_done, .kind = REDIS_WRITE, .timeout_ms = 5000}};
        char key[16];
        struct redis_arg argv[2];

        snprintf(key, sizeof key, "s%d", i);
        argv[0] = argv[1] = redis_arg_str(key);
        redis_call_script(f->cluster, &a.call, &script, 1, argv, 2);
        UNTIL(f, a.done == 1);
        assert_string_equal(a.text, "array of 1");
        assert_string_equal(answer(f, REDIS_READ, "GET", key, NULL), key);
    }
    assert_int_equal(SUM(f, noscript), MASTERS);
    go(f);
}

/* A worker counts one key up for ever: whatever happens to its slot, no count is lost or repeated.
 */
struct worker {
    struct ask a;
    char key[16];
    int64_t count;
    bool stop;
};

#define WORKERS 40

static void count_on(struct ask *a)
{
    struct worker *w = WEIR_CONTAINER(a, struct worker, a);

    if (a->number != w->count + 1)
        fail_msg("%s: %s after %d", w->key, a->text, (int)w->count);
    w->count++;
    if (!w->stop)
        ask(a->f, a, REDIS_WRITE, "INCR", w->key, NULL);
}

static void id_of(struct server *s, char id[48])
{
    redisReply *r = admin(s, "CLUSTER MYID");

    snprintf(id, 48, "%s", r->str);
    freeReplyObject(r);
}

static bool fine(redisReply *r)
{
    bool ok = r != NULL && r->type != REDIS_REPLY_ERROR;

    freeReplyObject(r);
    return ok;
}

static struct server *owner_of(struct farm *f, int slot)
{
    struct redis_address at;

    assert_true(redis_cluster_owner(f->cluster, (uint16_t)slot, &at));
    for (int i = 0; i < MASTERS; i++)
        if (f->servers[i].port == at.port)
            return &f->servers[i];
    return NULL;
}

/* Some rounds of all workers go by. */
static void let_work(struct farm *f, struct worker *w, int rounds)
{
    int64_t goal[WORKERS];

    for (int i = 0; i < WORKERS; i++)
        goal[i] = w[i].count + rounds;
    for (int i = 0; i < WORKERS; i++)
        UNTIL(f, w[i].count >= goal[i]);
}

static void migrate(struct farm *f, int slot, struct server *from, struct server *to,
                    struct worker *w)
{
    char from_id[48], to_id[48];

    id_of(from, from_id);
    id_of(to, to_id);
    assert_true(fine(admin(to, "CLUSTER SETSLOT %d IMPORTING %s", slot, from_id)));
    assert_true(fine(admin(from, "CLUSTER SETSLOT %d MIGRATING %s", slot, to_id)));
    for (int i = 0; i < WORKERS; i++) {
        assert_true(fine(admin(from, "MIGRATE 127.0.0.1 %d %s 0 5000", to->port, w[i].key)));
        let_work(f, w, 1); /* some keys are here, some are there */
    }
    assert_true(fine(admin(to, "CLUSTER SETSLOT %d NODE %s", slot, to_id)));
    assert_true(fine(admin(from, "CLUSTER SETSLOT %d NODE %s", slot, to_id)));
    let_work(f, w, 5);
}

struct listener {
    struct redis_channel ch;
    int gaps, messages;
};

static void on_message(struct redis_channel *ch, struct weir_span bytes)
{
    struct listener *l = WEIR_CONTAINER(ch, struct listener, ch);

    assert_true(weir_span_eq(bytes, WEIR_SPAN_LIT("hello")));
    l->messages++;
}

static void on_gap(struct redis_channel *ch)
{
    WEIR_CONTAINER(ch, struct listener, ch)->gaps++;
}

static void hear(struct farm *f, struct listener *l, const char *channel)
{
    int before = l->messages;

    assert_string_equal(answer(f, REDIS_WRITE, "SPUBLISH", channel, "hello"), "integer 1");
    UNTIL(f, l->messages == before + 1);
}

static void a_slot_moves_under_load_and_nobody_notices(void **state)
{
    static struct worker w[WORKERS];
    static struct listener l;
    struct farm *f = *state;
    int slot = redis_slot(WEIR_SPAN_LIT("{m}"));
    struct redis_sub *sub;
    struct server *home, *away;

    come(f, 2);
    sub = redis_sub_new(f->cluster, NULL);
    l.ch = (struct redis_channel){.on_message = on_message, .on_gap = on_gap};
    assert_true(redis_sub_add(sub, &l.ch, WEIR_SPAN_LIT("{m}:ch"), NULL));
    for (int i = 0; i < WORKERS; i++) {
        snprintf(w[i].key, sizeof w[i].key, "{m}:%d", i);
        w[i].a.then = count_on;
        ask(f, &w[i].a, REDIS_WRITE, "INCR", w[i].key, NULL);
    }
    let_work(f, w, 3);
    UNTIL(f, l.gaps == 1);
    hear(f, &l, "{m}:ch");

    home = owner_of(f, slot);
    away = home == &f->servers[0] ? &f->servers[1] : &f->servers[0];
    migrate(f, slot, home, away, w);
    assert_true(SUM(f, ask) > WORKERS);
    assert_true(SUM(f, moved) > 0);
    UNTIL(f, l.gaps >= 2); /* the old owner ended the subscription */
    UNTIL(f, redis_channel_live(&l.ch));
    hear(f, &l, "{m}:ch");
    UNTIL(f, owner_of(f, slot) == away);
    migrate(f, slot, away, home, w);

    for (int i = 0; i < WORKERS; i++)
        w[i].stop = true;
    for (int i = 0; i < WORKERS; i++)
        UNTIL(f, redis_call_idle(&w[i].a.call));
    redis_sub_free(sub);
    go(f);
}

static void one_redis_alone_does_it_all(void **state)
{
    static struct listener l;
    struct farm *f = *state;
    struct redis_sub *sub;
    struct redis_cluster_stats *s;
    struct ask a = {.call = {.confirm_ms = 20}};

    come(f, MASTERS);
    assert_string_equal(answer(f, REDIS_STORE, "SET", "key", "value"), "OK");
    assert_string_equal(answer(f, REDIS_READ, "GET", "key", NULL), "value");
    s = redis_cluster_stats(f->cluster);
    assert_int_equal(s->mode, REDIS_MODE_PLAIN);
    free(s);
    ask(f, &a, REDIS_WRITE, "SET", "key", "other");
    UNTIL(f, a.done == 1);
    assert_string_equal(a.text, "OK");
    assert_int_equal(a.call.confirmed, 0); /* there is no replica */
    sub = redis_sub_new(f->cluster, NULL);
    l.ch = (struct redis_channel){.on_message = on_message, .on_gap = on_gap};
    assert_true(redis_sub_add(sub, &l.ch, WEIR_SPAN_LIT("ch"), NULL));
    UNTIL(f, l.gaps == 1);
    hear(f, &l, "ch");
    redis_sub_free(sub);
    go(f);
}

static void out_of_memory_is_full_and_the_rest_goes_on(void **state)
{
    struct farm *f = *state;
    struct server *plain = &f->servers[MASTERS];

    come(f, MASTERS);
    assert_string_equal(answer(f, REDIS_STORE, "SET", "kept", "value"), "OK");
    assert_true(fine(admin(plain, "CONFIG SET maxmemory 1")));
    assert_string_equal(answer(f, REDIS_STORE, "SET", "key", "value"), "(full)");
    assert_string_equal(answer(f, REDIS_READ, "GET", "kept", NULL), "value");
    assert_string_equal(answer(f, REDIS_WRITE, "DEL", "kept", NULL), "integer 1");
    assert_true(fine(admin(plain, "CONFIG SET maxmemory 0")));
    go(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_all_slots_are_written_and_read),
        cmocka_unit_test(a_script_runs_on_every_node),
        cmocka_unit_test(a_slot_moves_under_load_and_nobody_notices),
        cmocka_unit_test(one_redis_alone_does_it_all),
        cmocka_unit_test(out_of_memory_is_full_and_the_rest_goes_on),
    };

    weir_log_set_level(WEIR_LOG_WARN);
    return cmocka_run_group_tests(tests, begin, end);
}
