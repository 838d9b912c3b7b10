/*
 * config_rules.h - what is right or wrong beyond the form of a single value; rows of the schema
 * point here.
 */
#ifndef CONFIG_RULES_H
#define CONFIG_RULES_H

#include "config_schema.h"

config_rule config_rule_listen_address;
config_rule config_rule_listen_tls; /* that there is one turns it on */
config_rule config_rule_admin_socket;
config_rule config_rule_node_id;   /* letters, digits, '.', '-', '_', ':'; or "auto" */
config_rule config_rule_state_dir; /* "auto", "" or an absolute path */
config_rule config_rule_network;
config_rule config_rule_redis_address;
config_rule config_rule_token;          /* a field name, method or the like (RFC 9110 5.6.2) */
config_rule config_rule_optional_token; /* or nothing at all */
config_rule config_rule_name;       /* letters, digits, '.', '_', '-': fit for logs and metrics */
config_rule config_rule_upstream;   /* the name of one */
config_rule config_rule_authority;  /* a value of Host */
config_rule config_rule_rate;       /* "100/s" */
config_rule config_rule_rate_name;  /* the name of a rate limit */
config_rule config_rule_limit_part; /* "client", "field NAME", ... */
config_rule config_rule_media_type; /* "text/html", "text/" and a star */

/* Of sections. */
config_rule config_rule_origin;     /* turns the text of an origin into its mapping */
config_rule config_rule_status_ttl; /* turns "404 10s" into its mapping */
config_rule config_rule_balance;
config_rule config_rule_eject;
config_rule config_rule_origins; /* an upstream's: no two alike, and what does not go together */
config_rule config_rule_upstream_tls;
config_rule config_rule_server_name; /* a host name, for SNI */
config_rule config_rule_health_path;
config_rule config_rule_health_field;
config_rule config_rule_health_status;
config_rule config_rule_health_body;
config_rule config_rule_health; /* derives `type` */
config_rule config_rule_respond;
config_rule config_rule_limit; /* not too many parts in its key */
config_rule config_rule_redis_tls;
config_rule config_rule_redis;       /* its files, if it is used */
config_rule config_rule_farm;        /* a Redis needs a secret */
config_rule config_rule_admin_token; /* its file */
config_rule config_rule_admin_tcp;   /* without TLS only on loopback; a certificate and its key */
config_rule config_rule_acme_name;   /* a host name without wildcard */
config_rule config_rule_acme_directory; /* https://... */
config_rule config_rule_acme;           /* terms, a client, a folder */
config_rule config_rule_hooks;          /* commands that can be run */
config_rule config_rule_route;          /* derives `action`, `split` and `name` */
config_rule config_rule_all;            /* names that must be unique */

/* The number `name` in map, or else the default of the row at `path`. */
uint64_t config_number_of(const struct config_node *map, const char *name, const char *path);

/* What the protocols of an upstream's origins do not go together with. */
void config_rules_origin_protocols(struct config_ctx *ctx, struct config_node *upstream);

/* Collects the names of the upstreams; before the check, for routes may come first. */
void config_rules_prepare(struct config_ctx *ctx);

#endif
