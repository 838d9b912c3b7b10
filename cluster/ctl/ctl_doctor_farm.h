/*
 * ctl_doctor_farm.h - what doctor finds in the nodes of a farm.
 */
#ifndef CTL_DOCTOR_FARM_H
#define CTL_DOCTOR_FARM_H

#include "ctl.h"

/* config: the file of a node; not looked at with --redis. Adds what it finds to `all`, for --json.
 * Degraded: findings, or the farm cannot be read. */
enum ctl_exit ctl_doctor_farm(const struct ctl_options *o, const char *config, json_t *all);

#endif
