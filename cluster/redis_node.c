#include "redis_cluster_own.h"

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"

#define PROBE_MS    1000  /* a PING that takes longer is no sign of recovery */
#define LINGER_MS   10000 /* a node that has left the map, after its last use */
#define COMPLAIN_MS 60000

static void on_down(struct redis_conn *conn, enum redis_fault fault, const char *why, void *arg);
static void on_probe_due(struct redis_timer *t);

static const struct redis_conn_events node_events = {.down = on_down};

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

struct redis_node *redis_node_at(struct redis_cluster *c, const struct redis_address *address)
{
    for (struct redis_node *n = c->nodes; n != NULL; n = n->next)
        if (redis_address_eq(&n->address, address))
            return n;
    return node_new(c, address);
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

/*
 * A connection that ends is one failure, however many commands were on it: they are not counted
 * again when they end. It stays in its place (DOWN) until somebody wants it or the next sweep, so
 * that its commands end with the true cause.
 */
static void on_down(struct redis_conn *conn, enum redis_fault fault, const char *why, void *arg)
{
    struct redis_node *n = arg;
    char text[REDIS_ADDRESS_TEXT];

    (void)conn;
    weir_log(WEIR_LOG_INFO, "redis %s: connection to %s ended: %s", n->cluster->settings.name,
             redis_address_text(&n->address, text), why != NULL ? why : redis_fault_name(fault));
    if (fault == REDIS_FAULT_AUTH)
        redis_node_complain(n, weir_span_str(why));
    if (fault == REDIS_FAULT_CLOSED || fault == REDIS_FAULT_TIMEOUT)
        n->counts.closed++;
    else
        n->counts.refusals++;
    redis_node_note(n, outcome_of(fault));
    redis_cluster_suspect(n->cluster, &n->address);
}

void redis_node_complain(struct redis_node *n, struct weir_span why)
{
    int64_t now = redis_now_ms();
    char text[REDIS_ADDRESS_TEXT];

    if (n->complained_ms != 0 && now - n->complained_ms < COMPLAIN_MS)
        return;
    n->complained_ms = now;
    weir_log(WEIR_LOG_ERROR,
             "redis %s: %s does not let us in: %.*s: check the user, the password and the ACL",
             n->cluster->settings.name, redis_address_text(&n->address, text), (int)why.len,
             why.len > 0 ? why.ptr : "");
}

/* ---- health ---- */

static void wait_for_probe(struct redis_node *n)
{
    if (n->breaker.state == REDIS_BREAKER_OPEN && n->listed)
        redis_timer_start(n->cluster->loop, &n->probe_timer, n->breaker.probe_ms);
}

void redis_node_note(struct redis_node *n, enum redis_outcome outcome)
{
    char text[REDIS_ADDRESS_TEXT];

    if (!redis_breaker_note(&n->breaker, outcome, redis_now_ms()))
        return;
    weir_log(WEIR_LOG_WARN, "redis %s: %s is out of use: %s", n->cluster->settings.name,
             redis_address_text(&n->address, text), redis_outcome_name(outcome));
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
    char text[REDIS_ADDRESS_TEXT];

    redis_breaker_probed(&n->breaker, outcome, redis_now_ms());
    if (outcome == REDIS_OUTCOME_OK)
        weir_log(WEIR_LOG_INFO, "redis %s: %s is back", n->cluster->settings.name,
                 redis_address_text(&n->address, text));
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
