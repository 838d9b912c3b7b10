#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "admin.h"
#include "admin_endpoints.h"
#include "net_loop.h"
#include "probe.h"
#include "purge_ask.h"
#include "purge_feed.h"
#include "purge_receipt.h"
#include "weir/members.h"

#define TAGS_MAX    1024  /* of one request */
#define WAIT_MS_MAX 30000 /* for a receipt */

/* One purge in the making. */
struct asking {
    struct admin_request *r;
    const json_t *json;
    struct purge_asked asked;
    int64_t wait_ms; /* 0: no receipt is wanted */
    struct weir_arena arena;
    struct weir_err err;
};

/* One scope: the member that says what, and who purges it. */
struct scope {
    const char *name;
    bool (*run)(struct asking *a, struct weir_span what);
    bool list; /* `what` may be an array of texts */
};

static bool purge_url(struct asking *a, struct weir_span url)
{
    struct probe_place place = admin_probe_place(a->r);
    struct probe *p = probe_new(&place, url, NULL, 0, &a->err);
    bool ok = p != NULL && purge_ask_url(&a->asked, &p->x, &a->err);

    probe_free(p);
    return ok;
}

static bool purge_prefix(struct asking *a, struct weir_span prefix)
{
    return purge_ask_prefix(&a->asked, prefix, &a->arena, &a->err);
}

static bool purge_host(struct asking *a, struct weir_span host)
{
    return purge_ask_host(&a->asked, host, &a->arena, &a->err);
}

static bool purge_tag(struct asking *a, struct weir_span tag)
{
    return purge_ask_tag(&a->asked, tag, &a->err);
}

static bool purge_everything(struct asking *a, struct weir_span nothing)
{
    (void)nothing;
    return purge_ask_all(&a->asked, &a->err);
}

static const struct scope scopes[] = {
    {"url", purge_url, true}, {"prefix", purge_prefix, true},   {"host", purge_host, true},
    {"tag", purge_tag, true}, {"all", purge_everything, false},
};

static const struct scope *find_scope(const json_t *json)
{
    const char *word = json_string_value(json_object_get(json, "scope"));

    for (size_t i = 0; word != NULL && i < sizeof scopes / sizeof scopes[0]; i++)
        if (strcmp(scopes[i].name, word) == 0)
            return &scopes[i];
    return NULL;
}

/* ---- is it what it should be ---- */

/* A misspelt member must not purge more, less or otherwise than was meant. */
static const char *unknown_member(const json_t *json, const struct scope *scope)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)json, name,
                        value) if (strcmp(name, "scope") != 0 && strcmp(name, "mode") != 0 &&
                                   strcmp(name, "wait_ms") != 0 &&
                                   !(scope->list && strcmp(name, scope->name) == 0)) return name;
    return NULL;
}

static bool read_mode(struct asking *a)
{
    const json_t *mode = json_object_get(a->json, "mode");
    const char *word = json_string_value(mode);

    a->asked.mode = word != NULL && strcmp(word, "hard") == 0 ? PURGE_HARD : PURGE_SOFT;
    return mode == NULL ||
           (word != NULL && (strcmp(word, "hard") == 0 || strcmp(word, "soft") == 0));
}

static bool read_wait(struct asking *a)
{
    const json_t *wait = json_object_get(a->json, "wait_ms");

    a->wait_ms = wait != NULL ? json_integer_value(wait) : 0;
    return wait == NULL || (json_is_integer(wait) && a->wait_ms > 0 && a->wait_ms <= WAIT_MS_MAX);
}

static struct weir_span text_of(const json_t *json)
{
    return weir_span(json_string_value(json), json_string_length(json));
}

/* A text, or a list of texts? */
static bool texts(const json_t *what)
{
    const json_t *item;
    size_t i;

    if (!json_is_array(what))
        return json_is_string(what);
    json_array_foreach(what, i, item) if (!json_is_string(item)) return false;
    return json_array_size(what) > 0 && json_array_size(what) <= TAGS_MAX;
}

/* NULL, or what is wrong. */
static const char *judge(struct asking *a, const struct scope *scope)
{
    if (a->r->source->tier == NULL)
        return "the cache is off";
    if (scope == NULL)
        return "expected \"scope\": \"url\", \"prefix\", \"host\", \"tag\" or \"all\"";
    if (!read_mode(a))
        return "expected \"mode\": \"soft\" or \"hard\"";
    if (!read_wait(a))
        return "expected \"wait_ms\": 1 to 30000";
    if (unknown_member(a->json, scope) != NULL)
        return "there is a member that does not belong there";
    if (scope->list && !texts(json_object_get(a->json, scope->name)))
        return "expected a member called like the scope, with a text or a list of 1 to 1024";
    return NULL;
}

/* ---- purging ---- */

/* All or none: nothing is purged before the last one was understood. */
static bool run(struct asking *a, const struct scope *scope)
{
    const json_t *what = json_object_get(a->json, scope->name), *item;
    bool ok = true;
    size_t i;

    if (!json_is_array(what))
        return scope->run(a, text_of(what));
    json_array_foreach(what, i, item) if (!(ok = scope->run(a, text_of(item)))) break;
    return ok;
}

/* From here on it can only be answered. */
struct purging {
    struct admin_later later;
    struct purge_submission *s;
    const struct scope *scope;
    enum purge_mode mode;
    char *what; /* as it was asked; jansson's, NULL: nothing */
    int64_t began_us;
    int64_t wait_ms;
    struct purge_receipt *receipt; /* waited for, or being told; NULL: none */
    struct shared_loop loop;       /* for it */
    bool answered;                 /* s is ours */
};

static void audit(const struct purging *p)
{
    char target[1024];

    snprintf(target, sizeof target, "%s %s%s%s", p->mode == PURGE_HARD ? "hard" : "soft",
             p->scope->name, p->what != NULL ? " " : "", p->what != NULL ? p->what : "");
    if (p->s->outcome == PURGE_PENDING)
        admin_audit(&p->later.request, "purge", target, "pending");
    else
        admin_audit(&p->later.request, "purge", target, "sequence %llu",
                    (unsigned long long)p->s->sequence);
}

/* ---- the receipt ---- */

static const char *own_id(const struct admin_source *source)
{
    const struct member *list;

    return source->members != NULL && members_list(source->members, &list) > 0 ? list[0].id : "";
}

static json_t *row(struct admin_request *r, const char *id, int64_t ms)
{
    json_t *out = json_object();

    admin_put_text(r, out, "id", id);
    admin_put_int(r, out, "ms", ms);
    return out;
}

static void put_rows(struct admin_request *r, json_t *out, const struct purge_receipt *receipt)
{
    json_t *applied = admin_put_array(r, out, "applied");
    json_t *missing = admin_put_array(r, out, "missing"), *gone = admin_put_array(r, out, "gone");
    const struct purge_receipt_row *rows;
    size_t count = purge_receipt_rows(receipt, &rows);

    for (size_t i = 0; i < count; i++)
        if (rows[i].applied)
            admin_append(r, applied, row(r, rows[i].id, rows[i].ms));
        else
            admin_append(r, rows[i].gone ? gone : missing, admin_string(weir_span_str(rows[i].id)));
}

/* Of a node without a farm: it is all there is. */
static void put_own(struct admin_request *r, json_t *out, int64_t ms)
{
    admin_append(r, admin_put_array(r, out, "applied"), row(r, own_id(r->source), ms));
    admin_put_array(r, out, "missing");
    admin_put_array(r, out, "gone");
}

static void put_receipt(struct purging *p, json_t *out, int64_t took_us)
{
    struct admin_request *r = &p->later.request;
    int64_t ms = took_us / 1000;

    if (p->wait_ms == 0 || p->s->outcome == PURGE_PENDING)
        return;
    if (p->receipt != NULL) {
        put_rows(r, out, p->receipt);
        ms = purge_receipt_ms(p->receipt);
    } else {
        put_own(r, out, ms);
    }
    admin_put_bool(r, out, "complete",
                   p->receipt != NULL ? purge_receipt_complete(p->receipt)
                                      : r->source->purge_feed == NULL);
    admin_put_int(r, out, "ms", ms);
}

static void tell(struct purging *p)
{
    static const char *const states[] = {
        [PURGE_APPLIED] = "applied",
        [PURGE_UNCONFIRMED] = "unconfirmed",
        [PURGE_PENDING] = "pending",
    };
    struct admin_request *r = &p->later.request;
    bool pending = p->s->outcome == PURGE_PENDING;
    json_t *out = json_object();
    struct weir_clock now = r->source->loop->clock;

    weir_clock_update(&now);
    if (!pending)
        admin_put_int(r, out, "sequence", (int64_t)p->s->sequence);
    admin_put_text(r, out, "state", states[p->s->outcome]);
    admin_put_text(r, out, "scope", p->scope->name);
    admin_put_text(r, out, "mode", p->mode == PURGE_HARD ? "hard" : "soft");
    admin_put_int(r, out, "took_us", now.mono_us - p->began_us);
    put_receipt(p, out, now.mono_us - p->began_us);
    admin_answer(r, pending ? 202 : 200, out);
}

static void free_purging(struct purging *p)
{
    purge_receipt_free(p->receipt);
    free(p->what);
    weir_free(p);
}

static void finish(struct purging *p)
{
    tell(p);
    admin_later_end(&p->later);
    purge_submission_free(p->s);
    free_purging(p);
}

static void on_receipt(struct purge_receipt *receipt, void *arg)
{
    (void)receipt;
    finish(arg);
}

static void enter_loop(void *loop)
{
    net_loop_enter(loop);
}

static bool wait_for_all(struct purging *p)
{
    const struct admin_source *source = p->later.request.source;
    struct purge_receipt_options o = {
        .feed = source->purge_feed,
        .members = source->members,
        .id = p->s->sequence,
        .began_ms = p->began_us / 1000,
        .wait_ms = (uint32_t)p->wait_ms,
        .done = on_receipt,
        .arg = p,
    };

    if (p->wait_ms == 0 || p->s->outcome == PURGE_PENDING || o.feed == NULL)
        return false;
    p->loop =
        (struct shared_loop){source->loop->base, enter_loop, source->loop, &source->loop->clock};
    o.loop = &p->loop;
    p->receipt = purge_receipt_new(&o);
    return p->receipt != NULL;
}

/* It is done: here, and in the log if that can be reached. */
static void on_applied(struct purging *p)
{
    p->answered = true;
    audit(p);
    if (!wait_for_all(p))
        finish(p);
}

static void on_purged(struct purge_submission *s)
{
    if (s->arg != NULL)
        on_applied(s->arg);
    else
        purge_submission_free(s);
}

/* The node stops. */
static void on_cancel(struct admin_later *l)
{
    struct purging *p = WEIR_CONTAINER(l, struct purging, later);

    if (p->answered)
        purge_submission_free(p->s);
    else
        p->s->arg = NULL;
    free_purging(p);
}

/* Takes s, which has records. */
static void purge(struct asking *a, const struct scope *scope, struct purge_submission *s)
{
    const struct admin_source *source = a->r->source;
    const json_t *what = json_object_get(a->json, scope->name);
    struct purging *p = weir_calloc(1, sizeof *p);
    struct weir_clock now = source->loop->clock;

    if (p == NULL) {
        purge_submission_free(s);
        admin_refuse(a->r, 503, "out of memory");
        return;
    }
    weir_clock_update(&now);
    p->s = s;
    p->scope = scope;
    p->mode = a->asked.mode;
    p->wait_ms = a->wait_ms;
    p->what = what != NULL ? json_dumps(what, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    p->began_us = now.mono_us;
    admin_defer(a->r, &p->later, on_cancel);
    if (source->purge_feed == NULL) {
        s->sequence = purge_ask_apply(&a->asked);
        s->outcome = PURGE_APPLIED;
        on_applied(p);
        return;
    }
    s->home = &source->loop->box;
    s->done = on_purged;
    s->arg = p;
    purge_feed_submit(source->purge_feed, s);
}

static void judge_and_purge(struct asking *a)
{
    const struct scope *scope = find_scope(a->json);
    const char *wrong = judge(a, scope);

    if (wrong != NULL) {
        admin_refuse(a->r, a->r->source->tier == NULL ? 409 : 400, "%s", wrong);
        return;
    }
    a->asked.out = purge_submission_new();
    if (a->asked.out != NULL && run(a, scope)) {
        purge(a, scope, a->asked.out);
        return;
    }
    if (a->asked.out == NULL || a->err.code == WEIR_E_MEMORY)
        admin_refuse(a->r, 503, "out of memory");
    else
        admin_refuse(a->r, 400, "%s: %s", weir_code_text(a->err.code), a->err.detail);
    purge_submission_free(a->asked.out);
}

void admin_cache_purge(struct admin_request *r)
{
    json_t *json = admin_content(r);
    struct asking a = {
        .r = r,
        .json = json,
        .asked = {r->source->purges, PURGE_SOFT, r->source->loop->clock.wall_s, NULL},
    };

    if (json == NULL)
        return;
    weir_arena_init(&a.arena, 0);
    judge_and_purge(&a);
    weir_arena_free(&a.arena);
    json_decref(json);
}
