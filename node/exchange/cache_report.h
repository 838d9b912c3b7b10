/*
 * cache_report.h - what clients are told of the cache: the field Cache-Status (RFC 9211).
 *
 * Caches nearer to the origin have their members before ours: theirs are in the head, ours comes
 * behind it. The key is told only to clients in `cache.debug_clients` that send "Cache-Debug: key";
 * that field goes no further.
 */
#ifndef CACHE_REPORT_H
#define CACHE_REPORT_H

#include "exchange.h"

struct http_text;

#define CACHE_REPORT_KEY_MAX 1024 /* longer keys are cut */
/* What the field takes besides the cache's name, with the key and without. */
#define CACHE_REPORT_MAX     (CACHE_STATUS_MAX + 32)
#define CACHE_REPORT_MAX_KEY (CACHE_REPORT_MAX + 2 * CACHE_REPORT_KEY_MAX + 16)

bool cache_report_may_tell_key(const struct weir_exchange *x);

/* Is x's client to be told the key? */
static inline bool cache_report_tells_key(const struct weir_exchange *x)
{
    return http_head_has(&x->req, HTTP_F_CACHE_DEBUG) && cache_report_may_tell_key(x);
}

/* Of a response that is stored, or came from an origin: x->response.status is set. */
void cache_report_put(struct http_text *t, const struct weir_exchange *x, bool stored,
                      bool has_ttl);
/* Of an error of ours, x->err; nothing where the cache was not asked. */
void cache_report_put_error(struct http_text *t, const struct weir_exchange *x);

#endif
