/*
 * fuzz_stored_record.c - any bytes as the fields of a stored response.
 *
 * Holds: what is accepted can be made a stored response, and written again it reads as the same;
 * all its spans lie inside what was read.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "weir/arena.h"

#include "freshness.h"
#include "http_head.h"
#include "reuse.h"
#include "stored_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct weir_span s, struct weir_span in)
{
    assert(s.ptr == NULL || (s.ptr >= in.ptr && s.ptr + s.len <= in.ptr + in.len));
}

static void check_spans(const struct stored_record *s, struct weir_span meta)
{
    struct weir_span head = weir_span(s->head.ptr, s->head.len + s->hidden_len);

    check_inside(s->key, meta);
    check_inside(s->variant, meta);
    check_inside(s->tags, meta);
    check_inside(head, meta);
    check_inside(s->etag, s->head);
    check_inside(s->last_modified, s->head);
    for (uint32_t i = 0; i < s->field_count + s->hidden_count; i++) {
        check_inside(s->fields[i].name, head);
        check_inside(s->fields[i].value, head);
    }
    assert(s->head_common <= s->head.len);
}

/* The sums that a look-up makes of the facts must not overflow. */
static void check_facts(const struct stored_record *s)
{
    struct reuse_facts soft;

    (void)reuse_check(&s->facts.reuse, NULL, 1700000000);
    (void)reuse_on_error(&s->facts.reuse, 1700000000);
    reuse_soften(&soft, &s->facts.reuse, 1600000000);
    (void)reuse_check(&soft, NULL, 1700000000);
    (void)freshness_age(&s->facts.freshness, 1700000000);
    (void)freshness_lifetime(&s->facts.freshness);
}

static void check_again(const struct stored_record *s, struct weir_arena *arena)
{
    struct record_fields once = {.len = 0}, twice = {.len = 0};
    struct stored_response *r;
    struct stored_record back;

    stored_record_write(&once, s);
    assert(!once.failed && stored_record_read(&back, record_fields_span(&once), arena));
    stored_record_write(&twice, &back);
    assert(weir_span_eq(record_fields_span(&once), record_fields_span(&twice)));
    record_fields_free(&once);
    record_fields_free(&twice);
    r = stored_record_restore(s, (struct weir_hash128){1, 2}, NULL, NULL, 0, 1700000000, 5000,
                              NULL);
    assert(r != NULL && weir_span_eq(r->key, s->key) && r->kind == s->kind);
    stored_response_unref(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_span meta = weir_span((const char *)data, size);
    struct stored_record record;
    struct weir_arena arena;
    struct vary_spec spec;

    weir_arena_init(&arena, 0);
    if (stored_record_read(&record, meta, &arena)) {
        if (record.kind == STORED_RESPONSE) {
            check_spans(&record, meta);
            check_facts(&record);
        }
        check_again(&record, &arena);
    }
    if (stored_record_read_vary(&spec, meta)) {
        struct record_fields again = {.len = 0};
        struct vary_spec back;

        stored_record_write_vary(&again, &spec);
        assert(stored_record_read_vary(&back, record_fields_span(&again)));
        assert(back.fields == spec.fields && back.coded == spec.coded);
        record_fields_free(&again);
    }
    weir_arena_free(&arena);
    return 0;
}
