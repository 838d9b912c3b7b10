#include "weir/record.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"

#define T_NAME   0x0101
#define T_COUNT  0x0102
#define T_NOVICE (0x01f0 | RECORD_CRITICAL)

/* A block of exactly its size, so that the address sanitizer sees who reads past it. */
struct bytes {
    char *ptr;
    size_t len;
};

static struct weir_slice slice_of(const char *text, size_t len)
{
    struct weir_blob *b = weir_blob_new(len);

    assert_non_null(b);
    memcpy(b->bytes, text, len);
    b->len = (uint32_t)len;
    return (struct weir_slice){b, 0, (uint32_t)len};
}

static void join(struct bytes *to, struct weir_slice s)
{
    to->ptr = realloc(to->ptr, to->len + s.len + 1);
    assert_non_null(to->ptr);
    memcpy(to->ptr + to->len, weir_slice_ptr(s), s.len);
    to->len += s.len;
}

static struct bytes sealed(unsigned version, unsigned flags, struct weir_span fields,
                           const char *body)
{
    struct weir_slice piece = slice_of(body, strlen(body)), head, tail;
    struct bytes out = {0};

    assert_true(record_seal(version, flags, fields, WEIR_SPAN_NONE, &piece, 1, &head, &tail));
    join(&out, head);
    join(&out, piece);
    join(&out, tail);
    weir_blob_unref(head.blob);
    weir_blob_unref(piece.blob);
    weir_blob_unref(tail.blob);
    return out;
}

static struct bytes sample(unsigned version)
{
    struct record_fields fs = {0};
    struct bytes out;

    record_add(&fs, T_NAME, WEIR_SPAN_LIT("a name"));
    record_add_u64(&fs, T_COUNT, 0x0102030405060708);
    record_add(&fs, T_NAME, WEIR_SPAN_NONE);
    record_add(&fs, T_NOVICE, WEIR_SPAN_LIT("\xff"));
    assert_false(fs.failed);
    out = sealed(version, 0x8001, record_fields_span(&fs), "the body");
    record_fields_free(&fs);
    return out;
}

static enum record_verdict open_bytes(struct bytes b, struct record *r)
{
    return record_open(weir_span(b.ptr, b.len), r);
}

static void what_was_written_is_read(void **state)
{
    struct bytes b = sample(RECORD_VERSION);
    struct weir_span rest;
    struct record_field f;
    struct record r;
    uint64_t n;

    (void)state;
    assert_int_equal(open_bytes(b, &r), RECORD_OK);
    assert_int_equal(r.version, RECORD_VERSION);
    assert_int_equal(r.flags, 0x8001);
    assert_true(weir_span_eq(r.body, WEIR_SPAN_LIT("the body")));
    rest = r.fields;
    assert_true(record_next(&rest, &f));
    assert_int_equal(f.type, T_NAME);
    assert_false(f.critical);
    assert_true(weir_span_eq(f.bytes, WEIR_SPAN_LIT("a name")));
    assert_false(record_u64(&f, &n)); /* six bytes are no number */
    assert_true(record_next(&rest, &f));
    assert_true(record_u64(&f, &n));
    assert_int_equal(n, 0x0102030405060708);
    assert_true(record_next(&rest, &f));
    assert_int_equal(f.bytes.len, 0);
    assert_true(record_next(&rest, &f));
    assert_int_equal(f.type, 0x01f0);
    assert_true(f.critical);
    assert_false(record_next(&rest, &f));
    free(b.ptr);
}

/* Nodes of two versions meet: the layout must not change under a version's number. */
static void the_bytes_are_those_of_version_1(void **state)
{
    static const char expected[] = "WRC1\x01\x00\x02\x00\x0d\x00\x00\x00"
                                   "\x03\x81\x07\x00\x00\x00seventh"
                                   "x";
    struct record_fields fs = {0};
    struct bytes b;
    struct record r;

    (void)state;
    record_add(&fs, 0x0103 | RECORD_CRITICAL, WEIR_SPAN_LIT("seventh"));
    b = sealed(1, 2, record_fields_span(&fs), "x");
    assert_int_equal(b.len, sizeof(expected) - 1 + RECORD_TAIL_BYTES);
    assert_memory_equal(b.ptr, expected, sizeof(expected) - 1);
    assert_memory_equal(b.ptr + sizeof(expected) - 1, "\xc4\x50\x77\xf0\xee\xfc\x3e\x9b", 8);
    assert_int_equal(open_bytes(b, &r), RECORD_OK);
    record_fields_free(&fs);
    free(b.ptr);
}

static void a_record_may_be_empty(void **state)
{
    struct bytes b = sealed(RECORD_VERSION, 0, WEIR_SPAN_NONE, "");
    struct weir_span rest;
    struct record_field f;
    struct record r;

    (void)state;
    assert_int_equal(b.len, RECORD_HEAD_BYTES + RECORD_TAIL_BYTES);
    assert_int_equal(open_bytes(b, &r), RECORD_OK);
    rest = r.fields;
    assert_false(record_next(&rest, &f));
    assert_int_equal(r.body.len, 0);
    free(b.ptr);
}

static void every_flipped_bit_is_found(void **state)
{
    struct bytes b = sample(RECORD_VERSION);
    struct record r;

    (void)state;
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        b.ptr[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_not_equal(open_bytes(b, &r), RECORD_OK);
        b.ptr[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_int_equal(open_bytes(b, &r), RECORD_OK);
    free(b.ptr);
}

static void every_truncation_and_extension_is_found(void **state)
{
    struct bytes b = sample(RECORD_VERSION);
    struct record r;

    (void)state;
    for (size_t len = 0; len < b.len; len++) {
        char *part = malloc(len + 1);

        assert_non_null(part);
        memcpy(part, b.ptr, len);
        part = realloc(part, len > 0 ? len : 1);
        assert_int_not_equal(record_open(weir_span(part, len), &r), RECORD_OK);
        /* and so is what lacks its beginning */
        assert_int_not_equal(record_open(weir_span(b.ptr + b.len - len, len), &r), RECORD_OK);
        free(part);
    }
    b.ptr = realloc(b.ptr, b.len + 1);
    b.ptr[b.len] = '\0';
    assert_int_equal(record_open(weir_span(b.ptr, b.len + 1), &r), RECORD_DAMAGED);
    free(b.ptr);
}

/* A bug in a writer, or a forger who knows the checksum: it must still not lead outside. */
static void a_right_checksum_does_not_excuse_wrong_lengths(void **state)
{
    struct bytes b;
    struct record r;

    (void)state;
    /* a field that says it is longer than all fields */
    b = sealed(RECORD_VERSION, 0, WEIR_SPAN_LIT("\x01\x01\x02\x00\x00\x00x"), "body");
    assert_int_equal(open_bytes(b, &r), RECORD_DAMAGED);
    free(b.ptr);
    b = sealed(RECORD_VERSION, 0, WEIR_SPAN_LIT("\x01\x01\xff\xff\xff\xffx"), "body");
    assert_int_equal(open_bytes(b, &r), RECORD_DAMAGED);
    free(b.ptr);
    /* fields that end within the head of one */
    b = sealed(RECORD_VERSION, 0, WEIR_SPAN_LIT("\x01\x01\x00\x00\x00"), "body");
    assert_int_equal(open_bytes(b, &r), RECORD_DAMAGED);
    free(b.ptr);
}

static void other_versions_are_told_from_damage(void **state)
{
    struct bytes b = sample(RECORD_VERSION + 1);
    struct record r;

    (void)state;
    assert_int_equal(open_bytes(b, &r), RECORD_UNKNOWN);
    free(b.ptr);
    b = sample(RECORD_VERSION_MIN - 1);
    assert_int_equal(open_bytes(b, &r), RECORD_UNKNOWN);
    b.ptr[0] = 'X';
    assert_int_equal(open_bytes(b, &r), RECORD_FOREIGN);
    free(b.ptr);
    assert_int_equal(record_open(WEIR_SPAN_NONE, &r), RECORD_FOREIGN);
}

static void the_newest_version_and_the_one_before_are_read(void **state)
{
    (void)state;
    assert_false(record_version_read(0, 1));
    assert_true(record_version_read(1, 1));
    assert_false(record_version_read(2, 1));
    assert_true(record_version_read(1, 2));
    assert_true(record_version_read(2, 2));
    assert_false(record_version_read(1, 3));
    assert_true(record_version_read(2, 3));
    assert_false(record_version_read(65535, 3));
}

static void loose_fields_end_where_they_break(void **state)
{
    struct weir_span rest = WEIR_SPAN_LIT("\x01\x01\x01\x00\x00\x00x\x02\x01\x02\x00\x00\x00y");
    struct record_field f;

    (void)state;
    assert_true(record_next(&rest, &f));
    assert_int_equal(f.bytes.len, 1);
    assert_false(record_next(&rest, &f));
    assert_int_not_equal(rest.len, 0);
}

static void large_fields_grow_the_set(void **state)
{
    struct record_fields fs = {0};
    struct weir_span rest;
    struct record_field f;
    char *at = record_add_space(&fs, T_NAME, 100000);

    (void)state;
    assert_non_null(at);
    memset(at, 'x', 100000);
    record_add(&fs, T_COUNT, WEIR_SPAN_LIT("after"));
    rest = record_fields_span(&fs);
    assert_true(record_next(&rest, &f));
    assert_int_equal(f.bytes.len, 100000);
    assert_true(record_next(&rest, &f));
    assert_true(weir_span_eq(f.bytes, WEIR_SPAN_LIT("after")));
    assert_false(record_next(&rest, &f));
    record_fields_free(&fs);
}

static void a_field_of_four_gigabytes_is_refused(void **state)
{
    struct record_fields fs = {0};
    struct weir_slice head, tail;

    (void)state;
    assert_null(record_add_space(&fs, T_NAME, UINT32_MAX - 3));
    assert_true(fs.failed);
    assert_null(record_add_space(&fs, T_NAME, 1)); /* what failed stays failed */
    record_fields_free(&fs);
    assert_false(
        record_seal(1, 0, weir_span("", UINT32_MAX), WEIR_SPAN_NONE, NULL, 0, &head, &tail));
}

#ifdef WEIR_FAULTS
static bool written(void)
{
    struct record_fields fs = {0};
    struct weir_slice head, tail;
    bool ok;

    record_add(&fs, T_NAME, WEIR_SPAN_LIT("name"));
    record_add_space(&fs, T_NAME, 1000);
    ok = !fs.failed;
    ok = ok && record_seal(1, 0, record_fields_span(&fs), WEIR_SPAN_NONE, NULL, 0, &head, &tail);
    if (ok) {
        weir_blob_unref(head.blob);
        weir_blob_unref(tail.blob);
    }
    record_fields_free(&fs);
    return ok;
}

static void every_failed_allocation_is_reported(void **state)
{
    unsigned long n = 0;
    bool ok;

    (void)state;
    do {
        weir_alloc_fail_at(++n);
        ok = written();
        assert_int_equal(ok, !weir_alloc_failed());
    } while (weir_alloc_failed());
    weir_alloc_fail_at(0);
    assert_true(n > 4);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(the_bytes_are_those_of_version_1),
        cmocka_unit_test(a_record_may_be_empty),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(every_truncation_and_extension_is_found),
        cmocka_unit_test(a_right_checksum_does_not_excuse_wrong_lengths),
        cmocka_unit_test(other_versions_are_told_from_damage),
        cmocka_unit_test(the_newest_version_and_the_one_before_are_read),
        cmocka_unit_test(loose_fields_end_where_they_break),
        cmocka_unit_test(large_fields_grow_the_set),
        cmocka_unit_test(a_field_of_four_gigabytes_is_refused),
#ifdef WEIR_FAULTS
        cmocka_unit_test(every_failed_allocation_is_reported),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
