/*
 * admin_request.h - one request to the admin API: what it asks, who asks, and how to answer.
 *
 * JSON is built without looking at each allocation: what fails is remembered, and the answer is
 * then 503 instead of half of the truth.
 */
#ifndef ADMIN_REQUEST_H
#define ADMIN_REQUEST_H

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "weir/span.h"
#include "probe.h"

struct admin;
struct admin_call;
struct admin_control;
struct admin_source;
struct admin_state;
struct pattern_scratch;
struct weir_metrics;
struct weir_sink;

struct admin_later;

struct admin_request {
    struct admin *admin;
    struct admin_call *call;
    struct admin_later **laters;    /* those that wait for their answer */
    struct weir_sink *const *audit; /* where changes are recorded beside the error log; to NULL */
    const struct admin_source *source;
    struct admin_state *state;
    struct admin_control *control;
    struct pattern_scratch *scratch; /* of the control thread, like the next */
    struct weir_metrics *metrics;
    int64_t started_ms;     /* of the node; monotonic */
    struct evkeyvalq query; /* parameters, decoded */
    bool failed;            /* memory was short while the answer was built */
    bool answered;          /* once, and only once */
};

/* ---- asking ---- */

/* For probes: the newest site, and what belongs to the control thread. */
struct probe_place admin_probe_place(const struct admin_request *r);

/* The first parameter of that name, or NULL. */
const char *admin_query(const struct admin_request *r, const char *name);
bool admin_has_content(const struct admin_request *r);
/* The content as a JSON object, owned by the caller; or NULL, and the refusal has been sent. */
json_t *admin_content(struct admin_request *r);

/* ---- answering, once ---- */

/* Takes body, which may be NULL after a failure. */
void admin_answer(struct admin_request *r, int status, json_t *body);
/* Moves the text out of its buffer. */
void admin_answer_text(struct admin_request *r, const char *type, struct evbuffer *text);
/* {"error": "..."} */
void admin_refuse(struct admin_request *r, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Records a change, or an attempt at one: what was done (a word: "purge"), to what, with what
 * outcome. The texts may hold any bytes. */
void admin_audit(const struct admin_request *r, const char *did, const char *target,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Who asks: the token's name, or the user at the other end of the socket. out: 72 bytes. */
void admin_author(const struct admin_request *r, char out[72]);

/* ---- answering later ---- */

/* A request that is answered from a later turn of the loop; embedded by the endpoint in memory of
 * its own. */
struct admin_later {
    struct admin_request request; /* to be answered, once; its query is empty */
    /* The node stops: whatever was to bring the answer is called off. Must not answer. */
    void (*cancel)(struct admin_later *l);
    struct admin_later *next, **at;
};

/* r is answered later: by l->request, which is a copy. The client may have gone by then; that makes
 * no difference. */
void admin_defer(struct admin_request *r, struct admin_later *l,
                 void (*cancel)(struct admin_later *l));
/* After the answer, before l's memory goes. */
void admin_later_end(struct admin_later *l);

/* ---- building ---- */

/* Takes value. NULL as object or value marks the request as failed. */
void admin_put(struct admin_request *r, json_t *object, const char *name, json_t *value);
void admin_put_int(struct admin_request *r, json_t *object, const char *name, int64_t value);
void admin_put_bool(struct admin_request *r, json_t *object, const char *name, bool value);
/* Bytes that are no UTF-8 are taken for ISO 8859-1. A span without ptr becomes null. */
void admin_put_span(struct admin_request *r, json_t *object, const char *name,
                    struct weir_span value);
void admin_put_text(struct admin_request *r, json_t *object, const char *name, const char *value);
/* A new object or array inside `object`; borrowed. */
json_t *admin_put_object(struct admin_request *r, json_t *object, const char *name);
json_t *admin_put_array(struct admin_request *r, json_t *object, const char *name);
/* Takes value. */
void admin_append(struct admin_request *r, json_t *array, json_t *value);
json_t *admin_string(struct weir_span bytes);

#endif
