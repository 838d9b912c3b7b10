#include "health_check.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "origin_state.h"
#include "pattern.h"
#include "weir/alloc.h"
#include "weir/arena.h"

#define HTTP_PORT  80
#define HTTPS_PORT 443

/* ---- the id ---- */

/* A chain of hashes, bytes in an order of their own, so that every host comes to the same. */
static void mix(uint64_t *id, const void *bytes, size_t len)
{
    const uint64_t hash = origin_hash(bytes, len);
    unsigned char link[16];

    for (unsigned i = 0; i < 8; i++) {
        link[i] = (unsigned char)(*id >> (8 * i));
        link[8 + i] = (unsigned char)(hash >> (8 * i));
    }
    *id = origin_hash(link, sizeof(link));
}

static void mix_number(uint64_t *id, uint64_t number)
{
    char digits[24];

    mix(id, digits, (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number));
}

/* None at all is another thing than an empty text. */
static void mix_text(uint64_t *id, const char *text)
{
    mix_number(id, text != NULL);
    if (text != NULL)
        mix(id, text, strlen(text));
}

static void mix_http(uint64_t *id, const struct upstream_settings *up)
{
    const struct health_settings *h = &up->health;

    mix_text(id, h->path);
    mix_text(id, h->host != NULL ? h->host : up->host);
    mix_text(id, h->method);
    mix_text(id, h->expect_status);
    mix_text(id, h->expect_body);
    mix_number(id, h->field_count);
    for (size_t i = 0; i < h->field_count; i++) {
        mix_text(id, h->fields[i].name);
        mix_text(id, h->fields[i].value);
    }
}

uint64_t health_check_id(const struct upstream_settings *up, const struct origin_settings *origin)
{
    const struct health_settings *h = &up->health;
    uint64_t id = 0;

    mix_text(&id, up->name);
    mix_text(&id, origin->url);
    mix_number(&id, h->kind);
    if (h->kind == HEALTH_KIND_OFF)
        return id;
    mix_number(&id, h->port);
    mix_number(&id, (uint64_t)h->timeout_ms);
    if (h->kind == HEALTH_KIND_HTTP)
        mix_http(&id, up);
    return id;
}

/* ---- the request ---- */

/* What Host says when nobody has said: where the request goes. */
static const char *origin_authority(const struct origin_settings *o, uint16_t other_port,
                                    struct weir_arena *a)
{
    const uint16_t port = other_port != 0 ? other_port : o->port;
    const bool v6 = o->host != NULL && strchr(o->host, ':') != NULL;

    if (o->host == NULL)
        return "localhost"; /* a Unix socket has no name */
    if (port == (o->tls ? HTTPS_PORT : HTTP_PORT))
        return weir_arena_printf(a, v6 ? "[%s]" : "%s", o->host);
    return weir_arena_printf(a, v6 ? "[%s]:%u" : "%s:%u", o->host, port);
}

static bool own_field(const struct health_settings *h, const char *name)
{
    for (size_t i = 0; i < h->field_count; i++)
        if (weir_span_ieq(weir_span_str(h->fields[i].name), weir_span_str(name)))
            return true;
    return false;
}

static const char *extra_fields(const struct health_settings *h, struct weir_arena *a)
{
    const char *text = "";

    for (size_t i = 0; i < h->field_count && text != NULL; i++)
        text = weir_arena_printf(a, "%s%s: %s\r\n", text, h->fields[i].name, h->fields[i].value);
    return text;
}

/* In the arena; NULL without memory. */
static const char *request_text(const struct upstream_settings *up, const struct origin_settings *o,
                                struct weir_arena *a)
{
    const struct health_settings *h = &up->health;
    const char *host = h->host != NULL ? h->host : up->host;
    const char *extra = extra_fields(h, a);

    if (host == NULL)
        host = origin_authority(o, h->port, a);
    if (host == NULL || extra == NULL)
        return NULL;
    return weir_arena_printf(a, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%sConnection: close\r\n\r\n",
                             h->method, h->path, host,
                             own_field(h, "user-agent") ? "" : "User-Agent: weir-health\r\n",
                             own_field(h, "accept") ? "" : "Accept: */*\r\n", extra);
}

static bool make_request(struct health_check *c, const struct upstream_settings *up,
                         const struct origin_settings *o, struct weir_err *err)
{
    struct weir_arena arena = {0};
    const char *text;
    char *copy = NULL;

    text = request_text(up, o, &arena);
    if (text != NULL)
        copy = weir_strndup(text, strlen(text));
    if (copy != NULL)
        c->request = weir_span(copy, strlen(copy));
    else
        weir_fail(err, WEIR_E_MEMORY, "health: check", 0);
    weir_arena_free(&arena);
    return copy != NULL;
}

/* ---- all of it ---- */

static bool fill_http(struct health_check *c, const struct upstream_settings *up,
                      const struct origin_settings *origin, struct weir_err *err)
{
    const struct health_settings *h = &up->health;
    const bool ok = health_statuses_parse(h->expect_status, &c->statuses);

    assert(ok); /* a rule of the configuration */
    c->method = http_method_parse(weir_span_str(h->method));
    if (h->expect_body != NULL) {
        c->body = pattern_compile(h->expect_body, err);
        if (c->body == NULL)
            return false;
    }
    return make_request(c, up, origin, err);
}

struct health_check *health_check_new(const struct upstream_settings *up,
                                      const struct origin_settings *origin, struct weir_err *err)
{
    const struct health_settings *h = &up->health;
    struct health_check *c = weir_calloc(1, sizeof(*c));

    assert(h->kind != HEALTH_KIND_OFF);
    if (c == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "health: check", 0);
        return NULL;
    }
    c->id = health_check_id(up, origin);
    c->kind = h->kind;
    c->port = h->port;
    c->interval_ms = h->interval_ms;
    c->fast_interval_ms = h->fast_interval_ms;
    c->timeout_ms = h->timeout_ms;
    if (up->proxy_protocol == ORIGIN_PROXY_V1)
        c->proxy_len = (uint32_t)net_proxy_write_v1(c->proxy, NULL, NULL);
    else if (up->proxy_protocol == ORIGIN_PROXY_V2)
        c->proxy_len = (uint32_t)net_proxy_write_v2(c->proxy, NULL, NULL);
    c->rise = h->rise;
    c->fall = h->fall;
    if (c->kind == HEALTH_KIND_HTTP && !fill_http(c, up, origin, err)) {
        health_check_free(c);
        return NULL;
    }
    return c;
}

void health_check_free(struct health_check *c)
{
    if (c == NULL)
        return;
    pattern_free(c->body);
    weir_free((void *)(uintptr_t)c->request.ptr);
    weir_free(c);
}
