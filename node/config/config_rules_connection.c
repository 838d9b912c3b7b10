#include "config_rules_connection.h"

#include <string.h>

#include "config_check.h"
#include "config_tree.h"

#define ALT_SVC_MAX     512
#define PRELOAD_LEAST_S 31536000 /* what the preload lists of browsers ask for */

static bool says_yes(const struct config_node *map, const char *name)
{
    const struct config_node *node = config_node_get(map, name);

    return node != NULL && !node->bad && node->number != 0;
}

void config_rule_alt_svc(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];
    bool fine = node->text.len <= ALT_SVC_MAX;

    for (size_t i = 0; i < node->text.len; i++)
        fine = fine && node->text.ptr[i] >= ' ' && node->text.ptr[i] <= '~';
    if (!fine)
        config_report(ctx, node,
                      "expected a value of Alt-Svc such as h3=\":443\"; ma=86400, at most %d "
                      "visible characters, found %s",
                      ALT_SVC_MAX, config_found(node, found));
}

void config_rule_hsts(struct config_ctx *ctx, struct config_node *node)
{
    const struct config_node *age = config_node_get(node, "max_age");
    struct config_node *preload = config_node_get(node, "preload");

    if (!says_yes(node, "preload"))
        return;
    if (!says_yes(node, "include_subdomains"))
        config_report_key(ctx, preload, "needs include_subdomains: true");
    else if (age == NULL || (!age->bad && age->number < PRELOAD_LEAST_S))
        config_report_key(ctx, preload, "needs a max_age of 365d at least");
}

void config_rule_listen(struct config_ctx *ctx, struct config_node *node)
{
    struct config_node *redirect = config_node_get(node, "redirect_https");
    const struct config_node *tls = config_node_get(node, "tls");
    bool off = config_node_get(tls, "enabled") != NULL && !says_yes(tls, "enabled");

    if (says_yes(node, "redirect_https") && tls != NULL && !off)
        config_report_key(ctx, redirect, "means nothing on an address with tls");
}

static bool asks(const struct config_node *listen)
{
    const struct config_node *tls = config_node_get(listen, "tls");
    const struct config_node *word = config_node_get(tls, "client_auth");

    return word != NULL && (word->bad || !weir_span_eq(word->text, WEIR_SPAN_LIT("none")));
}

void config_rule_client_certificate(struct config_ctx *ctx, struct config_node *route)
{
    struct config_node *wanted = config_node_get(route, "client_certificate");
    const struct config_node *list = config_node_get(ctx->root, "listen");

    if (wanted == NULL || wanted->bad || weir_span_eq(wanted->text, WEIR_SPAN_LIT("none")))
        return;
    for (const struct config_node *l = list != NULL ? list->first : NULL; l != NULL; l = l->next)
        if (asks(l))
            return;
    config_report_key(ctx, wanted,
                      "no address asks for client certificates: see listen[].tls.client_auth");
}
