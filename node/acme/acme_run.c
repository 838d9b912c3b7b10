#include "acme_run.h"

#include <errno.h>
#include <fts.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/arena.h"
#include "weir/container.h"
#include "weir/keepfile.h"
#include "weir/log.h"
#include "acme_hook.h"
#include "acme_record.h"
#include "hook_process.h"
#include "net_loop.h"

#define LOOK_MS    100
#define KILL_MS    2000 /* from SIGTERM to SIGKILL */
#define PATH_ROOM  4096
#define ARGS_FIXED 20
#define ARENA_MAX  (256 * 1024)

enum step { IDLE, ACCOUNT, ORDER };

struct acme_run {
    struct acme_run_options o;
    char *folder, *work, *self;
    struct weir_arena arena; /* what the order is about: settings may be replaced meanwhile */
    struct acme_settings s;
    struct acme_certificate_settings c;
    enum step step;
    struct hook_process process;
    struct event output;
    struct net_timer look;
    int64_t deadline_ms;
    bool ending;      /* it was told to end */
    bool had_account; /* its key was there before */
    char *chain, *key, *account;
};

/* ---- the folder ---- */

/* Everything in it was written by the client, or is of a run that was killed. */
static void remove_tree(const char *path)
{
    char *const paths[] = {(char *)(uintptr_t)path, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    FTSENT *e;

    while (tree != NULL && (e = fts_read(tree)) != NULL) {
        if (e->fts_info == FTS_DP)
            rmdir(e->fts_accpath);
        else if (e->fts_info != FTS_D)
            unlink(e->fts_accpath);
    }
    if (tree != NULL)
        fts_close(tree);
}

static bool path_of(const struct acme_run *r, const char *rest, char out[PATH_ROOM])
{
    return snprintf(out, PATH_ROOM, "%s/%s", r->work, rest) < PATH_ROOM;
}

static bool make_folder(struct acme_run *r, const char *account, struct weir_err *err)
{
    char path[PATH_ROOM];

    remove_tree(r->work);
    if (mkdir(r->work, 0700) != 0 || !path_of(r, "private", path) || mkdir(path, 0700) != 0)
        return weir_failf(err, WEIR_E_FILE, "acme: folder", errno, "%.120s", r->work);
    if (account == NULL)
        return true;
    return path_of(r, "private/key.pem", path) &&
           weir_keepfile_write(path, weir_span_str(account), err);
}

static char *read_pem(struct acme_run *r, const char *before, const char *name, const char *after)
{
    char rest[PATH_ROOM], path[PATH_ROOM];
    char *text = NULL;
    size_t len = 0;

    if (snprintf(rest, sizeof rest, "%s%s%s", before, name, after) >= PATH_ROOM ||
        !path_of(r, rest, path) || !weir_keepfile_read(path, ACME_PEM_MAX, &text, &len, NULL) ||
        text == NULL)
        return NULL;
    text[len] = '\0';
    return text;
}

static void forget(char **text)
{
    if (*text != NULL)
        explicit_bzero(*text, strlen(*text));
    weir_free(*text);
    *text = NULL;
}

/* ---- what is started ---- */

struct args {
    const char **argv;
    size_t count;
};

static void add(struct args *a, const char *word)
{
    a->argv[a->count++] = word;
}

static void add_key_type(struct args *a, enum acme_key_type type)
{
    static const char *const bits[] = {[ACME_EC256] = "256",
                                       [ACME_EC384] = "384",
                                       [ACME_RSA2048] = "2048",
                                       [ACME_RSA3072] = "3072",
                                       [ACME_RSA4096] = "4096"};

    add(a, "-t");
    add(a, type == ACME_EC256 || type == ACME_EC384 ? "EC" : "RSA");
    add(a, "-b");
    add(a, bits[type]);
}

static void add_common(struct args *a, const struct acme_run *r)
{
    add(a, r->s.client);
    add(a, "-c");
    add(a, r->work);
    add(a, "-a");
    add(a, r->s.directory);
}

/* The names come last and begin with a letter or digit: none is taken for an option. */
static void add_words(struct args *a, const struct acme_run *r)
{
    add_common(a, r);
    if (r->step == ACCOUNT) {
        add(a, "-y"); /* the operator has agreed: config_rules */
        add(a, "new");
        if (r->s.email[0] != '\0')
            add(a, r->s.email);
        return;
    }
    add_key_type(a, r->s.key_type);
    add(a, "-o");
    add(a, "-h");
    add(a, r->self);
    add(a, "issue");
    for (size_t i = 0; i < r->c.name_count; i++)
        add(a, r->c.names[i]);
}

static char **make_env(const struct acme_run *r, char **ours)
{
    size_t n = 0, room = sizeof ACME_HOOK_ENV + strlen(r->folder) + 1;
    char **env;

    while (environ[n] != NULL)
        n++;
    env = weir_calloc(n + 2, sizeof *env);
    *ours = weir_malloc(room);
    if (env == NULL || *ours == NULL) {
        weir_free(env);
        return NULL;
    }
    snprintf(*ours, room, ACME_HOOK_ENV "=%s", r->folder);
    memcpy(env, environ, n * sizeof *env);
    env[n] = *ours;
    return env;
}

static void on_output(evutil_socket_t fd, short what, void *arg);

static bool start_process(struct acme_run *r, struct weir_err *err)
{
    struct args a = {weir_calloc(ARGS_FIXED + r->c.name_count, sizeof *a.argv), 0};
    char *ours = NULL, **env = make_env(r, &ours);
    bool ok = false;

    if (a.argv != NULL && env != NULL) {
        add_words(&a, r);
        ok = hook_process_start(&r->process, "acme", (char *const *)(void *)a.argv, env, err);
    } else {
        weir_fail(err, WEIR_E_MEMORY, "acme: start", 0);
    }
    weir_free(ours);
    weir_free(env);
    weir_free(a.argv);
    if (ok && r->process.fd >= 0) {
        event_assign(&r->output, r->o.loop->base, r->process.fd, EV_READ | EV_PERSIST, on_output,
                     r);
        event_add(&r->output, NULL);
    }
    return ok;
}

static bool begin(struct acme_run *r, enum step step, struct weir_err *err)
{
    r->step = step;
    r->ending = false;
    r->deadline_ms = net_now_ms(r->o.loop) + (step == ACCOUNT ? ACME_ACCOUNT_MS : ACME_ORDER_MS);
    if (!start_process(r, err)) {
        r->step = IDLE;
        return false;
    }
    net_timer_start(r->o.loop, &r->look, net_now_ms(r->o.loop) + LOOK_MS);
    return true;
}

/* ---- how it ends ---- */

static void stop_listening(struct acme_run *r)
{
    if (event_initialized(&r->output))
        event_del(&r->output);
    hook_process_close(&r->process);
}

static void fail(struct acme_run *r, const char *why)
{
    r->step = IDLE;
    remove_tree(r->work);
    r->o.over(r->o.arg, NULL, why);
}

static void succeed(struct acme_run *r)
{
    struct acme_got got;

    r->step = IDLE;
    forget(&r->chain);
    forget(&r->key);
    forget(&r->account);
    r->chain = read_pem(r, "", r->c.names[0], "/cert.pem");
    r->key = read_pem(r, "private/", r->c.names[0], "/key.pem");
    r->account = read_pem(r, "private", "", "/key.pem");
    remove_tree(r->work);
    got = (struct acme_got){r->chain, r->key, r->account};
    if (r->chain == NULL || r->key == NULL || r->account == NULL)
        r->o.over(r->o.arg, NULL, "the client said that all is well and left no certificate");
    else
        r->o.over(r->o.arg, &got, NULL);
}

static void ended(struct acme_run *r, int status)
{
    char why[HOOK_LINE_MAX + 80];
    struct weir_err err = {0};

    stop_listening(r);
    if (r->ending) {
        fail(r, r->step == ACCOUNT ? "the account: no answer in time" : "no certificate in time");
    } else if ((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
               (r->step == ACCOUNT && r->had_account)) {
        /* uacme fails where an account is there already, and it is asked for all the same: the
         * authority may have forgotten it. If there is none the order says so. */
        if (r->step == ORDER)
            succeed(r);
        else if (!begin(r, ORDER, &err))
            fail(r, err.detail);
    } else {
        snprintf(why, sizeof why, "%s: %s (status %d)", r->step == ACCOUNT ? "account" : "order",
                 r->process.last[0] != '\0' ? r->process.last : "the client failed",
                 WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        fail(r, why);
    }
}

static void on_look(struct net_timer *t)
{
    struct acme_run *r = WEIR_CONTAINER(t, struct acme_run, look);
    int64_t now = net_now_ms(r->o.loop);
    int status;

    if (hook_process_ended(&r->process, &status)) {
        ended(r, status);
        return;
    }
    if (now >= r->deadline_ms) {
        hook_process_signal(&r->process, r->ending ? SIGKILL : SIGTERM);
        r->ending = true;
        r->deadline_ms = now + KILL_MS;
    }
    net_timer_start(r->o.loop, &r->look, now + LOOK_MS);
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
    struct acme_run *r = arg;

    (void)fd;
    (void)what;
    net_loop_enter(r->o.loop);
    if (!hook_process_read(&r->process))
        event_del(&r->output);
}

/* ---- life ---- */

struct acme_run *acme_run_new(const struct acme_run_options *o, struct weir_err *err)
{
    struct acme_run *r = weir_calloc(1, sizeof *r);
    char work[PATH_ROOM];

    if (r == NULL || snprintf(work, sizeof work, "%s/work", o->folder) >= PATH_ROOM) {
        weir_free(r);
        weir_fail(err, WEIR_E_MEMORY, "acme: run", 0);
        return NULL;
    }
    r->o = *o;
    r->folder = weir_strndup(o->folder, strlen(o->folder));
    r->work = weir_strndup(work, strlen(work));
    r->self = weir_strndup(o->self, strlen(o->self));
    weir_arena_init(&r->arena, ARENA_MAX);
    r->process.fd = -1;
    r->look.fire = on_look;
    if (r->folder != NULL && r->work != NULL && r->self != NULL)
        return r;
    weir_fail(err, WEIR_E_MEMORY, "acme: run", 0);
    acme_run_free(r);
    return NULL;
}

static bool copy_settings(struct acme_run *r, const struct acme_settings *s,
                          const struct acme_certificate_settings *c)
{
    const char **names = weir_arena_alloc(&r->arena, (c->name_count + 1) * sizeof *names);

    r->s = (struct acme_settings){
        .directory = weir_arena_printf(&r->arena, "%s", s->directory),
        .email = weir_arena_printf(&r->arena, "%s", s->email),
        .client = weir_arena_printf(&r->arena, "%s", s->client),
        .key_type = s->key_type,
    };
    r->c = (struct acme_certificate_settings){.names = names, .name_count = c->name_count};
    if (names == NULL || r->s.directory == NULL || r->s.email == NULL || r->s.client == NULL)
        return false;
    for (size_t i = 0; i < c->name_count; i++)
        if ((names[i] = weir_arena_printf(&r->arena, "%s", c->names[i])) == NULL)
            return false;
    return true;
}

bool acme_run_start(struct acme_run *r, const struct acme_settings *s,
                    const struct acme_certificate_settings *c, const char *account,
                    struct weir_err *err)
{
    weir_arena_reset(&r->arena);
    r->had_account = account != NULL;
    if (!copy_settings(r, s, c))
        return weir_fail(err, WEIR_E_MEMORY, "acme: start", 0);
    if (make_folder(r, account, err) && begin(r, ACCOUNT, err))
        return true;
    remove_tree(r->work);
    return false;
}

void acme_run_free(struct acme_run *r)
{
    if (r == NULL)
        return;
    net_timer_stop(r->o.loop, &r->look);
    if (r->step != IDLE) {
        hook_process_kill(&r->process);
        stop_listening(r);
        remove_tree(r->work);
    }
    forget(&r->chain);
    forget(&r->key);
    forget(&r->account);
    weir_arena_free(&r->arena);
    weir_free(r->folder);
    weir_free(r->work);
    weir_free(r->self);
    weir_free(r);
}
