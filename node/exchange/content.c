#include "content.h"

#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"

#define FIRST_BYTES 4096 /* for content of unknown length; then twice as much each time */

/*
 * Lives on its own: the end of gathering is told at the end of the turn, from a clean stack, and
 * until then the exchange may have gone.
 */
struct content_gather {
    struct weir_exchange *x; /* NULL: cancelled */
    struct weir_blob *blob;  /* what came; owned */
    size_t max;
    enum weir_code failed; /* WEIR_OK: no */
    bool whole, over;      /* over: the end is about to be told */
    struct net_deferred later;
};

static void free_gather(struct content_gather *g)
{
    weir_blob_unref(g->blob);
    weir_free(g);
}

/* Gives what came to the exchange, and the pipe back to whoever streams the rest. */
static void resume(struct net_deferred *d)
{
    struct content_gather *g = WEIR_CONTAINER(d, struct content_gather, later);
    struct weir_exchange *x = g->x;
    enum weir_code failed = g->failed;

    if (x == NULL) {
        free_gather(g);
        return;
    }
    x->gathering = NULL;
    if (failed == WEIR_OK) {
        x->content = g->blob;
        x->content_whole = g->whole;
        g->blob = NULL;
    }
    free_gather(g);
    if (failed != WEIR_OK)
        weir_fail(&x->err, failed, "content: QUERY", 0);
    exchange_resume(x, failed == WEIR_OK ? EXCHANGE_NEXT : EXCHANGE_FAIL);
}

static bool make_room(struct content_gather *g, size_t more)
{
    size_t need = g->blob->len + more, cap = g->blob->cap;
    struct weir_blob *larger;

    if (need <= cap)
        return true;
    while (cap < need)
        cap *= 2;
    larger = weir_blob_new(cap < g->max ? cap : g->max);
    if (larger == NULL)
        return false;
    memcpy(larger->bytes, g->blob->bytes, g->blob->len);
    larger->len = g->blob->len;
    weir_blob_unref(g->blob);
    g->blob = larger;
    return true;
}

/* Takes one slice out of the pipe; false: it does not fit, or there is no memory for it. */
static bool take(struct content_gather *g, struct net_pipe *pipe)
{
    struct weir_slice s;

    net_pipe_peek(pipe, &s, 1);
    if (g->blob->len + (size_t)s.len > g->max)
        return false;
    if (!make_room(g, s.len)) {
        g->failed = WEIR_E_MEMORY;
        return false;
    }
    memcpy(g->blob->bytes + g->blob->len, weir_slice_ptr(s), s.len);
    g->blob->len += s.len;
    net_pipe_took(pipe, s.len); /* may put more in */
    return true;
}

/* What is there; true: gathering is over. */
static bool gather(struct content_gather *g)
{
    struct net_pipe *pipe = g->x->body;

    while (pipe->failed == WEIR_OK && pipe->bytes > 0)
        if (!take(g, pipe))
            return true;
    g->failed = pipe->failed;
    g->whole = pipe->ended && pipe->failed == WEIR_OK;
    return g->whole || g->failed != WEIR_OK;
}

static void on_data(void *arg)
{
    struct content_gather *g = arg;

    if (g->over || !gather(g))
        return;
    g->over = true;
    g->x->body->on_data = NULL;
    net_defer(g->x->loop, &g->later, resume);
}

/* Does this request's content belong into its key, as far as its head tells? */
static bool wanted(const struct weir_exchange *x)
{
    const struct route_cache_settings *cache = &x->route->settings->cache;

    return x->body != NULL && cache->enabled && x->w->tier != NULL && cache->query_body_bytes > 0 &&
           (!x->framing.has_length || x->framing.length <= cache->query_body_bytes);
}

static struct content_gather *new_gather(struct weir_exchange *x)
{
    struct content_gather *g = weir_calloc(1, sizeof *g);
    size_t max = (size_t)x->route->settings->cache.query_body_bytes;
    size_t first = x->framing.has_length ? (size_t)x->framing.length : FIRST_BYTES;

    if (g != NULL)
        g->blob = weir_blob_new(first < max ? first : max);
    if (g == NULL || g->blob == NULL) {
        weir_free(g);
        weir_fail(&x->err, WEIR_E_MEMORY, "content: QUERY", 0);
        return NULL;
    }
    g->x = x;
    g->max = max;
    return g;
}

enum exchange_verdict content_run(struct weir_exchange *x)
{
    struct content_gather *g;

    if (x->req.method_id != HTTP_M_QUERY || !wanted(x))
        return EXCHANGE_NEXT;
    g = new_gather(x);
    if (g == NULL)
        return EXCHANGE_FAIL;
    x->gathering = g;
    x->body->on_data = on_data;
    x->body->consumer = g;
    net_pipe_want(x->body);
    on_data(g); /* some may be there already */
    return EXCHANGE_WAIT;
}

void content_cancel(struct weir_exchange *x)
{
    struct content_gather *g = x->gathering;

    x->gathering = NULL;
    if (g == NULL)
        return;
    x->body->on_data = NULL;
    g->x = NULL;
    if (!g->over)
        free_gather(g);
}
