/*
 * ctl_direct.h - the farm without any node: what its nodes have written into Redis, and words said
 * there.
 */
#ifndef CTL_DIRECT_H
#define CTL_DIRECT_H

#include "ctl.h"

/* As ctl_farm() and ctl_say() of ctl_farm.h. Blocks, some seconds at most. */
enum ctl_exit ctl_direct_farm(const struct ctl_options *o, json_t **farm);
enum ctl_exit ctl_direct_say(const struct ctl_options *o, const json_t *word, json_t **answer);

#endif
