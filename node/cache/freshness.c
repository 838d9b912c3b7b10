#include "freshness.h"

#include "weir/span.h"

#include "control.h"
#include "http_cache_control.h"
#include "http_date.h"
#include "http_head.h"
#include "http_list.h"
#include "http_status.h"

#define HEURISTIC_DIVISOR 10    /* the "typical" 10% of RFC 9111 4.2.2 */
#define HEURISTIC_MAX     86400 /* a page untouched for years still gets only a day */

static int64_t at_least_zero(int64_t seconds)
{
    return seconds > 0 ? seconds : 0;
}

static int64_t at_most_delta(int64_t seconds)
{
    return seconds < FRESHNESS_DELTA_MAX ? seconds : FRESHNESS_DELTA_MAX;
}

static int64_t heuristic_lifetime(const struct freshness_facts *f)
{
    int64_t guess;

    if (!f->heuristic_ok || f->last_modified == FRESHNESS_ABSENT)
        return 0;
    guess = at_least_zero(f->date - f->last_modified) / HEURISTIC_DIVISOR;
    return guess < HEURISTIC_MAX ? guess : HEURISTIC_MAX;
}

int64_t freshness_lifetime(const struct freshness_facts *f)
{
    if (f->route_says)
        return f->route_lifetime;
    /* The first one present wins, even when shorter: RFC 9111 4.2.1 is an ordered list. */
    if (f->s_maxage != FRESHNESS_ABSENT)
        return f->s_maxage;
    if (f->max_age != FRESHNESS_ABSENT)
        return f->max_age;
    if (f->expires != FRESHNESS_ABSENT)
        return at_most_delta(at_least_zero(f->expires - f->date));
    return heuristic_lifetime(f);
}

bool freshness_explicit(const struct freshness_facts *f)
{
    return f->route_says || f->s_maxage != FRESHNESS_ABSENT || f->max_age != FRESHNESS_ABSENT ||
           f->expires != FRESHNESS_ABSENT;
}

/* RFC 9111 4.2.3, in its own words. */
int64_t freshness_initial_age(const struct freshness_facts *f)
{
    int64_t apparent_age = at_least_zero(f->response_time - f->date);
    int64_t response_delay = at_least_zero(f->response_time - f->request_time);
    int64_t corrected_age_value = f->age + response_delay;

    return apparent_age > corrected_age_value ? apparent_age : corrected_age_value;
}

int64_t freshness_age(const struct freshness_facts *f, int64_t now)
{
    int64_t resident_time = at_least_zero(now - f->response_time);

    return freshness_initial_age(f) + resident_time;
}

/* The one line of a field that may come once; ptr NULL if there is none or more than one. */
static struct weir_span single_value(const struct http_head *h, uint16_t id)
{
    return http_head_repeats(h, id) ? WEIR_SPAN_NONE : http_head_value(h, id);
}

static int64_t single_date(const struct http_head *h, uint16_t id, int64_t now, int64_t otherwise)
{
    struct weir_span text = single_value(h, id);
    int64_t at;

    return text.ptr != NULL && http_date_parse(text, now, &at) ? at : otherwise;
}

/* The earliest of all Expires lines: the stricter reading. "0" and other garbage is long past. */
static int64_t earliest_expires(const struct http_head *h, int64_t now)
{
    const struct http_field *f = http_head_first(h, HTTP_F_EXPIRES);
    int64_t earliest = FRESHNESS_ABSENT;

    for (; f != NULL; f = http_head_next(h, f)) {
        int64_t at;

        if (!http_date_parse(f->value, now, &at))
            at = 0;
        if (earliest == FRESHNESS_ABSENT || at < earliest)
            earliest = at;
    }
    return earliest;
}

/* RFC 9111 5.1: of a list the first member counts, what is not a number does not count. */
static int64_t received_age(const struct http_head *h)
{
    struct http_list list;
    struct weir_span first;
    unsigned long long seconds;

    http_list_begin(&list, h, HTTP_F_AGE);
    if (!http_list_next(&list, &first))
        return 0;
    for (size_t i = 0; i < first.len; i++)
        if (first.ptr[i] < '0' || first.ptr[i] > '9')
            return 0;
    if (!weir_span_u64(first, FRESHNESS_DELTA_MAX, &seconds))
        return FRESHNESS_DELTA_MAX; /* digits, but too many: saturate (RFC 9111 1.2.2) */
    return (int64_t)seconds;
}

static int64_t directive(int64_t seconds)
{
    return seconds == HTTP_CC_ABSENT ? FRESHNESS_ABSENT : at_most_delta(at_least_zero(seconds));
}

void freshness_facts_from(struct freshness_facts *f, const struct http_head *response,
                          const struct control *control, bool heuristic, int64_t request_time,
                          int64_t response_time)
{
    const struct http_cache_control *cc = &control->cc;

    f->request_time = request_time;
    f->response_time = response_time;
    f->date = single_date(response, HTTP_F_DATE, response_time, response_time);
    f->age = received_age(response);
    f->s_maxage = directive(cc->s_maxage);
    f->max_age = directive(cc->max_age);
    f->expires =
        control->expires_counts ? earliest_expires(response, response_time) : FRESHNESS_ABSENT;
    f->last_modified = single_date(response, HTTP_F_LAST_MODIFIED, response_time, FRESHNESS_ABSENT);
    f->route_says = false;
    f->route_lifetime = 0;
    f->heuristic_ok = heuristic && (cc->public_ || http_status_heuristic(response->status));
}
