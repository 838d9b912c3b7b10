/*
 * lifecycle_settings.h - what an operator chooses about when a node wants traffic, and what it runs
 * when that changes.
 */
#ifndef LIFECYCLE_SETTINGS_H
#define LIFECYCLE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct readiness_settings {
    int64_t delay_ms; /* 5 s: how long a fault must be gone before the node is ready again */
    bool origins;     /* not ready while no origin of any upstream is usable: false */
};

/* Commands with their arguments, without a shell; a count of 0: nothing is run. */
struct hook_settings {
    const char **ready;
    size_t ready_count;
    const char **unready;
    size_t unready_count;
    int64_t timeout_ms; /* 10 s, then it is ended */
};

#endif
