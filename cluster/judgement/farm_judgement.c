#include "farm_judgement.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "farm_own.h"

#define SLOTS 16384

/* ---- one node ---- */

static void judge_readiness(struct farm_faults *f, const json_t *node, const char *id)
{
    const char *because =
        json_string_value(json_array_get(json_object_get(node, "not_ready_because"), 0));

    if (farm_true(node, "draining"))
        farm_fault(f, FARM_INFO, "node_draining", id, "on its way out");
    else if (farm_false(node, "ready"))
        farm_fault(f, FARM_DEGRADED, "node_not_ready", id, "not ready%s%s",
                   because != NULL ? ": " : "", because != NULL ? because : "");
    if (farm_true(node, "suspect"))
        farm_fault(f, FARM_DEGRADED, "node_suspect", id,
                   "suspects itself: it sees too many origins down that others see up");
    if (farm_true(node, "autonomous"))
        farm_fault(f, FARM_DEGRADED, "node_autonomous", id, "has lost sight of the others");
}

static void judge_clock(struct farm_faults *f, const json_t *node, const char *id)
{
    int64_t skew = farm_int(node, "clock_skew_ms");

    if (skew > FARM_SKEW_MS || skew < -FARM_SKEW_MS)
        farm_fault(f, FARM_DEGRADED, "clock", id, "its clock is %.1f s %s the farm's",
                   (skew < 0 ? -(double)skew : (double)skew) / 1000,
                   skew < 0 ? "behind" : "ahead of");
}

static void judge_config(struct farm_faults *f, const json_t *node, const char *id)
{
    const json_t *last = json_object_get(json_object_get(node, "config"), "last_reload");

    if (farm_true(node, "drift"))
        farm_fault(f, FARM_DEGRADED, "config_drift", id, "has another configuration than most: %s",
                   farm_inner_text(node, "config", "hash"));
    if (farm_false(last, "ok"))
        farm_fault(f, FARM_DEGRADED, "reload_failed", id, "its last reload failed: %s",
                   farm_text(last, "error"));
    if (farm_text(node, "hook_failed")[0] != '\0')
        farm_fault(f, FARM_DEGRADED, "hook_failed", id, "%s", farm_text(node, "hook_failed"));
}

static const char *certificates(int64_t count)
{
    return count == 1 ? "certificate" : "certificates";
}

static void judge_certificates(struct farm_faults *f, const json_t *node, const char *id)
{
    const json_t *all = json_object_get(node, "certificates");
    int64_t expired = farm_int(all, "expired"), expiring = farm_int(all, "expiring");

    if (expired > 0)
        farm_fault(f, FARM_DEGRADED, "certificate_expired", id,
                   "%" PRId64 " %s expired: weirctl tls", expired, certificates(expired));
    if (expiring > 0)
        farm_fault(f, FARM_DEGRADED, "certificate_expires", id,
                   "%" PRId64 " %s within 14 days of expiry: weirctl tls", expiring,
                   certificates(expiring));
}

/* `reachable` counts where there is a log to reach. */
static void judge_purges(struct farm_faults *f, const json_t *node, const char *id)
{
    const json_t *purges = json_object_get(node, "purges");
    int64_t pending = farm_int(purges, "pending");

    if (pending > 0)
        farm_fault(f, FARM_DEGRADED, "purges_pending", id,
                   "%" PRId64 " purges have not reached the farm's log", pending);
    else if (farm_false(purges, "reachable") && json_is_integer(json_object_get(purges, "applied")))
        farm_fault(f, FARM_DEGRADED, "purges_pending", id, "cannot read the farm's log of purges");
}

static void judge_node(struct farm_faults *f, const json_t *node, const char *version)
{
    const char *id = farm_text(node, "id"), *its = farm_inner_text(node, "version", NULL);

    if (strcmp(farm_text(node, "record"), "missing") == 0)
        farm_fault(f, FARM_DEGRADED, "node_silent", id, "it beats, but its record cannot be read");
    judge_readiness(f, node, id);
    if (farm_true(node, "twin"))
        farm_fault(f, FARM_DEGRADED, "twin", id, "two live nodes have this id");
    judge_clock(f, node, id);
    judge_config(f, node, id);
    judge_certificates(f, node, id);
    judge_purges(f, node, id);
    if (its != NULL && version != NULL && strcmp(its, version) != 0)
        farm_fault(f, FARM_INFO, "version", id, "runs %s, most run %s", its, version);
}

static void set_drift(struct farm_faults *f, json_t *nodes)
{
    const char *most = farm_most(nodes, "config", "hash");
    json_t *node;
    size_t i;

    json_array_foreach(nodes, i, node)
    {
        const char *hash = farm_inner_text(node, "config", "hash");
        bool drift = hash != NULL && most != NULL && strcmp(hash, most) != 0;

        if (json_is_object(node) && json_object_set_new(node, "drift", json_boolean(drift)) != 0)
            f->failed = true;
    }
}

void farm_judge_nodes(struct farm_faults *f, json_t *nodes)
{
    const char *version = farm_most(nodes, "version", NULL);
    size_t ready = 0, i;
    json_t *node;

    set_drift(f, nodes);
    json_array_foreach(nodes, i, node)
    {
        judge_node(f, node, version);
        ready += !farm_false(node, "ready");
    }
    if (ready == 0 && json_array_size(nodes) > 0)
        farm_fault(f, FARM_DOWN, "nodes_none_ready", "farm", "no node is ready");
}

/* ---- what is the farm's ---- */

static void judge_members(struct farm_faults *f, const json_t *farm)
{
    const json_t *members = json_object_get(farm, "members"), *gone;
    size_t i;

    if (farm_true(members, "lost"))
        farm_fault(f, FARM_DEGRADED, "members_lost", farm_text(farm, "asked"),
                   "has lost sight of the others: there were %" PRId64 " nodes last",
                   farm_int(members, "last_live"));
    json_array_foreach(json_object_get(members, "missing"), i, gone)
        farm_fault(f, FARM_DEGRADED, "node_missing", farm_text(gone, "id"),
                   "fell silent %" PRId64 " s ago", farm_int(gone, "since_s"));
}

static void judge_words(struct farm_faults *f, const json_t *farm)
{
    int64_t pending = farm_int(json_object_get(farm, "words_state"), "pending");
    const json_t *word;
    size_t i;

    if (pending > 0)
        farm_fault(f, FARM_DEGRADED, "words_pending", "farm",
                   "%" PRId64 " words have not reached Redis", pending);
    json_array_foreach(json_object_get(farm, "words"), i, word)
    {
        const char *name = farm_text(word, "name"), *url = farm_text(word, "url");
        char where[700];

        snprintf(where, sizeof where, "%s%s%s", name[0] != '\0' ? name : "all nodes",
                 url[0] != '\0' ? " " : "", url);
        farm_fault(f, FARM_INFO, "word", where, "%s, said by %s%s%s", farm_text(word, "kind"),
                   farm_text(word, "author"), farm_text(word, "reason")[0] != '\0' ? ": " : "",
                   farm_text(word, "reason"));
    }
}

static void judge_redis(struct farm_faults *f, const json_t *redis)
{
    int64_t up = farm_int(redis, "nodes_up"), down = farm_int(redis, "nodes_down");
    const json_t *slots = json_object_get(redis, "slots_covered");
    const char *name = farm_text(redis, "endpoint"), *trouble = farm_text(redis, "trouble");

    if (up == 0)
        farm_fault(f, FARM_DEGRADED, "redis_down", name, "no node of it can be asked%s%s",
                   trouble[0] != '\0' ? ": " : "", trouble);
    else if (down > 0)
        farm_fault(f, FARM_DEGRADED, "redis_node", name,
                   "%" PRId64 " of %" PRId64 " nodes are left alone for now", down, up + down);
    if (up > 0 && json_is_integer(slots) && json_integer_value(slots) < SLOTS)
        farm_fault(f, FARM_DEGRADED, "redis_slots", name, "%" PRId64 " slots have no master",
                   SLOTS - (int64_t)json_integer_value(slots));
}

/* ---- the whole ---- */

static const char *worst(const struct farm_faults *f)
{
    if (json_array_size(f->list[FARM_DOWN]) > 0)
        return "down";
    return json_array_size(f->list[FARM_DEGRADED]) > 0 ? "degraded" : "fine";
}

/* One list, the worst first. */
static bool tell(struct farm_faults *f, json_t *farm)
{
    json_t *all = f->list[FARM_DOWN];
    json_t *status = json_string(worst(f));
    bool ok = status != NULL && json_object_set_new(farm, "status", status) == 0 &&
              json_array_extend(all, f->list[FARM_DEGRADED]) == 0 &&
              json_array_extend(all, f->list[FARM_INFO]) == 0;

    while (json_array_size(all) > FARM_FAULTS_MAX)
        json_array_remove(all, json_array_size(all) - 1);
    return ok && json_object_set(farm, "faults", all) == 0;
}

bool farm_judge(json_t *farm)
{
    struct farm_faults f = {{json_array(), json_array(), json_array()}, 0, false};
    const json_t *redis;
    bool ok = f.list[0] != NULL && f.list[1] != NULL && f.list[2] != NULL;
    size_t i;

    if (ok) {
        judge_members(&f, farm);
        farm_judge_nodes(&f, json_object_get(farm, "nodes"));
        farm_judge_origins(&f, json_object_get(farm, "origins"), json_object_get(farm, "nodes"));
        json_array_foreach(json_object_get(farm, "redis"), i, redis) judge_redis(&f, redis);
        judge_words(&f, farm);
        ok = !f.failed && tell(&f, farm) && farm_sum(farm);
    }
    for (i = 0; i < FARM_SEVERITIES; i++)
        json_decref(f.list[i]);
    return ok;
}

int farm_judged_status(const json_t *farm)
{
    const char *status = farm_text(farm, "status");

    return strcmp(status, "fine") == 0 ? 0 : strcmp(status, "degraded") == 0 ? 1 : 2;
}
