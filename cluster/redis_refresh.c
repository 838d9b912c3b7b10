#include "redis_cluster_own.h"

#include <stdio.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"

#define ANSWER_MS 1000

/* ---- whom to ask ---- */

static bool is_at(const struct redis_node *n, const struct redis_address *address)
{
    return address->port != 0 && redis_address_eq(&n->address, address);
}

/* A map may name nobody who is there. Whom the operator named is asked every other time then. */
static bool doubts_map(const struct redis_cluster *c)
{
    return c->refresh.failed >= 2 && c->refresh.failed % 2 == 0;
}

/*
 * How good a node is to ask, 0 the best. One that just failed is asked last: in a failover it is
 * the one that knows nothing yet. One Redis alone is asked itself for as long as it answers, for
 * its neighbours would each call themselves the owner of everything.
 */
static int rank(const struct redis_cluster *c, const struct redis_node *n)
{
    bool works = !redis_breaker_open(&n->breaker);
    bool bad = is_at(n, &c->refresh.avoid);

    if (bad)
        return 6;
    if (!works)
        return 5;
    if (is_at(n, &c->refresh.prefer) || (n->seed && doubts_map(c)))
        return 0;
    if (n->listed)
        return c->mode == REDIS_MODE_PLAIN ? 1 : redis_node_up(n) ? 2 : 3;
    return n->seed ? 4 : 5;
}

/* The best; by lot among several as good, so that a hundred nodes do not all ask the same. */
static struct redis_node *whom(struct redis_cluster *c)
{
    struct redis_node *best = NULL;
    int best_rank = INT32_MAX;
    uint32_t as_good = 0;

    for (struct redis_node *n = c->nodes; n != NULL; n = n->next) {
        int r = rank(c, n);

        if (r < best_rank) {
            best_rank = r;
            as_good = 0;
        }
        if (r == best_rank && redis_cluster_random(c, ++as_good) == 0)
            best = n;
    }
    return best;
}

/* ---- when ---- */

static int64_t jittered(struct redis_cluster *c, uint32_t ms, uint32_t part)
{
    uint32_t width = ms / part;

    return (int64_t)ms - width + redis_cluster_random(c, 2 * width + 1);
}

static bool a_master_fails(const struct redis_cluster *c)
{
    for (uint32_t i = 0; i < c->shard_count; i++) {
        const struct redis_breaker *b = &c->shards[i].copies[0]->breaker;

        if (redis_breaker_open(b) || b->run > 0)
            return true;
    }
    return false;
}

/*
 * The next one. While something is wrong it is repeated, ever more slowly: the map asked for right
 * after a failure is the one from before the promotion (redis/lettuce#672).
 */
static void plan(struct redis_cluster *c)
{
    struct redis_refresh *r = &c->refresh;
    bool soon = r->wanted || r->failed || c->map == NULL || a_master_fails(c);

    redis_timer_start(c->loop, &r->timer,
                      soon ? r->earliest_ms : r->ended_ms + jittered(c, c->settings.refresh_ms, 6));
}

static void ended(struct redis_cluster *c, bool ok)
{
    struct redis_refresh *r = &c->refresh;

    r->asked = NULL;
    r->failed = ok ? 0 : r->failed + 1;
    r->failures += !ok;
    r->ended_ms = redis_now_ms();
    r->earliest_ms = r->ended_ms + jittered(c, r->wait_ms, 4);
    r->wait_ms =
        r->wait_ms * 2 < c->settings.refresh_most_ms ? r->wait_ms * 2 : c->settings.refresh_most_ms;
    redis_nodes_sweep(c);
    plan(c);
    redis_cluster_judge_ready(c);
    redis_calls_wake(c);
}

void redis_refresh_want(struct redis_cluster *c, const struct redis_node *prefer,
                        const struct redis_node *avoid)
{
    struct redis_refresh *r = &c->refresh;
    int64_t now = redis_now_ms();

    if (prefer != NULL)
        r->prefer = prefer->address;
    if (avoid != NULL)
        r->avoid = avoid->address;
    if (r->wanted)
        return;
    r->wanted = true;
    if (r->asked != NULL)
        return; /* plan() looks again when that one ends */
    if (!r->failed && now - r->ended_ms > 2 * (int64_t)c->settings.refresh_most_ms)
        r->wait_ms = c->settings.refresh_least_ms; /* all was well for long enough */
    redis_timer_start(c->loop, &r->timer, now > r->earliest_ms ? now : r->earliest_ms);
}

/* ---- what is done with an answer ---- */

static bool room_for_shards(struct redis_cluster *c, uint32_t count)
{
    uint32_t cap = count + REDIS_OVERLAY_MAX;
    struct redis_shard *shards;

    if (cap <= c->shard_cap)
        return true;
    shards = weir_realloc(c->shards, cap * sizeof(*shards));
    if (shards == NULL)
        return false;
    c->shards = shards;
    c->shard_cap = cap;
    return true;
}

static bool add_copy(struct redis_cluster *c, struct redis_shard *s,
                     const struct redis_address *address)
{
    struct redis_node *n = redis_node_at(c, address);

    if (n == NULL)
        return false;
    n->listed = true;
    n->replica = s->count > 0;
    s->copies[s->count++] = n;
    return true;
}

/* Nodes first, so that a failing allocation leaves the routes as they were. */
static bool make_nodes(struct redis_cluster *c, const struct redis_map *map)
{
    for (uint32_t i = 0; i < map->shard_count; i++) {
        const struct redis_map_shard *s = &map->shards[i];
        bool ok = redis_node_at(c, &s->master) != NULL;

        for (uint32_t k = 0; ok && k < s->replica_count; k++)
            ok = redis_node_at(c, &s->replicas[k]) != NULL;
        if (!ok)
            return false;
    }
    return room_for_shards(c, map->shard_count);
}

static void take_routes(struct redis_cluster *c, const struct redis_map *map)
{
    for (struct redis_node *n = c->nodes; n != NULL; n = n->next) {
        n->used_ms =
            n->listed ? 0 : n->used_ms; /* one that leaves is closed as soon as it is idle */
        n->listed = n->replica = false;
    }
    for (uint32_t i = 0; i < map->shard_count; i++) {
        const struct redis_map_shard *s = &map->shards[i];

        c->shards[i].count = 0;
        add_copy(c, &c->shards[i], &s->master);
        for (uint32_t k = 0; k < s->replica_count; k++)
            add_copy(c, &c->shards[i], &s->replicas[k]);
    }
    c->shard_count = map->shard_count;
    memcpy(c->route, map->shard_of, sizeof(c->route));
    for (struct redis_node *n = c->nodes; n != NULL; n = n->next)
        if (n->listed)
            redis_node_watch_over(n);
}

static void tell_map(const struct redis_cluster *c)
{
    const struct redis_map *m = c->map;
    uint32_t lost = REDIS_SLOTS - m->covered - m->kept;
    char text[128], slots[64] = "all slots covered";

    if (lost > 0)
        snprintf(slots, sizeof(slots), "%u of %u slots have no owner", lost, REDIS_SLOTS);
    else if (m->kept > 0)
        snprintf(slots, sizeof(slots), "%u of %u slots by an older map", m->kept, REDIS_SLOTS);
    if (c->mode == REDIS_MODE_PLAIN)
        snprintf(text, sizeof(text), "one Redis, without a cluster");
    else
        snprintf(text, sizeof(text), "cluster of %u shard%s, %s", m->shard_count,
                 m->shard_count == 1 ? "" : "s", slots);
    if (redis_voice_is_news(c->settings.voice, text))
        weir_log(WEIR_LOG_INFO, "%s: %s", redis_voice_title(c->settings.voice), text);
}

/* Takes map. */
static bool install(struct redis_cluster *c, struct redis_map *map, enum redis_mode mode)
{
    bool news = c->map == NULL || !redis_map_eq(c->map, map) || c->mode != mode;
    bool patched = c->map != NULL && memcmp(c->route, c->map->shard_of, sizeof(c->route)) != 0;

    if (!news && !patched) {
        redis_map_unref(map);
        return true;
    }
    if (!make_nodes(c, map)) {
        redis_map_unref(map);
        return false;
    }
    take_routes(c, map);
    redis_map_unref(c->map);
    c->map = map;
    c->mode = mode;
    c->map_version += news;
    if (news)
        tell_map(c);
    redis_cluster_changed(c);
    return true;
}

static void complain(const struct redis_cluster *c, const struct redis_node *n, const char *what)
{
    char text[REDIS_ADDRESS_TEXT];

    if (redis_voice_may_say(c->settings.voice, REDIS_WORD_NO_MAP, &n->address, redis_now_ms()))
        weir_log(WEIR_LOG_WARN, "%s: no map from %s: %s", redis_voice_title(c->settings.voice),
                 redis_address_text(&n->address, text), what);
}

static bool take_map(struct redis_cluster *c, struct redis_node *n, struct redis_reply *reply)
{
    const struct redis_map *old = c->mode == REDIS_MODE_CLUSTER ? c->map : NULL;
    struct weir_err err = {0};
    char text[256];
    struct redis_map *map = redis_map_parse(reply, &n->address, old, &err);

    if (map == NULL)
        complain(c, n, weir_err_str(&err, text, sizeof(text)));
    return map != NULL && install(c, map, REDIS_MODE_CLUSTER);
}

/* In a cluster that works, a node that says it is none is a stray one: an address used again. */
static bool take_plain(struct redis_cluster *c, struct redis_node *n)
{
    struct redis_map *map;

    if (c->mode == REDIS_MODE_CLUSTER)
        for (struct redis_node *other = c->nodes; other != NULL; other = other->next)
            if (other != n && other->listed && !redis_breaker_open(&other->breaker)) {
                complain(c, n, "it is not part of the cluster");
                return false;
            }
    map = redis_map_plain(&n->address);
    return map != NULL && install(c, map, REDIS_MODE_PLAIN);
}

static bool no_such_command(const struct redis_reply *reply)
{
    return weir_span_starts(reply->text, WEIR_SPAN_LIT("ERR unknown command"));
}

static bool take_answer(struct redis_cluster *c, struct redis_node *n, struct redis_reply *reply)
{
    struct redis_address to;
    uint16_t slot;
    enum redis_says says = redis_says(reply, &n->address, &slot, &to);
    char text[256];

    n->counts.says[says]++;
    redis_node_note(n, redis_says_outcome(says));
    if (says == REDIS_SAYS_ANSWER)
        return take_map(c, n, reply);
    if (says == REDIS_SAYS_NO_CLUSTER || (says == REDIS_SAYS_ERROR && no_such_command(reply)))
        return take_plain(c, n);
    if (says == REDIS_SAYS_DENIED)
        redis_node_complain(n, REDIS_FAULT_AUTH, reply->text);
    else
        complain(c, n, redis_reply_str(reply, text, sizeof(text)));
    return false;
}

static void on_answer(struct redis_command *cmd, struct redis_reply *reply, enum redis_fault fault)
{
    struct redis_cluster *c = WEIR_CONTAINER(cmd, struct redis_cluster, refresh.cmd);
    struct redis_node *n = c->refresh.asked;
    bool ok = false;

    if (fault == REDIS_FAULT_TIMEOUT)
        redis_node_note(n, REDIS_OUTCOME_TIMEOUT);
    if (fault == REDIS_FAULT_NONE)
        ok = take_answer(c, n, reply);
    if (!ok)
        c->refresh.avoid = n->address;
    ended(c, ok);
}

/* ---- asking ---- */

static void ask(struct redis_cluster *c)
{
    struct redis_refresh *r = &c->refresh;
    const struct redis_arg argv[] = {redis_arg_str("CLUSTER"), redis_arg_str("SLOTS")};
    struct redis_node *n = whom(c);
    struct redis_conn *conn = n != NULL ? redis_node_any_lane(n) : NULL;

    r->wanted = false;
    r->prefer.port = r->avoid.port = 0;
    r->count++;
    r->cmd.done = on_answer;
    r->cmd.deadline_ms = redis_now_ms() + ANSWER_MS;
    if (conn == NULL || redis_conn_submit(conn, &r->cmd, argv, 2, 0) != REDIS_FAULT_NONE) {
        ended(c, false);
        return;
    }
    r->asked = n;
}

static void on_timer(struct redis_timer *t)
{
    ask(WEIR_CONTAINER(t, struct redis_cluster, refresh.timer));
}

void redis_refresh_start(struct redis_cluster *c)
{
    c->refresh.timer.fire = on_timer;
    c->refresh.wait_ms = c->settings.refresh_least_ms;
    redis_refresh_want(c, NULL, NULL);
}

void redis_refresh_stop(struct redis_cluster *c)
{
    redis_timer_stop(&c->refresh.timer);
    redis_command_cancel(&c->refresh.cmd);
    c->refresh.asked = NULL;
}

/* ---- the overlay ---- */

static uint16_t shard_of_master(struct redis_cluster *c, struct redis_node *n)
{
    for (uint32_t i = 0; i < c->shard_count; i++)
        if (c->shards[i].copies[0] == n)
            return (uint16_t)i;
    if (c->shard_count == c->shard_cap)
        return REDIS_NO_SHARD; /* the map that is asked for now will tell */
    c->shards[c->shard_count].copies[0] = n;
    c->shards[c->shard_count].count = 1;
    return (uint16_t)c->shard_count++;
}

void redis_route_patch(struct redis_cluster *c, uint16_t slot, struct redis_node *to)
{
    uint16_t shard = shard_of_master(c, to);

    if (shard == REDIS_NO_SHARD || c->route[slot] == shard)
        return;
    to->listed = true;
    c->route[slot] = shard;
    redis_cluster_changed(c);
}
