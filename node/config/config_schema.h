/*
 * config_schema.h - every key of the configuration in one table: name, form, range, default and
 * the place in the settings it fills.
 *
 * The checks of a file (config_check.c), the text and schema for libcyaml (config_fill.c) and the
 * test of conf/reference.yaml all walk these tables; a new key is one new row, plus its lines in
 * conf/reference.yaml.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cyaml/cyaml.h>

#include "config_value.h"

struct config_ctx;
struct config_node;
struct config_section;

enum config_kind {
    CONFIG_KEY_NUMBER,   /* an integer or bool member, see `number` */
    CONFIG_KEY_WORD,     /* an enum member: one of `words` */
    CONFIG_KEY_TEXT,     /* a const char * member; when there are `words`, one of them */
    CONFIG_KEY_TEXTS,    /* a list of texts: const char ** and its count */
    CONFIG_KEY_FLAGS,    /* a list of some of `words`: an integer member with their bits */
    CONFIG_KEY_SECTION,  /* a mapping; its members are relative to `offset` */
    CONFIG_KEY_SECTIONS, /* a list of mappings: an array of structs and its count */
};

enum config_key_flag {
    CONFIG_REQUIRED = 1,     /* a list must not be empty either */
    CONFIG_UNSTORED = 2,     /* has no member of its own: a rule turns it into others */
    CONFIG_DERIVED = 4,      /* made by a rule, never written by people */
    CONFIG_MAY_BE_EMPTY = 8, /* a text of no bytes is fine */
};

/* Judges one value, with config_report(); may add to the tree what it derives. */
typedef void config_rule(struct config_ctx *ctx, struct config_node *node);

struct config_key {
    const char *name;
    enum config_kind kind;
    enum config_number number;
    unsigned flags;
    uint32_t offset, size;
    uint32_t count_offset; /* of the size_t that counts a list */
    uint64_t min, max;     /* of a number, in the unit it is kept in */
    /* The default, as a person would write it; of a list its items, with a space between; NULL:
     * none. */
    const char *fallback;
    const cyaml_strval_t *words;
    uint32_t word_count;
    const struct config_section *section;
    config_rule *rule; /* for each value, item of CONFIG_KEY_TEXTS or mapping that is well formed */
};

struct config_section {
    const struct config_key *keys;
    size_t key_count;
    size_t size; /* of the struct it fills */
    /* When not NULL, people write one text instead of a mapping, and this turns it into one. */
    config_rule *from_text;
};

extern const struct config_section config_schema; /* fills struct settings */

/* Is its value written as a list? */
static inline bool config_key_is_list(const struct config_key *key)
{
    return key->kind == CONFIG_KEY_TEXTS || key->kind == CONFIG_KEY_FLAGS ||
           key->kind == CONFIG_KEY_SECTIONS;
}

/* The row at "upstreams.eject.base", or NULL. */
const struct config_key *config_schema_find(const char *path);

#endif
