/* weirctl doctor: which Redis, by the configuration of a node or by options; and what is shown of
 * it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "ctl.h"
#include "ctl_doctor_farm.h"
#include "ctl_text.h"
#include "doctor_ask.h"
#include "settings.h"
#include "weir/alloc.h"

#define CONFIG_FILE   "/etc/weir/weir.yaml"
#define ADDRESSES_MAX 64
#define PASSWORD_MAX  1024

/* ---- which Redis ---- */

/* Of the file, without the end of its line. */
static bool read_password(const char *file, char out[PASSWORD_MAX])
{
    FILE *f = fopen(file, "re");
    bool ok = f != NULL && fgets(out, PASSWORD_MAX, f) != NULL;

    if (f != NULL)
        fclose(f);
    if (!ok) {
        fprintf(stderr, "weirctl: %s: %s\n", file, f == NULL ? strerror(errno) : "it is empty");
        return false;
    }
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static const char *or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* ---- showing ---- */

static const char *version_of(const struct doctor_report *r)
{
    for (size_t i = 0; i < r->node_count; i++) {
        if (doctor_value(&r->nodes[i].info, "redis_version") != NULL)
            return doctor_value(&r->nodes[i].info, "redis_version");
    }
    return "?";
}

static void print_title(const struct ctl_options *o, const struct doctor_report *r)
{
    size_t replicas = 0;

    for (size_t i = 0; i < r->node_count; i++)
        replicas += r->nodes[i].replica;
    ctl_paint(stdout, o->colours, CTL_BOLD, doctor_role_name(r->role));
    if (r->clustered)
        printf("   Redis Cluster of %zu: %zu masters, %zu replicas; ", r->node_count,
               r->node_count - replicas, replicas);
    else
        printf("   Redis at %s; ", r->nodes[0].address);
    printf("version ");
    ctl_put(stdout, version_of(r));
    printf("; user ");
    ctl_put(stdout, r->user);
    putchar('\n');
}

static void print_row(const char *name, const char *text)
{
    if (text == NULL)
        return;
    printf("    %-9s ", name);
    ctl_put(stdout, text);
    putchar('\n');
}

static void print_where(const struct doctor_report *r, const struct doctor_finding *f)
{
    if (f->node_count == 0)
        return;
    printf("    %-9s ", "where");
    if (f->node_count > 1 && f->node_count == r->node_count)
        printf("all: ");
    for (size_t i = 0; i < f->node_count; i++) {
        fputs(i > 0 ? ", " : "", stdout);
        ctl_put(stdout, r->nodes[f->nodes[i]].address);
    }
    putchar('\n');
}

/* A command is typed into redis-cli, where nothing needs a shell's quotes. */
static void print_command(const struct doctor_report *r, const struct doctor_finding *f)
{
    const struct doctor_node *first = &r->nodes[f->node_count > 0 ? f->nodes[0] : 0];

    if (f->command == NULL)
        return;
    printf("    %-9s redis-cli -h ", "at once");
    ctl_put(stdout, first->host);
    printf(" -p %u%s\n              ", first->port,
           f->node_count > 1 ? ", and each of the others" : "");
    ctl_put(stdout, f->command);
    putchar('\n');
}

static void print_finding(const struct ctl_options *o, const struct doctor_report *r,
                          const struct doctor_finding *f)
{
    static const enum ctl_colour colours[] = {CTL_RED, CTL_YELLOW, CTL_DIM};
    char level[16];

    snprintf(level, sizeof level, "  %-7s ", doctor_level_name(f->level));
    putchar('\n');
    ctl_paint(stdout, o->colours, colours[f->level], level);
    ctl_put(stdout, f->what);
    putchar('\n');
    print_where(r, f);
    print_row("why", f->why);
    print_command(r, f);
    print_row("for good", f->line);
    print_row(f->command != NULL || f->line != NULL ? "besides" : "change", f->advice);
}

static void print_report(const struct ctl_options *o, const struct doctor_report *r)
{
    print_title(o, r);
    for (size_t i = 0; i < r->finding_count; i++)
        print_finding(o, r, &r->findings[i]);
    if (r->finding_count == 0)
        puts("\n  nothing is wrong");
}

/* ---- as JSON ---- */

static json_t *node_json(const struct doctor_node *n)
{
    const char *used = doctor_value(&n->info, "used_memory");

    return json_pack("{s:s, s:s, s:i, s:s*, s:s*, s:I, s:s*}", "address", n->address, "role",
                     n->replica ? "replica" : "master", "slots", (int)n->slots, "version",
                     doctor_value(&n->info, "redis_version"), "used_memory", used, "clock_ms",
                     (json_int_t)n->clock_ms, "trouble", n->trouble);
}

static json_t *finding_json(const struct doctor_report *r, const struct doctor_finding *f)
{
    json_t *nodes = json_array();

    for (size_t i = 0; i < f->node_count; i++)
        json_array_append_new(nodes, json_string(r->nodes[f->nodes[i]].address));
    return json_pack("{s:s, s:s, s:s, s:o*, s:s, s:s*, s:s*, s:s*}", "level",
                     doctor_level_name(f->level), "id", f->id, "what", f->what, "nodes", nodes,
                     "why", f->why, "command", f->command, "line", f->line, "advice", f->advice);
}

static json_t *report_json(const struct doctor_report *r)
{
    json_t *nodes = json_array(), *findings = json_array();

    for (size_t i = 0; i < r->node_count; i++)
        json_array_append_new(nodes, node_json(&r->nodes[i]));
    for (size_t i = 0; i < r->finding_count; i++)
        json_array_append_new(findings, finding_json(r, &r->findings[i]));
    return json_pack("{s:s, s:s, s:s, s:o*, s:o*}", "role", doctor_role_name(r->role), "mode",
                     r->clustered ? "cluster" : "plain", "user", r->user, "nodes", nodes,
                     "findings", findings);
}

/* ---- one Redis after the other ---- */

static enum ctl_exit status_of(const struct doctor_report *r)
{
    enum ctl_exit status = CTL_FINE;

    for (size_t i = 0; i < r->finding_count; i++) {
        if (r->findings[i].level == DOCTOR_BROKEN)
            return CTL_DOWN;
        if (r->findings[i].level == DOCTOR_WRONG)
            status = CTL_DEGRADED;
    }
    return status;
}

static enum ctl_exit unreachable(const struct ctl_options *o, const struct doctor_target *t,
                                 const struct weir_err *err, json_t *all)
{
    char text[512];
    const char *why = err->detail[0] != '\0' ? err->detail : weir_err_str(err, text, sizeof text);

    fprintf(stderr, "weirctl: the Redis for %s: ", doctor_role_name(t->role));
    ctl_put(stderr, why);
    fputc('\n', stderr);
    if (o->json)
        json_array_append_new(all, json_pack("{s:s, s:s}", "role", doctor_role_name(t->role),
                                             "error", why));
    return CTL_USAGE;
}

static enum ctl_exit examine(const struct ctl_options *o, const struct doctor_target *t,
                             json_t *all)
{
    struct doctor_report r = {.role = t->role};
    struct weir_err err = {0};
    enum ctl_exit status;

    if (doctor_ask(t, &r, &err)) {
        doctor_judge(&r);
        status = status_of(&r);
        if (o->json)
            json_array_append_new(all, report_json(&r));
        else
            print_report(o, &r);
        if (r.out_of_memory) {
            fputs("weirctl: out of memory: there may be more\n", stderr);
            status = CTL_DOWN;
        }
    } else {
        status = unreachable(o, t, &err, all);
    }
    doctor_report_free(&r);
    return status;
}

/* Whom to log in as: what the options say, else the configuration. */
static enum ctl_exit examine_as(const struct ctl_options *o, const struct doctor_target *target,
                                const char *password_file, json_t *all)
{
    struct doctor_target t = *target;
    char password[PASSWORD_MAX];

    if (o->user != NULL)
        t.login = o->user;
    if (o->password_file != NULL || o->user != NULL)
        password_file = o->password_file;
    if (or_null(password_file) != NULL) {
        if (!read_password(password_file, password))
            return CTL_USAGE;
        t.password = password;
    }
    return examine(o, &t, all);
}

static enum ctl_exit examine_settings(const struct ctl_options *o, enum doctor_role role,
                                      const struct farm_redis_settings *f, json_t *all)
{
    struct doctor_target t = {
        .role = role,
        .addresses = f->addresses,
        .address_count = f->address_count,
        .login = f->username,
        .user = f->username,
        .tls = {.on = f->tls,
                .ca_file = or_null(f->tls_ca_file),
                .cert_file = or_null(f->tls_certificate_file),
                .key_file = or_null(f->tls_key_file),
                .server_name = or_null(f->tls_server_name)},
    };

    return examine_as(o, &t, f->password_file, all);
}

static enum ctl_exit worse(enum ctl_exit a, enum ctl_exit b)
{
    return a > b ? a : b;
}

static enum ctl_exit by_config(const struct ctl_options *o, json_t *all)
{
    const char *file = o->config != NULL ? o->config : CONFIG_FILE;
    struct config_errors errors = {0};
    struct settings *s = config_load(file, &errors);
    enum ctl_exit status = CTL_USAGE;

    if (s == NULL) {
        config_errors_print(&errors, stderr);
        if (o->config == NULL)
            fputs("weirctl: say --config FILE or --redis HOST:PORT\n", stderr);
    } else if (s->farm.redis.address_count == 0) {
        fprintf(stderr, "weirctl: %s: this node belongs to no farm (farm.redis.addresses)\n", file);
    } else if (s->farm.state_redis.address_count == 0) {
        status = examine_settings(o, DOCTOR_ONE, &s->farm.redis, all);
    } else {
        status = examine_settings(o, DOCTOR_CACHE, &s->farm.redis, all);
        if (!o->json)
            putchar('\n');
        status = worse(status, examine_settings(o, DOCTOR_STATE, &s->farm.state_redis, all));
    }
    config_errors_free(&errors);
    settings_unref(s);
    return status;
}

static bool role_of(const char *name, enum doctor_role *out)
{
    static const enum doctor_role roles[] = {DOCTOR_CACHE, DOCTOR_STATE, DOCTOR_ONE};

    *out = DOCTOR_ONE;
    for (size_t i = 0; name != NULL && i < 3; i++) {
        if (strcmp(doctor_role_name(roles[i]), name) == 0) {
            *out = roles[i];
            return true;
        }
    }
    return name == NULL;
}

/* --redis: addresses between commas. */
static enum ctl_exit by_options(const struct ctl_options *o, json_t *all)
{
    const char *addresses[ADDRESSES_MAX];
    char *list = weir_strndup(o->redis, strlen(o->redis)), *rest = list;
    struct doctor_target t = {
        .addresses = addresses,
        .user = o->node_user != NULL ? o->node_user : o->user,
        .tls = {.on = o->tls || o->ca_file != NULL,
                .ca_file = o->ca_file,
                .cert_file = o->cert_file,
                .key_file = o->key_file,
                .server_name = o->server_name},
    };
    enum ctl_exit status;

    while (rest != NULL && t.address_count < ADDRESSES_MAX)
        addresses[t.address_count++] = strsep(&rest, ",");
    if (list == NULL || !role_of(o->role, &t.role)) {
        fputs(list == NULL ? "weirctl: out of memory\n"
                           : "weirctl: --role is cache, state or one\n",
              stderr);
        status = list == NULL ? CTL_DOWN : CTL_USAGE;
    } else {
        status = examine_as(o, &t, NULL, all);
    }
    weir_free(list);
    return status;
}

/* Its nodes too, where Redis itself could be examined, and the secret is known. */
static enum ctl_exit examine_farm(const struct ctl_options *o, json_t *all)
{
    if (o->redis != NULL && o->secret_file == NULL)
        return CTL_FINE;
    return ctl_doctor_farm(o, o->config != NULL ? o->config : CONFIG_FILE, all);
}

enum ctl_exit ctl_doctor(const struct ctl_options *o)
{
    json_t *all = json_array();
    enum ctl_exit status = o->redis != NULL ? by_options(o, all) : by_config(o, all);

    if (status != CTL_USAGE)
        status = worse(status, examine_farm(o, all));
    if (o->json && json_array_size(all) > 0)
        ctl_print_json(all);
    json_decref(all);
    return status;
}
