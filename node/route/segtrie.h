/*
 * segtrie.h - a forest of nodes reached by segments: host labels from the right, path segments from
 * the left.
 *
 * All edges lie in one hash table by (parent, segment), so a step costs one look-up however many
 * children a node has, and a walk ends where the table ends: a hostile path is never longer than
 * what was configured. Filled by one thread, then immutable.
 */
#ifndef SEGTRIE_H
#define SEGTRIE_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/span.h"

#define SEGTRIE_NONE  UINT32_MAX
#define SEGTRIE_SLOTS 3

struct segtrie_node {
    uint32_t parent; /* SEGTRIE_NONE for a root */
    struct weir_span segment;
    uint32_t slot[SEGTRIE_SLOTS]; /* the user's; SEGTRIE_NONE at first */
};

struct segtrie {
    struct segtrie_node *nodes;
    uint32_t count, cap;
    uint32_t *table; /* node numbers, open addressing; a power of two, at most half full */
    uint32_t table_size;
    size_t longest; /* bytes of the longest segment: a longer one is in no table */
};

/* All zero bits is an empty forest. segtrie_free gives its memory back. */
void segtrie_free(struct segtrie *t);

/* A new root, or SEGTRIE_NONE without memory. */
uint32_t segtrie_root(struct segtrie *t);
/* The child, made if need be; SEGTRIE_NONE without memory. Keeps the segment's bytes. */
uint32_t segtrie_add(struct segtrie *t, uint32_t parent, struct weir_span segment);
/* The child, or SEGTRIE_NONE. */
uint32_t segtrie_child(const struct segtrie *t, uint32_t parent, struct weir_span segment);

#endif
