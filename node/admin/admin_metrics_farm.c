#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "weir/members.h"
#include "weir/words.h"
#include "health.h"
#include "origin_state.h"
#include "readiness.h"
#include "admin.h"
#include "admin_metrics.h"
#include "admin_state.h"

#define LABEL_MAX 1100 /* a URL, every byte escaped */

static void put_members(struct admin_request *r, struct evbuffer *out)
{
    struct members_state s;

    if (r->source->members == NULL)
        return;
    members_state(r->source->members, &s);
    admin_metric(r, out, "members_live", "Nodes that share the farm's work", true,
                 (long long)members_live(r->source->members));
    admin_metric(r, out, "members_lost", "1: this node has lost sight of the others", true, s.lost);
    admin_metric(r, out, "clock_skew_ms", "This host's clock less the farm's", true, s.skew_ms);
    admin_metric(r, out, "members_forged", "What nodes said and was not sealed by the farm", false,
                 (long long)s.forged);
    admin_metric(r, out, "members_stale", "What nodes said and was older than what is known", false,
                 (long long)s.stale);
    admin_metric(r, out, "members_foreign", "What nodes of another version said", false,
                 (long long)s.foreign);
}

static void put_words(struct admin_request *r, struct evbuffer *out)
{
    const struct word *words;
    struct words_state s;

    if (r->source->words == NULL)
        return;
    words_state(r->source->words, &s);
    admin_metric(r, out, "words", "Words of operators in force", true,
                 (long long)words_list(r->source->words, &words));
    admin_metric(r, out, "words_pending", "Words that have not reached Redis", true,
                 (long long)s.pending);
    admin_metric(r, out, "words_forged", "Words that were not sealed by the farm", false,
                 (long long)s.forged);
    admin_metric(r, out, "words_restored", "Words that Redis had lost and this node put back",
                 false, (long long)s.restored);
}

static void put_checks(struct admin_request *r, struct evbuffer *out)
{
    struct health_totals t;

    health_totals(r->source->health, &t);
    admin_metric(r, out, "health_probes", "Probes of origins", false, (long long)t.probes);
    admin_metric(r, out, "health_probes_failed", "Those that failed", false,
                 (long long)t.probes_failed);
    admin_metric(r, out, "health_probes_skipped", "Those left out since requests were answered",
                 false, (long long)t.probes_skipped);
    admin_metric(r, out, "health_verdict_changes", "Origins that went up or down", false,
                 (long long)t.verdict_changes);
    admin_metric(r, out, "health_origins_down", "Origins that are down", true, t.down);
    admin_metric(r, out, "health_panics", "Upstreams all of whose origins are used though down",
                 true, t.panics);
    admin_metric(r, out, "health_suspects_self", "1: this node suspects itself", true,
                 health_suspects_self(r->source->health));
    admin_metric(r, out, "health_autonomous", "1: this node judges origins alone", true,
                 health_autonomous(r->source->health));
}

/* ---- one for each origin ---- */

/* One metric with a line for each origin. */
struct family {
    const char *name, *help;
    bool gauge;
    long long (*value)(const struct health_view *v);
};

static long long is_up(const struct health_view *v)
{
    return v->in_force != ORIGIN_DOWN && v->in_force != ORIGIN_DISABLED && !v->ejected;
}

static long long connections_of(const struct health_view *v)
{
    return atomic_load(&v->state->connections);
}

static long long in_flight_of(const struct health_view *v)
{
    return atomic_load(&v->state->in_flight);
}

static long long requests_of(const struct health_view *v)
{
    return (long long)atomic_load(&v->state->requests);
}

static long long failures_of(const struct health_view *v)
{
    return (long long)atomic_load(&v->state->failures);
}

static const struct family families[] = {
    {"origin_up", "1: new requests may go there", true, is_up},
    {"origin_connections", "Connections open now", true, connections_of},
    {"origin_in_flight", "Requests under way", true, in_flight_of},
    {"origin_requests_by_origin_total", "Requests sent", false, requests_of},
    {"origin_failures_by_origin_total", "Requests that failed", false, failures_of},
};

struct putting {
    struct admin_request *r;
    struct evbuffer *out;
    const struct family *family;
};

static const char *label(const char *text, char out[LABEL_MAX])
{
    size_t n = 0;

    for (; *text != '\0' && n < LABEL_MAX - 3; text++) {
        if (*text == '"' || *text == '\\')
            out[n++] = '\\';
        out[n++] = *text == '\n' ? ' ' : *text;
    }
    out[n] = '\0';
    return out;
}

static void put_origin(void *arg, const struct health_view *v)
{
    struct putting *p = arg;
    char upstream[LABEL_MAX], url[LABEL_MAX];

    if (evbuffer_add_printf(p->out, "weir_%s{upstream=\"%s\",url=\"%s\"} %lld\n", p->family->name,
                            label(v->upstream, upstream), label(v->url, url),
                            p->family->value(v)) < 0)
        p->r->failed = true;
}

static void put_origins(struct admin_request *r, struct evbuffer *out)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        struct putting p = {r, out, &families[i]};

        if (evbuffer_add_printf(out, "# HELP weir_%s %s\n# TYPE weir_%s %s\n", families[i].name,
                                families[i].help, families[i].name,
                                families[i].gauge ? "gauge" : "counter") < 0)
            r->failed = true;
        health_each(r->source->health, put_origin, &p);
    }
}

void admin_metrics_farm(struct admin_request *r, struct evbuffer *out)
{
    if (r->source->readiness != NULL)
        admin_metric(r, out, "ready", "1: this node wants traffic", true,
                     readiness_is(r->source->readiness));
    put_members(r, out);
    put_words(r, out);
    if (r->source->health == NULL)
        return;
    put_checks(r, out);
    put_origins(r, out);
}
