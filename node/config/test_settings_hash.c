#include "settings_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

#define LISTEN "listen: [{address: '127.0.0.1:8080'}]\n"
#define APP    "upstreams: [{name: app, origins: ['http://127.0.0.1:3000']}]\n"
#define ROUTE  "routes: [{upstream: app}]\n"

static uint64_t hash_of(const char *text)
{
    char path[] = "/tmp/weir-test-hash-XXXXXX";
    int fd = mkstemp(path);
    struct config_errors errors = {0};
    struct settings *s;
    uint64_t hash;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    s = config_load(path, &errors);
    config_errors_print(&errors, stderr);
    unlink(path);
    assert_non_null(s);
    hash = settings_hash(s);
    settings_unref(s);
    config_errors_free(&errors);
    return hash;
}

static void the_same_settings_written_otherwise_are_the_same(void **state)
{
    uint64_t hash = hash_of(LISTEN APP ROUTE);

    (void)state;
    assert_true(hash != 0);
    assert_true(hash == hash_of("# why\n" ROUTE APP LISTEN));
    assert_true(hash == hash_of("routes:\n  - upstream: app\n" LISTEN APP));
    assert_true(hash == hash_of(LISTEN APP ROUTE "client: {head_timeout: 10000ms}\n"));
    assert_true(hash == hash_of(LISTEN APP "routes: [{split: [{upstream: app, weight: 1}]}]\n"));
}

static void what_is_a_nodes_own_does_not_count(void **state)
{
    uint64_t hash = hash_of(LISTEN APP ROUTE);

    (void)state;
    assert_true(hash == hash_of("listen: [{address: '192.0.2.1:80'}]\n" APP ROUTE));
    assert_true(hash == hash_of(LISTEN APP ROUTE "node: {workers: 3, memory: 1GiB}\n"));
    assert_true(hash == hash_of(LISTEN APP ROUTE "admin: {socket: /run/other.sock}\n"));
}

static void whatever_a_node_does_otherwise_counts(void **state)
{
    static const char *const others[] = {
        LISTEN APP ROUTE "node: {drain_grace: 1s}\n",
        LISTEN APP ROUTE "client: {head_timeout: 11s}\n",
        LISTEN APP ROUTE "cache: {targets: []}\n",
        LISTEN APP ROUTE "cache: {targets: [CDN-Cache-Control, X-Cache-Control]}\n",
        LISTEN APP ROUTE "hooks: {ready: [/bin/true]}\n",
        LISTEN APP ROUTE "hooks: {unready: [/bin/true]}\n",
        LISTEN APP ROUTE "hooks: {ready: [/bin/true, a, bc]}\n",
        LISTEN APP ROUTE "hooks: {ready: [/bin/true, ab, c]}\n",
        LISTEN "upstreams: [{name: app, origins: ['http://127.0.0.1:3001']}]\n" ROUTE,
        LISTEN "upstreams: [{name: app, origins: ['http://127.0.0.1:3000 weight=2']}]\n" ROUTE,
        LISTEN APP "routes: [{health: live}]\n",
        LISTEN APP "routes: [{health: ready}]\n",
        LISTEN APP "routes: [{upstream: app}, {upstream: app}]\n",
    };
    enum { N = sizeof others / sizeof others[0] };
    uint64_t hashes[N + 1];

    (void)state;
    hashes[N] = hash_of(LISTEN APP ROUTE);
    for (size_t i = 0; i < N; i++) {
        hashes[i] = hash_of(others[i]);
        for (size_t k = 0; k < i; k++)
            assert_true(hashes[i] != hashes[k]);
        assert_true(hashes[i] != hashes[N]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_settings_written_otherwise_are_the_same),
        cmocka_unit_test(what_is_a_nodes_own_does_not_count),
        cmocka_unit_test(whatever_a_node_does_otherwise_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
