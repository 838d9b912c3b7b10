#include "civil.h"

#include <string.h>

#define DAY_S       86400
#define LAST_SECOND INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* Howard Hinnant's civil_from_days: years begin on 1 March, so that the leap day comes last. */
static void date_from_days(int64_t days, struct civil *c)
{
    int64_t z = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
    int era = (int)(z / 146097);
    int day_of_era = (int)(z % 146097);
    int year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month = (5 * day_of_year + 2) / 153; /* 0 = March */

    c->day = day_of_year - (153 * month + 2) / 5 + 1;
    c->month = month < 10 ? month + 3 : month - 9;
    c->year = era * 400 + year_of_era + (c->month <= 2);
}

struct civil civil_from_unix(int64_t wall_s)
{
    struct civil c;
    int64_t s = wall_s < 0 ? 0 : wall_s > LAST_SECOND ? LAST_SECOND : wall_s;
    int in_day = (int)(s % DAY_S);

    date_from_days(s / DAY_S, &c);
    c.hour = in_day / 3600;
    c.minute = in_day / 60 % 60;
    c.second = in_day % 60;
    c.weekday = (int)((s / DAY_S + 4) % 7); /* the epoch was a Thursday */
    return c;
}

static char *put_digits(char *at, int value, int digits)
{
    int i;

    for (i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + digits;
}

static char *put_char(char *at, char c)
{
    *at = c;
    return at + 1;
}

static char *put_text(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

static char *put_time(char *at, const struct civil *c)
{
    at = put_char(put_digits(at, c->hour, 2), ':');
    at = put_char(put_digits(at, c->minute, 2), ':');
    return put_digits(at, c->second, 2);
}

void civil_http_date(int64_t wall_s, char out[30])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct civil c = civil_from_unix(wall_s);
    char *at = out;

    at = put_text(at, days + (size_t)c.weekday * 3, 3);
    at = put_text(at, ", ", 2);
    at = put_char(put_digits(at, c.day, 2), ' ');
    at = put_text(at, months + ((size_t)c.month - 1) * 3, 3);
    at = put_char(at, ' ');
    at = put_char(put_digits(at, c.year, 4), ' ');
    at = put_time(at, &c);
    at = put_text(at, " GMT", 4);
    *at = '\0';
}

void civil_rfc3339_ms(int64_t wall_ms, char out[25])
{
    int64_t ms = wall_ms < 0 ? 0 : wall_ms;
    struct civil c = civil_from_unix(ms / 1000);
    char *at = out;

    at = put_char(put_digits(at, c.year, 4), '-');
    at = put_char(put_digits(at, c.month, 2), '-');
    at = put_char(put_digits(at, c.day, 2), 'T');
    at = put_char(put_time(at, &c), '.');
    at = put_char(put_digits(at, (int)(ms % 1000), 3), 'Z');
    *at = '\0';
}
