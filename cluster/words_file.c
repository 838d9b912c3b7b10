#include "words_file.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "weir/alloc.h"
#include "weir/keepfile.h"

#define FILE_FORMAT 1

/* ---- reading ---- */

static bool wrong(struct weir_err *err, const char *what)
{
    return weir_failf(err, WEIR_E_FILE, "words: file", 0, "%s", what);
}

static bool get_text(const json_t *o, const char *key, const char **out)
{
    const json_t *v = json_object_get(o, key);

    *out = json_string_value(v);
    /* json_loadb() lets no NUL into a text. */
    return *out != NULL;
}

static bool get_number(const json_t *o, const char *key, int64_t most, int64_t *out)
{
    const json_t *v = json_object_get(o, key);

    *out = json_integer_value(v);
    return json_is_integer(v) && *out >= 0 && *out <= most;
}

static bool parse_word(const json_t *o, struct words_file_word *w)
{
    const char *target, *kind, *aspect;
    struct word_said *s = &w->said;
    int64_t weight, number;
    int t, k, a;

    if (!get_text(o, "target", &target) || !get_text(o, "kind", &kind) ||
        !get_text(o, "aspect", &aspect) || !get_text(o, "name", &s->word.name) ||
        !get_text(o, "url", &s->word.url) || !get_text(o, "author", &s->word.author) ||
        !get_text(o, "reason", &s->word.reason) ||
        !get_number(o, "weight", WORD_WEIGHT_MAX, &weight) ||
        !get_number(o, "number", INT64_MAX, &number) ||
        !get_number(o, "said_at", INT64_MAX, &s->word.said_at_s) ||
        !get_number(o, "ends_at_ms", INT64_MAX, &s->ends_at_ms) ||
        (t = word_target_of(target)) < 0 || (k = word_kind_of(kind)) < 0 ||
        (a = word_aspect_of_name(aspect)) < 0)
        return false;
    s->format = WORD_FORMAT;
    s->word.target = (enum word_target)t;
    s->word.kind = (enum word_kind)k;
    s->aspect = (enum word_aspect)a;
    s->word.weight = (uint32_t)weight;
    s->word.number = (uint64_t)number;
    w->pending = json_is_true(json_object_get(o, "pending"));
    return word_check(s, NULL);
}

static bool parse_words(const json_t *list, struct words_file *out, struct weir_err *err)
{
    size_t count = json_array_size(list);

    if (!json_is_array(list) || count > WORDS_MAX)
        return wrong(err, "no words, or too many");
    out->words = weir_calloc(count + 1, sizeof *out->words);
    if (out->words == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "words: file", 0);
    for (; out->count < count; out->count++)
        if (!parse_word(json_array_get(list, out->count), &out->words[out->count]))
            return weir_failf(err, WEIR_E_FILE, "words: file", 0, "word %zu makes no sense",
                              out->count + 1);
    return true;
}

static bool parse_root(const json_t *root, struct words_file *out, struct weir_err *err)
{
    int64_t format;

    if (!json_is_object(root) || !get_number(root, "format", INT64_MAX, &format))
        return wrong(err, "not of ours");
    if (format != FILE_FORMAT)
        return wrong(err, "of another format");
    if (!get_number(root, "contact_ms", INT64_MAX, &out->contact_ms))
        return wrong(err, "contact_ms is missing");
    return parse_words(json_object_get(root, "words"), out, err);
}

bool words_file_parse(struct weir_span text, struct words_file *out, struct weir_err *err)
{
    json_error_t why;
    json_t *root;

    *out = (struct words_file){.contact_ms = 0};
    root = json_loadb(text.ptr != NULL ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL && json_error_code(&why) == json_error_out_of_memory)
        return weir_fail(err, WEIR_E_MEMORY, "words: file", 0);
    if (root == NULL)
        return weir_failf(err, WEIR_E_FILE, "words: file", 0, "line %d: %.100s", why.line,
                          why.text);
    out->owned = root;
    if (parse_root(root, out, err))
        return true;
    words_file_clear(out);
    return false;
}

void words_file_clear(struct words_file *f)
{
    weir_free(f->words);
    json_decref(f->owned);
    *f = (struct words_file){.contact_ms = 0};
}

bool words_file_read(const char *path, char **text, size_t *len, struct weir_err *err)
{
    return weir_keepfile_read(path, WORDS_FILE_MAX, text, len, err);
}

/* ---- writing ---- */

static json_t *word_json(const struct words_file_word *w)
{
    const struct word *x = &w->said.word;

    return json_pack("{ss ss ss ss ss sI ss ss sI sI sI sb}", "target", word_target_name(x->target),
                     "kind", word_kind_name(x->kind), "aspect", word_aspect_name(w->said.aspect),
                     "name", x->name, "url", x->url, "weight", (json_int_t)x->weight, "author",
                     x->author, "reason", x->reason, "number", (json_int_t)x->number, "said_at",
                     (json_int_t)x->said_at_s, "ends_at_ms", (json_int_t)w->said.ends_at_ms,
                     "pending", (int)w->pending);
}

char *words_file_text(const struct words_file *f)
{
    json_t *list = json_array(), *root;
    char *text;

    for (size_t i = 0; list != NULL && i < f->count; i++)
        if (json_array_append_new(list, word_json(&f->words[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    if (list == NULL)
        return NULL;
    root = json_pack("{si sI so}", "format", FILE_FORMAT, "contact_ms", (json_int_t)f->contact_ms,
                     "words", list);
    text = root != NULL ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    return text;
}

bool words_file_write(const char *path, struct weir_span text, struct weir_err *err)
{
    return weir_keepfile_write(path, text, err);
}
