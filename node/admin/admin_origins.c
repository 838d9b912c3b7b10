#include <stdatomic.h>

#include "weir/words.h"
#include "health.h"
#include "origin_state.h"
#include "admin.h"
#include "admin_endpoints.h"
#include "admin_views.h"

struct putting {
    struct admin_request *r;
    json_t *list;
};

static const char *in_force_name(const struct health_view *v)
{
    return v->word != NULL && v->word->kind == WORD_MAINTENANCE ? "maintenance"
                                                                : admin_verdict_name(v->in_force);
}

static void put_checks(struct admin_request *r, json_t *o, const struct health_view *v)
{
    bool own = v->own != HEALTH_NONE;
    json_t *probers;

    admin_put_int(r, o, "votes_up", v->votes_up);
    admin_put_int(r, o, "votes_down", v->votes_down);
    probers = admin_put_array(r, o, "probers");
    for (unsigned i = 0; i < v->prober_count; i++)
        admin_append(r, probers, admin_string(weir_span_str(v->probers[i])));
    admin_put_bool(r, o, "prober", v->probed);
    admin_put_span(r, o, "own", weir_span_str(admin_vote_name(v->own)));
    admin_put_span(r, o, "own_reason",
                   weir_span_str(own ? health_reason_text(v->own_reason) : NULL));
    admin_put(r, o, "rtt_ms", v->rtt_us >= 0 ? json_real((double)v->rtt_us / 1000) : json_null());
    admin_put_bool(r, o, "ejected", v->ejected);
    admin_put_bool(r, o, "flapping", v->flapping);
    admin_put(r, o, "penalty", json_real(v->penalty));
    admin_put_bool(r, o, "panic", v->panic);
}

static void put_use(struct admin_request *r, json_t *o, const struct health_view *v)
{
    admin_put_int(r, o, "weight", v->weight);
    admin_put_int(r, o, "weight_configured", v->weight_configured);
    admin_put_bool(r, o, "backup", v->backup);
    admin_put_int(r, o, "connections", atomic_load(&v->state->connections));
    admin_put_int(r, o, "in_flight", atomic_load(&v->state->in_flight));
    admin_put_int(r, o, "requests", (int64_t)atomic_load(&v->state->requests));
    admin_put_int(r, o, "failures", (int64_t)atomic_load(&v->state->failures));
}

static void put_origin(void *arg, const struct health_view *v)
{
    struct putting *p = arg;
    struct admin_request *r = p->r;
    const struct word *w = v->word != NULL ? v->word : v->weight_word;
    json_t *o = json_object();

    admin_put_text(r, o, "upstream", v->upstream);
    admin_put_text(r, o, "url", v->url);
    admin_put_bool(r, o, "checked", v->checked);
    admin_put_text(r, o, "verdict", admin_verdict_name(v->verdict));
    admin_put_text(r, o, "in_force", in_force_name(v));
    admin_put_bool(r, o, "held", v->held);
    admin_put_span(r, o, "why", weir_span_str(v->why));
    admin_put_span(r, o, "reason",
                   weir_span_str(v->reason != HEALTH_R_NONE ? health_reason_text(v->reason)
                                                            : NULL));
    admin_put_int(r, o, "since_s", v->since_ms / 1000);
    put_checks(r, o, v);
    put_use(r, o, v);
    admin_put(r, o, "word", w != NULL ? admin_view_word(r, w) : json_null());
    admin_append(r, p->list, o);
}

json_t *admin_view_origins(struct admin_request *r)
{
    struct putting p = {r, json_array()};

    if (r->source->health != NULL && p.list != NULL)
        health_each(r->source->health, put_origin, &p);
    return p.list;
}

void admin_origins(struct admin_request *r)
{
    json_t *out = json_object();

    admin_put(r, out, "origins", admin_view_origins(r));
    admin_answer(r, 200, out);
}
