/*
 * shared_contract.h - what every engine behind weir/shared.h must do, as tests.
 *
 * A table of cmocka tests, each a sentence of the door's header, run against an engine that the
 * caller makes. An engine's own program (test_shared_embedded.c, test_shared_redis.c) describes how
 * to get at one and runs the table:
 *
 *     static const struct contract_engine redis = {.name = "redis", .open = open_redis, ...};
 *     int main(void) { return shared_contract_run(&redis); }
 *
 * Each test uses keys of its own, so that they may share a server; it opens its own engine.
 */
#ifndef SHARED_CONTRACT_H
#define SHARED_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/shared.h"

struct contract_engine {
    const char *name;
    /* A new engine, freed by the test. Where `farm`, each shows the same state: other nodes. */
    struct weir_shared *(*open)(void *arg);
    void *arg;
    bool farm;
    /* Time is that of struct shared_loop.clock, and passes by being set. Else by waiting. */
    bool simulated;
    size_t log_slack; /* how many records beyond `max` a log may keep for a while */
};

/* Runs all; returns how many failed. */
int shared_contract_run(const struct contract_engine *engine);

#endif
