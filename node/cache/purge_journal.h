/*
 * purge_journal.h - purges that are not in the log yet, in no order: whatever their ids will be,
 * they come after now.
 *
 * In memory alone: a node that ends takes them with it. Several for the same become one. Bounded:
 * when it is full everything becomes one purge of everything. Not thread-safe.
 */
#ifndef PURGE_JOURNAL_H
#define PURGE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "purge.h"

#define PURGE_JOURNAL_MAX 262144 /* about 16 MB when full */

struct purge_pending {
    struct purge_record record;
    uint32_t ahead[PURGE_TOKENS]; /* calls of purge_ahead() that it stands for */
    bool again;                   /* was in the log once: another node may append it as well */
    uint32_t chain;               /* private */
};

struct purge_journal {
    struct purge_pending *entry;
    uint32_t *bucket; /* first entry + 1 of each, or 0; as many as cap, a power of two */
    size_t count, cap, max;
};

void purge_journal_init(struct purge_journal *j, size_t max);
void purge_journal_free(struct purge_journal *j);
/* false: it is full, or there is no memory. The caller then takes all out, and adds one for all. */
bool purge_journal_add(struct purge_journal *j, const struct purge_pending *p);
/* Takes out one of them; false: there is none. */
bool purge_journal_take(struct purge_journal *j, struct purge_pending *out);
/* The record stands in the log: what another node has appended again need not be so once more.
 * True if something was removed. */
bool purge_journal_seen(struct purge_journal *j, const struct purge_record *r,
                        struct purge_pending *out);

#endif
