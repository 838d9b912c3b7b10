/* Rules of `acme`. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "config_rules.h"
#include "config_tree.h"

#define NAME_MAX_ACME 253

static bool is_label(struct weir_span s)
{
    if (s.len == 0 || s.len > 63 || s.ptr[0] == '-' || s.ptr[s.len - 1] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

/* A DNS name in lower case with at least two labels: also fit to name a folder. */
static bool is_host(struct weir_span s)
{
    unsigned labels = 0;

    if (s.len > NAME_MAX_ACME)
        return false;
    while (s.len > 0) {
        const char *dot = memchr(s.ptr, '.', s.len);
        size_t len = dot != NULL ? (size_t)(dot - s.ptr) : s.len;

        if (!is_label(weir_span(s.ptr, len)) || (dot != NULL && len + 1 == s.len))
            return false;
        labels++;
        s = dot != NULL ? weir_span(dot + 1, s.len - len - 1) : WEIR_SPAN_NONE;
    }
    return labels >= 2;
}

void config_rule_acme_name(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    if (weir_span_starts(node->text, WEIR_SPAN_LIT("*.")))
        config_report(
            ctx, node,
            "%s: the challenge that is used (http-01) proves no wildcards: name the hosts",
            config_found(node, found));
    else if (!is_host(node->text))
        config_report(ctx, node, "expected a name such as www.example.org in lower case, found %s",
                      config_found(node, found));
}

void config_rule_acme_directory(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    if (!weir_span_starts(node->text, WEIR_SPAN_LIT("https://")) || node->text.len < 10)
        config_report(ctx, node, "expected a URL that begins with https://, found %s",
                      config_found(node, found));
}

static void check_names(struct config_ctx *ctx, const struct config_node *certificates)
{
    for (struct config_node *c = certificates->first; c != NULL; c = c->next) {
        struct config_node *names = c->kind == CONFIG_MAP ? config_node_get(c, "names") : NULL;

        if (names != NULL && !names->bad && names->count == 0)
            config_report(ctx, names, "needs at least one name");
        else if (names != NULL && names->count > 100)
            config_report(ctx, names, "at most 100 names");
    }
}

void config_rule_acme(struct config_ctx *ctx, struct config_node *node)
{
    const struct config_node *certificates = config_node_get(node, "certificates");
    const struct config_node *agreed = config_node_get(node, "terms_agreed");
    const struct config_node *client = config_node_get(node, "client");
    const char *path = client != NULL ? client->text.ptr : "/usr/bin/uacme";

    if (certificates == NULL || certificates->kind != CONFIG_LIST || certificates->count == 0)
        return;
    check_names(ctx, certificates);
    if (agreed == NULL || !config_node_is(agreed, "true"))
        config_report_key(
            ctx, node, "needs \"terms_agreed: true\": read the authority's terms of service first");
    if (client != NULL && client->bad)
        return;
    if (path == NULL || path[0] != '/' || access(path, X_OK) != 0)
        config_report_key(ctx, node, "%s cannot be run: %s (Debian has it in the package uacme)",
                          path != NULL ? path : "client",
                          path != NULL && path[0] == '/' ? strerror(errno) : "no absolute path");
}
