/*
 * health_statuses.h - a set of status codes, as people write it: "200-299,304", "2xx", "200, 401".
 *
 * Pure. Final codes alone, 200 to 999: an interim one is no answer.
 */
#ifndef HEALTH_STATUSES_H
#define HEALTH_STATUSES_H

#include <stdbool.h>
#include <stdint.h>

struct health_statuses {
    uint64_t bits[16];
};

/* False: not of this form; *out is then not to be used. An empty list is none either. */
bool health_statuses_parse(const char *text, struct health_statuses *out);
bool health_statuses_have(const struct health_statuses *s, int status);

#endif
