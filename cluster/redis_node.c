#include "redis_cluster_own.h"

#include <stdio.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"

#define PROBE_MS  1000  /* a PING that takes longer is no sign of recovery */
#define LINGER_MS 10000 /* a node that has left the map, after its last use */

static void on_down(struct redis_conn *conn, enum redis_fault fault, const char *why, void *arg);
static void on_probe_due(struct redis_timer *t);

static void on_up(struct redis_conn *conn, void *arg);

static const struct redis_conn_events node_events = {.up = on_up, .down = on_down};

static struct redis_node *node_new(struct redis_cluster *c, const struct redis_address *address)
{
    struct redis_node *n = weir_calloc(1, sizeof(*n));
    uint64_t seed = (uint64_t)redis_cluster_random(c, UINT32_MAX) << 32 | 1;

    if (n == NULL)
        return NULL;
    n->cluster = c;
    n->address = *address;
    n->used_ms = redis_now_ms();
    n->probe_timer.fire = on_probe_due;
    redis_breaker_init(&n->breaker, &c->settings.breaker, seed, n->used_ms);
    n->next = c->nodes;
    c->nodes = n;
    return n;
}

static struct redis_node *node_find(struct redis_cluster *c, const struct redis_address *address)
{
    struct redis_node *n = c->nodes;

    while (n != NULL && !redis_address_eq(&n->address, address))
        n = n->next;
    return n;
}

struct redis_node *redis_node_at(struct redis_cluster *c, const struct redis_address *address)
{
    struct redis_node *n = node_find(c, address);

    return n != NULL ? n : node_new(c, address);
}

/* A Redis that sends everybody somewhere else each time must not make us connect to the world. */
static bool room_for_told(const struct redis_cluster *c)
{
    size_t room = c->settings.seed_count + REDIS_TOLD_MAX;

    for (uint32_t i = 0; c->map != NULL && i < c->map->shard_count; i++)
        room += c->shards[i].count;
    for (const struct redis_node *n = c->nodes; n != NULL && room > 0; n = n->next)
        room--;
    return room > 0;
}

struct redis_node *redis_node_told(struct redis_cluster *c, const struct redis_address *address)
{
    struct redis_node *n = node_find(c, address);

    return n != NULL || !room_for_told(c) ? n : node_new(c, address);
}

static void close_lanes(struct redis_node *n, bool all)
{
    for (int i = 0; i < 2 * REDIS_LANES; i++) {
        struct redis_conn **lane = &n->lanes[i / REDIS_LANES][i % REDIS_LANES];

        if (*lane != NULL && (all || redis_conn_state(*lane) == REDIS_DOWN)) {
            redis_conn_free(*lane);
            *lane = NULL;
        }
    }
}

void redis_node_free(struct redis_node *n)
{
    redis_timer_stop(&n->probe_timer);
    redis_command_cancel(&n->probe);
    close_lanes(n, true);
    weir_free(n);
}

void redis_nodes_sweep(struct redis_cluster *c)
{
    int64_t now = redis_now_ms();

    for (struct redis_node **at = &c->nodes; *at != NULL;) {
        struct redis_node *n = *at;
        bool unused = !n->listed && n->busy == 0 && now - n->used_ms >= LINGER_MS;

        if (!unused || n->seed) {
            close_lanes(n, unused);
            at = &n->next;
            continue;
        }
        *at = n->next;
        redis_node_free(n);
    }
}

/* ---- connections ---- */

struct redis_conn *redis_node_lane(struct redis_node *n, enum redis_lane lane, bool readonly)
{
    struct redis_conn **at = &n->lanes[readonly][lane];
    struct redis_endpoint to = {.host = n->address.host,
                                .port = n->address.port,
                                .replica = readonly,
                                .settings = n->cluster->settings.conn,
                                .tls = n->cluster->settings.tls};

    n->used_ms = redis_now_ms();
    if (*at != NULL && redis_conn_state(*at) != REDIS_DOWN)
        return *at;
    redis_conn_free(*at);
    *at = redis_conn_new(n->cluster->loop, &to, &node_events, n);
    return *at;
}

static struct redis_conn *up_lane(const struct redis_node *n)
{
    for (int i = 0; i < 2 * REDIS_LANES; i++) {
        struct redis_conn *lane = n->lanes[i / REDIS_LANES][i % REDIS_LANES];

        if (i % REDIS_LANES != REDIS_LANE_CONFIRM && lane != NULL &&
            redis_conn_state(lane) == REDIS_UP)
            return lane;
    }
    return NULL;
}

bool redis_node_up(const struct redis_node *n)
{
    return up_lane(n) != NULL;
}

struct redis_conn *redis_node_any_lane(struct redis_node *n)
{
    struct redis_conn *up = up_lane(n);
    bool readonly = n->replica && n->cluster->mode == REDIS_MODE_CLUSTER;

    return up != NULL ? up : redis_node_lane(n, REDIS_LANE_SMALL, readonly);
}

static enum redis_outcome outcome_of(enum redis_fault fault)
{
    switch (fault) {
    case REDIS_FAULT_TIMEOUT:
        return REDIS_OUTCOME_TIMEOUT;
    case REDIS_FAULT_AUTH:
        return REDIS_OUTCOME_CONFIG;
    case REDIS_FAULT_PROTOCOL:
        return REDIS_OUTCOME_DOWN;
    default:
        return REDIS_OUTCOME_REFUSED;
    }
}

static const char *title(const struct redis_node *n)
{
    return redis_voice_title(n->cluster->settings.voice);
}

/* For operators: why there is no connection. */
static void keep_trouble(struct redis_node *n, enum redis_fault fault, const char *why)
{
    struct redis_cluster *c = n->cluster;

    if (fault == REDIS_FAULT_CLOSED)
        return; /* they come and go */
    c->trouble_at = n->address;
    snprintf(c->trouble, sizeof(c->trouble), "%s", why);
}

static void on_up(struct redis_conn *conn, void *arg)
{
    struct redis_node *n = arg;

    (void)conn;
    if (redis_address_eq(&n->cluster->trouble_at, &n->address))
        n->cluster->trouble_at.port = 0;
}

static void tell_ended(struct redis_node *n, enum redis_fault fault, const char *why)
{
    char text[REDIS_ADDRESS_TEXT];

    if (fault == REDIS_FAULT_AUTH || fault == REDIS_FAULT_TLS)
        redis_node_complain(n, fault, weir_span_str(why));
    else if (redis_voice_may_say(n->cluster->settings.voice, REDIS_WORD_ENDED + fault, &n->address,
                                 redis_now_ms()))
        weir_log(WEIR_LOG_INFO, "%s: connection to %s ended: %s", title(n),
                 redis_address_text(&n->address, text), why);
}

/*
 * A connection that ends is one failure, however many commands were on it: they are not counted
 * again when they end. It stays in its place (DOWN) until somebody wants it or the next sweep, so
 * that its commands end with the true cause.
 */
static void on_down(struct redis_conn *conn, enum redis_fault fault, const char *why, void *arg)
{
    struct redis_node *n = arg;

    (void)conn;
    if (why == NULL)
        why = redis_fault_name(fault);
    tell_ended(n, fault, why);
    keep_trouble(n, fault, why);
    if (fault == REDIS_FAULT_CLOSED || fault == REDIS_FAULT_TIMEOUT)
        n->counts.closed++;
    else
        n->counts.refusals++;
    redis_node_note(n, outcome_of(fault));
    redis_cluster_suspect(n->cluster, &n->address);
}

void redis_node_complain(struct redis_node *n, enum redis_fault fault, struct weir_span why)
{
    const char *advice = fault == REDIS_FAULT_TLS ? "check the certificates, the names in them and "
                                                    "whether that port speaks TLS"
                                                  : "check the user, the password and the ACL";
    char text[REDIS_ADDRESS_TEXT];

    if (!redis_voice_may_say(n->cluster->settings.voice, REDIS_WORD_SHUT_OUT, &n->address,
                             redis_now_ms()))
        return;
    weir_log(WEIR_LOG_ERROR, "%s: %s does not let us in: %.*s: %s", title(n),
             redis_address_text(&n->address, text), (int)why.len, why.len > 0 ? why.ptr : "",
             advice);
}

/* ---- health ---- */

static void wait_for_probe(struct redis_node *n)
{
    if (n->breaker.state == REDIS_BREAKER_OPEN && n->listed)
        redis_timer_start(n->cluster->loop, &n->probe_timer, n->breaker.probe_ms);
}

static void tell_out(struct redis_node *n, enum redis_outcome outcome)
{
    char text[REDIS_ADDRESS_TEXT];

    if (redis_voice_may_say_out(n->cluster->settings.voice, &n->address, redis_now_ms()))
        weir_log(WEIR_LOG_WARN, "%s: %s is out of use: %s", title(n),
                 redis_address_text(&n->address, text), redis_outcome_name(outcome));
}

static void tell_back(struct redis_node *n)
{
    char text[REDIS_ADDRESS_TEXT];

    if (redis_voice_may_say_back(n->cluster->settings.voice, &n->address))
        weir_log(WEIR_LOG_INFO, "%s: %s is back", title(n), redis_address_text(&n->address, text));
}

void redis_node_note(struct redis_node *n, enum redis_outcome outcome)
{
    if (!redis_breaker_note(&n->breaker, outcome, redis_now_ms()))
        return;
    tell_out(n, outcome);
    wait_for_probe(n);
    redis_cluster_judge_ready(n->cluster);
    redis_refresh_want(n->cluster, NULL, n);
}

void redis_node_watch_over(struct redis_node *n)
{
    if (n->probe_timer.at == NULL)
        wait_for_probe(n);
}

static void probed(struct redis_node *n, enum redis_outcome outcome)
{
    redis_breaker_probed(&n->breaker, outcome, redis_now_ms());
    if (outcome == REDIS_OUTCOME_OK)
        tell_back(n);
    else
        tell_out(n, outcome);
    wait_for_probe(n);
    redis_cluster_judge_ready(n->cluster);
}

static void on_pong(struct redis_command *cmd, struct redis_reply *reply, enum redis_fault fault)
{
    struct redis_node *n = WEIR_CONTAINER(cmd, struct redis_node, probe);
    struct redis_address to;
    uint16_t slot;

    if (fault != REDIS_FAULT_NONE)
        probed(n, outcome_of(fault));
    else
        probed(n, redis_says_outcome(redis_says(reply, &n->address, &slot, &to)));
}

/* A PING, and a look at the map, which may no longer name this node at all. */
static void on_probe_due(struct redis_timer *t)
{
    struct redis_node *n = WEIR_CONTAINER(t, struct redis_node, probe_timer);
    const struct redis_arg ping = redis_arg_str("PING");
    int64_t now = redis_now_ms();
    struct redis_conn *conn;

    if (!n->listed)
        return; /* nobody needs it; redis_node_watch_over() should it come back */
    if (!redis_breaker_probe_due(&n->breaker, now)) {
        wait_for_probe(n);
        return;
    }
    redis_refresh_want(n->cluster, NULL, n);
    conn = redis_node_any_lane(n);
    n->probe.done = on_pong;
    n->probe.deadline_ms = now + PROBE_MS;
    if (conn == NULL || redis_conn_submit(conn, &n->probe, &ping, 1, 0) != REDIS_FAULT_NONE)
        probed(n, REDIS_OUTCOME_REFUSED);
}

/* RFC 6298: rtt + 4 var is what nearly every answer keeps within. */
void redis_node_measured(struct redis_node *n, int64_t rtt_us)
{
    int64_t off;

    if (rtt_us < 0 || rtt_us > INT32_MAX)
        return;
    if (n->rtt_us == 0) {
        n->rtt_us = (uint32_t)rtt_us + 1;
        n->var_us = (uint32_t)rtt_us / 2;
        return;
    }
    off = rtt_us - (int64_t)n->rtt_us;
    n->rtt_us = (uint32_t)((int64_t)n->rtt_us + off / 8);
    n->var_us = (uint32_t)((int64_t)n->var_us + ((off < 0 ? -off : off) - (int64_t)n->var_us) / 4);
}
