#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "config.h"
#include "config_dump.h"
#include "settings.h"

static struct settings *load(const char *text)
{
    char path[] = "/tmp/weir-dump-XXXXXX";
    struct config_errors errors = {0};
    int fd = mkstemp(path);
    struct settings *s;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    s = config_load(path, &errors);
    config_errors_print(&errors, stderr);
    assert_non_null(s);
    config_errors_free(&errors);
    unlink(path);
    return s;
}

static const char example[] =
    "listen: [{address: \"127.0.0.1:8080\"}]\n"
    "client: {idle_timeout: 90s, connections: 77}\n"
    "cache: {memory: 64MiB}\n"
    "admin: {mode: 0600, tcp: {without_token: [live, metrics]}}\n"
    "upstreams: [{name: app, origins: [\"http://127.0.0.1:3000\"]}]\n"
    "routes: [{match: {paths: [/a, /b]}, upstream: app, cache: {esi: {enabled: true}},\n"
    "          request_fields: {set: [{name: Authorization, value: Basic c2VjcmV0},\n"
    "                                 {name: X-Site, value: one}]}}]\n";

static const json_t *at(const json_t *json, const char *path)
{
    char name[64];

    while (*path != '\0') {
        size_t len = strcspn(path, ".");

        snprintf(name, sizeof name, "%.*s", (int)len, path);
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(name))
                                   : json_object_get(json, name);
        path += len + (path[len] == '.');
    }
    return json;
}

static void expect(const json_t *dump, const char *path, const char *wanted)
{
    char *text = json_dumps(at(dump, path), JSON_ENCODE_ANY | JSON_COMPACT);

    if (text == NULL || strcmp(text, wanted) != 0)
        fail_msg("%s: %s instead of %s", path, text != NULL ? text : "nothing", wanted);
    free(text);
}

static void values_are_as_a_person_would_write_them(void **state)
{
    struct settings *s = load(example);
    json_t *dump = config_dump(s);

    (void)state;
    expect(dump, "listen.0.address", "\"127.0.0.1:8080\"");
    expect(dump, "client.idle_timeout", "\"90s\"");
    expect(dump, "client.connections", "77");
    expect(dump, "cache.memory", "\"64MiB\"");
    expect(dump, "admin.mode", "\"0600\"");
    expect(dump, "admin.tcp.without_token", "[\"metrics\",\"live\"]");
    expect(dump, "upstreams.0.name", "\"app\"");
    expect(dump, "routes.0.match.paths", "[\"/a\",\"/b\"]");
    expect(dump, "routes.0.split.0.upstream", "\"app\"");
    expect(dump, "routes.0.cache.esi.enabled", "true");
    json_decref(dump);
    settings_unref(s);
}

static void what_a_field_is_set_to_is_not_shown_if_it_may_be_a_secret(void **state)
{
    struct settings *s = load(example);
    json_t *dump = config_dump(s);
    char *text = json_dumps(dump, 0);

    (void)state;
    expect(dump, "routes.0.request_fields.set.0.value", "\"(not shown)\"");
    expect(dump, "routes.0.request_fields.set.1.value", "\"one\"");
    assert_null(strstr(text, "c2VjcmV0"));
    free(text);
    json_decref(dump);
    settings_unref(s);
}

static void defaults_are_filled_in(void **state)
{
    struct settings *s = load(example);
    json_t *dump = config_dump(s);

    (void)state;
    expect(dump, "node.drain_timeout", "\"30s\"");
    expect(dump, "client.head_timeout", "\"10s\"");
    expect(dump, "upstreams.0.timeouts.connect", "\"2s\"");
    expect(dump, "admin.tcp.tokens", "[]");
    expect(dump, "routes.0.websocket", "false");
    json_decref(dump);
    settings_unref(s);
}

static void equal_configurations_look_equal(void **state)
{
    struct settings *a = load(example), *b = load(example);
    json_t *one = config_dump(a), *other = config_dump(b);

    (void)state;
    assert_true(json_equal(one, other));
    json_decref(one);
    json_decref(other);
    settings_unref(a);
    settings_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_as_a_person_would_write_them),
        cmocka_unit_test(what_a_field_is_set_to_is_not_shown_if_it_may_be_a_secret),
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(equal_configurations_look_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
