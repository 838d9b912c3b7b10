/*
 * config_errors.h - adding to the list of errors; reading it is in config.h.
 */
#ifndef CONFIG_ERRORS_H
#define CONFIG_ERRORS_H

#include <stdarg.h>

#include "config.h"

/* Copies its strings. Beyond CONFIG_ERRORS_MAX it only counts. */
void config_errors_add(struct config_errors *errors, const struct config_error *where,
                       const char *fmt, va_list args) __attribute__((format(printf, 3, 0)));
/* By file, line and column; errors of one place stay in the order they were found. */
void config_errors_sort(struct config_errors *errors);
bool config_errors_any(const struct config_errors *errors);

#endif
