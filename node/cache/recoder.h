/*
 * recoder.h - makes stored content in other codings, on threads of its own.
 *
 *   recoder_begin(), recoder_ask() -> job in the queue -> run on a thread -> in the tier
 *                                                                   '-> who waits gets the form
 *
 * There is one job at a time for a content and a coding, whoever asks. Jobs that somebody waits for
 * go before those nobody does. A job that fails, or gains too little, is remembered with the
 * content and not tried again; the content stays as it was.
 *
 * zstd of a content that came without coding replaces it: the stored response is put again over the
 * zstd body, and the identity body goes. All else becomes a form beside it.
 *
 * All functions may be called from any thread, except where it says otherwise.
 */
#ifndef RECODER_H
#define RECODER_H

#include <stdint.h>

#include "weir/err.h"
#include "weir/metrics.h"
#include "http_coding.h"

struct recoder;
struct recoder_wait;
struct stored_form;
struct stored_response;
struct tier;
struct weir_mailbox;

/* How to code; copied into the job. */
struct recoder_settings {
    unsigned level[CODINGS];
    uint64_t identity_max; /* content that is larger without coding is left as it is */
};

/* box: where threads report; drained until recoder_free(). Both borrowed. */
struct recoder *recoder_new(struct tier *t, unsigned threads, struct weir_mailbox *box,
                            struct weir_err *err);
/* Ends the threads; what is queued is not done, nobody is woken any more. The box must be drained
 * after that and before recoder_free(). NULL does nothing. */
void recoder_stop(struct recoder *r);
/* Every wait must be closed. NULL does nothing. */
void recoder_free(struct recoder *r);

/* Begins to make a coding of r's content, which has forms, unless that is under way, done, useless,
 * or too much is queued. */
void recoder_begin(struct recoder *r, struct stored_response *of, enum coding to,
                   const struct recoder_settings *s);

/*
 * The same for somebody who waits: wake(arg) runs on the thread of `box` when it is over, unless
 * the wait was closed, and never inside this call. NULL: it cannot be had (or no memory): send what
 * there is.
 */
struct recoder_wait *recoder_ask(struct recoder *r, struct stored_response *of, enum coding to,
                                 const struct recoder_settings *s, struct weir_mailbox *box,
                                 void (*wake)(void *arg), void *arg);
/* What came of it, as a reference; NULL: nothing, or nothing yet. On the thread of the wait. */
struct stored_form *recoder_wait_form(struct recoder_wait *w);
/* On the thread of the wait. NULL does nothing. */
void recoder_wait_close(struct recoder_wait *w);

/* What was made and failed, for who adds up the metrics. */
const struct weir_metrics *recoder_metrics(const struct recoder *r);

#endif
