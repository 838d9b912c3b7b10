#include "weir/address.h"

static bool split_brackets(struct weir_span text, struct weir_span *host, struct weir_span *port)
{
    const char *end = memchr(text.ptr, ']', text.len);
    size_t used;

    if (end == NULL || end == text.ptr + 1)
        return false;
    *host = weir_span(text.ptr + 1, (size_t)(end - text.ptr) - 1);
    used = (size_t)(end - text.ptr) + 1;
    *port = weir_span(text.ptr + used, 0);
    if (used == text.len)
        return true;
    *port = weir_span(text.ptr + used + 1, text.len - used - 1);
    return text.ptr[used] == ':' && port->len > 0;
}

static bool is_host(struct weir_span host)
{
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] <= ' ' || host.ptr[i] == 0x7f || strchr(":/[]@", host.ptr[i]) != NULL)
            return false;
    return host.len > 0;
}

bool weir_address_split(struct weir_span text, struct weir_span *host, struct weir_span *port)
{
    const char *colon;

    if (text.len > 0 && text.ptr[0] == '[')
        return split_brackets(text, host, port);
    colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    *host = weir_span(text.ptr, colon != NULL ? (size_t)(colon - text.ptr) : text.len);
    *port = weir_span(text.ptr + text.len, 0);
    if (colon != NULL)
        *port = weir_span(colon + 1, text.len - host->len - 1);
    return is_host(*host) && (colon == NULL || port->len > 0);
}
