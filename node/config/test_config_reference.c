/* conf/reference.yaml is the documentation: it names every key, explains it, and is the default. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_schema.h"
#include "config_tree.h"

#define REFERENCE    WEIR_SOURCE_DIR "/conf/reference.yaml"
#define SMALLEST     WEIR_SOURCE_DIR "/conf/weir.yaml"
#define MAPS_MAX     64
#define SECTIONS_MAX 64
#define PATH_LEN     256

static struct settings *must_load(const char *path)
{
    struct config_errors errors = {0};
    struct settings *s = config_load(path, &errors);

    config_errors_print(&errors, stderr);
    assert_non_null(s);
    config_errors_free(&errors);
    return s;
}

/* ---- the same settings ---- */

static void same_section(const struct config_section *section, const char *a, const char *b,
                         const char *path);

static const char *pointer_at(const char *base, uint32_t offset)
{
    const char *p;

    memcpy(&p, base + offset, sizeof(p));
    return p;
}

static void same_text(const char *a, const char *b, const char *path)
{
    if ((a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0))
        fail_msg("%s: \"%s\" and \"%s\"", path, a != NULL ? a : "none", b != NULL ? b : "none");
}

/* Of a list of mappings the first one is at its defaults; the others are examples. */
static void same_key(const struct config_key *key, const char *a, const char *b, const char *path)
{
    size_t counts[2];

    switch (key->kind) {
    case CONFIG_KEY_NUMBER:
    case CONFIG_KEY_WORD:
    case CONFIG_KEY_FLAGS:
        if (memcmp(a + key->offset, b + key->offset, key->size) != 0)
            fail_msg("%s differs", path);
        break;
    case CONFIG_KEY_TEXT:
        same_text(pointer_at(a, key->offset), pointer_at(b, key->offset), path);
        break;
    case CONFIG_KEY_SECTION:
        same_section(key->section, a + key->offset, b + key->offset, path);
        break;
    default:
        memcpy(&counts[0], a + key->count_offset, sizeof(size_t));
        memcpy(&counts[1], b + key->count_offset, sizeof(size_t));
        if (strcmp(path, ".limits") == 0 && counts[1] == 0)
            break; /* empty by default, and shown by an example all the same */
        if ((counts[0] == 0) != (counts[1] == 0))
            fail_msg("%s: one is empty", path);
        if (counts[0] != 0 && key->kind == CONFIG_KEY_SECTIONS)
            same_section(key->section, pointer_at(a, key->offset), pointer_at(b, key->offset),
                         path);
    }
}

static void same_section(const struct config_section *section, const char *a, const char *b,
                         const char *path)
{
    char below[PATH_LEN];

    for (size_t i = 0; i < section->key_count; i++) {
        if ((section->keys[i].flags & CONFIG_UNSTORED) != 0)
            continue;
        snprintf(below, sizeof(below), "%s.%s", path, section->keys[i].name);
        same_key(&section->keys[i], a, b, below);
    }
}

static void the_reference_loads_to_the_defaults(void **state)
{
    struct settings *reference = must_load(REFERENCE), *smallest = must_load(SMALLEST);

    (void)state;
    same_section(&config_schema, (const char *)reference, (const char *)smallest, "");
    assert_int_equal(reference->listen_count, 1);
    settings_unref(reference);
    settings_unref(smallest);
}

/* ---- every key ---- */

/* All mappings of the file that one section of the schema is about: match.fields and
 * match.cookies, say, are lists of the same one. */
struct shown {
    const struct config_section *section;
    const struct config_node *at[MAPS_MAX];
    size_t count;
};

struct reference {
    struct shown sections[SECTIONS_MAX];
    size_t count;
    char *text;
};

static struct shown *shown_of(struct reference *r, const struct config_section *section)
{
    size_t i = 0;

    while (i < r->count && r->sections[i].section != section)
        i++;
    assert_true(i < SECTIONS_MAX);
    if (i == r->count)
        r->sections[r->count++].section = section;
    return &r->sections[i];
}

static void collect(struct reference *r, const struct config_section *section,
                    const struct config_node *map)
{
    struct shown *shown = shown_of(r, section);

    if (map->kind != CONFIG_MAP)
        return;
    assert_true(shown->count < MAPS_MAX);
    shown->at[shown->count++] = map;
    for (size_t i = 0; i < section->key_count; i++) {
        const struct config_key *key = &section->keys[i];
        const struct config_node *node = config_node_get(map, key->name);

        if (node == NULL || key->section == NULL || key->section->from_text != NULL)
            continue;
        if (key->kind == CONFIG_KEY_SECTION)
            collect(r, key->section, node);
        else
            for (node = node->first; node != NULL; node = node->next)
                collect(r, key->section, node);
    }
}

/* The items of a list, with a space between, are these. */
static bool list_reads(const struct config_node *list, const char *items)
{
    const char *at = items;

    for (const struct config_node *item = list->first; item != NULL; item = item->next) {
        size_t len = strcspn(at, " ");

        if (!weir_span_eq(item->text, weir_span(at, len)))
            return false;
        at += len;
        at += strspn(at, " ");
    }
    return *at == '\0';
}

/* The default of a key is shown somewhere, written so that it reads as the same value. */
static bool shows_default(const struct config_key *key, const struct shown *maps)
{
    uint64_t wanted, shown;

    if (key->fallback == NULL || key->fallback[0] == '\0')
        return true;
    for (size_t i = 0; i < maps->count; i++) {
        const struct config_node *node = config_node_get(maps->at[i], key->name);

        if (node != NULL && node->kind == CONFIG_LIST && list_reads(node, key->fallback))
            return true;
        if (node == NULL || node->kind != CONFIG_SCALAR)
            continue;
        if (key->kind != CONFIG_KEY_NUMBER && config_node_is(node, key->fallback))
            return true;
        if (key->kind == CONFIG_KEY_NUMBER &&
            config_value_parse(key->number, node->text, &shown) == CONFIG_VALUE_OK &&
            config_value_parse(key->number, weir_span_str(key->fallback), &wanted) ==
                CONFIG_VALUE_OK &&
            wanted == shown)
            return true;
    }
    return false;
}

static bool line_is_comment(const char *text, unsigned line)
{
    while (line > 1 && (text = strchr(text, '\n')) != NULL) {
        text++;
        line--;
    }
    return text != NULL && line == 1 && text[strspn(text, " ")] == '#';
}

/* A comment right above it, wherever it stands. */
static bool is_explained(const char *text, const struct config_key *key, const struct shown *maps)
{
    for (size_t i = 0; i < maps->count; i++) {
        const struct config_node *node = config_node_get(maps->at[i], key->name);

        if (node != NULL && line_is_comment(text, node->key_line - 1))
            return true;
    }
    return false;
}

static void check_key(const struct reference *r, const struct config_key *key,
                      const struct shown *maps)
{
    bool found = false;

    if ((key->flags & CONFIG_DERIVED) != 0)
        return;
    for (size_t i = 0; i < maps->count; i++)
        found |= config_node_get(maps->at[i], key->name) != NULL;
    if (!found)
        fail_msg("%s, beside %s, is not there", key->name, maps->section->keys[0].name);
    if (!shows_default(key, maps))
        fail_msg("%s is not at its default, %s", key->name, key->fallback);
    /* Sections may be told by a banner or by their keys. */
    if (key->section == NULL && !is_explained(r->text, key, maps))
        fail_msg("%s, beside %s, has no comment above it", key->name, maps->section->keys[0].name);
}

static char *read_text(const char *path)
{
    char *text = calloc(1, 1 << 20);
    FILE *f = fopen(path, "r");

    assert_non_null(text);
    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    return text;
}

static void the_reference_names_every_key_at_its_default(void **state)
{
    struct config_errors errors = {0};
    struct config_ctx ctx = {.errors = &errors};
    struct reference r = {.text = read_text(REFERENCE)};

    (void)state;
    weir_arena_init(&ctx.arena, 0);
    assert_true(config_tree_load(&ctx, REFERENCE));
    collect(&r, &config_schema, ctx.root);
    for (size_t i = 0; i < r.count; i++)
        for (size_t k = 0; k < r.sections[i].section->key_count; k++)
            check_key(&r, &r.sections[i].section->keys[k], &r.sections[i]);
    weir_arena_free(&ctx.arena);
    config_errors_free(&errors);
    free(r.text);
}

/* ---- the schema itself ---- */

static void check_row(const struct config_key *key)
{
    uint64_t value = 0;

    if (key->kind != CONFIG_KEY_NUMBER)
        return;
    if (key->fallback == NULL ||
        config_value_parse(key->number, weir_span_str(key->fallback), &value) != CONFIG_VALUE_OK)
        fail_msg("%s has no readable default", key->name);
    if (value < key->min || value > key->max)
        fail_msg("%s: the default is out of range", key->name);
    assert_true(key->size == 1 || key->size == 2 || key->size == 4 || key->size == 8);
    assert_true(key->size == 8 || key->max < (uint64_t)1 << (8 * key->size));
}

static void check_rows(const struct config_section *section)
{
    assert_true(section->key_count <= 32); /* KEYS_MAX of config_check.c */
    for (size_t i = 0; i < section->key_count; i++) {
        check_row(&section->keys[i]);
        if (section->keys[i].section != NULL)
            check_rows(section->keys[i].section);
    }
}

static void every_default_is_within_its_range(void **state)
{
    (void)state;
    check_rows(&config_schema);
    assert_non_null(config_schema_find("upstreams.eject.base"));
    assert_null(config_schema_find("upstreams.eject.nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_loads_to_the_defaults),
        cmocka_unit_test(the_reference_names_every_key_at_its_default),
        cmocka_unit_test(every_default_is_within_its_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
