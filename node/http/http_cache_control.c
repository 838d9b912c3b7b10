#include "http_cache_control.h"

#include "http_list.h"

/*
 * An argument that must be delta-seconds, as a token or a quoted string (RFC 9111 5.2). Spaced,
 * signed, empty or missing ones are invalid (value.ptr NULL: no "="): they read as `if_invalid`.
 */
static int64_t delta_seconds(struct weir_span value, int64_t if_invalid, bool *valid)
{
    unsigned long long seconds;

    *valid = false;
    if (value.ptr == NULL || !http_unquote(value, NULL, &value) || value.len == 0)
        return if_invalid;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return if_invalid;
    *valid = true;
    /* Nothing but digits: it can only fail by being too large. */
    if (!weir_span_u64(value, (unsigned long long)HTTP_CC_MAX, &seconds))
        return HTTP_CC_MAX;
    return (int64_t)seconds;
}

/* Of two, the smaller counts: it grants less. */
static void set_smaller(int64_t *field, struct weir_span value)
{
    bool valid;
    int64_t seconds = delta_seconds(value, 0, &valid);

    if (*field == HTTP_CC_ABSENT || seconds < *field)
        *field = seconds;
}

/* The lifetimes; remembers whether the sender contradicts itself. */
static void set_lifetime(struct http_cache_control *cc, int64_t *field, struct weir_span value)
{
    bool valid;
    int64_t seconds = delta_seconds(value, 0, &valid);

    if (*field != HTTP_CC_ABSENT && (seconds != *field || !valid))
        cc->conflict = true;
    if (*field == HTTP_CC_ABSENT || seconds < *field)
        *field = seconds;
}

/* min-fresh demands, so here the larger is the stricter. */
static void set_larger(int64_t *field, struct weir_span value)
{
    bool valid;
    int64_t seconds = delta_seconds(value, HTTP_CC_MAX, &valid);

    if (*field == HTTP_CC_ABSENT || seconds > *field)
        *field = seconds;
}

static void set_max_stale(struct http_cache_control *cc, struct weir_span value)
{
    if (value.ptr == NULL)
        cc->max_stale_any = true;
    else
        set_smaller(&cc->max_stale, value);
}

/*
 * private="a, b" and no-cache="a, b"; a bare token is taken for a list of one (RFC 9111 5.2.2.4
 * knows of senders that write it). Said twice, or once without names, it stands for the whole.
 */
static void set_qualified(bool *directive, struct weir_span *names, struct weir_span value)
{
    bool first = !*directive;

    *directive = true;
    if (!first || value.ptr == NULL || !http_unquote(value, NULL, names))
        *names = WEIR_SPAN_NONE;
}

static bool is(struct weir_span name, struct weir_span want)
{
    return weir_span_ieq(name, want);
}

#define IS(name, literal) is((name), WEIR_SPAN_LIT(literal))

/* Flags: an argument they do not have is ignored, for a stray one must not loosen anything. */
static bool set_flag(struct http_cache_control *cc, struct weir_span name)
{
    if (IS(name, "no-store"))
        cc->no_store = true;
    else if (IS(name, "public"))
        cc->public_ = true;
    else if (IS(name, "must-revalidate"))
        cc->must_revalidate = true;
    else if (IS(name, "proxy-revalidate"))
        cc->proxy_revalidate = true;
    else if (IS(name, "must-understand"))
        cc->must_understand = true;
    else if (IS(name, "no-transform"))
        cc->no_transform = true;
    else if (IS(name, "immutable"))
        cc->immutable = true;
    else if (IS(name, "only-if-cached"))
        cc->only_if_cached = true;
    else
        return false;
    return true;
}

static void set_argument(struct http_cache_control *cc, const struct http_param *d)
{
    if (IS(d->name, "max-age")) {
        set_lifetime(cc, &cc->max_age, d->value);
    } else if (IS(d->name, "s-maxage")) {
        set_lifetime(cc, &cc->s_maxage, d->value);
    } else if (IS(d->name, "no-cache")) {
        set_qualified(&cc->no_cache, &cc->no_cache_fields, d->value);
    } else if (IS(d->name, "private")) {
        set_qualified(&cc->private_, &cc->private_fields, d->value);
    } else if (IS(d->name, "stale-while-revalidate")) {
        set_smaller(&cc->stale_while_revalidate, d->value);
    } else if (IS(d->name, "stale-if-error")) {
        set_smaller(&cc->stale_if_error, d->value);
    } else if (IS(d->name, "min-fresh")) {
        set_larger(&cc->min_fresh, d->value);
    } else if (IS(d->name, "max-stale")) {
        set_max_stale(cc, d->value);
    }
}

/* A quote that is never closed hides whatever followed it, a no-store perhaps. */
static bool hides_the_rest(struct weir_span value)
{
    return value.ptr != NULL && value.len > 0 && value.ptr[0] == '"' && !http_is_quoted(value);
}

static void directive(struct http_cache_control *cc, struct weir_span member)
{
    struct weir_span rest = member, trimmed;
    struct http_param d;

    /* No separator can occur in a member, so this only splits at '='. */
    if (!http_param_next(&rest, ',', &d))
        return;
    /* "max-age =5": the name is still recognised, and the spaced argument judged as invalid. */
    trimmed = weir_span_trim(d.name);
    if (trimmed.len != d.name.len && d.value.ptr != NULL) {
        d.name = trimmed;
        d.value.len = 0;
    }
    if (!set_flag(cc, d.name))
        set_argument(cc, &d);
    if (hides_the_rest(d.value))
        set_qualified(&cc->no_cache, &cc->no_cache_fields, WEIR_SPAN_NONE);
}

static void clear(struct http_cache_control *out)
{
    *out = (struct http_cache_control){
        .max_age = HTTP_CC_ABSENT,
        .s_maxage = HTTP_CC_ABSENT,
        .min_fresh = HTTP_CC_ABSENT,
        .max_stale = HTTP_CC_ABSENT,
        .stale_while_revalidate = HTTP_CC_ABSENT,
        .stale_if_error = HTTP_CC_ABSENT,
    };
}

static void read_list(struct http_list *l, struct http_cache_control *out)
{
    struct weir_span member;

    while (http_list_next(l, &member))
        directive(out, member);
}

void http_cache_control_parse(const struct http_head *h, uint16_t id,
                              struct http_cache_control *out)
{
    struct http_list l;

    clear(out);
    if (!http_head_has(h, id))
        return;
    out->any = true;
    http_list_begin(&l, h, id);
    read_list(&l, out);
}

void http_cache_control_request(const struct http_head *h, struct http_cache_control *out)
{
    http_cache_control_parse(h, HTTP_F_CACHE_CONTROL, out);
    if (!out->any && http_list_has(h, HTTP_F_PRAGMA, WEIR_SPAN_LIT("no-cache")))
        out->no_cache = true;
}

void http_cache_control_parse_value(struct weir_span value, struct http_cache_control *out)
{
    struct http_list l;

    clear(out);
    out->any = true;
    http_list_begin_value(&l, value);
    read_list(&l, out);
}
