#include "runtime_own.h"

#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "admin.h"
#include "hooks.h"
#include "origin_state.h"
#include "settings_hash.h"
#include "site.h"
#include "tier.h"
#include "tls_store.h"

static void on_settle(struct net_timer *t);

static void drop_pending(struct runtime *rt)
{
    site_unref(rt->pending);
    tls_store_unref(rt->pending_store);
    settings_unref(rt->pending_settings);
    if (rt->pending_access != rt->access)
        weir_sink_close(rt->pending_access);
    admin_abandon(rt->admin);
    rt->pending = NULL;
    rt->pending_store = NULL;
    rt->pending_settings = NULL;
    rt->pending_access = NULL;
}

static bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool access_changed(const struct settings *a, const struct settings *b)
{
    return (a->log.access_format == ACCESS_LOG_OFF) != (b->log.access_format == ACCESS_LOG_OFF) ||
           !same_text(a->log.access_file, b->log.access_file);
}

static bool prepare_access(struct runtime *rt, struct settings *s, struct weir_err *err)
{
    rt->pending_access = rt->access;
    if (!access_changed(rt->settings, s))
        return true;
    rt->pending_access = NULL;
    if (s->log.access_format != ACCESS_LOG_OFF)
        rt->pending_access = runtime_open_access(s, rt->worker_count, err);
    return s->log.access_format == ACCESS_LOG_OFF || rt->pending_access != NULL;
}

/* ---- how it went ---- */

/* error: NULL when it went well. */
static void report(struct runtime *rt, uint64_t order, const char *error)
{
    struct reload_report *r = &rt->report;

    r->count++;
    if (order > r->order) /* another reload, that nobody ordered, does not undo it */
        r->order = order;
    r->ok = error == NULL;
    snprintf(r->error, sizeof r->error, "%s", r->ok ? "" : error);
    r->at_s = rt->control.clock.wall_s;
    if (r->ok) {
        r->loaded_at_s = r->at_s;
        r->config = settings_hash(rt->settings);
    }
    for (struct reload_watcher *w = rt->reload_watchers; w != NULL; w = w->next)
        w->ended(w, r);
}

void runtime_watch_reloads(struct runtime *rt, struct reload_watcher *w)
{
    w->next = rt->reload_watchers;
    rt->reload_watchers = w;
}

static void refuse(struct runtime *rt, uint64_t order, const char *why)
{
    weir_log(WEIR_LOG_WARN, "%s", why);
    report(rt, order, why);
}

/* What was asked for meanwhile is not begun, for it would fail the same way; but it has ended, and
 * who waits for it is told. */
static void reload_failed(struct runtime *rt, const char *error)
{
    bool again = rt->again;
    uint64_t again_order = rt->again_order;

    rt->again = false;
    rt->again_order = 0;
    drop_pending(rt);
    if (error[0] != '\0')
        weir_log(WEIR_LOG_ERROR, "reload failed, the old configuration stays: %s", error);
    else
        weir_log(WEIR_LOG_ERROR, "reload failed: the old configuration stays");
    report(rt, rt->pending_order, error);
    if (again)
        report(rt, again_order, error);
}

static void reload_failed_by(struct runtime *rt, const struct weir_err *err)
{
    char text[256];

    reload_failed(rt, weir_err_str(err, text, sizeof text));
}

/* ---- the steps ---- */

void runtime_reload(struct runtime *rt, uint64_t order)
{
    char error[256] = "";
    struct weir_err err = {0};

    if (rt->options.load == NULL) {
        refuse(rt, order, "nothing to reload: started without a configuration file");
        return;
    }
    if (rt->draining) {
        refuse(rt, order, "reload ignored: draining");
        return;
    }
    if (rt->pending != NULL || rt->changes > 0) {
        weir_log(WEIR_LOG_INFO, "another reload is under way: this one comes after it");
        rt->again = true;
        if (order > rt->again_order)
            rt->again_order = order;
        return;
    }
    rt->pending_order = order;
    rt->pending_settings = rt->options.load(rt->options.arg, error, sizeof error);
    rt->pending_access = rt->access;
    if (rt->pending_settings == NULL) {
        reload_failed(rt, error);
        return;
    }
    if (!prepare_access(rt, rt->pending_settings, &err) ||
        !admin_prepare(rt->admin, &rt->pending_settings->admin, &err) ||
        !runtime_make_store(rt, rt->pending_settings, &rt->pending_store, &err) ||
        (rt->pending = runtime_make_site(rt, rt->pending_settings, &err)) == NULL) {
        reload_failed_by(rt, &err);
        return;
    }
    rt->pending_until_ms = rt->control.clock.mono_ms + RUNTIME_SETTLE_MS;
    on_settle(&rt->settle);
}

static void finish_reload(struct runtime *rt)
{
    if (rt->old_access != NULL) {
        weir_sink_close(rt->old_access);
        rt->old_access = NULL;
    }
    weir_log(WEIR_LOG_INFO, "reloaded");
    report(rt, rt->pending_order, NULL);
    origin_registry_prune(rt->registry); /* after those who were told have let go */
    if (rt->again) {                     /* while draining it is refused, and that is told */
        uint64_t order = rt->again_order;

        rt->again = false;
        rt->again_order = 0;
        runtime_reload(rt, order);
    }
}

static void on_change_done(struct worker_change *c)
{
    struct runtime *rt = c->arg;

    if (--rt->changes > 0)
        return;
    weir_free(rt->change_list);
    rt->change_list = NULL;
    finish_reload(rt);
}

static void apply_node_settings(struct runtime *rt, const struct settings *s)
{
    enum weir_log_level level;

    if (weir_log_level_parse(s->log.level, &level))
        weir_log_set_level(level);
    if (rt->shared.tier != NULL)
        tier_resize(rt->shared.tier, s->cache.memory_bytes, s->cache.object_max_bytes);
    if (s->workers != rt->settings->workers)
        weir_log(WEIR_LOG_WARN, "node.workers changes with the next start only");
    if ((rt->shared.tier == NULL) != (s->cache.memory_bytes == 0))
        weir_log(WEIR_LOG_WARN, "the cache is turned on with the next start only");
    if (strcmp(s->node_id, rt->first->node_id) != 0 ||
        strcmp(s->state_dir, rt->first->state_dir) != 0)
        weir_log(WEIR_LOG_WARN, "node.id and node.state_dir change with the next start only");
    if (strcmp(s->user, rt->first->user) != 0 || strcmp(s->group, rt->first->group) != 0)
        weir_log(WEIR_LOG_WARN, "node.user and node.group change with the next start only");
    if (!farm_settings_same(&s->farm, &rt->first->farm))
        weir_log(WEIR_LOG_WARN, "the farm changes with the next start only");
    if (!same_text(s->log.error_file, rt->settings->log.error_file))
        weir_log_open(same_text(s->log.error_file, "-") ? NULL : s->log.error_file, NULL);
}

/* Everything is ready: hand it to the workers. */
static void publish(struct runtime *rt)
{
    struct worker_change *changes = weir_calloc(rt->worker_count, sizeof *changes);
    struct weir_err err = {0};

    if (changes == NULL)
        weir_fail(&err, WEIR_E_MEMORY, "reload", 0);
    if (changes == NULL || !runtime_plan_listeners(rt, rt->pending_settings, changes, &err)) {
        weir_free(changes);
        reload_failed_by(rt, &err);
        return;
    }
    runtime_drop_listeners(rt, rt->pending_settings, changes);
    apply_node_settings(rt, rt->pending_settings);
    admin_commit(rt->admin);
    rt->old_access = rt->pending_access != rt->access ? rt->access : NULL;
    rt->access = rt->pending_access;
    rt->changes = rt->worker_count;
    rt->change_list = changes;
    for (unsigned w = 0; w < rt->worker_count; w++) {
        changes[w].worker = rt->workers[w];
        changes[w].site = site_ref(rt->pending);
        changes[w].access = rt->access;
        changes[w].done = on_change_done;
        changes[w].arg = rt;
        worker_apply(&changes[w]);
    }
    readiness_configure(rt->readiness, &rt->pending_settings->readiness);
    hooks_configure(rt->hooks, &rt->pending_settings->hooks);
    if (!runtime_acme(rt, rt->pending_settings, &err))
        weir_log_err(WEIR_LOG_ERROR, "certificates are not obtained", &err);
    site_unref(rt->site);
    settings_unref(rt->settings);
    tls_store_unref(rt->store);
    rt->store = rt->pending_store;
    rt->pending_store = NULL;
    rt->site = rt->pending;
    rt->settings = rt->pending_settings;
    rt->pending = NULL;
    rt->pending_settings = NULL;
    rt->pending_access = NULL;
    if (!runtime_staple(rt, &err))
        weir_log_err(WEIR_LOG_ERROR, "nothing new is stapled", &err);
}

static void on_settle(struct net_timer *t)
{
    struct runtime *rt = WEIR_CONTAINER(t, struct runtime, settle);
    int64_t now = rt->control.clock.mono_ms;

    if (site_settled(rt->pending) || now >= rt->pending_until_ms)
        publish(rt);
    else
        net_timer_start(&rt->control, t, now + RUNTIME_SETTLE_POLL_MS);
}

void runtime_reload_abandon(struct runtime *rt)
{
    if (rt->pending_settings == NULL)
        return;
    net_timer_stop(&rt->control, &rt->settle);
    drop_pending(rt);
}

void runtime_reload_give_up(struct runtime *rt)
{
    if (rt->pending_settings == NULL)
        return;
    net_timer_stop(&rt->control, &rt->settle);
    reload_failed(rt, "draining");
}

void runtime_reload_init(struct runtime *rt)
{
    rt->settle.fire = on_settle;
    rt->report.loaded_at_s = rt->control.clock.wall_s;
    rt->report.config = settings_hash(rt->settings);
}
