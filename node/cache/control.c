#include "control.h"

#include <limits.h>

#include "weir/arena.h"
#include "cache_settings.h"
#include "http_head.h"
#include "http_list.h"
#include "http_sf.h"

static bool is(struct weir_span name, const char *want)
{
    return weir_span_ieq(name, weir_span_str(want));
}

/* ---- targeted fields (RFC 9213) ---- */

/*
 * A member whose value is of another type than the directive's is not used (RFC 9213 2.1), as if it
 * were not there; but one that forbids still forbids, unless it says ?0: not storing is never
 * wrong.
 */
static bool forbids(const struct http_sf_item *v)
{
    return v->type != HTTP_SF_BOOLEAN || v->truth;
}

static bool claims(const struct http_sf_item *v)
{
    return v->type == HTTP_SF_BOOLEAN && v->truth;
}

static int64_t seconds(const struct http_sf_item *v)
{
    if (v->type != HTTP_SF_INTEGER)
        return HTTP_CC_ABSENT;
    if (v->number < 0)
        return 0;
    return v->number < HTTP_CC_MAX ? v->number : HTTP_CC_MAX;
}

/* The names in a string; ptr NULL: the directive stands for the whole response. */
static struct weir_span names(const struct http_sf_item *v, struct weir_arena *arena)
{
    char *room;

    if (v->type != HTTP_SF_STRING)
        return WEIR_SPAN_NONE;
    if (!v->escaped)
        return v->text;
    room = weir_arena_alloc(arena, v->text.len);
    return room != NULL ? http_sf_text(v, room) : WEIR_SPAN_NONE;
}

/* A key that comes again takes the place of the earlier, so each call sets what it is about anew.
 */
static void take_member(struct http_cache_control *cc, struct weir_span key,
                        const struct http_sf_item *v, struct weir_arena *arena)
{
    if (is(key, "max-age")) {
        cc->max_age = seconds(v);
    } else if (is(key, "s-maxage")) {
        cc->s_maxage = seconds(v);
    } else if (is(key, "stale-while-revalidate")) {
        cc->stale_while_revalidate = seconds(v);
    } else if (is(key, "stale-if-error")) {
        cc->stale_if_error = seconds(v);
    } else if (is(key, "no-cache")) {
        cc->no_cache = forbids(v);
        cc->no_cache_fields = names(v, arena);
    } else if (is(key, "private")) {
        cc->private_ = forbids(v);
        cc->private_fields = names(v, arena);
    } else if (is(key, "no-store")) {
        cc->no_store = forbids(v);
    } else if (is(key, "must-revalidate")) {
        cc->must_revalidate = forbids(v);
    } else if (is(key, "proxy-revalidate")) {
        cc->proxy_revalidate = forbids(v);
    } else if (is(key, "must-understand")) {
        cc->must_understand = claims(v);
    } else if (is(key, "public")) {
        cc->public_ = claims(v);
    } else if (is(key, "immutable")) {
        cc->immutable = claims(v);
    } else if (is(key, "no-transform")) {
        cc->no_transform = forbids(v);
    }
}

/* False: not there, empty, or not a dictionary; then it says nothing (RFC 9213 2.1). */
static bool targeted(struct http_cache_control *cc, const struct http_head *response,
                     struct weir_span name, struct weir_arena *arena)
{
    const struct http_field *first = http_head_find(response, name);
    struct weir_span text, key;
    struct http_sf_item value;
    struct http_sf it;
    bool any = false;

    if (first == NULL)
        return false;
    http_cache_control_parse_value(WEIR_SPAN_LIT(""), cc);
    if (!http_sf_lines_name(&text, response, name, arena)) {
        cc->no_store = true; /* no memory to read it */
        return true;
    }
    if (!http_sf_dict(&it, text))
        return false;
    for (; http_sf_dict_next(&it, &key, &value); any = true)
        take_member(cc, key, &value, arena);
    return any;
}

/* ---- Surrogate-Control ---- */

/* "600" or "600+60": fresh, then usable stale. Anything else is stale at once. */
static void surrogate_max_age(struct http_cache_control *cc, struct weir_span value)
{
    const char *plus = value.len > 0 ? memchr(value.ptr, '+', value.len) : NULL;
    size_t n = plus != NULL ? (size_t)(plus - value.ptr) : value.len;
    unsigned long long fresh, stale = 0;

    cc->max_age = 0;
    cc->stale_while_revalidate = cc->stale_if_error = HTTP_CC_ABSENT;
    if (!weir_span_u64(weir_span(value.ptr, n), ULLONG_MAX, &fresh))
        return;
    if (plus != NULL && !weir_span_u64(weir_span(plus + 1, value.len - n - 1), ULLONG_MAX, &stale))
        return;
    cc->max_age = fresh < HTTP_CC_MAX ? (int64_t)fresh : HTTP_CC_MAX;
    if (plus != NULL)
        cc->stale_while_revalidate = cc->stale_if_error =
            stale < HTTP_CC_MAX ? (int64_t)stale : HTTP_CC_MAX;
}

/* A directive may be for one surrogate by name: "max-age=30;abc". */
static bool for_us(struct weir_span target, struct weir_span us)
{
    return target.len == 0 || weir_span_ieq(target, us);
}

/* False: it says nothing of storing. */
static bool surrogate(struct control *c, const struct http_head *response, struct weir_span us)
{
    struct weir_span member, directive, target, rest;
    bool general = false, own = false;
    struct http_param d;
    struct http_list l;

    http_cache_control_parse_value(WEIR_SPAN_LIT(""), &c->cc);
    http_list_begin(&l, response, HTTP_F_SURROGATE_CONTROL);
    while (http_list_next(&l, &member)) {
        directive = http_list_item(member, &target);
        rest = directive;
        target = weir_span_trim(target);
        if (!for_us(target, us) || !http_param_next(&rest, ',', &d))
            continue;
        if (is(d.name, "content")) {
            if (d.value.ptr != NULL && !http_unquote(d.value, NULL, &c->esi))
                c->esi = WEIR_SPAN_NONE;
        } else if (is(d.name, "no-store") || is(d.name, "no-store-remote")) {
            c->cc.no_store = general = true;
        } else if (is(d.name, "max-age")) {
            if (target.len == 0 && own)
                continue; /* what is said to us by name counts more */
            surrogate_max_age(&c->cc, d.value);
            general = true;
            own = target.len > 0;
        }
    }
    return general;
}

/* ---- fields left out ---- */

/* Without one of these the rest would be misread: then it is as if no field had been named. */
static bool essential(struct weir_span name)
{
    return weir_span_ieq(weir_span(name.ptr, name.len < 8 ? name.len : 8),
                         WEIR_SPAN_LIT("content-")) ||
           is(name, "vary") || is(name, "transfer-encoding");
}

static bool names_usable(struct weir_span list)
{
    struct weir_span name;
    struct http_list l;
    bool any = false;

    http_list_begin_value(&l, list);
    for (; http_list_next(&l, &name); any = true)
        if (!http_is_token(name) || essential(name))
            return false;
    return any;
}

/* private="a": the response is as public as any once `a` is left out. Where the names are of no use
 * the directive stands for the whole (RFC 9111 5.2.2.4 and 5.2.2.7 allow that). */
static void qualify(struct control *c, bool *directive, struct weir_span *list)
{
    if (!*directive || list->ptr == NULL || !names_usable(*list)) {
        *list = WEIR_SPAN_NONE;
        return;
    }
    *directive = false;
    c->withholds = true;
}

static bool listed(struct weir_span list, struct weir_span name)
{
    struct weir_span member;
    struct http_list l;

    http_list_begin_value(&l, list);
    while (http_list_next(&l, &member))
        if (weir_span_ieq(member, name))
            return true;
    return false;
}

bool control_withholds(const struct control *c, const struct http_field *f)
{
    if (!c->withholds)
        return false;
    return (c->strips_cookies && f->id == HTTP_F_SET_COOKIE) ||
           listed(c->cc.private_fields, f->name) || listed(c->cc.no_cache_fields, f->name);
}

bool control_hides(const struct cache_settings *node, const struct http_field *f)
{
    if (node->surrogate_control && f->id == HTTP_F_SURROGATE_CONTROL)
        return true;
    if (node->targets_forward)
        return false;
    for (size_t i = 0; i < node->target_count; i++)
        if (weir_span_ieq(f->name, weir_span_str(node->targets[i])))
            return true;
    return false;
}

/* ---- the choice ---- */

static void choose(struct control *c, const struct http_head *response,
                   const struct control_rules *rules, struct weir_arena *arena)
{
    c->source = CONTROL_SURROGATE;
    if (rules->node->surrogate_control && http_head_has(response, HTTP_F_SURROGATE_CONTROL) &&
        surrogate(c, response, rules->surrogate))
        return;
    c->source = CONTROL_TARGETED;
    for (size_t i = 0; i < rules->node->target_count; i++)
        if (targeted(&c->cc, response, weir_span_str(rules->node->targets[i]), arena))
            return;
    c->source = CONTROL_CACHE_CONTROL;
    c->expires_counts = true;
    http_cache_control_parse(response, HTTP_F_CACHE_CONTROL, &c->cc);
}

static void disregard(struct http_cache_control *cc, uint32_t store)
{
    if (store & DESPITE_NO_STORE)
        cc->no_store = false;
    if (store & DESPITE_PRIVATE) {
        cc->private_ = false;
        cc->private_fields = WEIR_SPAN_NONE;
    }
    if (store & DESPITE_NO_CACHE) {
        cc->no_cache = false;
        cc->no_cache_fields = WEIR_SPAN_NONE;
    }
}

/* RFC 9111 4.2.4; s-maxage includes proxy-revalidate for a shared cache (5.2.2.10). */
static bool stale_forbidden(const struct http_cache_control *cc, uint32_t despite)
{
    return (cc->no_cache && !(despite & DESPITE_NO_CACHE)) ||
           (cc->must_revalidate && !(despite & DESPITE_MUST_REVALIDATE)) ||
           (cc->proxy_revalidate && !(despite & DESPITE_PROXY_REVALIDATE)) ||
           (cc->s_maxage != HTTP_CC_ABSENT && !(despite & DESPITE_S_MAXAGE));
}

void control_of(struct control *c, const struct http_head *response,
                const struct control_rules *rules, struct weir_arena *arena)
{
    const struct route_cache_settings *route = rules->route;

    *c = (struct control){.esi = WEIR_SPAN_NONE};
    choose(c, response, rules, arena);
    disregard(&c->cc, route->despite.store);
    qualify(c, &c->cc.private_, &c->cc.private_fields);
    qualify(c, &c->cc.no_cache, &c->cc.no_cache_fields);
    c->strips_cookies = route->set_cookie == SET_COOKIE_STRIP;
    c->withholds |= c->strips_cookies && http_head_has(response, HTTP_F_SET_COOKIE);
    c->never_stale = stale_forbidden(&c->cc, route->despite.stale);
}
