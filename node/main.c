/*
 * main.c - the weir command: what to run, with which configuration.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir/log.h"
#include "access_log.h"
#include "acme_hook.h"
#include "config.h"
#include "warden.h"
#include "privileges.h"
#include "runtime.h"

#define ARGS_MAX 64

enum { EXIT_CONFIG = 2, EXIT_USAGE = 3 };

struct options {
    const char *config;
    const char *listens[ARGS_MAX];
    size_t listen_count;
    const char *origins[ARGS_MAX];
    size_t origin_count;
};

static const char usage[] =
    "weir - a caching reverse proxy\n"
    "\n"
    "  weir --config FILE                 run a node\n"
    "  weir --listen ADDR --origin URL    run a node without a file (each may be repeated)\n"
    "  weir check FILE                    check a configuration and exit\n"
    "  weir --version\n"
    "\n"
    "ADDR is like 127.0.0.1:8080, [::1]:8080, :8080 or unix:/run/weir.sock,\n"
    "URL like http://127.0.0.1:3000 or unix:/run/app.sock.\n"
    "\n"
    "Signals: SIGTERM drains and ends (twice: at once), SIGHUP reloads the file,\n"
    "SIGUSR1 reopens log files. Exit status: 0, 1 cannot start, 2 bad configuration, 3 usage.\n";

static bool is_access_field(const char *name)
{
    for (unsigned n = 0; access_field_name(n) != NULL; n++)
        if (strcmp(access_field_name(n), name) == 0)
            return true;
    return false;
}

/* The access log knows its fields, the configuration only that they are words. */
static bool log_fields_exist(const char *path, const struct log_settings *log)
{
    bool ok = true;

    for (size_t i = 0; i < log->field_count; i++)
        if (!is_access_field(log->fields[i])) {
            fprintf(stderr, "%s: log.fields[%zu]: no field \"%s\"; there are:", path, i,
                    log->fields[i]);
            for (unsigned n = 0; access_field_name(n) != NULL; n++)
                fprintf(stderr, " %s", access_field_name(n));
            fputc('\n', stderr);
            ok = false;
        }
    return ok;
}

static void tell_first(const struct config_errors *errors, char *out, size_t size)
{
    const struct config_error *e = errors->items;

    if (errors->count == 0)
        snprintf(out, size, "out of memory");
    else if (e->line > 0)
        snprintf(out, size, "%s:%u: %s%s%s", e->file, e->line, e->path,
                 e->path[0] != '\0' ? ": " : "", e->message);
    else
        snprintf(out, size, "%s: %s", e->file, e->message);
}

/* All errors go to standard error, the first one into `error`. */
static struct settings *load_file(const char *path, struct warden *warden, char *error, size_t size)
{
    struct config_errors errors = {0};
    struct weir_opener opener;
    struct settings *s = config_load_by(path, warden_opener(warden, &opener), &errors);

    if (s == NULL) {
        tell_first(&errors, error, size);
        config_errors_print(&errors, stderr);
    }
    config_errors_free(&errors);
    if (s != NULL && !log_fields_exist(path, &s->log)) {
        snprintf(error, size, "%s: log.fields: unknown field", path);
        settings_unref(s);
        return NULL;
    }
    return s;
}

static struct settings *load_args(const struct options *o)
{
    struct config_errors errors = {0};
    struct settings *s =
        config_from_args(o->listens, o->listen_count, o->origins, o->origin_count, &errors);

    if (s == NULL)
        config_errors_print(&errors, stderr);
    config_errors_free(&errors);
    return s;
}

struct reloading {
    const char *file;
    struct warden *warden; /* NULL: none */
};

static struct settings *reload(void *arg, char *error, size_t size)
{
    const struct reloading *r = arg;

    return load_file(r->file, r->warden, error, size);
}

static int check(const char *path)
{
    char error[256];
    struct weir_err err = {0};
    struct settings *s = load_file(path, NULL, error, sizeof error);

    if (s == NULL)
        return EXIT_CONFIG;
    if (!runtime_check(s, &err)) {
        fprintf(stderr, "%s: %s\n", path, weir_err_str(&err, error, sizeof error));
        settings_unref(s);
        return EXIT_CONFIG;
    }
    printf("%s: ok: %zu address%s, %zu upstream%s, %zu route%s\n", path, s->listen_count,
           s->listen_count == 1 ? "" : "es", s->upstream_count, s->upstream_count == 1 ? "" : "s",
           s->route_count, s->route_count == 1 ? "" : "s");
    settings_unref(s);
    return 0;
}

static int wrong(const char *what)
{
    fprintf(stderr, "weir: %s\ntry: weir --help\n", what);
    return EXIT_USAGE;
}

/* 0: go on; else an exit status plus one. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'}, {"listen", required_argument, NULL, 'l'},
        {"origin", required_argument, NULL, 'o'}, {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "c:l:o:Vh", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case 'l':
            if (o->listen_count == ARGS_MAX)
                return 1 + wrong("too many --listen");
            o->listens[o->listen_count++] = optarg;
            break;
        case 'o':
            if (o->origin_count == ARGS_MAX)
                return 1 + wrong("too many --origin");
            o->origins[o->origin_count++] = optarg;
            break;
        case 'V':
            puts("weir " WEIR_VERSION);
            return 1;
        case 'h':
            fputs(usage, stdout);
            return 1;
        default:
            return 1 + EXIT_USAGE; /* getopt has said why */
        }
    }
    if (optind < argc)
        return 1 + wrong("unexpected argument");
    return 0;
}

static int run(const struct options *o)
{
    struct runtime_options options = {0};
    struct reloading reloading = {.file = o->config};
    int status;
    enum weir_log_level level;
    struct weir_err err = {0};
    char error[256];

    options.version = WEIR_VERSION;
    options.settings =
        o->config != NULL ? load_file(o->config, NULL, error, sizeof error) : load_args(o);
    if (options.settings == NULL)
        return EXIT_CONFIG;
    if (weir_log_level_parse(options.settings->log.level, &level))
        weir_log_set_level(level);
    if (!privileges_give_up(options.settings, o->config, &reloading.warden, &err)) {
        weir_log_err(WEIR_LOG_ERROR, "cannot start", &err);
        settings_unref(options.settings);
        return 1;
    }
    options.warden = reloading.warden;
    if (options.settings->log.error_file != NULL &&
        strcmp(options.settings->log.error_file, "-") != 0 &&
        !weir_log_open(options.settings->log.error_file, &err)) {
        weir_log_err(WEIR_LOG_ERROR, "cannot start", &err);
        settings_unref(options.settings);
        warden_stop(reloading.warden);
        return 1;
    }
    if (o->config != NULL) {
        options.load = reload;
        options.arg = &reloading;
        options.file = o->config;
    }
    status = runtime_run(&options);
    warden_stop(reloading.warden);
    return status;
}

int main(int argc, char **argv)
{
    const char *hook = getenv(ACME_HOOK_ENV);
    struct options o = {0};
    int done;

    if (hook != NULL) /* started by the client of ACME, which a node has started */
        return acme_hook_main(argc, argv, hook);
    if (argc >= 2 && strcmp(argv[1], "check") == 0)
        return argc == 3 ? check(argv[2]) : wrong("check takes one file");
    done = parse(argc, argv, &o);
    if (done != 0)
        return done - 1;
    if (o.config != NULL && (o.listen_count > 0 || o.origin_count > 0))
        return wrong("--config and --listen or --origin exclude each other");
    if (o.config == NULL && (o.listen_count == 0 || o.origin_count == 0))
        return wrong("say --config FILE, or --listen ADDR and --origin URL");
    return run(&o);
}
