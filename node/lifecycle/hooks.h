/*
 * hooks.h - runs an operator's command when the node becomes ready or unready: to announce or
 * withdraw an address, to add or remove a DNS record.
 *
 * One command at a time. What is asked for while one runs is run after it, the newest only, and not
 * at all if it is what has run last: the last command that ran always tells the newest state.
 *
 *     IDLE     --hooks_run (spawn)---------------> RUNNING
 *     RUNNING  --timeout (SIGTERM to its group)--> ENDING
 *     ENDING   --1 s (SIGKILL to its group)------> ENDING
 *     RUNNING, ENDING --it has ended (look)------> IDLE, or RUNNING with the newest state
 *
 * A command runs in a process group of its own, with the node's environment and WEIR_EVENT
 * ("ready", "unready"), WEIR_NODE (the id) and WEIR_REASON (names of readiness.h with commas; ""
 * when ready). Its standard input is empty; what it writes goes into the log, the first lines of
 * it. When it ends, what it left behind in its group is killed: nothing outdated acts later. A
 * command that fails is logged, and repeated only if the same was asked for again meanwhile.
 *
 * Everything runs on the loop's thread (the control thread), and nothing waits.
 */
#ifndef HOOKS_H
#define HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "lifecycle_settings.h"

struct hooks;
struct net_loop;

struct hooks_options {
    struct net_loop *loop; /* borrowed; outlives it */
    const char *node;      /* id of this node; copied */
    /* Nothing runs any more. Never from inside a call. */
    void (*idle)(void *arg);
    void *arg;
};

/* NULL: *err. */
struct hooks *hooks_new(const struct hooks_options *o, struct weir_err *err);
/* A command that still runs is killed. NULL does nothing. */
void hooks_free(struct hooks *h);
/* The commands from now on; borrowed until the next call. NULL: none. If that for the present state
 * is another one, it is run. */
void hooks_configure(struct hooks *h, const struct hook_settings *settings);

/* The node is ready, or is not for `reason` (copied). */
void hooks_run(struct hooks *h, bool ready, const char *reason);
/* One runs, or is to run. */
bool hooks_busy(const struct hooks *h);
/* Ends what runs as if its time were over; the newest state is still run after it. */
void hooks_hasten(struct hooks *h);

enum hook_outcome {
    HOOK_NEVER, /* none has run */
    HOOK_RUNS,
    HOOK_EXITED, /* `code` is its exit status: 0 is success */
    HOOK_KILLED, /* `code` is the signal it died of */
    HOOK_LATE,   /* ended because its time was over */
    HOOK_FAILED, /* could not be started; `code` is errno */
};

/* Of the command that was begun last. */
struct hooks_state {
    const char *event; /* "ready", "unready"; NULL: none has run */
    enum hook_outcome outcome;
    int code;
    int64_t began_s; /* Unix time */
    int64_t took_ms; /* until it ended, or until now */
    uint64_t runs, failures;
};
void hooks_state(const struct hooks *h, struct hooks_state *out);

#endif
