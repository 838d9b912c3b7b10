#include "trace.h"

#include <string.h>

#include "http_text.h"

static bool plain_id(struct weir_span id)
{
    if (id.len == 0 || id.len > EXCHANGE_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '-'))
            return false;
    }
    return true;
}

void trace_begin(struct weir_exchange *x)
{
    const char *name = x->site->site->source.forward->request_id_field;
    const struct http_field *given;

    x->request_id[0] = '\0';
    if (!x->peer_trusted || name[0] == '\0')
        return;
    given = http_head_find(&x->req, weir_span_str(name));
    if (given != NULL && plain_id(given->value)) {
        memcpy(x->request_id, given->value.ptr, given->value.len);
        x->request_id[given->value.len] = '\0';
    }
}

struct weir_span trace_request_id(struct weir_exchange *x)
{
    if (x->request_id[0] == '\0') {
        struct http_text t;
        uint64_t id[2] = {x->w->request_ids++, (uint64_t)x->began_us};
        struct weir_hash128 h = weir_hash128(x->w->secret, id, sizeof id);

        http_text_init(&t, x->request_id, 32);
        http_text_hex(&t, h.hi, 16);
        http_text_hex(&t, h.lo, 16);
        x->request_id[32] = '\0';
    }
    return weir_span_str(x->request_id);
}

bool trace_parent_valid(struct weir_span v)
{
    bool trace = false, parent = false;

    /* version "-" trace-id "-" parent-id "-" flags, lower-case hex; zero ids and version ff are
     * invalid */
    if (v.len < 55 || v.len > 512 || (v.len > 55 && v.ptr[55] != '-'))
        return false;
    for (size_t i = 0; i < 55; i++) {
        char c = v.ptr[i];

        if (i == 2 || i == 35 || i == 52) {
            if (c != '-')
                return false;
            continue;
        }
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        trace = trace || (i > 2 && i < 35 && c != '0');
        parent = parent || (i > 35 && i < 52 && c != '0');
    }
    return trace && parent && !(v.ptr[0] == 'f' && v.ptr[1] == 'f') &&
           (v.len == 55 || v.ptr[0] != '0' || v.ptr[1] != '0');
}
