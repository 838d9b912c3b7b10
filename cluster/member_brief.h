/*
 * member_brief.h - what a member says with each beat, as bytes; and the id under which it says it.
 *
 * Fields (weir/record.h), the format among them. A reader skips those it does not know, so that a
 * newer format is read as far as known; one that must not be read that way marks a field critical.
 *
 *     hint:  'b'  u8 length of the id | id | sealed brief      or  'l' alone: look at the board
 *
 * Pure. Any bytes may be read.
 */
#ifndef MEMBER_BRIEF_H
#define MEMBER_BRIEF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/members.h"
#include "weir/span.h"

struct record_fields;

#define MEMBER_FORMAT      1
#define MEMBER_ENTRY_MAX   (MEMBER_ID_MAX + 1 + 16) /* bytes of "id/incarnation" */
#define MEMBER_BRIEF_BYTES (MEMBER_VOTES_MAX + 256) /* at most, unsealed */
#define MEMBER_SEALED_MAX  (MEMBER_BRIEF_BYTES + WEIR_SEAL_BYTES)

/* 1 to MEMBER_ID_MAX letters, digits and ". - _ :". */
bool member_id_valid(struct weir_span id);

/* "id/0123456789abcdef" */
struct weir_span member_entry(struct weir_span id, uint64_t incarnation,
                              char buf[MEMBER_ENTRY_MAX + 1]);
/* *id points into `entry`. false: it is none. */
bool member_entry_read(struct weir_span entry, struct weir_span *id, uint64_t *incarnation);

struct member_said {
    unsigned format;
    uint64_t sequence; /* > 0 */
    struct member_brief brief;
    uint64_t shared_ms; /* when it was sealed, by the shared clock; 0: not known then */
};

/* fs: in the making; without memory fs->failed. */
void member_brief_write(struct record_fields *fs, const struct member_said *said);
/* out->brief.votes points into `bytes`. false: not readable here. */
bool member_brief_read(struct weir_span bytes, struct member_said *out);

/* Do both say the same, votes too? */
bool member_brief_same(const struct member_brief *a, const struct member_brief *b);

/* ---- hints ---- */

#define MEMBER_HINT_LOOK WEIR_SPAN_LIT("l")

/* Into buf; empty if it does not fit a hint. */
struct weir_span member_hint_write(struct weir_span entry, struct weir_span sealed,
                                   char buf[SHARED_HINT_MAX]);
/* true: entry and sealed point into `hint`. false: it says to look, or nothing that is known. */
bool member_hint_read(struct weir_span hint, struct weir_span *entry, struct weir_span *sealed);

#endif
