#include "esi_parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What comes out, written down: text as it is, an include as [src|alt|onerror]. */
struct written {
    char text[20000];
    size_t len;
    bool unclosed;
};

static void put(struct written *w, const char *bytes, size_t len)
{
    assert_true(w->len + len < sizeof w->text);
    if (len > 0)
        memcpy(w->text + w->len, bytes, len);
    w->len += len;
    w->text[w->len] = '\0';
}

static void put_token(struct written *w, enum esi_event e, const struct esi_token *t)
{
    if (e == ESI_TEXT) {
        assert_true(t->text.len > 0);
        put(w, t->text.ptr, t->text.len);
        return;
    }
    put(w, "[", 1);
    put(w, t->include.src.ptr, t->include.src.len);
    put(w, "|", 1);
    put(w, t->include.alt.ptr, t->include.alt.len);
    if (t->include.go_on)
        put(w, "|continue", 9);
    put(w, "]", 1);
}

/* A copy of exactly that size, so that AddressSanitizer sees a read beyond it. */
static void feed(struct esi_parser *p, const char *bytes, size_t len, struct written *w)
{
    char *copy = malloc(len > 0 ? len : 1);
    struct weir_span in = {copy, len};
    struct esi_token t;
    enum esi_event e;

    assert_non_null(copy);
    for (size_t i = 0; i < len; i++)
        copy[i] = bytes[i];
    while ((e = esi_parser_next(p, &in, &t)) != ESI_MORE)
        put_token(w, e, &t);
    assert_int_equal(in.len, 0);
    free(copy);
}

static void finish(struct esi_parser *p, struct written *w)
{
    struct esi_token t;

    if (esi_parser_end(p, &t) == ESI_TEXT)
        put_token(w, ESI_TEXT, &t);
    w->unclosed = esi_parser_unclosed(p);
}

static void parse_cut(const char *page, size_t len, size_t cut, struct written *w)
{
    struct esi_parser p;

    w->len = 0;
    w->text[0] = '\0';
    esi_parser_init(&p);
    feed(&p, page, cut, w);
    feed(&p, page + cut, len - cut, w);
    finish(&p, w);
}

/* Whole, cut at every byte, and byte by byte: always the same. */
static void gives(const char *page, const char *want)
{
    static struct written w;
    size_t len = strlen(page);
    struct esi_parser p;

    for (size_t cut = 0; cut <= len; cut++) {
        parse_cut(page, len, cut, &w);
        if (strcmp(w.text, want) != 0)
            fail_msg("cut at %zu: %s\n   wanted: %s", cut, w.text, want);
    }
    w.len = 0;
    esi_parser_init(&p);
    for (size_t i = 0; i < len; i++)
        feed(&p, page + i, 1, &w);
    finish(&p, &w);
    assert_string_equal(w.text, want);
}

static void a_page_without_esi_comes_out_as_it_is(void **state)
{
    (void)state;
    gives("", "");
    gives("<!doctype html><p>a < b</p> -- > --> ]]> </p",
          "<!doctype html><p>a < b</p> -- > --> ]]> </p");
    gives("<", "<");
    gives("<<<!<!-<!--", "<<<!<!-<!--");
    gives("<es<esi</es", "<es<esi</es");
}

static void an_include_is_replaced(void **state)
{
    (void)state;
    gives("a<esi:include src=\"/f\"/>b", "a[/f|]b");
    gives("<esi:include src='/f' />", "[/f|]");
    gives("<esi:include\n\tsrc = \"/f\"\r\n alt=\"/g\" onerror=\"continue\" ttl=\"3\"/>",
          "[/f|/g|continue]");
    gives("<esi:include src=\"/f\" onerror=\"abort\"/>", "[/f|]");
    gives("<esi:include src=\" /f \" alt=\"\"/>", "[/f|]");
    gives("<p><esi:include src=\"/a\"/><esi:include src=\"/b\"/></p>", "<p>[/a|][/b|]</p>");
    gives("<esi:include src=\"/a>b\"/>", "[/a>b|]");
}

static void an_include_may_have_an_end_tag(void **state)
{
    (void)state;
    gives("<esi:include src=\"/f\"></esi:include>b", "[/f|]b");
    gives("<esi:include src=\"/f\">x</esi:include >b", "[/f|]xb");
}

static void entities_in_attributes_are_decoded(void **state)
{
    (void)state;
    gives("<esi:include src=\"/f?a=1&amp;b=2&lt;&gt;&quot;&apos;\"/>", "[/f?a=1&b=2<>\"'|]");
    gives("<esi:include src=\"/&#38;&#x2f;&#x2F;\"/>", "[/&//|]");
    gives("<esi:include src=\"/f?a=1&b=2&amp\"/>", "[/f?a=1&b=2&amp|]");
    gives("<esi:include src=\"/&#;&#x;&#300;&#xe4;&#38\"/>", "[/&#;&#x;&#300;&#xe4;&#38|]");
    gives("<esi:include src='/f' alt='/&amp;amp;'/>", "[/f|/&amp;]");
}

static void what_is_removed_is_left_out(void **state)
{
    (void)state;
    gives("a<esi:remove>b<p>--></esi:x></esi:removed></esi:remove>c", "ac");
    gives("a<esi:remove>b</esi:remove\n>c", "ac");
    gives("a<esi:remove>b<esi:include src=\"/f\"/></esi:remove></esi:remove>c", "a</esi:remove>c");
    gives("a<esi:remove/>b", "ab");
}

static void a_remove_without_end_is_noticed(void **state)
{
    static struct written w;

    (void)state;
    gives("a<esi:remove>b</esi:remov", "a");
    parse_cut("a<esi:remove>b", 14, 5, &w);
    assert_true(w.unclosed);
    parse_cut("a<esi:remove>b</esi:remove>", 27, 5, &w);
    assert_false(w.unclosed);
}

static void comments_of_esi_are_left_out(void **state)
{
    (void)state;
    gives("a<esi:comment text=\"b > c\"/>d", "ad");
    gives("a<esi:comment text=\"b\"></esi:comment>d", "ad");
}

static void what_is_hidden_from_others_is_unwrapped(void **state)
{
    (void)state;
    gives("a<!--esi <p><esi:include src=\"/f\"/></p>-->b", "a <p>[/f|]</p>b");
    gives("<!--esi--><!--esi\nx-->", "\nx");
    gives("<!--esi a--b---->c", " a--b--c");
    gives("<!--esi <!--esi x-->y-->z", " <!--esi xy-->z");
    gives("<!--esi <esi:remove>-->x</esi:remove>-->y", " y");
    gives("<!--esi <![CDATA[-->]]>-->y", " <![CDATA[-->]]>y");
}

static void a_word_that_begins_with_esi_is_a_plain_comment(void **state)
{
    (void)state;
    gives("<!--esindex-->", "<!--esindex-->");
    gives("<!--esi:x-->", "<!--esi:x-->");
    gives("<!--esi", "<!--esi");
}

static void nothing_is_done_in_comments_and_cdata(void **state)
{
    (void)state;
    gives("<!-- <esi:include src=\"/f\"/> --><esi:include src=\"/g\"/>",
          "<!-- <esi:include src=\"/f\"/> -->[/g|]");
    gives("<![CDATA[<esi:include src=\"/f\"/>]]]]><esi:include src=\"/g\"/>",
          "<![CDATA[<esi:include src=\"/f\"/>]]]]>[/g|]");
    gives("<!--><esi:include src=\"/g\"/>", "<!-->[/g|]");
    gives("<!---><esi:include src=\"/g\"/>", "<!--->[/g|]");
    gives("<!--[if !IE]><!--><esi:include src=\"/g\"/><!--<![endif]-->",
          "<!--[if !IE]><!-->[/g|]<!--<![endif]-->");
}

static void other_elements_of_the_namespace_pass(void **state)
{
    (void)state;
    gives("<esi:try><esi:attempt>a</esi:attempt></esi:try>",
          "<esi:try><esi:attempt>a</esi:attempt></esi:try>");
    gives("<esi:vars name=\"$(X)\"/><esi:includes src=\"/f\"/><esi:include:x src=\"/f\"/><esi:/>",
          "<esi:vars name=\"$(X)\"/><esi:includes src=\"/f\"/><esi:include:x src=\"/f\"/><esi:/>");
    gives("<ESI:include src=\"/f\"/>", "<ESI:include src=\"/f\"/>");
}

static void a_malformed_tag_loses_nothing(void **state)
{
    static const char *const tags[] = {
        "<esi:include/>",
        "<esi:include src/>",
        "<esi:include src=/f/>",
        "<esi:include src=\"\"/>",
        "<esi:include src=\"  \"/>",
        "<esi:include src=\"/f\"alt=\"/g\"/>",
        "<esi:include src=\"/f\" src=\"/g\"/>",
        "<esi:include src=\"/f\" / >",
        "<esi:include src=\"/f&amp;\" =\"\"/>",
        "<esi:include \"/f\"/>",
        "<esi:include src=\"/f/>",
        "<esi:include src=\"/f\"",
        "<esi:>",
        "</esi:>",
        "</esi:include x>",
    };

    (void)state;
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        gives(tags[i], tags[i]);
    gives("<esi:include <esi:include src=\"/f\"/>", "<esi:include [/f|]");
}

static void a_tag_that_is_too_long_is_text(void **state)
{
    static char page[3 * ESI_TAG_MAX], want[3 * ESI_TAG_MAX];
    static struct written w;
    size_t len;

    (void)state;
    memset(page, 'x', sizeof page - 1);
    memcpy(page, "<esi:include src=\"/", 19);
    memcpy(page + ESI_TAG_MAX - 3, "\"/>", 3);
    memcpy(page + ESI_TAG_MAX, "end", 4); /* the longest there may be */
    len = strlen(page);
    parse_cut(page, len, 0, &w);
    assert_int_equal(w.text[0], '[');
    assert_int_equal(w.len, 1 + ESI_TAG_MAX - 21 + 2 + 3);

    memset(page, 'x', sizeof page - 1);
    memcpy(page, "<esi:include src=\"/", 19);
    memcpy(page + ESI_TAG_MAX - 2, "\"/><esi:include src=\"/f\"/>", 27);
    len = strlen(page);
    memcpy(want, page, ESI_TAG_MAX + 1);
    memcpy(want + ESI_TAG_MAX + 1, "[/f|]", 6);
    for (size_t cut = 0; cut < len; cut += 97) {
        parse_cut(page, len, cut, &w);
        assert_string_equal(w.text, want);
    }
}

static void text_is_not_copied_and_not_cut(void **state)
{
    static const char page[] = "<html><body class=\"e\"></body></html><esi:include src=\"/f\"/>";
    struct weir_span in = weir_span(page, sizeof page - 1);
    struct esi_parser p;
    struct esi_token t;

    (void)state;
    esi_parser_init(&p);
    assert_int_equal(esi_parser_next(&p, &in, &t), ESI_TEXT);
    assert_false(t.held);
    assert_ptr_equal(t.text.ptr, page);
    assert_int_equal(t.text.len, 36);
    assert_int_equal(esi_parser_next(&p, &in, &t), ESI_INCLUDE);
    assert_int_equal(esi_parser_next(&p, &in, &t), ESI_MORE);
    assert_int_equal(esi_parser_end(&p, &t), ESI_MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_without_esi_comes_out_as_it_is),
        cmocka_unit_test(an_include_is_replaced),
        cmocka_unit_test(an_include_may_have_an_end_tag),
        cmocka_unit_test(entities_in_attributes_are_decoded),
        cmocka_unit_test(what_is_removed_is_left_out),
        cmocka_unit_test(a_remove_without_end_is_noticed),
        cmocka_unit_test(comments_of_esi_are_left_out),
        cmocka_unit_test(what_is_hidden_from_others_is_unwrapped),
        cmocka_unit_test(a_word_that_begins_with_esi_is_a_plain_comment),
        cmocka_unit_test(nothing_is_done_in_comments_and_cdata),
        cmocka_unit_test(other_elements_of_the_namespace_pass),
        cmocka_unit_test(a_malformed_tag_loses_nothing),
        cmocka_unit_test(a_tag_that_is_too_long_is_text),
        cmocka_unit_test(text_is_not_copied_and_not_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
