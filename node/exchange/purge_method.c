#include "purge_method.h"

#include "http_text.h"
#include "netset.h"
#include "purge_ask.h"
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

static uint64_t purge_url(struct weir_exchange *x, const struct purge_asked *a)
{
    struct weir_span method = x->req.method;

    /* The key is that of the route that would answer a GET. */
    x->req.method = http_method_name(HTTP_M_GET);
    stages_find_route(x);
    x->req.method = method;
    return purge_ask_url(a, x, &x->err);
}

static uint64_t purge_prefix(struct weir_exchange *x, const struct purge_asked *a)
{
    struct purge_target t = {
        .scope = PURGE_PREFIX,
        .mode = a->mode,
        .authority = x->target.authority,
        .path = x->target.path,
    };
    uint64_t number = purge_add(a->table, &t, a->now_s);

    if (number == 0)
        weir_fail(&x->err, WEIR_E_BAD_TARGET, where, 0);
    return number;
}

/* Every tag that the request names; 0: it names none, or *err. */
static uint64_t purge_tags(struct weir_exchange *x, const struct purge_asked *a)
{
    const struct cache_settings *s = x->site->site->source.cache;
    uint64_t number = 0;

    for (uint32_t i = 0; i < x->req.count; i++) {
        const struct http_field *f = &x->req.fields[i];
        struct weir_span rest = f->value, tag;
        bool commas = !weir_span_ieq(f->name, WEIR_SPAN_LIT("Surrogate-Key"));

        if (!tags_is_field(f->name, s->tag_fields, s->tag_field_count))
            continue;
        while (tags_next(&rest, commas, &tag))
            if ((number = purge_ask_tag(a, tag, &x->err)) == 0)
                return 0;
    }
    return number;
}

static uint64_t purge_scope(struct weir_exchange *x, const struct purge_asked *a, int scope)
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

static enum exchange_verdict answer(struct weir_exchange *x, uint64_t number)
{
    char *buf = weir_arena_alloc(&x->arena, CONTENT_MAX);
    struct http_text t;

    if (buf == NULL) {
        weir_fail(&x->err, WEIR_E_MEMORY, where, 0);
        return EXCHANGE_FAIL;
    }
    http_text_init(&t, buf, CONTENT_MAX);
    http_text_lit(&t, "{\"sequence\":");
    http_text_u64(&t, number);
    http_text_lit(&t, "}\n");
    return reply_with_json(x, http_text_span(&t)) ? EXCHANGE_REPLY : EXCHANGE_FAIL;
}

static enum exchange_verdict refuse(struct weir_exchange *x, enum weir_code code, const char *what)
{
    weir_failf(&x->err, code, where, 0, "%s", what);
    return EXCHANGE_FAIL;
}

static enum exchange_verdict purge(struct weir_exchange *x)
{
    struct purge_asked asked = {x->w->purges, PURGE_SOFT, x->loop->clock.wall_s, false};
    int mode = read_word(x, WEIR_SPAN_LIT("Purge-Mode"), modes, sizeof modes / sizeof modes[0]);
    int scope =
        read_word(x, WEIR_SPAN_LIT("Purge-Scope"), scopes, sizeof scopes / sizeof scopes[0]);
    uint64_t number;

    if (mode < 0 || scope < 0)
        return refuse(x, WEIR_E_BAD_REQUEST, "unknown Purge-Mode or Purge-Scope");
    asked.mode = (enum purge_mode)mode;
    asked.dry =
        true; /* a fault in the last tag must not come to light after the first was purged */
    number = purge_tags(x, &asked);
    asked.dry = false;
    if (number != 0)
        number = purge_tags(x, &asked);
    if (number == 0 && x->err.code == WEIR_OK)
        number = purge_scope(x, &asked, scope);
    return number != 0 ? answer(x, number) : EXCHANGE_FAIL;
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
