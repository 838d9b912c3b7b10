/*
 * config_rules_limits.h - what is right or wrong about rate limits, beyond one limit.
 */
#ifndef CONFIG_RULES_LIMITS_H
#define CONFIG_RULES_LIMITS_H

struct config_ctx;
struct config_node;

/* No route may have more limits than are asked for one request. */
void config_check_rates(struct config_ctx *ctx, struct config_node *root);

#endif
