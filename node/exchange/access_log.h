/*
 * access_log.h - one line per exchange, in the combined format or as JSON with chosen fields.
 *
 * Formatted on the worker into a buffer on the stack, handed to the sink's ring: no system call, no
 * allocation.
 */
#ifndef ACCESS_LOG_H
#define ACCESS_LOG_H

#include <stdbool.h>

#include "weir/err.h"
#include "exchange_settings.h"

struct access_format;
struct weir_exchange;

/* *out NULL when the access log is off. Fails with CONFIG for a field that does not exist, or
 * MEMORY. */
bool access_format_new(const struct log_settings *s, struct access_format **out,
                       struct weir_err *err);
void access_format_free(struct access_format *f); /* NULL does nothing */

/* Writes the line (if the log is on) and counts the response. complete: the whole response went
 * out. */
void access_log_write(struct weir_exchange *x, bool complete);

/* The n-th field name a configuration may ask for, NULL behind the last. */
const char *access_field_name(unsigned n);

#endif
