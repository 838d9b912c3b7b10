/*
 * shared_embedded.h - shared state in the memory of this process: the engine without a farm.
 *
 * Any number of ports, each on its own thread, see the same state. It is lost with the process.
 * Memory is bounded: what SHARED_CACHE holds makes room for what comes, the least recently used
 * first; what SHARED_STATE holds stays for its time, and what does not fit is FULL. Time is that of
 * the asking port's loop (struct shared_loop.clock): monotonic for all that runs out, wall time for
 * the ids of logs.
 */
#ifndef SHARED_EMBEDDED_H
#define SHARED_EMBEDDED_H

#include "weir/shared.h"

struct shared_embedded_options {
    /* All that an area may take, book-keeping included. 0: the default, 64 MiB. */
    size_t bytes_max[SHARED_AREAS];
};

/* options: borrowed, or NULL for the defaults. Returns owned: shared_free(). NULL: *err. */
struct weir_shared *shared_embedded_new(const struct shared_embedded_options *options,
                                        struct weir_err *err);
/* What an area holds now, book-keeping included. Any thread. s is an embedded engine. */
size_t shared_embedded_bytes(const struct weir_shared *s, enum shared_area area);

#endif
