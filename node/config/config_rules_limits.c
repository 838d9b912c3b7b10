#include "config_rules_limits.h"

#include "config_rules.h"
#include "config_tree.h"
#include "limit.h"
#include "limit_rate.h"

void config_rule_rate(struct config_ctx *ctx, struct config_node *node)
{
    struct weir_gcra_rate rate;
    const char *wrong = limit_rate_parse(node->text, 0, &rate);
    char found[CONFIG_QUOTE_MAX];

    if (wrong != NULL)
        config_report(ctx, node, "%s; found %s", wrong, config_found(node, found));
}

void config_rule_limit_part(struct config_ctx *ctx, struct config_node *node)
{
    struct limit_part part;
    const char *wrong = limit_part_parse(node->text, &part);
    char found[CONFIG_QUOTE_MAX];

    if (wrong != NULL)
        config_report(ctx, node, "%s; found %s", wrong, config_found(node, found));
}

void config_rule_limit(struct config_ctx *ctx, struct config_node *limit)
{
    struct config_node *key = config_node_get(limit, "key");

    if (key != NULL && key->count > LIMIT_PARTS_MAX)
        config_report(ctx, key, "at most %d parts, found %u", LIMIT_PARTS_MAX,
                      (unsigned)key->count);
}

static bool is_for_all(const struct config_node *limit)
{
    const struct config_node *all = config_node_get(limit, "all_routes");

    return all != NULL && !all->bad && all->number != 0;
}

static unsigned count_for_all(const struct config_node *limits)
{
    unsigned count = 0;

    if (limits == NULL || limits->kind != CONFIG_LIST)
        return 0;
    for (const struct config_node *l = limits->first; l != NULL; l = l->next)
        count += is_for_all(l);
    return count;
}

void config_check_rates(struct config_ctx *ctx, struct config_node *root)
{
    struct config_node *limits = config_node_get(root, "limits");
    struct config_node *routes = config_node_get(root, "routes");
    const unsigned all = count_for_all(limits);

    if (all > LIMITS_OF_ROUTE)
        config_report(ctx, limits, "at most %d may be for all routes, found %u", LIMITS_OF_ROUTE,
                      all);
    if (routes == NULL || routes->kind != CONFIG_LIST || all > LIMITS_OF_ROUTE)
        return;
    for (struct config_node *r = routes->first; r != NULL; r = r->next) {
        struct config_node *rates = config_node_get(config_node_get(r, "limits"), "rates");

        if (rates != NULL && rates->count + all > LIMITS_OF_ROUTE)
            config_report(ctx, rates,
                          "a route has at most %d limits; found %u, those for all "
                          "routes included",
                          LIMITS_OF_ROUTE, (unsigned)(rates->count + all));
    }
}
