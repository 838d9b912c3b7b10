/*
 * bench_farm - what the members of a farm cost when there are many: N of them in one thread, each
 * with its own connections to Redis, its members and its health, and M origins that are listening
 * sockets.
 *
 *   bench_farm PORT MEMBERS ORIGINS SECONDS DEATHS OUTAGE
 *
 * Prints one line of JSON: probes of each origin a second, what Redis was asked, CPU of one member,
 * milliseconds from the death of an origin until the last member takes it for down (and back until
 * the last takes it for up), and probes of each origin a second while Redis answers nobody for
 * OUTAGE seconds (0: not tried; Redis must allow DEBUG).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "weir/members.h"
#include "weir/seal.h"
#include "weir/shared.h"

#include "bench_redis.h"
#include "health.h"
#include "net_loop.h"
#include "origin_names.h"
#include "origin_state.h"
#include "redis_settings.h"
#include "shared_redis.h"
#include "site.h"

#define MEMBERS_MOST 1000
#define ORIGINS_MOST 2000
#define WARM_MS      10000
#define POLL_MS      20
#define DEATH_MS     20000 /* at most */

struct sim;

struct sim_member {
    struct sim *sim;
    struct shared_port *port;
    struct members *members;
    struct health *health;
    struct origin_registry *registry;
    struct origin_state **states;
    struct site_upstream upstream;
    struct site site;
};

struct sim {
    struct net_loop loop;
    struct shared_loop shared_loop;
    struct weir_shared *shared;
    struct weir_seal_key key;
    struct net_timer stop;
    unsigned member_count;
    struct sim_member members[MEMBERS_MOST];
    struct upstream_settings settings;
    struct origin_settings origins[ORIGINS_MOST];
    struct origin_names *names[ORIGINS_MOST];
    char urls[ORIGINS_MOST][40];
    /* the origins' side */
    int epoll;
    _Atomic int listeners[ORIGINS_MOST];
    uint16_t ports[ORIGINS_MOST];
    atomic_ullong accepted;
    struct redisContext *redis;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_farm: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double seconds_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- origins ---- */

/* port 0: any. */
static void origin_open(struct sim *s, unsigned i)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(s->ports[i]),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        die("an origin");
    s->ports[i] = ntohs(at.sin_port);
    s->listeners[i] = fd;
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e);
}

static void origin_die(struct sim *s, unsigned i)
{
    close(s->listeners[i]);
    s->listeners[i] = -1;
}

static void *serve(void *arg)
{
    struct sim *s = arg;
    struct epoll_event events[64];

    for (;;) {
        int count = epoll_wait(s->epoll, events, 64, -1);

        for (int k = 0; k < count; k++) {
            int listener = s->listeners[events[k].data.u32];
            int fd = listener >= 0 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;

            if (fd < 0)
                continue;
            close(fd);
            s->accepted++;
        }
    }
    return NULL;
}

/* ---- members ---- */

static size_t write_record(void *arg, char *out, size_t cap)
{
    const struct sim_member *m = arg;

    return (size_t)snprintf(out, cap, "{\"version\": \"bench\", \"number\": %d}",
                            (int)(m - m->sim->members));
}

static void on_members(void *arg)
{
    struct sim_member *m = arg;

    if (m->health != NULL)
        health_look(m->health);
}

static void on_health(void *arg)
{
    struct sim_member *m = arg;
    const char *votes;
    struct member_brief b = {.flags = MEMBER_READY |
                                      (health_suspects_self(m->health) ? MEMBER_SUSPECT : 0),
                             .config = 1};

    b.votes.len = health_votes(m->health, &votes);
    b.votes.ptr = votes;
    members_say(m->members, &b, true);
}

static void member_watch(struct sim_member *m)
{
    struct sim *s = m->sim;

    m->registry = origin_registry_new(NULL);
    m->states = calloc(s->settings.origin_count, sizeof *m->states);
    for (size_t i = 0; i < s->settings.origin_count; i++)
        m->states[i] = origin_registry_get(m->registry, "app", s->urls[i], NULL);
    m->upstream =
        (struct site_upstream){.settings = &s->settings, .states = m->states, .names = s->names};
    m->site.upstreams = &m->upstream;
    m->site.upstream_count = 1;
    atomic_init(&m->site.refs, 1);
    if (!health_watch(m->health, &m->site, NULL))
        die("health");
}

static void member_start(struct sim *s, unsigned i)
{
    struct sim_member *m = &s->members[i];
    char id[32];
    struct members_options mo = {.port = shared_port_new(s->shared, &s->shared_loop, NULL),
                                 .loop = &s->shared_loop,
                                 .key = &s->key,
                                 .farm = "bench",
                                 .id = id,
                                 .incarnation = 1000 + i,
                                 .record = write_record,
                                 .changed = on_members,
                                 .arg = m};
    struct health_options ho = {.loop = &s->loop,
                                .changed = on_health,
                                .arg = m,
                                .seed = 77777u * i + 1};

    snprintf(id, sizeof id, "node-%u", i);
    m->sim = s;
    m->port = mo.port;
    ho.members = m->members = members_new(&mo, NULL);
    m->health = m->members != NULL ? health_new(&ho, NULL) : NULL;
    if (m->health == NULL)
        die("a member");
    member_watch(m);
}

static void member_end(struct sim_member *m)
{
    health_free(m->health);
    members_free(m->members);
    shared_port_free(m->port);
    for (size_t i = 0; i < m->sim->settings.origin_count; i++)
        origin_state_unref(m->states[i]);
    free(m->states);
    origin_registry_free(m->registry);
}

/* ---- time ---- */

static void on_stop(struct net_timer *t)
{
    struct sim *s = (struct sim *)(void *)((char *)t - offsetof(struct sim, stop));

    net_loop_stop(&s->loop);
}

static void run_for(struct sim *s, int64_t ms)
{
    weir_clock_update(&s->loop.clock);
    s->loop.stopping = false;
    s->stop.fire = on_stop;
    net_timer_start(&s->loop, &s->stop, net_now_ms(&s->loop) + ms);
    net_loop_run(&s->loop);
}

/* How many take it for that. */
static unsigned count_verdict(const struct sim *s, unsigned origin, int verdict)
{
    unsigned count = 0;

    for (unsigned i = 0; i < s->member_count; i++)
        count += (int)origin_state_in_force(s->members[i].states[origin]) == verdict;
    return count;
}

/* Milliseconds until all do; -1: never. */
static int wait_for_all(struct sim *s, unsigned origin, int verdict)
{
    const double from = seconds_of(CLOCK_MONOTONIC);
    int took = 0;

    while (took < DEATH_MS) {
        if (count_verdict(s, origin, verdict) == s->member_count)
            return took;
        run_for(s, POLL_MS);
        took = (int)((seconds_of(CLOCK_MONOTONIC) - from) * 1000);
    }
    return -1;
}

/* ---- Redis ---- */

static struct bench_redis ask_redis(struct sim *s)
{
    struct bench_redis f = {0};

    if (!bench_redis_ask(s->redis, &f))
        die("INFO");
    return f;
}

struct nap {
    struct redisContext *redis;
    double seconds;
};

static void *put_to_sleep(void *arg)
{
    struct nap *n = arg;

    if (!bench_redis_sleep(n->redis, n->seconds))
        fprintf(stderr, "bench_farm: Redis does not take DEBUG SLEEP\n");
    return NULL;
}

/* ---- the run ---- */

static void steady(struct sim *s, double length)
{
    const struct bench_redis a = ask_redis(s);
    const double cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID), at = seconds_of(CLOCK_MONOTONIC);
    const unsigned long long probes = s->accepted;
    struct bench_redis b;
    double took;

    run_for(s, (int64_t)(length * 1000));
    took = seconds_of(CLOCK_MONOTONIC) - at;
    printf("\"cpu_percent_of_a_member\": %.4f, ",
           (seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu) / took * 100 / s->member_count);
    printf("\"probes_a_second\": %.1f, \"probes_of_an_origin_a_second\": %.3f, ",
           (double)(s->accepted - probes) / took,
           (double)(s->accepted - probes) / took / (double)s->settings.origin_count);
    b = ask_redis(s);
    printf("\"redis\": {\"commands_a_second\": %.1f, \"scripts_a_second\": %.1f, "
           "\"hints_a_second\": %.2f, \"in_kib_a_second\": %.1f, \"out_kib_a_second\": %.1f, "
           "\"cpu_percent\": %.2f}, ",
           (b.commands - a.commands) / took, (b.scripts - a.scripts) / took,
           (b.hints - a.hints) / took, (b.in_bytes - a.in_bytes) / took / 1024,
           (b.out_bytes - a.out_bytes) / took / 1024, (b.cpu_s - a.cpu_s) / took * 100);
}

static int compare_ints(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void print_times(const char *name, int *ms, unsigned count)
{
    qsort(ms, count, sizeof *ms, compare_ints);
    printf("\"%s\": {\"median\": %d, \"most\": %d, \"least\": %d}, ", name, ms[count / 2],
           ms[count - 1], ms[0]);
}

static void deaths(struct sim *s, unsigned count)
{
    int down[ORIGINS_MOST], up[ORIGINS_MOST];

    for (unsigned i = 0; i < count; i++) {
        const unsigned origin = (i * 37 + 11) % (unsigned)s->settings.origin_count;

        run_for(s, 300 + rand() % 2000);
        origin_die(s, origin);
        down[i] = wait_for_all(s, origin, ORIGIN_DOWN);
        origin_open(s, origin);
        up[i] = wait_for_all(s, origin, ORIGIN_UP);
    }
    if (count > 0) {
        print_times("down_for_all_ms", down, count);
        print_times("up_for_all_ms", up, count);
    }
}

static void outage(struct sim *s, double length)
{
    const double half = length / 2;
    struct nap nap = {s->redis, length};
    unsigned autonomous = 0;
    unsigned long long probes;
    pthread_t thread;
    double at;

    if (half <= 0)
        return;
    pthread_create(&thread, NULL, put_to_sleep, &nap);
    run_for(s, (int64_t)(half * 1000));
    probes = s->accepted;
    at = seconds_of(CLOCK_MONOTONIC);
    run_for(s, (int64_t)(half * 800));
    for (unsigned i = 0; i < s->member_count; i++)
        autonomous += health_autonomous(s->members[i].health);
    printf("\"outage\": {\"autonomous\": %u, \"probes_of_an_origin_a_second\": %.2f, ", autonomous,
           (double)(s->accepted - probes) / (seconds_of(CLOCK_MONOTONIC) - at) /
               (double)s->settings.origin_count);
    pthread_join(thread, NULL);
    for (at = seconds_of(CLOCK_MONOTONIC), autonomous = 1;
         autonomous > 0 && seconds_of(CLOCK_MONOTONIC) - at < 60;) {
        run_for(s, POLL_MS);
        autonomous = 0;
        for (unsigned i = 0; i < s->member_count; i++)
            autonomous += health_autonomous(s->members[i].health);
    }
    printf("\"back_ms\": %d}, ", (int)((seconds_of(CLOCK_MONOTONIC) - at) * 1000));
}

static void enter(void *arg)
{
    net_loop_enter(arg);
}

static void prepare(struct sim *s, unsigned origins)
{
    struct rlimit files = {65536, 65536};
    pthread_t thread;

    setrlimit(RLIMIT_NOFILE, &files);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->settings = (struct upstream_settings){
        .name = "app",
        .origins = s->origins,
        .origin_count = origins,
        .panic_percent = 40,
        .max_fails = 5,
        .eject_base_ms = 10000,
        .eject_max_ms = 300000,
        .eject_percent = 50,
        .health = {.kind = HEALTH_KIND_TCP,
                   .interval_ms = 2000,
                   .fast_interval_ms = 500,
                   .timeout_ms = 1000,
                   .rise = 2,
                   .fall = 3},
    };
    for (unsigned i = 0; i < origins; i++) {
        origin_open(s, i);
        snprintf(s->urls[i], sizeof s->urls[i], "http://127.0.0.1:%u", s->ports[i]);
        s->origins[i] = (struct origin_settings){.url = s->urls[i],
                                                 .host = "127.0.0.1",
                                                 .port = s->ports[i],
                                                 .weight = 1};
        s->names[i] = origin_names_new(&s->origins[i], 30000, NULL, NULL, NULL);
    }
    pthread_create(&thread, NULL, serve, s);
    pthread_detach(thread);
}

int main(int argc, char **argv)
{
    static struct sim sim;
    struct redis_address seed = {.host = "127.0.0.1"};
    struct redis_settings conn = redis_settings_default();
    struct redis_cluster_settings endpoint = {.name = "state",
                                              .seeds = &seed,
                                              .seed_count = 1,
                                              .conn = &conn,
                                              .refresh_ms = 30000,
                                              .refresh_least_ms = 100,
                                              .refresh_most_ms = 5000};
    struct shared_redis_settings settings = {.endpoints = {&endpoint, &endpoint}};
    struct sim *s = &sim;
    unsigned members = argc == 7 ? (unsigned)atoi(argv[2]) : 0;
    unsigned origins = argc == 7 ? (unsigned)atoi(argv[3]) : 0;

    if (members < 1 || members > MEMBERS_MOST || origins < 1 || origins > ORIGINS_MOST) {
        fprintf(stderr, "usage: bench_farm PORT MEMBERS ORIGINS SECONDS DEATHS OUTAGE\n");
        return 2;
    }
    seed.port = (uint16_t)atoi(argv[1]);
    s->redis = bench_redis_open(seed.port);
    s->shared = shared_redis_new(&settings, NULL);
    if (s->redis == NULL || s->shared == NULL || !net_loop_init(&s->loop, NULL) ||
        !weir_seal_key_derive(&s->key, WEIR_SPAN_LIT("a secret of at least 32 bytes, for a bench"),
                              WEIR_SPAN_LIT("bench"), NULL))
        die("the start");
    s->shared_loop = (struct shared_loop){.base = s->loop.base,
                                          .enter = enter,
                                          .arg = &s->loop,
                                          .clock = &s->loop.clock};
    prepare(s, origins);
    for (unsigned i = 0; i < members; i++) {
        member_start(s, i);
        s->member_count = i + 1;
        if (i % 10 == 9)
            run_for(s, 50);
    }
    run_for(s, WARM_MS);
    printf("{\"members\": %u, \"origins\": %u, ", members, origins);
    steady(s, atof(argv[4]));
    deaths(s, (unsigned)atoi(argv[5]) < origins ? (unsigned)atoi(argv[5]) : origins);
    outage(s, atof(argv[6]));
    printf("\"seen\": %zu}\n", members_live(s->members[0].members));
    for (unsigned i = 0; i < members; i++)
        member_end(&s->members[i]);
    shared_free(s->shared);
    return 0;
}
