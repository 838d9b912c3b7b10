#include "test_http.h"

#include "weir/alloc.h"
#include "http_framing.h"
#include "http_head.h"
#include "http_text.h"

struct known {
    const char *name;
    uint16_t id;
};

static const struct known known[] = {
#define X(id, name, flags) {name, HTTP_F_##id},
#include "http_fields.def"
#undef X
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

static void every_known_name_has_its_id_in_any_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < KNOWN; i++) {
        char *name = exact_copy(known[i].name, strlen(known[i].name));
        struct weir_span span = {name, strlen(known[i].name)};

        assert_int_equal(http_field_intern(span), known[i].id);
        for (size_t j = 0; j < span.len; j++)
            name[j] = weir_ascii_lower(name[j]);
        assert_int_equal(http_field_intern(span), known[i].id);
        for (size_t j = 0; j < span.len; j++)
            if (name[j] >= 'a')
                name[j] = (char)(name[j] - 32);
        assert_int_equal(http_field_intern(span), known[i].id);
        name[span.len - 1] = '~';
        assert_int_equal(http_field_intern(span), HTTP_F_NONE);
        expect_span(http_field_name(known[i].id), known[i].name);
        free(name);
    }
}

/* http_field_intern() walks one length from its last row and stops at another length. */
static void the_table_is_sorted_by_length(void **state)
{
    (void)state;
    for (size_t i = 1; i < KNOWN; i++)
        assert_true(strlen(known[i - 1].name) <= strlen(known[i].name));
    assert_true(strlen(known[KNOWN - 1].name) < 40);
}

static void unknown_names_have_no_id(void **state)
{
    (void)state;
    assert_int_equal(http_field_intern(LIT("")), HTTP_F_NONE);
    assert_int_equal(http_field_intern(LIT("x")), HTTP_F_NONE);
    assert_int_equal(http_field_intern(LIT("hos")), HTTP_F_NONE);
    assert_int_equal(http_field_intern(LIT("hostx")), HTTP_F_NONE);
    assert_int_equal(http_field_intern(LIT("content_type")), HTTP_F_NONE);
    /* '\r' | 0x20 is '-': folding may not mistake one for the other */
    assert_int_equal(http_field_intern(LIT("content\rtype")), HTTP_F_NONE);
    assert_int_equal(http_field_intern(
                         LIT("a-name-that-is-longer-than-all-the-known-names-there-are")),
                     HTTP_F_NONE);
}

static uint16_t flags(const char *name)
{
    struct weir_span span = weir_span_str(name);

    return http_field_flags(http_field_intern(span), span);
}

static void families_of_unknown_names_have_flags(void **state)
{
    (void)state;
    assert_true(flags("X-Forwarded-Anything") & HTTP_FF_FORWARDING);
    assert_true(flags("x-forwarded-for") & HTTP_FF_FORWARDING);
    assert_true(flags("Proxy-Foo") & HTTP_FF_HOP);
    assert_true(flags("Proxy") & HTTP_FF_HOP);
    assert_false(flags("Proxy-Status") & HTTP_FF_HOP);
    assert_true(flags("Cookie") & HTTP_FF_PROTECTED);
    assert_int_equal(flags("X-Other"), 0);
}

static void fields_are_found_by_id_and_by_name(void **state)
{
    struct http_field array[8];
    struct http_head h;
    const struct http_field *f;

    (void)state;
    http_head_init(&h, array, 8);
    assert_true(http_head_add(&h, NULL, LIT("x-a"), LIT("1")));
    assert_true(http_head_add(&h, NULL, LIT("COOKIE"), LIT("2")));
    assert_true(http_head_add(&h, NULL, LIT("X-A"), LIT("3")));
    assert_true(http_head_add_id(&h, NULL, HTTP_F_COOKIE, LIT("4")));
    f = http_head_first(&h, HTTP_F_COOKIE);
    expect_span(f->value, "2");
    f = http_head_next(&h, f);
    expect_span(f->value, "4");
    expect_span(f->name, "Cookie");
    assert_null(http_head_next(&h, f));
    f = http_head_find(&h, LIT("X-a"));
    expect_span(f->value, "1");
    f = http_head_next(&h, f);
    expect_span(f->value, "3");
    assert_null(http_head_next(&h, f));
    assert_null(http_head_first(&h, HTTP_F_HOST));
    assert_null(http_head_find(&h, LIT("host")));
    assert_true(http_head_repeats(&h, HTTP_F_COOKIE));
    http_head_reset(&h);
    assert_null(http_head_first(&h, HTTP_F_COOKIE));
    assert_false(http_head_repeats(&h, HTTP_F_COOKIE));
}

static void removal_keeps_order_and_index(void **state)
{
    struct http_field array[8];
    struct http_head h;

    (void)state;
    http_head_init(&h, array, 8);
    http_head_add(&h, NULL, LIT("a"), LIT("1"));
    http_head_add(&h, NULL, LIT("Via"), LIT("2"));
    http_head_add(&h, NULL, LIT("Host"), LIT("3"));
    http_head_add(&h, NULL, LIT("A"), LIT("4"));
    http_head_add(&h, NULL, LIT("via"), LIT("5"));
    assert_int_equal(http_head_remove(&h, HTTP_F_VIA), 2);
    assert_int_equal(http_head_remove(&h, HTTP_F_VIA), 0);
    expect_span(http_head_value(&h, HTTP_F_HOST), "3");
    assert_int_equal(http_head_remove_name(&h, LIT("a")), 2);
    assert_int_equal(http_head_remove_name(&h, LIT("hOst")), 1);
    assert_int_equal(h.count, 0);
}

static void set_replaces_all_lines(void **state)
{
    struct http_field array[2];
    struct http_head h;

    (void)state;
    http_head_init(&h, array, 2);
    http_head_add(&h, NULL, LIT("Via"), LIT("1"));
    http_head_add(&h, NULL, LIT("Via"), LIT("2"));
    assert_true(http_head_set_id(&h, NULL, HTTP_F_VIA, LIT("3")));
    assert_int_equal(h.count, 1);
    expect_span(http_head_value(&h, HTTP_F_VIA), "3");
    assert_true(http_head_set_id(&h, NULL, HTTP_F_HOST, LIT("a")));
    assert_false(http_head_set_id(&h, NULL, HTTP_F_AGE, LIT("0")));
    assert_int_equal(h.count, 2);
}

static void a_head_grows_in_the_arena(void **state)
{
    struct weir_arena a;
    struct http_head h;

    (void)state;
    weir_arena_init(&a, 0);
    http_head_init(&h, NULL, 0);
    assert_false(http_head_add(&h, NULL, LIT("a"), LIT("b")));
    for (int i = 0; i < 100; i++)
        assert_true(http_head_add(&h, &a, i == 50 ? LIT("Host") : LIT("a"), LIT("b")));
    assert_int_equal(h.count, 100);
    assert_ptr_equal(http_head_first(&h, HTTP_F_HOST), &h.fields[50]);
    weir_arena_free(&a);
}

static void a_copy_shares_nothing(void **state)
{
    struct weir_arena a;
    struct http_field array[4];
    struct http_head h, copy;
    char *text = exact_copy("GET/pathHosta", 13);

    (void)state;
    weir_arena_init(&a, 0);
    http_head_init(&h, array, 4);
    h.method = weir_span(text, 3);
    h.method_id = HTTP_M_GET;
    h.target = weir_span(text + 3, 5);
    http_head_add(&h, NULL, weir_span(text + 8, 4), weir_span(text + 12, 1));
    http_head_add(&h, NULL, LIT("x"), LIT(""));
    assert_true(http_head_copy(&copy, &h, &a));
    memset(text, 0, 13);
    free(text);
    memset(array, 0, sizeof(array));
    expect_span(copy.method, "GET");
    expect_span(copy.target, "/path");
    expect_span(http_head_value(&copy, HTTP_F_HOST), "a");
    expect_span(http_head_find(&copy, LIT("X"))->value, "");
    weir_arena_free(&a);
}

static void rebase_moves_only_what_pointed_there(void **state)
{
    static const char old[] = "GET /x", other[] = "value";
    char moved[] = "GET /x";
    struct http_field array[4];
    struct http_head h;

    (void)state;
    http_head_init(&h, array, 4);
    h.method = weir_span(old, 3);
    h.target = weir_span(old + 4, 2);
    http_head_add(&h, NULL, LIT("a"), weir_span(other, 5));
    http_head_rebase(&h, old, 6, moved);
    assert_ptr_equal(h.method.ptr, moved);
    assert_ptr_equal(h.target.ptr, moved + 4);
    assert_ptr_equal(h.fields[0].value.ptr, other);
}

static void what_ends_at_this_connection_is_removed(void **state)
{
    struct http_field array[24];
    struct http_head h;
    char text[512];
    struct http_text t;

    (void)state;
    http_head_init(&h, array, 24);
    http_head_add(&h, NULL, LIT("Host"), LIT("a"));
    http_head_add(&h, NULL, LIT("Connection"),
                  LIT("X-Mine, host, keep-alive, COOKIE , authorization, x-forwarded-for"));
    http_head_add(&h, NULL, LIT("connection"), LIT("Save-Data, content-length, cache-control"));
    http_head_add(&h, NULL, LIT("x-mine"), LIT("1"));
    http_head_add(&h, NULL, LIT("Save-Data"), LIT("on"));
    http_head_add(&h, NULL, LIT("Keep-Alive"), LIT("timeout=5"));
    http_head_add(&h, NULL, LIT("TE"), LIT("trailers"));
    http_head_add(&h, NULL, LIT("Trailer"), LIT("x"));
    http_head_add(&h, NULL, LIT("Upgrade"), LIT("h2c"));
    http_head_add(&h, NULL, LIT("HTTP2-Settings"), LIT("AA"));
    http_head_add(&h, NULL, LIT("Proxy-Connection"), LIT("x"));
    http_head_add(&h, NULL, LIT("Proxy"), LIT("x"));
    http_head_add(&h, NULL, LIT("Proxy-Anything"), LIT("x"));
    http_head_add(&h, NULL, LIT("Transfer-Encoding"), LIT("chunked"));
    http_head_add(&h, NULL, LIT("Cookie"), LIT("c"));
    http_head_add(&h, NULL, LIT("Authorization"), LIT("z"));
    http_head_add(&h, NULL, LIT("X-Forwarded-For"), LIT("f"));
    http_head_add(&h, NULL, LIT("Cache-Control"), LIT("no-store"));
    http_head_remove_hop(&h);
    http_text_init(&t, text, sizeof(text));
    http_text_fields(&t, &h);
    expect_span(http_text_span(&t), "Host: a\r\nCookie: c\r\nAuthorization: z\r\n"
                                    "X-Forwarded-For: f\r\nCache-Control: no-store\r\n");
    assert_int_equal(http_fields_bytes(&h), http_text_len(&t));
}

static void any_number_of_connection_options_is_obeyed(void **state)
{
    char text[512] = "a";
    struct http_field array[4];
    struct http_head h;

    (void)state;
    for (int i = 0; i < 50; i++)
        strcat(text, ",b,");
    strcat(text, "x-last");
    http_head_init(&h, array, 4);
    http_head_add(&h, NULL, LIT("Connection"), weir_span_str(text));
    http_head_add(&h, NULL, LIT("X-Last"), LIT("1"));
    http_head_add(&h, NULL, LIT("X-Other"), LIT("1"));
    http_head_remove_hop(&h);
    assert_int_equal(h.count, 1);
    expect_span(h.fields[0].name, "X-Other");
}

#ifdef WEIR_FAULTS
static void without_memory_a_head_stays_as_it_was(void **state)
{
    struct weir_arena a;
    struct http_field array[2];
    struct http_head h, copy;
    unsigned long n = 0;

    (void)state;
    http_head_init(&h, array, 2);
    http_head_add(&h, NULL, LIT("a"), LIT("b"));
    http_head_add(&h, NULL, LIT("Host"), LIT("c"));
    do {
        weir_arena_init(&a, 0);
        weir_alloc_fail_at(++n);
        if (http_head_add(&h, &a, LIT("d"), LIT("e")))
            http_head_remove_name(&h, LIT("d"));
        assert_int_equal(h.count, 2);
        expect_span(http_head_value(&h, HTTP_F_HOST), "c");
        (void)http_head_copy(&copy, &h, &a);
        h.fields = array;
        h.cap = 2;
        weir_arena_free(&a);
    } while (weir_alloc_failed());
    weir_alloc_fail_at(0);
}
#endif

static void methods_and_statuses_know_themselves(void **state)
{
    (void)state;
    for (int m = HTTP_M_OTHER + 1; m < HTTP_METHODS; m++)
        assert_int_equal(http_method_parse(http_method_name((enum http_method)m)), m);
    assert_int_equal(http_method_parse(LIT("get")), HTTP_M_OTHER);
    assert_int_equal(http_method_parse(LIT("")), HTTP_M_OTHER);
    assert_true(http_method_safe(HTTP_M_QUERY));
    assert_false(http_method_safe(HTTP_M_DELETE));
    assert_true(http_method_idempotent(HTTP_M_DELETE));
    assert_false(http_method_idempotent(HTTP_M_POST));
    assert_false(http_method_safe(HTTP_M_OTHER));
    expect_span(http_status_reason(404), "Not Found");
    expect_span(http_status_reason(299), "Unknown");
    assert_true(http_status_bodiless(204) && http_status_bodiless(103));
    assert_false(http_status_bodiless(200));
    assert_true(http_status_heuristic(404));
    assert_false(http_status_heuristic(302));
}

static void text_is_written_or_left_out_whole(void **state)
{
    char room[8];
    struct http_text t;

    (void)state;
    http_text_init(&t, room, sizeof(room));
    http_text_lit(&t, "abcdef");
    assert_true(http_text_ok(&t));
    http_text_lit(&t, "ghi");
    assert_false(http_text_ok(&t));
    http_text_char(&t, 'x');
    expect_span(http_text_span(&t), "abcdef");
}

static void numbers_are_written_in_full(void **state)
{
    char room[128];
    struct http_text t;

    (void)state;
    http_text_init(&t, room, sizeof(room));
    http_text_u64(&t, 0);
    http_text_char(&t, ' ');
    http_text_u64(&t, UINT64_MAX);
    http_text_char(&t, ' ');
    http_text_i64(&t, INT64_MIN);
    http_text_char(&t, ' ');
    http_text_hex(&t, 0x1af, 8);
    http_text_char(&t, ' ');
    http_text_hex(&t, UINT64_MAX, 0);
    expect_span(http_text_span(&t),
                "0 18446744073709551615 -9223372036854775808 000001af ffffffffffffffff");
    http_text_init(&t, room, sizeof(room));
    http_text_status_line(&t, 404, WEIR_SPAN_NONE);
    http_text_status_line(&t, 200, LIT("Fine"));
    http_text_request_line(&t, LIT("GET"), LIT("/"));
    expect_span(http_text_span(&t),
                "HTTP/1.1 404 Not Found\r\nHTTP/1.1 200 Fine\r\nGET / HTTP/1.1\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_name_has_its_id_in_any_case),
        cmocka_unit_test(the_table_is_sorted_by_length),
        cmocka_unit_test(unknown_names_have_no_id),
        cmocka_unit_test(families_of_unknown_names_have_flags),
        cmocka_unit_test(fields_are_found_by_id_and_by_name),
        cmocka_unit_test(removal_keeps_order_and_index),
        cmocka_unit_test(set_replaces_all_lines),
        cmocka_unit_test(a_head_grows_in_the_arena),
        cmocka_unit_test(a_copy_shares_nothing),
        cmocka_unit_test(rebase_moves_only_what_pointed_there),
        cmocka_unit_test(what_ends_at_this_connection_is_removed),
        cmocka_unit_test(any_number_of_connection_options_is_obeyed),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_a_head_stays_as_it_was),
#endif
        cmocka_unit_test(methods_and_statuses_know_themselves),
        cmocka_unit_test(text_is_written_or_left_out_whole),
        cmocka_unit_test(numbers_are_written_in_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
