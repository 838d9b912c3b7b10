/*
 * ctl_http.h - one request to a node's admin API, and its answer.
 */
#ifndef CTL_HTTP_H
#define CTL_HTTP_H

#include <jansson.h>
#include <stdbool.h>

#include "weir/err.h"

#define CTL_ANSWER_MAX (64 << 20)

struct ctl_link;

struct ctl_answer {
    int status;
    char *text;   /* content, NUL-terminated; owned */
    json_t *json; /* the same, if it is JSON; owned; NULL */
};

/* body: JSON, borrowed, or NULL. Reads until the node closes. false: *err, *out is empty. */
bool ctl_ask(struct ctl_link *l, const char *method, const char *target, const json_t *body,
             struct ctl_answer *out, struct weir_err *err);
void ctl_answer_free(struct ctl_answer *a);

/* The whole message as the node sent it. Exposed for tests. */
bool ctl_parse(const char *message, size_t len, struct ctl_answer *out, struct weir_err *err);

/* A value of a query, percent-encoded. Returns owned; NULL without memory. */
char *ctl_encode(const char *value);

#endif
