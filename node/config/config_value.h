/*
 * config_value.h - the words of a configuration as numbers, and numbers as words.
 *
 * Pure. What is understood: whole numbers (4096), durations (0, 250ms, 30s, 5m, 1h, 1d), sizes
 * (512, 64KiB, 16MiB, 1GiB, 1TiB, and decimal KB, MB, GB, TB), percentages (50%), octal modes
 * (0660), booleans (true, false). Units are written as here, case included, without a space.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/span.h"

enum config_number {
    CONFIG_COUNT,
    CONFIG_DURATION_MS, /* kept in milliseconds */
    CONFIG_DURATION_S,  /* kept in seconds; 250ms is refused */
    CONFIG_SIZE,        /* kept in bytes */
    CONFIG_PERCENT,
    CONFIG_MODE,
    CONFIG_BOOL,
};

enum config_value_fault {
    CONFIG_VALUE_OK,
    CONFIG_VALUE_MALFORMED,
    CONFIG_VALUE_TOO_LARGE, /* does not fit int64_t */
    CONFIG_VALUE_NO_UNIT,   /* a duration that is a bare number other than 0 */
    CONFIG_VALUE_NOT_WHOLE, /* not a whole number of seconds */
};

enum config_value_fault config_value_parse(enum config_number kind, struct weir_span text,
                                           uint64_t *out);
/* "a duration such as 250ms, 30s, 5m, 1h or 1d" */
const char *config_value_form(enum config_number kind);
/* As a person would write it: 5m, 64KiB, 0660. Returns buf. */
const char *config_value_write(enum config_number kind, uint64_t value, char buf[32]);

/* Insertions, deletions, replacements and swaps of neighbours that turn a into b (case does not
 * count); more than 32 bytes are as far as can be. */
unsigned config_distance(struct weir_span a, struct weir_span b);
/* True when b is near enough to be what somebody meant by a. */
bool config_is_near(struct weir_span a, struct weir_span b, unsigned *distance);

#endif
