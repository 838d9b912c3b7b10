/*
 * redis_answer.h - what Redis' reply to each operation of the door means.
 *
 * Pure: a reply in, the answer members of a call out. Redis is a peer: a reply of another kind than
 * the operation's own, a number out of range or a damaged record is SHARED_BAD, never a crash and
 * never half an answer.
 */
#ifndef REDIS_ANSWER_H
#define REDIS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/shared.h"

struct redis_reply;

enum redis_op {
    REDIS_OP_GET,
    REDIS_OP_PUT,
    REDIS_OP_PUT_FENCED,
    REDIS_OP_PUT_NEW,
    REDIS_OP_REMOVE,
    REDIS_OP_REMOVE_IF,
    REDIS_OP_TOUCH,
    REDIS_OP_LEASE_TAKE,
    REDIS_OP_LEASE_RENEW,
    REDIS_OP_LEASE_WAKE,
    REDIS_OP_LEASE_RELEASE,
    REDIS_OP_LOG_APPEND,
    REDIS_OP_LOG_OPEN,
    REDIS_OP_LOG_READ,
    REDIS_OP_BOARD_PUT,
    REDIS_OP_BOARD_REMOVE,
    REDIS_OP_BOARD_READ,
    REDIS_OP_TOKENS_TAKE,
    REDIS_OP_HINT,
    REDIS_OPS
};

/* "get", "put_fenced", ...: for operators; static. */
const char *redis_op_name(enum redis_op op);

/* Fills the answer members of c, which are clear. Borrows the reply: a value is kept by a reference
 * to its blob, entries and notes are copied. SHARED_FULL also without memory of our own. */
void redis_answer(enum redis_op op, const struct redis_reply *reply, struct shared_call *c);

/* What an error reply means; SHARED_BAD for one that is not known. */
enum shared_result redis_answer_error(const struct redis_reply *reply);

/* The channel of the i-th waiter of an OK reply to LEASE_WAKE or LEASE_RELEASE, i < c->number. */
struct weir_span redis_answer_waiter(const struct redis_reply *reply, size_t i);

/* Ids of a stream's records, "<ms>-<seq>", are packed as (ms << 20 | seq). */
#define REDIS_LOG_SEQ_BITS 20
#define REDIS_LOG_ID_TEXT  24 /* with its NUL */

/* False where it does not fit: ms of 44 bits, seq of 20 (redis_scripts.c sees to that). */
bool redis_log_id_parse(struct weir_span text, uint64_t *id);
/* Into buf; returns it as a span. */
struct weir_span redis_log_id_text(uint64_t id, char buf[REDIS_LOG_ID_TEXT]);

#endif
