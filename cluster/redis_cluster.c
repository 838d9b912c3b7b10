#include "redis_cluster_own.h"

#include <openssl/sha.h>
#include <stdio.h>

#include "weir/alloc.h"
#include "weir/container.h"

static void notify(struct redis_later *l);

/* ---- made and freed ---- */

static uint32_t or_default(uint32_t value, uint32_t preset)
{
    return value != 0 ? value : preset;
}

static bool make_seeds(struct redis_cluster *c)
{
    for (size_t i = 0; i < c->settings.seed_count; i++) {
        struct redis_node *n = redis_node_at(c, &c->settings.seeds[i]);

        if (n == NULL)
            return false;
        n->seed = true;
    }
    return true;
}

struct redis_cluster *redis_cluster_new(struct redis_loop *loop,
                                        const struct redis_cluster_settings *settings,
                                        struct weir_err *err)
{
    struct redis_cluster *c = weir_calloc(1, sizeof(*c));

    if (c == NULL)
        goto no_memory;
    c->loop = loop;
    c->calls_end = &c->calls;
    c->settings = *settings;
    c->settings.name = settings->name != NULL ? settings->name : "";
    if (c->settings.voice == NULL)
        c->settings.voice = c->own_voice = redis_voice_new(c->settings.name);
    c->settings.refresh_ms = or_default(settings->refresh_ms, 30000);
    c->settings.refresh_least_ms = or_default(settings->refresh_least_ms, 100);
    c->settings.refresh_most_ms = or_default(settings->refresh_most_ms, 5000);
    c->random = (uint64_t)redis_now_us() * 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)c;
    c->random |= 1;
    c->ready = true;
    c->notify.run = notify;
    memset(c->route, 0xff, sizeof(c->route)); /* REDIS_NO_SHARD */
    if (c->settings.voice == NULL || !make_seeds(c))
        goto no_memory;
    redis_refresh_start(c);
    return c;
no_memory:
    weir_fail(err, WEIR_E_MEMORY, "redis: cluster", 0);
    redis_cluster_free(c);
    return NULL;
}

void redis_cluster_free(struct redis_cluster *c)
{
    if (c == NULL)
        return;
    while (c->calls != NULL)
        redis_call_drop(c->calls);
    while (c->watches != NULL)
        redis_cluster_unwatch(c->watches);
    redis_later_cancel(c->loop, &c->notify);
    redis_refresh_stop(c);
    while (c->nodes != NULL) {
        struct redis_node *n = c->nodes;

        c->nodes = n->next;
        redis_node_free(n);
    }
    if (c->freed != NULL)
        *c->freed = true;
    redis_voice_free(c->own_voice);
    weir_free(c->shards);
    redis_map_unref(c->map);
    weir_free(c);
}

uint32_t redis_cluster_random(struct redis_cluster *c, uint32_t limit)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return (uint32_t)((c->random >> 32) % limit);
}

/* ---- is it of use? ---- */

static bool some_copy_works(const struct redis_cluster *c)
{
    for (uint32_t i = 0; i < c->shard_count; i++)
        for (uint32_t k = 0; k < c->shards[i].count; k++)
            if (!redis_breaker_open(&c->shards[i].copies[k]->breaker))
                return true;
    return false;
}

void redis_cluster_judge_ready(struct redis_cluster *c)
{
    c->ready = c->map != NULL ? some_copy_works(c) : !c->refresh.failed;
}

bool redis_cluster_ready(const struct redis_cluster *c)
{
    return c->ready;
}

/* ---- where things are ---- */

bool redis_cluster_owner(const struct redis_cluster *c, uint16_t slot, struct redis_address *out)
{
    if (slot >= REDIS_SLOTS || c->route[slot] >= c->shard_count)
        return false;
    *out = c->shards[c->route[slot]].copies[0]->address;
    return true;
}

/* One Redis alone is not left for a connection that ended: its neighbours would answer as if they
 * were what it is. That takes an open breaker, or READONLY. */
void redis_cluster_suspect(struct redis_cluster *c, const struct redis_address *node)
{
    struct redis_node *n = c->nodes;

    while (n != NULL && (node == NULL || !redis_address_eq(&n->address, node)))
        n = n->next;
    redis_refresh_want(c, NULL, c->mode == REDIS_MODE_PLAIN ? NULL : n);
}

void redis_cluster_moved(struct redis_cluster *c, uint16_t slot, const struct redis_address *to)
{
    struct redis_node *n = redis_node_told(c, to);

    if (n != NULL)
        redis_route_patch(c, slot, n);
    redis_refresh_want(c, n, NULL);
}

const struct redis_cluster_settings *redis_cluster_settings(const struct redis_cluster *c)
{
    return &c->settings;
}

enum redis_mode redis_cluster_mode(const struct redis_cluster *c)
{
    return c->mode;
}

struct redis_loop *redis_cluster_loop(const struct redis_cluster *c)
{
    return c->loop;
}

void redis_cluster_watch(struct redis_cluster *c, struct redis_watch *w)
{
    w->cluster = c;
    w->next = c->watches;
    w->at = &c->watches;
    if (w->next != NULL)
        w->next->at = &w->next;
    c->watches = w;
}

void redis_cluster_unwatch(struct redis_watch *w)
{
    if (w->at == NULL)
        return;
    if (w->cluster->notify_next == w)
        w->cluster->notify_next = w->next;
    *w->at = w->next;
    if (w->next != NULL)
        w->next->at = w->at;
    w->next = NULL;
    w->at = NULL;
    w->cluster = NULL;
}

void redis_cluster_changed(struct redis_cluster *c)
{
    redis_cluster_judge_ready(c);
    redis_later(c->loop, &c->notify);
}

/* A watcher may stop any watching, its own included, and free the cluster, which ends all of it. */
static void notify(struct redis_later *l)
{
    struct redis_cluster *c = WEIR_CONTAINER(l, struct redis_cluster, notify);
    bool freed = false;

    if (c->watches == NULL)
        return;
    c->freed = &freed;
    for (c->notify_next = c->watches; !freed && c->notify_next != NULL;) {
        struct redis_watch *w = c->notify_next;

        c->notify_next = w->next;
        w->changed(w);
    }
    if (!freed)
        c->freed = NULL;
}

/* ---- scripts ---- */

void redis_script_init(struct redis_script *s, const char *source)
{
    unsigned char sum[SHA_DIGEST_LENGTH];

    s->source = source;
    SHA1((const unsigned char *)source, strlen(source), sum);
    for (int i = 0; i < SHA_DIGEST_LENGTH; i++)
        snprintf(&s->sha1[2 * i], 3, "%02x", sum[i]);
}
