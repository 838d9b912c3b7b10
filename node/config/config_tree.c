#include "config_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_errors.h"

#define PATH_MAX_BYTES 512

struct config_node *config_node_add(struct config_ctx *ctx, struct config_node *parent,
                                    enum config_node_kind kind, const char *name)
{
    struct config_node *node = weir_arena_zalloc(&ctx->arena, sizeof(*node));

    if (node == NULL) {
        config_report_memory(ctx);
        return NULL;
    }
    node->kind = kind;
    node->name = name;
    if (parent == NULL)
        return node;
    node->parent = parent;
    node->file = parent->file;
    node->line = node->key_line = parent->line;
    node->column = node->key_column = parent->column;
    node->index = (unsigned)parent->count++;
    if (parent->last != NULL)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    return node;
}

struct config_node *config_node_add_text(struct config_ctx *ctx, struct config_node *parent,
                                         const char *name, const char *text)
{
    struct config_node *node = config_node_add(ctx, parent, CONFIG_SCALAR, name);

    if (node != NULL)
        node->text = weir_span_str(text);
    return node;
}

struct config_node *config_node_get(const struct config_node *map, const char *name)
{
    if (map == NULL || map->kind != CONFIG_MAP)
        return NULL;
    for (struct config_node *child = map->first; child != NULL; child = child->next)
        if (child->name != NULL && strcmp(child->name, name) == 0)
            return child;
    return NULL;
}

static struct config_node *nth_good(const struct config_node *list, unsigned long n)
{
    for (struct config_node *item = list->first; item != NULL; item = item->next)
        if (!item->bad && n-- == 0)
            return item;
    return NULL;
}

struct config_node *config_node_find(struct config_node *from, const char *path)
{
    char name[64];

    while (from != NULL && *path != '\0') {
        struct config_node *child;

        if (*path == '[') {
            char *end;

            child = nth_good(from, strtoul(path + 1, &end, 10));
            path = *end == ']' ? end + 1 : end;
        } else {
            size_t len = strcspn(path, ".[");

            snprintf(name, sizeof(name), "%.*s", (int)len, path);
            child = config_node_get(from, name);
            path += len;
        }
        if (child == NULL)
            return from;
        from = child;
        path += *path == '.';
    }
    return from;
}

bool config_node_empty(const struct config_node *node)
{
    return node->kind == CONFIG_SCALAR && node->plain &&
           (node->text.len == 0 || config_node_is(node, "~") || config_node_is(node, "null"));
}

bool config_node_is(const struct config_node *node, const char *text)
{
    return node->kind == CONFIG_SCALAR && weir_span_eq(node->text, weir_span_str(text));
}

/* Appends what fits; a path that is cut short still says where to look. */
static size_t write_path(const struct config_node *node, char *buf, size_t at)
{
    int len = 0;

    if (node->parent != NULL)
        at = write_path(node->parent, buf, at);
    if (at < PATH_MAX_BYTES - 1 && node->name != NULL)
        len = snprintf(buf + at, PATH_MAX_BYTES - at, "%s%s", at != 0 ? "." : "", node->name);
    else if (at < PATH_MAX_BYTES - 1 && node->parent != NULL)
        len = snprintf(buf + at, PATH_MAX_BYTES - at, "[%u]", node->index);
    at += len > 0 ? (size_t)len : 0;
    return at < PATH_MAX_BYTES ? at : PATH_MAX_BYTES - 1;
}

static void report(struct config_ctx *ctx, const struct config_node *node, unsigned line,
                   unsigned column, const char *fmt, va_list args)
    __attribute__((format(printf, 5, 0)));

static void report(struct config_ctx *ctx, const struct config_node *node, unsigned line,
                   unsigned column, const char *fmt, va_list args)
{
    char path[PATH_MAX_BYTES] = "";
    struct config_error where = {.line = line, .column = column, .path = path};

    write_path(node, path, 0);
    where.file = node->file != NULL ? node->file->name : "command line";
    where.file_order = node->file != NULL ? node->file->order : 0;
    config_errors_add(ctx->errors, &where, fmt, args);
}

void config_report(struct config_ctx *ctx, struct config_node *node, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    report(ctx, node, node->line, node->column, fmt, args);
    va_end(args);
    node->bad = true;
}

void config_report_key(struct config_ctx *ctx, struct config_node *node, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    report(ctx, node, node->key_line, node->key_column, fmt, args);
    va_end(args);
    node->bad = true;
}

void config_report_at(struct config_ctx *ctx, const struct config_file *file, unsigned line,
                      unsigned column, const char *fmt, ...)
{
    struct config_error where = {
        .file = file->name, .file_order = file->order, .line = line, .column = column, .path = ""};
    va_list args;

    va_start(args, fmt);
    config_errors_add(ctx->errors, &where, fmt, args);
    va_end(args);
}

void config_report_memory(struct config_ctx *ctx)
{
    ctx->errors->out_of_memory = true;
}

const char *config_quote(struct weir_span text, char buf[CONFIG_QUOTE_MAX])
{
    size_t at = 0;
    bool cut = false;

    buf[at++] = '"';
    for (size_t i = 0; i < text.len && !cut; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        /* A cut is made in front of a whole character, not within one. */
        cut = at >= CONFIG_QUOTE_MAX - 12 && (c & 0xc0) != 0x80;
        if (!cut)
            buf[at++] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    memcpy(buf + at, cut ? "...\"" : "\"", cut ? 5 : 2);
    return buf;
}

const char *config_found(const struct config_node *node, char buf[CONFIG_QUOTE_MAX])
{
    if (node->kind == CONFIG_MAP)
        return "a mapping";
    if (node->kind == CONFIG_LIST)
        return "a list";
    return config_node_empty(node) ? "nothing" : config_quote(node->text, buf);
}
