/*
 * inflight.h - which fills are on their way, so that one fetch serves all who ask for the same
 * thing.
 *
 * Shared by all workers; sharded by the key's hash.
 */
#ifndef INFLIGHT_H
#define INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>

#include "fill.h"

struct http_head;
struct inflight;

struct inflight *inflight_new(struct weir_err *err);
/* No fill may be left in it. NULL does nothing. */
void inflight_free(struct inflight *t);

/*
 * A fill under way for fresh's key that may serve `request`: one whose variant is not known yet, or
 * is the request's, and that nothing has purged since it began. Returned with a reference for the
 * caller. If there is none, `fresh` is entered (the table keeps a reference) and NULL is returned.
 */
struct fill *inflight_join(struct inflight *t, struct fill *fresh, const struct http_head *request);
/*
 * `fresh` is for who asks alone: the key is marked as one whose answers cannot be shared, so nobody
 * finds it, and it needs no lock. Should this answer be one that can, inflight_variant() enters it.
 */
static inline void inflight_alone(struct fill *fresh)
{
    fresh->alone = true;
    fresh->shared = false;
}
/* Nobody joins any more; the owner's to call. Harmless when it was not in: then false. */
bool inflight_remove(struct inflight *t, struct fill *f);
/* How many are under way: walks the table, for who wants to see. */
size_t inflight_count(struct inflight *t);
/* The response told its tags; they must stay where they are until it is removed. */
void inflight_tags(struct inflight *t, struct fill *f, const uint64_t *tags, uint32_t count);
/*
 * The response showed that it belongs under another key: the fill stands there from now on, if it
 * is still in the table. `asked`: the query it was asked with (fill.h). url: by which it
 * can be purged there; its stamp stays. false: it is in the table
 * no more, or there is no memory, and then it must not be stored or shared. Before fill_open(), by
 * the owner.
 */
bool inflight_move(struct inflight *t, struct fill *f, const struct cache_key *key,
                   struct weir_span asked, uint64_t url);
/* The response told which variant this is. false without memory: then the fill is removed. */
bool inflight_variant(struct inflight *t, struct fill *f, const struct vary_spec *vary,
                      struct weir_span variant);

#endif
