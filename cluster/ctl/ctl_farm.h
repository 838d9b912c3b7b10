/*
 * ctl_farm.h - the commands about the farm, and where they learn of it.
 */
#ifndef CTL_FARM_H
#define CTL_FARM_H

#include <stdio.h>

#include "ctl.h"
#include "ctl_table.h"

/* As wide as the terminal; COLUMNS, or without end, where it is none. */
struct ctl_look ctl_look_at(FILE *out, bool colours);

/* Straight to Redis, no node asked? */
bool ctl_is_direct(const struct ctl_options *o);
/* As GET /v1/farm answers; owned. Else *farm is NULL and the reason is told. */
enum ctl_exit ctl_farm(const struct ctl_options *o, json_t **farm);

enum ctl_exit ctl_status(const struct ctl_options *o);
enum ctl_exit ctl_top(const struct ctl_options *o);
enum ctl_exit ctl_nodes(const struct ctl_options *o);
enum ctl_exit ctl_origins(const struct ctl_options *o);
enum ctl_exit ctl_words(const struct ctl_options *o);
enum ctl_exit ctl_limits(const struct ctl_options *o);
enum ctl_exit ctl_tls(const struct ctl_options *o);
enum ctl_exit ctl_tls_acme(const struct ctl_options *o);
enum ctl_exit ctl_tls_tickets(const struct ctl_options *o);
enum ctl_exit ctl_config(const struct ctl_options *o);
enum ctl_exit ctl_config_drift(const struct ctl_options *o);

/* For conf/completion/weirctl: what could stand where the last of the words is being typed, one
 * candidate a line; names are asked of the farm (ctl_complete.c). */
enum ctl_exit ctl_complete(int count, char *const *words);

/* Words (ctl_say.c). */
enum ctl_exit ctl_origin_drain(const struct ctl_options *o);
enum ctl_exit ctl_origin_disable(const struct ctl_options *o);
enum ctl_exit ctl_origin_up(const struct ctl_options *o);
enum ctl_exit ctl_origin_enable(const struct ctl_options *o);
enum ctl_exit ctl_origin_weight(const struct ctl_options *o);
enum ctl_exit ctl_maintenance_on(const struct ctl_options *o);
enum ctl_exit ctl_maintenance_off(const struct ctl_options *o);
enum ctl_exit ctl_node_drain(const struct ctl_options *o);
enum ctl_exit ctl_node_undrain(const struct ctl_options *o);
enum ctl_exit ctl_node_ready(const struct ctl_options *o);
enum ctl_exit ctl_node_unready(const struct ctl_options *o);
enum ctl_exit ctl_reload(const struct ctl_options *o); /* ctl_reload.c */

/*
 * Says a word: an object as POST /v1/words takes it, which it may add to. *answer: {"outcome",
 * "number"}, owned, NULL if it was not said. Prints nothing but complaints.
 */
enum ctl_exit ctl_say(const struct ctl_options *o, json_t *word, json_t **answer);
/* The id of the node that is asked; owned by *node, which is its record. NULL: the reason is told.
 */
const char *ctl_this_node(const struct ctl_options *o, json_t **node, enum ctl_exit *status);

#endif
