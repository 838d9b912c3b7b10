#include "test_h2.h"

#define HELLO                                                                                      \
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/plain\r\n"                 \
    "Content-Length: 5\r\n\r\nhello"

static int64_t metric(const struct h2_node *t, enum weir_metric m)
{
    return atomic_load(&t->n.metrics->value[m]);
}

static void play(struct h2_node *t, const struct script *scripts, unsigned n)
{
    t->n.scripts = scripts;
    t->n.script_count = n;
    t->n.next_script = 0;
}

static void begin(struct h2_node *t, const struct script *scripts, unsigned n)
{
    h2_node_init(t);
    play(t, scripts, n);
    assert_true(h2_node_start(t));
    h2_client_open(t);
}

static void a_get_is_answered_and_the_next_one_comes_from_the_cache(void **state)
{
    static const struct script scripts[] = {{.reply = HELLO}};
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    begin(&t, scripts, 1);
    for (unsigned i = 0; i < 2; i++) {
        s = h2_wait(&t, h2_get(&t, "/a"));
        assert_true(s->ended && s->error == 0);
        assert_int_equal(s->body_len, 5);
        assert_memory_equal(s->body, "hello", 5);
        assert_true(h2_has(s, ":status: 200\n") && h2_has(s, "content-type: text/plain\n"));
        assert_true(h2_has(s, "content-length: 5\n"));
    }
    assert_int_equal(t.n.requests, 1);
    assert_int_equal(metric(&t, WEIR_M_requests), 2);
    assert_int_equal(metric(&t, WEIR_M_h2_connections), 1);
    h2_node_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_is_answered_and_the_next_one_comes_from_the_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
