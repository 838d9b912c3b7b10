#include "purge_method.h"

#include "http_text.h"
#include "netset.h"
#include "purge_ask.h"
#include "purge_feed.h"
#include "reply.h"
#include "stages.h"
#include "tags.h"

#define CONTENT_MAX 128

static const char where[] = "purge";

static bool may_purge(const struct weir_exchange *x)
{
    union net_sockaddr client;

    net_peer_sockaddr(&x->client_addr, &client);
    return netset_has(x->site->site->purge_clients, &client.any);
}

/* ---- what to purge ---- */

struct words {
    struct weir_span word;
    int value;
};

/* Which of the words a field says; the first one if it is not there; -1: none of them. */
static int read_word(const struct weir_exchange *x, struct weir_span name,
                     const struct words *words, size_t count)
{
    const struct http_field *f = http_head_find(&x->req, name);

    if (f == NULL)
        return words[0].value;
    for (size_t i = 0; i < count; i++)
        if (weir_span_ieq(f->value, words[i].word))
            return words[i].value;
    return -1;
}

static const struct words modes[] = {
    {WEIR_SPAN_LIT("soft"), PURGE_SOFT},
    {WEIR_SPAN_LIT("hard"), PURGE_HARD},
};
static const struct words scopes[] = {
    {WEIR_SPAN_LIT("url"), PURGE_URL},
    {WEIR_SPAN_LIT("prefix"), PURGE_PREFIX},
    {WEIR_SPAN_LIT("host"), PURGE_HOST},
    {WEIR_SPAN_LIT("all"), PURGE_ALL},
};

static bool purge_url(struct weir_exchange *x, const struct purge_asked *a)
{
    struct weir_span method = x->req.method;

    /* The key is that of the route that would answer a GET. */
    x->req.method = http_method_name(HTTP_M_GET);
    stages_find_route(x);
    x->req.method = method;
    return purge_ask_url(a, x, &x->err);
}

static bool purge_prefix(struct weir_exchange *x, const struct purge_asked *a)
{
    struct purge_target t = {
        .scope = PURGE_PREFIX,
        .authority = x->target.authority,
        .path = x->target.path,
    };

    return purge_ask_target(a, &t, &x->err);
}

/* Every tag that the request names, if it names any. */
static bool purge_tags(struct weir_exchange *x, const struct purge_asked *a)
{
    const struct cache_settings *s = x->site->site->source.cache;

    for (uint32_t i = 0; i < x->req.count; i++) {
        const struct http_field *f = &x->req.fields[i];
        struct weir_span rest = f->value, tag;
        bool commas = !weir_span_ieq(f->name, WEIR_SPAN_LIT("Surrogate-Key"));

        if (!tags_is_field(f->name, s->tag_fields, s->tag_field_count))
            continue;
        while (tags_next(&rest, commas, &tag))
            if (!purge_ask_tag(a, tag, &x->err))
                return false;
    }
    return true;
}

static bool purge_scope(struct weir_exchange *x, const struct purge_asked *a, int scope)
{
    switch (scope) {
    case PURGE_PREFIX:
        return purge_prefix(x, a);
    case PURGE_HOST:
        return purge_ask_host(a, x->target.authority, &x->arena, &x->err);
    case PURGE_ALL:
        return purge_ask_all(a, &x->err);
    default:
        return purge_url(x, a);
    }
}

/* ---- the answer ---- */

static enum exchange_verdict answer(struct weir_exchange *x, const struct purge_submission *s)
{
    static const char *const words[] = {
        [PURGE_APPLIED] = "applied",
        [PURGE_UNCONFIRMED] = "unconfirmed",
        [PURGE_PENDING] = "pending",
    };
    char *buf = weir_arena_alloc(&x->arena, CONTENT_MAX);
    struct http_text t;

    if (buf == NULL) {
        weir_fail(&x->err, WEIR_E_MEMORY, where, 0);
        return EXCHANGE_FAIL;
    }
    http_text_init(&t, buf, CONTENT_MAX);
    http_text_lit(&t, "{");
    if (s->outcome != PURGE_PENDING) {
        http_text_lit(&t, "\"sequence\":");
        http_text_u64(&t, s->sequence);
        http_text_lit(&t, ",");
    }
    http_text_lit(&t, "\"state\":\"");
    http_text_add(&t, weir_span_str(words[s->outcome]));
    http_text_lit(&t, "\"}\n");
    return reply_with_json(x, s->outcome == PURGE_PENDING ? 202 : 200, http_text_span(&t))
               ? EXCHANGE_REPLY
               : EXCHANGE_FAIL;
}

static enum exchange_verdict refuse(struct weir_exchange *x, enum weir_code code, const char *what)
{
    weir_failf(&x->err, code, where, 0, "%s", what);
    return EXCHANGE_FAIL;
}

static bool read_records(struct weir_exchange *x, struct purge_submission *s)
{
    struct purge_asked asked = {x->w->purges, PURGE_SOFT, x->loop->clock.wall_s, s};
    int mode = read_word(x, WEIR_SPAN_LIT("Purge-Mode"), modes, sizeof modes / sizeof modes[0]);
    int scope =
        read_word(x, WEIR_SPAN_LIT("Purge-Scope"), scopes, sizeof scopes / sizeof scopes[0]);

    if (mode < 0 || scope < 0)
        return weir_failf(&x->err, WEIR_E_BAD_REQUEST, where, 0,
                          "unknown Purge-Mode or Purge-Scope");
    asked.mode = (enum purge_mode)mode;
    return purge_tags(x, &asked) && (s->count > 0 || purge_scope(x, &asked, scope));
}

/* This node is all there is. */
static enum exchange_verdict purge_here(struct weir_exchange *x, struct purge_submission *s)
{
    const struct purge_asked asked = {.table = x->w->purges, .out = s};
    enum exchange_verdict verdict;

    s->outcome = PURGE_APPLIED;
    s->sequence = purge_ask_apply(&asked);
    verdict = answer(x, s);
    purge_submission_free(s);
    return verdict;
}

static void on_purged(struct purge_submission *s)
{
    struct weir_exchange *x = s->arg;

    if (x != NULL) { /* else the client has left: it is purged all the same */
        x->purging = NULL;
        exchange_resume(x, answer(x, s));
    }
    purge_submission_free(s);
}

static enum exchange_verdict purge(struct weir_exchange *x)
{
    struct purge_submission *s = purge_submission_new();

    if (s == NULL) {
        weir_fail(&x->err, WEIR_E_MEMORY, where, 0);
        return EXCHANGE_FAIL;
    }
    if (!read_records(x, s)) {
        purge_submission_free(s);
        return EXCHANGE_FAIL;
    }
    if (x->w->purge_feed == NULL)
        return purge_here(x, s);
    if (!exchange_hold(x)) {
        purge_submission_free(s);
        weir_fail(&x->err, WEIR_E_MEMORY, where, 0);
        return EXCHANGE_FAIL;
    }
    s->home = &x->loop->box;
    s->done = on_purged;
    s->arg = x;
    x->purging = s;
    purge_feed_submit(x->w->purge_feed, s);
    return EXCHANGE_WAIT;
}

void purge_method_cancel(struct weir_exchange *x)
{
    if (x->purging != NULL)
        x->purging->arg = NULL;
    x->purging = NULL;
}

enum exchange_verdict purge_method_run(struct weir_exchange *x)
{
    if (x->req.method_id != HTTP_M_PURGE || x->site->site->purge_clients == NULL)
        return EXCHANGE_NEXT;
    if (!may_purge(x))
        return refuse(x, WEIR_E_REQUEST_REFUSED, "PURGE from a client that may not");
    if (x->w->tier == NULL)
        return refuse(x, WEIR_E_METHOD_NOT_ALLOWED, "PURGE without a cache");
    return purge(x);
}
