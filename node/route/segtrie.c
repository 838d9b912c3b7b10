#include "segtrie.h"

#include <stdlib.h>

#include "weir/alloc.h"

/* FNV-1a over the segment, begun with the parent. The operator alone fills the table: no secret
 * needed. */
static uint64_t hash_edge(uint32_t parent, struct weir_span segment)
{
    uint64_t h = (0xcbf29ce484222325u ^ parent) * 0x100000001b3u;

    for (size_t i = 0; i < segment.len; i++)
        h = (h ^ (unsigned char)segment.ptr[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

void segtrie_free(struct segtrie *t)
{
    weir_free(t->nodes);
    weir_free(t->table);
    *t = (struct segtrie){0};
}

/* The place of the edge in the table, or the empty place where it would be. */
static uint32_t *find_place(const struct segtrie *t, uint32_t parent, struct weir_span segment)
{
    uint32_t mask = t->table_size - 1;
    uint32_t at = (uint32_t)hash_edge(parent, segment) & mask;

    while (t->table[at] != SEGTRIE_NONE) {
        const struct segtrie_node *n = &t->nodes[t->table[at]];

        if (n->parent == parent && weir_span_eq(n->segment, segment))
            break;
        at = (at + 1) & mask;
    }
    return &t->table[at];
}

static bool grow_table(struct segtrie *t)
{
    uint32_t size = t->table_size == 0 ? 16 : t->table_size * 2;
    uint32_t *bigger = weir_malloc(size * sizeof(*bigger));

    if (bigger == NULL)
        return false;
    weir_free(t->table);
    t->table = bigger;
    t->table_size = size;
    for (uint32_t i = 0; i < size; i++)
        bigger[i] = SEGTRIE_NONE;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->nodes[i].parent != SEGTRIE_NONE)
            *find_place(t, t->nodes[i].parent, t->nodes[i].segment) = i;
    }
    return true;
}

static bool grow_nodes(struct segtrie *t)
{
    uint32_t cap = t->cap == 0 ? 16 : t->cap * 2;
    struct segtrie_node *bigger = weir_realloc(t->nodes, cap * sizeof(*bigger));

    if (bigger == NULL)
        return false;
    t->nodes = bigger;
    t->cap = cap;
    return true;
}

static uint32_t new_node(struct segtrie *t, uint32_t parent, struct weir_span segment)
{
    struct segtrie_node *n;

    if (t->count == t->cap && !grow_nodes(t))
        return SEGTRIE_NONE;
    n = &t->nodes[t->count];
    n->parent = parent;
    n->segment = segment;
    for (int i = 0; i < SEGTRIE_SLOTS; i++)
        n->slot[i] = SEGTRIE_NONE;
    if (segment.len > t->longest)
        t->longest = segment.len;
    return t->count++;
}

uint32_t segtrie_root(struct segtrie *t)
{
    return new_node(t, SEGTRIE_NONE, WEIR_SPAN_NONE);
}

uint32_t segtrie_add(struct segtrie *t, uint32_t parent, struct weir_span segment)
{
    uint32_t node = segtrie_child(t, parent, segment);

    if (node != SEGTRIE_NONE)
        return node;
    if (t->count >= t->table_size / 2 && !grow_table(t))
        return SEGTRIE_NONE;
    node = new_node(t, parent, segment);
    if (node != SEGTRIE_NONE)
        *find_place(t, parent, segment) = node;
    return node;
}

uint32_t segtrie_child(const struct segtrie *t, uint32_t parent, struct weir_span segment)
{
    if (t->table_size == 0 || segment.len > t->longest)
        return SEGTRIE_NONE;
    return *find_place(t, parent, segment);
}
