#include "test_http.h"

#include "http_grpc.h"

static struct http_field room[4];

static struct http_head call(const char *type, const char *timeout)
{
    struct http_head h;

    http_head_init(&h, room, 4);
    h.method_id = HTTP_M_POST;
    assert_true(http_head_add_id(&h, NULL, HTTP_F_CONTENT_TYPE, weir_span_str(type)));
    if (timeout != NULL)
        assert_true(http_head_add(&h, NULL, LIT("grpc-timeout"), weir_span_str(timeout)));
    return h;
}

static void calls_are_known_by_their_type(void **state)
{
    static const struct {
        const char *type;
        bool call;
    } rows[] = {{"application/grpc", true},
                {"application/grpc+proto", true},
                {"Application/gRPC;x=y", true},
                {"application/grpc-web", false},
                {"application/grpc-web+proto", false},
                {"application/grp", false},
                {"text/plain", false},
                {"", false}};
    struct http_head h;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        h = call(rows[i].type, NULL);
        assert_int_equal(http_grpc_call(&h), rows[i].call);
    }
    h = call("application/grpc", NULL);
    h.method_id = HTTP_M_GET;
    assert_false(http_grpc_call(&h));
}

static void deadlines_have_six_units(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {{"1H", 3600000},
                {"2M", 120000},
                {"3S", 3000},
                {"4m", 4},
                {"5000u", 5},
                {"1n", 1},
                {"1500000n", 2},
                {"0S", 1000},
                {"", 0},
                {"S", 0},
                {"5", 0},
                {"123456789S", 0},
                {"-1S", 0},
                {"1.5S", 0},
                {"1s", 0},
                {"0m", 1},
                {"99999999H", 359999996400000}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_head h = call("application/grpc", rows[i].text);

        assert_int_equal(http_grpc_timeout_ms(&h), rows[i].ms);
    }
}

static bool passes(const char *name)
{
    struct http_field f = {.name = weir_span_str(name)};

    f.id = http_field_intern(f.name);
    f.flags = http_field_flags(f.id, f.name);
    return http_grpc_trailer(&f);
}

static void trailers_of_calls_go_on(void **state)
{
    (void)state;
    assert_true(passes("grpc-status"));
    assert_true(passes("grpc-status-details-bin"));
    assert_true(passes("my-metadata"));
    assert_false(passes("content-length"));
    assert_false(passes("set-cookie"));
    assert_false(passes("transfer-encoding"));
    assert_false(passes("x-forwarded-anything"));
    assert_false(passes("proxy-thing"));
}

static void own_errors_have_a_status_of_grpc(void **state)
{
    (void)state;
    assert_int_equal(http_grpc_status(503), 14);
    assert_int_equal(http_grpc_status(504), 4);
    assert_int_equal(http_grpc_status(401), 16);
    assert_int_equal(http_grpc_status(404), 12);
    assert_int_equal(http_grpc_status(429), 8);
    assert_int_equal(http_grpc_status(418), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_known_by_their_type),
        cmocka_unit_test(deadlines_have_six_units),
        cmocka_unit_test(trailers_of_calls_go_on),
        cmocka_unit_test(own_errors_have_a_status_of_grpc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
