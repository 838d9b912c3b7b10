/*
 * votes.h - what a member says of the checks it probes, as bytes: member_brief.votes.
 *
 *     format[1] = 1 | { check id[8] | vote[1] | reason[1] | run[2] } ...     big-endian, ids
 * ascending
 *
 * vote: 1 up, 2 down. reason: enum health_reason. run: how many results of that kind in a row (up
 * to 65535), for people. A member that has no opinion leaves the check out.
 *
 * Votes come from other nodes, perhaps of another version: bytes of another format, cut short, out
 * of order or with a vote that is neither mean nothing at all; a reason that is not known is NONE.
 *
 * Pure, allocates nothing.
 */
#ifndef VOTES_H
#define VOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/span.h"

#include "health.h"

#define VOTES_HEAD_BYTES 1
#define VOTES_ONE_BYTES  12

struct vote {
    uint64_t check;
    enum health_vote vote; /* never NONE */
    enum health_reason reason;
    uint16_t run;
};

/* Bytes that `count` votes take. */
static inline size_t votes_bytes(size_t count)
{
    return VOTES_HEAD_BYTES + count * VOTES_ONE_BYTES;
}

/* Makes *v the i-th, counted from 0, of votes that are written to `out` one after the other:
 * together votes_bytes(i + 1) bytes. The ids ascend, and no two are the same. */
void votes_put(const struct vote *v, size_t i, char *out);
/* Do these bytes make sense, all of them? Nothing at all does, and is no vote. */
bool votes_valid(struct weir_span bytes);
/* What valid bytes say of a check; false: nothing. */
bool votes_find(struct weir_span bytes, uint64_t check, struct vote *out);
size_t votes_count(struct weir_span bytes); /* of valid bytes */

#endif
