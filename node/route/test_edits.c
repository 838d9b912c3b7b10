#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "edits.h"
#include "http_head.h"
#include "router.h"
#include "template.h"

struct bench {
    struct router *router;
    struct weir_arena arena;
    struct http_head head;
    struct http_field fields[2]; /* so that it has to grow */
};

static void bench_open(struct bench *b, const struct field_edits_settings *edits)
{
    struct route_settings routes[] = {
        {.action = ROUTE_RESPOND, .respond_status = 200, .request_fields = *edits}};
    struct weir_err err = {0};
    static struct route_settings kept;

    kept = routes[0];
    b->router = router_compile(&kept, 1, NULL, 0, NULL, &err);
    assert_non_null(b->router);
    weir_arena_init(&b->arena, 0);
    http_head_init(&b->head, b->fields, 2);
}

static void bench_close(struct bench *b)
{
    weir_arena_free(&b->arena);
    router_free(b->router);
}

static void add(struct bench *b, const char *name, const char *value)
{
    assert_true(http_head_add(&b->head, &b->arena, weir_span_str(name), weir_span_str(value)));
}

static bool apply(struct bench *b, const struct template_values *v, struct weir_err *err)
{
    return edits_apply(router_route(b->router, 0)->request_edits, v, &b->head, &b->arena, err);
}

static void expect_lines(const struct bench *b, const char *wanted)
{
    char text[512] = "";

    for (uint32_t i = 0; i < b->head.count; i++) {
        strncat(text, b->head.fields[i].name.ptr, b->head.fields[i].name.len);
        strcat(text, "=");
        strncat(text, b->head.fields[i].value.ptr, b->head.fields[i].value.len);
        strcat(text, ";");
    }
    assert_string_equal(text, wanted);
}

static void removing_comes_before_setting_before_adding(void **state)
{
    struct field_edit_settings set[] = {{"Accept", "text/html"}, {"X-New", "1"}};
    struct field_edit_settings more[] = {{"X-New", "2"}, {"X-Gone", "again"}};
    const char *gone[] = {"x-gone", "User-Agent"};
    const struct field_edits_settings edits = {set, 2, more, 2, gone, 2};
    struct bench b;

    (void)state;
    bench_open(&b, &edits);
    add(&b, "accept", "a");
    add(&b, "X-GONE", "1");
    add(&b, "Accept", "b");
    add(&b, "X-Gone", "2");
    add(&b, "user-agent", "u");
    add(&b, "X-Stays", "s");
    assert_true(apply(&b, &(struct template_values){0}, NULL));
    expect_lines(&b, "X-Stays=s;Accept=text/html;X-New=1;X-New=2;X-Gone=again;");
    bench_close(&b);
}

static void values_are_expanded_and_trimmed(void **state)
{
    struct field_edit_settings set[] = {{"X-Who", " $client via $scheme "}, {"X-Empty", "$query"}};
    const struct field_edits_settings edits = {.set = set, .set_count = 2};
    const struct template_values v = {.client = WEIR_SPAN_LIT("192.0.2.7"),
                                      .scheme = WEIR_SPAN_LIT("https")};
    struct bench b;

    (void)state;
    bench_open(&b, &edits);
    assert_true(apply(&b, &v, NULL));
    expect_lines(&b, "X-Who=192.0.2.7 via https;X-Empty=;");
    bench_close(&b);
}

static void an_injected_line_is_refused(void **state)
{
    struct field_edit_settings set[] = {{"X-Q", "$query"}};
    const struct field_edits_settings edits = {.set = set, .set_count = 1};
    const struct template_values v = {.query = WEIR_SPAN_LIT("a\r\nSet-Cookie: x=1")};
    struct weir_err err = {0};
    struct bench b;

    (void)state;
    bench_open(&b, &edits);
    assert_false(apply(&b, &v, &err));
    assert_int_equal(err.code, WEIR_E_INTERNAL);
    expect_lines(&b, "");
    bench_close(&b);
}

static void host_is_set_only_to_a_host(void **state)
{
    struct field_edit_settings set[] = {{"host", "$query.internal"}};
    const struct field_edits_settings edits = {.set = set, .set_count = 1};
    struct template_values v = {.query = WEIR_SPAN_LIT("app")};
    struct weir_err err = {0};
    struct bench b;

    (void)state;
    bench_open(&b, &edits);
    add(&b, "Host", "example.org");
    assert_true(edits_set_host(router_route(b.router, 0)->request_edits));
    assert_false(edits_set_host(NULL));
    assert_true(apply(&b, &v, &err));
    expect_lines(&b, "Host=app.internal;");
    v.query = WEIR_SPAN_LIT("a@b/");
    assert_false(apply(&b, &v, &err));
    assert_int_equal(err.code, WEIR_E_INTERNAL);
    bench_close(&b);
}

static void without_memory_the_exchange_fails(void **state)
{
    struct field_edit_settings set[] = {{"X-Q", "$query"}};
    const struct field_edits_settings edits = {.set = set, .set_count = 1};
    const struct template_values v = {.query = WEIR_SPAN_LIT("q")};
    struct weir_err err = {0};
    struct weir_arena small;
    struct bench b;

    (void)state;
    bench_open(&b, &edits);
    weir_arena_init(&small, 1);
    assert_false(edits_apply(router_route(b.router, 0)->request_edits, &v, &b.head, &small, &err));
    assert_int_equal(err.code, WEIR_E_MEMORY);
    assert_true(edits_apply(NULL, &v, &b.head, &small, &err));
    weir_arena_free(&small);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(removing_comes_before_setting_before_adding),
        cmocka_unit_test(values_are_expanded_and_trimmed),
        cmocka_unit_test(an_injected_line_is_refused),
        cmocka_unit_test(host_is_set_only_to_a_host),
        cmocka_unit_test(without_memory_the_exchange_fails),
    };

    return cmocka_run_group_tests_name("edits", tests, NULL, NULL);
}
