#include "test_store.h"

static struct weir_slice slice_copy(const char *bytes, size_t len)
{
    struct weir_blob *b = weir_blob_new(len);

    assert_non_null(b);
    if (len > 0)
        memcpy(b->bytes, bytes, len);
    b->len = (uint32_t)len;
    return (struct weir_slice){b, 0, (uint32_t)len};
}

/* In a block of exactly its size. */
static char *joined(const struct weir_slice *slices, size_t count, size_t *len)
{
    char *all = malloc(1 << 20);

    assert_non_null(all);
    *len = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(all + *len, weir_slice_ptr(slices[i]), slices[i].len);
        *len += slices[i].len;
        weir_blob_unref(slices[i].blob);
    }
    return realloc(all, *len);
}

static char *meta_value(const struct store_facts *facts, const char *body, size_t *len)
{
    struct weir_slice slices[3] = {[1] = slice_copy(body, strlen(body))};
    struct record_fields fs;

    meta_of(&fs, "meta");
    assert_true(store_record_seal(RECORD_VERSION, facts, record_fields_span(&fs), &slices[1], 1,
                                  &slices[0], &slices[2]));
    record_fields_free(&fs);
    return joined(slices, 3, len);
}

static char *chunk_value(const struct store_chunk *c, const char *body, size_t *len)
{
    struct weir_slice slices[3] = {
        [1] = slice_copy(body, 5), [2] = slice_copy(body + 5, strlen(body + 5))};

    slices[0] = (struct weir_slice){store_chunk_head(c, slices + 1, 2), 0, STORE_CHUNK_HEAD};
    assert_non_null(slices[0].blob);
    return joined(slices, 3, len);
}

static const struct store_facts chunked = {.kind = STORE_OBJECT,
                                           .chunked = true,
                                           .generation = 0x1122334455667788,
                                           .check = 99,
                                           .body_bytes = 1000,
                                           .chunk_bytes = 300};

static void the_facts_come_back(void **state)
{
    const enum store_kind kinds[] = {STORE_OBJECT, STORE_STUB, STORE_MARKER};
    struct weir_span meta, body;
    struct record_field f;

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        struct store_facts in = chunked, out;
        size_t len;
        char *value;

        in.kind = kinds[i % 3];
        in.growing = (i / 3) % 2 == 1;
        in.chunked = i / 6 == 1;
        if (!in.chunked)
            in.body_bytes = in.chunk_bytes = 0;
        value = meta_value(&in, "the body", &len);
        assert_true(len <= store_record_bytes(10, 8));
        assert_int_equal(store_record_open(weir_span(value, len), &out, &meta, &body), RECORD_OK);
        assert_int_equal(out.kind, in.kind);
        assert_int_equal(out.growing, in.growing);
        assert_int_equal(out.chunked, in.chunked);
        assert_int_equal(out.generation, in.generation);
        assert_int_equal(out.check, in.check);
        assert_int_equal(out.body_bytes, in.body_bytes);
        assert_int_equal(out.chunk_bytes, in.chunk_bytes);
        assert_true(weir_span_eq(body, WEIR_SPAN_LIT("the body")));
        assert_true(record_next(&meta, &f)); /* ours are not part of it */
        assert_int_equal(f.type, 0x0100);
        assert_false(record_next(&meta, &f));
        free(value);
    }
}

/* shared_remove_if() is told where it lies. */
static void the_generation_lies_where_it_is_looked_for(void **state)
{
    size_t len;
    char *value = meta_value(&chunked, "", &len);

    (void)state;
    assert_memory_equal(value + STORE_GENERATION_AT, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
    free(value);
}

static void every_flipped_bit_and_cut_of_a_meta_is_found(void **state)
{
    struct weir_span meta, body;
    struct store_facts out;
    size_t len;
    char *value = meta_value(&chunked, "the body", &len);

    (void)state;
    for (size_t bit = 0; bit < len * 8; bit++) {
        value[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_not_equal(store_record_open(weir_span(value, len), &out, &meta, &body),
                             RECORD_OK);
        value[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++)
        assert_int_not_equal(store_record_open(weir_span(value, cut), &out, &meta, &body),
                             RECORD_OK);
    assert_int_equal(store_record_open(weir_span(value, len), &out, &meta, &body), RECORD_OK);
    free(value);
}

static enum record_verdict open_fields(unsigned flags, struct weir_span fields)
{
    struct weir_slice slices[2];
    struct weir_span meta, body;
    struct store_facts out;
    enum record_verdict v;
    size_t len;
    char *value;

    assert_true(record_seal(RECORD_VERSION, flags, fields, WEIR_SPAN_NONE, NULL, 0, &slices[0],
                            &slices[1]));
    value = joined(slices, 2, &len);
    v = store_record_open(weir_span(value, len), &out, &meta, &body);
    free(value);
    return v;
}

static enum record_verdict open_chunked(uint64_t body_bytes, uint64_t chunk_bytes)
{
    struct record_fields fs = {0};
    enum record_verdict v;

    record_add_u64(&fs, 0x8003, body_bytes);
    record_add_u64(&fs, 0x8004, chunk_bytes);
    v = open_fields(STORE_OBJECT | 8, record_fields_span(&fs));
    record_fields_free(&fs);
    return v;
}

static void what_a_newer_program_says_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(open_fields(STORE_OBJECT, WEIR_SPAN_NONE), RECORD_OK);
    assert_int_equal(open_fields(0, WEIR_SPAN_NONE), RECORD_UNKNOWN);
    assert_int_equal(open_fields(STORE_OBJECT | 0x10, WEIR_SPAN_NONE), RECORD_UNKNOWN);
    /* an unknown field of the store: critical, and not; and a known one of another size */
    assert_int_equal(open_fields(STORE_OBJECT, WEIR_SPAN_LIT("\x50\x80\x00\x00\x00\x00")),
                     RECORD_UNKNOWN);
    assert_int_equal(open_fields(STORE_OBJECT, WEIR_SPAN_LIT("\x50\x00\x00\x00\x00\x00")),
                     RECORD_OK);
    assert_int_equal(open_fields(STORE_OBJECT, WEIR_SPAN_LIT("\x01\x80\x01\x00\x00\x00x")),
                     RECORD_UNKNOWN);
    /* critical fields of the meta are the caller's to judge */
    assert_int_equal(open_fields(STORE_OBJECT, WEIR_SPAN_LIT("\x50\x81\x00\x00\x00\x00")),
                     RECORD_OK);
}

static void chunks_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_int_equal(open_chunked(1000, 300), RECORD_OK);
    assert_int_equal(open_chunked(0, 300), RECORD_OK);
    assert_int_equal(open_chunked(1000, 0), RECORD_UNKNOWN);
    assert_int_equal(open_chunked(1000, SHARED_VALUE_MAX), RECORD_UNKNOWN);
    assert_int_equal(open_chunked(UINT64_MAX, 300), RECORD_UNKNOWN);
    assert_int_equal(open_chunked(UINT64_MAX, UINT64_MAX), RECORD_UNKNOWN);
    assert_int_equal(open_fields(STORE_OBJECT | 8, WEIR_SPAN_NONE), RECORD_UNKNOWN);
}

static void a_chunk_comes_back(void **state)
{
    struct store_chunk in = {.generation = 77, .index = 5, .last = true, .bytes = 13}, out;
    size_t len;
    char *value = chunk_value(&in, "bytes of body", &len);

    (void)state;
    assert_int_equal(len, STORE_CHUNK_HEAD + 13);
    assert_true(store_chunk_open(weir_span(value, len), &out));
    assert_int_equal(out.generation, 77);
    assert_int_equal(out.index, 5);
    assert_int_equal(out.bytes, 13);
    assert_true(out.last);
    assert_memory_equal(value + STORE_CHUNK_HEAD, "bytes of body", 13);
    free(value);
}

static void a_right_checksum_does_not_excuse_a_wrong_length(void **state)
{
    struct store_chunk in = {.generation = 77, .index = 5, .bytes = 12}, out;
    size_t len;
    char *value = chunk_value(&in, "bytes of body", &len);

    (void)state;
    assert_false(store_chunk_open(weir_span(value, len), &out));
    free(value);
}

static void every_flipped_bit_and_cut_of_a_chunk_is_found(void **state)
{
    struct store_chunk in = {.generation = 77, .index = 5, .bytes = 13}, out;
    size_t len;
    char *value = chunk_value(&in, "bytes of body", &len);

    (void)state;
    for (size_t bit = 0; bit < len * 8; bit++) {
        value[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(store_chunk_open(weir_span(value, len), &out));
        value[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++)
        assert_false(store_chunk_open(weir_span(value, cut), &out));
    assert_true(store_chunk_open(weir_span(value, len), &out));
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_facts_come_back),
        cmocka_unit_test(the_generation_lies_where_it_is_looked_for),
        cmocka_unit_test(every_flipped_bit_and_cut_of_a_meta_is_found),
        cmocka_unit_test(what_a_newer_program_says_is_left_alone),
        cmocka_unit_test(chunks_that_cannot_be_are_refused),
        cmocka_unit_test(a_chunk_comes_back),
        cmocka_unit_test(a_right_checksum_does_not_excuse_a_wrong_length),
        cmocka_unit_test(every_flipped_bit_and_cut_of_a_chunk_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
