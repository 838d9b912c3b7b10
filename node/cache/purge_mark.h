/*
 * purge_mark.h - marks in the shared store that say of a URL: some node may have it.
 *
 * An unsafe method invalidates its URL in the whole farm (RFC 9111 4.4), but the node it goes
 * through cannot know whether another one holds it; and a record for each request to a URL that
 * nobody holds would crowd out the purges that matter. So whoever shares a response leaves a mark
 * under the hash of its URL, and the log gets a record if there is a mark.
 *
 * Mark a URL *before* the request for it goes to the origin, and again when the response is stored:
 * a mark that came only then could come after the question about it.
 *
 * A key, w1:{U<hash>}:k<class>, for each of a few classes of lifetimes, so that a mark for a
 * short-lived response never shortens that of a long-lived one. Evicted like all of the cache: then
 * other nodes keep what they have until it is stale.
 */
#ifndef PURGE_MARK_H
#define PURGE_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/shared.h"
#include "purge.h"

/* How long a mark lasts that is made when nothing is known of the response yet. */
#define PURGE_MARK_FETCH_MS (10 * 60 * 1000)

/*
 * Marks a URL (`url` of a purge_subject) for at least ttl_ms. c: the caller's, with `done` and
 * `timeout_ms` set; the result does not matter much.
 */
void purge_mark(struct shared_port *p, struct shared_call *c, uint64_t url, int64_t ttl_ms);

enum purge_marked { PURGE_UNMARKED, PURGE_MARKED, PURGE_MARK_UNKNOWN };

struct purge_question;

/* Is the URL of the record, in any form, marked? Asks and tells by done(), from the loop. NULL
 * without memory: done() will not be called. */
struct purge_question *purge_question_new(struct shared_port *p, const struct purge_record *r,
                                          uint32_t timeout_ms,
                                          void (*done)(enum purge_marked answer, void *arg),
                                          void *arg);
/* Before done() was called: it will not be. NULL does nothing. */
void purge_question_free(struct purge_question *q);

#endif
