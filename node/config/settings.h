/*
 * settings.h - one whole configuration: immutable once loaded, counted, shared by all threads.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/arena.h"
#include "weir/farm_settings.h"
#include "acme_settings.h"
#include "admin_settings.h"
#include "cache_settings.h"
#include "exchange_settings.h"
#include "h2_settings.h"
#include "lifecycle_settings.h"
#include "limit_settings.h"
#include "net_settings.h"
#include "origin_settings.h"
#include "route_settings.h"
#include "tls_settings.h"

struct settings {
    atomic_uint refs;
    struct weir_arena arena; /* owns every string and array below */

    const char *node_id;   /* "auto": the host's name (member_identity.h) */
    const char *state_dir; /* "auto": what systemd gives; "": none */
    const char *user;      /* to become when started as root; "": stay */
    const char *group;     /* "": the user's */
    bool core_dumps;
    unsigned workers;         /* 0 = one per core */
    int64_t drain_timeout_ms; /* 30 s */
    int64_t drain_grace_ms;   /* 0: from not ready to not accepting */
    uint64_t
        memory_bytes; /* budget of the process; 0 = what the machine or its control group has */

    struct listen_settings *listens;
    size_t listen_count;
    struct client_settings client;
    struct head_settings head;
    struct h2_settings http2;
    struct forward_settings forward;
    struct cache_settings cache;
    struct compression_settings compression;
    struct upstream_settings *upstreams;
    size_t upstream_count;
    struct route_settings *routes;
    size_t route_count;
    struct limit_settings *limits;
    size_t limit_count;
    struct log_settings log;
    struct admin_settings admin;
    struct farm_settings farm;
    struct readiness_settings readiness;
    struct hook_settings hooks;
    struct tls_settings tls;
    struct acme_settings acme;
};

struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings *s);

#endif
