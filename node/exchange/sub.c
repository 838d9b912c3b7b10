#include "sub.h"

#include <assert.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "stages.h"
#include "trace.h"

#define KEPT_MAX 64 /* sub-exchanges kept for reuse, per worker */

static struct sub_exchange *sub_of(struct weir_exchange *x)
{
    return (struct sub_exchange *)(void *)x;
}

/* ---- life ---- */

static struct sub_exchange *take_sub(struct exchange_worker *w)
{
    struct sub_exchange *s = w->free_subs;

    if (s != NULL) {
        w->free_subs = s->next_free;
        w->free_sub_count--;
        return s;
    }
    s = weir_malloc(sizeof *s);
    if (s != NULL)
        exchange_init(&s->x, w);
    return s;
}

static void free_sub(struct sub_exchange *s)
{
    exchange_free(&s->x);
    weir_free(s);
}

static void give_back(struct net_deferred *d)
{
    struct sub_exchange *s = WEIR_CONTAINER(d, struct sub_exchange, gone);
    struct exchange_worker *w = s->x.w;

    if (w->free_sub_count >= KEPT_MAX) {
        free_sub(s);
        return;
    }
    s->next_free = w->free_subs;
    w->free_subs = s;
    w->free_sub_count++;
}

void sub_free_kept(struct exchange_worker *w)
{
    while (w->free_subs != NULL) {
        struct sub_exchange *s = w->free_subs;

        w->free_subs = s->next_free;
        free_sub(s);
    }
    w->free_sub_count = 0;
}

void sub_close(struct sub_exchange *s)
{
    if (s == NULL || !s->x.open)
        return;
    exchange_close(&s->x, s->ended);
    /* Whoever called responded() or more() may still stand in it. */
    net_defer(s->x.loop, &s->gone, give_back);
}

/* ---- the request ---- */

/* What speaks of the parent's connection, its content, or of parts and versions of its target. */
static bool stays_behind(const struct http_field *f)
{
    if (f->flags & (HTTP_FF_HOP | HTTP_FF_FRAMING))
        return true;
    switch (f->id) {
    case HTTP_F_EXPECT:
    case HTTP_F_RANGE:
    case HTTP_F_IF_RANGE:
    case HTTP_F_IF_MATCH:
    case HTTP_F_IF_NONE_MATCH:
    case HTTP_F_IF_MODIFIED_SINCE:
    case HTTP_F_IF_UNMODIFIED_SINCE:
    case HTTP_F_CONTENT_TYPE:
    case HTTP_F_CONTENT_ENCODING:
    case HTTP_F_CONTENT_LANGUAGE:
    case HTTP_F_CONTENT_LOCATION:
    case HTTP_F_CONTENT_RANGE:
    case HTTP_F_CONTENT_MD5:
    case HTTP_F_CONTENT_DIGEST:
    case HTTP_F_REPR_DIGEST:
    case HTTP_F_DIGEST:
    case HTTP_F_IDEMPOTENCY_KEY:
    case HTTP_F_ORIGIN:
        return true;
    default:
        return false;
    }
}

static bool derive_head(struct sub_exchange *s, const struct http_head *from)
{
    struct http_head *to = &s->x.req;
    struct http_field *fields =
        weir_arena_alloc(&s->x.arena, (from->count + 2) * sizeof *fields); /* room for one more */

    if (fields == NULL)
        return false;
    http_head_init(to, fields, from->count + 2);
    to->method = WEIR_SPAN_LIT("GET");
    to->method_id = HTTP_M_GET;
    to->target = from->target;
    to->minor = from->minor;
    for (uint32_t i = 0; i < from->count; i++)
        if (!stays_behind(&from->fields[i]))
            http_head_put(to, &from->fields[i]);
    return true;
}

/* What the stages before the route have found out about the client. */
static void inherit(struct weir_exchange *x, struct weir_exchange *parent)
{
    struct weir_span id = trace_request_id(parent);

    x->parent = parent;
    x->depth = (uint8_t)(parent->depth + 1);
    x->connection = parent->connection;
    x->owed = parent->owed;
    x->tls = parent->tls;
    x->entry = parent->entry;
    x->protocol = parent->protocol;
    x->secure = parent->secure;
    x->framing.keep_alive = true;
    x->client_addr = parent->client_addr;
    x->peer_trusted = parent->peer_trusted;
    x->early = parent->early;
    x->identified = parent->identified;
    memcpy(x->request_id, id.ptr, id.len);
    x->request_id[id.len] = '\0';
    x->held = true; /* all it points at lies in the parent's arena, or its own */
}

static const struct exchange_client sub_client;

struct sub_exchange *sub_open(struct weir_exchange *parent, const struct sub_owner *owner,
                              void *arg, struct weir_err *err)
{
    struct sub_exchange *s;

    assert(parent->held);
    if (parent->depth >= SUB_DEPTH_MAX) {
        weir_fail(err, WEIR_E_LOOP, "sub: depth", 0);
        return NULL;
    }
    s = take_sub(parent->w);
    if (s == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "sub: create", 0);
        return NULL;
    }
    exchange_open_in(&s->x, &sub_client, parent->peer, parent->loop->clock.mono_us, parent->site);
    s->owner = owner;
    s->arg = arg;
    s->ended = false;
    if (!derive_head(s, &parent->req)) {
        weir_fail(err, WEIR_E_MEMORY, "sub: request", 0);
        sub_close(s);
        return NULL;
    }
    inherit(&s->x, parent);
    return s;
}

static void start_at(struct sub_exchange *s, enum exchange_stage_index stage)
{
    weir_metric_add(s->x.w->metrics, WEIR_M_sub_requests, 1);
    exchange_start_at(&s->x, stage);
}

void sub_route(struct sub_exchange *s)
{
    start_at(s, STAGE_ROUTE);
}

void sub_fetch(struct sub_exchange *s)
{
    const struct weir_exchange *parent = s->x.parent;

    s->x.target = parent->target;
    s->x.route = parent->route;
    s->x.match = parent->match;
    start_at(s, STAGE_LOOKUP);
}

/* ---- the response ---- */

enum exchange_pull sub_pull(struct sub_exchange *s, struct exchange_part *out, unsigned max,
                            unsigned *n)
{
    enum exchange_pull p = exchange_pull(&s->x, out, max, n);

    if (p == PULL_END)
        s->ended = true;
    return p;
}

static void interim(struct weir_exchange *x, const struct http_head *head)
{
    (void)x;
    (void)head;
}

static void respond(struct weir_exchange *x)
{
    struct sub_exchange *s = sub_of(x);

    s->owner->responded(s);
}

static void more(struct weir_exchange *x)
{
    struct sub_exchange *s = sub_of(x);

    s->owner->more(s);
}

static const struct exchange_client sub_client = {interim, respond, more, NULL};
