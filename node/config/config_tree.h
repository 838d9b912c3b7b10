/*
 * config_tree.h - YAML as a tree in which every value knows its file, line, column and path.
 *
 * Built from libyaml's documents: aliases are expanded (within limits), included files merged in.
 * Later passes check the tree against the schema, add what they derive to it and write it out
 * again for libcyaml. The tree lives in the arena of its struct config_ctx and dies with it.
 */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "weir/arena.h"
#include "weir/opener.h"
#include "weir/span.h"
#include "config.h"

#define CONFIG_DEPTH_MAX   32     /* levels of nesting */
#define CONFIG_ANCHORS_MAX 1000   /* of one file */
#define CONFIG_NODES_MAX   500000 /* values of all files, aliases expanded */
#define CONFIG_INCLUDE_MAX 8      /* files within files */
#define CONFIG_FILES_MAX   1000

/* A file that was read. */
struct config_file {
    struct config_file *next; /* all files, newest first */
    const char *name;         /* as given, or as found from the including file */
    const struct config_file *includer;
    unsigned order; /* 0, 1, ... as read */
    dev_t dev;
    ino_t ino; /* dev and ino are 0 for what is no regular file */
};

enum config_node_kind { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAP };

struct config_node {
    enum config_node_kind kind;
    bool plain; /* scalar without quotes: only then an empty one or `null` means nothing */
    bool bad;   /* an error was reported; the value is not to be used */
    unsigned line, column; /* of the value */
    unsigned key_line, key_column;
    const struct config_file *file;
    struct config_node *parent;
    const char *name; /* key within a map; NULL within a list */
    unsigned index;   /* within a list, counted in its own file */
    struct weir_span text;
    uint64_t number; /* of a scalar that is a number, duration ...: set when checked */
    struct config_node *first, *last, *next;
    size_t count; /* children */
};

/* What one load works with; zero-initialise, set errors, init the arena. */
struct config_ctx {
    struct weir_arena arena;
    const struct weir_opener *opener; /* NULL: nobody but this process */
    struct config_errors *errors;
    struct config_file *files;
    unsigned file_count;
    size_t node_count;
    bool gave_up; /* too many values: reported once, nothing more is read */
    struct config_node *root;
    struct config_node **upstreams; /* `name` nodes sorted by name: set before the check */
    size_t upstream_count;
    struct config_node **limits; /* likewise */
    size_t limit_count;
};

/* Reads a file and all it includes into ctx->root. False when ctx->root cannot be used. */
bool config_tree_load(struct config_ctx *ctx, const char *path);
/* The same from bytes; `include` is an error. */
bool config_tree_text(struct config_ctx *ctx, const char *name, struct weir_span text);

/* A new node at the end of parent (NULL: no parent), placed where parent is. NULL without memory.
 */
struct config_node *config_node_add(struct config_ctx *ctx, struct config_node *parent,
                                    enum config_node_kind kind, const char *name);
/* The same for a scalar; the text is kept. */
struct config_node *config_node_add_text(struct config_ctx *ctx, struct config_node *parent,
                                         const char *name, const char *text);
/* First child of that name, or NULL. */
struct config_node *config_node_get(const struct config_node *map, const char *name);
/* The node at "match.paths[2]" below `from`, or the nearest one above it. Bad items do not count.
 */
struct config_node *config_node_find(struct config_node *from, const char *path);
/* True for nothing at all: `key:` and `key: null`. */
bool config_node_empty(const struct config_node *node);
bool config_node_is(const struct config_node *node, const char *text);

/* Report at the value, or at its key; both mark the node as bad. */
void config_report(struct config_ctx *ctx, struct config_node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void config_report_key(struct config_ctx *ctx, struct config_node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void config_report_at(struct config_ctx *ctx, const struct config_file *file, unsigned line,
                      unsigned column, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void config_report_memory(struct config_ctx *ctx);

#define CONFIG_QUOTE_MAX 72
/* What was found, for a message: "a mapping", "a list", "nothing" or the text in quotes, cut short.
 */
const char *config_found(const struct config_node *node, char buf[CONFIG_QUOTE_MAX]);
const char *config_quote(struct weir_span text, char buf[CONFIG_QUOTE_MAX]);

#endif
