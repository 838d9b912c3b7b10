/*
 * err.h - errors as values.
 *
 * A function that can fail takes `struct weir_err *err` last and returns bool or a pointer. The
 * error is filled where it is detected (the first cause wins) and logged once, where handled.
 * `err` may be NULL where the caller does not care.
 */
#ifndef WEIR_ERR_H
#define WEIR_ERR_H

#include <stdbool.h>

enum weir_code {
    WEIR_OK = 0,
#define X(name, proxy_status, status, text) WEIR_E_##name,
#include "weir/errors.def"
#undef X
    WEIR_CODES
};

#define WEIR_ERR_DETAIL 160

struct weir_err {
    enum weir_code code;
    int os;                       /* errno, 0 if none */
    const char *where;            /* static "area: operation" */
    char detail[WEIR_ERR_DETAIL]; /* NUL-terminated, may be empty; for logs, never for clients */
};

/* Fills *err and returns false, so that `return weir_fail(...)` reads well. */
bool weir_fail(struct weir_err *err, enum weir_code code, const char *where, int os);
bool weir_failf(struct weir_err *err, enum weir_code code, const char *where, int os,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));

const char *weir_code_name(enum weir_code code);         /* "ORIGIN_REFUSED" */
const char *weir_code_text(enum weir_code code);         /* for logs */
const char *weir_code_proxy_status(enum weir_code code); /* RFC 9209 type, "" if none */
int weir_code_status(enum weir_code code);               /* status code for a client */

/* "where: text: detail: strerror" into buf; returns buf. */
const char *weir_err_str(const struct weir_err *err, char *buf, unsigned long size);

#endif
