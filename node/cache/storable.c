#include "storable.h"

#include "cache_settings.h"
#include "control.h"
#include "http_cache_control.h"
#include "http_head.h"
#include "http_status.h"
#include "validate.h"
#include "vary.h"

static const char *const texts[STORABLE_VERDICTS] = {
    [STORABLE_YES] = "",
    [STORABLE_NO_ROUTE] = "route",
    [STORABLE_NO_METHOD] = "method",
    [STORABLE_NO_REQUEST_CONTENT] = "request-content",
    [STORABLE_NO_REQUEST_NO_STORE] = "request-no-store",
    [STORABLE_NO_AUTHORIZATION] = "authorization",
    [STORABLE_NO_STATUS] = "status",
    [STORABLE_NO_RANGE] = "range",
    [STORABLE_NO_STORE] = "no-store",
    [STORABLE_NO_PRIVATE] = "private",
    [STORABLE_NO_NO_CACHE] = "no-cache",
    [STORABLE_NO_SET_COOKIE] = "set-cookie",
    [STORABLE_NO_VARY_STAR] = "vary-star",
    [STORABLE_NO_FRESHNESS] = "no-freshness",
    [STORABLE_NO_STALE] = "stale",
};

const char *storable_text(enum storable_verdict v)
{
    return texts[v];
}

bool storable_marks_key(enum storable_verdict v)
{
    return v >= STORABLE_NO_STATUS;
}

enum storable_verdict storable_request(const struct http_head *request, bool request_has_content,
                                       const struct route_cache_settings *route)
{
    if (!route->enabled)
        return STORABLE_NO_ROUTE;
    if (request->method_id != HTTP_M_GET && request->method_id != HTTP_M_HEAD &&
        (request->method_id != HTTP_M_QUERY || route->query_body_bytes == 0))
        return STORABLE_NO_METHOD;
    if (request_has_content)
        return STORABLE_NO_REQUEST_CONTENT;
    return STORABLE_YES;
}

/* What RFC 9110 says of these is what weir does: enough for must-understand (RFC 9111 5.2.2.3). */
static bool status_understood(int status)
{
    if (status >= 200 && status <= 205)
        return true;
    if ((status >= 300 && status <= 303) || status == 307 || status == 308)
        return true;
    if ((status >= 400 && status <= 417) || status == 421 || status == 422 || status == 426)
        return true;
    return status >= 500 && status <= 505;
}

static enum storable_verdict judge_status(int status, bool part,
                                          const struct http_cache_control *cc)
{
    if (status < 200 || status > 999)
        return STORABLE_NO_STATUS;
    switch (status) {
    case 206:
        return part ? STORABLE_YES : STORABLE_NO_RANGE;
    case 416:
        return STORABLE_NO_RANGE;
    case 304: /* answers a condition, not the key */
    case 412:
    case 425: /* RFC 8470 5.2 */
    case 428: /* RFC 6585 3 to 6 */
    case 429:
    case 431:
    case 511:
        return STORABLE_NO_STATUS;
    default:
        return cc->must_understand && !status_understood(status) ? STORABLE_NO_STATUS
                                                                 : STORABLE_YES;
    }
}

void storable_vary(const struct http_head *response, const struct route_cache_settings *route,
                   struct vary_spec *spec)
{
    struct vary_despite despite = {
        .star = (route->despite.store & DESPITE_VARY_STAR) != 0,
        .names = route->despite.ignore_vary,
        .name_count = route->despite.ignore_vary_count,
    };

    vary_parse_despite(response, &despite, spec);
}

static enum storable_verdict judge_fields(const struct storable_question *q)
{
    const struct http_cache_control *cc = &q->control->cc;
    struct vary_spec vary;

    if (cc->no_store && !cc->must_understand) /* an unknown status has been refused already */
        return STORABLE_NO_STORE;
    if (cc->private_)
        return STORABLE_NO_PRIVATE;
    if (http_head_has(q->response, HTTP_F_SET_COOKIE) && q->route->set_cookie == SET_COOKIE_PASS &&
        !control_withholds(q->control, http_head_first(q->response, HTTP_F_SET_COOKIE)))
        return STORABLE_NO_SET_COOKIE;
    storable_vary(q->response, q->route, &vary);
    return vary.star ? STORABLE_NO_VARY_STAR : STORABLE_YES;
}

static bool has_stale_window(const struct storable_question *q, int64_t staleness)
{
    const struct http_cache_control *cc = &q->control->cc;
    int64_t revalidate = cc->stale_while_revalidate, error = cc->stale_if_error;

    if (q->control->never_stale)
        return false;
    if (revalidate == HTTP_CC_ABSENT)
        revalidate = q->route->stale_while_revalidate_s;
    if (error == HTTP_CC_ABSENT)
        error = q->route->stale_if_error_s;
    return staleness < revalidate || staleness < error;
}

static enum storable_verdict judge_freshness(const struct storable_question *q)
{
    int64_t lifetime = freshness_lifetime(q->facts);
    int64_t age = freshness_initial_age(q->facts);
    bool named = freshness_explicit(q->facts);

    if (q->control->cc.no_cache) {
        /* It is not reused without validation, but must be cacheable at all (RFC 9111 3). */
        named = named || q->control->cc.public_ || http_status_heuristic(q->response->status);
        return named && (validate_possible(q->response) || has_stale_window(q, 0))
                   ? STORABLE_YES
                   : STORABLE_NO_NO_CACHE;
    }
    if (!named && lifetime == 0)
        return STORABLE_NO_FRESHNESS;
    if (lifetime > age || validate_possible(q->response) || has_stale_window(q, age - lifetime))
        return STORABLE_YES;
    return STORABLE_NO_STALE;
}

/*
 * Both are MUSTs (RFC 9111 3.5, 5.2.1.5), so they hold whether or not the route lets clients'
 * directives count.
 */
static enum storable_verdict judge_client(const struct storable_question *q)
{
    const struct http_cache_control *cc = &q->control->cc;
    bool shareable = cc->public_ || cc->must_revalidate || cc->s_maxage != HTTP_CC_ABSENT ||
                     (q->route->despite.store & DESPITE_AUTHORIZATION) != 0;

    /* Client-Cert tells who asks, too, and RFC 9440 leaves it to caches to heed that. */
    if ((http_head_has(q->request, HTTP_F_AUTHORIZATION) ||
         http_head_has(q->request, HTTP_F_CLIENT_CERT)) &&
        !shareable)
        return STORABLE_NO_AUTHORIZATION;
    return q->request_cc->no_store ? STORABLE_NO_REQUEST_NO_STORE : STORABLE_YES;
}

enum storable_verdict storable_response(const struct storable_question *q)
{
    enum storable_verdict v = storable_request(q->request, q->request_has_content, q->route);

    if (v == STORABLE_YES && q->request->method_id == HTTP_M_HEAD)
        v = STORABLE_NO_METHOD;
    if (v == STORABLE_YES)
        v = judge_status(q->response->status, q->part, &q->control->cc);
    if (v == STORABLE_YES)
        v = judge_fields(q);
    if (v == STORABLE_YES)
        v = judge_freshness(q);
    /* Last: a fault of the response is worth more, for it marks the key for all. */
    return v == STORABLE_YES ? judge_client(q) : v;
}
