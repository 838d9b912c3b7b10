#include "net_pipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

struct ends {
    struct net_pipe pipe;
    int data, space, wanted;
    bool refill; /* the producer puts more from on_space */
};

static struct weir_slice slice(const char *text, size_t len)
{
    struct weir_slice s = {weir_blob_new(len), 0, (uint32_t)len};

    assert_non_null(s.blob);
    if (text != NULL)
        memcpy(s.blob->bytes, text, len);
    s.blob->len = (uint32_t)len;
    return s;
}

static void on_data(void *arg)
{
    ((struct ends *)arg)->data++;
}

static void on_space(void *arg)
{
    struct ends *e = arg;

    e->space++;
    if (e->refill)
        while (!net_pipe_full(&e->pipe))
            net_pipe_put(&e->pipe, slice("z", 1));
}

static void on_wanted(void *arg)
{
    ((struct ends *)arg)->wanted++;
}

static void open_pipe(struct ends *e)
{
    memset(e, 0, sizeof *e);
    net_pipe_init(&e->pipe);
    e->pipe.on_data = on_data;
    e->pipe.on_space = on_space;
    e->pipe.on_wanted = on_wanted;
    e->pipe.consumer = e->pipe.producer = e;
}

static void bytes_come_out_in_order_whatever_is_taken(void **state)
{
    char out[64];

    (void)state;
    for (size_t step = 1; step <= 12; step++) {
        struct ends e;
        size_t n = 0;

        open_pipe(&e);
        net_pipe_put(&e.pipe, slice("one", 3));
        net_pipe_put(&e.pipe, slice("two", 3));
        net_pipe_put(&e.pipe, slice("three!", 6));
        assert_int_equal(e.pipe.bytes, 12);
        while (e.pipe.bytes > 0) {
            struct weir_slice s[NET_PIPE_SLOTS];
            unsigned parts = net_pipe_peek(&e.pipe, s, NET_PIPE_SLOTS);
            size_t want = step < e.pipe.bytes ? step : e.pipe.bytes, left = want;

            for (unsigned i = 0; i < parts && left > 0; i++) {
                size_t part = s[i].len < left ? s[i].len : left;

                memcpy(out + n, weir_slice_ptr(s[i]), part);
                n += part;
                left -= part;
            }
            net_pipe_took(&e.pipe, want);
        }
        assert_memory_equal(out, "onetwothree!", 12);
        assert_int_equal(e.pipe.passed, 12);
        assert_int_equal(e.pipe.count, 0);
        net_pipe_clear(&e.pipe);
    }
}

static void the_producer_hears_of_space_only_after_it_was_full(void **state)
{
    struct ends e;

    (void)state;
    open_pipe(&e);
    net_pipe_put(&e.pipe, slice("ab", 2));
    net_pipe_took(&e.pipe, 1);
    net_pipe_took(&e.pipe, 1);
    assert_int_equal(e.space, 0);
    for (int i = 0; i < NET_PIPE_SLOTS; i++)
        net_pipe_put(&e.pipe, slice("ab", 2));
    assert_true(net_pipe_full(&e.pipe));
    assert_int_equal(net_pipe_free_slots(&e.pipe), 0);
    net_pipe_took(&e.pipe, 1); /* no slot came free */
    assert_int_equal(e.space, 0);
    net_pipe_took(&e.pipe, 1);
    assert_int_equal(e.space, 1);
    net_pipe_took(&e.pipe, 2);
    assert_int_equal(e.space, 1);
    net_pipe_clear(&e.pipe);
    assert_int_equal(e.pipe.bytes, 0);
}

static void many_bytes_fill_a_pipe_too(void **state)
{
    struct ends e;

    (void)state;
    open_pipe(&e);
    net_pipe_put(&e.pipe, slice(NULL, NET_PIPE_BYTES - 1));
    assert_false(net_pipe_full(&e.pipe));
    net_pipe_put(&e.pipe, slice(NULL, 1));
    assert_true(net_pipe_full(&e.pipe));
    net_pipe_took(&e.pipe, 1);
    assert_int_equal(e.space, 1);
    net_pipe_clear(&e.pipe);
}

static void the_producer_may_fill_up_while_it_is_told(void **state)
{
    struct ends e;

    (void)state;
    open_pipe(&e);
    e.refill = true;
    for (int i = 0; i < NET_PIPE_SLOTS; i++)
        net_pipe_put(&e.pipe, slice("ab", 2));
    net_pipe_took(&e.pipe, 6);
    assert_int_equal(e.space, 1);
    assert_int_equal(e.pipe.bytes, 2 * (NET_PIPE_SLOTS - 3) + 3);
    net_pipe_clear(&e.pipe);
}

static void the_first_failure_stays(void **state)
{
    struct ends e;

    (void)state;
    open_pipe(&e);
    net_pipe_fail(&e.pipe, WEIR_E_BAD_CHUNK);
    net_pipe_fail(&e.pipe, WEIR_E_CLIENT_GONE);
    assert_int_equal(e.pipe.failed, WEIR_E_BAD_CHUNK);
    net_pipe_flush(&e.pipe);
    assert_int_equal(e.data, 1);
    e.pipe.on_data = NULL;
    net_pipe_flush(&e.pipe);
    assert_int_equal(e.data, 1);
    net_pipe_clear(&e.pipe);
}

static void content_is_wanted_once(void **state)
{
    struct ends e;

    (void)state;
    open_pipe(&e);
    net_pipe_want(&e.pipe);
    net_pipe_want(&e.pipe);
    assert_int_equal(e.wanted, 1);
    net_pipe_clear(&e.pipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_in_order_whatever_is_taken),
        cmocka_unit_test(the_producer_hears_of_space_only_after_it_was_full),
        cmocka_unit_test(many_bytes_fill_a_pipe_too),
        cmocka_unit_test(the_producer_may_fill_up_while_it_is_told),
        cmocka_unit_test(the_first_failure_stays),
        cmocka_unit_test(content_is_wanted_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
