#include "runtime_own.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "weir/work.h"
#include "acme.h"
#include "admin.h"
#include "config_dump.h"
#include "fleet.h"
#include "hooks.h"
#include "inflight.h"
#include "limit.h"
#include "member_identity.h"
#include "memory_watch.h"
#include "net_peers.h"
#include "net_scores.h"
#include "origin_state.h"
#include "purge.h"
#include "purge_feed.h"
#include "recoder.h"
#include "search_rules.h"
#include "site.h"
#include "tier.h"
#include "tls_stapler.h"
#include "tls_store.h"
#include "warden.h"
#include "tls_tickets.h"

#define POOL_THREADS   2
#define CODERS_MAX     8
#define TURN_MS        1000
#define LOG_RING_BYTES (256 * 1024)

/* ---- sites ---- */

static void release_settings(void *owner)
{
    settings_unref(owner);
}

struct site *runtime_make_site(struct runtime *rt, struct settings *s, struct weir_err *err)
{
    struct site_source source = {
        .client = &s->client,
        .head = &s->head,
        .http2 = &s->http2,
        .forward = &s->forward,
        .cache = &s->cache,
        .compression = &s->compression,
        .log = &s->log,
        .upstreams = s->upstreams,
        .upstream_count = s->upstream_count,
        .routes = s->routes,
        .route_count = s->route_count,
        .limits = s->limits,
        .limit_count = s->limit_count,
        .challenges = s->acme.certificate_count > 0 ? &rt->challenges : NULL,
        .release = release_settings,
        .owner = s,
    };
    struct site_tools tools = {rt->registry, rt->pool,          &rt->control.box,
                               &rt->secret,  rt->shared.limits, rt->opener};
    struct site *site = site_new(&source, &tools, err);

    if (site != NULL) {
        settings_ref(s);
        site_turn(site, rt->control.clock.mono_ms);
    }
    return site;
}

/* Names have their answers; and a node that knows the farm's purges is as warm as the farm. */
static bool settled(struct runtime *rt, struct site *site)
{
    return site_settled(site) &&
           (rt->shared.purge_feed == NULL || purge_feed_settled(rt->shared.purge_feed)) &&
           fleet_settled(rt->fleet);
}

/* At the start there are no requests yet: the control loop may be turned from here. */
static void wait_until_settled(struct runtime *rt, struct site *site)
{
    int64_t until;

    weir_clock_update(&rt->control.clock);
    until = rt->control.clock.mono_ms + RUNTIME_SETTLE_MS;
    while (!settled(rt, site) && !rt->draining && rt->control.clock.mono_ms < until) {
        struct timeval poll = {0, RUNTIME_SETTLE_POLL_MS * 1000};

        event_base_loopexit(rt->control.base, &poll);
        event_base_dispatch(rt->control.base);
        weir_clock_update(&rt->control.clock);
    }
}

struct weir_sink *runtime_open_access(const struct settings *s, unsigned workers,
                                      struct weir_err *err)
{
    return weir_sink_open(s->log.access_file, workers, LOG_RING_BYTES, err);
}

/* ---- signals ---- */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct runtime *rt = arg;

    (void)what;
    net_loop_enter(&rt->control);
    if (!rt->running) {
        rt->draining = rt->draining || number == SIGTERM || number == SIGINT;
        return;
    }
    switch (number) {
    case SIGTERM:
    case SIGINT:
        runtime_drain(rt);
        break;
    case SIGHUP:
        runtime_reload(rt, 0);
        break;
    case SIGUSR1:
        weir_log_reopen();
        if (rt->access != NULL)
            weir_sink_reopen(rt->access);
        admin_reopen_logs(rt->admin);
        weir_log(WEIR_LOG_INFO, "log files reopened");
        break;
    default:
        break;
    }
}

/* Steps up and down with the memory in use, and says so once per step. */
static void watch_memory(struct runtime *rt)
{
    static const char *const words[] = {"memory is no longer short",
                                        "memory is short: closing idle connections",
                                        "memory is nearly used up: answering 503"};
    enum exchange_pressure before = (enum exchange_pressure)atomic_load(&rt->shared.pressure);
    enum exchange_pressure now = memory_watch(rt->settings->memory_bytes, before);

    if (now != before)
        weir_log(now > PRESSURE_NONE ? WEIR_LOG_WARN : WEIR_LOG_INFO, "%s", words[now]);
    atomic_store(&rt->shared.pressure, (int)now);
    readiness_set(rt->readiness, READY_MEMORY, now >= PRESSURE_REFUSE);
    for (unsigned w = 0; w < rt->worker_count && now >= PRESSURE_SHED; w++)
        worker_shed(rt->workers[w]);
}

static void on_turn(struct net_timer *t)
{
    struct runtime *rt = WEIR_CONTAINER(t, struct runtime, turn);

    watch_memory(rt);
    admin_turn(rt->admin);
    tls_stapler_turn(rt->stapler, rt->control.clock.wall_s);
    site_turn(rt->site, rt->control.clock.mono_ms);
    readiness_set(rt->readiness, READY_ORIGINS,
                  rt->settings->readiness.origins &&
                      !site_usable(rt->site, rt->control.clock.mono_us));
    fleet_turn(rt->fleet);
    net_timer_start(&rt->control, t, rt->control.clock.mono_ms + TURN_MS);
}

/* ---- start and end ---- */

static unsigned count_cores(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Threads that compress: enough to keep up, few enough to leave the workers alone. */
static unsigned coders_for(unsigned workers)
{
    unsigned n = (workers + 1) / 2;

    return n < CODERS_MAX ? n : CODERS_MAX;
}

/* Purges are the farm's. */
static bool make_purge_feed(struct runtime *rt, struct weir_err *err)
{
    const struct purge_feed_options o = {
        .table = rt->shared.purges,
        .port = rt->port.shared,
        .box = &rt->control.box,
        .loop = &rt->port.loop,
        .name = rt->first->farm.name,
        .seed = (uint64_t)rt->control.clock.mono_us ^ (uint64_t)getpid() << 32,
    };

    if (rt->shared.purges == NULL || !farm_is_shared(rt->farm))
        return true;
    rt->shared.purge_feed = purge_feed_new(&o, err);
    return rt->shared.purge_feed != NULL;
}

static bool make_lifecycle(struct runtime *rt, struct weir_err *err)
{
    char name[MEMBER_ID_MAX + 1];
    const struct hooks_options o = {.loop = &rt->control,
                                    .node = name,
                                    .idle = runtime_hooks_idle,
                                    .arg = rt};

    member_identity(rt->settings->node_id, name);
    rt->readiness = readiness_new(&rt->control, &rt->settings->readiness, err);
    rt->hooks = rt->readiness != NULL ? hooks_new(&o, err) : NULL;
    if (rt->hooks == NULL)
        return false;
    rt->shared.ready = readiness_flag(rt->readiness);
    return true;
}

/* Rates are the farm's. */
static bool make_limits(struct runtime *rt, struct weir_err *err)
{
    struct weir_seal_key seal;
    struct limit_options o = {.secret = &rt->secret,
                              .timeout_ms = LIMIT_TIMEOUT_MS,
                              .cells_max = LIMIT_CELLS_MAX};

    if (farm_is_shared(rt->farm)) {
        if (!farm_seal_key(rt->farm, &seal, err))
            return false;
        o.seal = &seal;
    }
    rt->shared.limits = limit_node_new(&o, err);
    return rt->shared.limits != NULL;
}

static bool make_shared(struct runtime *rt, struct weir_err *err)
{
    const struct settings *s = rt->settings;
    struct tier_options tier = {
        .memory_bytes = s->cache.memory_bytes,
        .object_max_bytes = s->cache.object_max_bytes,
        .variants = s->cache.variants,
    };

    rt->first = settings_ref(rt->settings);
    if ((rt->farm = farm_new(&s->farm, rt->opener, err)) == NULL ||
        !farm_hash_secret(rt->farm, &rt->secret, err) ||
        !farm_port_open(&rt->port, rt->farm, &rt->control, &s->cache, err) ||
        (rt->pool = weir_work_pool_new(POOL_THREADS, err)) == NULL ||
        (rt->registry = origin_registry_new(err)) == NULL || !make_limits(rt, err) ||
        (rt->shared.peers = net_peers_new(&rt->secret, err)) == NULL ||
        (rt->shared.scores = net_scores_new(&rt->secret, err)) == NULL ||
        (rt->shared.inflight = inflight_new(err)) == NULL)
        return false;
    if (s->cache.memory_bytes > 0 &&
        ((tier.purges = rt->shared.purges = purge_new(&rt->secret, 0, err)) == NULL ||
         (rt->shared.tier = tier_new(&tier, err)) == NULL ||
         (rt->shared.recoder = recoder_new(rt->shared.tier, coders_for(rt->worker_count),
                                           &rt->control.box, err)) == NULL ||
         (rt->shared.search_rules = search_rules_new(err)) == NULL || !make_purge_feed(rt, err)))
        return false;
    if (s->log.access_format != ACCESS_LOG_OFF &&
        (rt->access = runtime_open_access(s, rt->worker_count, err)) == NULL)
        return false;
    rt->shared.farm = rt->farm;
    rt->shared.cache = &s->cache;
    rt->shared.secret = &rt->secret;
    rt->shared.control = &rt->control;
    rt->shared.workers = rt->worker_count;
    rt->shared.drained = runtime_worker_drained;
    rt->shared.arg = rt;
    if (!runtime_acme(rt, rt->settings, err) ||
        !runtime_make_store(rt, rt->settings, &rt->store, err) || !runtime_staple(rt, err) ||
        !runtime_make_tls_pool(rt, err))
        return false;
    rt->site = runtime_make_site(rt, rt->settings, err);
    return rt->site != NULL;
}

/* ---- what makes the node one of many ---- */

static size_t on_record(void *arg, char *out, size_t cap)
{
    struct runtime *rt = arg;

    return admin_record(rt->admin, out, cap); /* nothing before there is one */
}

static void on_drain_order(void *arg)
{
    struct runtime *rt = arg;

    if (rt->running && !rt->draining)
        runtime_drain(rt);
}

static void on_reload_order(void *arg, uint64_t order)
{
    struct runtime *rt = arg;

    if (rt->running)
        runtime_reload(rt, order);
}

static void on_reloaded(struct reload_watcher *w, const struct reload_report *report)
{
    struct runtime *rt = WEIR_CONTAINER(w, struct runtime, fleet_watcher);
    struct weir_err err = {0};

    fleet_reloaded(rt->fleet, report);
    if (!fleet_watch(rt->fleet, rt->site, &err))
        weir_log_err(WEIR_LOG_ERROR, "health checks stay as they were", &err);
}

static bool make_fleet(struct runtime *rt, struct weir_err *err)
{
    const struct fleet_options o = {
        .loop = &rt->control,
        .shared_loop = &rt->port.loop,
        .port = rt->port.shared,
        .farm = rt->farm,
        .first = rt->first,
        .pool = rt->pool,
        .readiness = rt->readiness,
        .purge_feed = rt->shared.purge_feed,
        .limits = rt->shared.limits,
        .drain = on_drain_order,
        .reload = on_reload_order,
        .record = on_record,
        .arg = rt,
    };

    rt->fleet = fleet_new(&o, err);
    if (rt->fleet == NULL)
        return false;
    rt->fleet_watcher.ended = on_reloaded;
    runtime_watch_reloads(rt, &rt->fleet_watcher);
    return fleet_watch(rt->fleet, rt->site, err);
}

static bool make_workers(struct runtime *rt, struct weir_err *err)
{
    rt->workers = weir_calloc(rt->worker_count, sizeof(struct worker *));
    rt->clients = weir_calloc(rt->worker_count, sizeof *rt->clients);
    if (rt->workers == NULL || rt->clients == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "runtime: workers", 0);
    for (unsigned i = 0; i < rt->worker_count; i++) {
        rt->workers[i] = worker_new(&rt->shared, i, rt->site, rt->access, err);
        if (rt->workers[i] == NULL)
            return false;
        rt->clients[i] = &rt->workers[i]->x.origins;
    }
    for (unsigned i = 0; i < rt->worker_count; i++) {
        rt->workers[i]->x.origins.siblings = rt->clients;
        rt->workers[i]->x.origins.sibling_count = rt->worker_count;
    }
    return true;
}

/* ---- what the admin side sees ---- */

static struct site *newest_site(void *arg)
{
    struct runtime *rt = arg;

    return rt->site;
}

static void sum_metrics(void *arg, int64_t sum[WEIR_METRICS])
{
    struct runtime *rt = arg;

    memset(sum, 0, WEIR_METRICS * sizeof *sum);
    for (unsigned w = 0; w < rt->worker_count; w++)
        for (int m = 0; m < WEIR_METRICS; m++)
            sum[m] += atomic_load_explicit(&rt->workers[w]->metrics.value[m], memory_order_relaxed);
    if (rt->shared.recoder == NULL)
        return;
    for (int m = 0; m < WEIR_METRICS; m++)
        sum[m] += atomic_load_explicit(&recoder_metrics(rt->shared.recoder)->value[m],
                                       memory_order_relaxed);
}

static size_t list_listens(void *arg, const char **out, size_t cap)
{
    struct runtime *rt = arg;
    size_t n = 0;

    for (; n < rt->bound_count && n < cap; n++)
        out[n] = rt->bound[n].address;
    return n;
}

static json_t *dump_config(void *arg)
{
    struct runtime *rt = arg;

    return config_dump(rt->settings);
}

static void reload_by_admin(void *arg)
{
    runtime_reload(arg, 0);
}

static bool is_reloading(void *arg)
{
    const struct runtime *rt = arg;

    return rt->pending != NULL || rt->changes > 0;
}

static void watch_reloads(void *arg, struct reload_watcher *w)
{
    runtime_watch_reloads(arg, w);
}

static struct tls_store *newest_store(void *arg)
{
    const struct runtime *rt = arg;

    return rt->store;
}

static bool see_tickets(void *arg, struct tls_tickets_facts *out)
{
    const struct runtime *rt = arg;

    if (rt->tickets != NULL)
        tls_tickets_facts(rt->tickets, out);
    return rt->tickets != NULL;
}

static struct acme *see_acme(void *arg)
{
    const struct runtime *rt = arg;

    return rt->acme;
}

static void drain_by_admin(void *arg)
{
    runtime_drain(arg);
}

static bool make_admin(struct runtime *rt, struct weir_err *err)
{
    struct admin_source source = {
        .loop = &rt->control,
        .tier = rt->shared.tier,
        .inflight = rt->shared.inflight,
        .purges = rt->shared.purges,
        .purge_feed = rt->shared.purge_feed,
        .search_rules = rt->shared.search_rules,
        .limits = rt->shared.limits,
        .secret = &rt->secret,
        .shared = rt->port.shared,
        .farm_name = farm_is_shared(rt->farm) ? rt->first->farm.name : NULL,
        .version = rt->options.version,
        .helper = runtime_helper(rt),
        .opener = rt->opener,
        .site = newest_site,
        .metrics = sum_metrics,
        .arg = rt,
        .members = fleet_members(rt->fleet),
        .words = fleet_words(rt->fleet),
        .health = fleet_health(rt->fleet),
        .readiness = rt->readiness,
        .hooks = rt->hooks,
        .report = &rt->report,
        .config_file = rt->options.file,
        .listens = list_listens,
        .config = dump_config,
        .resident = memory_watch_resident,
        .reload = reload_by_admin,
        .reloading = is_reloading,
        .watch_reloads = watch_reloads,
        .drain = drain_by_admin,
        .tickets = see_tickets,
        .acme = see_acme,
        .certificates = newest_store,
    };

    rt->admin = admin_new(&source, &rt->settings->admin, err);
    return rt->admin != NULL;
}

static void watch_signals(struct runtime *rt)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        event_assign(&rt->signals[i], rt->control.base, numbers[i], EV_SIGNAL | EV_PERSIST,
                     on_signal, rt);
        event_add(&rt->signals[i], NULL);
    }
}

static bool start(struct runtime *rt, struct weir_err *err)
{
    raise_descriptor_limit();
    if (!net_inherit_take(&rt->inherited, err))
        return false;
    rt->worker_count = rt->settings->workers != 0 ? rt->settings->workers : count_cores();
    if (rt->worker_count > WORKERS_MAX)
        rt->worker_count = WORKERS_MAX;
    if (!net_loop_init(&rt->control, err))
        return false;
    watch_signals(rt);
    if (!make_lifecycle(rt, err) || !make_shared(rt, err) || !make_fleet(rt, err))
        return false;
    wait_until_settled(rt, rt->site);
    if (rt->draining)
        return false;
    if (!make_workers(rt, err) || !runtime_listen_all(rt, err) || !make_admin(rt, err))
        return false;
    for (unsigned i = 0; i < rt->worker_count; i++)
        if (!worker_start(rt->workers[i], err))
            return false;
    rt->running = true;
    runtime_reload_init(rt);
    fleet_reloaded(rt->fleet, &rt->report);
    runtime_drain_init(rt);
    runtime_acme_ready(rt);
    rt->turn.fire = on_turn;
    net_timer_start(&rt->control, &rt->turn, rt->control.clock.mono_ms + TURN_MS);
    return true;
}

static void log_totals(struct runtime *rt)
{
    int64_t sum[WEIR_METRICS];

    sum_metrics(rt, sum);
    weir_log(WEIR_LOG_INFO,
             "stopped: %lld requests, %lld hits, %lld origin requests over %lld connections",
             (long long)sum[WEIR_M_requests], (long long)sum[WEIR_M_cache_hits],
             (long long)sum[WEIR_M_origin_requests], (long long)sum[WEIR_M_origin_connects]);
}

/* Who says it once more now does not kill what is about to end in order, with its own status. */
static void hold_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void free_workers(struct runtime *rt)
{
    for (unsigned i = 0; rt->workers != NULL && i < rt->worker_count; i++)
        worker_free(rt->workers[i]);
    weir_free(rt->workers);
    weir_free(rt->clients);
}

static void stop_events(struct runtime *rt)
{
    net_timer_stop(&rt->control, &rt->turn);
    net_timer_stop(&rt->control, &rt->drain.timer);
    hold_signals();
    for (unsigned i = 0; i < 4; i++)
        if (event_initialized(&rt->signals[i]))
            event_del(&rt->signals[i]);
}

static void tear_down(struct runtime *rt)
{
    admin_free(rt->admin);
    rt->admin = NULL;
    rt->reload_watchers =
        NULL; /* the admin side's went with it; workers' last answers tell nobody */
    for (unsigned i = 0; rt->workers != NULL && i < rt->worker_count; i++)
        if (rt->workers[i] != NULL)
            worker_stop(rt->workers[i]);
    recoder_stop(rt->shared.recoder); /* its threads wake workers */
    if (rt->control.base != NULL)
        weir_mailbox_drain(&rt->control.box); /* purges that came last; it answers workers */
    fleet_free(rt->fleet);                    /* what it still writes goes through the pool */
    purge_feed_free(rt->shared.purge_feed);
    free_workers(rt);
    acme_free(rt->acme);
    weir_work_pool_free(rt->shared.tls_pool);
    tls_tickets_free(rt->tickets); /* what it keeps is written, by itself */
    tls_stapler_stop(rt->stapler);
    weir_work_pool_free(rt->pool);
    if (rt->control.base != NULL) {
        weir_mailbox_drain(&rt->control.box); /* sites that came back */
        stop_events(rt);
    }
    runtime_forget_listeners(rt);
    runtime_reload_abandon(rt);
    weir_free(rt->change_list);
    site_unref(rt->site);
    tls_stapler_free(rt->stapler);
    tls_store_unref(rt->store);
    weir_sink_close(rt->access);
    recoder_free(rt->shared.recoder);
    tier_free(rt->shared.tier);
    search_rules_free(rt->shared.search_rules);
    inflight_free(rt->shared.inflight);
    purge_free(rt->shared.purges); /* after all that may watch it */
    net_peers_free(rt->shared.peers);
    net_scores_free(rt->shared.scores);
    limit_node_free(rt->shared.limits);
    origin_registry_free(rt->registry);
    farm_port_close(&rt->port);
    farm_free(rt->farm);
    hooks_free(rt->hooks);
    readiness_free(rt->readiness); /* after the workers */
    settings_unref(rt->first);
    settings_unref(rt->settings);
    net_loop_close(&rt->control);
}

int runtime_run(const struct runtime_options *options)
{
    struct runtime *rt = weir_calloc(1, sizeof *rt);
    struct weir_err err = {0};
    bool started;

    if (rt == NULL) {
        weir_log(WEIR_LOG_ERROR, "out of memory");
        return 1;
    }
    rt->options = *options;
    rt->opener = warden_opener(options->warden, &rt->opener_room);
    rt->settings = options->settings;
    started = start(rt, &err);
    if (started) {
        weir_log(WEIR_LOG_INFO, "ready: %u worker%s", rt->worker_count,
                 rt->worker_count == 1 ? "" : "s");
        net_loop_run(&rt->control);
        log_totals(rt);
    } else if (rt->draining) {
        weir_log(WEIR_LOG_INFO, "stopped while starting");
        started = true; /* as it was told to */
    } else {
        weir_log_err(WEIR_LOG_ERROR, "cannot start", &err);
    }
    tear_down(rt);
    weir_free(rt);
    return started ? 0 : 1;
}
