#include "response_in.h"

#include "test_exchange.h"

#include "freshness.h"

/* Builds from a response head in text; the head's text, owned by out->bytes. */
static struct weir_span build(struct made *m, const char *text,
                              const struct route_cache_settings *cache, struct fill_head *out)
{
    struct http_parser parser;
    struct http_head head;
    struct http_framing framing;
    struct weir_err err = {0};
    struct response_policy policy;

    http_parser_init(&parser);
    http_head_init(&head, m->fields, MADE_FIELDS);
    if (http_parse_response(&parser, &http_response_limits, &head, text, strlen(text), &err) !=
            HTTP_PARSED ||
        !http_response_framing(&head, HTTP_M_GET, &framing, &err))
        fail_msg("%s", err.detail);
    if (cache != NULL) {
        const struct response_question q = {&m->x.req, &head,     &m->site, cache,
                                            784111777, 784111777, false};

        response_policy_of(&policy, &q, &m->x.arena);
        assert_true(response_in_own(&m->x.own, &head, &policy, &m->x.arena));
    }
    assert_true(response_in_build(out, &head, &framing, &m->site, cache != NULL ? &policy : NULL,
                                  NULL, 784111777, &err));
    return weir_span(out->bytes->bytes, out->bytes->len);
}

static void assert_head(struct made *m, const char *text, const char *expected)
{
    struct fill_head h;
    struct weir_span got = build(m, text, NULL, &h);

    if (got.len != strlen(expected) || memcmp(got.ptr, expected, got.len) != 0)
        fail_msg("%.*s\nis not\n%s", (int)got.len, got.ptr, expected);
    /* The table says what the bytes say, and points into them. */
    for (uint32_t i = 0; i < h.field_count; i++) {
        const struct http_field *f = &h.fields[i];

        assert_true(f->name.ptr >= got.ptr && f->value.ptr + f->value.len + 2 <= got.ptr + got.len);
        assert_memory_equal(f->name.ptr + f->name.len, ": ", 2);
        assert_memory_equal(f->value.ptr + f->value.len, "\r\n", 2);
    }
    response_in_clear(&h);
}

#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static void only_end_to_end_fields_go_on(void **state)
{
    struct made m;

    (void)state;
    made_open(&m);
    assert_head(&m,
                "HTTP/1.1 200 Fine\r\n" DATE "Connection: X-Gone, Set-Cookie\r\nX-Gone: 1\r\n"
                "Keep-Alive: 5\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\n"
                "TE: x\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n"
                "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Stays: 1\r\nServer: secret/1\r\n\r\n",
                "HTTP/1.1 200 OK\r\n" DATE "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Stays: 1\r\n");
    m.forward.server_field = true;
    assert_head(&m, "HTTP/1.1 200 Fine\r\n" DATE "Server: known/1\r\n\r\n",
                "HTTP/1.1 200 OK\r\n" DATE "Server: known/1\r\n");
    made_close(&m);
}

static void a_response_without_date_gets_one(void **state)
{
    struct made m;

    (void)state;
    made_open(&m);
    assert_head(&m, "HTTP/1.0 404 Nope\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 404 Not Found\r\n" DATE);
    assert_head(&m, "HTTP/1.1 200\r\nA:\r\nB: \t x \t\r\n\r\n",
                "HTTP/1.1 200 OK\r\n" DATE "A: \r\nB: x\r\n");
    made_close(&m);
}

static void the_length_is_that_of_the_content(void **state)
{
    static const struct {
        const char *head;
        int64_t length;
    } rows[] = {{"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", 12},
                {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0},
                {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", -1},
                {"HTTP/1.1 200 OK\r\n\r\n", -1},
                {"HTTP/1.1 204 No Content\r\n\r\n", -1},
                {"HTTP/1.1 304 Not Modified\r\n\r\n", -1},
                {"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 99}};
    struct made m;

    (void)state;
    made_open(&m);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fill_head h;

        build(&m, rows[i].head, NULL, &h);
        assert_int_equal(h.length, rows[i].length);
        response_in_clear(&h);
    }
    made_close(&m);
}

static void what_may_be_stored_has_facts_and_validators(void **state)
{
    struct route_cache_settings cache = {.enabled = true};
    struct fill_head h;
    struct weir_span head;
    struct made m;

    (void)state;
    made_open(&m);
    head = build(&m,
                 "HTTP/1.1 200 OK\r\n" DATE "Age: 7\r\nCache-Control: max-age=60\r\nETag: \"a\"\r\n"
                 "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
                 &cache, &h);
    assert_null(memmem(head.ptr, head.len, "Age: 7", 6)); /* ours is added when it is served */
    assert_int_equal(h.facts.freshness.age, 7);
    assert_int_equal(h.facts.freshness.max_age, 60);
    assert_true(weir_span_eq(h.etag, WEIR_SPAN_LIT("\"a\"")));
    assert_true(weir_span_eq(h.last_modified, WEIR_SPAN_LIT("Sun, 06 Nov 1994 08:49:37 GMT")));
    response_in_clear(&h);
    made_close(&m);
}

static void one_client_s_fields_are_kept_apart_from_what_is_stored(void **state)
{
    struct route_cache_settings cache = {.enabled = true, .set_cookie = SET_COOKIE_STRIP};
    struct fill_head h;
    struct weir_span head;
    struct made m;

    (void)state;
    made_open(&m);
    m.x.req.method_id = HTTP_M_GET;
    head = build(&m,
                 "HTTP/1.1 200 OK\r\n" DATE "Set-Cookie: a=b\r\nX-User: 7\r\nX-All: 1\r\n"
                 "set-cookie: c=d\r\nCache-Control: max-age=60, private=\"x-user\"\r\n\r\n",
                 &cache, &h);
    assert_null(memmem(head.ptr, head.len, "a=b", 3));
    assert_null(memmem(head.ptr, head.len, "c=d", 3));
    assert_null(memmem(head.ptr, head.len, "X-User", 6));
    assert_non_null(memmem(head.ptr, head.len, "X-All", 5));
    assert_int_equal(h.field_count, 3);
    assert_non_null(m.x.own);
    assert_int_equal(m.x.own->count, 3);
    assert_true(weir_span_eq(m.x.own->fields[1].value, WEIR_SPAN_LIT("7")));
    response_in_clear(&h);
    /* where it is not stored nobody else gets it: all goes on */
    head = build(&m, "HTTP/1.1 200 OK\r\n" DATE "Set-Cookie: a=b\r\n\r\n", &cache, &h);
    assert_non_null(memmem(head.ptr, head.len, "a=b", 3));
    assert_null(m.x.own);
    response_in_clear(&h);
    made_close(&m);
}

static void what_only_caches_need_lies_behind_the_head(void **state)
{
    struct route_cache_settings cache = {.enabled = true};
    const char *target = "CDN-Cache-Control";
    struct fill_head h;
    struct weir_span head;
    struct made m;

    (void)state;
    made_open(&m);
    m.cache.targets = &target;
    m.cache.target_count = 1;
    m.cache.surrogate_control = true;
    head = build(&m,
                 "HTTP/1.1 200 OK\r\nSurrogate-Control: max-age=9\r\n" DATE
                 "CDN-Cache-Control: max-age=5\r\nX: 1\r\n\r\n",
                 &cache, &h);
    assert_int_equal(head.len, strlen("HTTP/1.1 200 OK\r\n" DATE "X: 1\r\n"));
    assert_int_equal(h.field_count, 2);
    assert_int_equal(h.hidden_count, 2);
    assert_true(weir_span_eq(h.fields[2].value, WEIR_SPAN_LIT("max-age=9")));
    assert_true(weir_span_eq(h.fields[3].name, WEIR_SPAN_LIT("CDN-Cache-Control")));
    assert_ptr_equal(h.fields[3].value.ptr + h.fields[3].value.len + 2,
                     head.ptr + head.len + h.hidden_len);
    assert_int_equal(h.facts.freshness.max_age, 9);
    response_in_clear(&h);
    /* a pass drops them: nobody will ask for them again */
    head = build(&m, "HTTP/1.1 200 OK\r\n" DATE "Surrogate-Control: no-store\r\n\r\n", NULL, &h);
    assert_int_equal(h.field_count, 1);
    assert_int_equal(h.hidden_len, 0);
    response_in_clear(&h);
    made_close(&m);
}

static void an_origins_request_id_does_not_stand_in_for_ours(void **state)
{
    struct made m;

    (void)state;
    made_open(&m);
    assert_head(&m, "HTTP/1.1 200 OK\r\n" DATE "x-request-id: theirs\r\n\r\n",
                "HTTP/1.1 200 OK\r\n" DATE);
    made_close(&m);
}

#ifdef WEIR_FAULTS
static void without_memory_nothing_is_owned(void **state)
{
    struct http_head head;
    struct fill_head h;
    struct weir_err err = {0};
    struct made m;

    (void)state;
    made_open(&m);
    http_head_init(&head, m.fields, MADE_FIELDS);
    head.status = 200;
    for (unsigned long n = 1; n <= 2; n++) {
        weir_alloc_fail_at(n);
        assert_false(response_in_build(&h, &head, NULL, &m.site, NULL, NULL, 0, &err));
        weir_alloc_fail_at(0);
        assert_int_equal(err.code, WEIR_E_MEMORY);
        assert_null(h.bytes);
        assert_null(h.fields);
    }
    made_close(&m);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_end_to_end_fields_go_on),
        cmocka_unit_test(a_response_without_date_gets_one),
        cmocka_unit_test(the_length_is_that_of_the_content),
        cmocka_unit_test(what_may_be_stored_has_facts_and_validators),
        cmocka_unit_test(one_client_s_fields_are_kept_apart_from_what_is_stored),
        cmocka_unit_test(what_only_caches_need_lies_behind_the_head),
        cmocka_unit_test(an_origins_request_id_does_not_stand_in_for_ours),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_nothing_is_owned),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
