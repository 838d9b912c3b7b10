#include "redis_reply.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "test_redis_dump.h"
#include "weir/alloc.h"

static const struct redis_limits LIMITS = {(size_t)1 << 20, (size_t)2 << 20};

/* Read in every way there is, it must look like `want`. */
static void reads_as(const char *bytes, size_t len, const char *want)
{
    for (size_t step = 1; step <= len; step = step < 40 ? step + 1 : step * 2) {
        for (int room = 0; room < 2; room++) {
            char *got = dump_stream(bytes, len, step, room, &LIMITS);

            assert_string_equal(got, want);
            free(got);
        }
    }
}

#define READS_AS(bytes, want) reads_as(bytes, sizeof(bytes) - 1, want)

/* The first reply of the bytes, owned. */
static struct redis_reply *first(const char *bytes, size_t len)
{
    struct redis_reader *reader = redis_reader_new(&LIMITS);
    struct weir_span in = weir_span(bytes, len);
    struct redis_reply *reply = NULL;

    assert_non_null(reader);
    assert_int_equal(redis_reader_next(reader, &in, &reply, NULL), REDIS_READ_REPLY);
    redis_reader_free(reader);
    return reply;
}

static void every_kind_is_read_however_it_is_cut(void **state)
{
    (void)state;
    READS_AS("+OK\r\n", "+OK ");
    READS_AS("-MOVED 3999 127.0.0.1:6381\r\n", "-MOVED 3999 127.0.0.1:6381 ");
    READS_AS(":-42\r\n:9223372036854775807\r\n", ":-42 :9223372036854775807 ");
    READS_AS("$5\r\na\r\nbc\r\n$0\r\n\r\n", "$a\r\nbc $ ");
    READS_AS("$-1\r\n*-1\r\n*0\r\n", "_ _ []");
    READS_AS("*3\r\n:1\r\n*2\r\n$1\r\na\r\n+b\r\n$-1\r\n+next\r\n", "[:1 [$a +b ]_ ]+next ");
}

static void what_is_not_resp2_is_refused(void **state)
{
    (void)state;
    READS_AS("HTTP/1.1 400 Bad Request\r\n\r\n", "!");
    READS_AS("+OK\r\n!nonsense\r\n", "+OK !");
    READS_AS("$5\r\nabcdefgh\r\n", "!");
    READS_AS("$abc\r\n", "!");
    READS_AS("$-2\r\n", "!");
    READS_AS("$01\r\na\r\n", "!");
    READS_AS(":12x\r\n", "!");
    READS_AS("*-5\r\n", "!");
    READS_AS("%1\r\n+a\r\n+b\r\n", "!"); /* RESP3 */
    READS_AS("_\r\n", "!");
    READS_AS("#t\r\n", "!");
    READS_AS(",1.5\r\n", "!");
    READS_AS("*1\r\n>1\r\n", "!");
}

static void what_is_beyond_the_limits_is_refused_before_it_is_there(void **state)
{
    (void)state;
    READS_AS("$1048577\r\n", "!");
    READS_AS("$99999999999999999999\r\n", "!");
    READS_AS("$9223372036854775807\r\nabcdefghijklmnopqrstuvwxyz", "!");
    READS_AS("*1\r\n$1048577\r\n", "!");
    READS_AS("*262145\r\n", "!");
    READS_AS("*2147483647\r\n", "!");
    READS_AS("*9223372036854775807\r\n", "!");
    READS_AS("*2\r\n*262142\r\n", "");
    READS_AS("*2\r\n*262143\r\n", "!");
    READS_AS("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "[[[[[[[:1 ]]]]]]]");
    READS_AS("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "!");
}

static void a_line_without_end_is_refused(void **state)
{
    static const char kinds[] = "+-:$*";
    size_t len = REDIS_LINE_MAX + 4;
    char *bytes = malloc(len), *got;

    (void)state;
    for (const char *kind = kinds; *kind != '\0'; kind++) {
        memset(bytes, '1', len);
        bytes[0] = *kind;
        for (size_t step = 3; step <= len; step *= 11) {
            got = dump_stream(bytes, len, step, false, &LIMITS);
            assert_string_equal(got, "!");
            free(got);
        }
    }
    free(bytes);
}

static void the_sum_of_a_reply_is_limited(void **state)
{
    struct dump d = {0};
    char *got;

    (void)state;
    dump_bytes(&d, "*3\r\n", 4);
    for (int i = 0; i < 3; i++) {
        char *bulk = calloc(1, 1 << 20);

        dump_bytes(&d, "$1048576\r\n", 10);
        dump_bytes(&d, bulk, 1 << 20);
        dump_bytes(&d, "\r\n", 2);
        free(bulk);
    }
    got = dump_stream(d.text, d.len, d.len, false, &LIMITS);
    assert_string_equal(got, "!");
    free(got);
    got = dump_stream(d.text, d.len, 5000, false, &LIMITS);
    assert_string_equal(got, "!");
    free(got);
    free(d.text);
}

/* "$n\r\n", n bytes of a pattern, "\r\n". */
static void put_bulk(struct dump *d, size_t n)
{
    char head[32];

    dump_bytes(d, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", n));
    for (size_t i = 0; i < n; i++)
        dump_bytes(d, &"0123456789\r\n$*"[i % 14], 1);
    dump_bytes(d, "\r\n", 2);
}

static void large_bulks_lie_in_blobs_wherever_they_stand(void **state)
{
    static const size_t sizes[] = {REDIS_BLOB_MIN - 1, REDIS_BLOB_MIN, 4096, 5000, 70000};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct dump d = {0};
        char *whole, *cut;

        dump_bytes(&d, "+a\r\n", 4);
        put_bulk(&d, sizes[i]);
        dump_bytes(&d, ":1\r\n*2\r\n", 8);
        put_bulk(&d, sizes[i]);
        put_bulk(&d, sizes[i] + 1);
        put_bulk(&d, sizes[i]);
        whole = dump_stream(d.text, d.len, d.len, false, &LIMITS);
        assert_null(strchr(whole, '!'));
        for (size_t step = 1; step < d.len; step = step * 2 + 1) {
            cut = dump_stream(d.text, d.len, step, step % 4 == 3, &LIMITS);
            assert_string_equal(cut, whole);
            free(cut);
        }
        free(whole);
        free(d.text);
    }
}

static void a_large_bulk_without_its_end_is_refused(void **state)
{
    struct dump d = {0};
    char *got;

    (void)state;
    put_bulk(&d, 5000);
    d.text[d.len - 1] = 'x';
    for (size_t step = 1; step < 10000; step *= 9) {
        got = dump_stream(d.text, d.len, step, true, &LIMITS);
        assert_string_equal(got, "!");
        free(got);
    }
    free(d.text);
}

static void a_blob_outlives_its_reply(void **state)
{
    struct dump d = {0};
    struct redis_reply *r;
    struct weir_slice s;

    (void)state;
    put_bulk(&d, 3000);
    r = first(d.text, d.len);
    assert_true(redis_reply_slice(r, &s));
    assert_ptr_equal(s.blob, r->blob); /* not a copy */
    redis_reply_unref(r);
    assert_int_equal(s.len, 3000);
    assert_memory_equal(weir_slice_ptr(s), d.text + 7, 3000);
    weir_blob_unref(s.blob);
    free(d.text);

    r = first("$3\r\nabc\r\n", 9);
    assert_true(redis_reply_slice(r, &s));
    redis_reply_unref(r);
    assert_memory_equal(weir_slice_ptr(s), "abc", 3);
    weir_blob_unref(s.blob);
}

static void a_reply_that_is_held_stays(void **state)
{
    struct redis_reply *r = first("*2\r\n$1\r\na\r\n:7\r\n", 15), *held = redis_reply_ref(r);

    (void)state;
    redis_reply_unref(r);
    assert_int_equal(held->count, 2);
    assert_int_equal(held->items[1].integer, 7);
    redis_reply_unref(held);
    redis_reply_unref(NULL);
}

static void taking_apart_never_trusts_the_kind(void **state)
{
    struct redis_reply *r =
        first("*6\r\n:5\r\n$2\r\n-7\r\n+OK\r\n-MOVED 1 a:1\r\n$-1\r\n$1\r\nx\r\n", 47);
    struct weir_span text;
    struct weir_slice s;
    int64_t n = 99;
    char buf[40];

    (void)state;
    assert_null(redis_reply_at(r, 6));
    assert_null(redis_reply_at(redis_reply_at(r, 0), 0));
    assert_null(redis_reply_at(NULL, 0));
    assert_true(redis_reply_int(redis_reply_at(r, 0), &n) && n == 5);
    assert_false(redis_reply_int(redis_reply_at(r, 1), &n));
    assert_false(redis_reply_int(NULL, &n));
    assert_true(redis_reply_number(redis_reply_at(r, 1), &n) && n == -7);
    assert_false(redis_reply_number(redis_reply_at(r, 5), &n));
    assert_false(redis_reply_number(redis_reply_at(r, 9), &n));
    assert_true(redis_reply_is_status(redis_reply_at(r, 2), "OK"));
    assert_false(redis_reply_is_status(redis_reply_at(r, 2), "O"));
    assert_true(redis_reply_text(redis_reply_at(r, 2), &text) && text.len == 2);
    assert_false(redis_reply_text(redis_reply_at(r, 3), &text));
    assert_true(redis_reply_is_error(redis_reply_at(r, 3), "MOVED"));
    assert_true(redis_reply_is_error(redis_reply_at(r, 3), NULL));
    assert_false(redis_reply_is_error(redis_reply_at(r, 3), "MOVE"));
    assert_false(redis_reply_is_error(redis_reply_at(r, 2), NULL));
    assert_true(redis_reply_is_nil(redis_reply_at(r, 4)));
    assert_false(redis_reply_is_nil(redis_reply_at(r, 7)));
    assert_false(redis_reply_slice(redis_reply_at(r, 0), &s));
    assert_false(redis_reply_slice(NULL, &s));
    assert_string_equal(redis_reply_str(redis_reply_at(r, 3), buf, sizeof buf), "MOVED 1 a:1");
    assert_string_equal(redis_reply_str(redis_reply_at(r, 3), buf, 4), "MOV");
    assert_string_equal(redis_reply_str(r, buf, sizeof buf), "array of 6");
    redis_reply_unref(r);
}

#ifdef WEIR_FAULTS
static void memory_that_fails_ends_the_reader_and_nothing_else(void **state)
{
    static const char small[] = "+OK\r\n*3\r\n$1\r\na\r\n*2\r\n:1\r\n+x\r\n$600\r\n";
    struct dump d = {0};
    bool untouched = false;

    (void)state;
    dump_bytes(&d, small, sizeof small - 1);
    for (int i = 0; i < 602; i++)
        dump_bytes(&d, i < 600 ? "z" : &"\r\n"[i - 600], 1);
    put_bulk(&d, 2000);
    for (unsigned long n = 1; !untouched; n++) {
        struct redis_reader *reader;
        struct weir_span in = weir_span(d.text, d.len);
        struct redis_reply *reply;
        struct weir_err err = {0};
        enum redis_read found = REDIS_READ_MEMORY;

        weir_alloc_fail_at(n);
        reader = redis_reader_new(&LIMITS);
        while (reader != NULL &&
               (found = redis_reader_next(reader, &in, &reply, &err)) == REDIS_READ_REPLY)
            redis_reply_unref(reply);
        untouched = !weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_int_equal(found, untouched ? REDIS_READ_MORE : REDIS_READ_MEMORY);
        assert_int_equal(err.code, untouched || reader == NULL ? WEIR_OK : WEIR_E_MEMORY);
        redis_reader_free(reader);
    }
    free(d.text);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read_however_it_is_cut),
        cmocka_unit_test(what_is_not_resp2_is_refused),
        cmocka_unit_test(what_is_beyond_the_limits_is_refused_before_it_is_there),
        cmocka_unit_test(a_line_without_end_is_refused),
        cmocka_unit_test(the_sum_of_a_reply_is_limited),
        cmocka_unit_test(large_bulks_lie_in_blobs_wherever_they_stand),
        cmocka_unit_test(a_large_bulk_without_its_end_is_refused),
        cmocka_unit_test(a_blob_outlives_its_reply),
        cmocka_unit_test(a_reply_that_is_held_stays),
        cmocka_unit_test(taking_apart_never_trusts_the_kind),
#ifdef WEIR_FAULTS
        cmocka_unit_test(memory_that_fails_ends_the_reader_and_nothing_else),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
