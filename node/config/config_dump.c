#include "config_dump.h"

#include <string.h>

#include "config_schema.h"
#include "config_value.h"
#include "settings.h"

static json_t *dump_section(const struct config_section *section, const char *from);

static uint64_t number_at(const char *from, uint32_t size)
{
    uint64_t wide;
    uint32_t word;
    uint16_t half;
    uint8_t byte;

    switch (size) {
    case 8:
        memcpy(&wide, from, sizeof wide);
        return wide;
    case 4:
        memcpy(&word, from, sizeof word);
        return word;
    case 2:
        memcpy(&half, from, sizeof half);
        return half;
    default:
        memcpy(&byte, from, sizeof byte);
        return byte;
    }
}

/* A count as a number, a bool as such, all else as a person would write it: "30s", "64KiB". */
static json_t *dump_number(const struct config_key *key, uint64_t number)
{
    char text[32];

    if (key->number == CONFIG_BOOL)
        return json_boolean(number != 0);
    if (key->number == CONFIG_COUNT)
        return json_integer((json_int_t)number);
    return json_string(config_value_write(key->number, number, text));
}

static json_t *dump_word(const struct config_key *key, uint64_t number)
{
    for (uint32_t i = 0; i < key->word_count; i++)
        if ((uint64_t)key->words[i].val == number)
            return json_string(key->words[i].str);
    return json_null();
}

static json_t *dump_flags(const struct config_key *key, uint64_t bits)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < key->word_count; i++)
        if ((bits & (uint64_t)key->words[i].val) != 0 &&
            json_array_append_new(list, json_string(key->words[i].str)) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *dump_text(const char *at)
{
    const char *text;
    json_t *json;

    memcpy(&text, at, sizeof text);
    if (text == NULL)
        return json_null();
    json = json_string(text);
    return json != NULL ? json : json_null();
}

static json_t *dump_list(const struct config_key *key, const char *from)
{
    const size_t size = key->kind == CONFIG_KEY_TEXTS ? sizeof(char *) : key->section->size;
    json_t *list = json_array();
    const char *items;
    size_t count;

    memcpy(&items, from + key->offset, sizeof items);
    memcpy(&count, from + key->count_offset, sizeof count);
    for (size_t i = 0; i < count; i++) {
        json_t *item = key->kind == CONFIG_KEY_TEXTS ? dump_text(items + i * size)
                                                     : dump_section(key->section, items + i * size);

        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *dump_key(const struct config_key *key, const char *from)
{
    switch (key->kind) {
    case CONFIG_KEY_NUMBER:
        return dump_number(key, number_at(from + key->offset, key->size));
    case CONFIG_KEY_WORD:
        return dump_word(key, number_at(from + key->offset, key->size));
    case CONFIG_KEY_FLAGS:
        return dump_flags(key, number_at(from + key->offset, key->size));
    case CONFIG_KEY_TEXT:
        return dump_text(from + key->offset);
    case CONFIG_KEY_SECTION:
        return dump_section(key->section, from + key->offset);
    case CONFIG_KEY_TEXTS:
    case CONFIG_KEY_SECTIONS:
        break;
    }
    return dump_list(key, from);
}

/* ---- what fields are set to ---- */

static bool may_be_secret(const char *name)
{
    static const char *const words[] = {"authorization", "cookie", "key",
                                        "token",         "secret", "password"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasestr(name, words[i]) != NULL)
            return true;
    return false;
}

/* Of a mapping with a name and a value, as fields are. */
static bool hide_value(json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "name"));

    if (name == NULL || !json_is_string(json_object_get(object, "value")) || !may_be_secret(name))
        return true;
    return json_object_set_new(object, "value", json_string("(not shown)")) == 0;
}

/* ---- the whole ---- */

static json_t *dump_section(const struct config_section *section, const char *from)
{
    json_t *object = json_object();

    for (size_t i = 0; i < section->key_count; i++) {
        const struct config_key *key = &section->keys[i];

        if ((key->flags & CONFIG_UNSTORED) != 0)
            continue;
        if (json_object_set_new(object, key->name, dump_key(key, from)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    if (hide_value(object))
        return object;
    json_decref(object);
    return NULL;
}

json_t *config_dump(const struct settings *s)
{
    return dump_section(&config_schema, (const char *)s);
}
