/*
 * log.h - the error log (leveled lines) and line sinks (access log): formatted by the caller's
 * thread, written by one writer thread in batches, so that a slow disk or pipe never holds a loop.
 *
 * A sink holds one ring per producer. When a ring is full the line is dropped and counted; the
 * writer reports the loss in the error log at most once a second.
 */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"

enum weir_log_level { WEIR_LOG_DEBUG, WEIR_LOG_INFO, WEIR_LOG_WARN, WEIR_LOG_ERROR };

/* ---- error log: process-wide, usable from any thread and before set-up (then straight to stderr)
 * ---- */

void weir_log_set_level(enum weir_log_level level);
bool weir_log_level_parse(const char *word,
                          enum weir_log_level *out); /* "debug" "info" "warn" "error" */
/* One line: "2026-11-23T06:36:52.123Z level message\n"; control bytes in the message are escaped.
 */
void weir_log(enum weir_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Logs an error value with a prefix. */
void weir_log_err(enum weir_log_level level, const char *what, const struct weir_err *err);
bool weir_log_enabled(enum weir_log_level level);
/* Send the error log to a file (appended, created 0640) instead of stderr. NULL path = stderr. */
bool weir_log_open(const char *path, struct weir_err *err);
/* Re-open the error log's file (SIGUSR1). On failure the old one stays. */
void weir_log_reopen(void);

/* ---- line sinks ---- */

struct weir_sink;

/* path "-" is standard output. `producers` (at least 1) rings of ring_bytes each, rounded up to a
 * power of two, 4 KiB to 1 GiB. The process must ignore SIGPIPE. */
struct weir_sink *weir_sink_open(const char *path, unsigned producers, size_t ring_bytes,
                                 struct weir_err *err);
/* Producer `producer` appends one whole line (with its newline). false: full, the line is counted
 * as lost. A system call only for the first line after an idle time and when the ring gets half
 * full; the writer comes by itself 200 ms after the first line. */
bool weir_sink_write(struct weir_sink *s, unsigned producer, const char *line, size_t len);
void weir_sink_reopen(struct weir_sink *s); /* SIGUSR1; any thread; asynchronous */
uint64_t weir_sink_lost(const struct weir_sink *s);
/* Writes what is left (bounded wait 2 s) and closes. NULL does nothing. */
void weir_sink_close(struct weir_sink *s);

#endif
