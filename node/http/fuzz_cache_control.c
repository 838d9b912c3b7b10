/*
 * Lines as field values: Cache-Control, lists, parameters, weights, entity tags and dates. One
 * value and the same value in a head agree; case does not matter; more directives never loosen the
 * outcome.
 */
#include "fuzz_http.h"

#include "http_cache_control.h"
#include "http_date.h"
#include "http_list.h"
#include "http_validator.h"

#define LINES 16

static bool in_range(int64_t seconds)
{
    return seconds == HTTP_CC_ABSENT || (seconds >= 0 && seconds <= HTTP_CC_MAX);
}

static bool same(const struct http_cache_control *a, const struct http_cache_control *b)
{
    return a->no_store == b->no_store && a->no_cache == b->no_cache && a->private_ == b->private_ &&
           a->public_ == b->public_ && a->must_revalidate == b->must_revalidate &&
           a->only_if_cached == b->only_if_cached && a->max_age == b->max_age &&
           a->s_maxage == b->s_maxage && a->min_fresh == b->min_fresh &&
           a->max_stale == b->max_stale && a->conflict == b->conflict &&
           a->stale_if_error == b->stale_if_error &&
           a->stale_while_revalidate == b->stale_while_revalidate &&
           a->private_fields.len == b->private_fields.len;
}

static bool no_looser(int64_t more, int64_t less)
{
    return less == HTTP_CC_ABSENT || (more != HTTP_CC_ABSENT && more <= less);
}

static void check_cache_control(const struct http_head *h, const struct http_head *first_line)
{
    struct http_cache_control all, first, value;

    http_cache_control_parse(h, HTTP_F_CACHE_CONTROL, &all);
    http_cache_control_parse(first_line, HTTP_F_CACHE_CONTROL, &first);
    http_cache_control_parse_value(first_line->fields[0].value, &value);
    MUST(same(&first, &value));
    MUST(in_range(all.max_age) && in_range(all.s_maxage) && in_range(all.min_fresh));
    MUST(in_range(all.max_stale) && in_range(all.stale_if_error));
    MUST(all.no_store >= first.no_store && all.no_cache >= first.no_cache);
    MUST(all.private_ >= first.private_);
    MUST(no_looser(all.max_age, first.max_age) && no_looser(all.s_maxage, first.s_maxage));
}

static void check_case(struct weir_span value)
{
    struct http_cache_control a, b;
    char *upper = exact_copy(value.ptr, value.len);

    for (size_t i = 0; i < value.len; i++)
        if (upper[i] >= 'a' && upper[i] <= 'z')
            upper[i] = (char)(upper[i] - 32);
    http_cache_control_parse_value(value, &a);
    http_cache_control_parse_value(weir_span(upper, value.len), &b);
    MUST(same(&a, &b));
    free(upper);
}

static void check_members(const struct http_head *h)
{
    struct http_list l;
    struct weir_span member, rest, out;
    struct http_param p;

    http_list_begin(&l, h, HTTP_F_CACHE_CONTROL);
    while (http_list_next(&l, &member)) {
        char *room = exact_copy(member.ptr, member.len);
        int q = http_quality(member);

        MUST(member.len > 0 && q >= -1 && q <= 1000);
        http_list_item(member, &rest);
        while (http_param_next(&rest, ';', &p))
            if (p.value.ptr != NULL && http_unquote(p.value, room, &out))
                MUST(out.len <= p.value.len);
        free(room);
    }
}

static void check_validators(struct weir_span value)
{
    struct http_field fields[2];
    struct http_head h;
    struct http_etag tag;

    http_head_init(&h, fields, 2);
    MUST(http_head_add_id(&h, NULL, HTTP_F_IF_NONE_MATCH, value));
    if (http_etag_parse(value, &tag)) {
        MUST(http_if_none_match(&h, true, &tag) == HTTP_COND_FALSE);
        MUST(tag.weak != http_etag_strong_eq(&tag, &tag));
    }
    tag = (struct http_etag){WEIR_SPAN_LIT("\"a\""), false};
    (void)http_if_none_match(&h, true, &tag);
}

static void check_date(struct weir_span value)
{
    char text[HTTP_DATE_LEN + 1];
    int64_t t, back;

    if (!http_date_parse(value, 1795413600, &t) || t < 0)
        return;
    http_date_format(text, t);
    MUST(http_date_parse(weir_span(text, HTTP_DATE_LEN), 0, &back) && back == t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_field fields[LINES], first_field[1];
    struct http_head h, first;
    char *copy = exact_copy(data, size);
    struct weir_span rest = {copy, size};

    http_head_init(&h, fields, LINES);
    http_head_init(&first, first_field, 1);
    while (h.count < LINES && rest.len > 0) {
        const char *newline = memchr(rest.ptr, '\n', rest.len);
        size_t n = newline != NULL ? (size_t)(newline - rest.ptr) : rest.len;
        struct weir_span line = weir_span_trim(weir_span(rest.ptr, n));

        MUST(http_head_add_id(&h, NULL, HTTP_F_CACHE_CONTROL, line));
        check_case(line);
        check_validators(line);
        check_date(line);
        n += newline != NULL;
        rest = weir_span(rest.ptr + n, rest.len - n);
    }
    if (h.count > 0) {
        MUST(http_head_add_id(&first, NULL, HTTP_F_CACHE_CONTROL, fields[0].value));
        check_cache_control(&h, &first);
        check_members(&h);
    }
    free(copy);
    return 0;
}
