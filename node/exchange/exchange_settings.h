/*
 * exchange_settings.h - what an operator chooses about logs, replies of our own and forwarding
 * fields.
 */
#ifndef EXCHANGE_SETTINGS_H
#define EXCHANGE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum access_log_format { ACCESS_LOG_OFF, ACCESS_LOG_COMBINED, ACCESS_LOG_JSON };

struct log_settings {
    const char *level;                    /* debug info warn error; "info" */
    const char *error_file;               /* NULL or "-": standard error */
    enum access_log_format access_format; /* combined */
    const char *access_file;              /* "-": standard output */
    const char **fields; /* json: names of the fields, in order; empty = the default set */
    size_t field_count;
};

enum forwarded_kind { FORWARDED_X, FORWARDED_RFC7239, FORWARDED_BOTH, FORWARDED_NONE };

struct forward_settings {
    enum forwarded_kind
        fields; /* x: X-Forwarded-For, -Host, -Proto; rfc7239: Forwarded; both (default); none */
    const char *
        *trusted; /* networks whose forwarding and trace fields are believed; empty = nobody */
    size_t trusted_count;
    const char *pseudonym; /* in Via and Cache-Status: "weir" */
    bool via; /* send Via, both ways: true toward origins always, toward clients if set: true */
    bool server_field;            /* keep the origin's Server field: false = removed */
    const char *request_id_field; /* "X-Request-ID"; "" = none */
};

#endif
