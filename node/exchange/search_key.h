/*
 * search_key.h - keys under No-Vary-Search: made by the newest rule of a path, and corrected when
 * the response shows its own.
 *
 *   look-up:  rule of the path known -> key by that rule; nothing there -> key by the whole query
 *   response: its rule is the key's  -> stored under that key
 *             it has another, or none -> the fill moves to the key that is right for it, and only
 *             those stay with it who asked the same query, or for that very key
 *
 * The origin is asked with the query as the client sent it.
 *
 * Source: draft-ietf-httpbis-no-vary-search 7.
 */
#ifndef SEARCH_KEY_H
#define SEARCH_KEY_H

#include "cache_key.h"
#include "exchange.h"

struct fill;
struct search_rule;

/* Brings the query of a key to its form by the path's newest rule, if there is one. false without
 * memory. */
bool search_key_apply(struct weir_exchange *x, struct cache_key_parts *parts);

/* The key of x by its whole query; in the arena. false without memory. */
bool search_key_exact(struct weir_exchange *x, struct cache_key *out);

/* What the response says, and the key that makes. */
struct search_key {
    bool moved;               /* the key is another than that of the fill */
    struct cache_key key;     /* if moved; in the arena */
    struct search_rule *rule; /* NULL: none; a reference */
};

/*
 * obeyed: the route's switch. bytes: the fill's key; query: as its request was keyed, before any
 * rule. false without memory; *out then holds nothing.
 */
bool search_key_of(struct search_key *out, const struct http_head *response, bool obeyed,
                   struct weir_span bytes, struct weir_span query,
                   const struct weir_hash_secret *secret, struct weir_arena *arena);
void search_key_release(struct search_key *k);

/* A response that is stored teaches the rule of its path. */
void search_key_learn(struct search_rules *rules, const struct search_key *k,
                      struct weir_span bytes, const struct weir_hash_secret *secret);

/* May x, which joined the fill before its head was there, be answered by what came? */
bool search_key_serves(const struct weir_exchange *x, const struct fill *f);

#endif
