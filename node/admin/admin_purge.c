#include <string.h>

#include "admin.h"
#include "admin_endpoints.h"
#include "net_loop.h"
#include "probe.h"
#include "purge_ask.h"

#define TAGS_MAX 1024 /* of one request */

/* One purge in the making. */
struct asking {
    struct admin_request *r;
    const json_t *json;
    struct purge_asked asked;
    struct weir_arena arena;
    struct weir_err err;
};

/* One scope: the member that says what, and who purges it. */
struct scope {
    const char *name;
    uint64_t (*run)(struct asking *a, struct weir_span what);
    bool list; /* `what` may be an array of texts */
};

static uint64_t purge_url(struct asking *a, struct weir_span url)
{
    struct probe_place place = admin_probe_place(a->r);
    struct probe *p = probe_new(&place, url, NULL, 0, &a->err);
    uint64_t number = p != NULL ? purge_ask_url(&a->asked, &p->x, &a->err) : 0;

    probe_free(p);
    return number;
}

static uint64_t purge_prefix(struct asking *a, struct weir_span prefix)
{
    return purge_ask_prefix(&a->asked, prefix, &a->arena, &a->err);
}

static uint64_t purge_host(struct asking *a, struct weir_span host)
{
    return purge_ask_host(&a->asked, host, &a->arena, &a->err);
}

static uint64_t purge_tag(struct asking *a, struct weir_span tag)
{
    return purge_ask_tag(&a->asked, tag, &a->err);
}

static uint64_t purge_everything(struct asking *a, struct weir_span nothing)
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
    if (unknown_member(a->json, scope) != NULL)
        return "there is a member that does not belong there";
    if (scope->list && !texts(json_object_get(a->json, scope->name)))
        return "expected a member called like the scope, with a text or a list of 1 to 1024";
    return NULL;
}

/* ---- purging ---- */

static uint64_t run_each(struct asking *a, const struct scope *scope)
{
    const json_t *what = json_object_get(a->json, scope->name), *item;
    uint64_t number = 0;
    size_t i;

    if (!json_is_array(what))
        return scope->run(a, text_of(what));
    json_array_foreach(what, i, item) if ((number = scope->run(a, text_of(item))) == 0) break;
    return number;
}

/* All or none: a fault in the last one must not come to light after the first was purged. */
static uint64_t run(struct asking *a, const struct scope *scope)
{
    uint64_t number;

    a->asked.dry = true;
    number = run_each(a, scope);
    a->asked.dry = false;
    return number != 0 ? run_each(a, scope) : 0;
}

static void audit(struct asking *a, const struct scope *scope, uint64_t number)
{
    const json_t *what = json_object_get(a->json, scope->name);
    char *text = what != NULL ? json_dumps(what, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    admin_audit(a->r, "purge %s, %s%s%s: sequence %llu",
                a->asked.mode == PURGE_HARD ? "hard" : "soft", scope->name, text != NULL ? " " : "",
                text != NULL ? text : "", (unsigned long long)number);
    free(text); /* jansson's, by malloc */
}

static void tell(struct asking *a, const struct scope *scope, uint64_t number, int64_t took_us)
{
    json_t *out = json_object();

    admin_put_int(a->r, out, "sequence", (int64_t)number);
    admin_put_text(a->r, out, "scope", scope->name);
    admin_put_text(a->r, out, "mode", a->asked.mode == PURGE_HARD ? "hard" : "soft");
    admin_put_int(a->r, out, "took_us", took_us);
    admin_answer(a->r, 200, out);
}

static void purge(struct asking *a)
{
    const struct scope *scope = find_scope(a->json);
    const char *wrong = judge(a, scope);
    struct weir_clock before, after;
    uint64_t number;

    if (wrong != NULL) {
        admin_refuse(a->r, a->r->source->tier == NULL ? 409 : 400, "%s", wrong);
        return;
    }
    before = after = a->r->source->loop->clock;
    weir_clock_update(&before);
    number = run(a, scope);
    weir_clock_update(&after);
    if (number == 0) {
        admin_refuse(a->r, a->err.code == WEIR_E_MEMORY ? 503 : 400, "%s: %s",
                     weir_code_text(a->err.code), a->err.detail);
        return;
    }
    audit(a, scope, number);
    tell(a, scope, number, after.mono_us - before.mono_us);
}

void admin_cache_purge(struct admin_request *r)
{
    json_t *json = admin_content(r);
    struct asking a = {
        .r = r,
        .json = json,
        .asked = {r->source->purges, PURGE_SOFT, r->source->loop->clock.wall_s, false},
    };

    if (json == NULL)
        return;
    weir_arena_init(&a.arena, 0);
    purge(&a);
    weir_arena_free(&a.arena);
    json_decref(json);
}
