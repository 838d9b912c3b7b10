/*
 * ctl.h - what weirctl was asked for, and the commands.
 */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct weir_err;

/* What monitors look at. */
enum ctl_exit {
    CTL_FINE = 0,
    CTL_DEGRADED = 1, /* it works, but not as it should; nothing found */
    CTL_DOWN = 2,     /* the node cannot do it; nobody is served */
    CTL_USAGE = 3,    /* asked wrongly, or nobody to ask */
};

#define CTL_LIST_MAX 64

struct ctl_list {
    const char *at[CTL_LIST_MAX];
    unsigned count;
};

/* The command line as it was understood (ctl_line.h). Texts are argv's; NULL: not said. */
struct ctl_options {
    struct ctl_list words;        /* the command and its arguments */
    const char *const *arguments; /* within words */
    unsigned argument_count;
    bool json, help, version, colours;
    FILE *complaints; /* NULL: standard error */
    /* where the node is */
    const char *socket; /* NULL: look for it */
    const char *node, *token_file;
    /* where Redis is */
    const char *config, *redis, *user, *password_file, *secret_file, *farm;
    const char *role, *node_user; /* doctor */
    const char *ca_file, *cert_file, *key_file, *server_name;
    bool tls;
    /* cache */
    struct ctl_list fields; /* -H */
    struct ctl_list urls, prefixes, tags, hosts;
    bool all, hard, wait, show_fields;
    /* origins and words */
    const char *upstream, *reason;
    uint64_t for_ms; /* 0: for good */
    /* reload, drain, purge --wait */
    bool rolling;
    uint64_t timeout_ms; /* 0: not said */
    /* top */
    bool once;
    uint64_t interval_ms; /* 0: not said */
    const char *sort;
};

#define CTL_PURGE_WAIT_MS     10000 /* unless said otherwise */
#define CTL_PURGE_WAIT_MS_MAX 30000 /* what a node waits at most */

enum ctl_exit ctl_cache_stats(const struct ctl_options *o);
enum ctl_exit ctl_cache_get(const struct ctl_options *o);
enum ctl_exit ctl_cache_purge(const struct ctl_options *o);
enum ctl_exit ctl_redis(const struct ctl_options *o);
enum ctl_exit ctl_metrics(const struct ctl_options *o);
enum ctl_exit ctl_doctor(const struct ctl_options *o);
enum ctl_exit ctl_help(const struct ctl_options *o);

/* ---- for the commands ---- */

/* How long `cache purge --wait` waits. */
unsigned ctl_purge_wait_ms(const struct ctl_options *o);

/*
 * Asks the node and takes care of whatever is no answer: then *out is NULL, the reason is on
 * standard error, and what is returned is the exit status. Else CTL_FINE and *out is owned. With
 * --json the answer has been printed.
 */
enum ctl_exit ctl_call(const struct ctl_options *o, const char *method, const char *target,
                       const json_t *body, json_t **out);
/* The same, but nothing is printed of a good answer. */
enum ctl_exit ctl_fetch(const struct ctl_options *o, const char *method, const char *target,
                        const json_t *body, json_t **out);

/* One line, for people: what went wrong. Returns CTL_USAGE. */
enum ctl_exit ctl_complain(const struct ctl_options *o, const struct weir_err *err);
void ctl_print_json(const json_t *json);

/* What stands behind a path of names in an object; nothing there reads as 0, "" or false. */
json_t *ctl_at(const json_t *object, const char *name, const char *inner);
int64_t ctl_int(const json_t *object, const char *name, const char *inner);
const char *ctl_str(const json_t *object, const char *name);

/* How `cache get` shows one answer; returns whether something is stored. */
bool ctl_entry_print(const struct ctl_options *o, const json_t *answer);

#endif
