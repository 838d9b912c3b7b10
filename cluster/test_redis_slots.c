#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "redis_reply.h"
#include "redis_says.h"
#include "redis_slots.h"
#include "weir/alloc.h"

static uint16_t slot(const char *key)
{
    return redis_slot(weir_span_str(key));
}

/* The values are those of CLUSTER KEYSLOT of redis-server 7.0.15. */
static void keys_have_the_slots_that_redis_gives_them(void **state)
{
    (void)state;
    assert_int_equal(slot("123456789"), 0x31c3 & 16383);
    assert_int_equal(slot("foo"), 12182);
    assert_int_equal(slot("bar"), 5061);
    assert_int_equal(slot(""), 0);
    assert_int_equal(slot("w1:{}:m"), slot("w1:{}:m"));
}

static void a_tag_in_braces_is_all_that_counts(void **state)
{
    (void)state;
    assert_int_equal(slot("{foo}.one"), 12182);
    assert_int_equal(slot("x{foo}y{bar}"), 12182);
    assert_int_equal(slot("{{foo}"), slot("{{foo}}")); /* the tag is "{foo" */
    assert_int_equal(slot("{foo}}"), 12182);
    assert_int_not_equal(slot("{}foo"), slot("foo")); /* an empty tag is none */
    assert_int_not_equal(slot("{foo"), slot("foo"));
    assert_int_not_equal(slot("foo}"), slot("foo"));
    assert_int_not_equal(slot("}{foo"), slot("foo"));
}

/* ---- CLUSTER SLOTS ---- */

/* resp: with "\n" for CR LF. */
static struct redis_reply *reply_of(const char *resp)
{
    const struct redis_limits limits = {1 << 20, 1 << 24};
    struct redis_reader *r = redis_reader_new(&limits);
    char *wire = malloc(2 * strlen(resp) + 1);
    size_t len = 0;
    struct redis_reply *reply = NULL;
    struct weir_err err = {0};
    struct weir_span in;

    for (const char *c = resp; *c != '\0'; c++) {
        if (*c == '\n')
            wire[len++] = '\r';
        wire[len++] = *c;
    }
    in = weir_span(wire, len);
    assert_int_equal(redis_reader_next(r, &in, &reply, &err), REDIS_READ_REPLY);
    redis_reader_free(r);
    free(wire);
    return reply;
}

static const struct redis_address asked = {"10.9.9.9", 7000};

static struct redis_map *map_of_reply(const char *resp, const struct redis_map *old,
                                      struct weir_err *err)
{
    struct redis_reply *reply = reply_of(resp);
    struct redis_map *map = redis_map_parse(reply, &asked, old, err);

    redis_reply_unref(reply);
    return map;
}

static struct redis_map *map_of(const char *resp, const struct redis_map *old)
{
    struct weir_err err = {0};
    struct redis_map *map = map_of_reply(resp, old, &err);

    if (map == NULL)
        fail_msg("%s %s", err.where, err.detail);
    return map;
}

static void no_map_of(const char *resp)
{
    struct weir_err err = {0};

    assert_null(map_of_reply(resp, NULL, &err));
    assert_int_equal(err.code, WEIR_E_SHARED);
}

#define NODE(host, port) "*3\n$" host "\n:" port "\n$2\nid\n"
#define A                NODE("8\n10.0.0.1", "7001")
#define B                NODE("8\n10.0.0.2", "7002")
#define C                NODE("8\n10.0.0.3", "7003")

static void a_whole_map_has_masters_and_replicas(void **state)
{
    struct redis_map *m = map_of("*2\n"
                                 "*4\n:0\n:8191\n" A B "*3\n:8192\n:16383\n" C,
                                 NULL);

    (void)state;
    assert_int_equal(m->shard_count, 2);
    assert_int_equal(m->covered, REDIS_SLOTS);
    assert_int_equal(m->kept, 0);
    assert_string_equal(m->shards[m->shard_of[8191]].master.host, "10.0.0.1");
    assert_int_equal(m->shards[m->shard_of[8191]].master.port, 7001);
    assert_int_equal(m->shards[m->shard_of[0]].replica_count, 1);
    assert_string_equal(m->shards[m->shard_of[0]].replicas[0].host, "10.0.0.2");
    assert_string_equal(m->shards[m->shard_of[8192]].master.host, "10.0.0.3");
    assert_true(redis_map_eq(m, m));
    redis_map_unref(redis_map_ref(m));
    redis_map_unref(m);
}

static void scattered_ranges_of_one_master_are_one_shard(void **state)
{
    struct redis_map *m =
        map_of("*4\n"
               "*4\n:0\n:0\n" A B "*3\n:1\n:1\n" C "*4\n:2\n:2\n" A B "*4\n:3\n:5\n" A C,
               NULL);

    (void)state;
    assert_int_equal(m->shard_count, 2);
    assert_int_equal(m->covered, 6);
    assert_int_equal(m->shard_of[0], m->shard_of[5]);
    assert_int_equal(m->shard_of[6], REDIS_NO_SHARD);
    assert_int_equal(m->shards[m->shard_of[0]].replica_count, 2);
    redis_map_unref(m);
}

static void an_endpoint_that_is_null_or_empty_is_the_host_that_was_asked(void **state)
{
    struct redis_map *m = map_of("*2\n"
                                 "*3\n:0\n:1\n*3\n$-1\n:7001\n$2\nid\n"
                                 "*3\n:2\n:3\n*3\n$0\n\n:7002\n$2\nid\n",
                                 NULL);

    (void)state;
    assert_string_equal(m->shards[m->shard_of[1]].master.host, "10.9.9.9");
    assert_int_equal(m->shards[m->shard_of[1]].master.port, 7001);
    assert_string_equal(m->shards[m->shard_of[2]].master.host, "10.9.9.9");
    redis_map_unref(m);
}

static void a_node_that_is_unknown_covers_nothing_and_keeps_the_rest(void **state)
{
    struct redis_map *m = map_of("*2\n*3\n:0\n:1\n*3\n$1\n?\n:7001\n$2\nid\n"
                                 "*4\n:2\n:3\n" A "*3\n$1\n?\n:0\n$2\nid\n",
                                 NULL);

    (void)state;
    assert_int_equal(m->covered, 2);
    assert_int_equal(m->shard_of[0], REDIS_NO_SHARD);
    assert_int_equal(m->shards[m->shard_of[2]].replica_count, 0);
    redis_map_unref(m);
}

static void six_and_more_replicas_of_a_shard_are_too_many_but_no_error(void **state)
{
    struct redis_map *m = map_of("*1\n*10\n:0\n:1\n" A B C NODE("2\nh1", "1") NODE("2\nh2", "1")
                                     NODE("2\nh3", "1") NODE("2\nh4", "1") NODE("2\nh5", "1"),
                                 NULL);

    (void)state;
    assert_int_equal(m->shards[0].replica_count, REDIS_REPLICAS_MAX);
    redis_map_unref(m);
}

static void metadata_of_nodes_and_ipv6_are_understood(void **state)
{
    struct redis_map *m = map_of("*1\n*3\n:0\n:16383\n"
                                 "*4\n$11\n2001:db8::7\n:7001\n$2\nid\n"
                                 "*2\n$8\nhostname\n$5\nredis\n",
                                 NULL);
    char text[REDIS_ADDRESS_TEXT];

    (void)state;
    assert_string_equal(redis_address_text(&m->shards[0].master, text), "[2001:db8::7]:7001");
    redis_map_unref(m);
}

static void what_is_no_map_is_refused(void **state)
{
    (void)state;
    no_map_of("*0\n");
    no_map_of("*-1\n");
    no_map_of("$-1\n");
    no_map_of(":1\n");
    no_map_of("+OK\n");
    no_map_of("-ERR nothing\n");
    no_map_of("*1\n:5\n");
    no_map_of("*1\n*0\n");
    no_map_of("*1\n*2\n:0\n:16383\n");   /* nobody owns it */
    no_map_of("*1\n*3\n:0\n:16384\n" A); /* out of range */
    no_map_of("*1\n*3\n:-1\n:5\n" A);
    no_map_of("*1\n*3\n:6\n:5\n" A);
    no_map_of("*1\n*3\n:0\n:9223372036854775807\n" A);
    no_map_of("*1\n*3\n$1\n0\n$1\n5\n" A);                      /* text for numbers */
    no_map_of("*2\n*3\n:0\n:5\n" A "*3\n:5\n:6\n" B);           /* overlapping */
    no_map_of("*1\n*3\n:0\n:5\n*3\n$1\n?\n:1\n$2\nid\n");       /* nobody known */
    no_map_of("*1\n*3\n:0\n:5\n*2\n:3\n:7001\n");               /* host a number */
    no_map_of("*1\n*3\n:0\n:5\n" NODE("8\n10.0.0.1", "70000")); /* no such port */
    no_map_of("*1\n*3\n:0\n:5\n" NODE("8\n10.0.0.1", "-1"));
    no_map_of("*1\n*3\n:0\n:5\n" NODE("5\na b/c", "7001")); /* no host */
    no_map_of("*1\n*4\n:0\n:5\n" A "*1\n$1\nx\n");          /* bad replica */
    no_map_of("*1\n*3\n:0\n:5\n*0\n");
}

static void more_masters_than_any_cluster_has_are_refused(void **state)
{
    char *resp = malloc(2000 * 64);
    size_t len = (size_t)sprintf(resp, "*1100\n");

    (void)state;
    for (int i = 0; i < 1100; i++)
        len += (size_t)sprintf(resp + len, "*3\n:%d\n:%d\n*2\n$1\nh\n:%d\n", i, i, 1000 + i);
    no_map_of(resp);
    free(resp);
}

static void the_most_ranges_there_can_be_make_a_map(void **state)
{
    char *resp = malloc(REDIS_SLOTS * 48);
    size_t len = (size_t)sprintf(resp, "*%d\n", REDIS_SLOTS);
    struct redis_map *m;

    (void)state;
    for (int i = 0; i < REDIS_SLOTS; i++)
        len += (size_t)sprintf(resp + len, "*3\n:%d\n:%d\n*2\n$1\nh\n:%d\n", i, i, 1 + i % 1000);
    m = map_of(resp, NULL);
    assert_int_equal(m->shard_count, 1000);
    assert_int_equal(m->covered, REDIS_SLOTS);
    redis_map_unref(m);
    free(resp);
}

static void uncovered_slots_keep_their_owner(void **state)
{
    struct redis_map *old = map_of("*2\n*4\n:0\n:99\n" A C "*3\n:100\n:199\n" B, NULL);
    struct redis_map *m = map_of("*1\n*3\n:100\n:149\n" C, old);
    struct redis_map *again = map_of("*2\n*4\n:0\n:99\n" A C "*3\n:100\n:199\n" B, m);

    (void)state;
    assert_int_equal(m->covered, 50);
    assert_int_equal(m->kept, 150);
    assert_string_equal(m->shards[m->shard_of[0]].master.host, "10.0.0.1");
    assert_int_equal(m->shards[m->shard_of[0]].replica_count, 1);
    assert_string_equal(m->shards[m->shard_of[120]].master.host, "10.0.0.3");
    assert_string_equal(m->shards[m->shard_of[150]].master.host, "10.0.0.2");
    assert_int_equal(again->kept, 0);
    assert_true(redis_map_eq(again, old));
    assert_false(redis_map_eq(again, m));
    redis_map_unref(old);
    redis_map_unref(m);
    redis_map_unref(again);
}

static void one_redis_owns_everything(void **state)
{
    struct redis_map *m = redis_map_plain(&asked);

    (void)state;
    assert_int_equal(m->covered, REDIS_SLOTS);
    assert_int_equal(m->shard_of[16383], 0);
    assert_true(redis_address_eq(&m->shards[0].master, &asked));
    redis_map_unref(m);
}

#ifdef WEIR_FAULTS
static void without_memory_there_is_no_map_and_no_leak(void **state)
{
    struct redis_reply *reply =
        reply_of("*3\n*4\n:0\n:99\n" A C "*3\n:100\n:199\n" B "*3\n:200\n:200\n" C);
    struct redis_map *m = NULL;

    (void)state;
    for (unsigned long n = 1; m == NULL; n++) {
        struct weir_err err = {0};

        weir_alloc_fail_at(n);
        m = redis_map_parse(reply, &asked, NULL, &err);
        assert_true((m == NULL) == (err.code == WEIR_E_MEMORY));
        assert_true(n < 10);
    }
    weir_alloc_fail_at(0);
    redis_map_unref(m);
    redis_reply_unref(reply);
}
#endif

/* ---- addresses, and what replies say ---- */

static void parsed(const char *text, const char *host, int port)
{
    struct redis_address a;

    assert_true(redis_address_parse(weir_span_str(text), &asked, &a));
    assert_string_equal(a.host, host);
    assert_int_equal(a.port, port);
}

static void addresses_are_parsed(void **state)
{
    static const char *const bad[] = {"",       "host",       "host:", "host:x",
                                      "host:0", "host:65536", "h h:1", "[::1:80",
                                      "/x:1",   "host:-1",    "[]:1",  "h\n:1"};
    struct redis_address a;

    (void)state;
    parsed("127.0.0.1:6379", "127.0.0.1", 6379);
    parsed("redis.example:1", "redis.example", 1);
    parsed("::1:7001", "::1", 7001); /* as MOVED writes it */
    parsed("[2001:db8::1]:7001", "2001:db8::1", 7001);
    parsed(":7001", "10.9.9.9", 7001); /* same host, another port */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(redis_address_parse(weir_span_str(bad[i]), &asked, &a));
    assert_false(redis_address_parse(weir_span_str(":7001"), NULL, &a));
}

static enum redis_says says(const char *text, uint16_t *s, struct redis_address *to)
{
    struct redis_reply r = {.kind = REDIS_KIND_ERROR, .text = weir_span_str(text)};

    return redis_says(&r, &asked, s, to);
}

static void redirections_name_a_slot_and_a_node(void **state)
{
    static const char *const bad[] = {"MOVED",       "MOVED ",          "MOVED 5",
                                      "MOVED x h:1", "MOVED 16384 h:1", "ASK 5 h",
                                      "ASK -1 h:1",  "MOVED 5 h:99999", "MOVED  5 h:1"};
    struct redis_address to;
    uint16_t s;

    (void)state;
    assert_int_equal(says("MOVED 3999 127.0.0.1:6381", &s, &to), REDIS_SAYS_MOVED);
    assert_int_equal(s, 3999);
    assert_string_equal(to.host, "127.0.0.1");
    assert_int_equal(says("ASK 1 ::1:6381", &s, &to), REDIS_SAYS_ASK);
    assert_string_equal(to.host, "::1");
    assert_int_equal(says("MOVED 3999 :6382", &s, &to), REDIS_SAYS_MOVED);
    assert_string_equal(to.host, "10.9.9.9");
    assert_int_equal(to.port, 6382);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(says(bad[i], &s, &to), REDIS_SAYS_NONSENSE);
}

static void errors_are_told_apart(void **state)
{
    static const struct {
        const char *text;
        enum redis_says says;
        enum redis_outcome outcome;
    } rows[] = {
        {"CLUSTERDOWN The cluster is down", REDIS_SAYS_CLUSTERDOWN, REDIS_OUTCOME_DOWN},
        {"LOADING Redis is loading the dataset in memory", REDIS_SAYS_LOADING, REDIS_OUTCOME_DOWN},
        {"MASTERDOWN Link with MASTER is down", REDIS_SAYS_LOADING, REDIS_OUTCOME_DOWN},
        {"READONLY You can't write against a read only replica.", REDIS_SAYS_READONLY,
         REDIS_OUTCOME_OK},
        {"OOM command not allowed when used memory > 'maxmemory'.", REDIS_SAYS_OOM,
         REDIS_OUTCOME_OK},
        {"NOAUTH Authentication required.", REDIS_SAYS_DENIED, REDIS_OUTCOME_CONFIG},
        {"NOPERM this user has no permissions", REDIS_SAYS_DENIED, REDIS_OUTCOME_CONFIG},
        {"WRONGPASS invalid username-password pair", REDIS_SAYS_DENIED, REDIS_OUTCOME_CONFIG},
        {"ERR max number of clients reached", REDIS_SAYS_CLIENTS, REDIS_OUTCOME_DOWN},
        {"ERR This instance has cluster support disabled", REDIS_SAYS_NO_CLUSTER, REDIS_OUTCOME_OK},
        {"CROSSSLOT Keys in request don't hash to the same slot", REDIS_SAYS_ERROR,
         REDIS_OUTCOME_OK},
        {"WRONGTYPE Operation against a key", REDIS_SAYS_ERROR, REDIS_OUTCOME_OK},
        {"MOVEDX 1 h:1", REDIS_SAYS_ERROR, REDIS_OUTCOME_OK},
        {"", REDIS_SAYS_ERROR, REDIS_OUTCOME_OK},
    };
    struct redis_address to;
    uint16_t s;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum redis_says got = says(rows[i].text, &s, &to);

        assert_int_equal(got, rows[i].says);
        assert_int_equal(redis_says_outcome(got), rows[i].outcome);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_the_slots_that_redis_gives_them),
        cmocka_unit_test(a_tag_in_braces_is_all_that_counts),
        cmocka_unit_test(a_whole_map_has_masters_and_replicas),
        cmocka_unit_test(scattered_ranges_of_one_master_are_one_shard),
        cmocka_unit_test(an_endpoint_that_is_null_or_empty_is_the_host_that_was_asked),
        cmocka_unit_test(a_node_that_is_unknown_covers_nothing_and_keeps_the_rest),
        cmocka_unit_test(six_and_more_replicas_of_a_shard_are_too_many_but_no_error),
        cmocka_unit_test(metadata_of_nodes_and_ipv6_are_understood),
        cmocka_unit_test(what_is_no_map_is_refused),
        cmocka_unit_test(more_masters_than_any_cluster_has_are_refused),
        cmocka_unit_test(the_most_ranges_there_can_be_make_a_map),
        cmocka_unit_test(uncovered_slots_keep_their_owner),
        cmocka_unit_test(one_redis_owns_everything),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_there_is_no_map_and_no_leak),
#endif
        cmocka_unit_test(addresses_are_parsed),
        cmocka_unit_test(redirections_name_a_slot_and_a_node),
        cmocka_unit_test(errors_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
