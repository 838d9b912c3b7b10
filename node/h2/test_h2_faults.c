#include "test_h2.h"

/*
 * Every allocation fails once, and the client is read byte by byte: nobody hangs, nothing leaks,
 * and the next connection is served.
 */

#define HELLO                                                                                      \
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/plain\r\n"                 \
    "Content-Length: 5\r\n\r\nhello"

struct scenario {
    const char *name, *method;
    struct script script[2];
    size_t script_count;
    const char *upload;
    const char *body; /* of the answer */
    bool trailers;
};

static const char *allowed[] = {"x-end"};

static const struct scenario scenarios[] = {
    {.name = "miss and hit",
     .method = "GET",
     .script = {{.reply = HELLO}, {.reply = HELLO}},
     .script_count = 2,
     .body = "hello"},
    {.name = "upload",
     .method = "POST",
     .script = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"},
                {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"}},
     .script_count = 2,
     .upload = "some content that is sent",
     .body = "done"},
    {.name = "chunks, an interim response, trailers",
     .method = "GET",
     .script = {{.reply = "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
                          "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-End: 1\r\n\r\n"},
                {.reply = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-End: 1\r\n\r\n"}},
     .script_count = 2,
     .body = "abc",
     .trailers = true},
};

static void set_up(struct h2_node *t, const struct scenario *s)
{
    h2_node_init(t);
    t->n.scripts = s->script;
    t->n.script_count = (unsigned)s->script_count;
    t->n.route.trailers = allowed;
    t->n.route.trailer_count = s->trailers;
    assert_true(h2_node_start(t));
}

static void exchange(struct h2_node *t, const struct scenario *s)
{
    h2_client_open(t);
    t->upload = s->upload;
    t->upload_len = t->upload_stop = s->upload != NULL ? strlen(s->upload) : 0;
    h2_wait(t, h2_ask(t, s->method, "/a", NULL, 0));
}

static bool good(struct h2_node *t, const struct scenario *s)
{
    const struct h2_seen *seen = h2_seen(t, 1);

    return seen->ended && seen->error == 0 && h2_has(seen, ":status: 200\n") &&
           seen->body_len == strlen(s->body) && memcmp(seen->body, s->body, seen->body_len) == 0 &&
           (!s->trailers || h2_has(seen, "x-end: 1\n"));
}

/* What was answered may be an error, cut off or nothing at all; but it must not look whole. */
static void judge(struct h2_node *t, const struct scenario *s, unsigned long n)
{
    const struct h2_seen *seen = h2_seen(t, 1);

    if (seen->ended && h2_has(seen, ":status: 200\n") && seen->body_len != strlen(s->body))
        fail_msg("%s: failed allocation %lu made half an answer look whole", s->name, n);
}

static bool run(const struct scenario *s, unsigned long n)
{
    struct h2_node t;
    bool failed;

    set_up(&t, s);
    weir_alloc_fail_at(n);
    exchange(&t, s);
    failed = weir_alloc_failed();
    weir_alloc_fail_at(0);
    if (!failed && !good(&t, s))
        fail_msg("%s, untouched: %s", s->name, h2_seen(&t, 1)->head);
    judge(&t, s, n);
    while (t.n.worker.fetches != NULL)
        node_turn(&t.n);
    for (unsigned i = 0; i < t.n.origin_conns; i++)
        node_origin_end(&t.n.origin[i], false);
    t.n.next_script = 1;
    exchange(&t, s);
    if (!good(&t, s))
        fail_msg("%s, after the %lu. failed: %s", s->name, n, h2_seen(&t, 1)->head);
    h2_node_stop(&t);
    return failed;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        unsigned long n = 0;

        while (run(&scenarios[i], ++n))
            ;
        assert_true(n > 20);
    }
}

static void bytes_may_come_and_go_one_by_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        struct h2_node t;

        set_up(&t, &scenarios[i]);
        t.one_by_one = true;
        t.read_limit = 1;
        exchange(&t, &scenarios[i]);
        assert_true(good(&t, &scenarios[i]));
        h2_node_stop(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_may_come_and_go_one_by_one),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
