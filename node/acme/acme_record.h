/*
 * acme_record.h - certificates and account keys as bytes: on the board of shared state, wrapped;
 * and in the file that a node keeps, wrapped in a farm and plain without one. Any bytes may be
 * read.
 *
 *     record  fields (weir/record.h): made, chain, key
 *     file    a line that says what it is, and one for each: id, a space, hex
 */
#ifndef ACME_RECORD_H
#define ACME_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/span.h"
#include "weir/wrap.h"

#define ACME_ID_MAX     24 /* with its NUL */
#define ACME_PEM_MAX    (24 * 1024)
#define ACME_RECORD_MAX (60 * 1024)
#define ACME_FILE_MAX   ((size_t)16 << 20)
#define ACME_HELD_MAX   1000

/* A certificate with its key, or an account's key (no chain). The texts end with NUL; owned. */
struct acme_held {
    char id[ACME_ID_MAX]; /* letters, digits, "-" */
    int64_t made_ms;      /* by the clock of who made it: of two, the greater one holds */
    char *chain, *key;    /* PEM; chain "" for an account */
};

/* Overwrites the key. Harmless twice. */
void acme_held_clear(struct acme_held *h);
/* Takes copies. false: no memory, or too large. */
bool acme_held_set(struct acme_held *h, const char *id, int64_t made_ms, struct weir_span chain,
                   struct weir_span key);

/* k NULL: plain. Returns owned bytes; ptr NULL: no memory. */
struct weir_span acme_record_write(const struct weir_wrap_key *k, const struct acme_held *h);
/* false: forged, damaged, for another id, no sense, or no memory; *out is clear. */
bool acme_record_read(const struct weir_wrap_key *k, struct weir_span id, struct weir_span bytes,
                      struct acme_held *out);

/* Returns owned text; NULL without memory. */
char *acme_file_text(const struct weir_wrap_key *k, const struct acme_held *const *list,
                     size_t count, size_t *len);
/* Calls with each; who wants to keep one takes its texts out. false: a line, or all of it, makes no
 * sense; what came before was told. */
bool acme_file_read(const struct weir_wrap_key *k, struct weir_span text,
                    void (*found)(void *arg, struct acme_held *h), void *arg);

#endif
