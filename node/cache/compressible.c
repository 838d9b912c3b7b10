#include "compressible.h"

#include "weir/span.h"

#include "cache_settings.h"
#include "http_cache_control.h"
#include "http_head.h"
#include "http_list.h"

/* "text/html" of "text/html; charset=utf-8"; empty if there is not exactly one. */
static struct weir_span media_type(const struct http_head *response)
{
    struct weir_span rest;

    if (http_head_repeats(response, HTTP_F_CONTENT_TYPE))
        return WEIR_SPAN_NONE;
    return http_list_item(http_head_value(response, HTTP_F_CONTENT_TYPE), &rest);
}

static bool type_fits(struct weir_span type, struct weir_span pattern)
{
    size_t n = pattern.len;

    if (n >= 2 && pattern.ptr[n - 1] == '*' && pattern.ptr[n - 2] == '/') /* all subtypes */
        return type.len >= n &&
               weir_span_ieq(weir_span(type.ptr, n - 1), weir_span(pattern.ptr, n - 1));
    return weir_span_ieq(type, pattern);
}

static bool type_listed(struct weir_span type, const struct route_compression_settings *route)
{
    for (size_t i = 0; i < route->type_count; i++)
        if (type_fits(type, weir_span_str(route->types[i])))
            return true;
    return false;
}

/* Does it forbid, by its fields, that other bytes than these go out? */
static bool fixed(const struct http_head *response)
{
    static const uint16_t digests[] = {HTTP_F_CONTENT_DIGEST, HTTP_F_REPR_DIGEST, HTTP_F_DIGEST,
                                       HTTP_F_CONTENT_MD5};
    struct http_cache_control cc;

    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++)
        if (http_head_has(response, digests[i]))
            return true;
    http_cache_control_parse(response, HTTP_F_CACHE_CONTROL, &cc);
    return cc.no_transform;
}

void compressible_response(const struct http_head *response, int64_t length,
                           const struct route_compression_settings *route, struct compressible *out)
{
    struct weir_span type = media_type(response);

    *out = (struct compressible){.coding = coding_of(response)};
    if (!route->enabled || out->coding == CODING_OTHER || response->status != 200 ||
        http_head_has(response, HTTP_F_CONTENT_RANGE) || !type_listed(type, route) ||
        fixed(response))
        return;
    /* What comes coded is small for that reason. */
    if (out->coding == CODING_IDENTITY && length >= 0 && (uint64_t)length < route->min_bytes)
        return;
    out->yes = true;
    out->events = weir_span_ieq(type, WEIR_SPAN_LIT("text/event-stream"));
    out->vary = !http_list_has(response, HTTP_F_VARY, http_field_name(HTTP_F_ACCEPT_ENCODING)) &&
                !http_list_has(response, HTTP_F_VARY, WEIR_SPAN_LIT("*"));
}
