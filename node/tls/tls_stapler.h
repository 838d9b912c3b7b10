/*
 * tls_stapler.h - keeps what is stapled in force: asks responders, keeps their answers over
 * restarts, asks again before they expire.
 *
 *   due --turn--> asked (one at a time, on the work pool) --> judged --> stapled, due again
 * half-way
 *                                                    '--> failed: due again, ever later
 *
 * All on the control thread, but for the asking itself.
 */
#ifndef TLS_STAPLER_H
#define TLS_STAPLER_H

#include "weir/mailbox.h"
#include "weir/work.h"
#include "tls_store.h"

struct tls_stapler;

struct tls_stapler_options {
    struct weir_work_pool *pool;
    struct weir_mailbox *box; /* the control thread's */
    const char *folder;       /* answers are kept here; copied; NULL: nowhere */
};

/* NULL: *err. */
struct tls_stapler *tls_stapler_new(const struct tls_stapler_options *o, struct weir_err *err);
/* What is asked ends soon. Before the pool ends. NULL does nothing. */
void tls_stapler_stop(struct tls_stapler *s);
/* After the pool has ended. NULL does nothing. */
void tls_stapler_free(struct tls_stapler *s);

/* From now on this one (a reference is kept; NULL: none); what was stapled before is stapled in it,
 * if the certificate is the same. fetch: responders are asked. */
void tls_stapler_serve(struct tls_stapler *s, struct tls_store *store, bool fetch, int64_t now_s);
/* Once a second. NULL does nothing. */
void tls_stapler_turn(struct tls_stapler *s, int64_t now_s);

#endif
