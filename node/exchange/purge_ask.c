#include "purge_ask.h"

#include "exchange.h"
#include "keyed.h"

static const char where[] = "purge";

static uint64_t add(const struct purge_asked *a, struct purge_target *t, struct weir_err *err)
{
    struct purge_record unused;
    uint64_t number;

    t->mode = a->mode;
    number = a->dry ? purge_record_make(a->table, t, a->now_s, &unused)
                    : purge_add(a->table, t, a->now_s);
    if (number == 0)
        weir_failf(err, WEIR_E_BAD_TARGET, where, 0, "this cannot be purged: empty or too long");
    return number;
}

/* ---- URLs ---- */

/* "/a" and "/a?" are two. */
static bool same_query(struct weir_span a, struct weir_span b)
{
    if (a.ptr == NULL || b.ptr == NULL)
        return a.ptr == b.ptr;
    return weir_span_eq(a, b);
}

static bool same_as_written(const struct weir_exchange *x)
{
    return weir_span_eq(x->keyed.authority, x->target.authority) &&
           same_query(x->keyed.query, x->target.query);
}

uint64_t purge_ask_url(const struct purge_asked *a, struct weir_exchange *x, struct weir_err *err)
{
    struct purge_target t = {
        .scope = PURGE_URL,
        .authority = x->target.authority,
        .path = x->target.path,
        .query = x->target.query,
    };
    uint64_t number = add(a, &t, err);

    if (number == 0 || x->route == NULL)
        return number;
    if (!keyed_build(x)) {
        *err = x->err;
        return 0;
    }
    if (same_as_written(x))
        return number;
    t.authority = x->keyed.authority;
    t.query = x->keyed.query;
    return add(a, &t, err);
}

/* ---- prefixes and hosts ---- */

static bool parse_prefix(struct weir_span text, struct weir_arena *arena, struct http_target *out,
                         struct weir_err *err)
{
    struct http_head head;

    if (text.len > 0 && text.ptr[0] == '/') /* no host: any */
        return http_origin_form_parse(text, arena, out, err);
    http_head_init(&head, NULL, 0);
    head.method_id = HTTP_M_GET;
    head.minor = 1;
    head.target = text;
    return http_target_parse(&head, false, arena, out, err);
}

uint64_t purge_ask_prefix(const struct purge_asked *a, struct weir_span text,
                          struct weir_arena *arena, struct weir_err *err)
{
    struct http_target at = {.https = false};
    struct purge_target t = {.scope = PURGE_PREFIX};

    if (!parse_prefix(text, arena, &at, err))
        return 0;
    if (at.query.ptr != NULL) {
        weir_failf(err, WEIR_E_BAD_TARGET, where, 0, "a prefix is of the path: it has no query");
        return 0;
    }
    t.authority = at.authority;
    t.path = at.path;
    return add(a, &t, err);
}

uint64_t purge_ask_host(const struct purge_asked *a, struct weir_span text,
                        struct weir_arena *arena, struct weir_err *err)
{
    struct http_target at = {.https = false};
    struct purge_target t = {.scope = PURGE_HOST};

    if (!http_authority_parse(text, arena, &at, err))
        return 0;
    t.authority = at.authority;
    return add(a, &t, err);
}

/* ---- tags, all ---- */

uint64_t purge_ask_tag(const struct purge_asked *a, struct weir_span tag, struct weir_err *err)
{
    struct purge_target t = {.scope = PURGE_TAG, .tag = tag};

    for (size_t i = 0; i < tag.len; i++)
        if ((unsigned char)tag.ptr[i] <= ' ' || tag.ptr[i] == 0x7f)
            tag.len = 0; /* no response can have such a tag */
    if (tag.len > 0 && tag.len <= PURGE_TAG_MAX)
        return add(a, &t, err);
    weir_failf(err, WEIR_E_BAD_REQUEST, where, 0, "a tag has 1 to %d bytes and no space in it",
               PURGE_TAG_MAX);
    return 0;
}

uint64_t purge_ask_all(const struct purge_asked *a, struct weir_err *err)
{
    struct purge_target t = {.scope = PURGE_ALL};

    return add(a, &t, err);
}
