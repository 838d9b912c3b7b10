/*
 * keeper.h - keeps one small file (weir/keepfile.h) as its owner says it should be, without waiting
 * for the disk: the work pool writes, one writing at a time, the newest content last.
 *
 * Contents are overwritten in memory when they are written, since they may be secret.
 */
#ifndef WEIR_KEEPER_H
#define WEIR_KEEPER_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/err.h"

struct weir_keeper;
struct weir_mailbox;
struct weir_work_pool;

struct weir_keeper_options {
    const char *path; /* copied */
    struct weir_work_pool *pool;
    struct weir_mailbox *box; /* of the owner's thread */
    /* The newest content is on disk, or is not: *err. On the owner's thread, from its mailbox. What
     * was not written stays wanted: weir_keeper_again(). */
    void (*told)(void *arg, bool ok, const struct weir_err *err);
    void *arg;
};

/* NULL: *err (memory). */
struct weir_keeper *weir_keeper_new(const struct weir_keeper_options *o, struct weir_err *err);
/* Writes what is wanted, now and here, and tells nobody: *err if it could not (true: nothing was
 * wanted, or it is written). NULL does nothing. */
bool weir_keeper_free(struct weir_keeper *k, struct weir_err *err);

/* Takes `bytes` (weir_malloc), which replace what was wanted before. */
void weir_keeper_put(struct weir_keeper *k, char *bytes, size_t len);
/* Tries once more what could not be written. Harmless if there is nothing. */
void weir_keeper_again(struct weir_keeper *k);

#endif
