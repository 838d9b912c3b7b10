#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weir/alloc.h"

#include "http_head.h"
#include "stored.h"

static const char HEAD[] = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nLast-Modified: yesterday\r\nX: \r\n";

struct sample {
    struct http_field fields[3];
    struct stored_draft draft;
};

static struct weir_span in_head(const char *head, const char *text)
{
    return weir_span(strstr(head, text), strlen(text));
}

static void sample_init(struct sample *s)
{
    memset(s, 0, sizeof(*s));
    s->fields[0] = (struct http_field){.name = in_head(HEAD, "ETag"),
                                       .value = in_head(HEAD, "\"v1\""),
                                       .id = HTTP_F_ETAG};
    s->fields[1] = (struct http_field){.name = in_head(HEAD, "Last-Modified"),
                                       .value = in_head(HEAD, "yesterday"),
                                       .id = HTTP_F_LAST_MODIFIED};
    s->fields[2] = (struct http_field){.name = in_head(HEAD, "X"),
                                       .value = weir_span(HEAD + sizeof(HEAD) - 3, 0)};
    s->draft = (struct stored_draft){
        .hash = {1, 2},
        .key = WEIR_SPAN_LIT("key"),
        .vary = WEIR_SPAN_LIT("accept"),
        .variant = WEIR_SPAN_LIT("html"),
        .status = 200,
        .head = weir_span(HEAD, sizeof(HEAD) - 1),
        .fields = s->fields,
        .field_count = 3,
        .etag = s->fields[0].value,
        .last_modified = s->fields[1].value,
        .facts.freshness.max_age = 60,
    };
}

/* `count` blobs of `cap` bytes, each with `len` bytes of body that continue a pattern. */
static void body_make(struct weir_slice *slices, size_t count, size_t cap, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        struct weir_blob *b = weir_blob_new(cap);

        assert_non_null(b);
        for (size_t j = 0; j < len; j++)
            b->bytes[j] = (char)((i * len + j) % 251);
        b->len = (uint32_t)len;
        slices[i] = (struct weir_slice){b, 0, (uint32_t)len};
    }
}

static void body_drop(struct weir_slice *slices, size_t count)
{
    for (size_t i = 0; i < count; i++)
        weir_blob_unref(slices[i].blob);
}

static void assert_pattern(const struct stored_response *r, size_t len)
{
    size_t at = 0;

    for (uint32_t i = 0; i < r->slice_count; i++)
        for (uint32_t j = 0; j < r->slices[i].len; j++, at++)
            assert_int_equal((unsigned char)weir_slice_ptr(r->slices[i])[j], at % 251);
    assert_int_equal(at, len);
    assert_int_equal(r->body_len, len);
}

static struct stored_response *with_body(struct sample *s, struct weir_slice *slices, size_t count)
{
    struct stored_response *r;

    s->draft.slices = slices;
    s->draft.slice_count = count;
    r = stored_response_new(&s->draft, NULL);
    assert_non_null(r);
    return r;
}

static void everything_of_the_draft_is_copied(void **state)
{
    struct sample s;
    struct stored_response *r;
    char key[] = "a key that is gone soon", head[sizeof(HEAD)];
    struct weir_span etag;

    (void)state;
    sample_init(&s);
    memcpy(head, HEAD, sizeof(HEAD));
    s.draft.key = weir_span_str(key);
    for (int i = 0; i < 3; i++) {
        s.fields[i].name.ptr = head + (s.fields[i].name.ptr - HEAD);
        s.fields[i].value.ptr = head + (s.fields[i].value.ptr - HEAD);
    }
    s.draft.head.ptr = head;
    s.draft.etag = s.fields[0].value;
    s.draft.last_modified = WEIR_SPAN_NONE;
    r = stored_response_new(&s.draft, NULL);
    assert_non_null(r);
    memset(key, 'x', sizeof(key));
    memset(head, 'x', sizeof(head));
    memset(s.fields, 0, sizeof(s.fields));

    assert_true(weir_span_eq(r->key, weir_span_str("a key that is gone soon")));
    assert_true(weir_span_eq(r->vary, weir_span_str("accept")));
    assert_true(weir_span_eq(r->variant, weir_span_str("html")));
    assert_true(
        weir_span_eq(weir_span(r->head->bytes, r->head->len), weir_span(HEAD, sizeof(HEAD) - 1)));
    assert_int_equal(r->field_count, 3);
    assert_true(weir_span_eq(r->fields[1].name, weir_span_str("Last-Modified")));
    assert_int_equal(r->fields[1].id, HTTP_F_LAST_MODIFIED);
    assert_non_null(r->fields[2].value.ptr);
    assert_int_equal(r->fields[2].value.len, 0);
    etag = r->fields[0].value;
    assert_ptr_equal(r->etag.ptr, etag.ptr);
    assert_true(weir_span_eq(r->etag, weir_span_str("\"v1\"")));
    assert_null(r->last_modified.ptr);
    assert_int_equal(r->facts.freshness.max_age, 60);
    assert_int_equal(r->body_len, 0);
    stored_response_unref(r);
}

static void a_small_body_does_not_hold_its_read_buffer(void **state)
{
    struct sample s;
    struct weir_slice body[3];
    struct stored_response *r;

    (void)state;
    sample_init(&s);
    body_make(body, 3, 16384, 400);
    r = with_body(&s, body, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(atomic_load(&body[i].blob->refs), 1);
    body_drop(body, 3);
    assert_int_equal(r->slice_count, 1);
    assert_true(r->slices[0].blob->cap < 1300);
    assert_true(r->cost_bytes < 3000);
    assert_pattern(r, 1200);
    stored_response_unref(r);
}

static void a_body_that_fills_its_one_blob_is_kept_as_it_came(void **state)
{
    struct sample s;
    struct weir_slice body[1];
    struct stored_response *r;

    (void)state;
    sample_init(&s);
    body_make(body, 1, 4000, 3900);
    r = with_body(&s, body, 1);
    assert_ptr_equal(r->slices[0].blob, body[0].blob);
    body_drop(body, 1);
    assert_pattern(r, 3900);
    stored_response_unref(r);
}

static void a_large_body_in_full_blobs_is_kept_as_it_came(void **state)
{
    struct sample s;
    struct weir_slice body[8];
    struct stored_response *r;

    (void)state;
    sample_init(&s);
    body_make(body, 8, 16384, 16000);
    r = with_body(&s, body, 8);
    assert_int_equal(r->slice_count, 8);
    assert_ptr_equal(r->slices[7].blob, body[7].blob);
    assert_true(r->cost_bytes > 8 * weir_blob_cost(body[0].blob));
    assert_true(r->cost_bytes < 8 * weir_blob_cost(body[0].blob) + 2000);
    body_drop(body, 8);
    assert_pattern(r, 8 * 16000);
    stored_response_unref(r);
}

static void a_large_body_in_half_empty_blobs_is_cut_anew(void **state)
{
    struct sample s;
    struct weir_slice body[40];
    struct stored_response *r;

    (void)state;
    sample_init(&s);
    body_make(body, 40, 16384, 5001);
    r = with_body(&s, body, 40);
    body_drop(body, 40);
    assert_int_equal(r->slice_count, 4);
    assert_int_equal(r->slices[0].len, 65536);
    assert_int_equal(r->slices[3].len, 40 * 5001 - 3 * 65536);
    assert_true(r->cost_bytes < 40 * 5001 + 2000);
    assert_pattern(r, 40 * 5001);
    stored_response_unref(r);
}

static void neighbouring_slices_of_a_blob_become_one(void **state)
{
    struct sample s;
    struct weir_slice body[1], cut[4];
    struct stored_response *r;

    (void)state;
    sample_init(&s);
    body_make(body, 1, 100000, 100000);
    cut[0] = (struct weir_slice){body[0].blob, 0, 40000};
    cut[1] = (struct weir_slice){body[0].blob, 0, 0};
    cut[2] = (struct weir_slice){body[0].blob, 40000, 30000};
    cut[3] = (struct weir_slice){body[0].blob, 70000, 30000};
    r = with_body(&s, cut, 4);
    body_drop(body, 1);
    assert_int_equal(r->slice_count, 1);
    assert_true(r->cost_bytes < 102000);
    assert_pattern(r, 100000);
    stored_response_unref(r);
}

static void hidden_fields_are_kept_behind_the_head(void **state)
{
    struct sample s;
    struct stored_response *r, *fresh;
    size_t visible = sizeof(HEAD) - 1 - 5; /* all but "X: " and its end of line */

    (void)state;
    sample_init(&s);
    s.draft.head.len = visible;
    s.draft.hidden_len = 5;
    s.draft.field_count = 2;
    s.draft.hidden_count = 1;
    r = stored_response_new(&s.draft, NULL);
    assert_int_equal(r->head->len, visible); /* so much is sent */
    assert_int_equal(r->field_count, 2);
    assert_int_equal(r->hidden_count, 1);
    assert_ptr_equal(r->fields[2].name.ptr, r->head->bytes + visible);
    assert_memory_equal(r->fields[2].name.ptr, "X: \r\n", 5);
    fresh = stored_response_freshened(r, &s.draft, NULL);
    assert_int_equal(fresh->hidden_count, 1);
    stored_response_unref(r);
    stored_response_unref(fresh);
}

static void a_freshened_response_shares_the_body(void **state)
{
    struct sample s;
    struct weir_slice body[2];
    struct stored_response *old, *fresh;

    (void)state;
    sample_init(&s);
    body_make(body, 2, 60000, 60000);
    old = with_body(&s, body, 2);
    s.draft.key = WEIR_SPAN_LIT("ignored");
    s.draft.status = 304;
    s.draft.slice_count = 0;
    s.draft.field_count = 1;
    s.draft.facts.freshness.max_age = 90;
    fresh = stored_response_freshened(old, &s.draft, NULL);
    assert_non_null(fresh);
    stored_response_unref(old);
    assert_true(weir_span_eq(fresh->key, weir_span_str("key")));
    assert_int_equal(fresh->status, 200);
    assert_int_equal(fresh->field_count, 1);
    assert_int_equal(fresh->facts.freshness.max_age, 90);
    assert_ptr_equal(fresh->slices[0].blob, body[0].blob);
    body_drop(body, 2);
    assert_pattern(fresh, 120000);
    stored_response_unref(fresh);
}

static void a_marker_costs_next_to_nothing(void **state)
{
    struct sample s;
    struct stored_response *r;

    (void)state;
    sample_init(&s);
    r = stored_marker_new(&s.draft, 12345, NULL);
    assert_non_null(r);
    assert_int_equal(r->kind, STORED_MARKER);
    assert_int_equal(r->marker_until_ms, 12345);
    assert_null(r->head);
    assert_true(r->cost_bytes < 640);
    stored_response_unref(r);
}

static void a_shared_body_is_charged_once_and_until_its_last_owner_goes(void **state)
{
    struct sample s;
    struct weir_slice body[1];
    struct stored_response *old, *fresh;
    struct stored_account *a = stored_account_new(1 << 20, NULL);
    size_t both;

    (void)state;
    assert_non_null(a);
    sample_init(&s);
    body_make(body, 1, 100000, 100000);
    old = with_body(&s, body, 1);
    body_drop(body, 1);
    assert_int_equal(stored_response_uncharged(old), old->cost_bytes);
    assert_true(stored_response_charge(old, a));
    assert_true(stored_response_charge(old, a)); /* no second time */
    assert_int_equal(atomic_load(&a->bytes), old->cost_bytes);
    assert_int_equal(stored_response_uncharged(old), 0);

    fresh = stored_response_freshened(old, &s.draft, NULL);
    assert_non_null(fresh);
    assert_true(stored_response_uncharged(fresh) < 2000);
    assert_true(stored_response_charge(fresh, a));
    both = atomic_load(&a->bytes);
    assert_true(both < 104000);
    stored_response_unref(old);
    assert_int_equal(atomic_load(&a->bytes), fresh->cost_bytes);
    stored_account_ref(a);
    stored_account_unref(a);
    stored_response_unref(fresh);
    assert_int_equal(atomic_load(&a->bytes), 0);
    stored_account_unref(a);
}

static void a_charge_beyond_the_limit_charges_nothing(void **state)
{
    struct sample s;
    struct stored_response *r;
    struct stored_account *a;

    (void)state;
    sample_init(&s);
    r = stored_response_new(&s.draft, NULL);
    assert_non_null(r);
    a = stored_account_new(r->cost_bytes - 1, NULL);
    assert_non_null(a);
    assert_false(stored_response_charge(r, a));
    assert_int_equal(atomic_load(&a->bytes), 0);
    atomic_store(&a->limit_bytes, r->cost_bytes);
    assert_true(stored_response_charge(r, a));
    stored_account_unref(a); /* the response keeps it alive */
    stored_response_unref(r);
}

#define PAIRS 8000

struct charger {
    struct stored_account *account;
    struct stored_response *of[PAIRS];
    atomic_int *arrived;
};

static void *charge_all(void *arg)
{
    struct charger *c = arg;

    for (int i = 0; i < PAIRS; i++) {
        atomic_fetch_add(c->arrived, 1);
        /* Both begin each body at once; who has waited long gives its core to the other. */
        for (unsigned spins = 0; atomic_load(c->arrived) < 2 * (i + 1); spins++)
            if (spins > 2000)
                sched_yield();
        if (!stored_response_charge(c->of[i], c->account))
            abort();
    }
    return NULL;
}

static void two_threads_that_charge_one_body_charge_it_once(void **state)
{
    struct stored_account *a = stored_account_new(SIZE_MAX, NULL);
    atomic_int arrived = 0;
    struct charger c[2] = {{.account = a, .arrived = &arrived},
                           {.account = a, .arrived = &arrived}};
    struct sample s;
    struct weir_slice body[1];
    pthread_t other;
    size_t expected = 0;

    (void)state;
    sample_init(&s);
    body_make(body, 1, 1000, 1000);
    for (int i = 0; i < PAIRS; i++) {
        c[0].of[i] = with_body(&s, body, 1);
        c[1].of[i] = stored_response_freshened(c[0].of[i], &s.draft, NULL);
        expected += c[0].of[i]->cost_bytes + c[1].of[i]->charge.bytes;
    }
    body_drop(body, 1);
    assert_int_equal(pthread_create(&other, NULL, charge_all, &c[1]), 0);
    charge_all(&c[0]);
    pthread_join(other, NULL);
    assert_int_equal(atomic_load(&a->bytes), expected);
    for (int i = 0; i < PAIRS; i++) {
        stored_response_unref(c[0].of[i]);
        stored_response_unref(c[1].of[i]);
    }
    assert_int_equal(atomic_load(&a->bytes), 0);
    assert_int_equal(atomic_load(&a->refs), 1);
    stored_account_unref(a);
}

#ifdef WEIR_FAULTS
static bool all_of_it(struct sample *s, struct weir_err *err)
{
    struct stored_response *r = stored_response_new(&s->draft, err), *fresh = NULL, *marker = NULL;
    struct stored_account *a = stored_account_new(1 << 20, err);

    if (r != NULL)
        fresh = stored_response_freshened(r, &s->draft, err);
    if (fresh != NULL)
        marker = stored_marker_new(&s->draft, 1, err);
    stored_account_unref(a);
    stored_response_unref(r);
    stored_response_unref(fresh);
    stored_response_unref(marker);
    return marker != NULL && a != NULL;
}

static void each_failed_allocation_is_reported_and_leaves_nothing(void **state)
{
    struct sample s;
    struct weir_slice body[40];

    (void)state;
    sample_init(&s);
    body_make(body, 40, 16384, 5001);
    s.draft.slices = body;
    s.draft.slice_count = 40;
    for (unsigned long n = 1;; n++) {
        struct weir_err err = {0};
        bool ok;

        weir_alloc_fail_at(n);
        ok = all_of_it(&s, &err);
        if (!weir_alloc_failed()) {
            assert_true(ok);
            assert_true(n > 10);
            break;
        }
        assert_false(ok);
        assert_int_equal(err.code, WEIR_E_MEMORY);
        for (int i = 0; i < 40; i++)
            assert_int_equal(atomic_load(&body[i].blob->refs), 1);
    }
    weir_alloc_fail_at(0);
    body_drop(body, 40);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_of_the_draft_is_copied),
        cmocka_unit_test(a_small_body_does_not_hold_its_read_buffer),
        cmocka_unit_test(a_body_that_fills_its_one_blob_is_kept_as_it_came),
        cmocka_unit_test(a_large_body_in_full_blobs_is_kept_as_it_came),
        cmocka_unit_test(a_large_body_in_half_empty_blobs_is_cut_anew),
        cmocka_unit_test(neighbouring_slices_of_a_blob_become_one),
        cmocka_unit_test(hidden_fields_are_kept_behind_the_head),
        cmocka_unit_test(a_freshened_response_shares_the_body),
        cmocka_unit_test(a_marker_costs_next_to_nothing),
        cmocka_unit_test(a_shared_body_is_charged_once_and_until_its_last_owner_goes),
        cmocka_unit_test(two_threads_that_charge_one_body_charge_it_once),
        cmocka_unit_test(a_charge_beyond_the_limit_charges_nothing),
#ifdef WEIR_FAULTS
        cmocka_unit_test(each_failed_allocation_is_reported_and_leaves_nothing),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
