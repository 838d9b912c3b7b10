/*
 * farm_judgement.h - is the farm well? Fills what the answer of GET /v1/farm says in conclusion
 * from what it says in detail (docs/api.md), so that a node and weirctl judge alike.
 *
 * Pure: no clock, no I/O. The records come from other nodes, perhaps of other versions: a member
 * that is missing or of another type counts as not known, and never as a fault. Texts from there
 * are cut, and are as unsafe for a terminal as JSON texts are.
 */
#ifndef FARM_JUDGEMENT_H
#define FARM_JUDGEMENT_H

#include <jansson.h>
#include <stdbool.h>

#define FARM_FAULTS_MAX 1000 /* more are not told; the worst come first */
#define FARM_SKEW_MS    2000 /* beyond: a fault */

/*
 * `farm` has as much as is known of: members, nodes, origins, words, words_state, redis. Beyond
 * docs/api.md it may have members.missing: [{"id", "since_s"}], nodes that fell silent.
 *
 * Sets in it: nodes[].drift, faults, status, totals. false: no memory, and it is half done.
 */
bool farm_judge(json_t *farm);

/* 0 fine, 1 degraded, 2 down: as weirctl ends; of a farm that has been judged. */
int farm_judged_status(const json_t *farm);

#endif
