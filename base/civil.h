/*
 * civil.h - seconds since the epoch to the Gregorian calendar, in UTC, by arithmetic alone.
 *
 * No locale, no time zone, no lock (strftime and gmtime_r have some of each). Years 1970 to 9999;
 * instants outside are clamped to them.
 */
#ifndef CIVIL_H
#define CIVIL_H

#include <stdint.h>

struct civil {
    int year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
    int hour, minute, second;
    int weekday; /* 0 = Sunday */
};

struct civil civil_from_unix(int64_t wall_s);

/* IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT": 29 bytes and a NUL (RFC 9110 5.6.7). */
void civil_http_date(int64_t wall_s, char out[30]);
/* "2026-11-23T06:36:52.123Z": 24 bytes and a NUL (RFC 3339). */
void civil_rfc3339_ms(int64_t wall_ms, char out[25]);

#endif
