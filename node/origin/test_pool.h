/*
 * test_pool.h - a pool of origins for the tests of this folder: settings, registry and states in
 * one.
 */
#ifndef TEST_POOL_H
#define TEST_POOL_H

#include <stdio.h>
#include <string.h>

#include "balance.h"
#include "origin_settings.h"
#include "origin_state.h"

#define POOL_MAX 64
#define SECOND   INT64_C(1000000)

struct pool {
    struct upstream_settings settings;
    struct origin_settings origins[POOL_MAX];
    char urls[POOL_MAX][32];
    struct origin_registry *registry;
    struct origin_state *states[POOL_MAX];
};

/* All of weight 1, with the defaults of the configuration. */
static inline void pool_open(struct pool *p, size_t count, enum balance_kind kind)
{
    memset(p, 0, sizeof(*p));
    p->settings = (struct upstream_settings){
        .name = "app",
        .origins = p->origins,
        .origin_count = count,
        .balance = kind,
        .hash_load_percent = 125,
        .panic_percent = 40,
        .max_fails = 5,
        .eject_base_ms = 10000,
        .eject_max_ms = 300000,
        .eject_percent = 50,
    };
    p->registry = origin_registry_new(NULL);
    for (size_t i = 0; i < count; i++) {
        snprintf(p->urls[i], sizeof(p->urls[i]), "http://10.0.0.%zu:80", i + 1);
        p->origins[i].url = p->urls[i];
        p->origins[i].weight = 1;
        p->states[i] = origin_registry_get(p->registry, p->settings.name, p->urls[i], NULL);
    }
}

static inline void pool_close(struct pool *p)
{
    for (size_t i = 0; i < p->settings.origin_count; i++)
        origin_state_unref(p->states[i]);
    origin_registry_free(p->registry);
}

#endif
