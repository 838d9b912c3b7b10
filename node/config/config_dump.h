/*
 * config_dump.h - a configuration as it is in force, written out in the form of the file, with all
 * defaults: for people, to look at and to compare.
 *
 * Secrets are not in it, for settings know only the names of their files. A text that is no UTF-8
 * is left out. What rules have made of a key (routes[].upstream becomes split) is shown as it
 * became.
 */
#ifndef CONFIG_DUMP_H
#define CONFIG_DUMP_H

#include <jansson.h>

struct settings;

/* A new object, which the caller owns; NULL without memory. */
json_t *config_dump(const struct settings *s);

#endif
