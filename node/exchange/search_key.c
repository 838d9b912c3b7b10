#include "search_key.h"

#include "fill.h"
#include "search_rule.h"
#include "search_rules.h"

/* Where a rule holds: scheme, authority and path. The buffer is for the key. */
static bool place_of(struct cache_key *where, const struct cache_key_parts *parts,
                     const struct weir_hash_secret *secret, char buf[SEARCH_RULE_KEY_MAX])
{
    struct cache_key_parts place = {
        .class = CACHE_KEY_GET,
        .scheme = parts->scheme,
        .authority = parts->authority,
        .path = parts->path,
        .route = parts->route,
    };

    return cache_key_build(where, &place, secret, buf, SEARCH_RULE_KEY_MAX, NULL);
}

/* ---- for a look-up ---- */

bool search_key_apply(struct weir_exchange *x, struct cache_key_parts *parts)
{
    struct search_rules *rules = x->w->search_rules;
    char buf[SEARCH_RULE_KEY_MAX];
    struct search_rule *rule;
    struct weir_span form;
    struct cache_key where;
    bool ok = true;

    if (rules == NULL || search_rules_empty(rules) || !place_of(&where, parts, x->w->secret, buf))
        return true;
    rule = search_rules_find(rules, &where);
    if (rule != NULL && search_rule_apply(rule, parts->query, &x->arena, &form)) {
        parts->query = form;
        parts->has_query = form.len > 0;
        parts->search = weir_arena_dup(&x->arena, rule->text); /* the rule may be replaced */
        ok = parts->search.ptr != NULL;
    }
    search_rule_unref(rule);
    return ok;
}

static void set_exact(struct cache_key_parts *parts, struct weir_span query)
{
    parts->query = query;
    parts->has_query = query.ptr != NULL;
    parts->search = WEIR_SPAN_NONE;
}

bool search_key_exact(struct weir_exchange *x, struct cache_key *out)
{
    struct cache_key_parts parts;

    if (!cache_key_read(x->key.bytes, &parts))
        return false;
    set_exact(&parts, x->keyed.query);
    return cache_key_build(out, &parts, x->w->secret, NULL, 0, &x->arena);
}

/* ---- when the head is there ---- */

bool search_key_of(struct search_key *out, const struct http_head *response, bool obeyed,
                   struct weir_span bytes, struct weir_span query,
                   const struct weir_hash_secret *secret, struct weir_arena *arena)
{
    struct cache_key_parts parts;
    struct weir_span form;

    *out = (struct search_key){.moved = false};
    if (!obeyed ||
        (!http_head_has(response, HTTP_F_NO_VARY_SEARCH) && !cache_key_has_search(bytes)) ||
        !cache_key_read(bytes, &parts))
        return true;
    out->rule = search_rule_from(response, arena);
    set_exact(&parts, query);
    if (out->rule != NULL && search_rule_apply(out->rule, query, arena, &form)) {
        parts.query = form;
        parts.has_query = form.len > 0;
        parts.search = out->rule->text;
    }
    if (!cache_key_build(&out->key, &parts, secret, NULL, 0, arena)) {
        search_key_release(out);
        return false;
    }
    out->moved = !weir_span_eq(out->key.bytes, bytes);
    return true;
}

void search_key_release(struct search_key *k)
{
    search_rule_unref(k->rule);
    k->rule = NULL;
}

void search_key_learn(struct search_rules *rules, const struct search_key *k,
                      struct weir_span bytes, const struct weir_hash_secret *secret)
{
    char buf[SEARCH_RULE_KEY_MAX];
    struct cache_key_parts parts;
    struct cache_key where;

    if (k->rule != NULL && rules != NULL && cache_key_read(bytes, &parts) &&
        place_of(&where, &parts, secret, buf))
        search_rules_learn(rules, &where, k->rule);
}

static bool same_query(struct weir_span a, struct weir_span b)
{
    if (a.ptr == NULL || b.ptr == NULL) /* no query, which is not the empty one */
        return a.ptr == b.ptr;
    return weir_span_eq(a, b);
}

bool search_key_serves(const struct weir_exchange *x, const struct fill *f)
{
    return f->moved == NULL || weir_span_eq(f->key, x->key.bytes) ||
           same_query(f->asked, x->keyed.query);
}
