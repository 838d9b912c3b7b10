#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/mailbox.h"

#include "recode.h"
#include "recoder.h"
#include "stored.h"
#include "tier.h"

#define BODY 60000

static const struct recoder_settings settings = {.level = {0, 6, 5, 6}, .identity_max = 1 << 20};

struct world {
    struct tier *tier;
    struct weir_mailbox box;
    struct recoder *recoder;
    int woken;
};

static void begin(struct world *w)
{
    w->woken = 0;
    w->tier = tier_new(&(struct tier_options){.memory_bytes = 1 << 20, .shards = 4}, NULL);
    assert_non_null(w->tier);
    assert_true(weir_mailbox_init(&w->box, NULL));
    w->recoder = recoder_new(w->tier, 2, &w->box, NULL);
    assert_non_null(w->recoder);
}

static void end(struct world *w)
{
    struct tier_stats stats;

    recoder_stop(w->recoder);
    weir_mailbox_drain(&w->box);
    recoder_free(w->recoder);
    weir_mailbox_close(&w->box);
    tier_flush(w->tier);
    tier_stats(w->tier, &stats);
    assert_int_equal(stats.bytes, 0);
    tier_free(w->tier);
}

/* Runs mail until so many jobs are over, and so many were woken. */
static void run_until(struct world *w, int64_t over, int woken)
{
    const struct weir_metrics *m = recoder_metrics(w->recoder);

    while (atomic_load(&m->value[WEIR_M_forms_made]) +
                   atomic_load(&m->value[WEIR_M_forms_useless]) <
               over ||
           w->woken < woken) {
        struct pollfd p = {w->box.fd, POLLIN, 0};

        assert_int_equal(poll(&p, 1, 10000), 1);
        weir_mailbox_drain(&w->box);
    }
}

static void wake(void *arg)
{
    ((struct world *)arg)->woken++;
}

/* Stored content of BODY bytes, text or noise, as the origin sent it in `sent`. */
static struct stored_response *response(enum coding sent, bool noise, size_t cut)
{
    struct weir_slice body = {weir_blob_new(BODY), 0, BODY};
    struct coding_out out;
    struct recode recode = {&body, 1, CODING_IDENTITY, sent, 6, BODY};
    struct stored_draft d = {
        .key = WEIR_SPAN_LIT("key"),
        .status = 200,
        .head = WEIR_SPAN_LIT("HTTP/1.1 200 OK\r\n"),
        .coding = sent,
        .recodable = true,
    };
    struct stored_response *r;
    unsigned seed = 1;

    assert_non_null(body.blob);
    for (size_t i = 0; i < BODY; i++) {
        seed = seed * 1103515245 + 12345;
        body.blob->bytes[i] = noise ? (char)(seed >> 16) : (char)('a' + i % 13);
    }
    body.blob->len = BODY;
    coding_out_init(&out, UINT64_MAX, 0);
    assert_true(recode_body(&recode, &out, NULL, NULL) || sent == CODING_IDENTITY);
    if (sent == CODING_IDENTITY) {
        d.slices = &body;
        d.slice_count = 1;
    } else {
        out.slices[out.count - 1].len -= (uint32_t)cut;
        d.slices = out.slices;
        d.slice_count = out.count;
    }
    r = stored_response_new(&d, NULL);
    assert_non_null(r);
    coding_out_clear(&out);
    weir_blob_unref(body.blob);
    return r;
}

static struct recoder_wait *ask(struct world *w, struct stored_response *r, enum coding to)
{
    return recoder_ask(w->recoder, r, to, &settings, &w->box, wake, w);
}

static void zstd_takes_the_place_of_the_body(void **state)
{
    struct world w;
    struct stored_response *r = response(CODING_IDENTITY, false, 0), *now;
    struct tier_stats stats;

    (void)state;
    begin(&w);
    assert_true(tier_put(w.tier, r));
    recoder_begin(w.recoder, r, CODING_ZSTD, &settings);
    run_until(&w, 1, 0);
    now = tier_holder(w.tier, r);
    assert_non_null(now);
    assert_ptr_not_equal(now, r);
    assert_int_equal(now->coding, CODING_ZSTD);
    assert_true(now->body_len < BODY / 10);
    stored_response_unref(r);
    tier_stats(w.tier, &stats);
    assert_true(stats.bytes < BODY / 10);
    recoder_begin(w.recoder, now, CODING_ZSTD, &settings); /* nothing to do any more */
    assert_int_equal(atomic_load(&recoder_metrics(w.recoder)->value[WEIR_M_forms_made]), 1);
    stored_response_unref(now);
    end(&w);
}

static void whoever_waits_gets_what_one_job_made(void **state)
{
    struct world w;
    struct stored_response *r = response(CODING_IDENTITY, false, 0);
    struct recoder_wait *wait[100];
    struct stored_form *first = NULL;

    (void)state;
    begin(&w);
    assert_true(tier_put(w.tier, r));
    for (int i = 0; i < 100; i++) {
        wait[i] = ask(&w, r, CODING_GZIP);
        assert_non_null(wait[i]);
    }
    run_until(&w, 1, 100);
    for (int i = 0; i < 100; i++) {
        struct stored_form *f = recoder_wait_form(wait[i]);

        assert_non_null(f);
        assert_int_equal(f->coding, CODING_GZIP);
        if (first == NULL)
            first = f;
        assert_ptr_equal(f->slices[0].blob, first->slices[0].blob);
        if (i > 0)
            stored_form_unref(f);
        recoder_wait_close(wait[i]);
    }
    assert_int_equal(atomic_load(&recoder_metrics(w.recoder)->value[WEIR_M_forms_made]), 1);
    stored_form_unref(first);
    stored_response_unref(r);
    end(&w);
}

static void who_asks_when_it_is_there_is_told_at_once(void **state)
{
    struct world w;
    struct stored_response *r = response(CODING_IDENTITY, false, 0);
    enum coding codings[] = {CODING_BR, CODING_ZSTD};

    (void)state;
    begin(&w);
    assert_true(tier_put(w.tier, r));
    for (int i = 0; i < 2; i++) {
        for (int times = 0; times < 2; times++) {
            struct recoder_wait *wait = ask(&w, r, codings[i]); /* r may be the head of before */
            struct stored_form *f;

            assert_non_null(wait);
            run_until(&w, i + 1, 2 * i + times + 1);
            f = recoder_wait_form(wait);
            assert_non_null(f);
            assert_int_equal(f->coding, codings[i]);
            stored_form_unref(f);
            recoder_wait_close(wait);
        }
        assert_int_equal(atomic_load(&recoder_metrics(w.recoder)->value[WEIR_M_forms_made]), i + 1);
    }
    stored_response_unref(r);
    end(&w);
}

static void noise_stays_as_it_is_and_is_not_tried_again(void **state)
{
    struct world w;
    struct stored_response *r = response(CODING_IDENTITY, true, 0), *now;

    (void)state;
    begin(&w);
    assert_true(tier_put(w.tier, r));
    recoder_begin(w.recoder, r, CODING_ZSTD, &settings);
    run_until(&w, 1, 0);
    now = tier_holder(w.tier, r);
    assert_ptr_equal(now, r);
    assert_null(ask(&w, r, CODING_ZSTD));
    assert_null(ask(&w, r, CODING_GZIP));
    stored_response_unref(now);
    stored_response_unref(r);
    end(&w);
}

static void damaged_content_makes_nothing(void **state)
{
    struct world w;
    struct stored_response *r = response(CODING_GZIP, false, 5);
    struct recoder_wait *wait;

    (void)state;
    begin(&w);
    assert_true(tier_put(w.tier, r));
    wait = ask(&w, r, CODING_IDENTITY);
    assert_non_null(wait);
    run_until(&w, 1, 1);
    assert_null(recoder_wait_form(wait));
    recoder_wait_close(wait);
    assert_null(ask(&w, r, CODING_IDENTITY));
    stored_response_unref(r);
    end(&w);
}

static void what_came_coded_keeps_its_body_and_gets_forms(void **state)
{
    struct world w;
    struct stored_response *r = response(CODING_GZIP, false, 0), *now;
    struct recoder_wait *plain, *br;
    struct stored_form *f;

    (void)state;
    begin(&w);
    assert_true(tier_put(w.tier, r));
    plain = ask(&w, r, CODING_IDENTITY);
    br = ask(&w, r, CODING_BR);
    assert_non_null(plain);
    assert_non_null(br);
    run_until(&w, 2, 2);
    f = recoder_wait_form(plain);
    assert_non_null(f);
    assert_int_equal(f->len, BODY);
    stored_form_unref(f);
    recoder_wait_close(plain);
    recoder_wait_close(br);
    now = tier_holder(w.tier, r);
    assert_ptr_equal(now, r);
    stored_response_unref(now);
    stored_response_unref(r);
    end(&w);
}

static void a_closed_wait_is_not_woken(void **state)
{
    struct world w;
    struct stored_response *r = response(CODING_IDENTITY, false, 0);
    struct recoder_wait *a, *b;

    (void)state;
    begin(&w);
    assert_true(tier_put(w.tier, r));
    a = ask(&w, r, CODING_GZIP);
    b = ask(&w, r, CODING_GZIP);
    assert_non_null(a);
    assert_non_null(b);
    recoder_wait_close(a); /* at once, or with its mail on the way: either may be */
    run_until(&w, 1, 1);
    assert_int_equal(w.woken, 1);
    recoder_wait_close(b);
    stored_response_unref(r);
    end(&w);
}

static void a_head_that_a_validation_renewed_is_the_one_replaced(void **state)
{
    struct world w;
    struct stored_response *r = response(CODING_IDENTITY, false, 0), *fresh, *now;
    struct stored_draft d = {.head = WEIR_SPAN_LIT("HTTP/1.1 200 OK\r\nNew: 1\r\n"),
                             .recodable = true};

    (void)state;
    begin(&w);
    assert_true(tier_put(w.tier, r));
    fresh = stored_response_freshened(r, &d, NULL);
    assert_non_null(fresh);
    assert_true(tier_put(w.tier, fresh));
    recoder_begin(w.recoder, r, CODING_ZSTD, &settings); /* began with the head of before */
    run_until(&w, 1, 0);
    now = tier_holder(w.tier, r);
    assert_non_null(now);
    assert_int_equal(now->coding, CODING_ZSTD);
    assert_int_equal(now->head->len, d.head.len);
    stored_response_unref(now);
    stored_response_unref(fresh);
    stored_response_unref(r);
    end(&w);
}

static void what_is_queued_at_the_end_goes(void **state)
{
    struct world w;
    struct stored_response *r[20];
    struct recoder_wait *wait[20];

    (void)state;
    begin(&w);
    for (int i = 0; i < 20; i++) {
        r[i] = response(CODING_IDENTITY, false, 0);
        wait[i] = ask(&w, r[i], CODING_BR); /* not in the tier: made for who waits alone */
        assert_non_null(wait[i]);
    }
    recoder_stop(w.recoder);
    for (int i = 0; i < 20; i++) {
        recoder_wait_close(wait[i]);
        stored_response_unref(r[i]);
    }
    end(&w);
}

#ifdef WEIR_FAULTS
static void every_failing_allocation_leaves_content_as_it_was(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned long n = 1; failed; n++) {
        struct world w;
        struct stored_response *r = response(CODING_IDENTITY, false, 0), *now;
        struct recoder_wait *wait;

        begin(&w);
        assert_true(tier_put(w.tier, r));
        weir_alloc_fail_at(n);
        wait = ask(&w, r, CODING_ZSTD);
        if (wait != NULL)
            run_until(&w, 1, 1);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_true(wait != NULL || failed);
        recoder_wait_close(wait);
        now = tier_holder(w.tier, r);
        assert_non_null(now);
        assert_int_equal(now->forms->useless, 0);
        if (!failed)
            assert_int_equal(now->coding, CODING_ZSTD);
        stored_response_unref(now);
        stored_response_unref(r);
        end(&w);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zstd_takes_the_place_of_the_body),
        cmocka_unit_test(whoever_waits_gets_what_one_job_made),
        cmocka_unit_test(who_asks_when_it_is_there_is_told_at_once),
        cmocka_unit_test(noise_stays_as_it_is_and_is_not_tried_again),
        cmocka_unit_test(damaged_content_makes_nothing),
        cmocka_unit_test(what_came_coded_keeps_its_body_and_gets_forms),
        cmocka_unit_test(a_closed_wait_is_not_woken),
        cmocka_unit_test(a_head_that_a_validation_renewed_is_the_one_replaced),
        cmocka_unit_test(what_is_queued_at_the_end_goes),
#ifdef WEIR_FAULTS
        cmocka_unit_test(every_failing_allocation_leaves_content_as_it_was),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
