#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/members.h"
#include "weir/words.h"
#include "health.h"
#include "admin.h"
#include "admin_endpoints.h"
#include "admin_views.h"
#include "net_loop.h"

#define FOR_S_MAX ((json_int_t)10 * 366 * 86400)

static const char *const targets[] = {
    [WORD_ORIGIN] = "origin", [WORD_UPSTREAM] = "upstream", [WORD_NODE] = "node"};

#define TARGETS (sizeof targets / sizeof targets[0])

/* ---- GET ---- */

json_t *admin_view_word(struct admin_request *r, const struct word *w)
{
    int64_t left_ms = w->until_ms - r->source->loop->clock.mono_ms;
    json_t *o = json_object();

    admin_put_text(r, o, "target", targets[w->target]);
    admin_put_text(r, o, "name", w->name);
    admin_put_span(r, o, "url", weir_span_str(w->target == WORD_ORIGIN ? w->url : NULL));
    admin_put_text(r, o, "kind", word_kind_name(w->kind));
    admin_put(r, o, "weight", w->kind == WORD_WEIGHT ? json_integer(w->weight) : json_null());
    admin_put_text(r, o, "author", w->author);
    admin_put_text(r, o, "reason", w->reason);
    admin_put_int(r, o, "number", (int64_t)w->number);
    admin_put_int(r, o, "said_at", w->said_at_s);
    admin_put(r, o, "left_s",
              w->until_ms == 0 ? json_null() : json_integer(left_ms > 0 ? left_ms / 1000 : 0));
    return o;
}

json_t *admin_view_words(struct admin_request *r)
{
    json_t *list = json_array();
    const struct word *words = NULL;
    size_t n = r->source->words != NULL ? words_list(r->source->words, &words) : 0;

    for (size_t i = 0; i < n; i++)
        admin_append(r, list, admin_view_word(r, &words[i]));
    return list;
}

json_t *admin_view_words_state(struct admin_request *r)
{
    struct words_state s = {.current = true};
    json_t *o = json_object();

    if (r->source->words != NULL)
        words_state(r->source->words, &s);
    admin_put_bool(r, o, "current", s.current);
    admin_put_int(r, o, "pending", (int64_t)s.pending);
    admin_put_int(r, o, "forged", (int64_t)s.forged);
    admin_put_int(r, o, "foreign", (int64_t)s.foreign);
    admin_put_int(r, o, "restored", (int64_t)s.restored);
    return o;
}

void admin_words(struct admin_request *r)
{
    json_t *out = json_object();

    admin_put(r, out, "words", admin_view_words(r));
    admin_put(r, out, "state", admin_view_words_state(r));
    admin_answer(r, 200, out);
}

/* ---- POST: what is to be said ---- */

struct asked {
    struct words_say say;
    char author[72];
};

static const char *const members_known[] = {"target",      "name",   "url",    "kind", "weight",
                                            "weight_only", "reason", "author", "for_s"};

/* NULL: all are known. A misspelt member must not order something else than was meant. */
static const char *unknown_member(json_t *json)
{
    const char *name;
    json_t *value;

    json_object_foreach(json, name, value)
    {
        size_t i = 0;

        while (i < sizeof members_known / sizeof members_known[0] &&
               strcmp(name, members_known[i]) != 0)
            i++;
        if (i == sizeof members_known / sizeof members_known[0])
            return name;
    }
    return NULL;
}

/* A text without NUL, "" if it is missing; false: it is something else. */
static bool read_text(const json_t *json, const char *name, const char **out)
{
    const json_t *value = json_object_get(json, name);

    *out = value != NULL && !json_is_null(value) ? json_string_value(value) : "";
    return *out != NULL && (json_string_length(value) == strlen(*out));
}

static bool read_integer(const json_t *json, const char *name, json_int_t low, json_int_t high,
                         json_int_t *out)
{
    const json_t *value = json_object_get(json, name);

    *out = json_integer_value(value);
    return value == NULL || json_is_null(value) ||
           (json_is_integer(value) && *out >= low && *out <= high);
}

static bool read_target(const json_t *json, enum word_target *out)
{
    const char *word = json_string_value(json_object_get(json, "target"));

    for (size_t i = 0; word != NULL && i < TARGETS; i++)
        if (strcmp(word, targets[i]) == 0) {
            *out = (enum word_target)i;
            return true;
        }
    return false;
}

static bool read_kind(const json_t *json, enum word_kind *out)
{
    const char *word = json_string_value(json_object_get(json, "kind"));
    int kind = word != NULL ? word_kind_of(word) : -1;

    *out = (enum word_kind)kind;
    return kind >= 0;
}

/* NULL, or what is wrong with the content. What fits together is words_say()'s to judge. */
static const char *read_asked(json_t *json, struct asked *a)
{
    const json_t *weight_only = json_object_get(json, "weight_only");
    struct word *w = &a->say.word;
    json_int_t weight, for_s;

    if (unknown_member(json) != NULL)
        return "there is a member that does not belong there";
    if (!read_target(json, &w->target))
        return "expected \"target\": \"origin\", \"upstream\" or \"node\"";
    if (!read_kind(json, &w->kind))
        return "expected \"kind\": \"drain\", \"disable\", \"up\", \"weight\", \"maintenance\", "
               "\"unready\", \"reload\" or \"nothing\"";
    if (!read_text(json, "name", &w->name) || !read_text(json, "url", &w->url) ||
        !read_text(json, "reason", &w->reason) || !read_text(json, "author", &w->author))
        return "name, url, reason and author must be texts";
    if (!read_integer(json, "weight", 1, WORD_WEIGHT_MAX, &weight))
        return "expected \"weight\" from 1 to 1000";
    if (w->kind == WORD_WEIGHT && weight == 0)
        return "this kind needs \"weight\"";
    if (!read_integer(json, "for_s", 1, FOR_S_MAX, &for_s))
        return "expected \"for_s\", seconds, more than 0";
    if (weight_only != NULL && !json_is_boolean(weight_only))
        return "weight_only must be true or false";
    w->weight = (uint32_t)weight;
    a->say.left_ms = for_s * 1000;
    a->say.weight_only = json_is_true(weight_only);
    return NULL;
}

/* ---- POST: is there such a thing ---- */

struct search {
    const struct word *word;
    bool upstream, origin;
};

static void look(void *arg, const struct health_view *v)
{
    struct search *s = arg;

    if (strcmp(v->upstream, s->word->name) != 0)
        return;
    s->upstream = true;
    s->origin |= strcmp(v->url, s->word->url) == 0;
}

static bool is_member(struct members *m, const char *id)
{
    const struct member *list;
    size_t n = m != NULL ? members_list(m, &list) : 0;

    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].id, id) == 0)
            return true;
    return false;
}

/* NULL, or what there is not. What is gone may still be taken back. */
static const char *missing(const struct admin_request *r, const struct word *w)
{
    struct search s = {.word = w};

    if (w->kind == WORD_NOTHING)
        return NULL;
    if (w->target == WORD_NODE)
        return w->name[0] == '\0' || is_member(r->source->members, w->name)
                   ? NULL
                   : "there is no such node";
    if (r->source->health != NULL)
        health_each(r->source->health, look, &s);
    if (!s.upstream)
        return "there is no such upstream";
    return w->target == WORD_ORIGIN && !s.origin ? "this upstream has no such origin" : NULL;
}

/* ---- POST: saying it ---- */

struct saying {
    struct admin_later later;
    char target[WORD_NAME_MAX + WORD_URL_MAX + WORD_REASON_MAX + 128];
};

static void on_told(void *arg, enum words_outcome outcome, uint64_t number)
{
    static const char *const names[] = {[WORDS_SAID] = "said",
                                        [WORDS_UNCONFIRMED] = "unconfirmed",
                                        [WORDS_HERE_ONLY] = "here_only"};
    struct saying *s = arg;
    struct admin_request *r = &s->later.request;
    json_t *out = json_object();

    admin_audit(r, "word", s->target, "%s, number %llu", names[outcome],
                (unsigned long long)number);
    admin_put_text(r, out, "outcome", names[outcome]);
    admin_put_int(r, out, "number", (int64_t)number);
    admin_answer(r, outcome == WORDS_HERE_ONLY ? 202 : 200, out);
    admin_later_end(&s->later);
    weir_free(s);
}

/* The node stops; the words go with it, and tell nobody. */
static void on_cancel(struct admin_later *l)
{
    weir_free(WEIR_CONTAINER(l, struct saying, later));
}

static void describe(const struct asked *a, char *out, size_t cap)
{
    const struct word *w = &a->say.word;
    char weight[16] = "", until[40] = "";

    if (w->kind == WORD_WEIGHT)
        snprintf(weight, sizeof weight, " %u", (unsigned)w->weight);
    if (a->say.left_ms > 0)
        snprintf(until, sizeof until, " for %lld s", (long long)a->say.left_ms / 1000);
    snprintf(out, cap, "%s%s %s %s%s%s%s%s%s", word_kind_name(w->kind), weight, targets[w->target],
             w->name[0] != '\0' ? w->name : "(all)", w->url[0] != '\0' ? " " : "", w->url, until,
             w->reason[0] != '\0' ? ": " : "", w->reason);
}

static void say(struct admin_request *r, struct asked *a)
{
    struct saying *s = weir_calloc(1, sizeof *s);
    struct weir_err err = {0};

    if (s == NULL) {
        admin_refuse(r, 503, "out of memory");
        return;
    }
    if (a->say.word.author[0] == '\0') {
        admin_author(r, a->author);
        a->say.word.author = a->author;
    }
    describe(a, s->target, sizeof s->target);
    a->say.told = on_told;
    a->say.arg = s;
    if (words_say(r->source->words, &a->say, &err)) {
        admin_defer(r, &s->later, on_cancel);
        return;
    }
    weir_free(s);
    if (err.code == WEIR_E_MEMORY)
        admin_refuse(r, 503, "out of memory");
    else
        admin_refuse(r, 400, "%s", err.detail[0] != '\0' ? err.detail : weir_code_text(err.code));
}

void admin_word(struct admin_request *r)
{
    json_t *json = admin_content(r);
    struct asked a = {.author = ""};
    const char *wrong;

    if (json == NULL)
        return;
    wrong = read_asked(json, &a);
    if (r->source->words == NULL)
        admin_refuse(r, 503, "words are not kept here");
    else if (wrong != NULL)
        admin_refuse(r, 400, "%s", wrong);
    else if ((wrong = missing(r, &a.say.word)) != NULL)
        admin_refuse(r, 404, "%s", wrong);
    else
        say(r, &a);
    json_decref(json);
}
