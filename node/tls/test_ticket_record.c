/* Keys as bytes: on the board, in the file; and what others may have put there. */
#include "ticket_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weir/alloc.h"

#define P    ((int64_t)28800000)
#define NOW  (60917 * P + 5)
#define V(s) WEIR_SPAN_LIT(s)

static struct weir_wrap_key key_of(struct weir_span farm)
{
    struct weir_wrap_key k;

    assert_true(weir_wrap_key_derive(&k, V("a secret"), farm, NULL));
    return k;
}

static struct ticket_held held(uint64_t period)
{
    struct ticket_held h = {.kind = TICKET_STORED, .rotation_ms = P, .period = period};

    for (size_t i = 0; i < sizeof h.key.aes; i++)
        h.key.aes[i] = (unsigned char)(i + period);
    memset(h.key.name, 'n', sizeof h.key.name);
    memset(h.key.mac, 'm', sizeof h.key.mac);
    return h;
}

static void what_was_wrapped_opens_under_its_id_alone(void **state)
{
    struct weir_wrap_key k = key_of(V("farm")), other = key_of(V("other"));
    struct ticket_held h = held(60917), got;
    char bytes[TICKET_WRAPPED_BYTES], id[TICKET_ID_MAX];
    struct weir_span w = weir_span(bytes, sizeof bytes);

    (void)state;
    assert_true(weir_span_eq(ticket_id(&h, id), V("28800000.60917")));
    assert_true(ticket_wrap(&k, &h, bytes, NULL));
    assert_true(ticket_open(&k, V("28800000.60917"), w, &got));
    assert_memory_equal(&got, &h, sizeof h);
    assert_false(ticket_open(&k, V("28800000.60918"), w, &got));
    assert_false(ticket_open(&other, V("28800000.60917"), w, &got));
    assert_false(ticket_open(&k, V("28800000.60917"), weir_span(bytes, sizeof bytes - 1), &got));
    bytes[40] ^= 1;
    assert_false(ticket_open(&k, V("28800000.60917"), w, &got));
}

/* Wrapped by a node of the farm, but not for this id, or not by these rules. */
static void a_record_that_lies_is_refused(void **state)
{
    struct weir_wrap_key k = key_of(V("farm"));
    char record[TICKET_RECORD_BYTES] = "WTK1", bytes[TICKET_WRAPPED_BYTES];
    struct weir_span w = weir_span(bytes, sizeof bytes);
    struct ticket_held got;

    (void)state;
    record[4] = 1; /* periods of a millisecond */
    assert_true(weir_wrap(&k, "ticket", V("1.0"), weir_span(record, sizeof record), bytes, NULL));
    assert_false(ticket_open(&k, V("1.0"), w, &got));
    record[5] = 0x10; /* 4097 ms */
    assert_true(weir_wrap(&k, "ticket", V("x"), weir_span(record, sizeof record), bytes, NULL));
    assert_false(ticket_open(&k, V("x"), w, &got));
    assert_true(
        weir_wrap(&k, "ticket", V("4097.0"), weir_span(record, sizeof record), bytes, NULL));
    assert_true(ticket_open(&k, V("4097.0"), w, &got));
    record[19] = 0x7f; /* a period that no instant has */
    assert_true(
        weir_wrap(&k, "ticket", V("4097.0"), weir_span(record, sizeof record), bytes, NULL));
    assert_false(ticket_open(&k, V("4097.0"), w, &got));
}

static void fill(struct ticket_ring *r)
{
    bool changed;

    *r = (struct ticket_ring){.count = 0};
    for (uint64_t p = 60916; p <= 60918; p++) {
        struct ticket_held h = held(p);

        assert_true(ticket_ring_put(r, &h, NOW, &changed));
        h.kind = TICKET_DERIVED;
        assert_true(ticket_ring_put(r, &h, NOW, &changed));
    }
}

static void round_trip(const struct weir_wrap_key *k)
{
    struct ticket_ring r, got = {.count = 0};
    char *text;
    size_t len;

    fill(&r);
    text = ticket_file_text(&r, k, &len);
    assert_non_null(text);
    assert_true(ticket_file_read(weir_span(text, len), k, &got, NOW));
    assert_int_equal(got.count, 3); /* what is derived needs no file */
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(&got.held[i], &r.held[2 * i], sizeof got.held[i]);
    got.count = 0;
    assert_true(ticket_file_read(weir_span(text, len), k, &got, NOW + P));
    assert_int_equal(got.count, 2); /* one is over */
    free(text);
}

static void a_file_holds_what_was_stored(void **state)
{
    struct weir_wrap_key k = key_of(V("farm"));

    (void)state;
    round_trip(&k);
    round_trip(NULL);
}

static void in_a_farm_the_file_shows_no_key(void **state)
{
    struct weir_wrap_key k = key_of(V("farm")), other = key_of(V("other"));
    struct ticket_ring r, got = {.count = 0};
    size_t len;
    char *text;

    (void)state;
    fill(&r);
    text = ticket_file_text(&r, &k, &len);
    assert_null(memmem(text, len, "6e6e6e6e", 8)); /* the name */
    assert_false(ticket_file_read(weir_span(text, len), &other, &got, NOW));
    assert_false(ticket_file_read(weir_span(text, len), NULL, &got, NOW));
    assert_int_equal(got.count, 0);
    free(text);
}

static void a_file_cut_anywhere_is_read_up_to_there(void **state)
{
    struct ticket_ring r, got;
    size_t len, lines = 0;
    char *text;

    (void)state;
    fill(&r);
    text = ticket_file_text(&r, NULL, &len);
    for (size_t cut = 0; cut <= len; cut++) {
        bool whole = cut > 0 && text[cut - 1] == '\n';

        lines += whole;
        got.count = 0;
        assert_int_equal(ticket_file_read(weir_span(text, cut), NULL, &got, NOW), whole);
        assert_int_equal(got.count, lines > 0 ? lines - 1 : 0);
    }
    free(text);
}

#ifdef WEIR_FAULTS
static void without_memory_there_is_no_text(void **state)
{
    struct ticket_ring r;
    size_t len;

    (void)state;
    fill(&r);
    weir_alloc_fail_at(1);
    assert_null(ticket_file_text(&r, NULL, &len));
    weir_alloc_fail_at(0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_wrapped_opens_under_its_id_alone),
        cmocka_unit_test(a_record_that_lies_is_refused),
        cmocka_unit_test(a_file_holds_what_was_stored),
        cmocka_unit_test(in_a_farm_the_file_shows_no_key),
        cmocka_unit_test(a_file_cut_anywhere_is_read_up_to_there),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_there_is_no_text),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
