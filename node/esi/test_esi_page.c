#include "esi_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "http_head.h"

struct made_head {
    struct http_head head;
    struct http_field fields[8];
};

static struct http_head *head_with(struct made_head *m, const char *type)
{
    http_head_init(&m->head, m->fields, 8);
    m->head.status = 200;
    if (type != NULL)
        assert_true(http_head_add_id(&m->head, NULL, HTTP_F_CONTENT_TYPE, weir_span_str(type)));
    return &m->head;
}

static void add(struct made_head *m, const char *name, const char *value)
{
    assert_true(http_head_add(&m->head, NULL, weir_span_str(name), weir_span_str(value)));
}

static void markup_is_a_template(void **state)
{
    struct made_head m;

    (void)state;
    assert_true(esi_is_template(head_with(&m, "text/html"), false));
    assert_true(esi_is_template(head_with(&m, "Text/HTML ; charset=utf-8"), false));
    assert_true(esi_is_template(head_with(&m, "application/xhtml+xml"), false));
    assert_true(esi_is_template(head_with(&m, "text/xml"), false));
    assert_true(esi_is_template(head_with(&m, "application/xml"), false));
    assert_false(esi_is_template(head_with(&m, "text/htmlx"), false));
    assert_false(esi_is_template(head_with(&m, "image/svg+xml"), false));
    assert_false(esi_is_template(head_with(&m, NULL), false));
}

static void what_is_coded_or_a_part_is_none(void **state)
{
    struct made_head m;

    (void)state;
    head_with(&m, "text/html");
    add(&m, "Content-Encoding", "gzip");
    assert_false(esi_is_template(&m.head, false));
    head_with(&m, "text/html");
    add(&m, "Content-Encoding", "identity");
    assert_true(esi_is_template(&m.head, false));
    head_with(&m, "text/html")->status = 206;
    assert_false(esi_is_template(&m.head, false));
}

static bool asked(const char *surrogate_control)
{
    struct made_head m;

    head_with(&m, "text/html");
    add(&m, "Surrogate-Control", surrogate_control);
    return esi_is_template(&m.head, true);
}

static void surrogate_control_must_ask_where_it_is_required(void **state)
{
    struct made_head m;

    (void)state;
    assert_false(esi_is_template(head_with(&m, "text/html"), true));
    assert_true(asked("content=\"ESI/1.0\""));
    assert_true(asked("max-age=30, content=\"ORAESI/9.0.2 ESI/1.0 x\""));
    assert_true(asked("content=\"ESI/1.0\";weir"));
    assert_false(asked("max-age=3, content=\"ESI/1.01\""));
    assert_false(asked("content"));
    assert_false(asked("contents=\"ESI/1.0\""));
}

static void leads(const char *src, const char *authority, const char *origin_form)
{
    struct weir_arena a;
    struct weir_err err = {0};
    struct esi_url url;

    weir_arena_init(&a, 0);
    if (!esi_resolve(weir_span_str(src), WEIR_SPAN_LIT("/dir/page"), &a, &url, &err))
        fail_msg("%s refused", src);
    if (authority == NULL)
        assert_null(url.authority.ptr);
    else
        assert_true(weir_span_eq(url.authority, weir_span_str(authority)));
    if (!weir_span_eq(url.origin_form, weir_span_str(origin_form)))
        fail_msg("%s leads to %.*s", src, (int)url.origin_form.len, url.origin_form.ptr);
    weir_arena_free(&a);
}

static void an_include_leads_where_a_link_would(void **state)
{
    (void)state;
    leads("/f?x=1", NULL, "/f?x=1");
    leads("f", NULL, "/dir/f");
    leads("../f", NULL, "/dir/../f"); /* normalised as a request-target */
    leads("?y", NULL, "/dir/page?y");
    leads("f#part", NULL, "/dir/f");
}

static void an_include_may_name_its_host(void **state)
{
    (void)state;
    leads("http://example.org/f", "example.org", "/f");
    leads("HTTPS://example.org:8443", "example.org:8443", "/");
    leads("//example.org?q", "example.org", "/?q");
    leads("//example.org/a//b", "example.org", "/a//b");
}

static void other_schemes_and_empty_references_are_refused(void **state)
{
    static const char *const refused[] = {"ftp://example.org/",
                                          "file:///etc/passwd",
                                          "http:/f",
                                          "http:",
                                          "data:text/html,x",
                                          "#part",
                                          "http:///f",
                                          ""};
    struct weir_arena a;

    (void)state;
    weir_arena_init(&a, 0);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct weir_err err = {0};
        struct esi_url url;

        if (esi_resolve(weir_span_str(refused[i]), WEIR_SPAN_LIT("/"), &a, &url, &err))
            fail_msg("%s accepted", refused[i]);
        assert_int_equal(err.code, WEIR_E_BAD_TARGET);
    }
    weir_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markup_is_a_template),
        cmocka_unit_test(what_is_coded_or_a_part_is_none),
        cmocka_unit_test(surrogate_control_must_ask_where_it_is_required),
        cmocka_unit_test(an_include_leads_where_a_link_would),
        cmocka_unit_test(an_include_may_name_its_host),
        cmocka_unit_test(other_schemes_and_empty_references_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
