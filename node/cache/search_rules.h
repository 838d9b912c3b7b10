/*
 * search_rules.h - the newest No-Vary-Search rule of each path, shared by all workers.
 *
 * A look-up must know the rule before it has found the response that bears it. So the rule of the
 * response stored last is remembered by where it holds (the key without its query), and the key of
 * the next request is made by it. The rule is a part of that key: what was stored under another
 * rule, or under none, is not found by it, so a rule that is old or gone makes a miss and never a
 * wrong answer.
 *
 * SEARCH_RULES_MAX places, those not used for longest make room. An empty table costs a load.
 */
#ifndef SEARCH_RULES_H
#define SEARCH_RULES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "weir/err.h"
#include "cache_key.h"

struct search_rule;
struct search_rules;

#define SEARCH_RULES_MAX    2048
#define SEARCH_RULE_KEY_MAX 1024 /* where the path is longer, rules are not remembered */

struct search_rules *search_rules_new(struct weir_err *err);
void search_rules_free(struct search_rules *t); /* NULL does nothing */

bool search_rules_empty(const struct search_rules *t);
/* where: the key without query. Returns owned (a reference), or NULL. */
struct search_rule *search_rules_find(struct search_rules *t, const struct cache_key *where);
/* Keeps a reference to the rule; takes the place of an older one. Without memory it is forgotten.
 */
void search_rules_learn(struct search_rules *t, const struct cache_key *where,
                        struct search_rule *rule);

#endif
