/*
 * config_rules_connection.h - rules of what is asked of connections with clients: redirects to
 * https, Alt-Svc, HSTS, client certificates.
 */
#ifndef CONFIG_RULES_CONNECTION_H
#define CONFIG_RULES_CONNECTION_H

#include "config_schema.h"

config_rule config_rule_alt_svc;
config_rule config_rule_hsts;
config_rule config_rule_listen; /* one address: what goes together */
/* A route's: a certificate can only be wanted where some address asks for one. */
config_rule config_rule_client_certificate;

#endif
