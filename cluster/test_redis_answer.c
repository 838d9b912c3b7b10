#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "redis_answer.h"
#include "redis_reply.h"
#include "weir/alloc.h"

/* ---- one reply, read as it comes from the wire ---- */

static struct redis_reply *reply_of(const char *wire, size_t len)
{
    const struct redis_limits limits = {.bulk_max_bytes = 4 << 20, .reply_max_bytes = 8 << 20};
    struct redis_reader *r = redis_reader_new(&limits);
    struct weir_span in = weir_span(wire, len);
    struct redis_reply *reply = NULL;

    assert_non_null(r);
    assert_int_equal(redis_reader_next(r, &in, &reply, NULL), REDIS_READ_REPLY);
    redis_reader_free(r);
    return reply;
}

static enum shared_result ask(struct shared_call *c, enum redis_op op, const char *wire)
{
    struct redis_reply *reply = reply_of(wire, strlen(wire));

    memset(c, 0, sizeof *c);
    redis_answer(op, reply, c);
    redis_reply_unref(reply);
    return c->result;
}

static void clear(struct shared_call *c)
{
    weir_blob_unref(c->value.blob);
    weir_free(c->owned);
}

/* ---- what each operation expects ---- */

#define NEWEST "$15\r\n1795439252094-9\r\n"
#define NEVER  "$3\r\n0-0\r\n"

static const struct {
    enum redis_op op;
    const char *wire;
    enum shared_result result;
    uint64_t number;
} sound[] = {
    {REDIS_OP_GET, "$5\r\nhello\r\n", SHARED_OK, 0},
    {REDIS_OP_GET, "$0\r\n\r\n", SHARED_OK, 0},
    {REDIS_OP_GET, "$-1\r\n", SHARED_NONE, 0},
    {REDIS_OP_PUT, "+OK\r\n", SHARED_OK, 0},
    {REDIS_OP_PUT_FENCED, ":1\r\n", SHARED_OK, 0},
    {REDIS_OP_PUT_FENCED, ":0\r\n", SHARED_REFUSED, 0},
    {REDIS_OP_PUT_NEW, "+OK\r\n", SHARED_OK, 0},
    {REDIS_OP_PUT_NEW, "$-1\r\n", SHARED_REFUSED, 0},
    {REDIS_OP_REMOVE, ":1\r\n", SHARED_OK, 1},
    {REDIS_OP_REMOVE, ":0\r\n", SHARED_OK, 0},
    {REDIS_OP_REMOVE_IF, ":1\r\n", SHARED_OK, 0},
    {REDIS_OP_REMOVE_IF, ":0\r\n", SHARED_REFUSED, 0},
    {REDIS_OP_REMOVE_IF, ":-1\r\n", SHARED_NONE, 0},
    {REDIS_OP_TOUCH, ":1\r\n", SHARED_OK, 0},
    {REDIS_OP_TOUCH, ":-1\r\n", SHARED_NONE, 0},
    {REDIS_OP_LEASE_TAKE, "*2\r\n:1\r\n:7\r\n", SHARED_OK, 7},
    {REDIS_OP_LEASE_TAKE, "*2\r\n:0\r\n:2999\r\n", SHARED_REFUSED, 0},
    {REDIS_OP_LEASE_RENEW, ":1\r\n", SHARED_OK, 0},
    {REDIS_OP_LEASE_RENEW, ":0\r\n", SHARED_REFUSED, 0},
    {REDIS_OP_LEASE_WAKE, "*0\r\n", SHARED_OK, 0},
    {REDIS_OP_LEASE_WAKE, ":0\r\n", SHARED_REFUSED, 0},
    {REDIS_OP_LEASE_RELEASE, "*2\r\n$1\r\na\r\n$1\r\nb\r\n", SHARED_OK, 2},
    {REDIS_OP_LOG_APPEND, NEWEST, SHARED_OK, 1795439252094u << 20 | 9},
    {REDIS_OP_LOG_OPEN, NEWEST, SHARED_OK, 1795439252094u << 20 | 9},
    {REDIS_OP_LOG_READ, "*2\r\n" NEWEST NEVER, SHARED_OK, 0},
    {REDIS_OP_LOG_READ, "$-1\r\n", SHARED_NONE, 0},
    {REDIS_OP_BOARD_PUT, ":1795439252094\r\n", SHARED_OK, 1795439252094},
    {REDIS_OP_BOARD_PUT, ":0\r\n", SHARED_FULL, 0},
    {REDIS_OP_BOARD_REMOVE, ":1795439252094\r\n", SHARED_OK, 1795439252094},
    {REDIS_OP_BOARD_READ, "*2\r\n:9\r\n*0\r\n", SHARED_OK, 9},
    {REDIS_OP_BOARD_READ, "*2\r\n:9\r\n*2\r\n$0\r\n\r\n$1\r\n0\r\n", SHARED_OK, 9},
    {REDIS_OP_BOARD_READ, "*2\r\n:9\r\n*2\r\n$1\r\na\r\n$5\r\n7 0 x\r\n", SHARED_OK, 9},
    {REDIS_OP_TOKENS_TAKE, "*3\r\n:5\r\n:7\r\n:0\r\n", SHARED_OK, 5},
    {REDIS_OP_TOKENS_TAKE, "*3\r\n:0\r\n:0\r\n:100\r\n", SHARED_REFUSED, 0},
    {REDIS_OP_HINT, ":0\r\n", SHARED_OK, 0},
    {REDIS_OP_HINT, ":100\r\n", SHARED_OK, 0},
};

#define SOUND (sizeof sound / sizeof sound[0])

static void each_operation_understands_its_own_replies(void **state)
{
    struct shared_call c;

    (void)state;
    for (size_t i = 0; i < SOUND; i++) {
        enum shared_result r = ask(&c, sound[i].op, sound[i].wire);

        if (r != sound[i].result || c.number != sound[i].number)
            fail_msg("%s: %s, number %llu, for %s", redis_op_name(sound[i].op),
                     shared_result_text(r), (unsigned long long)c.number, sound[i].wire);
        clear(&c);
    }
}

static bool is_sound(enum redis_op op, const char *wire)
{
    for (size_t i = 0; i < SOUND; i++)
        if (sound[i].op == op && strcmp(sound[i].wire, wire) == 0)
            return true;
    return false;
}

/* Replies that are right for some operation are tried on all the others, and so are some that are
 * right for none. */
static void any_other_reply_to_any_operation_is_bad(void **state)
{
    static const char *const odd[] = {
        "+NO\r\n",
        "+\r\n",
        ":-2\r\n",
        ":2\r\n",
        ":9223372036854775807\r\n",
        "*-1\r\n",
        "*1\r\n*1\r\n*1\r\n:1\r\n",
        "*2\r\n$-1\r\n$-1\r\n",
        "*2\r\n:1\r\n:0\r\n",
        "*2\r\n:0\r\n:-1\r\n",
        "*2\r\n:2\r\n:1\r\n",
        "*1\r\n:1\r\n",
        "*3\r\n:1\r\n:1\r\n:1\r\n",
        "*1\r\n$0\r\n\r\n",
        "$3\r\n1-x\r\n",
        "*2\r\n" NEWEST "$-1\r\n",
        "*3\r\n" NEWEST NEVER NEWEST,
        "*4\r\n" NEWEST NEVER NEWEST ":1\r\n",
        "*4\r\n" NEWEST NEVER "$-1\r\n$1\r\nx\r\n",
        "*4\r\n" NEWEST NEVER "$3\r\n0-0\r\n$1\r\nx\r\n",
        "*2\r\n:9\r\n*1\r\n$1\r\na\r\n",
        "*2\r\n:0\r\n*0\r\n",
        "*3\r\n:9\r\n*0\r\n:9\r\n",
        "*2\r\n:9\r\n$1\r\na\r\n",
        "*2\r\n:9\r\n*2\r\n$1\r\na\r\n:7\r\n",
        "*2\r\n:9\r\n*2\r\n$1\r\na\r\n$-1\r\n",
        "*2\r\n:9\r\n*2\r\n:1\r\n$4\r\n7 0 \r\n",
        "*2\r\n:9\r\n*4\r\n$1\r\na\r\n$4\r\n7 0 \r\n$1\r\na\r\n$4\r\n7 0 \r\n",
        "*3\r\n:0\r\n:1\r\n:100\r\n",
        "*3\r\n:0\r\n:0\r\n:0\r\n",
        "*3\r\n:1\r\n:0\r\n:1\r\n",
        "*3\r\n:1000001\r\n:0\r\n:0\r\n",
        "*3\r\n:1\r\n:1000001\r\n:0\r\n",
        "*3\r\n:0\r\n:0\r\n:4294967296\r\n",
        "*4\r\n:5\r\n:7\r\n:0\r\n:0\r\n",
        "*6\r\n" NEWEST NEVER "$3\r\n2-0\r\n$1\r\nx\r\n$3\r\n1-9\r\n$1\r\nx\r\n",
    };
    const char *all[SOUND + sizeof odd / sizeof odd[0]];
    size_t n = 0;
    struct shared_call c;

    (void)state;
    for (size_t i = 0; i < SOUND; i++)
        all[n++] = sound[i].wire;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        all[n++] = odd[i];
    for (int op = 0; op < REDIS_OPS; op++)
        for (size_t i = 0; i < n; i++) {
            const char *wire = all[i];
            enum shared_result r = ask(&c, (enum redis_op)op, wire);
            bool looks_right =
                is_sound((enum redis_op)op, wire) ||
                (op == REDIS_OP_GET && wire[0] == '$') ||           /* any bytes are a value */
                (strcmp(wire, "*-1\r\n") == 0 && r != SHARED_OK) || /* a null like any other */
                (op == REDIS_OP_HINT && wire[0] == ':' && wire[1] != '-') ||
                /* any time of the shared clock */
                ((op == REDIS_OP_BOARD_PUT || op == REDIS_OP_BOARD_REMOVE) && r == SHARED_OK &&
                 wire[0] == ':' && wire[1] >= '1' && strlen(wire) < 19) ||
                (op == REDIS_OP_LEASE_WAKE && is_sound(REDIS_OP_LEASE_RELEASE, wire)) ||
                (op == REDIS_OP_LEASE_RELEASE && is_sound(REDIS_OP_LEASE_WAKE, wire)) ||
                /* two texts: waiters' channels */
                ((op == REDIS_OP_LEASE_WAKE || op == REDIS_OP_LEASE_RELEASE) &&
                 strstr(wire, NEWEST NEVER) != NULL && r == SHARED_OK);

            if (!looks_right && r != SHARED_BAD)
                fail_msg("%s: %s for %s", redis_op_name((enum redis_op)op), shared_result_text(r),
                         wire);
            if (r != SHARED_OK) {
                assert_int_equal(c.number, 0);
                assert_null(c.owned);
                assert_null(c.value.blob);
                assert_int_equal(c.note_count, 0);
            }
            clear(&c);
        }
}

static void errors_say_whether_to_come_back(void **state)
{
    static const struct {
        const char *wire;
        enum shared_result result;
    } errors[] = {
        {"-OOM command not allowed when used memory > 'maxmemory'.\r\n", SHARED_FULL},
        {"-MISCONF Redis is configured to save RDB snapshots\r\n", SHARED_FULL},
        {"-CLUSTERDOWN The cluster is down\r\n", SHARED_GONE},
        {"-LOADING Redis is loading the dataset in memory\r\n", SHARED_GONE},
        {"-MASTERDOWN Link with MASTER is down\r\n", SHARED_GONE},
        {"-NOREPLICAS Not enough good replicas to write.\r\n", SHARED_GONE},
        {"-READONLY You can't write against a read only replica.\r\n", SHARED_GONE},
        {"-MOVED 1 127.0.0.1:1\r\n", SHARED_GONE},
        {"-WRONGTYPE Operation against a key\r\n", SHARED_BAD},
        {"-NOPERM this user has no permissions\r\n", SHARED_BAD},
        {"-ERR syntax error\r\n", SHARED_BAD},
        {"-\r\n", SHARED_BAD},
        {"-OOMPH\r\n", SHARED_BAD},
    };
    struct shared_call c;

    (void)state;
    for (int op = 0; op < REDIS_OPS; op++)
        for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
            if (ask(&c, (enum redis_op)op, errors[i].wire) != errors[i].result)
                fail_msg("%s: %s", errors[i].wire, shared_result_text(c.result));
}

/* ---- values ---- */

static void a_value_is_kept_without_a_copy(void **state)
{
    static char wire[700];
    int n = snprintf(wire, sizeof wire, "$600\r\n%0600d\r\n", 7);
    struct redis_reply *reply = reply_of(wire, (size_t)n);
    struct shared_call c = {.done = NULL};

    (void)state;
    redis_answer(REDIS_OP_GET, reply, &c);
    assert_ptr_equal(c.value.blob, reply->blob);
    redis_reply_unref(reply);
    assert_int_equal(c.value.len, 600);
    assert_int_equal(weir_slice_ptr(c.value)[599], '7');
    clear(&c);
}

static void a_value_beyond_the_limit_is_bad(void **state)
{
    size_t len = SHARED_VALUE_MAX + 1;
    char *wire = malloc(len + 32);
    int n;
    struct redis_reply *reply;
    struct shared_call c = {.done = NULL};

    (void)state;
    assert_non_null(wire);
    n = sprintf(wire, "$%zu\r\n", len);
    memset(wire + n, 'x', len);
    memcpy(wire + n + len, "\r\n", 2);
    reply = reply_of(wire, (size_t)n + len + 2);
    redis_answer(REDIS_OP_GET, reply, &c);
    assert_int_equal(c.result, SHARED_BAD);
    redis_reply_unref(reply);
    free(wire);
}

/* ---- leases and logs ---- */

static void a_refused_lease_says_how_long(void **state)
{
    struct shared_call c;

    (void)state;
    ask(&c, REDIS_OP_LEASE_TAKE, "*2\r\n:0\r\n:2999\r\n");
    assert_int_equal(c.left_ms, 2999);
    ask(&c, REDIS_OP_LEASE_TAKE, "*2\r\n:0\r\n:99999999999\r\n");
    assert_int_equal(c.result, SHARED_REFUSED);
    assert_int_equal(c.left_ms, UINT32_MAX);
}

static void records_are_copied_in_order(void **state)
{
    struct shared_call c;

    (void)state;
    ask(&c, REDIS_OP_LOG_READ,
        "*6\r\n$3\r\n5-1\r\n$3\r\n3-2\r\n$3\r\n3-2\r\n$0\r\n\r\n$3\r\n5-1\r\n$5\r\npurge\r\n");
    assert_int_equal(c.result, SHARED_OK);
    assert_int_equal(c.log_last, 5 << 20 | 1);
    assert_int_equal(c.log_first, 3 << 20 | 2);
    assert_int_equal(c.entry_count, 2);
    assert_int_equal(c.entries[0].id, 3 << 20 | 2);
    assert_int_equal(c.entries[0].bytes.len, 0);
    assert_int_equal(c.entries[1].id, 5 << 20 | 1);
    assert_memory_equal(c.entries[1].bytes.ptr, "purge", 5);
    clear(&c);
}

static void notes_are_copied_in_the_order_of_their_ids_if_they_live(void **state)
{
    struct shared_call c;

    (void)state;
    ask(&c, REDIS_OP_BOARD_READ,
        "*2\r\n:1000\r\n*12\r\n$0\r\n\r\n$2\r\n99\r\n"
        "$2\r\nbb\r\n$13\r\n400 1005 late\r\n"
        "$1\r\nc\r\n$13\r\n400 1000 gone\r\n"
        "$1\r\nb\r\n$6\r\n900 0 \r\n"
        "$1\r\na\r\n$12\r\n5000 5007 7 \r\n"
        "$1\r\nd\r\n$7\r\n400 1 x\r\n");
    assert_int_equal(c.result, SHARED_OK);
    assert_int_equal(c.number, 1000);
    assert_int_equal(c.note_count, 3);
    assert_memory_equal(c.notes[0].id.ptr, "a", 1);
    assert_memory_equal(c.notes[0].bytes.ptr, "7 ", 2);
    assert_int_equal(c.notes[0].age_ms, 0);  /* the clock was set back: */
    assert_int_equal(c.notes[0].left_ms, 7); /* no longer than it was given */
    assert_int_equal(c.notes[1].id.len, 1);
    assert_int_equal(c.notes[1].bytes.len, 0);
    assert_int_equal(c.notes[1].age_ms, 100);
    assert_int_equal(c.notes[1].left_ms, -1);
    assert_int_equal(c.notes[2].id.len, 2);
    assert_memory_equal(c.notes[2].bytes.ptr, "late", 4);
    assert_int_equal(c.notes[2].age_ms, 600);
    assert_int_equal(c.notes[2].left_ms, 5);
    clear(&c);
}

/* Whoever may write to Redis could blind a farm with one field otherwise. */
static void what_is_no_note_hides_no_other(void **state)
{
    struct shared_call c;

    (void)state;
    ask(&c, REDIS_OP_BOARD_READ,
        "*2\r\n:9\r\n*16\r\n$1\r\na\r\n$3\r\n7 0\r\n$1\r\nb\r\n$5\r\n-7 0 \r\n"
        "$1\r\nc\r\n$0\r\n\r\n$1\r\nd\r\n$4\r\n x 0\r\n$1\r\ne\r\n$9\r\nnan inf x\r\n"
        "$1\r\nf\r\n$20\r\n7 9007199254740992 x\r\n$1\r\ng\r\n$7\r\n7 0 yes\r\n"
        "$1\r\nh\r\n$22\r\n99999999999999999999 0\r\n");
    assert_int_equal(c.result, SHARED_OK);
    assert_int_equal(c.note_count, 1);
    assert_memory_equal(c.notes[0].id.ptr, "g", 1);
    assert_memory_equal(c.notes[0].bytes.ptr, "yes", 3);
    clear(&c);
}

static void tokens_say_what_is_left_and_how_long(void **state)
{
    struct shared_call c;

    (void)state;
    ask(&c, REDIS_OP_TOKENS_TAKE, "*3\r\n:5\r\n:7\r\n:0\r\n");
    assert_int_equal(c.rest, 7);
    assert_int_equal(c.left_ms, 0);
    ask(&c, REDIS_OP_TOKENS_TAKE, "*3\r\n:0\r\n:0\r\n:100\r\n");
    assert_int_equal(c.rest, 0);
    assert_int_equal(c.left_ms, 100);
}

static void ids_beyond_their_bits_are_no_ids(void **state)
{
    static const char *const wrong[] = {
        "", "-", "1", "1-", "-1", "1-1048576", "17592186044416-0", "1-1-1", "a-1", "1 -1", "+1-1",
    };
    uint64_t id;
    char buf[REDIS_LOG_ID_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(redis_log_id_parse(weir_span_str(wrong[i]), &id));
    assert_true(redis_log_id_parse(weir_span_str("17592186044415-1048575"), &id));
    assert_int_equal(id, UINT64_MAX);
    assert_true(weir_span_eq(redis_log_id_text(id, buf), weir_span_str("17592186044415-1048575")));
    assert_true(weir_span_eq(redis_log_id_text(0, buf), weir_span_str("0-0")));
}

#ifdef WEIR_FAULTS
static void without_memory_there_is_no_room(void **state)
{
    static const char wire[] = "*4\r\n$3\r\n5-1\r\n$3\r\n0-0\r\n$3\r\n5-1\r\n$5\r\npurge\r\n";
    struct redis_reply *value = reply_of("$1\r\nx\r\n", 7);
    static const char board[] = "*2\r\n:9\r\n*2\r\n$1\r\na\r\n$5\r\n7 0 x\r\n";
    struct redis_reply *records = reply_of(wire, sizeof wire - 1);
    struct redis_reply *notes = reply_of(board, sizeof board - 1);
    struct shared_call c = {.done = NULL};

    (void)state;
    for (unsigned long n = 1; n <= 2; n++) {
        weir_alloc_fail_at(n);
        redis_answer(REDIS_OP_BOARD_READ, notes, &c);
        assert_int_equal(c.result, SHARED_FULL);
        assert_int_equal(c.number, 0);
        assert_null(c.notes);
    }
    weir_alloc_fail_at(1);
    redis_answer(REDIS_OP_GET, value, &c);
    assert_int_equal(c.result, SHARED_FULL);
    weir_alloc_fail_at(1);
    redis_answer(REDIS_OP_LOG_READ, records, &c);
    assert_int_equal(c.result, SHARED_FULL);
    assert_int_equal(c.log_last, 0);
    weir_alloc_fail_at(0);
    redis_reply_unref(value);
    redis_reply_unref(records);
    redis_reply_unref(notes);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_understands_its_own_replies),
        cmocka_unit_test(any_other_reply_to_any_operation_is_bad),
        cmocka_unit_test(errors_say_whether_to_come_back),
        cmocka_unit_test(a_value_is_kept_without_a_copy),
        cmocka_unit_test(a_value_beyond_the_limit_is_bad),
        cmocka_unit_test(a_refused_lease_says_how_long),
        cmocka_unit_test(records_are_copied_in_order),
        cmocka_unit_test(notes_are_copied_in_the_order_of_their_ids_if_they_live),
        cmocka_unit_test(what_is_no_note_hides_no_other),
        cmocka_unit_test(tokens_say_what_is_left_and_how_long),
        cmocka_unit_test(ids_beyond_their_bits_are_no_ids),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_there_is_no_room),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
