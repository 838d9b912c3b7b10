#include "fill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"
#include "http_head.h"
#include "inflight.h"
#include "policy_heads.h"

/* ---- a producer, and readers who write down what they get ---- */

struct owner {
    struct weir_mailbox box;
    int space, abandoned;
};

static void on_space(void *arg)
{
    ((struct owner *)arg)->space++;
}

static void on_abandoned(void *arg)
{
    ((struct owner *)arg)->abandoned++;
}

static const struct fill_owner owner_calls = {on_space, on_abandoned};

static struct fill *new_fill(struct owner *o, bool retain)
{
    struct cache_key key = {.bytes = WEIR_SPAN_LIT("key"), .hash = {1, 2}};

    memset(o, 0, sizeof *o);
    assert_true(weir_mailbox_init(&o->box, NULL));
    return fill_new(&key, retain, &o->box, &owner_calls, o, NULL);
}

static void drop_fill(struct fill *f, struct owner *o)
{
    fill_detach_owner(f);
    fill_unref(f);
    weir_mailbox_drain(&o->box);
    weir_mailbox_close(&o->box);
}

static struct weir_slice slice(const char *text, size_t len)
{
    struct weir_slice s = {weir_blob_new(len), 0, (uint32_t)len};

    assert_non_null(s.blob);
    if (text != NULL)
        memcpy(s.blob->bytes, text, len);
    s.blob->len = (uint32_t)len;
    return s;
}

static bool append(struct fill *f, const char *text)
{
    return fill_append(f, slice(text, strlen(text)));
}

static void open_fill(struct fill *f)
{
    struct fill_head h = {.status = 200, .length = -1};

    h.bytes = weir_blob_new(64);
    h.fields = weir_malloc(sizeof *h.fields);
    fill_open(f, &h, false);
}

struct reader {
    struct fill_reader *r;
    int wakes;
    char text[64];
    enum fill_read last;
    struct reader *closes; /* another reader, closed when this one wakes */
    bool closes_itself;
    bool reads; /* takes what there is when woken */
};

static void take_all(struct reader *r)
{
    struct weir_slice s[4];
    unsigned n;
    size_t len = strlen(r->text);

    while ((r->last = fill_reader_take(r->r, s, 4, &n)) == FILL_READ_DATA)
        for (unsigned i = 0; i < n; i++) {
            if (len + s[i].len < sizeof r->text) {
                memcpy(r->text + len, weir_slice_ptr(s[i]), s[i].len);
                len += s[i].len;
            }
            weir_blob_unref(s[i].blob);
        }
    r->text[len] = '\0';
}

static void on_wake(void *arg)
{
    struct reader *r = arg;

    r->wakes++;
    if (r->closes != NULL) {
        fill_reader_close(r->closes->r);
        r->closes->r = NULL;
        r->closes = NULL;
    }
    if (r->closes_itself) {
        fill_reader_close(r->r);
        r->r = NULL;
    } else if (r->reads) {
        take_all(r);
    }
}

static void open_reader(struct reader *r, struct fill *f, struct weir_mailbox *box)
{
    memset(r, 0, sizeof *r);
    r->r = fill_reader_open(f, box, on_wake, r);
    assert_non_null(r->r);
}

static void close_reader(struct reader *r)
{
    fill_reader_close(r->r);
    r->r = NULL;
}

/* ---- the diagram ---- */

static void a_reader_waits_streams_and_reaches_the_end(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, true);
    struct reader r;

    (void)state;
    open_reader(&r, f, &o.box);
    assert_int_equal(fill_reader_state(r.r), FILL_WAITING);
    open_fill(f);
    assert_int_equal(r.wakes, 1);
    assert_int_equal(fill_reader_state(r.r), FILL_OPEN);
    take_all(&r);
    assert_int_equal(r.last, FILL_READ_WAIT);
    append(f, "one ");
    assert_int_equal(r.wakes, 2);
    append(f, "two"); /* not woken again before it waits again */
    assert_int_equal(r.wakes, 2);
    take_all(&r);
    assert_string_equal(r.text, "one two");
    fill_finish(f, NULL);
    assert_int_equal(r.wakes, 3);
    assert_int_equal(fill_reader_state(r.r), FILL_DONE);
    take_all(&r);
    assert_int_equal(r.last, FILL_READ_END);
    close_reader(&r);
    drop_fill(f, &o);
}

static void late_joiners_get_the_whole_at_every_stage(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, true);
    struct reader r[4];

    (void)state;
    open_reader(&r[0], f, &o.box);
    open_fill(f);
    open_reader(&r[1], f, &o.box);
    append(f, "a");
    take_all(&r[0]);
    append(f, "b");
    open_reader(&r[2], f, &o.box);
    fill_finish(f, NULL);
    open_reader(&r[3], f, &o.box);
    for (int i = 0; i < 4; i++) {
        take_all(&r[i]);
        assert_int_equal(r[i].last, FILL_READ_END);
        assert_string_equal(r[i].text, "ab");
        close_reader(&r[i]);
    }
    drop_fill(f, &o);
}

static void a_failed_body_breaks_off_behind_what_came(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, true);
    struct weir_err err = {.code = WEIR_E_RESPONSE_TRUNCATED}, later = {.code = WEIR_E_MEMORY};
    struct reader r;

    (void)state;
    open_reader(&r, f, &o.box);
    open_fill(f);
    append(f, "half");
    fill_fail(f, &err);
    assert_true(append(f, "behind the hole"));
    fill_finish(f, weir_blob_new(8)); /* too late for both */
    fill_fail(f, &later);
    assert_int_equal(fill_reader_state(r.r), FILL_FAILED);
    assert_int_equal(f->err.code, WEIR_E_RESPONSE_TRUNCATED);
    take_all(&r);
    assert_string_equal(r.text, "half");
    assert_int_equal(r.last, FILL_READ_FAILED);
    close_reader(&r);
    drop_fill(f, &o);
}

static void a_fetch_that_fails_before_its_head_fails_all(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, true);
    struct weir_err err = {.code = WEIR_E_ORIGIN_REFUSED};
    struct reader r;

    (void)state;
    open_reader(&r, f, &o.box);
    assert_int_equal(fill_reader_state(r.r), FILL_WAITING);
    fill_fail(f, &err);
    assert_int_equal(r.wakes, 1);
    assert_int_equal(fill_reader_state(r.r), FILL_FAILED);
    assert_null(f->head.bytes);
    close_reader(&r);
    drop_fill(f, &o);
}

static void an_answer_serves_all_and_only_once(void **state)
{
    struct stored_draft d = {.key = WEIR_SPAN_LIT("key"),
                             .status = 200,
                             .head = WEIR_SPAN_LIT("x")};
    struct stored_response *stored = stored_response_new(&d, NULL);
    struct owner o;
    struct fill *f = new_fill(&o, true);
    struct reader r[2];

    (void)state;
    assert_non_null(stored);
    open_reader(&r[0], f, &o.box);
    assert_int_equal(fill_reader_state(r[0].r), FILL_WAITING);
    fill_answer(f, stored, true, true, 304, "why");
    fill_answer(f, stored, false, false, 500, "again");
    open_reader(&r[1], f, &o.box);
    assert_int_equal(r[0].wakes, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fill_reader_state(r[i].r), FILL_ANSWERED);
        close_reader(&r[i]);
    }
    assert_ptr_equal(f->answer, stored);
    assert_int_equal(f->answer_fwd_status, 304);
    assert_true(f->answer_fresh && f->answer_stored);
    stored_response_unref(stored);
    drop_fill(f, &o);
}

static void disbanding_sends_all_but_the_leader_away(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, true);
    struct reader leader, waits, looks, late;

    (void)state;
    open_reader(&leader, f, &o.box);
    open_reader(&waits, f, &o.box);
    open_reader(&looks, f, &o.box);
    assert_int_equal(fill_reader_state(leader.r), FILL_WAITING);
    assert_int_equal(fill_reader_state(waits.r), FILL_WAITING);
    fill_disband(f, leader.r);
    assert_int_equal(waits.wakes, 0); /* by mail, from a clean stack */
    weir_mailbox_drain(&o.box);
    assert_int_equal(waits.wakes, 1);
    assert_int_equal(looks.wakes, 0); /* it did not wait */
    assert_int_equal(fill_reader_state(waits.r), FILL_DISBANDED);
    assert_int_equal(fill_reader_state(looks.r), FILL_DISBANDED);
    assert_int_equal(fill_reader_state(leader.r), FILL_WAITING);
    open_fill(f);
    append(f, "private");
    /* One that found the fill in the table before it was taken out, and comes now. */
    open_reader(&late, f, &o.box);
    assert_int_equal(fill_reader_state(late.r), FILL_DISBANDED);
    take_all(&late);
    assert_int_equal(late.last, FILL_READ_FAILED);
    assert_string_equal(late.text, "");
    fill_finish(f, NULL);
    take_all(&leader);
    assert_string_equal(leader.text, "private");
    assert_int_equal(leader.last, FILL_READ_END);
    close_reader(&waits);
    close_reader(&looks);
    close_reader(&late);
    close_reader(&leader);
    drop_fill(f, &o);
}

static void a_reader_sent_away_may_leave_before_its_mail_comes(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, true);
    struct reader r;

    (void)state;
    open_reader(&r, f, &o.box);
    assert_int_equal(fill_reader_state(r.r), FILL_WAITING);
    fill_disband(f, NULL);
    close_reader(&r);
    weir_mailbox_drain(&o.box);
    assert_int_equal(r.wakes, 0);
    drop_fill(f, &o);
}

/* ---- waking ---- */

static void a_woken_reader_may_close_itself_and_others(void **state)
{
    struct owner o;
    struct fill *f;
    struct reader r[3];

    (void)state;
    for (int who = 0; who < 3; who++) {
        f = new_fill(&o, true);
        for (int i = 0; i < 3; i++) {
            open_reader(&r[i], f, &o.box);
            assert_int_equal(fill_reader_state(r[i].r), FILL_WAITING);
        }
        r[who].closes = &r[(who + 1) % 3];
        r[who].closes_itself = true;
        open_fill(f);
        assert_int_equal(r[who].wakes, 1);
        assert_int_equal(r[(who + 2) % 3].wakes, 1);
        for (int i = 0; i < 3; i++)
            close_reader(&r[i]);
        drop_fill(f, &o);
    }
}

/* As an exchange does whose response is complete: it lets go of the reader and of the fetch. */
struct ender {
    struct fill *fill;
    struct fill_reader *reader;
};

static void end_all(void *arg)
{
    struct ender *e = arg;

    fill_detach_owner(e->fill);
    fill_reader_close(e->reader);
    fill_unref(e->fill);
}

static void the_last_reference_may_go_while_a_reader_is_woken(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct weir_err err = {.code = WEIR_E_MEMORY};
        struct owner o;
        struct fill *f = new_fill(&o, false);
        struct ender e = {f, NULL};
        unsigned n;
        struct weir_slice s;

        if (how > 0)
            open_fill(f);
        e.reader = fill_reader_open(f, &o.box, end_all, &e);
        if (how == 0)
            assert_int_equal(fill_reader_state(e.reader), FILL_WAITING);
        else
            assert_int_equal(fill_reader_take(e.reader, &s, 1, &n), FILL_READ_WAIT);
        switch (how) {
        case 0:
            open_fill(f);
            break;
        case 1:
            append(f, "last");
            break;
        case 2:
            fill_finish(f, NULL);
            break;
        default:
            fill_fail(f, &err);
        }
        weir_mailbox_drain(&o.box);
        weir_mailbox_close(&o.box);
    }
}

/* ---- the window ---- */

static void a_stream_holds_the_producer_back_until_the_slowest_has_half(void **state)
{
    enum { PART = 16384 };
    struct owner o;
    struct fill *f = new_fill(&o, false);
    struct reader fast, slow;
    struct weir_slice s[1];
    unsigned n, parts = 0;

    (void)state;
    open_reader(&fast, f, &o.box);
    open_reader(&slow, f, &o.box);
    open_fill(f);
    do
        parts++;
    while (fill_append(f, slice(NULL, PART)));
    assert_int_equal(parts, FILL_WINDOW_BYTES / PART);
    assert_false(fill_append(f, slice(NULL, PART))); /* what was at hand still fits */
    take_all(&fast);
    weir_mailbox_drain(&o.box);
    assert_int_equal(o.space, 0);
    for (unsigned taken = 0; o.space == 0; taken++) {
        assert_true(taken < parts);
        /* Told to pause, it stays so however little is missing, until it is told to go on. */
        assert_int_equal(fill_reader_take(slow.r, s, 1, &n), FILL_READ_DATA);
        weir_blob_unref(s[0].blob);
        weir_mailbox_drain(&o.box);
        if (taken == 2)
            assert_false(fill_append(f, slice(NULL, 1)));
    }
    assert_int_equal(o.space, 1);
    assert_true(fill_append(f, slice(NULL, PART)));
    close_reader(&fast);
    close_reader(&slow);
    weir_mailbox_drain(&o.box);
    assert_int_equal(o.abandoned, 1);
    drop_fill(f, &o);
}

static void a_slow_reader_that_leaves_opens_the_window(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, false);
    struct reader fast, slow;

    (void)state;
    open_reader(&fast, f, &o.box);
    open_reader(&slow, f, &o.box);
    open_fill(f);
    assert_false(fill_append(f, slice(NULL, FILL_WINDOW_BYTES)));
    take_all(&fast);
    weir_mailbox_drain(&o.box);
    assert_int_equal(o.space, 0);
    close_reader(&slow);
    weir_mailbox_drain(&o.box);
    assert_int_equal(o.space, 1);
    assert_int_equal(o.abandoned, 0);
    close_reader(&fast);
    drop_fill(f, &o);
}

static void a_stream_keeps_no_more_than_its_readers_miss(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, false);
    struct reader r;

    (void)state;
    open_reader(&r, f, &o.box);
    open_fill(f);
    for (int i = 0; i < 1000; i++) {
        assert_true(append(f, "x"));
        take_all(&r);
        assert_true(f->part_count <= 1);
    }
    assert_true(f->part_cap <= 8);
    close_reader(&r);
    drop_fill(f, &o);
}

static void what_is_retained_is_not_held_back(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, true);

    (void)state;
    open_fill(f);
    for (int i = 0; i < 20; i++)
        assert_true(fill_append(f, slice(NULL, FILL_WINDOW_BYTES)));
    assert_int_equal(f->part_count, 20);
    drop_fill(f, &o);
}

static void a_body_that_outgrew_goes_on_as_a_stream(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, true);
    struct reader early, late;

    (void)state;
    open_reader(&early, f, &o.box);
    open_fill(f);
    append(f, "ab");
    append(f, "cd");
    take_all(&early);
    fill_stop_retaining(f);
    open_reader(&late, f, &o.box); /* its beginning is gone: not for this one */
    assert_int_equal(fill_reader_state(late.r), FILL_DISBANDED);
    append(f, "ef");
    fill_finish(f, NULL);
    take_all(&early);
    assert_string_equal(early.text, "abcdef");
    assert_int_equal(early.last, FILL_READ_END);
    close_reader(&late);
    close_reader(&early);
    drop_fill(f, &o);
}

static void a_body_that_outgrew_without_readers_is_abandoned(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, true);
    struct reader r;

    (void)state;
    open_reader(&r, f, &o.box);
    open_fill(f);
    append(f, "ab");
    close_reader(&r);
    weir_mailbox_drain(&o.box);
    assert_int_equal(o.abandoned, 0); /* still worth keeping */
    fill_stop_retaining(f);
    weir_mailbox_drain(&o.box);
    assert_int_equal(o.abandoned, 1);
    drop_fill(f, &o);
}

static void a_producer_that_is_done_hears_nothing_more(void **state)
{
    struct owner o;
    struct fill *f = new_fill(&o, false);
    struct reader r;

    (void)state;
    open_reader(&r, f, &o.box);
    open_fill(f);
    assert_false(fill_append(f, slice(NULL, FILL_WINDOW_BYTES)));
    take_all(&r); /* mails space() */
    fill_detach_owner(f);
    close_reader(&r);
    weir_mailbox_drain(&o.box);
    assert_int_equal(o.space, 0);
    assert_int_equal(o.abandoned, 0);
    drop_fill(f, &o);
}

/* ---- the table ---- */

static struct fill *keyed_fill(struct owner *o, const char *key, uint64_t hash)
{
    struct cache_key k = {.bytes = weir_span_str(key), .hash = {hash, hash}};

    return fill_new(&k, true, &o->box, &owner_calls, o, NULL);
}

static void one_key_has_one_fill_whatever_the_hash(void **state)
{
    struct inflight *t = inflight_new(NULL);
    struct policy_head p;
    struct http_head *request = policy_request(&p, "GET", "Host: x");
    struct owner o = {.box.fd = -1};
    struct fill *a = keyed_fill(&o, "a", 7), *a2 = keyed_fill(&o, "a", 7),
                *b = keyed_fill(&o, "b", 7), *found;

    (void)state;
    assert_null(inflight_join(t, a, request));
    assert_null(inflight_join(t, b, request)); /* the same hash, another key */
    found = inflight_join(t, a2, request);
    assert_ptr_equal(found, a);
    fill_unref(found);
    inflight_remove(t, a);
    inflight_remove(t, a); /* harmless */
    inflight_remove(t, a2);
    assert_null(inflight_join(t, a2, request));
    inflight_remove(t, a2);
    inflight_remove(t, b);
    fill_unref(a);
    fill_unref(a2);
    fill_unref(b);
    inflight_free(t);
}

static void who_asks_alone_is_joined_only_once_the_answer_is_for_all(void **state)
{
    struct inflight *t = inflight_new(NULL);
    struct policy_head p, rsp;
    struct http_head *request = policy_request(&p, "GET", "Host: x");
    struct owner o = {.box.fd = -1};
    struct fill *a = keyed_fill(&o, "a", 7), *b = keyed_fill(&o, "a", 7), *found;
    struct vary_spec vary;

    (void)state;
    inflight_alone(a);
    assert_null(inflight_join(t, b, request));
    inflight_remove(t, b);
    vary_parse(policy_response(&rsp, 200, ""), &vary);
    assert_true(inflight_variant(t, a, &vary, weir_span("", 0)));
    found = inflight_join(t, b, request);
    assert_ptr_equal(found, a);
    fill_unref(found);
    inflight_remove(t, a);
    fill_unref(a);
    fill_unref(b);
    inflight_free(t);
}

static void a_known_variant_serves_only_its_requests(void **state)
{
    struct inflight *t = inflight_new(NULL);
    struct policy_head de, en, rsp;
    struct http_head *german = policy_request(&de, "GET", "Host: x\nAccept-Language: de");
    struct http_head *english = policy_request(&en, "GET", "Host: x\nAccept-Language: en");
    struct owner o = {.box.fd = -1};
    struct fill *a = keyed_fill(&o, "a", 7), *b = keyed_fill(&o, "a", 7), *found;
    struct vary_spec vary;
    struct weir_span variant;
    char buf[VARY_KEY_INLINE];

    (void)state;
    vary_parse(policy_response(&rsp, 200, "Vary: Accept-Language"), &vary);
    variant = vary_key(&vary, german, buf, sizeof buf, NULL);
    assert_null(inflight_join(t, a, german));
    found = inflight_join(t, b, english); /* not known yet: it may be ours */
    assert_ptr_equal(found, a);
    fill_unref(found);
    assert_true(inflight_variant(t, a, &vary, variant));
    assert_null(inflight_join(t, b, english));
    inflight_remove(t, b);
    found = inflight_join(t, b, german);
    assert_ptr_equal(found, a);
    fill_unref(found);
#ifdef WEIR_FAULTS
    /* Without memory for the variant nobody may join any more. */
    weir_alloc_fail_at(1);
    assert_false(inflight_variant(t, a, &vary, variant));
    weir_alloc_fail_at(0);
    assert_null(inflight_join(t, b, german));
    inflight_remove(t, b);
#endif
    inflight_remove(t, a);
    fill_unref(a);
    fill_unref(b);
    inflight_free(t);
}

static void a_fill_that_moved_is_found_under_its_new_key(void **state)
{
    struct inflight *t = inflight_new(NULL);
    struct policy_head p;
    struct http_head *request = policy_request(&p, "GET", "Host: x");
    struct owner o = {.box.fd = -1};
    struct fill *a = keyed_fill(&o, "a", 7), *a2 = keyed_fill(&o, "a", 7),
                *b = keyed_fill(&o, "b", 900), *found;
    struct cache_key key = {.bytes = WEIR_SPAN_LIT("b"), .hash = {900, 900}};

    (void)state;
    assert_false(inflight_move(t, a, &key, WEIR_SPAN_NONE, 0)); /* is not in the table */
    assert_null(inflight_join(t, a, request));
#ifdef WEIR_FAULTS
    weir_alloc_fail_at(1);
    assert_false(inflight_move(t, a, &key, WEIR_SPAN_NONE, 0));
    weir_alloc_fail_at(0);
#endif
    assert_true(inflight_move(t, a, &key, WEIR_SPAN_LIT("q=1"), 0));
    assert_true(weir_span_eq(a->key, key.bytes));
    assert_true(weir_span_eq(a->asked, WEIR_SPAN_LIT("q=1")));
    assert_null(inflight_join(t, a2, request));
    found = inflight_join(t, b, request);
    assert_ptr_equal(found, a);
    fill_unref(found);
    assert_true(inflight_remove(t, a));
    inflight_remove(t, a2);
    fill_unref(a);
    fill_unref(a2);
    fill_unref(b);
    inflight_free(t);
}

/* ---- failing memory ---- */

#ifdef WEIR_FAULTS
/* A whole life: join, lead, variant, stream to two readers, end. True if it went through unharmed.
 */
static bool live(void)
{
    struct inflight *t = NULL;
    struct policy_head p, rsp;
    struct http_head *request = policy_request(&p, "GET", "Host: x");
    struct owner o;
    struct fill *f = new_fill(&o, true), *found = NULL;
    struct fill_reader *r[2] = {NULL, NULL};
    struct fill_head h = {.status = 200, .length = -1};
    struct reader out = {0};
    struct vary_spec vary;
    bool whole = false;

    if (f == NULL) {
        weir_mailbox_close(&o.box);
        return false;
    }
    t = inflight_new(NULL);
    if (t == NULL)
        goto out;
    assert_null(inflight_join(t, f, request));
    found = inflight_join(t, f, request);
    r[0] = fill_reader_open(f, &o.box, on_wake, &out);
    r[1] = fill_reader_open(found, &o.box, on_wake, &out);
    h.bytes = weir_blob_new(16);
    h.fields = weir_malloc(sizeof *h.fields);
    if (r[0] == NULL || r[1] == NULL || h.bytes == NULL || h.fields == NULL) {
        weir_blob_unref(h.bytes);
        weir_free(h.fields);
        goto out;
    }
    vary_parse(policy_response(&rsp, 200, "Vary: Accept-Language"), &vary);
    inflight_variant(t, f, &vary, WEIR_SPAN_LIT("v"));
    fill_open(f, &h, false);
    for (int i = 0; i < 40; i++) {
        struct weir_blob *b = weir_blob_new(1);

        if (b == NULL) {
            struct weir_err err = {.code = WEIR_E_MEMORY};

            fill_fail(f, &err);
            break;
        }
        b->bytes[0] = 'x';
        fill_append(f, (struct weir_slice){b, 0, 1});
    }
    fill_finish(f, NULL);
    out.r = r[1];
    take_all(&out);
    whole = strlen(out.text) == 40;
    /* What lost a part never looks complete. */
    assert_int_equal(out.last == FILL_READ_END, whole);
    assert_int_equal(f->state == FILL_DONE, whole);
    for (size_t i = 0; i < strlen(out.text); i++)
        assert_int_equal(out.text[i], 'x');
out:
    fill_reader_close(r[0]);
    fill_reader_close(r[1]);
    fill_unref(found);
    if (t != NULL)
        inflight_remove(t, f);
    drop_fill(f, &o);
    inflight_free(t);
    return whole;
}

static void the_nth_allocation_may_fail_anywhere(void **state)
{
    unsigned long n = 0;
    bool failed;

    (void)state;
    do {
        bool whole;

        weir_alloc_fail_at(++n);
        whole = live();
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_true(whole || failed);
    } while (failed);
    assert_true(n > 12);
}
#endif

/* ---- threads ---- */

#define READERS 3
#define PARTS   4000
#define PART    257

struct thread_reader {
    struct fill *fill;
    struct weir_mailbox box;
    struct fill_reader *r;
    uint64_t sum, bytes;
    unsigned patience; /* takes so many parts at a time */
    bool leaves;       /* in the middle */
    bool over, complete;
};

static void on_thread_wake(void *arg)
{
    struct thread_reader *t = arg;
    struct weir_slice s[8];
    unsigned n;

    if (fill_reader_state(t->r) == FILL_WAITING)
        return;
    for (;;) {
        enum fill_read got = fill_reader_take(t->r, s, t->patience, &n);

        if (got == FILL_READ_WAIT)
            return;
        if (got != FILL_READ_DATA) {
            t->complete = got == FILL_READ_END;
            break;
        }
        for (unsigned i = 0; i < n; i++) {
            for (uint32_t k = 0; k < s[i].len; k++)
                t->sum += (unsigned char)weir_slice_ptr(s[i])[k] * (++t->bytes % 251);
            weir_blob_unref(s[i].blob);
        }
        if (t->leaves && t->bytes > PARTS / 2 * PART)
            break;
    }
    fill_reader_close(t->r);
    t->over = true;
}

static void *read_on_thread(void *arg)
{
    struct thread_reader *t = arg;

    assert_true(weir_mailbox_init(&t->box, NULL));
    t->r = fill_reader_open(t->fill, &t->box, on_thread_wake, t);
    fill_unref(t->fill);
    on_thread_wake(t);
    while (!t->over) {
        struct pollfd p = {.fd = t->box.fd, .events = POLLIN};

        assert_int_equal(poll(&p, 1, 60000), 1);
        weir_mailbox_drain(&t->box);
    }
    weir_mailbox_drain(&t->box);
    weir_mailbox_close(&t->box);
    return NULL;
}

static void stream_to_threads(bool retain, bool outgrows)
{
    struct owner o;
    struct fill *f = new_fill(&o, retain);
    struct thread_reader t[READERS];
    struct reader keeper; /* so that nobody comes too late for the first part */
    pthread_t thread[READERS];
    uint64_t sum = 0, bytes = 0;
    bool paused = false;

    open_reader(&keeper, f, &o.box);
    for (unsigned i = 0; i < READERS; i++) {
        t[i] = (struct thread_reader){.fill = fill_ref(f),
                                      .patience = i == 1 ? 1 : 8,
                                      .leaves = i == 2};
        assert_int_equal(pthread_create(&thread[i], NULL, read_on_thread, &t[i]), 0);
    }
    open_fill(f);
    for (unsigned i = 0; i < PARTS; i++) {
        struct weir_slice s = slice(NULL, PART);

        for (unsigned k = 0; k < PART; k++) {
            s.blob->bytes[k] = (char)(i * 7 + k);
            sum += (unsigned char)s.blob->bytes[k] * (++bytes % 251);
        }
        take_all(&keeper);
        if (outgrows && i == PARTS / 2)
            fill_stop_retaining(f);
        paused = !fill_append(f, s);
        take_all(&keeper);
        while (paused && o.space == 0) { /* a lost wake-up would end here */
            struct pollfd p = {.fd = o.box.fd, .events = POLLIN};

            assert_int_equal(poll(&p, 1, 60000), 1);
            weir_mailbox_drain(&o.box);
        }
        o.space = 0;
    }
    fill_finish(f, NULL);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(thread[i], NULL);
        if (!t[i].leaves && t[i].complete) {
            assert_int_equal(t[i].bytes, bytes);
            assert_int_equal(t[i].sum, sum);
        }
        /* Late ones are sent away, but never get a part for the whole. */
        assert_true(t[i].complete || t[i].leaves || t[i].bytes == 0);
    }
    close_reader(&keeper);
    drop_fill(f, &o);
}

static void readers_on_other_threads_get_every_byte(void **state)
{
    (void)state;
    stream_to_threads(true, false);
}

static void readers_on_other_threads_survive_the_change_to_a_stream(void **state)
{
    (void)state;
    stream_to_threads(true, true);
}

static void a_stream_to_other_threads_never_stalls(void **state)
{
    (void)state;
    stream_to_threads(false, false);
}

/* Joining, leading, disbanding and leaving on several threads at once. */
struct visitor {
    struct inflight *table;
    unsigned seed;
    unsigned led, joined, leaked;
};

static void ignore_wake(void *arg)
{
    (void)arg;
}

static void *visit(void *arg)
{
    struct visitor *v = arg;
    struct policy_head p;
    struct http_head *request = policy_request(&p, "GET", "Host: x");
    struct owner o = {.space = 0};

    assert_true(weir_mailbox_init(&o.box, NULL));
    for (int i = 0; i < 2000; i++) {
        struct fill *mine = keyed_fill(&o, "k", 3), *other = inflight_join(v->table, mine, request);
        struct fill *f = other != NULL ? other : mine;
        struct fill_reader *r = fill_reader_open(f, &o.box, ignore_wake, NULL);
        struct weir_slice s[4];
        unsigned n;

        if (other == NULL) { /* we lead: and the response is for nobody else */
            v->led++;
            inflight_remove(v->table, f);
            fill_disband(f, r);
            open_fill(f);
            fill_append(f, slice("secret", 6));
            fill_finish(f, NULL);
        } else if (fill_reader_state(r) == FILL_DISBANDED) {
            v->joined++;
        } else if (fill_reader_take(r, s, 4, &n) == FILL_READ_DATA) {
            v->leaked++;
            while (n > 0)
                weir_blob_unref(s[--n].blob);
        }
        fill_reader_close(r);
        fill_detach_owner(mine);
        fill_unref(mine);
        fill_unref(other);
        weir_mailbox_drain(&o.box);
    }
    weir_mailbox_drain(&o.box);
    weir_mailbox_close(&o.box);
    return NULL;
}

static void a_private_response_never_reaches_who_joined_late(void **state)
{
    struct visitor v[READERS];
    pthread_t thread[READERS];
    struct inflight *t = inflight_new(NULL);

    (void)state;
    for (unsigned i = 0; i < READERS; i++) {
        v[i] = (struct visitor){.table = t, .seed = i};
        assert_int_equal(pthread_create(&thread[i], NULL, visit, &v[i]), 0);
    }
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(v[i].leaked, 0);
    inflight_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_waits_streams_and_reaches_the_end),
        cmocka_unit_test(late_joiners_get_the_whole_at_every_stage),
        cmocka_unit_test(a_failed_body_breaks_off_behind_what_came),
        cmocka_unit_test(a_fetch_that_fails_before_its_head_fails_all),
        cmocka_unit_test(an_answer_serves_all_and_only_once),
        cmocka_unit_test(disbanding_sends_all_but_the_leader_away),
        cmocka_unit_test(a_reader_sent_away_may_leave_before_its_mail_comes),
        cmocka_unit_test(a_woken_reader_may_close_itself_and_others),
        cmocka_unit_test(the_last_reference_may_go_while_a_reader_is_woken),
        cmocka_unit_test(a_stream_holds_the_producer_back_until_the_slowest_has_half),
        cmocka_unit_test(a_slow_reader_that_leaves_opens_the_window),
        cmocka_unit_test(a_stream_keeps_no_more_than_its_readers_miss),
        cmocka_unit_test(what_is_retained_is_not_held_back),
        cmocka_unit_test(a_body_that_outgrew_goes_on_as_a_stream),
        cmocka_unit_test(a_body_that_outgrew_without_readers_is_abandoned),
        cmocka_unit_test(a_producer_that_is_done_hears_nothing_more),
        cmocka_unit_test(one_key_has_one_fill_whatever_the_hash),
        cmocka_unit_test(who_asks_alone_is_joined_only_once_the_answer_is_for_all),
        cmocka_unit_test(a_known_variant_serves_only_its_requests),
        cmocka_unit_test(a_fill_that_moved_is_found_under_its_new_key),
#ifdef WEIR_FAULTS
        cmocka_unit_test(the_nth_allocation_may_fail_anywhere),
#endif
        cmocka_unit_test(readers_on_other_threads_get_every_byte),
        cmocka_unit_test(readers_on_other_threads_survive_the_change_to_a_stream),
        cmocka_unit_test(a_stream_to_other_threads_never_stalls),
        cmocka_unit_test(a_private_response_never_reaches_who_joined_late),
    };

    fill_unref(NULL);
    fill_reader_close(NULL);
    inflight_free(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
