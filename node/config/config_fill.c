#include "config_fill.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>

#include "weir/alloc.h"
#include "config_schema.h"
#include "config_tree.h"
#include "settings.h"

/* ---- the text libcyaml reads ---- */

struct text {
    char *bytes;
    size_t len, cap;
    bool failed; /* no memory: sticky, looked at once at the end */
};

static void put(struct text *t, const char *bytes, size_t len)
{
    if (t->failed)
        return;
    if (t->cap - t->len < len) {
        size_t cap = (t->cap + len) * 2 + 4096;
        char *grown = weir_realloc(t->bytes, cap);

        if (grown == NULL) {
            t->failed = true;
            return;
        }
        t->bytes = grown;
        t->cap = cap;
    }
    memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
}

static void puts_to(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

/* One code point of UTF-8 that libyaml has written, and is therefore well formed. */
static size_t decode(const char *p, size_t left, uint32_t *point)
{
    unsigned char c = (unsigned char)p[0];
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    *point = len == 1 ? c : c & (0x7fu >> len);
    for (size_t i = 1; i < len && i < left; i++)
        *point = *point << 6 | ((unsigned char)p[i] & 0x3f);
    return len < left ? len : left;
}

/* Double-quoted, all but plain ASCII escaped: YAML folds and refuses more characters than one
 * thinks. */
static void put_quoted(struct text *t, struct weir_span s)
{
    puts_to(t, "\"");
    for (size_t i = 0; i < s.len;) {
        char escape[16];
        uint32_t point;
        size_t len = decode(s.ptr + i, s.len - i, &point);

        if (point >= 0x20 && point < 0x7f && point != '"' && point != '\\') {
            put(t, s.ptr + i, len);
        } else {
            snprintf(escape, sizeof(escape), "\\U%08" PRIX32, point);
            puts_to(t, escape);
        }
        i += len;
    }
    puts_to(t, "\"");
}

static void put_section(struct text *t, const struct config_section *section,
                        const struct config_node *map);

static void put_list(struct text *t, const struct config_key *key, const struct config_node *list)
{
    bool first = true;

    puts_to(t, "[");
    for (const struct config_node *item = list->first; item != NULL; item = item->next) {
        if (item->bad)
            continue;
        puts_to(t, first ? "" : ",\n");
        first = false;
        if (key->kind == CONFIG_KEY_SECTIONS)
            put_section(t, key->section, item);
        else
            put_quoted(t, item->text);
    }
    puts_to(t, "]");
}

/* The default of a list: its items stand with a space between. */
static void put_default_list(struct text *t, const char *items)
{
    puts_to(t, "[");
    for (const char *at = items; *at != '\0'; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");

        if (at != items)
            puts_to(t, ",\n");
        put_quoted(t, weir_span(at, len));
        at += len;
    }
    puts_to(t, "]");
}

static void put_number(struct text *t, const struct config_key *key, const struct config_node *node)
{
    char digits[32];
    uint64_t number = 0;

    if (node != NULL)
        number = node->number;
    else
        config_value_parse(key->number, weir_span_str(key->fallback), &number);
    if (key->number == CONFIG_BOOL)
        snprintf(digits, sizeof(digits), "%s", number != 0 ? "true" : "false");
    else
        snprintf(digits, sizeof(digits), "%" PRIu64, number);
    puts_to(t, digits);
}

static void put_value(struct text *t, const struct config_key *key, const struct config_node *node)
{
    switch (key->kind) {
    case CONFIG_KEY_NUMBER:
        put_number(t, key, node);
        break;
    case CONFIG_KEY_WORD:
    case CONFIG_KEY_TEXT:
        put_quoted(t, node != NULL ? node->text : weir_span_str(key->fallback));
        break;
    case CONFIG_KEY_SECTION:
        put_section(t, key->section, node);
        break;
    case CONFIG_KEY_TEXTS:
    case CONFIG_KEY_FLAGS:
    case CONFIG_KEY_SECTIONS:
        if (node == NULL)
            put_default_list(t, key->fallback);
        else
            put_list(t, key, node);
        break;
    }
}

static bool any_good(const struct config_node *list)
{
    for (const struct config_node *item = list->first; item != NULL; item = item->next)
        if (!item->bad)
            return true;
    return false;
}

/* Whether there is anything to say about a key: sections always, the rest if given or by default.
 */
static bool has_value(const struct config_key *key, const struct config_node *node)
{
    if ((key->flags & CONFIG_UNSTORED) != 0)
        return false;
    if (key->kind == CONFIG_KEY_SECTION)
        return true;
    if (config_key_is_list(key) && node != NULL)
        return any_good(node);
    return node != NULL || key->fallback != NULL;
}

/* map may be NULL: then all its keys have their defaults. */
static void put_section(struct text *t, const struct config_section *section,
                        const struct config_node *map)
{
    bool first = true;

    puts_to(t, "{");
    for (size_t i = 0; i < section->key_count; i++) {
        const struct config_key *key = &section->keys[i];
        const struct config_node *node = config_node_get(map, key->name);

        if (node != NULL && node->bad && key->kind != CONFIG_KEY_SECTIONS)
            node = NULL;
        if (!has_value(key, node))
            continue;
        puts_to(t, first ? "\"" : ",\n\"");
        first = false;
        puts_to(t, key->name);
        puts_to(t, "\": ");
        put_value(t, key, node);
    }
    puts_to(t, "}");
}

/* ---- the schema as libcyaml wants it ---- */

static const cyaml_schema_field_t *make_fields(struct weir_arena *arena,
                                               const struct config_section *section);

/* A list's items: texts, or structs. */
static const cyaml_schema_value_t *make_entry(struct weir_arena *arena,
                                              const struct config_key *key)
{
    cyaml_schema_value_t *entry = weir_arena_zalloc(arena, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    if (key->kind == CONFIG_KEY_TEXTS) {
        *entry = (cyaml_schema_value_t){
            CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED)};
        return entry;
    }
    entry->type = CYAML_MAPPING;
    entry->data_size = (uint32_t)key->section->size;
    entry->mapping.fields = make_fields(arena, key->section);
    return entry->mapping.fields != NULL ? entry : NULL;
}

/* The ranges are not repeated: they were judged, by name and line, in config_check.c. */
static bool make_value(struct weir_arena *arena, const struct config_key *key,
                       cyaml_schema_value_t *value)
{
    value->flags = CYAML_FLAG_OPTIONAL;
    value->data_size = key->size;
    switch (key->kind) {
    case CONFIG_KEY_NUMBER:
        value->type = key->number == CONFIG_BOOL ? CYAML_BOOL : CYAML_UINT;
        return true;
    case CONFIG_KEY_WORD:
        value->type = CYAML_ENUM;
        value->flags = (enum cyaml_flag)(CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT);
        value->enumeration.strings = key->words;
        value->enumeration.count = key->word_count;
        return true;
    case CONFIG_KEY_FLAGS:
        value->type = CYAML_FLAGS;
        value->flags = (enum cyaml_flag)(CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT);
        value->enumeration.strings = key->words;
        value->enumeration.count = key->word_count;
        return true;
    case CONFIG_KEY_TEXT:
        *value = (cyaml_schema_value_t){
            CYAML_VALUE_STRING(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char, 0, CYAML_UNLIMITED)};
        return true;
    case CONFIG_KEY_SECTION:
        value->type = CYAML_MAPPING;
        value->data_size = (uint32_t)key->section->size;
        value->mapping.fields = make_fields(arena, key->section);
        return value->mapping.fields != NULL;
    default:
        value->type = CYAML_SEQUENCE;
        value->flags = (enum cyaml_flag)(CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER);
        value->sequence.entry = make_entry(arena, key);
        value->sequence.max = CYAML_UNLIMITED;
        /* Of one item: libcyaml grows the array by it. */
        value->data_size =
            key->kind == CONFIG_KEY_TEXTS ? (uint32_t)sizeof(char *) : (uint32_t)key->section->size;
        return value->sequence.entry != NULL;
    }
}

static const cyaml_schema_field_t *make_fields(struct weir_arena *arena,
                                               const struct config_section *section)
{
    /* One more, all zero, ends the array. */
    cyaml_schema_field_t *fields =
        weir_arena_zalloc(arena, (section->key_count + 1) * sizeof(*fields));
    size_t used = 0;

    for (size_t i = 0; fields != NULL && i < section->key_count; i++) {
        const struct config_key *key = &section->keys[i];
        cyaml_schema_field_t *field = &fields[used];

        if ((key->flags & CONFIG_UNSTORED) != 0)
            continue;
        field->key = key->name;
        field->data_offset = key->offset;
        field->count_offset = key->count_offset;
        field->count_size = sizeof(size_t);
        if (!make_value(arena, key, &field->value))
            return NULL;
        used++;
    }
    return fields;
}

/* ---- from libcyaml's memory into the settings' arena ---- */

static bool copy_section(struct weir_arena *arena, const struct config_section *section,
                         const char *from, char *to);

static bool copy_text(struct weir_arena *arena, const char *from, char *to)
{
    const char *text, *copy = NULL;

    memcpy(&text, from, sizeof(text));
    if (text != NULL) {
        copy = weir_arena_dup(arena, weir_span_str(text)).ptr;
        if (copy == NULL)
            return false;
    }
    memcpy(to, &copy, sizeof(copy));
    return true;
}

static bool copy_list(struct weir_arena *arena, const struct config_key *key, const char *from,
                      char *to)
{
    const size_t size = key->kind == CONFIG_KEY_TEXTS ? sizeof(char *) : key->section->size;
    const char *items;
    char *copies;
    size_t count;

    memcpy(&items, from + key->offset, sizeof(items));
    memcpy(&count, from + key->count_offset, sizeof(count));
    if (items == NULL || count == 0)
        return true;
    copies = weir_arena_zalloc(arena, count * size);
    if (copies == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (key->kind == CONFIG_KEY_TEXTS) {
            if (!copy_text(arena, items + i * size, copies + i * size))
                return false;
        } else if (!copy_section(arena, key->section, items + i * size, copies + i * size)) {
            return false;
        }
    }
    memcpy(to + key->offset, &copies, sizeof(copies));
    memcpy(to + key->count_offset, &count, sizeof(count));
    return true;
}

static bool copy_section(struct weir_arena *arena, const struct config_section *section,
                         const char *from, char *to)
{
    bool ok = true;

    for (size_t i = 0; ok && i < section->key_count; i++) {
        const struct config_key *key = &section->keys[i];

        if ((key->flags & CONFIG_UNSTORED) != 0)
            continue;
        if (key->kind == CONFIG_KEY_TEXT)
            ok = copy_text(arena, from + key->offset, to + key->offset);
        else if (key->kind == CONFIG_KEY_SECTION)
            ok = copy_section(arena, key->section, from + key->offset, to + key->offset);
        else if (key->kind == CONFIG_KEY_TEXTS || key->kind == CONFIG_KEY_SECTIONS)
            ok = copy_list(arena, key, from, to);
        else
            memcpy(to + key->offset, from + key->offset, key->size);
    }
    return ok;
}

static struct settings *copy_settings(const struct settings *loaded)
{
    struct settings *s = weir_calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    atomic_init(&s->refs, 1);
    weir_arena_init(&s->arena, 0);
    if (!copy_section(&s->arena, &config_schema, (const char *)loaded, (char *)s)) {
        settings_unref(s);
        return NULL;
    }
    return s;
}

/* ---- */

static void *cyaml_memory(void *arg, void *old, size_t size)
{
    (void)arg;
    if (size != 0)
        return weir_realloc(old, size);
    weir_free(old);
    return NULL;
}

/* Keeps libcyaml's last words: after our own checks they can only be about a bug of ours. */
static void keep_words(cyaml_log_t level, void *arg, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

static void keep_words(cyaml_log_t level, void *arg, const char *fmt, va_list args)
{
    (void)level;
    vsnprintf(arg, CONFIG_QUOTE_MAX, fmt, args);
}

static struct settings *load(struct config_ctx *ctx, const struct text *text,
                             const cyaml_schema_field_t *fields)
{
    char words[CONFIG_QUOTE_MAX] = "";
    const cyaml_config_t config = {.log_fn = keep_words,
                                   .log_ctx = words,
                                   .log_level = CYAML_LOG_ERROR,
                                   .mem_fn = cyaml_memory,
                                   .flags = CYAML_CFG_NO_ALIAS};
    const cyaml_schema_value_t schema = {.type = CYAML_MAPPING,
                                         .flags = CYAML_FLAG_POINTER,
                                         .data_size = sizeof(struct settings),
                                         .mapping.fields = fields};
    struct settings *s = NULL;
    cyaml_data_t *loaded = NULL;
    cyaml_err_t rc =
        cyaml_load_data((const uint8_t *)text->bytes, text->len, &config, &schema, &loaded, NULL);

    words[strcspn(words, "\n")] = '\0';
    if (rc == CYAML_OK)
        s = copy_settings(loaded);
    if (rc == CYAML_ERR_OOM || (rc == CYAML_OK && s == NULL))
        config_report_memory(ctx);
    else if (rc != CYAML_OK)
        config_report(ctx, ctx->root, "libcyaml: %s: %s", cyaml_strerror(rc), words);
    cyaml_free(&config, &schema, loaded, 0);
    return s;
}

struct settings *config_fill(struct config_ctx *ctx)
{
    struct text text = {0};
    struct settings *s = NULL;
    const cyaml_schema_field_t *fields = make_fields(&ctx->arena, &config_schema);

    put_section(&text, &config_schema, ctx->root);
    if (fields == NULL || text.failed)
        config_report_memory(ctx);
    else
        s = load(ctx, &text, fields);
    weir_free(text.bytes);
    return s;
}
