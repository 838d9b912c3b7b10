#include "http_date.h"

#include "civil.h"
#include "http_char.h"

/* What is left of the text; every take_...() eats from the front or answers false. */
struct cursor {
    const char *at, *end;
};

struct parts {
    int year, month, day, hour, minute, second;
};

static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
static const char days[] = "sunmontuewedthufrisat";
static const char *const long_days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};

static bool take(struct cursor *c, const char *literal)
{
    const char *at = c->at;

    for (; *literal != '\0'; literal++, at++)
        if (at == c->end ||
            (*at != *literal && weir_ascii_lower(*at) != weir_ascii_lower(*literal)))
            return false;
    c->at = at;
    return true;
}

static bool take_digits(struct cursor *c, int count, int *out)
{
    int value = 0;

    if (c->end - c->at < count)
        return false;
    for (; count > 0; count--, c->at++) {
        if (!http_char_digit(*c->at))
            return false;
        value = value * 10 + (*c->at - '0');
    }
    *out = value;
    return true;
}

/* Three letters, whatever their case, out of a string of such; *index counts from 0. */
static bool take_word3(struct cursor *c, const char *words, int *index)
{
    char word[3];

    if (c->end - c->at < 3)
        return false;
    for (int i = 0; i < 3; i++)
        word[i] = weir_ascii_lower(c->at[i]);
    for (int i = 0; words[i * 3] != '\0'; i++) {
        if (memcmp(words + (size_t)i * 3, word, 3) == 0) {
            *index = i;
            c->at += 3;
            return true;
        }
    }
    return false;
}

static bool take_month(struct cursor *c, struct parts *p)
{
    if (!take_word3(c, months, &p->month))
        return false;
    p->month++;
    return true;
}

static bool take_time(struct cursor *c, struct parts *p)
{
    return take_digits(c, 2, &p->hour) && take(c, ":") && take_digits(c, 2, &p->minute) &&
           take(c, ":") && take_digits(c, 2, &p->second);
}

/* "06 Nov 1994 08:49:37 GMT", behind "Sun, " */
static bool imf_fixdate(struct cursor c, struct parts *p)
{
    return take_digits(&c, 2, &p->day) && take(&c, " ") && take_month(&c, p) && take(&c, " ") &&
           take_digits(&c, 4, &p->year) && take(&c, " ") && take_time(&c, p) && take(&c, " GMT") &&
           c.at == c.end;
}

/* "06-Nov-94 08:49:37 GMT", behind "Sunday, "; the year has two digits */
static bool rfc850(struct cursor c, struct parts *p)
{
    return take_digits(&c, 2, &p->day) && take(&c, "-") && take_month(&c, p) && take(&c, "-") &&
           take_digits(&c, 2, &p->year) && take(&c, " ") && take_time(&c, p) && take(&c, " GMT") &&
           c.at == c.end;
}

/* "Nov  6 08:49:37 1994", behind "Sun " */
static bool asctime_date(struct cursor c, struct parts *p)
{
    return take_month(&c, p) && take(&c, " ") &&
           (take(&c, " ") ? take_digits(&c, 1, &p->day) : take_digits(&c, 2, &p->day)) &&
           take(&c, " ") && take_time(&c, p) && take(&c, " ") && take_digits(&c, 4, &p->year) &&
           c.at == c.end;
}

static bool leap_year(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool possible(const struct parts *p)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int length = lengths[p->month - 1] + (p->month == 2 && leap_year(p->year));

    return p->day >= 1 && p->day <= length && p->hour <= 23 && p->minute <= 59 && p->second <= 60;
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar; years begin in March, so that leap days
 * come last. */
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static int64_t seconds(const struct parts *p)
{
    int second = p->second > 59 ? 59 : p->second;

    return days_from_civil(p->year, p->month, p->day) * 86400 + p->hour * 3600 + p->minute * 60 +
           second;
}

/* RFC 9110 5.6.7: what seems more than 50 years ahead is the most recent year with these digits. */
static int full_year(int two_digits, int64_t now)
{
    int this_year = civil_from_unix(now).year;
    int year = this_year - this_year % 100 + two_digits;

    if (year > this_year + 50)
        return year - 100;
    if (year <= this_year - 50)
        return year + 100;
    return year;
}

static bool take_long_day(struct cursor *c)
{
    for (size_t i = 0; i < sizeof(long_days) / sizeof(long_days[0]); i++)
        if (take(c, long_days[i]))
            return true;
    return false;
}

static bool any_form(struct weir_span text, int64_t now, struct parts *p)
{
    struct cursor c = {text.ptr, text.ptr + text.len};
    struct cursor from_start = c;
    int day;

    if (take_word3(&c, days, &day)) {
        if (take(&c, ", "))
            return imf_fixdate(c, p);
        if (take(&c, " "))
            return asctime_date(c, p);
    }
    c = from_start;
    if (!take_long_day(&c) || !take(&c, ", ") || !rfc850(c, p))
        return false;
    p->year = full_year(p->year, now);
    return true;
}

bool http_date_parse(struct weir_span text, int64_t now, int64_t *out)
{
    struct parts p;

    if (text.len == 0 || !any_form(text, now, &p) || !possible(&p))
        return false;
    *out = seconds(&p);
    return true;
}

void http_date_format(char out[HTTP_DATE_LEN + 1], int64_t t)
{
    civil_http_date(t, out);
}
