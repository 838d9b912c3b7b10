#include "config.h"

#include <string.h>

#include "weir/alloc.h"
#include "config_check.h"
#include "config_errors.h"
#include "config_fill.h"
#include "config_tree.h"
#include "router.h"

/* ---- what only the router can judge: patterns, variables, conditions ---- */

struct route_judge {
    struct config_ctx *ctx;
    struct config_node **routes; /* those that reached the settings, in their order */
};

/* The router names members of its settings where they differ from the keys of a file. */
static const char *key_path(const char *member)
{
    static const char *const paths[][2] = {
        {"redirect_to", "redirect.to"},       {"redirect_status", "redirect.status"},
        {"respond_status", "respond.status"}, {"respond_body", "respond.body"},
        {"respond_type", "respond.type"},     {"rewrite_pattern", "rewrite.pattern"},
        {"rewrite_to", "rewrite.to"},         {"strip_prefix", "rewrite.strip_prefix"},
        {"add_prefix", "rewrite.add_prefix"},
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (strcmp(member, paths[i][0]) == 0)
            return paths[i][1];
    return member;
}

static void on_route_problem(void *arg, size_t route, const char *path, const char *message)
{
    struct route_judge *judge = arg;
    struct config_node *node = config_node_find(judge->routes[route], key_path(path));
    bool bad = node->bad;

    config_report(judge->ctx, node, "%s", message);
    node->bad = bad; /* the router counts what it was given: later paths must find the same nodes */
}

static struct config_node **good_routes(struct config_ctx *ctx)
{
    const struct config_node *list = config_node_get(ctx->root, "routes");
    struct config_node **routes = NULL;
    size_t count = 0;

    if (list != NULL)
        routes = weir_arena_alloc(&ctx->arena, (list->count + 1) * sizeof(*routes));
    if (routes == NULL)
        return NULL;
    for (struct config_node *item = list->first; item != NULL; item = item->next)
        if (!item->bad)
            routes[count++] = item;
    return routes;
}

static void judge_routes(struct config_ctx *ctx, const struct settings *s)
{
    struct route_judge judge = {ctx, good_routes(ctx)};
    const struct route_problems problems = {on_route_problem, &judge};
    const char **names = weir_arena_alloc(&ctx->arena, (ctx->upstream_count + 1) * sizeof(*names));
    struct weir_err err = {0};
    struct router *router;

    if (s->route_count == 0)
        return;
    if (judge.routes == NULL || names == NULL) {
        config_report_memory(ctx);
        return;
    }
    /* The names as written: an upstream with a fault of its own is still there. */
    for (size_t i = 0; i < ctx->upstream_count; i++)
        names[i] = ctx->upstreams[i]->text.ptr;
    router = router_compile(s->routes, s->route_count, names, ctx->upstream_count, &problems, &err);
    if (router == NULL && err.code == WEIR_E_MEMORY)
        config_report_memory(ctx);
    router_free(router);
}

/* ---- loading ---- */

static void begin(struct config_ctx *ctx, struct config_errors *errors)
{
    *ctx = (struct config_ctx){.errors = errors};
    weir_arena_init(&ctx->arena, 0);
}

/* From a tree to settings. What is well formed is judged by the router even if other things are
 * not. */
static struct settings *finish(struct config_ctx *ctx, bool readable)
{
    struct settings *s = NULL;

    if (readable && !ctx->gave_up && !ctx->errors->out_of_memory) {
        config_check(ctx);
        if (!ctx->errors->out_of_memory)
            s = config_fill(ctx);
        if (s != NULL)
            judge_routes(ctx, s);
    }
    config_errors_sort(ctx->errors);
    if (config_errors_any(ctx->errors)) {
        settings_unref(s);
        s = NULL;
    }
    weir_arena_free(&ctx->arena);
    return s;
}

struct settings *config_load(const char *path, struct config_errors *errors)
{
    return config_load_by(path, NULL, errors);
}

struct settings *config_load_by(const char *path, const struct weir_opener *opener,
                                struct config_errors *errors)
{
    struct config_ctx ctx;

    begin(&ctx, errors);
    ctx.opener = opener;
    return finish(&ctx, config_tree_load(&ctx, path));
}

struct settings *config_load_text(const char *name, const char *text, size_t len,
                                  struct config_errors *errors)
{
    struct config_ctx ctx;

    begin(&ctx, errors);
    return finish(&ctx, config_tree_text(&ctx, name, weir_span(text, len)));
}

/* The tree that a file of the same content would give. */
static bool args_tree(struct config_ctx *ctx, const char *const *listens, size_t listen_count,
                      const char *const *origins, size_t origin_count)
{
    struct config_node *list, *item;
    bool ok = true;

    ctx->root = config_node_add(ctx, NULL, CONFIG_MAP, NULL);
    if (ctx->root == NULL ||
        (list = config_node_add(ctx, ctx->root, CONFIG_LIST, "listen")) == NULL)
        return false;
    for (size_t i = 0; i < listen_count; i++) {
        item = config_node_add(ctx, list, CONFIG_MAP, NULL);
        ok = ok && item != NULL && config_node_add_text(ctx, item, "address", listens[i]) != NULL;
    }
    list = config_node_add(ctx, ctx->root, CONFIG_LIST, "upstreams");
    item = list != NULL ? config_node_add(ctx, list, CONFIG_MAP, NULL) : NULL;
    if (item == NULL || config_node_add_text(ctx, item, "name", "app") == NULL ||
        (list = config_node_add(ctx, item, CONFIG_LIST, "origins")) == NULL)
        return false;
    for (size_t i = 0; i < origin_count; i++)
        ok = ok && config_node_add_text(ctx, list, NULL, origins[i]) != NULL;
    list = config_node_add(ctx, ctx->root, CONFIG_LIST, "routes");
    item = list != NULL ? config_node_add(ctx, list, CONFIG_MAP, NULL) : NULL;
    return ok && item != NULL && config_node_add_text(ctx, item, "upstream", "app") != NULL;
}

struct settings *config_from_args(const char *const *listens, size_t listen_count,
                                  const char *const *origins, size_t origin_count,
                                  struct config_errors *errors)
{
    struct config_ctx ctx;

    begin(&ctx, errors);
    return finish(&ctx, args_tree(&ctx, listens, listen_count, origins, origin_count));
}
