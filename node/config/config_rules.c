#include "config_rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir/address.h"
#include "weir/admin_place.h"
#include "weir/farm_settings.h"
#include "weir/members.h"
#include "weir/secret.h"
#include "admin_settings.h"
#include "config_rules_connection.h"
#include "config_rules_limits.h"
#include "config_tree.h"
#include "net_addr.h"
#include "net_inherit.h"
#include "netset.h"
#include "origin_url.h"

#define STATE_DIR_MAX 3072 /* leaves room for names of files */

/* ---- single values ---- */

void config_rule_listen_address(struct config_ctx *ctx, struct config_node *node)
{
    struct net_addr addr;
    struct weir_err err = {0};
    char found[CONFIG_QUOTE_MAX];

    if (strncmp(node->text.ptr, NET_INHERIT_PREFIX, strlen(NET_INHERIT_PREFIX)) == 0 &&
        node->text.ptr[strlen(NET_INHERIT_PREFIX)] != '\0')
        return; /* whether there is such a socket, the start will tell */
    if (!net_addr_parse(node->text.ptr, &addr, &err))
        config_report(ctx, node,
                      "expected an address such as 127.0.0.1:8080, [::1]:8080, :8080, "
                      "unix:/run/weir.sock or systemd:NAME, found %s",
                      config_found(node, found));
    else if (addr.sa.any.sa_family != AF_UNIX && addr.sa.in.sin_port == 0)
        config_report(ctx, node, "the port must be 1 to 65535, found %s",
                      config_found(node, found));
}

static bool is_filled(const struct config_node *map, const char *name)
{
    const struct config_node *node = config_node_get(map, name);

    return node != NULL && !node->bad && node->text.len > 0;
}

/* That there is such a mapping turns it on. */
void config_rule_listen_tls(struct config_ctx *ctx, struct config_node *node)
{
    struct config_node *on = config_node_get(node, "enabled");
    struct config_node *auth = config_node_get(node, "client_auth");

    if (on == NULL && (on = config_node_add_text(ctx, node, "enabled", "true")) != NULL)
        on->number = 1;
    if (auth != NULL && !config_node_is(auth, "none") && !is_filled(node, "client_ca"))
        config_report(ctx, auth, "needs client_ca: who may issue the certificates");
    if ((auth == NULL || config_node_is(auth, "none")) && is_filled(node, "client_ca"))
        config_report(ctx, config_node_get(node, "client_ca"), "means nothing without client_auth");
}

void config_rule_admin_socket(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    if (strcmp(node->text.ptr, "auto") == 0 || strcmp(node->text.ptr, "off") == 0)
        return;
    if (node->text.ptr[0] != '/' || node->text.len >= WEIR_ADMIN_PATH_MAX)
        config_report(ctx, node,
                      "expected auto, off, or an absolute path of at most %d bytes, found %s",
                      WEIR_ADMIN_PATH_MAX - 1, config_found(node, found));
}

void config_rule_network(struct config_ctx *ctx, struct config_node *node)
{
    struct weir_err err = {0};
    struct netset *set = netset_new(&err);

    if (set == NULL || !netset_add(set, node->text.ptr, &err)) {
        if (err.code == WEIR_E_MEMORY)
            config_report_memory(ctx);
        else
            config_report(ctx, node, "%s", err.detail);
    }
    netset_free(set);
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (weir_ascii_lower(c) >= 'a' && weir_ascii_lower(c) <= 'z');
}

static bool only(struct weir_span text, const char *others)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.ptr[i]) && strchr(others, text.ptr[i]) == NULL)
            return false;
    return true;
}

void config_rule_optional_token(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    if (!only(node->text, "!#$%&'*+-.^_`|~"))
        config_report(ctx, node, "%s is no token: letters, digits and !#$%%&'*+-.^_`|~ only",
                      config_found(node, found));
    else if (node->text.len > 64) /* they go into heads with room for so much */
        config_report(ctx, node, "%s is longer than 64 characters", config_found(node, found));
}

void config_rule_token(struct config_ctx *ctx, struct config_node *node)
{
    config_rule_optional_token(ctx, node); /* emptiness is judged before any rule */
}

void config_rule_name(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    if (!only(node->text, "._-") || node->text.len > 64)
        config_report(ctx, node, "%s is no name: at most 64 letters, digits, '.', '_' and '-'",
                      config_found(node, found));
}

void config_rule_node_id(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    if (node->text.len > MEMBER_ID_MAX || !only(node->text, "._-:"))
        config_report(ctx, node,
                      "%s is no id of a node: auto, or 1 to %d letters, digits, '.', '_', '-' and "
                      "':'",
                      config_found(node, found), MEMBER_ID_MAX);
}

void config_rule_state_dir(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    if (node->text.len == 0 || strcmp(node->text.ptr, "auto") == 0)
        return;
    if (node->text.ptr[0] != '/' || node->text.len > STATE_DIR_MAX)
        config_report(ctx, node,
                      "expected auto, an absolute path of at most %d bytes, or \"\" for none, "
                      "found %s",
                      STATE_DIR_MAX, config_found(node, found));
}

void config_rule_authority(struct config_ctx *ctx, struct config_node *node)
{
    char found[CONFIG_QUOTE_MAX];

    if (!only(node->text, "._-:[]"))
        config_report(ctx, node,
                      "expected a host such as app.internal or app.internal:8080, found %s",
                      config_found(node, found));
}

void config_rule_media_type(struct config_ctx *ctx, struct config_node *node)
{
    const char *slash = memchr(node->text.ptr, '/', node->text.len);
    char found[CONFIG_QUOTE_MAX];

    if (slash == NULL || slash == node->text.ptr || !only(node->text, "!#$&-^_.+*/") ||
        node->text.ptr[node->text.len - 1] == '/')
        config_report(ctx, node, "expected a media type such as text/html or text/*, found %s",
                      config_found(node, found));
}

/* ---- names ---- */

static int by_text(const struct config_node *a, const struct config_node *b)
{
    size_t len = a->text.len < b->text.len ? a->text.len : b->text.len;
    int order = memcmp(a->text.ptr, b->text.ptr, len);

    return order != 0 ? order : (a->text.len > b->text.len) - (a->text.len < b->text.len);
}

/* Then by place, so that the later of two equals is the one reported. */
static int by_text_and_place(const void *a, const void *b)
{
    const struct config_node *x = *(struct config_node *const *)a;
    const struct config_node *y = *(struct config_node *const *)b;
    int order = by_text(x, y);

    if (order == 0 && x->file != NULL && y->file != NULL)
        order = (x->file->order > y->file->order) - (x->file->order < y->file->order);
    if (order == 0)
        order = (x->line > y->line) - (x->line < y->line);
    return order != 0 ? order : (x->column > y->column) - (x->column < y->column);
}

/* The texts called `member` of a list's mappings, sorted; from the arena. */
static struct config_node **collect(struct config_ctx *ctx, const struct config_node *list,
                                    const char *member, size_t *count)
{
    struct config_node **nodes;

    *count = 0;
    if (list == NULL || list->kind != CONFIG_LIST)
        return NULL;
    nodes = weir_arena_alloc(&ctx->arena, list->count * sizeof(*nodes));
    if (nodes == NULL) {
        config_report_memory(ctx);
        return NULL;
    }
    for (const struct config_node *item = list->first; item != NULL; item = item->next) {
        struct config_node *node = config_node_get(item, member);

        if (node != NULL && node->kind == CONFIG_SCALAR && node->text.len != 0)
            nodes[(*count)++] = node;
    }
    qsort(nodes, *count, sizeof(struct config_node *), by_text_and_place);
    return nodes;
}

static void check_unique(struct config_ctx *ctx, const struct config_node *list, const char *member,
                         const char *what)
{
    char name[CONFIG_QUOTE_MAX];
    size_t count;
    struct config_node **nodes = collect(ctx, list, member, &count);

    for (size_t i = 1; i < count; i++) {
        const struct config_node *other = nodes[i - 1];

        if (by_text(nodes[i], other) != 0)
            continue;
        config_quote(nodes[i]->text, name);
        if (other->file != NULL && other->file == nodes[i]->file)
            config_report(ctx, nodes[i], "%s %s is there already, at line %u", what, name,
                          other->line);
        else if (other->file != NULL)
            config_report(ctx, nodes[i], "%s %s is there already, at %s:%u", what, name,
                          other->file->name, other->line);
        else
            config_report(ctx, nodes[i], "%s %s is there already", what, name);
    }
}

void config_rules_prepare(struct config_ctx *ctx)
{
    ctx->upstreams =
        collect(ctx, config_node_get(ctx->root, "upstreams"), "name", &ctx->upstream_count);
    ctx->limits = collect(ctx, config_node_get(ctx->root, "limits"), "name", &ctx->limit_count);
}

/* The text must be one of the names, which are sorted. */
static void check_named(struct config_ctx *ctx, struct config_node *node,
                        struct config_node *const *names, size_t count, const char *what)
{
    char name[CONFIG_QUOTE_MAX];
    const struct config_node *nearest = NULL;
    size_t low = 0, high = count;
    unsigned distance, best = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = by_text(node, names[middle]);

        if (order == 0)
            return;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (config_is_near(node->text, names[i]->text, &distance) &&
            (nearest == NULL || distance < best)) {
            nearest = names[i];
            best = distance;
        }
    }
    config_quote(node->text, name);
    if (nearest != NULL)
        config_report(ctx, node, "there is no %s %s; did you mean \"%s\"?", what, name,
                      nearest->text.ptr);
    else
        config_report(ctx, node, "there is no %s %s", what, name);
}

void config_rule_upstream(struct config_ctx *ctx, struct config_node *node)
{
    check_named(ctx, node, ctx->upstreams, ctx->upstream_count, "upstream");
}

void config_rule_rate_name(struct config_ctx *ctx, struct config_node *node)
{
    check_named(ctx, node, ctx->limits, ctx->limit_count, "limit");
}

/* ---- farm ---- */

void config_rule_redis_address(struct config_ctx *ctx, struct config_node *node)
{
    struct weir_span host, port;
    char found[CONFIG_QUOTE_MAX];
    unsigned long long number;

    if (!weir_address_split(node->text, &host, &port) ||
        (port.len > 0 && (!weir_span_u64(port, 65535, &number) || number == 0)))
        config_report(ctx, node,
                      "expected an address such as redis-1:6379 or [2001:db8::1]:6379, found %s",
                      config_found(node, found));
}

/* A secret named in mapping `map` must be there, and of some length. */
static void check_secret(struct config_ctx *ctx, const struct config_node *map, const char *member,
                         size_t least)
{
    struct config_node *node = config_node_get(map, member);
    char found[CONFIG_QUOTE_MAX];
    struct weir_err err = {0};
    struct weir_secret secret;

    if (node == NULL || node->bad || node->text.len == 0)
        return;
    if (!weir_secret_read_by(&secret, ctx->opener, node->text.ptr, &err))
        config_report(ctx, node, "%s: %s", config_found(node, found), err.detail);
    else if (secret.len < least)
        config_report(ctx, node, "%s holds %zu bytes, at least %zu are needed",
                      config_found(node, found), secret.len, least);
    weir_secret_clear(&secret);
}

static void check_readable(struct config_ctx *ctx, const struct config_node *map,
                           const char *member)
{
    struct config_node *node = config_node_get(map, member);
    char found[CONFIG_QUOTE_MAX];
    int fd;

    if (node == NULL || node->bad || node->text.len == 0)
        return;
    fd = weir_opener_open(ctx->opener, node->text.ptr);
    if (fd >= 0)
        close(fd);
    else
        config_report(ctx, node, "%s: cannot be read: %s", config_found(node, found),
                      strerror(errno));
}

static bool has_addresses(const struct config_node *redis)
{
    const struct config_node *list = config_node_get(redis, "addresses");

    return list != NULL && list->count > 0;
}

/* Files and names of TLS without a word whether to use it: the password would go out in the clear.
 */
static void check_tls_said(struct config_ctx *ctx, struct config_node *tls)
{
    if (config_node_get(tls, "enabled") == NULL && tls->count > 0)
        config_report_key(ctx, tls, "needs \"enabled: true\", or false to leave it off");
}

void config_rule_redis_tls(struct config_ctx *ctx, struct config_node *node)
{
    static const char *const pair[2] = {"certificate_file", "key_file"};

    check_tls_said(ctx, node);

    for (int i = 0; i < 2; i++) {
        struct config_node *one = config_node_get(node, pair[i]);
        const struct config_node *other = config_node_get(node, pair[1 - i]);

        if (one != NULL && one->text.len > 0 && (other == NULL || other->text.len == 0))
            config_report(ctx, one, "needs %s too", pair[1 - i]);
    }
}

void config_rule_redis(struct config_ctx *ctx, struct config_node *node)
{
    const struct config_node *tls = config_node_get(node, "tls");
    const struct config_node *enabled = config_node_get(tls, "enabled");
    struct config_node *user = config_node_get(node, "username");
    const struct config_node *password = config_node_get(node, "password_file");

    if (!has_addresses(node))
        return;
    /* Without a password there is no AUTH: we would be the default user, unnoticed. */
    if (user != NULL && user->text.len > 0 && (password == NULL || password->text.len == 0))
        config_report(ctx, user, "needs password_file too");
    check_secret(ctx, node, "password_file", 1);
    if (enabled == NULL || enabled->bad || enabled->number == 0)
        return;
    check_readable(ctx, tls, "ca_file");
    check_readable(ctx, tls, "certificate_file");
    check_readable(ctx, tls, "key_file");
}

void config_rule_farm(struct config_ctx *ctx, struct config_node *node)
{
    struct config_node *redis = config_node_get(node, "redis");
    struct config_node *state = config_node_get(node, "state_redis");
    const struct config_node *secret = config_node_get(node, "secret_file");

    if (!has_addresses(redis)) {
        if (has_addresses(state))
            config_report_key(ctx, state, "needs redis.addresses too: where responses are shared");
        return;
    }
    if (secret == NULL || secret->text.len == 0)
        config_report_key(ctx, redis,
                          "needs farm.secret_file, the same in all nodes: make one by "
                          "\"openssl rand -hex 32\"");
    else
        check_secret(ctx, node, "secret_file", FARM_SECRET_LEAST);
}

/* ---- admin ---- */

void config_rule_admin_token(struct config_ctx *ctx, struct config_node *node)
{
    check_secret(ctx, node, "token_file", ADMIN_TOKEN_LEAST);
}

static bool is_loopback(const struct net_addr *a)
{
    if (a->sa.any.sa_family == AF_INET)
        return ntohl(a->sa.in.sin_addr.s_addr) >> 24 == 127;
    return a->sa.any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->sa.in6.sin6_addr);
}

/* A token that goes over a network in the clear is everybody's. */
static void check_admin_address(struct config_ctx *ctx, struct config_node *node, bool tls)
{
    struct net_addr addr;
    struct weir_err err = {0};
    char found[CONFIG_QUOTE_MAX];

    if (!net_addr_parse(node->text.ptr, &addr, &err) || addr.sa.any.sa_family == AF_UNIX)
        config_report(ctx, node,
                      "expected an address such as 127.0.0.1:9443, [::1]:9443 or :9443, found %s",
                      config_found(node, found));
    else if (!tls && !is_loopback(&addr))
        config_report(ctx, node,
                      "needs tls.certificate_file and tls.key_file: only a loopback "
                      "address may do without TLS");
}

static bool is_named(const struct config_node *map, const char *member)
{
    const struct config_node *node = config_node_get(map, member);

    return node != NULL && node->text.len > 0;
}

void config_rule_admin_tcp(struct config_ctx *ctx, struct config_node *node)
{
    struct config_node *address = config_node_get(node, "address");
    const struct config_node *tls = config_node_get(node, "tls");
    bool has_tls = is_named(tls, "certificate_file") && is_named(tls, "key_file");

    check_unique(ctx, config_node_get(node, "tokens"), "name", "a token called");
    if (address == NULL || address->bad || address->text.len == 0)
        return;
    if (is_named(tls, "certificate_file") != is_named(tls, "key_file"))
        config_report_key(ctx, config_node_get(node, "tls"),
                          "needs both certificate_file and key_file");
    else if (is_named(tls, "client_ca_file") && !has_tls)
        config_report_key(ctx, config_node_get(node, "tls"),
                          "client_ca_file needs certificate_file and key_file too");
    check_admin_address(ctx, address, has_tls);
    check_readable(ctx, tls, "certificate_file");
    check_readable(ctx, tls, "key_file");
    check_readable(ctx, tls, "client_ca_file");
}

/* ---- upstreams ---- */

static void add_number(struct config_ctx *ctx, struct config_node *map, const char *name,
                       uint64_t number)
{
    struct config_node *node = config_node_add(ctx, map, CONFIG_SCALAR, name);

    if (node != NULL)
        node->number = number;
}

void config_rule_origin(struct config_ctx *ctx, struct config_node *node)
{
    struct origin_settings o = {0};
    struct weir_err err = {0};

    if (!origin_settings_parse(node->text.ptr, &ctx->arena, &o, &err)) {
        if (err.code == WEIR_E_MEMORY)
            config_report_memory(ctx);
        else
            config_report(ctx, node, "%s", err.detail);
        return;
    }
    node->kind = CONFIG_MAP;
    config_node_add_text(ctx, node, "url", o.url);
    if (o.host != NULL)
        config_node_add_text(ctx, node, "host", o.host);
    if (o.unix_path != NULL)
        config_node_add_text(ctx, node, "unix_path", o.unix_path);
    add_number(ctx, node, "port", o.port);
    add_number(ctx, node, "tls", o.tls);
    add_number(ctx, node, "h2c", o.h2c);
    add_number(ctx, node, "weight", o.weight);
    add_number(ctx, node, "max_connections", o.max_connections);
    add_number(ctx, node, "backup", o.backup);
}

/* "404", "500-599" or "5xx"; false if it is none of these. */
static bool parse_statuses(struct weir_span text, unsigned *first, unsigned *last)
{
    char end;

    if (text.len == 3 && weir_ascii_lower(text.ptr[1]) == 'x' &&
        weir_ascii_lower(text.ptr[2]) == 'x' && text.ptr[0] >= '2' && text.ptr[0] <= '9') {
        *first = (unsigned)(text.ptr[0] - '0') * 100;
        *last = *first + 99;
    } else if (text.len == 3 && sscanf(text.ptr, "%3u%c", first, &end) >= 1) {
        *last = *first;
    } else if (text.len != 7 || sscanf(text.ptr, "%3u-%3u", first, last) != 2) {
        return false;
    }
    return *first >= 200 && *first <= *last && *last <= 999;
}

void config_rule_status_ttl(struct config_ctx *ctx, struct config_node *node)
{
    const char *space = memchr(node->text.ptr, ' ', node->text.len);
    char found[CONFIG_QUOTE_MAX];
    unsigned first, last;
    uint64_t seconds;

    if (space == NULL ||
        !parse_statuses(weir_span(node->text.ptr, (size_t)(space - node->text.ptr)), &first,
                        &last) ||
        config_value_parse(CONFIG_DURATION_S, weir_span_str(space + 1), &seconds) !=
            CONFIG_VALUE_OK) {
        config_report(ctx, node,
                      "expected statuses and a time, such as \"404 10s\" or \"5xx 1s\", found %s",
                      config_found(node, found));
        return;
    }
    node->kind = CONFIG_MAP;
    add_number(ctx, node, "first", first);
    add_number(ctx, node, "last", last);
    add_number(ctx, node, "seconds", (uint32_t)seconds);
}

void config_rule_origins(struct config_ctx *ctx, struct config_node *upstream)
{
    check_unique(ctx, config_node_get(upstream, "origins"), "url", "origin");
    config_rules_origin_protocols(ctx, upstream);
}

void config_rule_balance(struct config_ctx *ctx, struct config_node *node)
{
    struct config_node *on = config_node_get(node, "hash_on");

    if (on != NULL && (config_node_is(on, "field") || config_node_is(on, "cookie")) &&
        config_node_get(node, "hash_name") == NULL)
        config_report(ctx, on, "needs hash_name, the name of the %s", on->text.ptr);
}

uint64_t config_number_of(const struct config_node *map, const char *name, const char *path)
{
    const struct config_node *node = config_node_get(map, name);
    const struct config_key *key = config_schema_find(path);
    uint64_t number = 0;

    if (node != NULL)
        return node->number;
    config_value_parse(key->number, weir_span_str(key->fallback), &number);
    return number;
}

void config_rule_eject(struct config_ctx *ctx, struct config_node *node)
{
    uint64_t base = config_number_of(node, "base", "upstreams.eject.base");
    uint64_t max = config_number_of(node, "max", "upstreams.eject.max");
    char low[32], high[32];

    if (!node->bad && base > max)
        config_report(ctx, node, "base, %s, is longer than max, %s",
                      config_value_write(CONFIG_DURATION_MS, base, low),
                      config_value_write(CONFIG_DURATION_MS, max, high));
}

/* ---- routes ---- */

void config_rule_respond(struct config_ctx *ctx, struct config_node *node)
{
    const struct config_node *status = config_node_get(node, "status");
    struct config_node *body = config_node_get(node, "body");

    if (status == NULL || status->bad || body == NULL || body->text.len == 0)
        return;
    if (status->number == 204 || status->number == 205 || status->number == 304)
        config_report(ctx, body, "a response of status %u has no body", (unsigned)status->number);
}

/* One upstream is a split of one. */
static void derive_split(struct config_ctx *ctx, struct config_node *route,
                         const struct config_node *upstream)
{
    struct config_node *list = config_node_add(ctx, route, CONFIG_LIST, "split");
    struct config_node *item = NULL;

    if (list != NULL)
        item = config_node_add(ctx, list, CONFIG_MAP, NULL);
    if (item != NULL)
        config_node_add_text(ctx, item, "upstream", upstream->text.ptr);
}

static void check_split(struct config_ctx *ctx, struct config_node *route,
                        struct config_node *split)
{
    if (split->kind == CONFIG_LIST && split->count == 0 && !split->bad)
        config_report(ctx, split, "must not be empty");
    route->bad |= split->bad;
    for (const struct config_node *item = split->first; item != NULL; item = item->next)
        route->bad |= item->bad;
}

#define ACTIONS 5

/* Whether an unknown key was told to be meant as one of these: then nothing is missing. */
static bool misspelt(const struct config_node *route, const char *const actions[ACTIONS])
{
    unsigned distance;

    for (const struct config_node *child = route->first; child != NULL; child = child->next)
        for (size_t i = 0; i < ACTIONS; i++)
            if (child->bad &&
                config_is_near(weir_span_str(child->name), weir_span_str(actions[i]), &distance))
                return true;
    return false;
}

void config_rule_route(struct config_ctx *ctx, struct config_node *route)
{
    static const char *const actions[ACTIONS] = {"upstream", "split", "redirect", "respond",
                                                 "health"};
    struct config_node *chosen = NULL;
    size_t which = 0;

    for (size_t i = 0; i < ACTIONS; i++) {
        struct config_node *node = config_node_get(route, actions[i]);

        if (node != NULL && chosen != NULL) {
            config_report_key(ctx, node, "a route does one thing: there is \"%s\" already",
                              chosen->name);
            route->bad = true;
        } else if (node != NULL) {
            chosen = node;
            which = i;
        }
    }
    if (chosen == NULL) {
        if (!misspelt(route, actions))
            config_report(ctx, route, "needs one of upstream, split, redirect, respond or health");
        route->bad = true;
        return;
    }
    route->bad |= chosen->bad;
    config_rule_client_certificate(ctx, route);
    if (which == 1)
        check_split(ctx, route, chosen);
    else if (which == 0 && !route->bad)
        derive_split(ctx, route, chosen);
    config_node_add_text(ctx, route, "action", which <= 1 ? "upstream" : actions[which]);
}

/* ---- hooks ---- */

static void check_command(struct config_ctx *ctx, const struct config_node *hooks,
                          const char *member)
{
    const struct config_node *list = config_node_get(hooks, member);
    struct config_node *program = list != NULL ? list->first : NULL;
    char found[CONFIG_QUOTE_MAX];

    if (program == NULL || program->bad)
        return;
    if (program->text.len == 0 || program->text.ptr[0] != '/')
        config_report(ctx, program, "expected a command by its absolute path, found %s",
                      config_found(program, found));
    else if (access(program->text.ptr, X_OK) != 0)
        config_report(ctx, program, "%s cannot be run: %s", config_found(program, found),
                      strerror(errno));
}

void config_rule_hooks(struct config_ctx *ctx, struct config_node *node)
{
    check_command(ctx, node, "ready");
    check_command(ctx, node, "unready");
}

/* ---- all ---- */

/* Counted over all files, from 1: what a log line can be found by. */
static void name_routes(struct config_ctx *ctx, struct config_node *list)
{
    unsigned number = 0;

    if (list == NULL || list->kind != CONFIG_LIST)
        return;
    for (struct config_node *route = list->first; route != NULL; route = route->next) {
        char *name;

        number++;
        if (route->kind != CONFIG_MAP || config_node_get(route, "name") != NULL)
            continue;
        name = weir_arena_printf(&ctx->arena, "route-%u", number);
        if (name == NULL)
            config_report_memory(ctx);
        else
            config_node_add_text(ctx, route, "name", name);
    }
}

#define SLICE_LEAST 16384 /* each one is a request, and costs about 1 KiB beside its bytes */

/* A slice is stored by itself, so it must be small enough to be. */
static void check_slice(struct config_ctx *ctx, struct config_node *root, struct config_node *slice,
                        const struct config_node *esi)
{
    uint64_t max =
        config_number_of(config_node_get(root, "cache"), "object_max", "cache.object_max");
    char least[32], most[32], found[CONFIG_QUOTE_MAX];

    if (slice->bad || slice->number == 0)
        return;
    if (esi != NULL && !esi->bad && esi->number != 0)
        config_report(ctx, slice, "must be 0 where esi is enabled: a page is read as a whole");
    if (slice->number >= SLICE_LEAST && slice->number <= max)
        return;
    config_report(ctx, slice, "must be 0, or %s to cache.object_max, %s; found %s",
                  config_value_write(CONFIG_SIZE, SLICE_LEAST, least),
                  config_value_write(CONFIG_SIZE, max, most), config_found(slice, found));
}

static void check_slices(struct config_ctx *ctx, struct config_node *root,
                         struct config_node *routes)
{
    if (routes == NULL || routes->kind != CONFIG_LIST)
        return;
    for (struct config_node *route = routes->first; route != NULL; route = route->next) {
        struct config_node *cache = config_node_get(route, "cache");
        struct config_node *slice = config_node_get(cache, "slice");

        if (slice != NULL)
            check_slice(ctx, root, slice,
                        config_node_get(config_node_get(cache, "esi"), "enabled"));
    }
}

void config_rule_all(struct config_ctx *ctx, struct config_node *root)
{
    struct config_node *routes = config_node_get(root, "routes");

    name_routes(ctx, routes);
    check_unique(ctx, config_node_get(root, "listen"), "address", "address");
    check_unique(ctx, config_node_get(root, "upstreams"), "name", "upstream");
    check_unique(ctx, routes, "name", "route");
    check_unique(ctx, config_node_get(root, "limits"), "name", "limit");
    config_check_rates(ctx, root);
    check_slices(ctx, root, routes);
}
