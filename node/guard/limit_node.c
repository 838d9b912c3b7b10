#include <string.h>

#include "weir/alloc.h"
#include "limit_own.h"
#include "limit_rate.h"
#include "netset.h"

struct limit_set {
    size_t count;
    struct limit limit[];
};

/* ---- the node ---- */

struct limit_node *limit_node_new(const struct limit_options *o, struct weir_err *err)
{
    struct limit_node *n = weir_calloc(1, sizeof *n);

    if (n == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "limits: node", 0);
        return NULL;
    }
    n->secret = o->secret;
    n->farm = o->seal != NULL;
    if (n->farm)
        n->seal = *o->seal;
    n->timeout_ms = o->timeout_ms;
    n->cells_max = o->cells_max;
    atomic_init(&n->members, 1);
    limit_top_init(&n->top);
    return n;
}

void limit_node_free(struct limit_node *n)
{
    if (n == NULL)
        return;
    while (n->counts != NULL) {
        struct limit_counts *c = n->counts;

        n->counts = c->next;
        weir_free(c);
    }
    limit_table_free(n->table);
    limit_top_end(&n->top);
    weir_free(n);
}

void limit_node_members(struct limit_node *n, size_t members)
{
    atomic_store_explicit(&n->members, members > 0 ? (unsigned)members : 1, memory_order_relaxed);
}

void limit_node_stats(struct limit_node *n, struct limit_node_stats *out)
{
    *out = (struct limit_node_stats){.farm = n->farm, .members = limit_members(n)};
    out->cells.max = n->cells_max;
    if (n->table != NULL)
        limit_table_stats(n->table, &out->cells);
}

size_t limit_node_top(struct limit_node *n, int64_t now_ms, struct limit_top_entry out[LIMIT_TOP])
{
    return limit_top_read(&n->top, now_ms, out);
}

/* The counts of a name go on over reloads. */
static struct limit_counts *counts_of(struct limit_node *n, const char *name, struct weir_err *err)
{
    struct limit_counts *c = n->counts;

    while (c != NULL && strcmp(c->name, name) != 0)
        c = c->next;
    if (c != NULL)
        return c;
    c = weir_calloc(1, sizeof *c);
    if (c == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "limits: counts", 0);
        return NULL;
    }
    strncpy(c->name, name, sizeof c->name - 1);
    c->next = n->counts;
    n->counts = c;
    return c;
}

/* ---- a configuration's limits ---- */

static bool compile(struct limit *l, struct limit_node *n, const struct limit_settings *s,
                    struct weir_err *err)
{
    const char *wrong = limit_rate_parse(weir_span_str(s->rate), s->burst, &l->rate);

    if (wrong != NULL)
        return weir_failf(err, WEIR_E_CONFIG, "limits: rate", 0, "%s", wrong);
    l->settings = s;
    limit_key_rule_init(&l->key, s, n->secret);
    l->counts = counts_of(n, s->name, err);
    if (l->counts == NULL)
        return false;
    if (s->exempt_count > 0)
        l->exempt = netset_compile(s->exempt, s->exempt_count, err);
    return s->exempt_count == 0 || l->exempt != NULL;
}

struct limit_set *limit_set_new(struct limit_node *n, const struct limit_settings *settings,
                                size_t count, struct weir_err *err)
{
    struct limit_set *set = weir_calloc(1, sizeof *set + count * sizeof set->limit[0]);

    if (set == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "limits: set", 0);
        return NULL;
    }
    if (count > 0 && n->table == NULL && (n->table = limit_table_new(n->cells_max, err)) == NULL)
        goto fail;
    for (size_t i = 0; i < count; i++) {
        set->count = i + 1; /* counted first, so that a half-built one is freed */
        if (!compile(&set->limit[i], n, &settings[i], err))
            goto fail;
    }
    return set;
fail:
    limit_set_free(set);
    return NULL;
}

void limit_set_free(struct limit_set *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        netset_free(s->limit[i].exempt);
    weir_free(s);
}

const struct limit *limit_set_at(const struct limit_set *s, size_t n)
{
    return n < s->count ? &s->limit[n] : NULL;
}

/* ---- those of a route ---- */

static bool wanted(const struct limit *l, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(l->settings->name, names[i]) == 0)
            return true;
    return false;
}

static void pick(struct limit_list *list, const struct limit *l)
{
    if (list->count == LIMITS_OF_ROUTE)
        return;
    list->at[list->count++] = l;
    list->fields = list->fields || (l->settings->fields && !l->settings->dry_run);
}

bool limit_set_pick(const struct limit_set *s, const char *const *names, size_t count,
                    bool all_routes, struct limit_list **out, struct weir_err *err)
{
    struct limit_list list = {0};

    *out = NULL;
    for (size_t i = 0; i < s->count; i++)
        if (all_routes && s->limit[i].settings->all_routes)
            pick(&list, &s->limit[i]);
    for (size_t i = 0; i < s->count; i++)
        if (!(all_routes && s->limit[i].settings->all_routes) && wanted(&s->limit[i], names, count))
            pick(&list, &s->limit[i]);
    if (list.count == 0)
        return true;
    *out = weir_malloc(sizeof list);
    if (*out == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "limits: route", 0);
    **out = list;
    return true;
}
