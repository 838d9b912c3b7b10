#include "hooks.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "hook_process.h"
#include "net_loop.h"
#include "readiness.h"

#define KILL_MS  1000 /* from SIGTERM to SIGKILL */
#define OUR_VARS 3

enum wanted { NOTHING = -1, UNREADY, READY };

struct hooks {
    struct hooks_options o;
    char *node;                           /* owned */
    const struct hook_settings *settings; /* borrowed; NULL: none */
    enum wanted want, ran;
    char reason[READINESS_TEXT_MAX]; /* of want */
    bool asked;                      /* while one ran */

    struct hook_process process;
    struct event output;
    struct net_timer look;
    int64_t began_ms, deadline_ms; /* INT64_MAX: it was killed already */
    bool ending, idle_due;

    struct hooks_state last;
};

static const char *const names[] = {"unready", "ready"};

static bool running(const struct hooks *h)
{
    return h->process.pid > 0;
}

static bool succeeded(const struct hooks *h)
{
    return h->last.outcome == HOOK_EXITED && h->last.code == 0;
}

static void look_soon(struct hooks *h)
{
    net_timer_start(h->o.loop, &h->look, net_now_ms(h->o.loop));
}

/* ---- what it is started with ---- */

struct command {
    const char *const *words;
    size_t count;
};

static struct command command_for(const struct hook_settings *s, enum wanted w)
{
    if (s == NULL || w == NOTHING)
        return (struct command){NULL, 0};
    return w == READY ? (struct command){s->ready, s->ready_count}
                      : (struct command){s->unready, s->unready_count};
}

static bool same_command(struct command a, struct command b)
{
    if (a.count != b.count)
        return false;
    for (size_t i = 0; i < a.count; i++)
        if (strcmp(a.words[i], b.words[i]) != 0)
            return false;
    return true;
}

static bool is_ours(const char *var)
{
    return strncmp(var, "WEIR_EVENT=", 11) == 0 || strncmp(var, "WEIR_NODE=", 10) == 0 ||
           strncmp(var, "WEIR_REASON=", 12) == 0;
}

static char *make_var(const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 2;
    char *var = weir_malloc(size);

    if (var != NULL)
        snprintf(var, size, "%s=%s", name, value);
    return var;
}

/* The node's own, and three of ours at the front, which alone are owned. */
static char **make_env(const struct hooks *h)
{
    size_t n = 0, used = OUR_VARS;
    char **env;

    while (environ[n] != NULL)
        n++;
    env = weir_calloc(n + OUR_VARS + 1, sizeof *env);
    if (env == NULL)
        return NULL;
    env[0] = make_var("WEIR_EVENT", names[h->want]);
    env[1] = make_var("WEIR_NODE", h->node);
    env[2] = make_var("WEIR_REASON", h->reason);
    for (size_t i = 0; i < n; i++)
        if (!is_ours(environ[i]))
            env[used++] = environ[i];
    return env;
}

static void free_env(char **env)
{
    for (int i = 0; env != NULL && i < OUR_VARS; i++)
        weir_free(env[i]);
    weir_free(env);
}

static char **make_argv(struct command c)
{
    char **argv = weir_calloc(c.count + 1, sizeof *argv);

    for (size_t i = 0; argv != NULL && i < c.count; i++)
        memcpy(&argv[i], &c.words[i], sizeof argv[i]); /* posix_spawn() writes to none of them */
    return argv;
}

static bool start_process(struct hooks *h, struct command c, struct weir_err *err)
{
    char **env = make_env(h), **argv = make_argv(c);
    bool ok = env != NULL && argv != NULL && env[0] != NULL && env[1] != NULL && env[2] != NULL;

    if (ok)
        ok = hook_process_start(&h->process, names[h->want], argv, env, err);
    else
        weir_fail(err, WEIR_E_MEMORY, "hook: start", 0);
    free_env(env);
    weir_free(argv);
    return ok;
}

/* ---- one after the other ---- */

static void on_output(evutil_socket_t fd, short what, void *arg)
{
    struct hooks *h = arg;

    (void)fd;
    (void)what;
    net_loop_enter(h->o.loop);
    if (hook_process_read(&h->process))
        return;
    event_del(&h->output);
    if (running(h)) /* who closes the output is about to end */
        look_soon(h);
}

static void count_failure(struct hooks *h)
{
    if (!succeeded(h))
        h->last.failures++;
}

static void begin(struct hooks *h)
{
    struct command c = command_for(h->settings, h->want);
    int64_t now = net_now_ms(h->o.loop);
    struct weir_err err = {0};

    h->ran = h->want;
    h->asked = false;
    if (c.count == 0)
        return;
    h->last.event = names[h->want];
    h->last.began_s = h->o.loop->clock.wall_s;
    h->last.took_ms = 0;
    h->last.runs++;
    h->began_ms = now;
    h->idle_due = true;
    look_soon(h);
    if (!start_process(h, c, &err)) {
        h->last.outcome = HOOK_FAILED;
        h->last.code = err.os != 0 ? err.os : ENOMEM;
        count_failure(h);
        weir_log_err(WEIR_LOG_ERROR, "hook cannot be run", &err);
        return;
    }
    h->last.outcome = HOOK_RUNS;
    h->last.code = 0;
    h->ending = false;
    h->deadline_ms = now + h->settings->timeout_ms;
    weir_log(WEIR_LOG_INFO, "hook %s: runs %s", h->last.event, c.words[0]);
    if (h->process.fd >= 0) {
        event_assign(&h->output, h->o.loop->base, h->process.fd, EV_READ | EV_PERSIST, on_output,
                     h);
        event_add(&h->output, NULL);
    }
}

static void begin_if_due(struct hooks *h)
{
    bool again = h->asked && !succeeded(h);

    if (h->settings != NULL && h->want != NOTHING && (h->want != h->ran || again))
        begin(h);
}

static void stop_watching(struct hooks *h)
{
    if (h->process.fd >= 0)
        event_del(&h->output);
    hook_process_close(&h->process);
}

static void note_end(struct hooks *h, int status)
{
    char what[64];

    h->last.took_ms = net_now_ms(h->o.loop) - h->began_ms;
    h->last.outcome = HOOK_EXITED;
    h->last.code = status;
    if (status >= 0 && WIFEXITED(status)) {
        h->last.code = WEXITSTATUS(status);
        snprintf(what, sizeof what, "exit status %d", h->last.code);
    } else if (status >= 0 && WIFSIGNALED(status)) {
        h->last.outcome = HOOK_KILLED;
        h->last.code = WTERMSIG(status);
        snprintf(what, sizeof what, "signal %d", h->last.code);
    } else {
        snprintf(what, sizeof what, "an end nobody saw");
    }
    if (h->ending)
        h->last.outcome = HOOK_LATE;
    count_failure(h);
    weir_log(succeeded(h) ? WEIR_LOG_INFO : WEIR_LOG_ERROR, "hook %s: %s after %lld ms%s",
             h->last.event, what, (long long)h->last.took_ms, h->ending ? ", ended by us" : "");
}

/* SIGTERM, and SIGKILL if that does not help. */
static void press(struct hooks *h)
{
    if (net_now_ms(h->o.loop) < h->deadline_ms)
        return;
    if (h->ending) {
        weir_log(WEIR_LOG_ERROR, "hook %s: does not end: killing it", h->last.event);
        hook_process_signal(&h->process, SIGKILL);
        h->deadline_ms = INT64_MAX;
        return;
    }
    weir_log(WEIR_LOG_ERROR, "hook %s: takes too long: ending it", h->last.event);
    hook_process_signal(&h->process, SIGTERM);
    h->ending = true;
    h->deadline_ms = net_now_ms(h->o.loop) + KILL_MS;
}

/* Each tick while one runs. */
static void on_look(struct net_timer *t)
{
    struct hooks *h = WEIR_CONTAINER(t, struct hooks, look);
    int status;

    if (running(h)) {
        if (!hook_process_ended(&h->process, &status)) {
            press(h);
            net_timer_start(h->o.loop, &h->look, net_now_ms(h->o.loop) + NET_TICK_MS);
            return;
        }
        stop_watching(h);
        note_end(h, status);
    }
    begin_if_due(h);
    if (hooks_busy(h) || !h->idle_due)
        return;
    h->idle_due = false;
    if (h->o.idle != NULL)
        h->o.idle(h->o.arg);
}

/* ---- for who owns it ---- */

struct hooks *hooks_new(const struct hooks_options *o, struct weir_err *err)
{
    struct hooks *h = weir_calloc(1, sizeof *h);

    if (h != NULL)
        h->node = weir_strndup(o->node, strlen(o->node));
    if (h == NULL || h->node == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "hooks: create", 0);
        weir_free(h);
        return NULL;
    }
    h->o = *o;
    h->want = h->ran = NOTHING;
    h->process.fd = -1;
    h->look.fire = on_look;
    /* Who started us may have had it ignored: then nobody would learn how a command ended. */
    signal(SIGCHLD, SIG_DFL);
    return h;
}

void hooks_free(struct hooks *h)
{
    if (h == NULL)
        return;
    net_timer_stop(h->o.loop, &h->look);
    if (running(h)) {
        weir_log(WEIR_LOG_WARN, "hook %s: killed, the node ends", h->last.event);
        hook_process_kill(&h->process);
    }
    stop_watching(h);
    weir_free(h->node);
    weir_free(h);
}

void hooks_configure(struct hooks *h, const struct hook_settings *settings)
{
    bool same = same_command(command_for(h->settings, h->want), command_for(settings, h->want));

    h->settings = settings;
    if (same)
        return;
    h->ran = NOTHING;
    if (!running(h))
        begin_if_due(h);
}

void hooks_run(struct hooks *h, bool ready, const char *reason)
{
    h->want = ready ? READY : UNREADY;
    snprintf(h->reason, sizeof h->reason, "%s", reason);
    if (running(h))
        h->asked = true;
    else
        begin_if_due(h);
}

bool hooks_busy(const struct hooks *h)
{
    return running(h) || (h->idle_due && h->look.at != NULL);
}

void hooks_hasten(struct hooks *h)
{
    if (!running(h) || h->ending)
        return;
    h->deadline_ms = net_now_ms(h->o.loop);
    look_soon(h);
}

void hooks_state(const struct hooks *h, struct hooks_state *out)
{
    *out = h->last;
    if (out->outcome == HOOK_RUNS)
        out->took_ms = net_now_ms(h->o.loop) - h->began_ms;
}
