#include "settings_hash.h"

#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "config_schema.h"
#include "settings.h"

#define PATH_MAX_BYTES 160

/* A node's own by nature; with all that is below. */
static const char *const own[] = {"node.id",   "node.state_dir", "node.workers",   "node.memory",
                                  "node.user", "node.group",     "listen.address", "admin"};

static bool is_own(const char *path)
{
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(path, own[i]) == 0)
            return true;
    return false;
}

/* Each step begins with the one before. */
static void add_bytes(uint64_t *h, const void *bytes, size_t len)
{
    *h = XXH3_64bits_withSeed(bytes, len, *h);
}

static void add_number(uint64_t *h, uint64_t n)
{
    add_bytes(h, &n, sizeof n);
}

/* With its length: "ab" and "c" are not "a" and "bc". */
static void add_text(uint64_t *h, const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;

    add_number(h, text != NULL ? len : UINT64_MAX);
    if (len > 0)
        add_bytes(h, text, len);
}

static const char *text_at(const char *at)
{
    const char *text;

    memcpy(&text, at, sizeof text);
    return text;
}

static void add_section(uint64_t *h, const struct config_section *section, const char *at,
                        const char *path);

static void add_list(uint64_t *h, const struct config_key *key, const char *at, const char *path)
{
    const char *items = text_at(at + key->offset);
    size_t count;

    memcpy(&count, at + key->count_offset, sizeof count);
    add_number(h, count);
    for (size_t i = 0; i < count; i++) {
        if (key->kind == CONFIG_KEY_TEXTS)
            add_text(h, text_at(items + i * sizeof(char *)));
        else
            add_section(h, key->section, items + i * key->section->size, path);
    }
}

static void add_key(uint64_t *h, const struct config_key *key, const char *at, const char *path)
{
    add_text(h, key->name);
    switch (key->kind) {
    case CONFIG_KEY_NUMBER:
    case CONFIG_KEY_WORD:
    case CONFIG_KEY_FLAGS:
        add_bytes(h, at + key->offset, key->size);
        break;
    case CONFIG_KEY_TEXT:
        add_text(h, text_at(at + key->offset));
        break;
    case CONFIG_KEY_SECTION:
        add_section(h, key->section, at + key->offset, path);
        break;
    case CONFIG_KEY_TEXTS:
    case CONFIG_KEY_SECTIONS:
        add_list(h, key, at, path);
        break;
    }
}

static void add_section(uint64_t *h, const struct config_section *section, const char *at,
                        const char *path)
{
    char below[PATH_MAX_BYTES];

    for (size_t i = 0; i < section->key_count; i++) {
        const struct config_key *key = &section->keys[i];

        snprintf(below, sizeof below, "%s%s%s", path, path[0] != '\0' ? "." : "", key->name);
        if ((key->flags & CONFIG_UNSTORED) == 0 && !is_own(below))
            add_key(h, key, at, below);
    }
}

uint64_t settings_hash(const struct settings *s)
{
    uint64_t h = 0;

    add_section(&h, &config_schema, (const char *)s, "");
    return h != 0 ? h : 1;
}
