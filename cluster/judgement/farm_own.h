/*
 * farm_own.h - what the parts of the judgement share.
 */
#ifndef FARM_OWN_H
#define FARM_OWN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "farm_json.h"

enum farm_severity { FARM_INFO, FARM_DEGRADED, FARM_DOWN, FARM_SEVERITIES };

/* Faults as they are found, in the order of severity when they are told. */
struct farm_faults {
    json_t *list[FARM_SEVERITIES]; /* arrays */
    size_t count;
    bool failed; /* no memory */
};

/* One more. `where` and `what` may be cut. */
void farm_fault(struct farm_faults *f, enum farm_severity severity, const char *code,
                const char *where, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The value that most nodes have at `path` (two names, or one and NULL); of two as common the one
 * whose configuration was loaded last. NULL: none has it. Borrowed from the nodes. */
const char *farm_most(const json_t *nodes, const char *name, const char *inner);
const char *farm_inner_text(const json_t *node, const char *name, const char *inner);

void farm_judge_nodes(struct farm_faults *f, json_t *nodes); /* sets drift */
void farm_judge_origins(struct farm_faults *f, const json_t *origins, const json_t *nodes);
bool farm_sum(json_t *farm); /* sets totals; false: no memory */

#endif
