#include "config_check.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "config_rules.h"
#include "config_schema.h"
#include "config_tree.h"

#define KEYS_MAX  32  /* rows of one section; asserted by the test that walks the schema */
#define WORDS_MAX 256 /* bytes of "one of a, b, c" */

/* ---- one value ---- */

static void report_range(struct config_ctx *ctx, const struct config_key *key,
                         struct config_node *node)
{
    char low[32], high[32], found[CONFIG_QUOTE_MAX];

    config_report(ctx, node, "must be %s to %s, found %s",
                  config_value_write(key->number, key->min, low),
                  config_value_write(key->number, key->max, high), config_found(node, found));
}

static void check_number(struct config_ctx *ctx, const struct config_key *key,
                         struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];
    const char *form = config_value_form(key->number);

    switch (config_value_parse(key->number, node->text, &node->number)) {
    case CONFIG_VALUE_OK:
        if (node->number < key->min || node->number > key->max)
            report_range(ctx, key, node);
        break;
    case CONFIG_VALUE_TOO_LARGE:
        report_range(ctx, key, node);
        break;
    case CONFIG_VALUE_NO_UNIT:
        config_report(ctx, node, "%s has no unit; expected %s", config_found(node, found), form);
        break;
    case CONFIG_VALUE_NOT_WHOLE:
        config_report(ctx, node, "%s is not a whole number of seconds", config_found(node, found));
        break;
    case CONFIG_VALUE_MALFORMED:
        config_report(ctx, node, "expected %s, found %s", form, config_found(node, found));
        break;
    }
}

static void write_words(const struct config_key *key, char buf[WORDS_MAX])
{
    size_t at = 0;

    buf[0] = '\0';
    for (uint32_t i = 0; i < key->word_count && at < WORDS_MAX; i++)
        at += (size_t)snprintf(buf + at, WORDS_MAX - at, "%s%s", i != 0 ? ", " : "",
                               key->words[i].str);
}

static void check_word(struct config_ctx *ctx, const struct config_key *key,
                       struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX], words[WORDS_MAX];

    for (uint32_t i = 0; i < key->word_count; i++)
        if (config_node_is(node, key->words[i].str))
            return;
    write_words(key, words);
    config_report(ctx, node, "expected one of %s; found %s", words, config_found(node, found));
}

static const char *form_of(const struct config_key *key)
{
    switch (key->kind) {
    case CONFIG_KEY_NUMBER:
        return config_value_form(key->number);
    case CONFIG_KEY_WORD:
        return "a word";
    case CONFIG_KEY_TEXT:
        return "a text";
    case CONFIG_KEY_TEXTS:
        return "a list of texts";
    case CONFIG_KEY_FLAGS:
        return "a list of words";
    case CONFIG_KEY_SECTION:
        return "a mapping";
    default:
        assert(key->section != NULL);
        return key->section->from_text != NULL ? "a list of texts" : "a list of mappings";
    }
}

static void check_scalar(struct config_ctx *ctx, const struct config_key *key,
                         struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    if (node->kind != CONFIG_SCALAR || config_node_empty(node)) {
        config_report(ctx, node, "expected %s, found %s", form_of(key), config_found(node, found));
        return;
    }
    if (key->kind == CONFIG_KEY_NUMBER)
        check_number(ctx, key, node);
    else if (key->words != NULL)
        check_word(ctx, key, node);
    else if (node->text.len == 0 && (key->flags & CONFIG_MAY_BE_EMPTY) == 0)
        config_report(ctx, node, "must not be empty");
    if (!node->bad && key->rule != NULL)
        key->rule(ctx, node);
}

/* ---- mappings and lists ---- */

static void check_map(struct config_ctx *ctx, const struct config_section *section,
                      struct config_node *map);

static void check_section(struct config_ctx *ctx, const struct config_key *key,
                          struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    if (node->kind == CONFIG_SCALAR && key->section->from_text != NULL && node->text.len != 0) {
        key->section->from_text(ctx, node);
        return;
    }
    /* A section whose keys are all commented out is an empty one. */
    if (config_node_empty(node) && key->kind == CONFIG_KEY_SECTION)
        node->kind = CONFIG_MAP;
    if (node->kind != CONFIG_MAP || key->section->from_text != NULL) {
        config_report(ctx, node, "expected %s, found %s",
                      key->section->from_text != NULL ? "a text" : "a mapping",
                      config_found(node, found));
        return;
    }
    check_map(ctx, key->section, node);
    if (key->rule != NULL)
        key->rule(ctx, node);
}

static void check_list(struct config_ctx *ctx, const struct config_key *key,
                       struct config_node *list)
{
    char found[CONFIG_QUOTE_MAX];
    struct config_key item_key = *key;

    item_key.kind = CONFIG_KEY_TEXT;
    if (list->kind != CONFIG_LIST) {
        bool one = list->kind == CONFIG_SCALAR && !config_node_empty(list) &&
                   (key->section == NULL || key->section->from_text != NULL);

        config_report(ctx, list, "expected %s, found %s%s", form_of(key), config_found(list, found),
                      one ? "; put it in [ ]" : "");
        return;
    }
    if ((key->flags & CONFIG_REQUIRED) != 0 && list->count == 0)
        config_report(ctx, list, "must not be empty");
    for (struct config_node *item = list->first; item != NULL; item = item->next) {
        if (item->bad)
            continue;
        if (key->section == NULL)
            check_scalar(ctx, &item_key, item);
        else
            check_section(ctx, key, item);
    }
}

static void check_value(struct config_ctx *ctx, const struct config_key *key,
                        struct config_node *node)
{
    if (node->bad || strcmp(key->name, "include") == 0)
        return; /* reported, or judged when it was read */
    if (key->kind == CONFIG_KEY_SECTION)
        check_section(ctx, key, node);
    else if (config_key_is_list(key))
        check_list(ctx, key, node);
    else
        check_scalar(ctx, key, node);
}

/* ---- keys ---- */

/* What the writer may have meant, or else what can stand here. Returns the former's row, or NULL.
 */
static const struct config_key *report_unknown(struct config_ctx *ctx,
                                               const struct config_section *section,
                                               struct config_node *child)
{
    char name[CONFIG_QUOTE_MAX], list[512];
    const struct config_key *nearest = NULL;
    unsigned distance, best = 0;
    size_t at = 0;

    config_quote(weir_span_str(child->name), name);
    for (size_t i = 0; i < section->key_count; i++) {
        const struct config_key *key = &section->keys[i];

        if ((key->flags & CONFIG_DERIVED) != 0)
            continue;
        if (config_is_near(weir_span_str(child->name), weir_span_str(key->name), &distance) &&
            (nearest == NULL || distance < best)) {
            nearest = key;
            best = distance;
        }
        if (at < sizeof(list))
            at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", at != 0 ? ", " : "",
                                   key->name);
    }
    if (nearest != NULL)
        config_report_key(ctx, child, "unknown key %s; did you mean \"%s\"?", name, nearest->name);
    else if (strcmp(child->name, "<<") == 0)
        config_report_key(ctx, child, "merge keys are not supported; write the keys out");
    else
        config_report_key(ctx, child, "unknown key %s; known here: %s", name, list);
    return nearest;
}

static size_t index_of(const struct config_section *section, const char *name)
{
    size_t i = 0;

    while (i < section->key_count && ((section->keys[i].flags & CONFIG_DERIVED) != 0 ||
                                      strcmp(section->keys[i].name, name) != 0))
        i++;
    return i;
}

static void check_map(struct config_ctx *ctx, const struct config_section *section,
                      struct config_node *map)
{
    const struct config_node *seen[KEYS_MAX] = {NULL};
    bool misspelt[KEYS_MAX] = {false}; /* one error is enough: do not call it missing as well */
    char name[CONFIG_QUOTE_MAX];

    for (struct config_node *child = map->first; child != NULL; child = child->next) {
        size_t i = index_of(section, child->name);

        if (i == section->key_count) {
            const struct config_key *meant = report_unknown(ctx, section, child);

            if (meant != NULL)
                misspelt[meant - section->keys] = true;
        } else if (seen[i] != NULL) {
            config_report_key(ctx, child, "duplicate key %s; it is at line %u already",
                              config_quote(weir_span_str(child->name), name), seen[i]->key_line);
        } else {
            seen[i] = child;
            check_value(ctx, &section->keys[i], child);
        }
    }
    for (size_t i = 0; i < section->key_count; i++) {
        if ((section->keys[i].flags & CONFIG_REQUIRED) == 0)
            continue;
        if (seen[i] == NULL && !misspelt[i])
            config_report(ctx, map, "\"%s\" is missing", section->keys[i].name);
        map->bad |= seen[i] == NULL || seen[i]->bad; /* of no use without it */
    }
}

void config_check(struct config_ctx *ctx)
{
    config_rules_prepare(ctx);
    check_map(ctx, &config_schema, ctx->root);
    config_rule_all(ctx, ctx->root);
}
