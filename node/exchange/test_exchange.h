/*
 * test_exchange.h - an exchange made by hand, without connection, loop or origin: for the functions
 * that turn heads into other heads and lines.
 */
#ifndef TEST_EXCHANGE_H
#define TEST_EXCHANGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/metrics.h"
#include "access_log.h"
#include "exchange.h"
#include "http_parse.h"
#include "netset.h"

#define MADE_FIELDS 120

struct made {
    struct weir_exchange x;
    struct exchange_worker w;
    struct weir_metrics *metrics;
    struct weir_hash_secret secret;
    struct site site;
    struct site_worker binding;
    struct net_loop loop;
    struct net_peer peer;
    struct client_settings client;
    struct forward_settings forward;
    struct cache_settings cache;
    struct log_settings log;
    struct upstream_settings upstream;
    struct route_settings route_settings;
    struct route route;
    struct http_field fields[MADE_FIELDS];
    char via[32];
};

static inline void made_open(struct made *m)
{
    memset(m, 0, sizeof *m);
    m->metrics = aligned_alloc(64, sizeof *m->metrics);
    memset(m->metrics, 0, sizeof *m->metrics);
    memset(m->secret.bytes, 7, sizeof m->secret.bytes);
    m->forward = (struct forward_settings){.fields = FORWARDED_BOTH,
                                           .pseudonym = "weir",
                                           .via = true,
                                           .request_id_field = "X-Request-ID"};
    m->route_settings.name = "all";
    m->route.settings = &m->route_settings;
    m->upstream.name = "app";
    m->site.source = (struct site_source){.client = &m->client,
                                          .forward = &m->forward,
                                          .cache = &m->cache,
                                          .log = &m->log};
    m->site.pseudonym = WEIR_SPAN_LIT("weir");
    strcpy(m->via, "Via: 1.1 weir\r\n");
    m->site.via = m->via;
    m->site.via_len = (uint32_t)strlen(m->via);
    m->binding.site = &m->site;
    m->w.loop = &m->loop;
    m->w.metrics = m->metrics;
    m->w.secret = &m->secret;
    m->w.fields = m->fields;
    m->w.field_cap = MADE_FIELDS;
    m->w.request_ids = 1;
    m->loop.clock.wall_ms = INT64_C(1795415812123); /* 2026-11-23T06:36:52.123Z */
    m->loop.clock.wall_s = m->loop.clock.wall_ms / 1000;
    m->loop.clock.mono_us = 5000000;
    m->peer = (struct net_peer){.family = AF_INET, .port = 4711, .ip = {192, 0, 2, 7}};
    m->x.w = &m->w;
    m->x.loop = &m->loop;
    m->x.site = &m->binding;
    m->x.peer = &m->peer;
    m->x.client_addr = m->peer;
    m->x.route = &m->route;
    m->x.protocol = "HTTP/1.1";
    m->x.began_us = 4000000;
    m->x.started = true;
    weir_arena_init(&m->x.arena, 0);
}

/* The head as the client sent it, judged and brought to form. */
static inline void made_request(struct made *m, const char *text)
{
    struct http_parse_limits limits = http_request_limits;
    struct http_parser parser;
    struct weir_err err = {0};

    limits.fields = MADE_FIELDS;
    limits.head_bytes = 1 << 20;
    limits.field_bytes = 1 << 18;
    http_parser_init(&parser);
    http_head_init(&m->x.req, m->fields, MADE_FIELDS);
    if (http_parse_request(&parser, &limits, &m->x.req, text, strlen(text), &err) != HTTP_PARSED ||
        !http_request_framing(&m->x.req, &m->x.framing, &err) ||
        !http_target_parse(&m->x.req, m->x.secure, &m->x.arena, &m->x.target, &err))
        fail_msg("%s", err.detail);
    m->x.raw = weir_span_str(text);
}

static inline void made_trust(struct made *m, const char *network)
{
    m->forward.trusted = &network;
    m->forward.trusted_count = 1;
    netset_free(m->site.trusted);
    m->site.trusted = netset_compile(&network, 1, NULL);
    assert_non_null(m->site.trusted);
    m->forward.trusted = NULL; /* compiled: nobody looks at the words again */
}

static inline void made_close(struct made *m)
{
    weir_arena_free(&m->x.arena);
    netset_free(m->site.trusted);
    access_format_free(m->site.log);
    free(m->metrics);
}

#endif
