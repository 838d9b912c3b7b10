/*
 * http_date.h - HTTP dates. Reads no clock. Source: RFC 9110 5.6.7, RFC 9111 4.2.
 */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/span.h"

#define HTTP_DATE_LEN 29

/*
 * Any of the three forms, exactly but for case, which a cache does not look at (RFC 9111 4.2). A
 * zone other than GMT is invalid. Seconds since the epoch (negative before 1970). `now` decides the
 * century of a two-digit year: never more than 50 years ahead. The day name must be one, it is not
 * checked against the date. A leap second reads as second 59.
 */
bool http_date_parse(struct weir_span text, int64_t now, int64_t *out);

/* IMF-fixdate, 29 bytes and a NUL. Years 1970 to 9999; beyond them it is clamped. */
void http_date_format(char out[HTTP_DATE_LEN + 1], int64_t t);

#endif
