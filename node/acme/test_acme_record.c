/* Certificates as bytes: on the board, in the file; and what others may have put there. */
#include "acme_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "weir/alloc.h"

#define V(s) WEIR_SPAN_LIT(s)

static struct weir_wrap_key key_of(struct weir_span farm)
{
    struct weir_wrap_key k;

    assert_true(weir_wrap_key_derive(&k, V("a secret"), farm, NULL));
    return k;
}

static struct acme_held held(const char *id, int64_t made)
{
    struct acme_held h;

    assert_true(acme_held_set(&h, id, made, V("-----CHAIN-----\n"), V("-----KEY-----\n")));
    return h;
}

static void release(struct weir_span bytes)
{
    weir_free((char *)(uintptr_t)bytes.ptr);
}

static void what_was_written_is_read_under_its_id_alone(void **state)
{
    struct weir_wrap_key k = key_of(V("farm")), other = key_of(V("other"));
    struct acme_held h = held("c-00112233", 77), got;
    struct weir_span bytes = acme_record_write(&k, &h);

    (void)state;
    assert_non_null(bytes.ptr);
    assert_null(memmem(bytes.ptr, bytes.len, "KEY", 3));
    assert_true(acme_record_read(&k, V("c-00112233"), bytes, &got));
    assert_int_equal(got.made_ms, 77);
    assert_string_equal(got.id, "c-00112233");
    assert_string_equal(got.chain, "-----CHAIN-----\n");
    assert_string_equal(got.key, "-----KEY-----\n");
    acme_held_clear(&got);
    assert_false(acme_record_read(&k, V("c-00112234"), bytes, &got));
    assert_false(acme_record_read(&other, V("c-00112233"), bytes, &got));
    for (size_t len = 0; len < bytes.len; len++)
        assert_false(acme_record_read(&k, V("c-00112233"), weir_span(bytes.ptr, len), &got));
    release(bytes);
    acme_held_clear(&h);
}

static void a_plain_record_cut_anywhere_is_refused_or_whole(void **state)
{
    struct acme_held h = held("c-1", 77), got;
    struct weir_span bytes = acme_record_write(NULL, &h);

    (void)state;
    for (size_t len = 0; len < bytes.len; len++)
        assert_false(acme_record_read(NULL, V("c-1"), weir_span(bytes.ptr, len), &got));
    assert_true(acme_record_read(NULL, V("c-1"), bytes, &got));
    acme_held_clear(&got);
    release(bytes);
    acme_held_clear(&h);
}

static void ids_and_texts_are_judged(void **state)
{
    struct acme_held h;
    static char large[ACME_PEM_MAX + 1];

    (void)state;
    memset(large, 'x', sizeof large);
    assert_false(acme_held_set(&h, "../etc", 1, V("c"), V("k")));
    assert_false(acme_held_set(&h, "", 1, V("c"), V("k")));
    assert_false(acme_held_set(&h, "c-000000000000000000000000", 1, V("c"), V("k")));
    assert_false(acme_held_set(&h, "c-1", 1, V("c\0c"), V("k")));
    assert_false(acme_held_set(&h, "c-1", 1, weir_span(large, sizeof large), V("k")));
    assert_null(h.key);
}

struct found {
    char ids[64];
    size_t count;
};

static void on_found(void *arg, struct acme_held *h)
{
    struct found *f = arg;

    strcat(strcat(f->ids, h->id), " ");
    f->count++;
}

static void round_trip(const struct weir_wrap_key *k)
{
    struct acme_held a = held("a-1", 1), b = held("c-2", 2);
    const struct acme_held *const list[] = {&a, &b};
    struct found f = {.count = 0};
    size_t len, lines = 0;
    char *text = acme_file_text(k, list, 2, &len);

    assert_non_null(text);
    assert_true(acme_file_read(k, weir_span(text, len), on_found, &f));
    assert_string_equal(f.ids, "a-1 c-2 ");
    for (size_t cut = 0; cut < len; cut++) {
        bool whole = cut > 0 && text[cut - 1] == '\n';

        lines += whole;
        f = (struct found){.count = 0};
        assert_int_equal(acme_file_read(k, weir_span(text, cut), on_found, &f), whole);
        assert_int_equal(f.count, lines > 0 ? lines - 1 : 0);
    }
    weir_free(text);
    acme_held_clear(&a);
    acme_held_clear(&b);
}

static void the_file_is_read_line_by_line(void **state)
{
    struct weir_wrap_key k = key_of(V("farm"));

    (void)state;
    round_trip(&k);
    round_trip(NULL);
}

static void another_farms_file_is_refused(void **state)
{
    struct weir_wrap_key k = key_of(V("farm")), other = key_of(V("other"));
    struct acme_held a = held("a-1", 1);
    const struct acme_held *const list[] = {&a};
    struct found f = {.count = 0};
    size_t len;
    char *text = acme_file_text(&k, list, 1, &len);

    (void)state;
    assert_false(acme_file_read(&other, weir_span(text, len), on_found, &f));
    assert_false(acme_file_read(NULL, weir_span(text, len), on_found, &f));
    assert_int_equal(f.count, 0);
    weir_free(text);
    acme_held_clear(&a);
}

#ifdef WEIR_FAULTS
static void without_memory_nothing_is_half_made(void **state)
{
    struct weir_wrap_key k = key_of(V("farm"));
    struct acme_held a = held("a-1", 1), got;
    const struct acme_held *const list[] = {&a};
    struct weir_span bytes;
    size_t len;
    char *text;
    bool passed = false;

    (void)state;
    for (unsigned long at = 1; !passed; at++) {
        weir_alloc_fail_at(at);
        bytes = acme_record_write(&k, &a);
        if (bytes.ptr != NULL && acme_record_read(&k, V("a-1"), bytes, &got))
            acme_held_clear(&got);
        text = acme_file_text(&k, list, 1, &len);
        passed = !weir_alloc_failed();
        release(bytes);
        weir_free(text);
    }
    weir_alloc_fail_at(0);
    acme_held_clear(&a);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_under_its_id_alone),
        cmocka_unit_test(a_plain_record_cut_anywhere_is_refused_or_whole),
        cmocka_unit_test(ids_and_texts_are_judged),
        cmocka_unit_test(the_file_is_read_line_by_line),
        cmocka_unit_test(another_farms_file_is_refused),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_nothing_is_half_made),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
