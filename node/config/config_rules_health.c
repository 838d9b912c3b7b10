#include <string.h>

#include "config_rules.h"
#include "config_tree.h"
#include "config_value.h"
#include "health_statuses.h"
#include "http_field.h"
#include "pattern.h"

/* A request should fit one segment; nobody means more. */
#define PATH_MAX_BYTES  2048
#define VALUE_MAX_BYTES 1024
#define FIELDS_MAX      32

void config_rule_health_path(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];
    bool fine = node->text.len <= PATH_MAX_BYTES && node->text.ptr[0] == '/';

    for (size_t i = 0; i < node->text.len; i++)
        fine &= node->text.ptr[i] > ' ' && node->text.ptr[i] < 0x7f && node->text.ptr[i] != '#';
    if (!fine)
        config_report(ctx, node,
                      "expected a path such as /healthz or /up?full=1, of visible ASCII characters "
                      "(others as %%XX) and at most %d of them, found %s",
                      PATH_MAX_BYTES, config_found(node, found));
}

void config_rule_health_status(struct config_ctx *ctx, struct config_node *node)
{
    struct health_statuses set;
    char found[CONFIG_QUOTE_MAX];

    if (!health_statuses_parse(node->text.ptr, &set))
        config_report(ctx, node,
                      "expected statuses from 200 to 999 such as \"200\", \"200-299,304\" or "
                      "\"2xx\", found %s",
                      config_found(node, found));
}

void config_rule_health_body(struct config_ctx *ctx, struct config_node *node)
{
    struct weir_err err = {0};
    struct pattern *p = pattern_compile(node->text.ptr, &err);

    if (p == NULL && err.code == WEIR_E_MEMORY)
        config_report_memory(ctx);
    else if (p == NULL)
        config_report(ctx, node, "is no regular expression: %s", err.detail);
    pattern_free(p);
}

static void check_field_name(struct config_ctx *ctx, struct config_node *name)
{
    const uint16_t id = http_field_intern(name->text);
    char found[CONFIG_QUOTE_MAX];

    if (id == HTTP_F_HOST)
        config_report(ctx, name, "Host has a key of its own: health.host");
    else if ((http_field_flags(id, name->text) & (HTTP_FF_HOP | HTTP_FF_FRAMING)) != 0)
        config_report(ctx, name, "%s belongs to the connection: weir alone sends it",
                      config_found(name, found));
}

static void check_field_value(struct config_ctx *ctx, struct config_node *value)
{
    bool fine = value->text.len <= VALUE_MAX_BYTES;

    for (size_t i = 0; i < value->text.len; i++) {
        const unsigned char c = (unsigned char)value->text.ptr[i];

        fine &= (c >= ' ' && c != 0x7f) || c == '\t';
    }
    if (!fine)
        config_report(ctx, value, "must be one line of at most %d bytes without control characters",
                      VALUE_MAX_BYTES);
}

void config_rule_health_field(struct config_ctx *ctx, struct config_node *node)
{
    struct config_node *name = config_node_get(node, "name");
    struct config_node *value = config_node_get(node, "value");

    if (name != NULL && !name->bad)
        check_field_name(ctx, name);
    if (value != NULL && !value->bad)
        check_field_value(ctx, value);
    node->bad |= (name != NULL && name->bad) || (value != NULL && value->bad);
}

/* `name` must not be longer than the interval. */
static void check_within_interval(struct config_ctx *ctx, struct config_node *node,
                                  const char *name, const char *path)
{
    const uint64_t interval = config_number_of(node, "interval", "upstreams.health.interval");
    const uint64_t other = config_number_of(node, name, path);
    const struct config_node *said = config_node_get(node, name);
    char high[32], low[32];

    if (!node->bad && (said == NULL || !said->bad) && other > interval)
        config_report(ctx, node, "%s, %s, is longer than interval, %s", name,
                      config_value_write(CONFIG_DURATION_MS, other, high),
                      config_value_write(CONFIG_DURATION_MS, interval, low));
}

static void check_body_comes(struct config_ctx *ctx, struct config_node *node)
{
    const struct config_node *method = config_node_get(node, "method");
    struct config_node *body = config_node_get(node, "expect_body");

    if (body != NULL && !body->bad && method != NULL && config_node_is(method, "HEAD"))
        config_report(ctx, body, "an answer to HEAD has no body; use method GET");
}

static bool any_bad(const struct config_node *node)
{
    for (const struct config_node *child = node->first; child != NULL; child = child->next)
        if (child->bad)
            return true;
    return false;
}

void config_rule_health(struct config_ctx *ctx, struct config_node *node)
{
    const struct config_node *fields = config_node_get(node, "fields");

    if (fields != NULL && fields->count > FIELDS_MAX)
        config_report(ctx, node, "at most %d fields are possible", FIELDS_MAX);
    check_body_comes(ctx, node);
    if (any_bad(node))
        return;
    check_within_interval(ctx, node, "fast_interval", "upstreams.health.fast_interval");
    check_within_interval(ctx, node, "timeout", "upstreams.health.timeout");
    if (node->count > 0 && config_node_get(node, "type") == NULL)
        config_node_add_text(ctx, node, "type", "http");
}
