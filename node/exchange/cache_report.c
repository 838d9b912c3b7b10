#include "cache_report.h"

#include "http_list.h"
#include "http_text.h"
#include "netset.h"

bool cache_report_may_tell_key(const struct weir_exchange *x)
{
    union net_sockaddr client;

    if (x->site->site->debug_clients == NULL || !x->keyed.sent ||
        !http_list_has(&x->req, HTTP_F_CACHE_DEBUG, WEIR_SPAN_LIT("key")))
        return false;
    net_peer_sockaddr(&x->client_addr, &client);
    return netset_has(x->site->site->debug_clients, &client.any);
}

/* Under which it is stored, or was looked for. */
static struct weir_span key_of(const struct weir_exchange *x)
{
    if (x->stored != NULL)
        return x->stored->key;
    if (x->reader != NULL && x->reader->fill->key.len > 0)
        return x->reader->fill->key;
    return x->key.bytes;
}

static void put_key(struct http_text *t, const struct weir_exchange *x)
{
    char text[CACHE_REPORT_KEY_MAX];
    struct cache_key_parts parts;
    size_t len;

    if (!cache_key_read(key_of(x), &parts))
        return;
    len = cache_key_text(&parts, text, sizeof text);
    http_text_lit(t, "; key=\"");
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            http_text_char(t, '\\');
        http_text_char(t, text[i]);
    }
    http_text_char(t, '"');
}

static void put(struct http_text *t, const struct weir_exchange *x, const struct cache_status *s)
{
    struct weir_span name = x->site->site->pseudonym;
    bool quoted = name.len > 0 && !((name.ptr[0] | 0x20) >= 'a' && (name.ptr[0] | 0x20) <= 'z');
    char value[CACHE_STATUS_MAX];
    size_t len = cache_status_write(value, s);

    /* The value begins with a name; ours may be another, and not every token may stand there
     * without quotes (RFC 9651 3.3.4). */
    http_text_lit(t, "Cache-Status: ");
    if (quoted)
        http_text_char(t, '"');
    http_text_add(t, name);
    if (quoted)
        http_text_char(t, '"');
    http_text_bytes(t, value + 4, len - 4);
    if (cache_report_tells_key(x))
        put_key(t, x);
    http_text_lit(t, "\r\n");
}

void cache_report_put(struct http_text *t, const struct weir_exchange *x, bool stored, bool has_ttl)
{
    struct cache_status s = {
        .fwd = x->hit ? FWD_NONE : x->fwd,
        .hit = x->hit,
        .stored = stored,
        .collapsed = x->collapsed,
        .has_ttl = has_ttl,
        .ttl = x->ttl,
        .fwd_status = x->origin_status != x->response.status ? (uint16_t)x->origin_status : 0,
        .detail = x->cache_detail,
    };

    put(t, x, &s);
}

void cache_report_put_error(struct http_text *t, const struct weir_exchange *x)
{
    bool only_if_cached = x->err.code == WEIR_E_ONLY_IF_CACHED;
    struct cache_status s = {
        .fwd = only_if_cached ? FWD_NONE : x->fwd,
        .collapsed = x->collapsed,
        .fwd_status = (uint16_t)x->origin_status,
        .detail = only_if_cached ? "only-if-cached" : x->cache_detail,
    };

    if (x->key.bytes.ptr != NULL && (s.fwd != FWD_NONE || only_if_cached))
        put(t, x, &s);
}
