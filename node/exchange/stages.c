#include "stages.h"

#include <string.h>

#include "challenge_stage.h"
#include "client_addr.h"
#include "compose.h"
#include "connection_rules.h"
#include "content.h"
#include "guard_loop.h"
#include "limit_stage.h"
#include "lookup.h"
#include "purge_method.h"
#include "reply.h"
#include "trace.h"

/* A node that is nearly out of memory answers what it must with as little as it can. */
static enum exchange_verdict stage_pressure(struct weir_exchange *x)
{
    const atomic_int *pressure = x->w->pressure;

    if (pressure == NULL || atomic_load_explicit(pressure, memory_order_relaxed) < PRESSURE_REFUSE)
        return EXCHANGE_NEXT;
    weir_fail(&x->err, WEIR_E_OVERLOAD, "node: memory budget", 0);
    return EXCHANGE_FAIL;
}

static bool named_by_connection(const struct http_field *f, const void *head)
{
    return !(f->flags & (HTTP_FF_HOP | HTTP_FF_FRAMING | HTTP_FF_PROTECTED)) &&
           http_connection_names(head, f->name);
}

/*
 * What Connection names ends here, for routes, the cache and the log too: an origin that does not
 * see a field must not have its answer stored as one to that field. The three usual options name
 * nothing.
 */
static void drop_named(struct http_head *req)
{
    struct weir_span options = http_head_value(req, HTTP_F_CONNECTION);

    if (options.ptr == NULL || (!http_head_repeats(req, HTTP_F_CONNECTION) &&
                                (weir_span_ieq(options, WEIR_SPAN_LIT("keep-alive")) ||
                                 weir_span_ieq(options, WEIR_SPAN_LIT("close")) ||
                                 weir_span_ieq(options, WEIR_SPAN_LIT("upgrade")))))
        return;
    http_head_remove_if(req, named_by_connection, req);
}

static enum exchange_verdict stage_target(struct weir_exchange *x)
{
    client_addr_find(x); /* first: it may tell the scheme */
    if (!http_target_parse(&x->req, x->secure, &x->arena, &x->target, &x->err))
        return EXCHANGE_FAIL;
    x->target.https =
        x->secure; /* a client's word for it, in absolute form, is not what the origin hears */
    drop_named(&x->req);
    trace_begin(x);
    if (!challenge_stage_applies(x))
        x->stage = STAGE_CHALLENGE;
    return EXCHANGE_NEXT;
}

static enum exchange_verdict stage_loop(struct weir_exchange *x)
{
    if (guard_loops(&x->req, x->site->site->pseudonym)) {
        weir_fail(&x->err, WEIR_E_LOOP, "guard: loop", 0);
        return EXCHANGE_FAIL;
    }
    return EXCHANGE_NEXT;
}

static enum exchange_verdict no_route(struct weir_exchange *x)
{
    enum weir_code code = WEIR_E_NO_ROUTE;

    if (x->match.limit_hit)
        code = WEIR_E_BAD_TARGET;
    else if (x->match.method_refused)
        code = WEIR_E_METHOD_NOT_ALLOWED;
    else if (!x->match.host_known)
        code = WEIR_E_MISDIRECTED;
    weir_fail(&x->err, code, "route", 0);
    return EXCHANGE_FAIL;
}

/* Content that is announced too large is refused before any of it is read. */
static bool content_fits(struct weir_exchange *x)
{
    uint64_t max = x->route->settings->body_max_bytes;

    if (max == 0 || !x->framing.has_length || x->framing.length <= max)
        return true;
    return weir_fail(&x->err, WEIR_E_BODY_TOO_LARGE, "route: content", 0);
}

void stages_find_route(struct weir_exchange *x)
{
    union net_sockaddr client;
    struct route_query q = {
        .host = x->target.host,
        .path = x->target.path,
        .query = x->target.query,
        .method = x->req.method,
        .head = &x->req,
        .client = &client.any,
        .scratch = x->w->scratch,
    };

    net_peer_sockaddr(&x->client_addr, &client);
    x->route = router_find(x->site->site->router, &q, &x->match);
}

enum exchange_verdict stages_act(struct weir_exchange *x)
{
    switch (x->route->action) {
    case ROUTE_REDIRECT:
        return reply_with_redirect(x) ? EXCHANGE_REPLY : EXCHANGE_FAIL;
    case ROUTE_RESPOND:
        return reply_with_fixed(x) ? EXCHANGE_REPLY : EXCHANGE_FAIL;
    case ROUTE_HEALTH:
        return reply_with_health(x) ? EXCHANGE_REPLY : EXCHANGE_FAIL;
    case ROUTE_UPSTREAM:
        break;
    }
    return EXCHANGE_NEXT;
}

static enum exchange_verdict stage_route(struct weir_exchange *x)
{
    stages_find_route(x);
    if (x->route == NULL)
        return no_route(x);
    if (connection_rules_concern(x)) {
        enum exchange_verdict verdict = connection_rules_run(x);

        if (verdict != EXCHANGE_NEXT)
            return verdict;
    }
    if (!content_fits(x))
        return EXCHANGE_FAIL;
    if (limit_stage_applies(x))
        return EXCHANGE_NEXT;
    /* It has nothing to do: who has no limits pays for this test alone. */
    x->stage = STAGE_LIMIT;
    return stages_act(x);
}

const struct exchange_stage exchange_stages[] = {
    [STAGE_PRESSURE] = {"pressure", stage_pressure, NULL},
    [STAGE_TARGET] = {"target", stage_target, NULL},
    [STAGE_CHALLENGE] = {"challenge", challenge_stage_run, challenge_stage_cancel},
    [STAGE_LOOP] = {"loop", stage_loop, NULL},
    [STAGE_PURGE] = {"purge", purge_method_run, purge_method_cancel},
    [STAGE_ROUTE] = {"route", stage_route, NULL},
    [STAGE_LIMIT] = {"limit", limit_stage_run, limit_stage_cancel},
    [STAGE_CONTENT] = {"content", content_run, content_cancel},
    [STAGE_LOOKUP] = {"lookup", lookup_run, lookup_cancel},
    [STAGE_COMPOSE] = {"compose", compose_run, NULL},
    {NULL, NULL, NULL},
};
