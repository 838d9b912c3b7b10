/*
 * settings_hash.h - one number for what a configuration makes a node do.
 *
 * Equal on all nodes with the same effective settings, whatever their files look like: order of
 * keys, comments, includes and defaults written out do not matter. Left out is what is a node's own
 * by nature: node.id, node.state_dir, node.workers, node.memory, the addresses of `listen` and
 * `admin`. Secrets count by the names of their files only.
 */
#ifndef SETTINGS_HASH_H
#define SETTINGS_HASH_H

#include <stdint.h>

struct settings;

/* Never 0. */
uint64_t settings_hash(const struct settings *s);

#endif
