#include "known_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"

#define SLACK_MS 1000 /* by which a beat may seem younger than it is */

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct known_node *)a)->id, ((const struct known_node *)b)->id);
}

static struct known_node *find(struct known_nodes *k, size_t count, const char *id)
{
    struct known_node like;

    snprintf(like.id, sizeof like.id, "%s", id);
    return count > 0 ? bsearch(&like, k->node, count, sizeof like, by_id) : NULL;
}

static void add(struct known_nodes *k, const char *id)
{
    if (k->count == k->cap) {
        size_t cap = k->cap * 2 + 8;
        struct known_node *grown = weir_realloc(k->node, cap * sizeof *grown);

        if (grown == NULL)
            return;
        k->node = grown;
        k->cap = cap;
    }
    memset(&k->node[k->count], 0, sizeof *k->node);
    snprintf(k->node[k->count++].id, sizeof k->node->id, "%s", id);
}

static void see(struct known_node *node, const struct member *m, int64_t now_ms)
{
    node->draining = (m->brief.flags & MEMBER_DRAINING) != 0;
    node->seen_ms = now_ms;
    node->beat_ms = m->beat_ms;
}

/* Of one that was there at the look before. */
static bool took_leave(const struct known_node *node, int64_t now_ms)
{
    return node->draining || now_ms - node->beat_ms < MEMBER_LIVE_MS - SLACK_MS;
}

static bool is_over(const struct known_nodes *k, const struct known_node *node, int64_t now_ms)
{
    if (node->seen_ms == now_ms)
        return false;
    return (node->seen_ms == k->looked_ms && took_leave(node, now_ms)) ||
           now_ms - node->seen_ms > KNOWN_MISSED_MS;
}

static void forget(struct known_nodes *k, int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < k->count; i++)
        if (!is_over(k, &k->node[i], now_ms))
            k->node[kept++] = k->node[i];
    k->count = kept;
}

/* Twins that are both new have been added twice. */
static void unite(struct known_nodes *k)
{
    size_t kept = 0;

    if (k->count > 0)
        qsort(k->node, k->count, sizeof *k->node, by_id);
    for (size_t i = 0; i < k->count; i++)
        if (kept == 0 || by_id(&k->node[kept - 1], &k->node[i]) != 0)
            k->node[kept++] = k->node[i];
    k->count = kept;
}

void known_nodes_see(struct known_nodes *k, const struct member *live, size_t count, int64_t now_ms)
{
    size_t before = k->count;

    for (size_t i = 0; i < count; i++) {
        struct known_node *node = find(k, before, live[i].id);
        size_t had = k->count;

        if (node == NULL)
            add(k, live[i].id);
        if (node == NULL && k->count > had)
            node = &k->node[had];
        if (node != NULL)
            see(node, &live[i], now_ms);
    }
    forget(k, now_ms);
    k->looked_ms = now_ms;
    unite(k);
}

const struct known_node *known_nodes_missing(const struct known_nodes *k, size_t n)
{
    for (size_t i = 0; i < k->count; i++)
        if (k->node[i].seen_ms != k->looked_ms && n-- == 0)
            return &k->node[i];
    return NULL;
}

void known_nodes_free(struct known_nodes *k)
{
    weir_free(k->node);
    memset(k, 0, sizeof *k);
}
