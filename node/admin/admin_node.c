#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "health.h"
#include "hooks.h"
#include "origin_state.h"
#include "readiness.h"
#include "reload_report.h"
#include "admin.h"
#include "admin_endpoints.h"
#include "admin_state.h"
#include "admin_views.h"
#include "net_loop.h"
#include "purge_feed.h"
#include "tier.h"
#include "tls_store.h"

#define LISTENS_MAX 64
#define ORIGINS_MAX 100

void admin_put_hex(struct admin_request *r, json_t *object, const char *name, uint64_t value)
{
    char text[17];

    snprintf(text, sizeof text, "%016llx", (unsigned long long)value);
    admin_put_text(r, object, name, text);
}

const char *admin_verdict_name(int verdict)
{
    static const char *const names[] = {
        [ORIGIN_UP] = "up",           [ORIGIN_DOWN] = "down",         [ORIGIN_DRAIN] = "drained",
        [ORIGIN_UNKNOWN] = "unknown", [ORIGIN_DISABLED] = "disabled",
    };

    return names[verdict];
}

const char *admin_vote_name(int vote)
{
    return vote == HEALTH_VOTE_UP ? "up" : vote == HEALTH_VOTE_DOWN ? "down" : NULL;
}

/* ---- who, and where ---- */

static void put_identity(struct admin_request *r, json_t *o)
{
    const struct member *list = NULL;

    if (r->source->members != NULL)
        members_list(r->source->members, &list); /* this node stands first */
    admin_put_text(r, o, "id", list != NULL ? list[0].id : "");
    admin_put_hex(r, o, "incarnation", list != NULL ? list[0].incarnation : 0);
    admin_put_text(r, o, "version", r->source->version);
    admin_put_int(r, o, "pid", getpid());
    admin_put_int(r, o, "started_at",
                  r->source->loop->clock.wall_s -
                      (r->source->loop->clock.mono_ms - r->started_ms) / 1000);
    admin_put_int(r, o, "uptime_s", (r->source->loop->clock.mono_ms - r->started_ms) / 1000);
}

static void put_addresses(struct admin_request *r, json_t *o)
{
    const char *texts[LISTENS_MAX];
    size_t n =
        r->source->listens != NULL ? r->source->listens(r->source->arg, texts, LISTENS_MAX) : 0;
    json_t *listen = admin_put_array(r, o, "listen"), *admin = admin_put_array(r, o, "admin");

    for (size_t i = 0; i < n; i++)
        admin_append(r, listen, admin_string(weir_span_str(texts[i])));
    if (r->state->socket[0] != '\0')
        admin_append(r, admin, admin_string(weir_span_str(r->state->socket)));
    if (r->state->tcp[0] != '\0')
        admin_append(r, admin, admin_string(weir_span_str(r->state->tcp)));
}

/* ---- how it is ---- */

static void put_readiness(struct admin_request *r, json_t *o)
{
    const struct admin_source *s = r->source;
    json_t *because = admin_put_array(r, o, "not_ready_because");
    const char *names[READY_REASONS];
    bool draining = false;
    size_t n = s->readiness != NULL ? readiness_because(s->readiness, names) : 0;

    for (size_t i = 0; i < n; i++) {
        admin_append(r, because, json_string(names[i]));
        draining |= names[i] == ready_reason_name(READY_DRAINING);
    }
    admin_put_bool(r, o, "ready", s->readiness == NULL || readiness_is(s->readiness));
    admin_put_bool(r, o, "draining", draining);
    admin_put_bool(r, o, "suspect", s->health != NULL && health_suspects_self(s->health));
    admin_put_bool(r, o, "autonomous", s->health != NULL && health_autonomous(s->health));
}

static void put_last_reload(struct admin_request *r, json_t *config,
                            const struct reload_report *report)
{
    json_t *o;

    if (report == NULL || report->count == 0) {
        admin_put(r, config, "last_reload", json_null());
        return;
    }
    o = admin_put_object(r, config, "last_reload");
    admin_put(r, o, "order",
              report->order != 0 ? json_integer((json_int_t)report->order) : json_null());
    admin_put_bool(r, o, "ok", report->ok);
    admin_put_span(r, o, "error", weir_span_str(report->ok ? NULL : report->error));
    admin_put_int(r, o, "at", report->at_s);
}

static void put_config(struct admin_request *r, json_t *o)
{
    const struct reload_report *report = r->source->report;
    json_t *config = admin_put_object(r, o, "config");

    admin_put_hex(r, config, "hash", report != NULL ? report->config : 0);
    admin_put_span(r, config, "file", weir_span_str(r->source->config_file));
    admin_put_int(r, config, "loaded_at", report != NULL ? report->loaded_at_s : 0);
    put_last_reload(r, config, report);
}

/* Rounded, so that records of the same load are the same. */
static json_t *rounded(double value)
{
    return json_real((double)(int64_t)(value * 100 + 0.5) / 100);
}

static void put_load(struct admin_request *r, json_t *o)
{
    const struct rates *rates = &r->state->rates;
    json_t *load = admin_put_object(r, o, "load");
    double lookups = (double)rates_growth(rates, RATE_LOOKUPS);
    int64_t sum[WEIR_METRICS];
    struct tier_stats tier = {0};

    r->source->metrics(r->source->arg, sum);
    if (r->source->tier != NULL)
        tier_stats(r->source->tier, &tier);
    admin_put_int(r, load, "connections", sum[WEIR_M_connections_open]);
    admin_put(r, load, "requests_per_s", rounded(rates_per_s(rates, RATE_REQUESTS)));
    admin_put(r, load, "hit_ratio",
              lookups > 0 ? json_real((double)rates_growth(rates, RATE_HITS) / lookups)
                          : json_null());
    admin_put(r, load, "errors_per_s", rounded(rates_per_s(rates, RATE_ERRORS)));
    admin_put(r, load, "bytes_per_s", rounded(rates_per_s(rates, RATE_BYTES)));
    admin_put(r, load, "cpu_percent", rounded(rates_per_s(rates, RATE_CPU_US) / 10000));
    admin_put_int(r, load, "memory_bytes",
                  r->source->resident != NULL ? (int64_t)r->source->resident() : 0);
    admin_put_int(r, load, "cache_bytes", (int64_t)tier.bytes);
}

static void put_purges(struct admin_request *r, json_t *o)
{
    json_t *purges = admin_put_object(r, o, "purges");
    struct purge_feed_stats s = {.reachable = true};
    bool farm = r->source->purge_feed != NULL;

    if (farm)
        purge_feed_stats(r->source->purge_feed, &s);
    admin_put(r, purges, "applied", farm ? json_integer((json_int_t)s.applied) : json_null());
    admin_put_int(r, purges, "pending", (int64_t)s.pending);
    admin_put_bool(r, purges, "reachable", s.reachable);
}

static void put_members(struct admin_request *r, json_t *o)
{
    struct members_state s = {0};
    bool known = false;

    if (r->source->members != NULL)
        members_state(r->source->members, &s);
    known = r->source->farm_name != NULL && s.contact_ms >= 0;
    admin_put(r, o, "clock_skew_ms", known ? json_integer(s.skew_ms) : json_null());
    admin_put_int(r, o, "members_live",
                  r->source->members != NULL ? (int64_t)members_live(r->source->members) : 1);
}

static void put_hook(struct admin_request *r, json_t *o)
{
    struct hooks_state s = {0};
    char text[128] = "";

    if (r->source->hooks != NULL)
        hooks_state(r->source->hooks, &s);
    if (s.outcome == HOOK_EXITED && s.code != 0)
        snprintf(text, sizeof text, "%s: exit status %d", s.event, s.code);
    else if (s.outcome == HOOK_KILLED)
        snprintf(text, sizeof text, "%s: killed by signal %d", s.event, s.code);
    else if (s.outcome == HOOK_LATE)
        snprintf(text, sizeof text, "%s: took too long", s.event);
    else if (s.outcome == HOOK_FAILED)
        snprintf(text, sizeof text, "%s: could not be started: %s", s.event, strerror(s.code));
    admin_put_span(r, o, "hook_failed", weir_span_str(text[0] != '\0' ? text : NULL));
}

/* ---- origins ---- */

struct putting {
    struct admin_request *r;
    json_t *list;
    size_t left;
};

static bool is_plain(const struct health_view *v)
{
    return !v->probed && !v->ejected && v->verdict == ORIGIN_UP && v->in_force == ORIGIN_UP &&
           v->own != HEALTH_VOTE_DOWN;
}

static void put_origin(void *arg, const struct health_view *v)
{
    struct putting *p = arg;
    json_t *o;

    if (p->left == 0 || is_plain(v))
        return;
    p->left--;
    o = json_object();
    admin_put_text(p->r, o, "upstream", v->upstream);
    admin_put_text(p->r, o, "url", v->url);
    admin_put_text(p->r, o, "verdict", admin_verdict_name(v->verdict));
    admin_put_span(p->r, o, "own", weir_span_str(admin_vote_name(v->own)));
    admin_put_span(p->r, o, "reason",
                   weir_span_str(v->own != HEALTH_NONE ? health_reason_text(v->own_reason) : NULL));
    admin_append(p->r, p->list, o);
}

static void put_origins(struct admin_request *r, json_t *o, size_t max)
{
    struct putting p = {r, admin_put_array(r, o, "origins"), max};

    if (r->source->health != NULL && p.list != NULL)
        health_each(r->source->health, put_origin, &p);
}

/* ---- Redis ---- */

json_t *admin_view_redis(struct admin_request *r)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < r->state->redis_count; i++) {
        const struct admin_redis_seen *s = &r->state->redis[i];
        json_t *o = json_object();

        admin_put_text(r, o, "endpoint", s->name);
        admin_put_text(r, o, "mode", s->mode);
        admin_put_int(r, o, "nodes_up", s->up);
        admin_put_int(r, o, "nodes_down", s->down);
        admin_put(r, o, "slots_covered", s->covered >= 0 ? json_integer(s->covered) : json_null());
        admin_put_span(r, o, "trouble", weir_span_str(s->trouble[0] != '\0' ? s->trouble : NULL));
        admin_append(r, list, o);
    }
    return list;
}

/* ---- certificates ---- */

static void put_certificates(struct admin_request *r, json_t *o)
{
    struct tls_store *store =
        r->source->certificates != NULL ? r->source->certificates(r->source->arg) : NULL;
    struct tls_store_summary s;
    json_t *out;

    if (store == NULL) {
        admin_put(r, o, "certificates", json_null());
        return;
    }
    tls_store_sum(store, r->source->loop->clock.wall_s, &s);
    out = admin_put_object(r, o, "certificates");
    admin_put_int(r, out, "expired", (int64_t)s.expired);
    admin_put_int(r, out, "expiring", (int64_t)s.expiring);
    admin_put_int(r, out, "nearest_expiry", s.nearest_expiry_s);
}

/* ---- the whole ---- */

json_t *admin_view_node(struct admin_request *r, size_t origins_max)
{
    json_t *o = json_object();

    put_identity(r, o);
    put_addresses(r, o);
    put_readiness(r, o);
    put_config(r, o);
    put_load(r, o);
    admin_put(r, o, "clients", admin_view_clients(r));
    put_purges(r, o);
    put_members(r, o);
    put_origins(r, o, origins_max);
    admin_put(r, o, "redis", admin_view_redis(r));
    put_hook(r, o);
    put_certificates(r, o);
    return o;
}

void admin_node(struct admin_request *r)
{
    admin_answer(r, 200, admin_view_node(r, ORIGINS_MAX));
}

/* Fewer origins until it fits. */
size_t admin_write_record(struct admin_request *r, char *out, size_t cap)
{
    size_t len = 0;

    for (size_t max = ORIGINS_MAX;; max /= 2) {
        json_t *o = admin_view_node(r, max);

        len = r->failed || o == NULL ? 0 : json_dumpb(o, out, cap, JSON_COMPACT);
        json_decref(o);
        if (len <= cap || max == 0)
            return len <= cap ? len : 0;
    }
}
