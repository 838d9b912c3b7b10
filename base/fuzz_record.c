/*
 * fuzz_record.c - any bytes as a record, as loose fields, and as a record with a right checksum.
 *
 * Holds: what is read lies inside the bytes; fields and body fill the record without a gap; what
 * was read and is written again is the same record; fields that were sealed can be opened.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weir/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fields(struct weir_span fields, bool whole)
{
    struct record_fields again = {0};
    struct weir_span rest = fields;
    struct record_field f;

    while (record_next(&rest, &f)) {
        assert(f.bytes.ptr >= fields.ptr && f.bytes.len <= fields.len);
        assert(f.bytes.ptr + f.bytes.len == rest.ptr);
        record_add(&again, f.type | (f.critical ? RECORD_CRITICAL : 0u), f.bytes);
    }
    assert(!whole || rest.len == 0);
    assert(!again.failed && again.len == fields.len - rest.len);
    assert(again.len == 0 || memcmp(again.ptr, fields.ptr, again.len) == 0);
    record_fields_free(&again);
}

static void check_record(const struct record *r, struct weir_span bytes)
{
    assert(r->fields.ptr == bytes.ptr + RECORD_HEAD_BYTES);
    assert(r->body.ptr == r->fields.ptr + r->fields.len);
    assert(r->body.ptr + r->body.len + RECORD_TAIL_BYTES == bytes.ptr + bytes.len);
    check_fields(r->fields, true);
}

static bool well_formed(struct weir_span fields)
{
    struct record_field f;

    while (record_next(&fields, &f))
        ;
    return fields.len == 0;
}

/* The bytes as the fields of a record that has been written properly. */
static void check_sealed(struct weir_span fields)
{
    struct weir_slice head, tail;
    struct record r;
    enum record_verdict v;
    size_t len;
    char *all;

    if (!record_seal(RECORD_VERSION, 7, fields, WEIR_SPAN_NONE, NULL, 0, &head, &tail))
        return;
    len = (size_t)head.len + tail.len;
    all = malloc(len);
    if (all == NULL)
        abort();
    memcpy(all, weir_slice_ptr(head), head.len);
    memcpy(all + head.len, weir_slice_ptr(tail), tail.len);
    v = record_open(weir_span(all, len), &r);
    assert(v == (well_formed(fields) ? RECORD_OK : RECORD_DAMAGED));
    if (v == RECORD_OK)
        check_record(&r, weir_span(all, len));
    free(all);
    weir_blob_unref(head.blob);
    weir_blob_unref(tail.blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_span bytes = weir_span((const char *)data, size);
    struct record r;

    if (record_open(bytes, &r) == RECORD_OK)
        check_record(&r, bytes);
    check_fields(bytes, false);
    check_sealed(bytes);
    return 0;
}
