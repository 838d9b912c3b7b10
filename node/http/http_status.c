#include "http_status.h"

#define HTTP_MF_SAFE       0x01
#define HTTP_MF_IDEMPOTENT 0x02

struct method {
    struct weir_span name;
    unsigned flags;
};

static const struct method methods[HTTP_METHODS] = {
    [HTTP_M_OTHER] = {{"", 0}, 0},
#define X(id, name, flags) [HTTP_M_##id] = {{name, sizeof(name) - 1}, flags},
#include "http_methods.def"
#undef X
};

enum http_method http_method_parse(struct weir_span name)
{
    /* GET, the first row, is what nearly all requests are. */
    for (int m = HTTP_M_OTHER + 1; m < HTTP_METHODS; m++)
        if (weir_span_eq(name, methods[m].name))
            return (enum http_method)m;
    return HTTP_M_OTHER;
}

struct weir_span http_method_name(enum http_method m)
{
    return methods[m].name;
}

bool http_method_safe(enum http_method m)
{
    return (methods[m].flags & HTTP_MF_SAFE) != 0;
}

bool http_method_idempotent(enum http_method m)
{
    return (methods[m].flags & HTTP_MF_IDEMPOTENT) != 0;
}

struct weir_span http_status_reason(int status)
{
    switch (status) {
#define X(code, reason)                                                                            \
    case code:                                                                                     \
        return WEIR_SPAN_LIT(reason);
#include "http_reasons.def"
#undef X
    default:
        return WEIR_SPAN_LIT("Unknown");
    }
}

bool http_status_heuristic(int status)
{
    switch (status) {
    case 200:
    case 203:
    case 204:
    case 206:
    case 300:
    case 301:
    case 308:
    case 404:
    case 405:
    case 410:
    case 414:
    case 501:
        return true;
    default:
        return false;
    }
}

bool http_status_blames_request(int status)
{
    switch (status) {
    case 400:
    case 406:
    case 408:
    case 411:
    case 412:
    case 413:
    case 415:
    case 416:
    case 417:
    case 421:
    case 425:
    case 426:
    case 428:
    case 429:
    case 431:
        return true;
    default:
        return false;
    }
}
