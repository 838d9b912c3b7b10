/*
 * health_answer.h - what an origin sends to a probe over HTTP, judged as it arrives.
 *
 * Pure: bytes in, verdict out; the same bytes give the same verdict however they were cut. What is
 * read is bounded: a head by http_response_limits, content by HEALTH_BODY_BYTES. An answer counts
 * when it is whole, or when so much of its content has come: then the rest is not waited for. A
 * status that is not expected is the verdict at once.
 */
#ifndef HEALTH_ANSWER_H
#define HEALTH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "health.h"
#include "weir/err.h"

#define HEALTH_BODY_BYTES 65536

struct health_answer;
struct health_check;
struct pattern_scratch;

/* Borrows both until it is freed. Returns owned; NULL: *err. */
struct health_answer *health_answer_new(const struct health_check *check,
                                        struct pattern_scratch *scratch, struct weir_err *err);
void health_answer_free(struct health_answer *a); /* NULL does nothing */

/*
 * Where to put what is read next: at least one byte. NULL: no memory. Then tell how many came.
 * After a verdict (HEALTH_R_NONE is none yet) none of the three is called again.
 */
char *health_answer_room(struct health_answer *a, size_t *room);
enum health_reason health_answer_took(struct health_answer *a, size_t len);
/* No more comes. orderly: by an end of stream, not by a reset. Never HEALTH_R_NONE. */
enum health_reason health_answer_closed(struct health_answer *a, bool orderly);

/* Of the final head; 0 until then. */
int health_answer_status(const struct health_answer *a);

#endif
