#include <event2/buffer.h>

#include "weir/metrics.h"
#include "admin.h"
#include "admin_endpoints.h"
#include "admin_metrics.h"
#include "inflight.h"
#include "purge.h"
#include "tier.h"
#include "tls_store.h"

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

void admin_metric(struct admin_request *r, struct evbuffer *out, const char *name, const char *help,
                  bool gauge, long long value)
{
    /* Counters end in _total, as Prometheus names them. */
    const char *suffix = gauge ? "" : "_total";

    if (evbuffer_add_printf(out, "# HELP weir_%s%s %s\n# TYPE weir_%s%s %s\nweir_%s%s %lld\n", name,
                            suffix, help, name, suffix, gauge ? "gauge" : "counter", name, suffix,
                            value) < 0)
        r->failed = true;
}

static void put_counters(struct admin_request *r, struct evbuffer *out)
{
    int64_t sum[WEIR_METRICS];

    r->source->metrics(r->source->arg, sum);
    for (int m = 0; m < WEIR_METRICS; m++)
        admin_metric(r, out, weir_metric_name((enum weir_metric)m),
                     weir_metric_help((enum weir_metric)m),
                     weir_metric_is_gauge((enum weir_metric)m), sum[m]);
}

static void put_tier(struct admin_request *r, struct evbuffer *out)
{
    struct tier_stats s;

    if (r->source->tier == NULL)
        return;
    tier_stats(r->source->tier, &s);
    admin_metric(r, out, "cache_memory_limit_bytes", "Limit of the memory tier", true,
                 (long long)s.limit_bytes);
    admin_metric(r, out, "cache_memory_used_bytes", "Stored, and evicted but still being sent",
                 true, (long long)s.bytes);
    admin_metric(r, out, "cache_memory_stored_bytes", "Stored", true, (long long)s.stored_bytes);
    admin_metric(r, out, "cache_memory_form_bytes", "Stored beside that, in other codings", true,
                 (long long)s.form_bytes);
    admin_metric(r, out, "cache_forms", "Stored content in other codings", true,
                 (long long)s.forms);
    admin_metric(r, out, "cache_form_drops", "Those dropped for room", false,
                 (long long)s.form_drops);
    admin_metric(r, out, "cache_stored_responses", "Stored responses", true,
                 (long long)(s.responses - s.markers));
    admin_metric(r, out, "cache_markers", "Keys remembered as not worth waiting for", true,
                 (long long)s.markers);
    admin_metric(r, out, "cache_evictions", "Stored responses dropped for room", false,
                 (long long)s.evictions);
    admin_metric(r, out, "cache_refused", "Responses the memory tier had no room for", false,
                 (long long)s.refused);
    admin_metric(r, out, "cache_ghost_hits",
                 "Responses that came back soon after they were evicted", false,
                 (long long)s.ghost_hits);
}

static void put_purges(struct admin_request *r, struct evbuffer *out)
{
    struct purge_stats s;
    long long applied = 0;

    if (r->source->purges == NULL)
        return;
    purge_stats(r->source->purges, &s);
    for (int i = 0; i < PURGE_SCOPES; i++)
        applied += (long long)s.applied[i];
    admin_metric(r, out, "cache_purges", "Purges and invalidations applied", false, applied);
    admin_metric(r, out, "cache_purges_remembered", "Purges in the table", true,
                 (long long)s.records);
    admin_metric(r, out, "cache_purge_table_bytes", "Memory of the table of purges", true,
                 (long long)s.bytes);
}

static void put_certificates(struct admin_request *r, struct evbuffer *out)
{
    struct tls_store *store =
        r->source->certificates != NULL ? r->source->certificates(r->source->arg) : NULL;
    struct tls_store_summary s;

    if (store == NULL)
        return;
    tls_store_sum(store, r->source->loop->clock.wall_s, &s);
    admin_metric(r, out, "tls_certificates", "Certificates for clients", true,
                 (long long)s.certificates);
    admin_metric(r, out, "tls_certificates_expired", "Those that have expired", true,
                 (long long)s.expired);
    admin_metric(r, out, "tls_certificates_expiring", "Those that expire within 14 days", true,
                 (long long)s.expiring);
    admin_metric(r, out, "tls_certificate_expiry_seconds",
                 "When the first of them expires, in Unix time", true,
                 (long long)s.nearest_expiry_s);
    admin_metric(r, out, "tls_ocsp_stapled", "Certificates with a response of OCSP in force", true,
                 (long long)s.stapled);
    admin_metric(r, out, "tls_ocsp_failed", "Certificates whose response cannot be had", true,
                 (long long)s.ocsp_failed);
}

/* ---- who asks ---- */

static void put_admin(struct admin_request *r, struct evbuffer *out)
{
    struct admin_counts c = {0};

    admin_counts(r->admin, &c);
    admin_metric(r, out, "admin_connections_open", "Connections of operators open now", true,
                 (long long)c.unix_door.open + c.tcp_door.open);
    admin_metric(r, out, "admin_connections_refused",
                 "Connections of operators refused for a limit", false,
                 (long long)c.unix_door.refused + (long long)c.tcp_door.refused);
    admin_metric(r, out, "admin_timed_out", "Requests of operators that took too long", false,
                 (long long)c.unix_door.timed_out + (long long)c.tcp_door.timed_out);
    admin_metric(r, out, "admin_handshakes_failed", "Handshakes of TLS with operators that failed",
                 false, (long long)c.tcp_door.handshakes_failed);
    admin_metric(r, out, "admin_token_failures", "Tokens of operators that were not known", false,
                 (long long)c.failures);
    admin_metric(r, out, "admin_throttled", "Requests from addresses with too many of these", false,
                 (long long)c.throttled);
    admin_metric(r, out, "admin_forbidden", "Requests that a role did not reach for", false,
                 (long long)c.forbidden + (long long)c.anonymous);
}

void admin_metrics(struct admin_request *r)
{
    struct evbuffer *out = evbuffer_new();

    if (out == NULL) {
        admin_refuse(r, 503, "out of memory");
        return;
    }
    if (evbuffer_add_printf(out,
                            "# HELP weir_build_info Version of this node\n"
                            "# TYPE weir_build_info gauge\n"
                            "weir_build_info{version=\"%s\"} 1\n",
                            r->source->version) < 0)
        r->failed = true;
    put_counters(r, out);
    put_tier(r, out);
    put_purges(r, out);
    admin_metric(r, out, "cache_fills", "Shared fetches under way", true,
                 (long long)inflight_count(r->source->inflight));
    put_certificates(r, out);
    put_admin(r, out);
    admin_metrics_farm(r, out);
    if (r->failed)
        admin_refuse(r, 503, "out of memory");
    else
        admin_answer_text(r, PROMETHEUS_TYPE, out);
    evbuffer_free(out);
}
