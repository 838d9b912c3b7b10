#include "response_policy.h"

#include "http_cache_control.h"
#include "http_head.h"
#include "reuse.h"
#include "route_lifetime.h"
#include "site.h"

static enum storable_verdict judge(const struct response_policy *p,
                                   const struct response_question *q)
{
    struct http_cache_control request_cc;
    struct storable_question question = {
        .request = q->request,
        .request_cc = &request_cc,
        .request_has_content = false,
        .response = q->response,
        .control = &p->control,
        .facts = &p->facts.freshness,
        .route = q->route,
        .part = q->part,
    };

    http_cache_control_parse(q->request, HTTP_F_CACHE_CONTROL, &request_cc);
    return storable_response(&question);
}

void response_policy_of(struct response_policy *p, const struct response_question *q,
                        struct weir_arena *arena)
{
    const struct control_rules rules = {q->site->source.cache, q->route, q->site->pseudonym};
    struct freshness_facts *freshness = &p->facts.freshness;

    control_of(&p->control, q->response, &rules, arena);
    freshness_facts_from(freshness, q->response, &p->control, q->route->heuristic,
                         q->request_time_s, q->response_time_s);
    route_lifetime_apply(freshness, &p->control, q->response->status, q->route);
    reuse_facts_from(&p->facts.reuse, freshness, &p->control, q->route);
    p->verdict = judge(p, q);
}
