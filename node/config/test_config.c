#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir/alloc.h"

/* ---- helpers ---- */

/* What config_errors_print() says of them, to be freed. */
static char *printed(const struct config_errors *errors)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    config_errors_print(errors, out);
    fclose(out);
    return text;
}

static struct settings *must_load(const char *text)
{
    struct config_errors errors = {0};
    struct settings *s = config_load_text("t", text, strlen(text), &errors);

    if (s == NULL)
        config_errors_print(&errors, stderr);
    assert_non_null(s);
    config_errors_free(&errors);
    return s;
}

static void expect_errors_of(const char *text, size_t len, const char *expected)
{
    struct config_errors errors = {0};
    struct settings *s = config_load_text("t", text, len, &errors);
    char *got = printed(&errors);

    assert_string_equal(got, expected);
    assert_null(s);
    free(got);
    config_errors_free(&errors);
}

static void expect_errors(const char *text, const char *expected)
{
    expect_errors_of(text, strlen(text), expected);
}

#define LISTEN "listen: [{address: ':80'}]\n"
#define APP    "upstreams: [{name: app, origins: ['http://a']}]\n"
#define ROUTES "routes: [{upstream: app}]\n"
#define REST   LISTEN APP ROUTES /* what makes one more line a whole file */

/* ---- good files ---- */

static void the_smallest_file_gets_every_default(void **state)
{
    struct settings *s = must_load(REST);

    (void)state;
    assert_string_equal(s->node_id, "auto");
    assert_string_equal(s->state_dir, "auto");
    assert_int_equal(s->workers, 0);
    assert_int_equal(s->drain_timeout_ms, 30000);
    assert_int_equal(s->listen_count, 1);
    assert_string_equal(s->listens[0].address, ":80");
    assert_int_equal(s->listens[0].mode, 0660);
    assert_int_equal(s->client.idle_timeout_ms, 60000);
    assert_int_equal(s->head.head_bytes, 32768);
    assert_int_equal(s->forward.fields, FORWARDED_BOTH);
    assert_string_equal(s->forward.pseudonym, "weir");
    assert_int_equal(s->cache.memory_bytes, 256 << 20);
    assert_true(s->cache.status_field);
    assert_int_equal(s->upstreams[0].balance, BALANCE_EWMA2);
    assert_int_equal(s->upstreams[0].retry_budget_percent, 20);
    assert_null(s->upstreams[0].sticky_cookie);
    assert_null(s->upstreams[0].host);
    assert_string_equal(s->routes[0].name, "route-1");
    assert_int_equal(s->routes[0].action, ROUTE_UPSTREAM);
    assert_int_equal(s->routes[0].split_count, 1);
    assert_string_equal(s->routes[0].split[0].upstream, "app");
    assert_int_equal(s->routes[0].split[0].weight, 1);
    assert_int_equal(s->routes[0].body_max_bytes, 16 << 20);
    assert_true(s->routes[0].cache.enabled);
    assert_string_equal(s->log.level, "info");
    assert_int_equal(s->log.access_format, ACCESS_LOG_COMBINED);
    settings_unref(s);
}

static void an_origin_is_read_with_its_options(void **state)
{
    struct settings *s =
        must_load(LISTEN ROUTES "upstreams:\n"
                                "  - name: app\n"
                                "    origins:\n"
                                "      - http://10.0.0.1:3000 weight=2 max_connections=50\n"
                                "      - unix:/run/app.sock backup\n");
    const struct origin_settings *o = s->upstreams[0].origins;

    (void)state;
    assert_int_equal(s->upstreams[0].origin_count, 2);
    assert_string_equal(o[0].url, "http://10.0.0.1:3000");
    assert_string_equal(o[0].host, "10.0.0.1");
    assert_int_equal(o[0].port, 3000);
    assert_int_equal(o[0].weight, 2);
    assert_int_equal(o[0].max_connections, 50);
    assert_false(o[0].backup);
    assert_string_equal(o[1].unix_path, "/run/app.sock");
    assert_null(o[1].host);
    assert_true(o[1].backup);
    settings_unref(s);
}

static void lists_have_defaults_that_an_empty_list_takes_away(void **state)
{
    struct settings *s = must_load(REST), *none = must_load(REST "cache: {tag_fields: []}\n");

    (void)state;
    assert_int_equal(s->cache.tag_field_count, 2);
    assert_string_equal(s->cache.tag_fields[0], "Surrogate-Key");
    assert_string_equal(s->cache.tag_fields[1], "Cache-Tag");
    assert_int_equal(none->cache.tag_field_count, 0);
    settings_unref(s);
    settings_unref(none);
}

static void words_of_a_list_become_bits_and_statuses_become_ranges(void **state)
{
    struct settings *s =
        must_load(LISTEN APP "routes:\n"
                             "  - upstream: app\n"
                             "    cache:\n"
                             "      despite: {store: [private, no-store]}\n"
                             "      ttl: {status: [404 10s, 5xx 1s, 410-412 2m]}\n");
    const struct route_cache_settings *c = &s->routes[0].cache;

    (void)state;
    assert_int_equal(c->despite.store, DESPITE_PRIVATE | DESPITE_NO_STORE);
    assert_int_equal(c->despite.stale, 0);
    assert_int_equal(c->ttl.status_count, 3);
    assert_int_equal(c->ttl.status[0].first, 404);
    assert_int_equal(c->ttl.status[0].last, 404);
    assert_int_equal(c->ttl.status[1].first, 500);
    assert_int_equal(c->ttl.status[1].last, 599);
    assert_int_equal(c->ttl.status[2].last, 412);
    assert_int_equal(c->ttl.status[2].seconds, 120);
    settings_unref(s);
}

#define HEALTH(keys)                                                                               \
    LISTEN ROUTES "upstreams: [{name: app, origins: ['http://a'], health: {" keys "}}]\n"

static void nobody_asks_unless_something_is_said_of_health(void **state)
{
    struct settings *s = must_load(REST);
    const struct health_settings *h = &s->upstreams[0].health;

    (void)state;
    assert_int_equal(h->kind, HEALTH_KIND_OFF);
    assert_string_equal(h->path, "/");
    assert_string_equal(h->method, "GET");
    assert_string_equal(h->expect_status, "200-299");
    assert_null(h->expect_body);
    assert_int_equal(h->interval_ms, 2000);
    settings_unref(s);
    s = must_load(HEALTH(""));
    assert_int_equal(s->upstreams[0].health.kind, HEALTH_KIND_OFF);
    settings_unref(s);
}

static void a_check_is_http_unless_its_type_is_said(void **state)
{
    struct settings *s =
        must_load(HEALTH("path: '/up?x=1', fields: [{name: A, value: b}], expect_status: 200"));
    const struct health_settings *h = &s->upstreams[0].health;

    (void)state;
    assert_int_equal(h->kind, HEALTH_KIND_HTTP);
    assert_string_equal(h->path, "/up?x=1");
    assert_int_equal(h->field_count, 1);
    assert_string_equal(h->fields[0].value, "b");
    assert_string_equal(h->expect_status, "200");
    settings_unref(s);
    s = must_load(HEALTH("type: tcp, port: 81, interval: 1s, timeout: 1s"));
    assert_int_equal(s->upstreams[0].health.kind, HEALTH_KIND_TCP);
    assert_int_equal(s->upstreams[0].health.port, 81);
    settings_unref(s);
    s = must_load(HEALTH("type: off, path: /up"));
    assert_int_equal(s->upstreams[0].health.kind, HEALTH_KIND_OFF);
    settings_unref(s);
}

static void a_route_redirects_or_responds(void **state)
{
    struct settings *s = must_load(LISTEN "routes:\n"
                                          "  - redirect: {to: 'https://b$path', status: 302}\n"
                                          "    match: {paths: [/a]}\n"
                                          "  - respond: {body: \"caf\\u00e9 \\\"\\n\"}\n");

    (void)state;
    assert_int_equal(s->upstream_count, 0);
    assert_int_equal(s->routes[0].action, ROUTE_REDIRECT);
    assert_int_equal(s->routes[0].redirect_status, 302);
    assert_string_equal(s->routes[0].redirect_to, "https://b$path");
    assert_int_equal(s->routes[1].action, ROUTE_RESPOND);
    assert_int_equal(s->routes[1].respond_status, 200);
    assert_string_equal(s->routes[1].respond_body, "caf\xc3\xa9 \"\n");
    assert_string_equal(s->routes[1].name, "route-2");
    settings_unref(s);
}

static void aliases_stand_for_what_they_name(void **state)
{
    struct settings *s = must_load(LISTEN APP "routes:\n"
                                              "  - upstream: app\n"
                                              "    limits: &small {body: 1KiB}\n"
                                              "    match: {paths: [/a]}\n"
                                              "  - upstream: app\n"
                                              "    limits: *small\n");

    (void)state;
    assert_int_equal(s->routes[1].body_max_bytes, 1024);
    settings_unref(s);
}

static void a_section_without_keys_is_all_default(void **state)
{
    struct settings *s = must_load(REST "cache:\n  # memory: 1GiB\nclient: {}\n");

    (void)state;
    assert_int_equal(s->cache.memory_bytes, 256 << 20);
    settings_unref(s);
}

static void references_are_counted(void **state)
{
    struct settings *s = must_load(REST);

    (void)state;
    assert_ptr_equal(settings_ref(s), s);
    settings_unref(s);
    assert_string_equal(s->upstreams[0].name, "app");
    settings_unref(s);
    settings_unref(NULL);
    assert_null(settings_ref(NULL));
}

/* ---- bad files ---- */

struct bad {
    const char *text;
    const char *errors;
};

static void every_fault_has_its_words(void **state)
{
    static const struct bad table[] = {
        {REST "cach: {}\n", "t:4:1: cach: unknown key \"cach\"; did you mean \"cache\"?\n"},
        {REST "cache: {mem: 1}\n",
         "t:4:9: cache.mem: unknown key \"mem\"; known here: memory, object_max, variants, "
         "collapse_timeout, hit_for_miss, "
         "status_field, targets, targets_forward, surrogate_control, tag_fields, "
         "tag_fields_forward, purge_clients, debug_clients, shared\n"},
        {"listen: [{address: ':1'}]\nupstreams: [{name: a, origins: ['http://b']}]\n"
         "routes: [{upstream: a, cache: {slice: 1KiB}}]\n",
         "t:3:39: routes[0].cache.slice: must be 0, or 16KiB to cache.object_max, 8MiB; found "
         "\"1KiB\"\n"},
        {"listen: [{address: ':1'}]\nupstreams: [{name: a, origins: ['http://b']}]\n"
         "cache: {object_max: 1MiB}\nroutes: [{upstream: a, cache: {slice: 2MiB}}]\n",
         "t:4:39: routes[0].cache.slice: must be 0, or 16KiB to cache.object_max, 1MiB; found "
         "\"2MiB\"\n"},
        {"listen: [{address: ':1'}]\nupstreams: [{name: a, origins: ['http://b']}]\n"
         "routes: [{upstream: a, cache: {slice: 1MiB, esi: {enabled: true}}}]\n",
         "t:3:39: routes[0].cache.slice: must be 0 where esi is enabled: a page is read as a "
         "whole\n"},
        {REST "farm: {redis: {addresses: ['redis:6379']}}\n",
         "t:4:8: farm.redis: needs farm.secret_file, the same in all nodes: make one by \"openssl "
         "rand -hex 32\"\n"},
        {REST "farm: {secret_file: /nowhere, redis: {addresses: ['redis:6379']}}\n",
         "t:4:21: farm.secret_file: \"/nowhere\": cannot be read: No such file or directory\n"},
        {REST "farm: {secret_file: /proc/version, redis: {addresses: ['a:0', '::1', b]}}\n",
         "t:4:56: farm.redis.addresses[0]: expected an address such as redis-1:6379 or "
         "[2001:db8::1]:6379, found \"a:0\"\n"
         "t:4:63: farm.redis.addresses[1]: expected an address such as redis-1:6379 or "
         "[2001:db8::1]:6379, found \"::1\"\n"},
        {REST "farm: {state_redis: {addresses: [b]}}\n",
         "t:4:8: farm.state_redis: needs redis.addresses too: where responses are shared\n"},
        {REST "farm: {secret_file: /proc/version, redis: {addresses: [b], username: weir}}\n",
         "t:4:70: farm.redis.username: needs password_file too\n"},
        {REST "farm: {redis: {tls: {enabled: true, key_file: /k}}}\n",
         "t:4:47: farm.redis.tls.key_file: needs certificate_file too\n"},
        {REST "farm: {redis: {tls: {ca_file: /k}}}\n",
         "t:4:16: farm.redis.tls: needs \"enabled: true\", or false to leave it off\n"},
        {REST "<<: {}\n", "t:4:1: <<: merge keys are not supported; write the keys out\n"},
        {REST "routes: []\n", "t:4:1: routes: duplicate key \"routes\"; it is at line 3 already\n"},
        {REST "cache: [1]\n", "t:4:8: cache: expected a mapping, found a list\n"},
        {REST "forward: {trusted: 10.0.0.1}\n",
         "t:4:20: forward.trusted: expected a list of texts, found \"10.0.0.1\"; put it in [ ]\n"},
        {REST "forward: {trusted: [{a: 1}]}\n",
         "t:4:21: forward.trusted[0]: expected a text, found a mapping\n"},
        {REST "forward: {pseudonym: }\n",
         "t:4:22: forward.pseudonym: expected a text, found nothing\n"},
        {REST "forward: {pseudonym: ''}\n", "t:4:22: forward.pseudonym: must not be empty\n"},
        {REST "forward: {pseudonym: 'a b'}\n",
         "t:4:22: forward.pseudonym: \"a b\" is no token: letters, digits and "
         "!#$%&'*+-.^_`|~ only\n"},
        {REST "node: {workers: many}\n",
         "t:4:17: node.workers: expected a whole number, found \"many\"\n"},
        {REST "node: {workers: 1000}\n",
         "t:4:17: node.workers: must be 0 to 256, found \"1000\"\n"},
        {REST "node: {workers: 99999999999999999999}\n",
         "t:4:17: node.workers: must be 0 to 256, found \"99999999999999999999\"\n"},
        {REST "client: {head_timeout: 10}\n",
         "t:4:24: client.head_timeout: \"10\" has no unit; expected a duration such as 250ms, 30s, "
         "5m, 1h or 1d\n"},
        {REST "client: {head_timeout: 2d}\n",
         "t:4:24: client.head_timeout: must be 1ms to 1h, found \"2d\"\n"},
        {REST "head: {bytes: 32K}\n",
         "t:4:15: head.bytes: expected a size such as 512, 64KiB, 16MiB or 1GiB, found \"32K\"\n"},
        {REST "head: {bytes: 2MiB}\n",
         "t:4:15: head.bytes: must be 1KiB to 1MiB, found \"2MiB\"\n"},
        {REST "head: {underscores: yes}\n",
         "t:4:21: head.underscores: expected true or false, found \"yes\"\n"},
        {REST "limits: [{name: a, rate: 10}]\n",
         "t:4:26: limits[0].rate: expected a rate such as 100/s, 1000/m, 5/h or 10000/d; found "
         "\"10\"\n"},
        {REST "limits: [{name: a, rate: 5000000/s}]\n",
         "t:4:26: limits[0].rate: is more than a million a second; found \"5000000/s\"\n"},
        {REST "limits: [{name: a}]\n", "t:4:10: limits[0]: \"rate\" is missing\n"},
        {REST "limits: [{name: a, rate: 1/s, key: [client, session]}]\n",
         "t:4:45: limits[0].key[1]: weir keeps no sessions yet: \"cookie NAME\" counts by the "
         "value of "
         "a cookie; found \"session\"\n"},
        {REST "limits: [{name: a, rate: 1/s, key: [field]}]\n",
         "t:4:37: limits[0].key[0]: expected client, \"field NAME\", \"cookie NAME\", route or "
         "all; "
         "found \"field\"\n"},
        {REST
         "limits: [{name: a, rate: 1/s, key: [all, all, all, all, all, all, all, all, all]}]\n",
         "t:4:36: limits[0].key: at most 8 parts, found 9\n"},
        {REST "limits: [{name: a, rate: 1/s, status: 200}]\n",
         "t:4:39: limits[0].status: must be 400 to 599, found \"200\"\n"},
        {REST "limits: [{name: a, rate: 1/s}, {name: a, rate: 2/s}]\n",
         "t:4:39: limits[1].name: limit \"a\" is there already, at line 4\n"},
        {LISTEN APP "routes: [{upstream: app, limits: {rates: [logn]}}]\n"
                    "limits: [{name: login, rate: 1/s}]\n",
         "t:3:43: routes[0].limits.rates[0]: there is no limit \"logn\"; did you mean "
         "\"login\"?\n"},
        {LISTEN APP "routes: [{upstream: app, limits: {rates: [a, a, a, a, a, a, a, a]}}]\n"
                    "limits: [{name: a, rate: 1/s}, {name: b, rate: 1/s, all_routes: true}]\n",
         "t:3:42: routes[0].limits.rates: a route has at most 8 limits; found 9, those for all "
         "routes "
         "included\n"},
        {REST "log: {access: jason}\n",
         "t:4:15: log.access: expected one of off, combined, json; found \"jason\"\n"},
        {REST "log: {level: !!int 1}\n",
         "t:4:14: log.level: expected one of debug, info, warn, error; found \"1\"\n"},
        {REST "log: {level: !secret x}\n",
         "t:4:14: log.level: the tag !secret means nothing here\n"},
        {REST "log: {level: \"a\\0b\"}\n", "t:4:14: log.level: holds a NUL character\n"},
        {REST "include: [x.yaml]\n", "t:4:1: include: only a file can include others\n"},
        {REST "? [a]\n: b\n", "t:4:3: a key must be a word\n"},
        {APP ROUTES, "t:1:1: \"listen\" is missing\n"},
        {"listen: []\n" APP ROUTES, "t:1:9: listen: must not be empty\n"},
        {"listen: [{address: 'localhost:80'}]\n" APP ROUTES,
         "t:1:20: listen[0].address: expected an address such as 127.0.0.1:8080, [::1]:8080, "
         ":8080, unix:/run/weir.sock or systemd:NAME, found \"localhost:80\"\n"},
        {"listen: [{address: ':0'}]\n" APP ROUTES,
         "t:1:20: listen[0].address: the port must be 1 to 65535, found \":0\"\n"},
        {"listen: [{address: ':80'}, {address: ':80'}]\n" APP ROUTES,
         "t:1:38: listen[1].address: address \":80\" is there already, at line 1\n"},
        {"listen: [{address: 'unix:/x', mode: 0888}]\n" APP ROUTES,
         "t:1:37: listen[0].mode: expected an octal mode such as 0660, found \"0888\"\n"},
        {LISTEN ROUTES "upstreams: [{name: app}]\n",
         "t:3:13: upstreams[0]: \"origins\" is missing\n"},
        {LISTEN ROUTES "upstreams: [{name: app, origins: []}]\n",
         "t:3:34: upstreams[0].origins: must not be empty\n"},
        {LISTEN ROUTES "upstreams: [{name: app, orgins: [x]}]\n",
         "t:3:25: upstreams[0].orgins: unknown key \"orgins\"; did you mean \"origins\"?\n"},
        {LISTEN ROUTES "upstreams: [{name: app, origins: http://a}]\n",
         "t:3:34: upstreams[0].origins: expected a list of texts, found \"http://a\"; "
         "put it in [ ]\n"},
        {LISTEN ROUTES "upstreams: [{name: app, origins: ['ftp://a']}]\n",
         "t:3:35: upstreams[0].origins[0]: 'ftp://a': http://host:port, https://host, "
         "h2c://host:port or unix:/path is expected\n"},
        {LISTEN ROUTES "upstreams: [{name: app, origins: ['https://a'], tls: {key: /k}}]\n",
         "t:3:60: upstreams[0].tls.key: needs certificate too, the one that it is the key of\n"},
        {LISTEN ROUTES "upstreams: [{name: app, origins: ['https://a'], tls: {name: 'a:1'}}]\n",
         "t:3:61: upstreams[0].tls.name: expected a host name such as app.internal, found "
         "\"a:1\"\n"},
        {LISTEN ROUTES "upstreams: [{name: app, origins: ['h2c://a'], proxy_protocol: v2}]\n",
         "t:3:63: upstreams[0].proxy_protocol: does not go together with h2c:// origins: their "
         "connections are shared by all clients\n"},
        {LISTEN ROUTES "upstreams: [{name: app, origins: ['h2c://a'], health: {path: /up}}]\n",
         "t:3:55: upstreams[0].health: h2c:// origins are asked by HTTP/1.1 in vain: type must be "
         "tcp\n"},
        {LISTEN ROUTES "upstreams: [{name: app, origins: ['http://a', 'http://a weight=2']}]\n",
         "t:3:47: upstreams[0].origins[1].url: origin \"http://a\" is there already, at line 3\n"},
        {REST "upstreams: []\n",
         "t:4:1: upstreams: duplicate key \"upstreams\"; it is at line 2 already\n"},
        {LISTEN ROUTES "upstreams: [{name: app, origins: ['http://a']}, {name: app, origins: "
                       "['http://b']}]\n",
         "t:3:56: upstreams[1].name: upstream \"app\" is there already, at line 3\n"},
        {LISTEN ROUTES
         "upstreams: [{name: app, origins: ['http://a'], balance: {hash_on: field}}]\n",
         "t:3:67: upstreams[0].balance.hash_on: needs hash_name, the name of the field\n"},
        {LISTEN ROUTES "upstreams: [{name: app, origins: ['http://a'], eject: {base: 10m}}]\n",
         "t:3:55: upstreams[0].eject: base, 10m, is longer than max, 5m\n"},
        {HEALTH("type: ping"),
         "t:3:63: upstreams[0].health.type: expected one of off, tcp, http; found \"ping\"\n"},
        {HEALTH("path: up"),
         "t:3:63: upstreams[0].health.path: expected a path such as /healthz or /up?full=1, of "
         "visible ASCII characters (others as %XX) and at most 2048 of them, found \"up\"\n"},
        {HEALTH("expect_status: 100-299"),
         "t:3:72: upstreams[0].health.expect_status: expected statuses from 200 to 999 such as "
         "\"200\", \"200-299,304\" or \"2xx\", found \"100-299\"\n"},
        {HEALTH("expect_body: '(ok'"),
         "t:3:70: upstreams[0].health.expect_body: is no regular expression: at offset 3: missing "
         "closing parenthesis\n"},
        {HEALTH("method: HEAD, expect_body: ok"),
         "t:3:84: upstreams[0].health.expect_body: an answer to HEAD has no body; use method "
         "GET\n"},
        {HEALTH("fields: [{name: host, value: x}]"),
         "t:3:73: upstreams[0].health.fields[0].name: Host has a key of its own: health.host\n"},
        {HEALTH("fields: [{name: Connection, value: x}]"),
         "t:3:73: upstreams[0].health.fields[0].name: \"Connection\" belongs to the connection: "
         "weir alone sends it\n"},
        {HEALTH("fields: [{name: A, value: \"x\\r\\nB: c\"}]"),
         "t:3:83: upstreams[0].health.fields[0].value: must be one line of at most 1024 bytes "
         "without control characters\n"},
        {HEALTH("timeout: 3s"),
         "t:3:56: upstreams[0].health: timeout, 3s, is longer than interval, 2s\n"},
        {HEALTH("interval: 300ms, timeout: 200ms"),
         "t:3:56: upstreams[0].health: fast_interval, 500ms, is longer than interval, 300ms\n"},
        {LISTEN APP "routes: [{upstream: ap}]\n",
         "t:3:21: routes[0].upstream: there is no upstream \"ap\"; did you mean \"app\"?\n"},
        {LISTEN APP "routes: [{split: [{upstream: media}]}]\n",
         "t:3:30: routes[0].split[0].upstream: there is no upstream \"media\"\n"},
        {LISTEN APP "routes: [{match: {}}]\n",
         "t:3:10: routes[0]: needs one of upstream, split, redirect, respond or health\n"},
        {LISTEN APP "routes: [{upstream: app, redirect: {to: /x}}]\n",
         "t:3:26: routes[0].redirect: a route does one thing: there is \"upstream\" already\n"},
        {LISTEN APP "routes: [{split: []}]\n", "t:3:18: routes[0].split: must not be empty\n"},
        {LISTEN APP "routes: [{redirect: {status: 301}}]\n",
         "t:3:21: routes[0].redirect: \"to\" is missing\n"},
        {LISTEN APP "routes: [{respond: {status: 204, body: x}}]\n",
         "t:3:40: routes[0].respond.body: a response of status 204 has no body\n"},
        {LISTEN APP "routes: [{name: a, upstream: app}, {name: a, upstream: app}]\n",
         "t:3:43: routes[1].name: route \"a\" is there already, at line 3\n"},
        {REST "---\n" REST, "t:4: a second document begins here; a file is one document\n"},
        {"- a\n", "t:1:1: expected a mapping with listen, upstreams and routes, found a list\n"},
        {"a: [\n", "t:2:1: is not YAML: while parsing a flow node, did not find expected node "
                   "content\n"},
        {REST "cache:\n\tmemory: 1GiB\n", "t:5:1: a tab cannot indent; use spaces\n"},
        {"a: \xff\n", "t:1:4: is not UTF-8 (byte 0xFF)\n"},
        {"a: \xed\xa0\x80\n", "t:1:4: is not UTF-8 (byte 0xED)\n"},
        {"a: b\n\xc3", "t:2:1: is not UTF-8 (byte 0xC3)\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        expect_errors(table[i].text, table[i].errors);
}

static void an_empty_file_is_told_the_smallest_one(void **state)
{
    static const char expected[] =
        "t: holds no configuration; the smallest one is: {listen: [{address: \":8080\"}], "
        "upstreams: [{name: app, origins: [\"http://127.0.0.1:3000\"]}], routes: [{upstream: "
        "app}]}\n";

    (void)state;
    expect_errors("", expected);
    expect_errors("# nothing\n", expected);
    expect_errors("---\n", expected);
    settings_unref(must_load(strchr(expected, '{')));
}

static void a_nul_byte_is_refused(void **state)
{
    static const char text[] = "a: b\nc\0d: e\n";

    (void)state;
    expect_errors_of(text, sizeof(text) - 1, "t:2:2: holds a NUL byte: this is no text file\n");
}

static void a_file_beyond_the_limit_is_refused(void **state)
{
    char *text = malloc(CONFIG_FILE_MAX + 1);

    (void)state;
    assert_non_null(text);
    memset(text, '#', CONFIG_FILE_MAX + 1);
    expect_errors_of(text, CONFIG_FILE_MAX + 1, "t: is larger than 4 MiB\n");
    free(text);
}

static void all_errors_are_reported_in_the_order_of_the_file(void **state)
{
    (void)state;
    expect_errors(
        "routes:\n"
        "  - upstrem: app\n"
        "    limits: {body: 1XB}\n"
        "  - upstream: app\n"
        "    match: {paths: ['~ (', 'x'], clients: [nowhere]}\n"
        "node:\n"
        "  workers: -1\n"
        "  drain_timeout: soon\n"
        "upstreams:\n"
        "  - name: app\n"
        "    origins: [ftp://x]\n",
        "t:1:1: \"listen\" is missing\n"
        "t:2:5: routes[0].upstrem: unknown key \"upstrem\"; did you mean \"upstream\"?\n"
        "t:3:20: routes[0].limits.body: expected a size such as 512, 64KiB, 16MiB or "
        "1GiB, found \"1XB\"\n"
        "t:5:21: routes[1].match.paths[0]: at offset 1: missing closing parenthesis\n"
        "t:5:28: routes[1].match.paths[1]: 'x': expected \"/prefix\", \"= /exact\" or "
        "\"~ pattern\"\n"
        "t:5:44: routes[1].match.clients[0]: 'nowhere' is no network: expected an address "
        "such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32, or \"unix\"\n"
        "t:7:12: node.workers: expected a whole number, found \"-1\"\n"
        "t:8:18: node.drain_timeout: expected a duration such as 250ms, 30s, 5m, 1h or "
        "1d, found \"soon\"\n"
        "t:11:15: upstreams[0].origins[0]: 'ftp://x': http://host:port, https://host, "
        "h2c://host:port or unix:/path is expected\n");
}

static void an_id_is_a_name_and_a_state_dir_a_whole_path_or_none(void **state)
{
    struct settings *s = must_load("node: {id: 'rack-7:a_2.example', state_dir: ''}\n" REST);

    (void)state;
    assert_string_equal(s->node_id, "rack-7:a_2.example");
    assert_string_equal(s->state_dir, "");
    settings_unref(s);
    expect_errors(
        "node: {id: 'a b', state_dir: var/lib}\n" REST,
        "t:1:12: node.id: \"a b\" is no id of a node: auto, or 1 to 64 letters, digits, "
        "'.', '_', '-' and ':'\n"
        "t:1:30: node.state_dir: expected auto, an absolute path of at most 3072 bytes, or "
        "\"\" for none, found \"var/lib\"\n");
    expect_errors("node: {id: ''}\n" REST, "t:1:12: node.id: must not be empty\n");
}

/* The words are the router's; the place is ours. */
static void what_the_router_refuses_has_a_place(void **state)
{
    static const struct {
        const char *route;
        unsigned column;
        const char *path;
    } table[] = {
        {"{upstream: app, match: {hosts: ['a b']}}", 42, "routes[0].match.hosts[0]"},
        {"{upstream: app, match: {fields: [{name: a, value: b, pattern: c}]}}", 43,
         "routes[0].match.fields[0]"},
        {"{redirect: {to: '/$9'}}", 26, "routes[0].redirect.to"},
        {"{upstream: app, rewrite: {pattern: '(', to: /}}", 45, "routes[0].rewrite.pattern"},
        {"{upstream: app, rewrite: {strip_prefix: x}}", 50, "routes[0].rewrite.strip_prefix"},
        {"{upstream: app, request_fields: {set: [{name: Content-Length, value: 1}]}}", 56,
         "routes[0].request_fields.set[0].name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct config_errors errors = {0};
        char text[512];

        snprintf(text, sizeof(text), LISTEN APP "routes: [%s]\n", table[i].route);
        assert_null(config_load_text("t", text, strlen(text), &errors));
        assert_int_equal(errors.count, 1);
        assert_string_equal(errors.items[0].path, table[i].path);
        assert_int_equal(errors.items[0].line, 3);
        assert_int_equal(errors.items[0].column, table[i].column);
        config_errors_free(&errors);
    }
}

static void a_bomb_of_aliases_ends_early(void **state)
{
    char text[2048] = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    struct config_errors errors = {0};

    (void)state;
    for (int i = 1; i < 12; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    assert_null(config_load_text("t", text, strlen(text), &errors));
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.items[0].message,
                        "more than 500000 values; do aliases repeat each other?");
    config_errors_free(&errors);
}

static void an_alias_of_itself_ends_at_the_limit_of_depth(void **state)
{
    struct config_errors errors = {0};
    static const char text[] = "a: &a {b: *a}\n";

    (void)state;
    assert_null(config_load_text("t", text, strlen(text), &errors));
    assert_string_equal(errors.items[errors.count - 1].message, "is nested deeper than 32 levels");
    config_errors_free(&errors);
}

/* Each of these would keep libyaml busy for minutes. */
static void shapes_that_take_forever_are_refused_at_once(void **state)
{
    const size_t len = 400000;
    char *text = malloc(len + 64), *at = text;

    (void)state;
    assert_non_null(text);
    memset(text, '[', len);
    expect_errors_of(text, len, "t:1:33: nested deeper than 32 levels\n");
    *at++ = '[';
    for (unsigned i = 0; at < text + len; i++)
        at += sprintf(at, "&a%u x,\n", i);
    *at++ = ']';
    expect_errors_of(text, (size_t)(at - text), "t:1001:1: more than 1000 anchors\n");
    free(text);
}

static void errors_beyond_what_anybody_reads_are_counted(void **state)
{
    struct config_errors errors = {0};
    char text[4096] = REST;
    char *got;

    (void)state;
    for (int i = 0; i < 150; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "zz%d: 1\n", i);
    assert_null(config_load_text("t", text, strlen(text), &errors));
    assert_int_equal(errors.count, CONFIG_ERRORS_MAX);
    got = printed(&errors);
    assert_non_null(strstr(got, "\nand 50 more errors\n"));
    free(got);
    config_errors_free(&errors);
}

/* ---- includes ---- */

static char folder[] = "/tmp/weir-test-config-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL && chdir(folder) == 0 && mkdir("more", 0700) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return system("rm -r more *.yaml && rmdir \"$PWD\"");
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void expect_file_errors(const char *name, const char *expected)
{
    struct config_errors errors = {0};
    struct settings *s = config_load(name, &errors);
    char *got = printed(&errors);

    assert_string_equal(got, expected);
    assert_null(s);
    free(got);
    config_errors_free(&errors);
}

static void included_lists_are_joined_and_sections_merged(void **state)
{
    struct config_errors errors = {0};
    struct settings *s;

    (void)state;
    write_file("main.yaml", "include: ['more/*.yaml', last.yaml, 'none/*.yaml']\n" REST
                            "client: {head_timeout: 5s}\n");
    write_file("more/a.yaml", "upstreams: [{name: a, origins: ['http://b']}]\n"
                              "client: {idle_timeout: 7s}\n");
    write_file("more/b.yaml", "routes: [{upstream: a, match: {paths: [/b]}}]\n"
                              "include: [../deep.yaml]\n");
    write_file("deep.yaml", "cache: {variants: 2}\n");
    write_file("last.yaml", "# nothing yet\n");
    s = config_load("main.yaml", &errors);
    if (s == NULL)
        config_errors_print(&errors, stderr);
    assert_non_null(s);
    assert_int_equal(s->upstream_count, 2);
    assert_string_equal(s->upstreams[0].name, "app");
    assert_string_equal(s->upstreams[1].name, "a");
    assert_int_equal(s->route_count, 2);
    assert_string_equal(s->routes[1].name, "route-2");
    assert_int_equal(s->client.head_timeout_ms, 5000);
    assert_int_equal(s->client.idle_timeout_ms, 7000);
    assert_int_equal(s->cache.variants, 2);
    settings_unref(s);
    config_errors_free(&errors);
}

static void errors_of_included_files_name_those(void **state)
{
    (void)state;
    write_file("main.yaml", "include: [gone.yaml, twice.yaml]\n" REST "log: {level: warn}\n"
                            "node: {workers: x}\n");
    write_file("twice.yaml", "log: {level: info}\nroutes:\n  - upstream: nobody\n");
    expect_file_errors("main.yaml",
                       "main.yaml:1:11: include[0]: cannot read gone.yaml: No such file or "
                       "directory\n"
                       "main.yaml:6:17: node.workers: expected a whole number, found \"x\"\n"
                       "twice.yaml:1:7: log.level: is set already at main.yaml:5\n"
                       "twice.yaml:3:15: routes[0].upstream: there is no upstream \"nobody\"\n");
}

static void a_file_that_includes_itself_is_an_error(void **state)
{
    (void)state;
    write_file("main.yaml", "include: [one.yaml, one.yaml]\n" REST);
    write_file("one.yaml", "include: [main.yaml]\n");
    expect_file_errors("main.yaml", "main.yaml:1:21: include[1]: one.yaml is included already\n"
                                    "one.yaml:1:11: include[0]: main.yaml includes itself\n");
}

static void includes_have_a_depth(void **state)
{
    struct config_errors errors = {0};
    char name[32], text[64];

    (void)state;
    write_file("main.yaml", "include: [n0.yaml]\n" REST);
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "n%d.yaml", i);
        snprintf(text, sizeof(text), "include: [n%d.yaml]\n", i + 1);
        write_file(name, text);
    }
    assert_null(config_load("main.yaml", &errors));
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.items[0].file, "n7.yaml");
    config_errors_free(&errors);
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    expect_file_errors("gone.yaml", "gone.yaml: cannot read: No such file or directory\n");
    expect_file_errors("more", "more: cannot read: Is a directory\n");
    expect_file_errors("/dev/zero", "/dev/zero: is larger than 4 MiB\n");
    write_file("main.yaml", "include: x.yaml\n" REST);
    expect_file_errors("main.yaml",
                       "main.yaml:1:10: include: expected a list of files, found \"x.yaml\"\n");
    write_file("main.yaml", "include: ['']\n" REST);
    expect_file_errors("main.yaml",
                       "main.yaml:1:11: include[0]: expected the name of a file, found \"\"\n");
}

/* ---- command line ---- */

static void arguments_make_one_upstream_and_one_route(void **state)
{
    const char *const listens[] = {"127.0.0.1:8080", "[::1]:8080"};
    const char *const origins[] = {"http://127.0.0.1:3000", "http://127.0.0.1:3001"};
    struct config_errors errors = {0};
    struct settings *s = config_from_args(listens, 2, origins, 2, &errors);

    (void)state;
    assert_non_null(s);
    assert_int_equal(s->listen_count, 2);
    assert_int_equal(s->listens[1].tuning.backlog, 4096);
    assert_int_equal(s->upstreams[0].origin_count, 2);
    assert_int_equal(s->upstreams[0].origins[1].port, 3001);
    assert_int_equal(s->routes[0].split_count, 1);
    settings_unref(s);
    config_errors_free(&errors);
}

static void bad_arguments_are_all_reported(void **state)
{
    const char *const listens[] = {"8080"};
    const char *const origins[] = {"ftp://a", "http://b"};
    struct config_errors errors = {0};
    char *got;

    (void)state;
    assert_null(config_from_args(listens, 1, origins, 2, &errors));
    got = printed(&errors);
    assert_string_equal(
        got, "command line: listen[0].address: expected an address such as "
             "127.0.0.1:8080, [::1]:8080, :8080, unix:/run/weir.sock or systemd:NAME, found "
             "\"8080\"\n"
             "command line: upstreams[0].origins[0]: 'ftp://a': http://host:port, "
             "https://host, h2c://host:port or unix:/path is expected\n");
    free(got);
    config_errors_free(&errors);
    assert_null(config_from_args(NULL, 0, NULL, 0, &errors));
    assert_int_equal(errors.count, 2);
    config_errors_free(&errors);
}

/* ---- memory ---- */

#ifdef WEIR_FAULTS
/* Fails the 1st, 2nd, ... allocation until a run passes untouched; each run reports and releases.
 */
static void walk_allocations(const char *text, bool good)
{
    bool again = true;
    unsigned reported = 0;

    for (unsigned long n = 1; again; n++) {
        struct config_errors errors = {0};
        struct settings *s;

        weir_alloc_fail_at(n);
        s = config_load_text("t", text, strlen(text), &errors);
        again = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_true(errors.out_of_memory ? again && s == NULL : (s != NULL) == good);
        reported += errors.out_of_memory;
        settings_unref(s);
        config_errors_free(&errors);
    }
    assert_true(reported > 30);
}

static void failed_memory_is_reported_and_leaves_nothing(void **state)
{
    (void)state;
    walk_allocations(LISTEN APP "forward: {trusted: [10.0.0.0/8]}\n"
                                "routes: [{upstream: app, match: {paths: ['~ ^/(a)']}, "
                                "request_fields: {set: [{name: a, value: $1}]}}]\n",
                     true);
    walk_allocations(LISTEN APP "x: 1\nroutes: [{upstream: ap}, {upstream: app, match: {paths: "
                                "['~ (']}}]\n",
                     false);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_file_gets_every_default),
        cmocka_unit_test(an_origin_is_read_with_its_options),
        cmocka_unit_test(nobody_asks_unless_something_is_said_of_health),
        cmocka_unit_test(a_check_is_http_unless_its_type_is_said),
        cmocka_unit_test(a_route_redirects_or_responds),
        cmocka_unit_test(aliases_stand_for_what_they_name),
        cmocka_unit_test(a_section_without_keys_is_all_default),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(every_fault_has_its_words),
        cmocka_unit_test(an_empty_file_is_told_the_smallest_one),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(a_file_beyond_the_limit_is_refused),
        cmocka_unit_test(an_id_is_a_name_and_a_state_dir_a_whole_path_or_none),
        cmocka_unit_test(all_errors_are_reported_in_the_order_of_the_file),
        cmocka_unit_test(what_the_router_refuses_has_a_place),
        cmocka_unit_test(a_bomb_of_aliases_ends_early),
        cmocka_unit_test(an_alias_of_itself_ends_at_the_limit_of_depth),
        cmocka_unit_test(shapes_that_take_forever_are_refused_at_once),
        cmocka_unit_test(errors_beyond_what_anybody_reads_are_counted),
        cmocka_unit_test(included_lists_are_joined_and_sections_merged),
        cmocka_unit_test(errors_of_included_files_name_those),
        cmocka_unit_test(a_file_that_includes_itself_is_an_error),
        cmocka_unit_test(includes_have_a_depth),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
        cmocka_unit_test(lists_have_defaults_that_an_empty_list_takes_away),
        cmocka_unit_test(words_of_a_list_become_bits_and_statuses_become_ranges),
        cmocka_unit_test(arguments_make_one_upstream_and_one_route),
        cmocka_unit_test(bad_arguments_are_all_reported),
#ifdef WEIR_FAULTS
        cmocka_unit_test(failed_memory_is_reported_and_leaves_nothing),
#endif
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
