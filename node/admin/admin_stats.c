#include <unistd.h>

#include "weir/metrics.h"
#include "admin.h"
#include "admin_endpoints.h"
#include "inflight.h"
#include "net_loop.h"
#include "purge.h"
#include "purge_feed.h"
#include "tier.h"

static void put_node(struct admin_request *r, json_t *out)
{
    json_t *node = admin_put_object(r, out, "node");

    admin_put_text(r, node, "version", r->source->version);
    admin_put_int(r, node, "pid", getpid());
    admin_put_int(r, node, "uptime_s", (r->source->loop->clock.mono_ms - r->started_ms) / 1000);
}

static void put_tier(struct admin_request *r, json_t *out, const struct tier_stats *s)
{
    json_t *memory = admin_put_object(r, out, "memory");
    json_t *stored = admin_put_object(r, out, "stored");
    size_t held = s->stored_bytes + s->form_bytes;

    admin_put_int(r, memory, "limit_bytes", (int64_t)s->limit_bytes);
    admin_put_int(r, memory, "used_bytes", (int64_t)s->bytes);
    admin_put_int(r, memory, "stored_bytes", (int64_t)s->stored_bytes);
    admin_put_int(r, memory, "form_bytes", (int64_t)s->form_bytes);
    /* The sums are taken one after the other, while workers go on. */
    admin_put_int(r, memory, "pinned_bytes", s->bytes > held ? (int64_t)(s->bytes - held) : 0);
    admin_put_int(r, memory, "small_queue_bytes", (int64_t)s->small_bytes);
    admin_put_int(r, memory, "main_queue_bytes", (int64_t)s->main_bytes);
    admin_put_int(r, stored, "responses", (int64_t)(s->responses - s->markers));
    admin_put_int(r, stored, "markers", (int64_t)s->markers);
    admin_put_int(r, stored, "puts", (int64_t)s->puts);
    admin_put_int(r, stored, "refused", (int64_t)s->refused);
    admin_put_int(r, stored, "forms", (int64_t)s->forms);
    admin_put_int(r, stored, "form_drops", (int64_t)s->form_drops);
    admin_put_int(r, stored, "purged", (int64_t)s->purged);
    admin_put_int(r, stored, "evictions", (int64_t)s->evictions);
    admin_put_int(r, stored, "ghost_hits", (int64_t)s->ghost_hits);
    admin_put_int(r, stored, "fills", (int64_t)inflight_count(r->source->inflight));
}

/* Null when nothing was asked for yet. */
static json_t *ratio(int64_t part, int64_t whole)
{
    return whole > 0 ? json_real((double)part / (double)whole) : json_null();
}

static void put_passes(struct admin_request *r, json_t *requests, const int64_t *sum)
{
    static const struct {
        const char *name;
        enum weir_metric metric;
    } rows[] = {
        {"bypass", WEIR_M_cache_pass_bypass},
        {"method", WEIR_M_cache_pass_method},
        {"hit-for-miss", WEIR_M_cache_pass_hit_for_miss},
        {"collapse-timeout", WEIR_M_cache_pass_collapse_timeout},
        {"miss", WEIR_M_cache_pass_miss},
    };
    json_t *by = admin_put_object(r, requests, "passes_by_reason");

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        admin_put_int(r, by, rows[i].name, sum[rows[i].metric]);
}

static void put_requests(struct admin_request *r, json_t *out, const int64_t *sum)
{
    json_t *requests = admin_put_object(r, out, "requests");
    json_t *content = admin_put_object(r, out, "content");
    int64_t hits = sum[WEIR_M_cache_hits] + sum[WEIR_M_cache_stale_hits];
    int64_t from_store = sum[WEIR_M_cache_hit_bytes];

    admin_put_int(r, requests, "lookups", sum[WEIR_M_cache_lookups]);
    admin_put_int(r, requests, "hits", sum[WEIR_M_cache_hits]);
    admin_put_int(r, requests, "stale_hits", sum[WEIR_M_cache_stale_hits]);
    admin_put_int(r, requests, "misses", sum[WEIR_M_cache_misses]);
    admin_put_int(r, requests, "collapsed", sum[WEIR_M_cache_collapsed]);
    admin_put_int(r, requests, "validated", sum[WEIR_M_cache_validated]);
    admin_put_int(r, requests, "stored", sum[WEIR_M_cache_stores]);
    admin_put_int(r, requests, "passes", sum[WEIR_M_cache_passes]);
    put_passes(r, requests, sum);
    admin_put(r, requests, "hit_ratio", ratio(hits, sum[WEIR_M_cache_lookups]));
    admin_put_int(r, content, "hit_bytes", from_store);
    admin_put_int(r, content, "forwarded_bytes", sum[WEIR_M_cache_forwarded_bytes]);
    admin_put(r, content, "hit_ratio",
              ratio(from_store, from_store + sum[WEIR_M_cache_forwarded_bytes]));
}

/* What came of asking the farm, for what this node's memory did not have. */
static void put_farm(struct admin_request *r, json_t *out, const int64_t *sum)
{
    json_t *farm = admin_put_object(r, out, "farm");

    admin_put_text(r, farm, "name", r->source->farm_name);
    admin_put_int(r, farm, "hits", sum[WEIR_M_shared_hits]);
    admin_put_int(r, farm, "misses", sum[WEIR_M_shared_misses]);
    admin_put_int(r, farm, "stale", sum[WEIR_M_shared_stale]);
    admin_put_int(r, farm, "leases", sum[WEIR_M_shared_leases]);
    admin_put_int(r, farm, "waits", sum[WEIR_M_shared_waits]);
    admin_put_int(r, farm, "stores", sum[WEIR_M_shared_stores]);
    admin_put_int(r, farm, "errors", sum[WEIR_M_shared_errors]);
}

static void put_purges(struct admin_request *r, json_t *out)
{
    static const char *const scopes[PURGE_SCOPES] = {
        [PURGE_URL] = "url",     [PURGE_PREFIX] = "prefix", [PURGE_TAG] = "tag",
        [PURGE_GROUP] = "group", [PURGE_HOST] = "host",     [PURGE_ALL] = "all"};
    json_t *purges = admin_put_object(r, out, "purges"), *applied;
    struct purge_stats s;

    purge_stats(r->source->purges, &s);
    admin_put_int(r, purges, "sequence", (int64_t)s.sequence);
    admin_put_int(r, purges, "records", (int64_t)s.records);
    admin_put_int(r, purges, "records_max", (int64_t)s.records_max);
    admin_put_int(r, purges, "bytes", (int64_t)s.bytes);
    admin_put_int(r, purges, "floor_hard", (int64_t)s.floor_hard);
    admin_put_int(r, purges, "floor_soft", (int64_t)s.floor_soft);
    applied = admin_put_object(r, purges, "applied");
    for (int i = 0; i < PURGE_SCOPES; i++)
        admin_put_int(r, applied, scopes[i], (int64_t)s.applied[i]);
}

/* What the farm has of it; null members: not known. */
static void put_purge_log(struct admin_request *r, json_t *out)
{
    json_t *log = admin_put_object(r, out, "purge_log");
    struct purge_feed_stats s;

    purge_feed_stats(r->source->purge_feed, &s);
    admin_put_bool(r, log, "known", s.known);
    admin_put_bool(r, log, "reachable", s.reachable);
    admin_put_int(r, log, "applied", (int64_t)s.applied);
    admin_put_int(r, log, "newest", (int64_t)s.newest);
    admin_put_int(r, log, "pending", (int64_t)s.pending);
    admin_put(r, log, "contact_ms", s.contact_ms >= 0 ? json_integer(s.contact_ms) : json_null());
    admin_put_int(r, log, "missed", (int64_t)s.missed);
    admin_put_int(r, log, "losses", (int64_t)s.losses);
}

void admin_cache_stats(struct admin_request *r)
{
    json_t *out = json_object();
    int64_t sum[WEIR_METRICS];
    struct tier_stats tier = {0};

    r->source->metrics(r->source->arg, sum);
    if (r->source->tier != NULL)
        tier_stats(r->source->tier, &tier);
    put_node(r, out);
    admin_put_bool(r, out, "enabled", r->source->tier != NULL);
    put_tier(r, out, &tier);
    put_requests(r, out, sum);
    if (r->source->farm_name != NULL)
        put_farm(r, out, sum);
    if (r->source->purges != NULL)
        put_purges(r, out);
    if (r->source->purge_feed != NULL)
        put_purge_log(r, out);
    admin_answer(r, 200, out);
}
