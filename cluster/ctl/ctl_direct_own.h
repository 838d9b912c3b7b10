/*
 * ctl_direct_own.h - between the files of ctl_direct.h.
 */
#ifndef CTL_DIRECT_OWN_H
#define CTL_DIRECT_OWN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "farm_redis.h"
#include "redis_cluster.h"
#include "settings.h"
#include "weir/farm_settings.h"
#include "weir/members.h"
#include "weir/seal.h"
#include "weir/secret.h"
#include "weir/shared.h"
#include "weir/words.h"

struct event;

struct direct {
    struct settings *settings; /* of --config; NULL */
    struct farm_settings own;  /* what is used: the settings' or the options' */
    const char **addresses;
    char *list; /* what they point into */
    struct weir_seal_key key;
    struct event_base *base;
    struct event *tick;
    struct weir_clock clock;
    struct shared_loop loop;
    struct farm_redis *redis;
    struct shared_port *port;
    struct members *members;
    struct words *words;
    /* of a word that was said */
    bool told;
    enum words_outcome outcome;
    uint64_t number;
    /* of Redis (direct_ask_redis) */
    bool redis_told;
    json_t *redis_json;
    char trouble[REDIS_TROUBLE_MAX];
    /* records that are being read */
    size_t asked, answered;
};

/* Runs the loop until `come`, for ms at most; whether it came. */
bool direct_wait(struct direct *d, bool (*come)(struct direct *d), int64_t ms);

/* What the client of Redis knows: d->redis_json (owned by the caller of direct_farm) and
 * d->trouble. */
void direct_ask_redis(struct direct *d);

/* All that GET /v1/farm would tell, but conclusions; owned. NULL without memory. */
json_t *direct_farm(struct direct *d);
/* "origins": what the records tell, on top of the configuration if there is one, under the
 * operators' words; owned. */
json_t *direct_origins(struct direct *d, const json_t *nodes, const json_t *words);

#endif
