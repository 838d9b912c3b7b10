/*
 * reload_report.h - how the last reload went: for the API and for whoever ordered it. Plain values,
 * on the control thread.
 */
#ifndef RELOAD_REPORT_H
#define RELOAD_REPORT_H

#include <stdbool.h>
#include <stdint.h>

struct reload_report {
    uint64_t count;  /* reloads that have ended since the start; 0: what follows is of the start */
    uint64_t order;  /* number of the newest word that ordered one of them; 0: none did */
    bool ok;         /* the new configuration is in force */
    char error[256]; /* "" when ok: the first cause */
    int64_t at_s;    /* Unix time when it ended */
    int64_t loaded_at_s; /* Unix time since when the configuration in force is so */
    uint64_t config;     /* settings_hash() of the configuration in force */
};

/* Told when a reload has ended, well or not; from inside the call that asked for it if it failed at
 * once. Embedded in its owner, who keeps it as long as the node runs. */
struct reload_watcher {
    struct reload_watcher *next;
    void (*ended)(struct reload_watcher *w, const struct reload_report *report);
};

#endif
