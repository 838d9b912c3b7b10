/*
 * fuzz_store_value.c - any bytes as a meta of the store of objects, and as a chunk.
 *
 * Holds: meta and body lie inside the bytes; a chunk says its own length; what is accepted is
 * sealed to the same facts again; bytes that are given a right checksum do no harm either.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct weir_span part, struct weir_span all)
{
    return part.len == 0 || (part.ptr >= all.ptr && part.ptr + part.len <= all.ptr + all.len);
}

/* Whatever was understood is written such that it is understood the same way. */
static void check_again(const struct store_facts *facts, struct weir_span meta)
{
    struct weir_slice head, tail;
    struct store_facts again;
    struct weir_span meta_again, body;
    size_t len;
    char *all;

    if (!store_record_seal(RECORD_VERSION, facts, meta, NULL, 0, &head, &tail))
        return;
    len = (size_t)head.len + tail.len;
    all = malloc(len);
    if (all == NULL)
        abort();
    memcpy(all, weir_slice_ptr(head), head.len);
    memcpy(all + head.len, weir_slice_ptr(tail), tail.len);
    assert(len <= store_record_bytes(meta.len, 0));
    assert(store_record_open(weir_span(all, len), &again, &meta_again, &body) == RECORD_OK);
    assert(again.kind == facts->kind && again.generation == facts->generation &&
           again.check == facts->check && again.chunked == facts->chunked);
    assert(!facts->chunked || again.body_bytes == facts->body_bytes);
    assert(weir_span_eq(meta, meta_again) && body.len == 0);
    free(all);
    weir_blob_unref(head.blob);
    weir_blob_unref(tail.blob);
}

static void check_meta(struct weir_span bytes)
{
    struct store_facts facts;
    struct weir_span meta, body;

    if (store_record_open(bytes, &facts, &meta, &body) != RECORD_OK)
        return;
    assert(inside(meta, bytes) && inside(body, bytes));
    check_again(&facts, meta);
}

/* The first two bytes are flags, the others fields: sealed, they pass the checksum. */
static void check_sealed(struct weir_span bytes)
{
    struct weir_slice head, tail;
    unsigned flags;
    size_t len;
    char *all;

    if (bytes.len < 2)
        return;
    flags = (unsigned char)bytes.ptr[0] | (unsigned)(unsigned char)bytes.ptr[1] << 8;
    if (!record_seal(RECORD_VERSION, flags, weir_span(bytes.ptr + 2, bytes.len - 2), WEIR_SPAN_NONE,
                     NULL, 0, &head, &tail))
        return;
    len = (size_t)head.len + tail.len;
    all = malloc(len);
    if (all == NULL)
        abort();
    memcpy(all, weir_slice_ptr(head), head.len);
    memcpy(all + head.len, weir_slice_ptr(tail), tail.len);
    check_meta(weir_span(all, len));
    free(all);
    weir_blob_unref(head.blob);
    weir_blob_unref(tail.blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_span bytes = weir_span((const char *)data, size);
    struct store_chunk c;

    check_meta(bytes);
    check_sealed(bytes);
    if (store_chunk_open(bytes, &c))
        assert(c.bytes == size - STORE_CHUNK_HEAD);
    return 0;
}
