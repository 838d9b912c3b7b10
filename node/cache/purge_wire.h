/*
 * purge_wire.h - an entry of the log of purges <-> records.
 *
 *     version (1) | 0 | count (2) | count records of 32 bytes:
 *     scope (1) | mode (1) | 0 (2) | length (4) | hash (8) | also (8) | time, seconds (8)
 *
 * All numbers little-endian. An entry without bytes is the log's beginning: no records. What is of
 * another version, or not exactly so, cannot be read, and then nobody knows what it purges: the
 * caller has to purge everything.
 *
 * Pure: no allocation but the result's.
 */
#ifndef PURGE_WIRE_H
#define PURGE_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/span.h"
#include "purge.h"

#define PURGE_WIRE_VERSION 1
#define PURGE_WIRE_HEAD    4
#define PURGE_WIRE_RECORD  32
#define PURGE_WIRE_MAX     65535 /* records of an entry */

#define PURGE_WIRE_BYTES(count) (PURGE_WIRE_HEAD + (size_t)(count)*PURGE_WIRE_RECORD)

/* Writes PURGE_WIRE_BYTES(count). 0 < count <= PURGE_WIRE_MAX. */
void purge_wire_write(char *out, const struct purge_record *r, size_t count);

/* How many records there are, each to be had by purge_wire_record(). false: it cannot be read. */
bool purge_wire_read(struct weir_span entry, size_t *count);
/* i < count of a readable entry. Its sequence is 0. */
struct purge_record purge_wire_record(struct weir_span entry, size_t i);

#endif
