#include "weir/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_row {
    const char *name;
    const char *proxy_status;
    int status;
    const char *text;
};

static const struct code_row rows[WEIR_CODES] = {
    [WEIR_OK] = {"OK", "", 200, "no error"},
#define X(name, proxy_status, status, text) [WEIR_E_##name] = {#name, proxy_status, status, text},
#include "weir/errors.def"
#undef X
};

/* A code out of range can only come from a bug; an error path is the worst place to crash for it.
 */
static const struct code_row *row_of(enum weir_code code)
{
    return (unsigned)code < WEIR_CODES ? &rows[code] : &rows[WEIR_E_INTERNAL];
}

bool weir_fail(struct weir_err *err, enum weir_code code, const char *where, int os)
{
    if (err == NULL)
        return false;
    err->code = code;
    err->os = os;
    err->where = where;
    err->detail[0] = '\0';
    return false;
}

bool weir_failf(struct weir_err *err, enum weir_code code, const char *where, int os,
                const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return false;
    weir_fail(err, code, where, os);
    va_start(ap, fmt);
    vsnprintf(err->detail, sizeof(err->detail), fmt, ap);
    va_end(ap);
    return false;
}

const char *weir_code_name(enum weir_code code)
{
    return row_of(code)->name;
}

const char *weir_code_text(enum weir_code code)
{
    return row_of(code)->text;
}

const char *weir_code_proxy_status(enum weir_code code)
{
    return row_of(code)->proxy_status;
}

int weir_code_status(enum weir_code code)
{
    return row_of(code)->status;
}

const char *weir_err_str(const struct weir_err *err, char *buf, unsigned long size)
{
    char os_text[96] = "";
    const char *os = os_text;

    if (err->os != 0)
        os = strerror_r(err->os, os_text, sizeof(os_text)); /* GNU: may answer a static string */
    snprintf(buf, size, "%s%s%s%s%s%s%s", err->where != NULL ? err->where : "",
             err->where != NULL ? ": " : "", weir_code_text(err->code),
             err->detail[0] != '\0' ? ": " : "", err->detail, err->os != 0 ? ": " : "", os);
    return buf;
}
