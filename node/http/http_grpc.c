#include "http_grpc.h"

#define TYPE           "application/grpc"
#define TIMEOUT_DIGITS 8 /* "TimeoutValue ... at most 8 digits" */
#define US_PER_MS      1000
#define NS_PER_MS      1000000

static bool is_grpc(struct weir_span type)
{
    const struct weir_span grpc = WEIR_SPAN_LIT(TYPE);

    if (type.len < grpc.len || !weir_span_ieq(weir_span(type.ptr, grpc.len), grpc))
        return false;
    return type.len == grpc.len || type.ptr[grpc.len] == '+' || type.ptr[grpc.len] == ';' ||
           type.ptr[grpc.len] == ' ';
}

bool http_grpc_call(const struct http_head *request)
{
    return request->method_id == HTTP_M_POST &&
           is_grpc(http_head_value(request, HTTP_F_CONTENT_TYPE));
}

/* Rounded up: less than a millisecond is one. 0: no such unit. */
static int64_t in_ms(int64_t value, char unit)
{
    switch (unit) {
    case 'H':
        return value * 3600 * 1000;
    case 'M':
        return value * 60 * 1000;
    case 'S':
        return value * 1000;
    case 'm':
        return value;
    case 'u':
        return (value + US_PER_MS - 1) / US_PER_MS;
    case 'n':
        return (value + NS_PER_MS - 1) / NS_PER_MS;
    default:
        return 0;
    }
}

int64_t http_grpc_timeout_ms(const struct http_head *request)
{
    const struct http_field *f = http_head_find(request, WEIR_SPAN_LIT("grpc-timeout"));
    unsigned long long value;
    size_t digits;

    if (f == NULL || f->value.len < 2)
        return 0;
    digits = f->value.len - 1;
    if (digits > TIMEOUT_DIGITS ||
        !weir_span_u64(weir_span(f->value.ptr, digits), 99999999, &value))
        return 0;
    return in_ms(value > 0 ? (int64_t)value : 1, f->value.ptr[digits]);
}

bool http_grpc_trailer(const struct http_field *f)
{
    /* What weir knows by name means something to somebody on the way; metadata of calls does not.
     */
    return f->id == HTTP_F_NONE && !(f->flags & (HTTP_FF_HOP | HTTP_FF_FORWARDING));
}

enum grpc_status {
    GRPC_UNKNOWN = 2,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16
};

/* As clients map what proxies answer; finer where we know more: who is late, and what is a limit
 * (which UNAVAILABLE would invite to try again at once). */
int http_grpc_status(int status)
{
    switch (status) {
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
    case 405:
    case 501:
        return GRPC_UNIMPLEMENTED;
    case 408:
    case 504:
        return GRPC_DEADLINE_EXCEEDED;
    case 413:
    case 429:
    case 431:
        return GRPC_RESOURCE_EXHAUSTED;
    case 400:
    case 500:
        return GRPC_INTERNAL;
    case 502:
    case 503:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}
