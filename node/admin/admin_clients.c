/* What clients speak, how their handshakes go, and what was refused lately: for the record. */
#include "admin.h"
#include "admin_state.h"
#include "admin_views.h"
#include "net_loop.h"

/* What somebody who is woken up asks for first; a row for each reason. */
static const struct refusal {
    const char *what, *reason;
    enum weir_metric metric;
} events[] = {
    {"handshakes_failed", "closed", WEIR_M_tls_failed_closed},
    {"handshakes_failed", "alert", WEIR_M_tls_failed_alert},
    {"handshakes_failed", "mismatch", WEIR_M_tls_failed_mismatch},
    {"handshakes_failed", "not_tls", WEIR_M_tls_failed_not_tls},
    {"handshakes_failed", "certificate", WEIR_M_tls_failed_certificate},
    {"handshakes_failed", "other", WEIR_M_tls_failed_other},
    {"handshakes_failed", "late", WEIR_M_handshakes_late},
    {"floods_cut", "resets", WEIR_M_h2_abuse_resets},
    {"floods_cut", "faults", WEIR_M_h2_abuse_faults},
    {"floods_cut", "refused", WEIR_M_h2_abuse_refused},
    {"floods_cut", "continuations", WEIR_M_h2_abuse_continuations},
    {"floods_cut", "growth", WEIR_M_h2_abuse_growth},
    {"floods_cut", "settings", WEIR_M_h2_abuse_settings},
    {"floods_cut", "pings", WEIR_M_h2_abuse_pings},
    {"floods_cut", "empty", WEIR_M_h2_abuse_empty},
    {"floods_cut", "priorities", WEIR_M_h2_abuse_priorities},
    {"floods_cut", "updates", WEIR_M_h2_abuse_updates},
    {"floods_cut", "dribble", WEIR_M_h2_abuse_dribble},
    {"floods_cut", "stalls", WEIR_M_h2_abuse_stalls},
    {"floods_cut", "unknown", WEIR_M_h2_abuse_unknown},
    {"floods_cut", "address", WEIR_M_h2_abuse_address},
    {"proxy_refused", "not_listed", WEIR_M_proxy_refused},
    {"proxy_refused", "malformed", WEIR_M_proxy_errors},
    {"connections_refused", "limit", WEIR_M_connections_refused},
    {"requests_refused", "misdirected", WEIR_M_requests_misdirected},
    {"requests_refused", "too_early", WEIR_M_requests_too_early},
};

static json_t *rate_of(const struct rates *rates, enum rate which)
{
    return json_real((double)(int64_t)(rates_per_s(rates, which) * 100 + 0.5) / 100);
}

/* Gauges of several threads, read one after the other. */
static int64_t at_least_zero(int64_t n)
{
    return n > 0 ? n : 0;
}

static void put_connections(struct admin_request *r, json_t *o, const int64_t sum[WEIR_METRICS])
{
    json_t *c = admin_put_object(r, o, "connections");
    int64_t all = sum[WEIR_M_connections_open], h2 = sum[WEIR_M_h2_connections_open];
    int64_t beginning = sum[WEIR_M_handshakes_open];

    admin_put_int(r, c, "http1", at_least_zero(all - h2 - beginning));
    admin_put_int(r, c, "http2", at_least_zero(h2));
    admin_put_int(r, c, "tls", at_least_zero(sum[WEIR_M_tls_connections_open]));
    admin_put_int(r, c, "handshakes", at_least_zero(beginning));
}

static void put_handshakes(struct admin_request *r, json_t *o)
{
    const struct rates *rates = &r->state->rates;
    json_t *h = admin_put_object(r, o, "handshakes_per_s");

    admin_put(r, h, "full", rate_of(rates, RATE_TLS_FULL));
    admin_put(r, h, "resumed", rate_of(rates, RATE_TLS_RESUMED));
    admin_put(r, h, "failed", rate_of(rates, RATE_TLS_FAILED));
}

static void put_event(struct admin_request *r, json_t *lately, const struct refusal *e, int64_t n)
{
    json_t *what = json_object_get(lately, e->what);

    if (n > 0)
        admin_put_int(r, what != NULL ? what : admin_put_object(r, lately, e->what), e->reason, n);
}

/* Only what has happened: the record goes to Redis each time it is written. */
static void put_lately(struct admin_request *r, json_t *o, const int64_t sum[WEIR_METRICS])
{
    const struct recent *recent = &r->state->recent;
    json_t *lately = admin_put_object(r, o, "lately");

    admin_put_int(r, lately, "span_s", recent_span_s(recent, r->source->loop->clock.mono_ms));
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        put_event(r, lately, &events[i], recent_growth(recent, sum, events[i].metric));
}

json_t *admin_view_clients(struct admin_request *r)
{
    json_t *o = json_object();
    int64_t sum[WEIR_METRICS];

    r->source->metrics(r->source->arg, sum);
    put_connections(r, o, sum);
    put_handshakes(r, o);
    put_lately(r, o, sum);
    return o;
}

json_t *admin_view_handshakes(struct admin_request *r)
{
    json_t *o = json_object(), *groups;
    int64_t sum[WEIR_METRICS], done;

    r->source->metrics(r->source->arg, sum);
    done = sum[WEIR_M_tls_handshakes] + sum[WEIR_M_tls_resumed];
    admin_put_int(r, o, "full", sum[WEIR_M_tls_handshakes]);
    admin_put_int(r, o, "resumed", sum[WEIR_M_tls_resumed]);
    admin_put_int(r, o, "failed", admin_failed_handshakes(sum));
    admin_put_int(r, o, "early_data", sum[WEIR_M_tls_early_data]);
    admin_put_int(r, o, "tls_1_2", sum[WEIR_M_tls_version_1_2]);
    admin_put_int(r, o, "tls_1_3", at_least_zero(done - sum[WEIR_M_tls_version_1_2]));
    groups = admin_put_object(r, o, "groups");
    admin_put_int(r, groups, "x25519", sum[WEIR_M_tls_group_x25519]);
    admin_put_int(r, groups, "p256", sum[WEIR_M_tls_group_p256]);
    admin_put_int(r, groups, "other", sum[WEIR_M_tls_group_other]);
    return o;
}
