#include "config_rules.h"

#include "config_tree.h"

void config_rule_server_name(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    for (size_t i = 0; i < node->text.len; i++) {
        const char c = weir_ascii_lower(node->text.ptr[i]);

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_') {
            config_report(ctx, node, "expected a host name such as app.internal, found %s",
                          config_found(node, found));
            return;
        }
    }
}

void config_rule_upstream_tls(struct config_ctx *ctx, struct config_node *node)
{
    struct config_node *key = config_node_get(node, "key");

    if (key != NULL && !key->bad && config_node_get(node, "certificate") == NULL)
        config_report(ctx, key, "needs certificate too, the one that it is the key of");
}

static bool has_h2c(const struct config_node *upstream)
{
    const struct config_node *list = config_node_get(upstream, "origins");

    for (const struct config_node *o = list != NULL ? list->first : NULL; o != NULL; o = o->next) {
        const struct config_node *h2c = o->bad ? NULL : config_node_get(o, "h2c");

        if (h2c != NULL && h2c->number != 0)
            return true;
    }
    return false;
}

/* Connections of HTTP/2 carry many clients' requests, and probes speak HTTP/1.1. */
void config_rules_origin_protocols(struct config_ctx *ctx, struct config_node *upstream)
{
    struct config_node *proxy = config_node_get(upstream, "proxy_protocol");
    struct config_node *health = config_node_get(upstream, "health");
    struct config_node *type = health != NULL ? config_node_get(health, "type") : NULL;

    if (!has_h2c(upstream))
        return;
    if (proxy != NULL && !proxy->bad && !config_node_is(proxy, "off"))
        config_report(ctx, proxy,
                      "does not go together with h2c:// origins: their connections are shared by "
                      "all clients");
    if (type != NULL && !type->bad && config_node_is(type, "http"))
        config_report(ctx, health,
                      "h2c:// origins are asked by HTTP/1.1 in vain: type must be tcp");
}
