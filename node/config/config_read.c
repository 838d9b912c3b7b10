/* From bytes to the tree of config_tree.h: files, encoding, YAML, aliases and includes. */
#include "config_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <yaml.h>

#include "weir/alloc.h"
#include "weir/utf8.h"

static const char smallest[] =
    "holds no configuration; the smallest one is: "
    "{listen: [{address: \":8080\"}], "
    "upstreams: [{name: app, origins: [\"http://127.0.0.1:3000\"]}], routes: [{upstream: app}]}";

/* ---- bytes ---- */

static bool check_bytes(struct config_ctx *ctx, const struct config_file *file,
                        struct weir_span text)
{
    unsigned line = 1, column = 1;

    for (size_t at = 0, len; at < text.len; at += len) {
        const unsigned char *p = (const unsigned char *)text.ptr + at;

        len = weir_utf8_length(p, text.len - at);
        if (len == 0) {
            config_report_at(ctx, file, line, column, "is not UTF-8 (byte 0x%02X)", *p);
            return false;
        }
        if (*p == '\0') {
            config_report_at(ctx, file, line, column, "holds a NUL byte: this is no text file");
            return false;
        }
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    return true;
}

/* Reads at most CONFIG_FILE_MAX bytes, of pipes as well. */
static bool read_bytes(int fd, char **out, size_t *out_len)
{
    size_t len = 0, cap = 0;
    char *bytes = NULL;

    for (;;) {
        ssize_t n;

        if (len == cap) {
            size_t more = cap != 0 ? cap * 2 : 16384;
            char *grown = weir_realloc(bytes, more);

            if (grown == NULL) {
                errno = ENOMEM;
                break;
            }
            bytes = grown;
            cap = more;
        }
        n = read(fd, bytes + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        len += n > 0 ? (size_t)n : 0;
        errno = len > CONFIG_FILE_MAX ? EFBIG : errno;
        if (n < 0 || len > CONFIG_FILE_MAX)
            break;
        if (n == 0) {
            *out = bytes;
            *out_len = len;
            return true;
        }
    }
    weir_free(bytes);
    return false;
}

/* ---- YAML ---- */

static void report_syntax(struct config_ctx *ctx, const struct config_file *file,
                          struct weir_span text, const yaml_parser_t *parser)
{
    yaml_mark_t mark = parser->problem_mark;
    size_t start = mark.index < text.len ? mark.index : text.len;

    if (parser->error == YAML_MEMORY_ERROR) {
        config_report_memory(ctx);
        return;
    }
    if (parser->error == YAML_READER_ERROR) {
        config_report_at(ctx, file, 0, 0, "%s at byte %zu", parser->problem,
                         parser->problem_offset);
        return;
    }
    /* YAML's own message for a tab is about tokens; this is the most common fault of all. */
    while (start > 0 && (text.ptr[start - 1] == '\t' || text.ptr[start - 1] == ' '))
        start--;
    if ((start == 0 || text.ptr[start - 1] == '\n') &&
        memchr(text.ptr + start, '\t', mark.index - start + (mark.index < text.len)) != NULL) {
        config_report_at(ctx, file, (unsigned)mark.line + 1, (unsigned)mark.column + 1,
                         "a tab cannot indent; use spaces");
        return;
    }
    config_report_at(ctx, file, (unsigned)mark.line + 1, (unsigned)mark.column + 1,
                     "is not YAML: %s%s%s", parser->context != NULL ? parser->context : "",
                     parser->context != NULL ? ", " : "",
                     parser->problem != NULL ? parser->problem : "unknown problem");
}

struct builder {
    struct config_ctx *ctx;
    const struct config_file *file;
    yaml_document_t *doc;
};

static bool own_tag(const yaml_node_t *from)
{
    return from->tag != NULL && strncmp((const char *)from->tag, "tag:yaml.org,2002:", 18) != 0;
}

/* The node with its place, but without text or children. */
static struct config_node *begin_node(struct builder *b, const yaml_node_t *from,
                                      struct config_node *parent, const char *name)
{
    enum config_node_kind kind = from->type == YAML_MAPPING_NODE    ? CONFIG_MAP
                                 : from->type == YAML_SEQUENCE_NODE ? CONFIG_LIST
                                                                    : CONFIG_SCALAR;
    struct config_node *node;

    if (b->ctx->gave_up)
        return NULL;
    if (b->ctx->node_count++ >= CONFIG_NODES_MAX) {
        config_report_at(b->ctx, b->file, (unsigned)from->start_mark.line + 1, 0,
                         "more than %d values; do aliases repeat each other?", CONFIG_NODES_MAX);
        b->ctx->gave_up = true;
        return NULL;
    }
    node = config_node_add(b->ctx, parent, kind, name);
    if (node == NULL)
        return NULL;
    node->file = b->file;
    node->line = node->key_line = (unsigned)from->start_mark.line + 1;
    node->column = node->key_column = (unsigned)from->start_mark.column + 1;
    if (own_tag(from))
        config_report(b->ctx, node, "the tag %s means nothing here", (const char *)from->tag);
    return node;
}

static bool keep_text(struct builder *b, struct weir_span *out, const yaml_node_t *from)
{
    const char *text = (const char *)from->data.scalar.value;

    *out = weir_arena_dup(&b->ctx->arena, weir_span(text, from->data.scalar.length));
    if (out->ptr == NULL)
        config_report_memory(b->ctx);
    return out->ptr != NULL;
}

static bool build(struct builder *b, int index, struct config_node *parent, const char *name,
                  const yaml_node_t *key, unsigned depth);

static bool build_map(struct builder *b, const yaml_node_t *from, struct config_node *map,
                      unsigned depth)
{
    for (const yaml_node_pair_t *pair = from->data.mapping.pairs.start;
         pair < from->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(b->doc, pair->key);
        struct weir_span name;

        if (key->type != YAML_SCALAR_NODE) {
            config_report_at(b->ctx, b->file, (unsigned)key->start_mark.line + 1,
                             (unsigned)key->start_mark.column + 1, "a key must be a word");
            continue;
        }
        if (!keep_text(b, &name, key) || !build(b, pair->value, map, name.ptr, key, depth))
            return false;
    }
    return true;
}

/* False to stop altogether: no memory, or too many values. */
static bool build(struct builder *b, int index, struct config_node *parent, const char *name,
                  const yaml_node_t *key, unsigned depth)
{
    const yaml_node_t *from = yaml_document_get_node(b->doc, index);
    struct config_node *node = begin_node(b, from, parent, name);

    if (node == NULL)
        return false;
    if (parent == NULL)
        b->ctx->root = node;
    if (key != NULL) {
        node->key_line = (unsigned)key->start_mark.line + 1;
        node->key_column = (unsigned)key->start_mark.column + 1;
    }
    if (depth >= CONFIG_DEPTH_MAX) {
        config_report(b->ctx, node, "is nested deeper than %d levels", CONFIG_DEPTH_MAX);
        return true;
    }
    if (from->type == YAML_MAPPING_NODE)
        return build_map(b, from, node, depth + 1);
    if (from->type == YAML_SEQUENCE_NODE) {
        for (const yaml_node_item_t *item = from->data.sequence.items.start;
             item < from->data.sequence.items.top; item++)
            if (!build(b, *item, node, NULL, NULL, depth + 1))
                return false;
        return true;
    }
    node->plain = from->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (!keep_text(b, &node->text, from))
        return false;
    if (memchr(node->text.ptr, '\0', node->text.len) != NULL)
        config_report(b->ctx, node, "holds a NUL character");
    return true;
}

/* Anything but the end of the stream after the first document is an error; false if it is not even
 * YAML. */
static bool check_end(struct config_ctx *ctx, const struct config_file *file, struct weir_span text,
                      yaml_parser_t *parser)
{
    yaml_document_t doc;
    const yaml_node_t *root;

    if (!yaml_parser_load(parser, &doc)) {
        report_syntax(ctx, file, text, parser);
        return false;
    }
    root = yaml_document_get_root_node(&doc);
    if (root != NULL)
        config_report_at(ctx, file, (unsigned)doc.start_mark.line + 1, 0,
                         "a second document begins here; a file is one document");
    yaml_document_delete(&doc);
    return true;
}

/*
 * libyaml takes time by the square of the nesting and of the anchors, hours for a file of 4 MiB. So
 * the events are counted first, which stops early; what is wrong otherwise the loading will tell.
 */
static bool check_shape(struct config_ctx *ctx, const struct config_file *file,
                        yaml_parser_t *parser)
{
    unsigned depth = 0, anchors = 0;
    yaml_event_type_t type = YAML_NO_EVENT;
    yaml_event_t event;

    while (type != YAML_STREAM_END_EVENT && yaml_parser_parse(parser, &event)) {
        const yaml_char_t *anchor = NULL;
        unsigned line = (unsigned)event.start_mark.line + 1;
        unsigned column = (unsigned)event.start_mark.column + 1;

        type = event.type;
        if (type == YAML_SCALAR_EVENT)
            anchor = event.data.scalar.anchor;
        else if (type == YAML_SEQUENCE_START_EVENT)
            anchor = event.data.sequence_start.anchor;
        else if (type == YAML_MAPPING_START_EVENT)
            anchor = event.data.mapping_start.anchor;
        anchors += anchor != NULL;
        depth += type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
        depth -= type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT;
        yaml_event_delete(&event);
        if (depth > CONFIG_DEPTH_MAX || anchors > CONFIG_ANCHORS_MAX) {
            config_report_at(ctx, file, line, column,
                             depth > CONFIG_DEPTH_MAX ? "nested deeper than %d levels"
                                                      : "more than %d anchors",
                             depth > CONFIG_DEPTH_MAX ? CONFIG_DEPTH_MAX : CONFIG_ANCHORS_MAX);
            return false;
        }
    }
    return true;
}

static bool begin_yaml(struct config_ctx *ctx, struct weir_span text, yaml_parser_t *parser)
{
    if (!yaml_parser_initialize(parser)) {
        config_report_memory(ctx);
        return false;
    }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)(text.len != 0 ? text.ptr : ""),
                                 text.len);
    return true;
}

/* The tree of one file, in ctx->root; NULL there when the file holds nothing. */
static bool parse_yaml(struct config_ctx *ctx, const struct config_file *file,
                       struct weir_span text)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    bool ok = false;

    ctx->root = NULL;
    if (!begin_yaml(ctx, text, &parser))
        return false;
    ok = check_shape(ctx, file, &parser);
    yaml_parser_delete(&parser);
    if (!ok || !begin_yaml(ctx, text, &parser))
        return false;
    ok = false;
    if (!yaml_parser_load(&parser, &doc)) {
        report_syntax(ctx, file, text, &parser);
    } else {
        if (yaml_document_get_root_node(&doc) == NULL)
            ok = true;
        else
            ok = build(&(struct builder){ctx, file, &doc}, 1, NULL, NULL, NULL, 0) &&
                 check_end(ctx, file, text, &parser);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    return ok;
}

/* ---- files and includes ---- */

static bool load_file(struct config_ctx *ctx, const char *name, const struct config_file *includer,
                      struct config_node *asked, unsigned depth);

static struct config_file *new_file(struct config_ctx *ctx, const char *name,
                                    const struct config_file *includer)
{
    struct config_file *file = weir_arena_zalloc(&ctx->arena, sizeof(*file));

    if (file != NULL)
        file->name = weir_arena_dup(&ctx->arena, weir_span_str(name)).ptr;
    if (file == NULL || file->name == NULL) {
        config_report_memory(ctx);
        return NULL;
    }
    file->includer = includer;
    file->order = ctx->file_count++;
    file->next = ctx->files;
    ctx->files = file;
    return file;
}

/* What the including file sets stays; lists grow; a value that is set twice is an error. */
static void merge(struct config_ctx *ctx, struct config_node *into, struct config_node *from)
{
    struct config_node *child = from->first, *next;

    for (; child != NULL; child = next) {
        struct config_node *there = config_node_get(into, child->name);

        next = child->next;
        if (strcmp(child->name, "include") == 0 && into->parent == NULL)
            continue;
        if (there != NULL && there->kind == CONFIG_MAP && child->kind == CONFIG_MAP) {
            merge(ctx, there, child);
        } else if (there != NULL && there->kind == CONFIG_LIST && child->kind == CONFIG_LIST) {
            if (child->first != NULL && there->last != NULL)
                there->last->next = child->first;
            else if (child->first != NULL)
                there->first = child->first;
            there->last = child->last != NULL ? child->last : there->last;
            there->count += child->count;
        } else if (there != NULL) {
            config_report_key(ctx, child, "is set already at %s:%u", there->file->name,
                              there->key_line);
        } else {
            child->next = NULL;
            if (into->last != NULL)
                into->last->next = child;
            else
                into->first = child;
            into->last = child;
            into->count++;
        }
    }
}

/* Patterns count from the folder of the file that names them. */
static char *beside(struct config_ctx *ctx, const struct config_file *file, const char *pattern)
{
    const char *slash = strrchr(file->name, '/');
    char *path;

    if (pattern[0] == '/' || slash == NULL)
        path = weir_arena_printf(&ctx->arena, "%s", pattern);
    else
        path = weir_arena_printf(&ctx->arena, "%.*s/%s", (int)(slash - file->name), file->name,
                                 pattern);
    if (path == NULL)
        config_report_memory(ctx);
    return path;
}

/* Loads one included file and merges it into root, which stays ctx->root. */
static void include_one(struct config_ctx *ctx, struct config_node *root, const char *path,
                        struct config_node *asked, unsigned depth)
{
    if (load_file(ctx, path, asked->file, asked, depth + 1) && ctx->root != NULL)
        merge(ctx, root, ctx->root);
    ctx->root = root;
}

static void include_pattern(struct config_ctx *ctx, struct config_node *root,
                            struct config_node *asked, unsigned depth)
{
    char *pattern = beside(ctx, asked->file, asked->text.ptr);
    glob_t found;
    int rc;

    if (pattern == NULL)
        return;
    if (strpbrk(pattern, "*?[") == NULL) {
        include_one(ctx, root, pattern, asked, depth);
        return;
    }
    rc = glob(pattern, 0, NULL, &found);
    if (rc == GLOB_NOSPACE)
        config_report_memory(ctx);
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
        include_one(ctx, root, found.gl_pathv[i], asked, depth);
    if (rc == 0)
        globfree(&found);
}

static void load_includes(struct config_ctx *ctx, unsigned depth)
{
    struct config_node *root = ctx->root;
    struct config_node *list = config_node_get(root, "include");
    char buf[CONFIG_QUOTE_MAX];

    if (list == NULL)
        return;
    if (list->kind != CONFIG_LIST) {
        config_report(ctx, list, "expected a list of files, found %s", config_found(list, buf));
        return;
    }
    for (struct config_node *item = list->first; item != NULL; item = item->next) {
        if (item->kind != CONFIG_SCALAR || item->text.len == 0)
            config_report(ctx, item, "expected the name of a file, found %s",
                          config_found(item, buf));
        else if (!item->bad)
            include_pattern(ctx, root, item, depth);
    }
}

/* Takes the place of what open(2) and read(2) have to say. */
static void report_file(struct config_ctx *ctx, const struct config_file *file,
                        struct config_node *asked, int os)
{
    if (os == ENOMEM)
        config_report_memory(ctx);
    else if (os == EFBIG)
        config_report_at(ctx, file, 0, 0, "is larger than 4 MiB");
    else if (asked != NULL)
        config_report(ctx, asked, "cannot read %s: %s", file->name, strerror(os));
    else
        config_report_at(ctx, file, 0, 0, "cannot read: %s", strerror(os));
}

/* True when the file was read before: then it includes itself, or two files include it. */
static bool seen_before(struct config_ctx *ctx, const struct config_file *file,
                        struct config_node *asked)
{
    const struct config_file *other = file->next, *above = file->includer;

    while (other != NULL && (other->dev != file->dev || other->ino != file->ino))
        other = other->next;
    if (other == NULL || asked == NULL)
        return false;
    while (above != NULL && above != other)
        above = above->includer;
    if (above != NULL)
        config_report(ctx, asked, "%s includes itself", file->name);
    else
        config_report(ctx, asked, "%s is included already", file->name);
    return true;
}

static bool read_file(struct config_ctx *ctx, struct config_file *file, struct config_node *asked,
                      char **text, size_t *len)
{
    struct stat st;
    bool ok = false;
    int fd = open(file->name, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == EACCES && ctx->opener != NULL)
        fd = ctx->opener->open(ctx->opener->arg, file->name);

    if (fd < 0 || fstat(fd, &st) != 0) {
        report_file(ctx, file, asked, errno);
    } else {
        if (S_ISREG(st.st_mode)) {
            file->dev = st.st_dev;
            file->ino = st.st_ino;
        }
        if (file->ino == 0 || !seen_before(ctx, file, asked)) {
            ok = read_bytes(fd, text, len);
            if (!ok)
                report_file(ctx, file, asked, errno);
        }
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Bytes to ctx->root; false when there is nothing to go on with. */
static bool parse_file(struct config_ctx *ctx, const struct config_file *file,
                       struct weir_span text)
{
    char buf[CONFIG_QUOTE_MAX];

    if (!check_bytes(ctx, file, text) || !parse_yaml(ctx, file, text))
        return false;
    if (ctx->root != NULL && config_node_empty(ctx->root))
        ctx->root = NULL;
    if (ctx->root == NULL && file->includer == NULL)
        config_report_at(ctx, file, 0, 0, "%s", smallest);
    if (ctx->root != NULL && ctx->root->kind != CONFIG_MAP) {
        config_report(ctx, ctx->root,
                      "expected a mapping with listen, upstreams and routes, found %s",
                      config_found(ctx->root, buf));
        ctx->root = NULL;
    }
    return ctx->root != NULL;
}

/* asked: the item of `include` that names the file, NULL for the first one. */
static bool load_file(struct config_ctx *ctx, const char *name, const struct config_file *includer,
                      struct config_node *asked, unsigned depth)
{
    struct config_file *file = new_file(ctx, name, includer);
    char *text = NULL;
    size_t len = 0;
    bool ok;

    ctx->root = NULL;
    if (file == NULL)
        return false;
    if (depth > CONFIG_INCLUDE_MAX || ctx->file_count > CONFIG_FILES_MAX) {
        config_report(ctx, asked,
                      "includes are nested deeper than %d files, or there are more than %d",
                      CONFIG_INCLUDE_MAX, CONFIG_FILES_MAX);
        return false;
    }
    ok = read_file(ctx, file, asked, &text, &len) && parse_file(ctx, file, weir_span(text, len));
    weir_free(text);
    if (ok)
        load_includes(ctx, depth);
    return ok;
}

bool config_tree_load(struct config_ctx *ctx, const char *path)
{
    return load_file(ctx, path, NULL, NULL, 0);
}

bool config_tree_text(struct config_ctx *ctx, const char *name, struct weir_span text)
{
    struct config_file *file = new_file(ctx, name, NULL);
    struct config_node *include;

    if (file == NULL)
        return false;
    if (text.len > CONFIG_FILE_MAX) {
        report_file(ctx, file, NULL, EFBIG);
        return false;
    }
    if (!parse_file(ctx, file, text))
        return false;
    include = config_node_get(ctx->root, "include");
    if (include != NULL)
        config_report_key(ctx, include, "only a file can include others");
    return true;
}
