/*
 * bench_shared_get - what the door to shared state costs on Redis: shared_get() of known keys.
 *
 *   bench_shared_get PORT SECONDS DEPTH < keys      one key a line
 *
 * The same work as bench_redis_get, for comparison: DEPTH calls are made together, the next ones
 * when all have ended. Prints one line of JSON: requests, bytes, CPU microseconds of this process
 * for each GET, GETs a second.
 */
#include <event2/event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_keys.h"
#include "redis_settings.h"
#include "shared_redis.h"

#define DEPTH_MAX 256

struct bench {
    struct event_base *base;
    struct weir_clock clock;
    struct shared_port *port;
    char **keys;
    size_t key_count;
    uint64_t dice, requests, bytes;
    int depth, left;
    double end; /* 0: after the first round */
    struct get *gets;
};

struct get {
    struct shared_call call; /* first */
    struct bench *b;
};

static void next_round(struct bench *b)
{
    b->left = b->depth;
    for (int i = 0; i < b->depth; i++)
        shared_get(b->port, &b->gets[i].call,
                   weir_span_str(b->keys[draw(&b->dice) % b->key_count]));
}

static void on_value(struct shared_call *c)
{
    struct bench *b = ((struct get *)c)->b;

    if (c->result != SHARED_OK) {
        fprintf(stderr, "bench_shared_get: %s\n", shared_result_text(c->result));
        exit(1);
    }
    b->requests++;
    b->bytes += c->value.len;
    shared_call_clear(c);
    if (--b->left > 0)
        return;
    if (seconds(CLOCK_MONOTONIC) < b->end)
        next_round(b);
    else
        event_base_loopbreak(b->base);
}

static void enter(void *arg)
{
    weir_clock_update(&((struct bench *)arg)->clock);
}

static void run(struct bench *b, double length)
{
    static struct get gets[DEPTH_MAX];
    double began, cpu;

    for (int i = 0; i < b->depth; i++)
        gets[i] = (struct get){.call = {.done = on_value, .area = SHARED_CACHE, .timeout_ms = 5000},
                               .b = b};
    b->gets = gets;
    next_round(b); /* connects */
    event_base_loop(b->base, 0);
    b->requests = b->bytes = 0;
    began = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    b->end = began + length;
    next_round(b);
    event_base_loop(b->base, 0);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"requests\": %llu, \"bytes\": %llu, \"cpu_us\": %.3f, \"rate\": %.0f}\n",
           (unsigned long long)b->requests, (unsigned long long)b->bytes,
           cpu * 1e6 / (double)b->requests,
           (double)b->requests / (seconds(CLOCK_MONOTONIC) - began));
}

int main(int argc, char **argv)
{
    static char *keys[KEYS_MAX];
    struct redis_address seed = {.host = "127.0.0.1"};
    struct redis_settings conn = redis_settings_default();
    struct redis_cluster_settings endpoint = {.name = "bench",
                                              .seeds = &seed,
                                              .seed_count = 1,
                                              .conn = &conn};
    struct shared_redis_settings settings = {.endpoints = {&endpoint, &endpoint}};
    struct bench b = {.keys = keys, .key_count = read_keys(keys), .dice = 88172645463325252};
    struct shared_loop loop = {.enter = enter, .arg = &b, .clock = &b.clock};
    struct weir_shared *shared;

    b.depth = argc == 4 ? atoi(argv[3]) : 0;
    if (b.depth < 1 || b.depth > DEPTH_MAX || b.key_count == 0) {
        fprintf(stderr, "usage: bench_shared_get PORT SECONDS DEPTH < keys; DEPTH at most %d\n",
                DEPTH_MAX);
        return 2;
    }
    seed.port = (uint16_t)atoi(argv[1]);
    loop.base = b.base = event_base_new();
    shared = shared_redis_new(&settings, NULL);
    b.port = shared != NULL ? shared_port_new(shared, &loop, NULL) : NULL;
    if (b.port == NULL)
        return 1;
    run(&b, atof(argv[2]));
    shared_port_free(b.port);
    shared_free(shared);
    event_base_free(b.base);
    return 0;
}
