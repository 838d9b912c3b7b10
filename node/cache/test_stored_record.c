#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weir/alloc.h"

#include "cache_key.h"
#include "http_head.h"
#include "stored_record.h"

static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Empty: \r\n"
                           "Last-Modified: yesterday\r\nETag: \"v1\"\r\n"
                           "Surrogate-Control: max-age=9\r\n";
#define HIDDEN (sizeof "Surrogate-Control: max-age=9\r\n" - 1)
#define SENT   (sizeof HEAD - 1 - HIDDEN)

static const struct weir_hash_secret secret;
static const uint64_t hashes[] = {7, UINT64_MAX, 1};

struct sample {
    char key_buf[CACHE_KEY_INLINE];
    struct cache_key key;
    struct http_field rows[5];
    struct stored_draft draft;
    struct purge_subject purge;
    struct weir_slice slice;
};

static struct http_field row(const char *name, const char *value, uint16_t id)
{
    const char *at = strstr(HEAD, name);

    return (struct http_field){
        .name = weir_span(at, strlen(name)),
        .value = weir_span(at + strlen(name) + 2, strlen(value)),
        .id = id,
        .flags = http_field_flags(id, weir_span_str(name)),
    };
}

static void sample_init(struct sample *s)
{
    const struct cache_key_parts parts = {.class = CACHE_KEY_GET,
                                          .scheme = WEIR_SPAN_LIT("http"),
                                          .authority = WEIR_SPAN_LIT("example.org"),
                                          .path = WEIR_SPAN_LIT("/a/b")};

    memset(s, 0, sizeof *s);
    assert_true(cache_key_build(&s->key, &parts, &secret, s->key_buf, sizeof s->key_buf, NULL));
    s->rows[0] = row("Content-Type", "text/html", HTTP_F_CONTENT_TYPE);
    s->rows[1] = row("X-Empty", "", HTTP_F_NONE);
    s->rows[2] = row("Last-Modified", "yesterday", HTTP_F_LAST_MODIFIED);
    s->rows[3] = row("ETag", "\"v1\"", HTTP_F_ETAG);
    s->rows[4] = row("Surrogate-Control", "max-age=9",
                     http_field_intern(WEIR_SPAN_LIT("Surrogate-Control")));
    s->purge = (struct purge_subject){
        .logged = 99, .url = 0x1122334455667788, .host = 3, .tags = hashes, .tag_count = 3};
    s->slice.blob = weir_blob_new(100);
    assert_non_null(s->slice.blob);
    memset(s->slice.blob->bytes, 'b', 100);
    s->slice.blob->len = s->slice.len = 100;
    s->draft = (struct stored_draft){
        .hash = s->key.hash,
        .key = s->key.bytes,
        .variant = WEIR_SPAN_LIT("variant"),
        .tags = WEIR_SPAN_LIT("one two"),
        .purge = &s->purge,
        .status = 200,
        .head = weir_span(HEAD, SENT),
        .fields = s->rows,
        .field_count = 4,
        .hidden_len = HIDDEN,
        .hidden_count = 1,
        .slices = &s->slice,
        .slice_count = 1,
        .etag = s->rows[3].value,
        .last_modified = s->rows[2].value,
        .head_common = (uint32_t)(s->rows[3].name.ptr - HEAD),
        .recodable = true,
        .facts = {.freshness = {.request_time = 1700000000,
                                .response_time = 1700000002,
                                .date = 1700000001,
                                .age = 5,
                                .s_maxage = FRESHNESS_ABSENT,
                                .max_age = 0,
                                .expires = 0,
                                .last_modified = 1600000000,
                                .route_says = true,
                                .route_lifetime = 77,
                                .heuristic_ok = true},
                  .reuse = {.response_time = 1700000002,
                            .initial_age = 6,
                            .lifetime = INT64_C(1) << 31,
                            .stale_while_revalidate = 30,
                            .stale_if_error = 86400,
                            .no_cache = true,
                            .never_stale = true,
                            .refresh_age = INT64_MAX,
                            .immutable = true}},
    };
}

static void sample_drop(struct sample *s)
{
    weir_blob_unref(s->slice.blob);
}

static struct stored_response *sample_response(struct sample *s)
{
    struct stored_response *r = stored_response_new(&s->draft, NULL);

    assert_non_null(r);
    return r;
}

static void write_response(struct record_fields *fields, const struct stored_response *r)
{
    struct stored_record s;

    memset(fields, 0, sizeof *fields);
    stored_record_of(&s, r, 1000, 5000);
    stored_record_write(fields, &s);
    assert_false(fields->failed);
}

static void assert_span(struct weir_span a, struct weir_span b)
{
    assert_true(weir_span_eq(a, b));
    assert_int_equal(a.ptr == NULL, b.ptr == NULL);
}

static void assert_same_facts(const struct stored_facts *a, const struct stored_facts *b)
{
    const struct freshness_facts *f = &a->freshness, *g = &b->freshness;
    const struct reuse_facts *r = &a->reuse, *q = &b->reuse;

    assert_int_equal(f->request_time, g->request_time);
    assert_int_equal(f->response_time, g->response_time);
    assert_int_equal(f->date, g->date);
    assert_int_equal(f->age, g->age);
    assert_int_equal(f->s_maxage, g->s_maxage);
    assert_int_equal(f->max_age, g->max_age);
    assert_int_equal(f->expires, g->expires);
    assert_int_equal(f->last_modified, g->last_modified);
    assert_int_equal(f->route_says, g->route_says);
    assert_int_equal(f->route_lifetime, g->route_lifetime);
    assert_int_equal(f->heuristic_ok, g->heuristic_ok);
    assert_int_equal(r->response_time, q->response_time);
    assert_int_equal(r->initial_age, q->initial_age);
    assert_int_equal(r->lifetime, q->lifetime);
    assert_int_equal(r->stale_while_revalidate, q->stale_while_revalidate);
    assert_int_equal(r->stale_if_error, q->stale_if_error);
    assert_int_equal(r->no_cache, q->no_cache);
    assert_int_equal(r->never_stale, q->never_stale);
    assert_int_equal(r->refresh_age, q->refresh_age);
    assert_int_equal(r->immutable, q->immutable);
}

static void assert_same(const struct stored_response *a, const struct stored_response *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->hash.lo, b->hash.lo);
    assert_int_equal(a->hash.hi, b->hash.hi);
    assert_true(weir_span_eq(a->key, b->key));
    assert_true(weir_span_eq(a->variant, b->variant));
    assert_true(weir_span_eq(a->tags, b->tags));
    assert_int_equal(a->purge.logged, b->purge.logged);
    assert_int_equal(a->purge.url, b->purge.url);
    assert_int_equal(a->purge.host, b->purge.host);
    assert_true(weir_span_eq(a->purge.path, b->purge.path));
    assert_int_equal(a->purge.tag_count, b->purge.tag_count);
    if (a->purge.tag_count > 0)
        assert_memory_equal(a->purge.tags, b->purge.tags, a->purge.tag_count * sizeof(uint64_t));
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->field_count, b->field_count);
    assert_int_equal(a->hidden_count, b->hidden_count);
    assert_int_equal(stored_hidden_len(a), stored_hidden_len(b));
    assert_true(weir_span_eq(weir_span(a->head->bytes, a->head->len + stored_hidden_len(a)),
                             weir_span(b->head->bytes, b->head->len + stored_hidden_len(b))));
    for (uint32_t i = 0; i < a->field_count + a->hidden_count; i++) {
        assert_span(a->fields[i].name, b->fields[i].name);
        assert_span(a->fields[i].value, b->fields[i].value);
        assert_int_equal(a->fields[i].id, b->fields[i].id);
        assert_int_equal(a->fields[i].flags, b->fields[i].flags);
    }
    assert_span(a->etag, b->etag);
    assert_span(a->last_modified, b->last_modified);
    assert_int_equal(a->head_common, b->head_common);
    assert_int_equal(a->ranges_unsaid, b->ranges_unsaid);
    assert_int_equal(a->coding, b->coding);
    assert_int_equal(a->sent_coding, b->sent_coding);
    assert_int_equal(a->sent_len, b->sent_len);
    assert_int_equal(a->body_len, b->body_len);
    assert_int_equal(a->forms != NULL, b->forms != NULL);
    assert_int_equal(a->as_sent_only, b->as_sent_only);
    assert_same_facts(&a->facts, &b->facts);
}

/* Over the record and back. */
static struct stored_response *round_trip(const struct stored_response *r)
{
    struct record_fields fields;
    struct stored_record s;
    struct weir_arena arena;
    struct stored_response *back;

    weir_arena_init(&arena, 0);
    write_response(&fields, r);
    assert_true(stored_record_read(&s, record_fields_span(&fields), &arena));
    back = stored_record_restore(&s, r->hash, NULL, r->slices, r->slice_count, 1000, 5000, NULL);
    record_fields_free(&fields);
    weir_arena_free(&arena);
    assert_non_null(back);
    return back;
}

static void everything_of_a_stored_response_survives(void **state)
{
    struct sample s;
    struct stored_response *r, *back;

    (void)state;
    sample_init(&s);
    r = sample_response(&s);
    back = round_trip(r);
    assert_same(r, back);

    stored_response_unref(back);
    stored_response_unref(r);
    sample_drop(&s);
}

static void what_is_absent_stays_absent(void **state)
{
    struct sample s;
    struct stored_response *r, *back;

    (void)state;
    sample_init(&s);
    s.draft.variant = s.draft.tags = s.draft.etag = s.draft.last_modified = WEIR_SPAN_NONE;
    s.draft.field_count = 2;
    s.draft.hidden_count = s.draft.hidden_len = 0;
    s.draft.head.len = (size_t)(s.rows[2].name.ptr - HEAD);
    s.draft.head_common = 0;
    s.draft.recodable = false;
    s.draft.slice_count = 0;
    s.purge.tag_count = 0;
    memset(&s.draft.facts, 0, sizeof s.draft.facts);
    r = sample_response(&s);
    back = round_trip(r);
    assert_same(r, back);
    stored_response_unref(back);
    stored_response_unref(r);
    sample_drop(&s);
}

static void content_that_was_coded_keeps_both_codings_and_its_length(void **state)
{
    struct sample s;
    struct stored_response *r, *coded, *back;
    struct stored_form *form;
    struct purge_table *purges = purge_new(&secret, 1, NULL);

    (void)state;
    sample_init(&s);
    s.draft.purges = purges;
    r = sample_response(&s);
    s.slice.len = 40; /* as if it were zstd */
    form = stored_form_new(CODING_ZSTD, &s.slice, 1, NULL);
    coded = stored_response_recoded(r, form, NULL);
    back = round_trip(coded);
    assert_same(coded, back);
    assert_int_equal(back->coding, CODING_ZSTD);
    assert_int_equal(back->sent_coding, CODING_IDENTITY);
    assert_int_equal(back->sent_len, 100);
    assert_int_equal(back->body_len, 40);
    stored_response_unref(back);
    stored_response_unref(coded);
    stored_form_unref(form);
    stored_response_unref(r);
    purge_free(purges);
    sample_drop(&s);
}

static void a_marker_keeps_its_reason_and_the_time_it_has_left(void **state)
{
    struct sample s;
    struct stored_response *marker, *back;
    struct record_fields fields;
    struct stored_record record;
    struct weir_arena arena;

    (void)state;
    weir_arena_init(&arena, 0);
    sample_init(&s);
    s.draft.why = "private";
    marker = stored_marker_new(&s.draft, 5000 + 120000, NULL);
    write_response(&fields, marker);
    assert_true(stored_record_read(&record, record_fields_span(&fields), &arena));
    assert_int_equal(record.kind, STORED_MARKER);
    assert_int_equal(record.until_s, 1120);
    /* Another node, later, whose monotonic clock counts from elsewhere. */
    back = stored_record_restore(&record, s.key.hash, NULL, NULL, 0, 1020, 77000, NULL);
    assert_int_equal(back->kind, STORED_MARKER);
    assert_int_equal(back->marker_until_ms, 77000 + 100000);
    assert_string_equal(back->why, "private");
    assert_true(weir_span_eq(back->variant, WEIR_SPAN_LIT("variant")));
    stored_response_unref(back);
    stored_response_unref(marker);
    record_fields_free(&fields);
    weir_arena_free(&arena);
    sample_drop(&s);
}

static void a_record_is_refused_wherever_it_is_cut(void **state)
{
    struct sample s;
    struct stored_response *r;
    struct record_fields fields;
    struct stored_record record;
    struct weir_arena arena;

    (void)state;
    weir_arena_init(&arena, 0);
    sample_init(&s);
    s.draft.tags = WEIR_SPAN_NONE; /* the only field that may be missing */
    r = sample_response(&s);
    write_response(&fields, r);
    for (size_t n = 0; n < fields.len; n++)
        assert_false(stored_record_read(&record, weir_span(fields.ptr, n), &arena));
    record_fields_free(&fields);
    stored_response_unref(r);
    weir_arena_free(&arena);
    sample_drop(&s);
}

/* With one field more, of this type. */
static bool reads_with(unsigned type, struct weir_span bytes)
{
    struct sample s;
    struct stored_response *r;
    struct record_fields fields;
    struct stored_record record;
    struct weir_arena arena;
    bool ok;

    weir_arena_init(&arena, 0);
    sample_init(&s);
    r = sample_response(&s);
    write_response(&fields, r);
    record_add(&fields, type, bytes);
    ok = stored_record_read(&record, record_fields_span(&fields), &arena);
    record_fields_free(&fields);
    stored_response_unref(r);
    weir_arena_free(&arena);
    sample_drop(&s);
    return ok;
}

static void unknown_fields_are_skipped_unless_they_are_critical(void **state)
{
    (void)state;
    assert_true(reads_with(0x01f0, WEIR_SPAN_LIT("news")));
    assert_false(reads_with(0x01f0 | RECORD_CRITICAL, WEIR_SPAN_LIT("news")));
}

static void a_field_that_comes_twice_is_refused(void **state)
{
    (void)state;
    assert_false(reads_with(0x0100, WEIR_SPAN_LIT("another key")));
    assert_false(reads_with(0x0106, WEIR_SPAN_LIT("other tags")));
}

static void numbers_that_are_added_later_are_not_read(void **state)
{
    struct sample s;
    struct stored_response *r;
    struct record_fields fields, longer = {.len = 0};
    struct record_field f;
    struct stored_record record;
    struct weir_arena arena;
    struct weir_span rest;

    (void)state;
    weir_arena_init(&arena, 0);
    sample_init(&s);
    r = sample_response(&s);
    write_response(&fields, r);
    rest = record_fields_span(&fields);
    while (record_next(&rest, &f)) {
        bool numbers = f.type == 0x0103 || f.type == 0x0104;
        char *to = record_add_space(&longer, f.type | RECORD_CRITICAL, f.bytes.len + numbers);

        memcpy(to, f.bytes.ptr, f.bytes.len);
        if (numbers)
            to[f.bytes.len] = 5;
    }
    assert_true(stored_record_read(&record, record_fields_span(&longer), &arena));
    assert_int_equal(record.facts.reuse.stale_if_error, 86400);
    record_fields_free(&longer);
    record_fields_free(&fields);
    stored_response_unref(r);
    weir_arena_free(&arena);
    sample_drop(&s);
}

/* Replaces `from` by `to`, of the same length, in the fields and reads. */
static bool reads_patched(const char *from, const char *to)
{
    struct sample s;
    struct stored_response *r;
    struct record_fields fields;
    struct stored_record record;
    struct weir_arena arena;
    char *at;
    bool ok;

    weir_arena_init(&arena, 0);
    sample_init(&s);
    r = sample_response(&s);
    write_response(&fields, r);
    at = memmem(fields.ptr, fields.len, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
    ok = stored_record_read(&record, record_fields_span(&fields), &arena);
    record_fields_free(&fields);
    stored_response_unref(r);
    weir_arena_free(&arena);
    sample_drop(&s);
    return ok;
}

static void a_head_that_is_none_is_refused(void **state)
{
    (void)state;
    assert_true(reads_patched("text/html", "text/htmx"));
    assert_false(reads_patched("text/html", "text\nhtml"));
    assert_false(reads_patched("text/html", "text\r\n ht"));
    assert_false(reads_patched("200 OK", "404 OK")); /* not the status it says elsewhere */
    assert_false(reads_patched("X-Empty: ", "X Empty: "));
    assert_false(reads_patched("HTTP/1.1", "HTTQ/1.1"));
}

static void how_variants_are_told_apart_survives(void **state)
{
    static const char lines[] = "Accept-Encoding, X-A, Accept-Language, X-B";
    struct record_fields fields = {.len = 0};
    struct vary_spec spec, back;
    struct http_field row_of[2];
    struct http_head head;

    (void)state;
    http_head_init(&head, row_of, 2);
    assert_true(http_head_add_id(&head, NULL, HTTP_F_VARY, WEIR_SPAN_LIT(lines)));
    assert_true(http_head_add_id(&head, NULL, HTTP_F_CONTENT_ENCODING, WEIR_SPAN_LIT("dcb")));
    vary_parse(&head, &spec);
    stored_record_write_vary(&fields, &spec);
    assert_true(stored_record_read_vary(&back, record_fields_span(&fields)));
    assert_int_equal(back.fields, 4);
    assert_int_equal(back.coded, spec.coded);
    assert_true(back.coded);
    for (unsigned i = 0; i < spec.fields; i++)
        assert_true(weir_span_eq(weir_span(spec.names + spec.field[i].at, spec.field[i].len),
                                 weir_span(back.names + back.field[i].at, back.field[i].len)));
    for (size_t n = 0; n < fields.len; n++)
        assert_false(stored_record_read_vary(&back, weir_span(fields.ptr, n)));
    record_fields_free(&fields);
}

static void names_that_could_not_have_been_written_are_refused(void **state)
{
    static const char *const bad[] = {"\0",       "\0a",  "\2a\n",   "\0A\n",        "\0bb\na\n",
                                      "\0a\na\n", "\0\n", "\0a b\n", "\0aa\nbb\n\n", "\0a\nbb\nb"};
    static const size_t len[] = {1, 2, 3, 3, 6, 5, 2, 5, 8, 7};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct record_fields fields = {.len = 0};
        struct vary_spec spec;

        record_add(&fields, 0x0108 | RECORD_CRITICAL, weir_span(bad[i], len[i]));
        assert_false(stored_record_read_vary(&spec, record_fields_span(&fields)));
        record_fields_free(&fields);
    }
}

static void a_variant_key_tells_how_it_was_made(void **state)
{
    struct vary_spec spec, back;
    struct http_field row_of[2], request_row[2];
    struct http_head head, request;
    struct weir_span key, again;
    char buf[256], buf2[256];

    (void)state;
    http_head_init(&head, row_of, 2);
    assert_true(http_head_add_id(&head, NULL, HTTP_F_VARY,
                                 WEIR_SPAN_LIT("Accept-Language, Accept-Encoding, X-Thing")));
    vary_parse(&head, &spec);
    http_head_init(&request, request_row, 2);
    assert_true(http_head_add_id(&request, NULL, HTTP_F_ACCEPT_ENCODING, WEIR_SPAN_LIT("br")));
    key = vary_key(&spec, &request, buf, sizeof buf, NULL);
    assert_true(vary_of_key(&back, key));
    again = vary_key(&back, &request, buf2, sizeof buf2, NULL);
    assert_true(weir_span_eq(key, again));
    assert_true(vary_of_key(&back, WEIR_SPAN_NONE));
    assert_int_equal(back.fields, 0);
    assert_false(vary_of_key(&back, weir_span(key.ptr, key.len - 1)));
}

#ifdef WEIR_FAULTS
static void every_allocation_may_fail(void **state)
{
    struct sample s;
    struct stored_response *r;
    bool through = false;

    (void)state;
    sample_init(&s);
    r = sample_response(&s);
    for (long n = 1; !through; n++) {
        struct record_fields fields = {.len = 0};
        struct stored_response *back = NULL;
        struct stored_record record;
        struct weir_arena arena;
        struct weir_err err = {0};

        weir_arena_init(&arena, 0);
        weir_alloc_fail_at(n);
        stored_record_of(&record, r, 0, 0);
        stored_record_write(&fields, &record);
        if (!fields.failed && stored_record_read(&record, record_fields_span(&fields), &arena))
            back = stored_record_restore(&record, r->hash, NULL, r->slices, r->slice_count, 0, 0,
                                         &err);
        weir_alloc_fail_at(0);
        through = back != NULL;
        if (through)
            assert_same(r, back);
        stored_response_unref(back);
        record_fields_free(&fields);
        weir_arena_free(&arena);
        assert_true(n < 100);
    }
    stored_response_unref(r);
    sample_drop(&s);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_of_a_stored_response_survives),
        cmocka_unit_test(what_is_absent_stays_absent),
        cmocka_unit_test(content_that_was_coded_keeps_both_codings_and_its_length),
        cmocka_unit_test(a_marker_keeps_its_reason_and_the_time_it_has_left),
        cmocka_unit_test(a_record_is_refused_wherever_it_is_cut),
        cmocka_unit_test(unknown_fields_are_skipped_unless_they_are_critical),
        cmocka_unit_test(a_field_that_comes_twice_is_refused),
        cmocka_unit_test(numbers_that_are_added_later_are_not_read),
        cmocka_unit_test(a_head_that_is_none_is_refused),
        cmocka_unit_test(how_variants_are_told_apart_survives),
        cmocka_unit_test(names_that_could_not_have_been_written_are_refused),
        cmocka_unit_test(a_variant_key_tells_how_it_was_made),
#ifdef WEIR_FAULTS
        cmocka_unit_test(every_allocation_may_fail),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
