/*
 * known_nodes.h - which nodes were here lately and have gone without a word.
 *
 * A node that takes leave is forgotten: it drained when it was seen last, or it has gone sooner
 * than one that is merely silent would be dropped. One that fell silent is missed for an hour, or
 * until a node of its id comes back. Pure: ids and times in, ids and times out.
 */
#ifndef KNOWN_NODES_H
#define KNOWN_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/members.h"

#define KNOWN_MISSED_MS ((int64_t)3600 * 1000)

struct known_node {
    char id[MEMBER_ID_MAX + 1];
    bool draining;
    int64_t seen_ms, beat_ms;
};

struct known_nodes {
    struct known_node *node; /* by id */
    size_t count, cap;
    int64_t looked_ms;
};

/* All that are live now, in any order. Without memory those that are new are not remembered. */
void known_nodes_see(struct known_nodes *k, const struct member *live, size_t count,
                     int64_t now_ms);
/* The n-th that was missed at the last look, or NULL. */
const struct known_node *known_nodes_missing(const struct known_nodes *k, size_t n);
void known_nodes_free(struct known_nodes *k);

#endif
