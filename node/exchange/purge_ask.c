#include "purge_ask.h"

#include "exchange.h"
#include "keyed.h"
#include "purge_feed.h"

static const char where[] = "purge";

bool purge_ask_target(const struct purge_asked *a, struct purge_target *t, struct weir_err *err)
{
    struct purge_record r;

    t->mode = a->mode;
    if (!purge_record_make(a->table, t, a->now_s, &r))
        return weir_failf(err, WEIR_E_BAD_TARGET, where, 0,
                          "this cannot be purged: empty or too long");
    if (a->out->count == PURGE_BATCH_MAX)
        return weir_failf(err, WEIR_E_BAD_REQUEST, where, 0, "more than %d at once",
                          PURGE_BATCH_MAX);
    return purge_submission_add(a->out, &r) || weir_fail(err, WEIR_E_MEMORY, where, 0);
}

uint64_t purge_ask_apply(const struct purge_asked *a)
{
    uint64_t number = 0;

    for (size_t i = 0; i < a->out->count; i++)
        number = purge_add_record(a->table, &a->out->records[i]);
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

bool purge_ask_url(const struct purge_asked *a, struct weir_exchange *x, struct weir_err *err)
{
    struct purge_target t = {
        .scope = PURGE_URL,
        .authority = x->target.authority,
        .path = x->target.path,
        .query = x->target.query,
    };

    if (!purge_ask_target(a, &t, err))
        return false;
    if (x->route == NULL)
        return true;
    if (!keyed_build(x)) {
        *err = x->err;
        return false;
    }
    if (same_as_written(x))
        return true;
    t.authority = x->keyed.authority;
    t.query = x->keyed.query;
    return purge_ask_target(a, &t, err);
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

bool purge_ask_prefix(const struct purge_asked *a, struct weir_span text, struct weir_arena *arena,
                      struct weir_err *err)
{
    struct http_target at = {.https = false};
    struct purge_target t = {.scope = PURGE_PREFIX};

    if (!parse_prefix(text, arena, &at, err))
        return false;
    if (at.query.ptr != NULL) {
        weir_failf(err, WEIR_E_BAD_TARGET, where, 0, "a prefix is of the path: it has no query");
        return false;
    }
    t.authority = at.authority;
    t.path = at.path;
    return purge_ask_target(a, &t, err);
}

bool purge_ask_host(const struct purge_asked *a, struct weir_span text, struct weir_arena *arena,
                    struct weir_err *err)
{
    struct http_target at = {.https = false};
    struct purge_target t = {.scope = PURGE_HOST};

    if (!http_authority_parse(text, arena, &at, err))
        return false;
    t.authority = at.authority;
    return purge_ask_target(a, &t, err);
}

/* ---- tags, all ---- */

bool purge_ask_tag(const struct purge_asked *a, struct weir_span tag, struct weir_err *err)
{
    struct purge_target t = {.scope = PURGE_TAG, .tag = tag};

    for (size_t i = 0; i < tag.len; i++)
        if ((unsigned char)tag.ptr[i] <= ' ' || tag.ptr[i] == 0x7f)
            tag.len = 0; /* no response can have such a tag */
    if (tag.len > 0 && tag.len <= PURGE_TAG_MAX)
        return purge_ask_target(a, &t, err);
    return weir_failf(err, WEIR_E_BAD_REQUEST, where, 0,
                      "a tag has 1 to %d bytes and no space in it", PURGE_TAG_MAX);
}

bool purge_ask_all(const struct purge_asked *a, struct weir_err *err)
{
    struct purge_target t = {.scope = PURGE_ALL};

    return purge_ask_target(a, &t, err);
}
