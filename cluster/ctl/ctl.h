/*
 * ctl.h - what weirctl was asked for, and the commands.
 */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>
#include <stdbool.h>

/* What monitors look at. */
enum ctl_exit {
    CTL_FINE = 0,
    CTL_DEGRADED = 1, /* it works, but not as it should; nothing found */
    CTL_DOWN = 2,     /* the node cannot do it */
    CTL_USAGE = 3,    /* asked wrongly, or nobody to ask */
};

#define CTL_LIST_MAX 64

struct ctl_list {
    const char *at[CTL_LIST_MAX];
    unsigned count;
};

struct ctl_options {
    const char *socket; /* NULL: look for it */
    bool json;
    bool colours;
    struct ctl_list words;  /* the command and its arguments */
    struct ctl_list fields; /* -H */
    struct ctl_list urls, prefixes, tags, hosts;
    bool all, hard, show_fields;
    /* doctor */
    const char *config, *redis, *role, *user, *password_file, *node_user;
    const char *ca_file, *cert_file, *key_file, *server_name;
    bool tls;
};

enum ctl_exit ctl_cache_stats(const struct ctl_options *o);
enum ctl_exit ctl_cache_get(const struct ctl_options *o);
enum ctl_exit ctl_cache_purge(const struct ctl_options *o);
enum ctl_exit ctl_redis(const struct ctl_options *o);
enum ctl_exit ctl_metrics(const struct ctl_options *o);
enum ctl_exit ctl_doctor(const struct ctl_options *o);

/* ---- for the commands ---- */

/*
 * Asks the node and takes care of whatever is no answer: then *out is NULL, the reason is on
 * standard error, and what is returned is the exit status. Else CTL_FINE and *out is owned. With
 * --json the answer has been printed.
 */
enum ctl_exit ctl_call(const struct ctl_options *o, const char *method, const char *target,
                       const json_t *body, json_t **out);

void ctl_print_json(const json_t *json);

/* What stands behind a path of names in an object; nothing there reads as 0, "" or false. */
json_t *ctl_at(const json_t *object, const char *name, const char *inner);
int64_t ctl_int(const json_t *object, const char *name, const char *inner);
const char *ctl_str(const json_t *object, const char *name);

/* How `cache get` shows one answer; returns whether something is stored. */
bool ctl_entry_print(const struct ctl_options *o, const json_t *answer);

#endif
