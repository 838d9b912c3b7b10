/* What weir needs of Redis, as tables and the few rules that do not fit one (docs/operations.md,
 * Redis). */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS        16384
#define MIB          (1024.0 * 1024.0)
#define CLOCK_MS     500         /* clocks of nodes may differ by; records carry their times */
#define FULL         0.8         /* of maxmemory, where nothing is evicted */
#define SCATTERED    1.5         /* memory held by what is used */
#define SCATTERED_AT (256 * MIB) /* below that it is noise */
#define PUBSUB_LEAST (1 * MIB)
#define OLDEST       7 /* sharded pub/sub, channels in ACLs: Redis 7.0 */

#define ANY   (DOCTOR_CACHE | DOCTOR_STATE | DOCTOR_ONE)
#define KEEPS (DOCTOR_STATE | DOCTOR_ONE)
#define DROPS (DOCTOR_CACHE | DOCTOR_ONE)

/* ---- the tables ---- */

enum check {
    IS,      /* one of the words of `good`; "" is the empty value */
    BETWEEN, /* a number, low to high */
};

struct rule {
    const char *setting;
    unsigned roles;
    enum doctor_level level;
    enum check check;
    const char *good;
    int64_t low, high;
    const char *set; /* what to change it to */
    bool cluster;    /* makes no sense on a plain Redis */
    const char *why;
};

static const struct rule rules[] = {
    {"maxmemory", ANY, DOCTOR_WRONG, BETWEEN, NULL, 1, INT64_MAX, "1gb", false,
     "without a limit Redis grows until the system kills it; set it to what the machine can spare"},
    {"maxmemory-policy", DOCTOR_CACHE, DOCTOR_WRONG, IS,
     "allkeys-lfu allkeys-lru volatile-lfu volatile-lru", 0, 0, "allkeys-lfu", false,
     "a full cache must drop what is asked for least; with noeviction it stores nothing any more"},
    {"maxmemory-policy", DOCTOR_STATE, DOCTOR_WRONG, IS, "noeviction", 0, 0, "noeviction", false,
     "what is evicted here was not to be lost: purges, for one"},
    {"maxmemory-policy", DOCTOR_ONE, DOCTOR_WRONG, IS, "volatile-lfu volatile-lru", 0, 0,
     "volatile-lfu", false,
     "responses must be dropped when it is full, and what has no end of its own must not"},
    {"appendonly", KEEPS, DOCTOR_WRONG, IS, "yes", 0, 0, "yes", false,
     "a master that is restarted at once comes back empty, and its replicas empty themselves too"},
    {"appendfsync", KEEPS, DOCTOR_WRONG, IS, "everysec always", 0, 0, "everysec", false,
     "what was acknowledged must be on disk within a second"},
    {"appendonly", DOCTOR_CACHE, DOCTOR_NOTE, IS, "no", 0, 0, "no", false,
     "a cache that is gone is filled again: writing it to disk costs time for nothing"},
    {"save", DOCTOR_CACHE, DOCTOR_NOTE, IS, "", 0, 0, "\"\"", false,
     "a cache that is gone is filled again: saving it costs memory and time for nothing"},
    {"cluster-node-timeout", DOCTOR_CACHE, DOCTOR_WRONG, BETWEEN, NULL, 500, 5000, "2000", true,
     "a failover takes so long and a second more; much lower, and pauses are taken for deaths"},
    {"cluster-node-timeout", KEEPS, DOCTOR_WRONG, BETWEEN, NULL, 500, 10000, "5000", true,
     "a failover takes so long and a second more; much lower, and pauses are taken for deaths"},
    {"cluster-require-full-coverage", ANY, DOCTOR_WRONG, IS, "no", 0, 0, "no", true,
     "one lost shard stops all others, if only for the second of a failover"},
    {"cluster-allow-reads-when-down", ANY, DOCTOR_WRONG, IS, "yes", 0, 0, "yes", true,
     "replicas must answer while their master is being replaced"},
    {"cluster-allow-pubsubshard-when-down", ANY, DOCTOR_WRONG, IS, "yes", 0, 0, "yes", true,
     "nodes are not told of purges while any shard is down"},
    {"cluster-replica-validity-factor", DOCTOR_CACHE, DOCTOR_NOTE, IS, "0", 0, 0, "0", true,
     "a replica that was cut off too long never takes over; for a cache any copy is good enough"},
    {"min-replicas-to-write", DROPS, DOCTOR_WRONG, IS, "0", 0, 0, "0", false,
     "storing must not stop for want of a replica"},
    {"min-replicas-to-write", DOCTOR_STATE, DOCTOR_NOTE, BETWEEN, NULL, 1, 100, "1", false,
     "a master that is cut off goes on taking writes that will be lost"},
    {"repl-backlog-size", DROPS, DOCTOR_NOTE, BETWEEN, NULL, 16 << 20, INT64_MAX, "64mb", false,
     "a replica that was away for a moment needs a full copy, since what it missed is forgotten"},
};

#define RULES (sizeof rules / sizeof rules[0])

#define LAZYFREE 4
static const char *const lazyfree[LAZYFREE] = {
    "lazyfree-lazy-eviction",
    "lazyfree-lazy-expire",
    "lazyfree-lazy-server-del",
    "lazyfree-lazy-user-del",
};

const char *const doctor_settings[] = {
    "maxmemory",
    "maxmemory-policy",
    "appendonly",
    "appendfsync",
    "save",
    "cluster-node-timeout",
    "cluster-require-full-coverage",
    "cluster-allow-reads-when-down",
    "cluster-allow-pubsubshard-when-down",
    "cluster-replica-validity-factor",
    "min-replicas-to-write",
    "repl-backlog-size",
    "lazyfree-lazy-eviction",
    "lazyfree-lazy-expire",
    "lazyfree-lazy-server-del",
    "lazyfree-lazy-user-del",
    "activedefrag",
    "client-output-buffer-limit",
    "timeout",
};
const size_t doctor_setting_count = sizeof doctor_settings / sizeof doctor_settings[0];

/* Nothing of it changes anything, wherever it is sent: no such key is there, and XX, NOMKSTREAM and
 * the like keep it from being made. */
const struct doctor_right doctor_rights[] = {
    {"GET w1:{doctor}:m", true, true},
    {"SET w1:{doctor}:m x XX PX 1", true, true},
    {"UNLINK w1:{doctor}:m", true, true},
    {"PEXPIRE w1:{doctor}:m 1", true, true},
    {"HGETALL w1:{doctor}:m", true, true},
    {"HDEL w1:{doctor}:m x", true, true},
    {"HSTRLEN w1:{doctor}:m x", true, true},
    {"ZADD w1:{doctor}:m XX 1 x", true, true},
    {"ZRANGEBYSCORE w1:{doctor}:m 0 1", true, true},
    {"PEXPIREAT w1:{doctor}:m 1", true, true},
    {"PERSIST w1:{doctor}:m", true, true},
    {"XADD w1:{doctor}:m NOMKSTREAM * x x", true, true},
    {"XRANGE w1:{doctor}:m - + COUNT 1", true, true},
    {"XINFO STREAM w1:{doctor}:m", true, true},
    {"EVAL return(1) 1 w1:{doctor}:m", true, true},
    {"EVALSHA 0000000000000000000000000000000000000000 1 w1:{doctor}:m", true, true},
    {"SPUBLISH w1:{doctor}:m x", true, true},
    {"SSUBSCRIBE w1:{doctor}:m", true, false},
    {"CLUSTER SLOTS", true, true},
    {"CLIENT SETNAME weirctl", true, true},
    {"READONLY", true, false},
    {"ASKING", true, false},
    {"TIME", true, true},
    {"WAIT 0 1", true, true},
    {"PING", true, true},
    {"FLUSHALL", false, false},
    {"FLUSHDB", false, false},
    {"KEYS *", false, false},
    {"CONFIG SET maxmemory 1", false, false},
    {"DEBUG SLEEP 0", false, false},
    {"SHUTDOWN", false, false},
    {"REPLICAOF NO ONE", false, false},
    {"CLUSTER RESET", false, false},
    {"ACL SETUSER x", false, false},
    {"FUNCTION FLUSH", false, false},
    {"MONITOR", false, false},
    {"PUBLISH w1:doctor x", false, false},
    {"GET doctor", false, false},
};
const size_t doctor_right_count = sizeof doctor_rights / sizeof doctor_rights[0];

_Static_assert(sizeof doctor_rights / sizeof doctor_rights[0] <= DOCTOR_RIGHTS_MAX,
               "more rights than a node has room for");

/* What conf/redis/users.acl gives weir. */
#define WEIR_RULES                                                                                 \
    "resetkeys resetchannels -@all ~w1:* &w1:* +@read +@write +@pubsub +@connection +@scripting "  \
    "+@stream -@dangerous -scan -randomkey -publish -psubscribe -function -script|flush "          \
    "-script|kill +cluster|slots +cluster|nodes +cluster|info +info +time +wait +readonly "        \
    "+acl|whoami"

const char *doctor_role_name(enum doctor_role role)
{
    return role == DOCTOR_CACHE ? "cache" : role == DOCTOR_STATE ? "state" : "one";
}

const char *doctor_level_name(enum doctor_level level)
{
    static const char *const names[] = {"broken", "wrong", "note"};

    return names[level];
}

/* ---- findings ---- */

#define WHOLE UINT32_MAX /* it is not of one node */

static struct doctor_finding *same(const struct doctor_report *r, const struct doctor_finding *f)
{
    for (size_t i = 0; i < r->finding_count; i++) {
        struct doctor_finding *old = &r->findings[i];

        if (strcmp(old->id, f->id) == 0 && strcmp(old->what, f->what) == 0)
            return old;
    }
    return NULL;
}

/* The array lies in the arena and grows by doubling: what it grows out of is left there. */
static struct doctor_finding *place_for(struct doctor_report *r)
{
    struct doctor_finding *more;

    if (r->finding_count == r->finding_room) {
        more = weir_arena_alloc(&r->arena, (r->finding_room * 2 + 16) * sizeof *more);
        if (more == NULL)
            return NULL;
        if (r->finding_count > 0)
            memcpy(more, r->findings, r->finding_count * sizeof *more);
        r->findings = more;
        r->finding_room = r->finding_room * 2 + 16;
    }
    return &r->findings[r->finding_count];
}

/* What several nodes have alike is one finding. f->what may be NULL: without memory. */
static void report(struct doctor_report *r, struct doctor_finding f, uint32_t node)
{
    struct doctor_finding *at = f.what != NULL ? same(r, &f) : NULL;

    if (at == NULL && f.what != NULL) {
        at = place_for(r);
        if (at != NULL) {
            f.nodes = weir_arena_alloc(&r->arena, (r->node_count + 1) * sizeof *f.nodes);
            if (f.nodes == NULL)
                at = NULL;
        }
        if (at != NULL) {
            *at = f;
            r->finding_count++;
        }
    }
    if (at == NULL)
        r->out_of_memory = true;
    else if (node != WHOLE)
        at->nodes[at->node_count++] = node;
}

static const char *noticed(struct doctor_report *r, const char *text)
{
    r->out_of_memory |= text == NULL;
    return text;
}

/* A text in the arena; without memory it is NULL, and the report knows. */
#define TEXT(r, ...) noticed(r, weir_arena_printf(&(r)->arena, __VA_ARGS__))

/* ---- values ---- */

/* INFO tells some settings too, to users who may not read the configuration. */
static const char *setting(const struct doctor_node *n, const char *name)
{
    const char *value = doctor_value(&n->settings, name);
    const char *aof = doctor_value(&n->info, "aof_enabled");

    if (value != NULL)
        return value;
    if (strcmp(name, "maxmemory") == 0)
        return doctor_value(&n->info, "maxmemory");
    if (strcmp(name, "maxmemory-policy") == 0)
        return doctor_value(&n->info, "maxmemory_policy");
    if (strcmp(name, "appendonly") == 0 && aof != NULL)
        return strcmp(aof, "1") == 0 ? "yes" : "no";
    return NULL;
}

static bool number(const char *text, int64_t *out)
{
    unsigned long long n;

    if (text == NULL || !weir_span_u64(weir_span_str(text), INT64_MAX, &n))
        return false;
    *out = (int64_t)n;
    return true;
}

/* 0 if there is none. */
static double info_number(const struct doctor_node *n, const char *name)
{
    const char *text = doctor_value(&n->info, name);

    return text != NULL ? strtod(text, NULL) : 0;
}

static bool among(const char *words, const char *value)
{
    size_t len = strlen(value);

    if (len == 0)
        return words[0] == '\0';
    for (const char *at = words; (at = strstr(at, value)) != NULL; at += len) {
        if ((at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    }
    return false;
}

/* ---- single settings ---- */

static bool fulfilled(const struct rule *rule, const char *value)
{
    int64_t n;

    if (rule->check == IS)
        return among(rule->good, value);
    return number(value, &n) && n >= rule->low && n <= rule->high;
}

static void judge_setting(struct doctor_report *r, const struct rule *rule, uint32_t i)
{
    const char *value = setting(&r->nodes[i], rule->setting);
    bool empty = value != NULL && value[0] == '\0';

    if (value == NULL || fulfilled(rule, value))
        return;
    report(r,
           (struct doctor_finding){
               .level = rule->level,
               .id = rule->setting,
               .what = TEXT(r, "%s is %s, should be %s", rule->setting, empty ? "empty" : value,
                            rule->set),
               .why = rule->why,
               .command = TEXT(r, "CONFIG SET %s %s", rule->setting, rule->set),
               .line = TEXT(r, "%s %s", rule->setting, rule->set),
           },
           i);
}

static void check_settings(struct doctor_report *r, uint32_t i)
{
    for (size_t k = 0; k < RULES; k++) {
        if ((rules[k].roles & r->role) != 0 && (r->clustered || !rules[k].cluster))
            judge_setting(r, &rules[k], i);
    }
}

static void check_lazyfree(struct doctor_report *r, uint32_t i)
{
    const char *off = NULL, *set = NULL;

    for (size_t k = 0; k < LAZYFREE; k++) {
        const char *value = setting(&r->nodes[i], lazyfree[k]);

        if (value == NULL || strcmp(value, "yes") == 0)
            continue;
        off = off == NULL ? lazyfree[k] : TEXT(r, "%s, %s", off, lazyfree[k]);
        set = TEXT(r, "%s %s yes", set == NULL ? "CONFIG SET" : set, lazyfree[k]);
        if (off == NULL || set == NULL)
            return;
    }
    if (off != NULL)
        report(r,
               (struct doctor_finding){
                   .level = r->role == DOCTOR_STATE ? DOCTOR_NOTE : DOCTOR_WRONG,
                   .id = "lazyfree",
                   .what = TEXT(r, "%s: not yes", off),
                   .why = "everybody waits while a large value is freed; a thread can do that",
                   .command = set,
                   .line = "lazyfree-lazy-... yes, as in conf/redis",
               },
               i);
}

/* "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60" */
static void check_pubsub(struct doctor_report *r, uint32_t i)
{
    const char *value = setting(&r->nodes[i], "client-output-buffer-limit");
    const char *at = value != NULL ? strstr(value, "pubsub ") : NULL;
    double hard = at != NULL ? strtod(at + strlen("pubsub "), NULL) : PUBSUB_LEAST;

    if (hard >= PUBSUB_LEAST)
        return;
    report(r,
           (struct doctor_finding){
               .level = DOCTOR_WRONG,
               .id = "client-output-buffer-limit",
               .what = hard == 0 ? "client-output-buffer-limit sets no limit for pubsub"
                                 : "client-output-buffer-limit is too small for pubsub",
               .why = hard == 0 ? "a subscriber that does not keep up takes all memory"
                                : "subscribers are cut off by a handful of messages",
               .command = "CONFIG SET client-output-buffer-limit \"pubsub 32mb 8mb 60\"",
               .line = "client-output-buffer-limit pubsub 32mb 8mb 60",
           },
           i);
}

static void check_timeout(struct doctor_report *r, uint32_t i)
{
    int64_t seconds;

    if (!number(setting(&r->nodes[i], "timeout"), &seconds) || seconds == 0 || seconds >= 60)
        return;
    report(r,
           (struct doctor_finding){
               .level = DOCTOR_WRONG,
               .id = "timeout",
               .what = TEXT(r, "timeout is %" PRId64 ", should be 0", seconds),
               .why = "connections of weir are closed whenever it is quiet",
               .command = "CONFIG SET timeout 0",
               .line = "timeout 0",
           },
           i);
}

/* ---- what a node tells of itself ---- */

static void check_asked(struct doctor_report *r, uint32_t i)
{
    const struct doctor_node *n = &r->nodes[i];

    if (n->trouble != NULL)
        report(r,
               (struct doctor_finding){
                   .level = n->slots > 0 || !r->clustered ? DOCTOR_BROKEN : DOCTOR_WRONG,
                   .id = "unreachable",
                   .what = TEXT(r, "it cannot be asked: %s", n->trouble),
                   .why = "where weirctl does not come through, weir may not either",
               },
               i);
    else if (n->settings_refused)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_WRONG,
                   .id = "config-get",
                   .what = "its settings may not be read",
                   .why = "what is wrong with them cannot be seen",
                   .advice = "weirctl doctor --user ops --password-file FILE, with a user that may "
                             "(conf/redis/users.acl)",
               },
               i);
}

static void check_version(struct doctor_report *r, uint32_t i)
{
    const char *version = doctor_value(&r->nodes[i].info, "redis_version");

    if (version == NULL || strtol(version, NULL, 10) >= OLDEST)
        return;
    report(r,
           (struct doctor_finding){
               .level = DOCTOR_BROKEN,
               .id = "version",
               .what = TEXT(r, "Redis %s is too old, 7.0 is needed", version),
               .why = "it has no sharded pub/sub, by which nodes tell each other of purges",
               .advice = "upgrade it, or take Valkey",
           },
           i);
}

/* Where nothing is evicted, memory ends. */
static void check_full(struct doctor_report *r, uint32_t i)
{
    const struct doctor_node *n = &r->nodes[i];
    double used = info_number(n, "used_memory"), most = info_number(n, "maxmemory");
    const char *policy = setting(n, "maxmemory-policy");

    if (most == 0 || used < most * FULL || policy == NULL || strcmp(policy, "noeviction") != 0)
        return;
    report(r,
           (struct doctor_finding){
               .level = used < most ? DOCTOR_WRONG : DOCTOR_BROKEN,
               .id = "full",
               .what = used < most ? "its memory is nearly full" : "its memory is full",
               .why = "nothing is evicted here: writes are refused from then on",
               .advice = "raise maxmemory, or add masters",
           },
           i);
}

static void check_scattered(struct doctor_report *r, uint32_t i)
{
    const struct doctor_node *n = &r->nodes[i];
    const char *on = setting(n, "activedefrag");

    if (info_number(n, "used_memory") < SCATTERED_AT ||
        info_number(n, "mem_fragmentation_ratio") < SCATTERED ||
        (on != NULL && strcmp(on, "yes") == 0))
        return;
    report(r,
           (struct doctor_finding){
               .level = DOCTOR_NOTE,
               .id = "activedefrag",
               .what = "its memory is scattered: it holds half as much again as it uses",
               .why = "the machine has less room than maxmemory makes believe",
               .command = "CONFIG SET activedefrag yes",
               .line = "activedefrag yes",
               .advice =
                   "only a Redis with its own jemalloc can do that; Debian's is not. A restart "
                   "helps too",
           },
           i);
}

static void check_disk(struct doctor_report *r, uint32_t i)
{
    const char *status = doctor_value(&r->nodes[i].info, "aof_last_write_status");
    const char *on = setting(&r->nodes[i], "appendonly");

    if (status == NULL || strcmp(status, "ok") == 0 || on == NULL || strcmp(on, "yes") != 0)
        return;
    report(r,
           (struct doctor_finding){
               .level = DOCTOR_BROKEN,
               .id = "disk",
               .what = "it could not write its log to disk",
               .why = "it refuses writes until it can",
               .advice = "look at its log file: is the disk full?",
           },
           i);
}

static void check_link(struct doctor_report *r, uint32_t i)
{
    const char *status = doctor_value(&r->nodes[i].info, "master_link_status");

    if (status == NULL || strcmp(status, "up") == 0)
        return;
    report(r,
           (struct doctor_finding){
               .level = DOCTOR_WRONG,
               .id = "replication",
               .what = "it is a replica, and does not get what its master writes",
               .why = "if the master is lost now, so is what it has",
               .advice = "masteruser and masterauth, TLS and the network are the usual causes; its "
                         "log file says more",
           },
           i);
}

/* ---- what weir's user may ---- */

/* "FLUSHALL, KEYS": the names of the rights where doctor_rights[k].needed and may[k] are so. NULL:
 * none, or no memory. */
static const char *names_of(struct doctor_report *r, const struct doctor_node *n, bool needed,
                            enum doctor_may may)
{
    const char *names = NULL;

    for (size_t k = 0; k < doctor_right_count; k++) {
        const char *words = doctor_rights[k].words;
        size_t len = strcspn(words, " ");

        if (doctor_rights[k].needed != needed || n->may[k] != may)
            continue;
        if (strncmp(words, "CLUSTER ", 8) == 0 || strncmp(words, "CONFIG ", 7) == 0 ||
            strncmp(words, "ACL ", 4) == 0 || strncmp(words, "CLIENT ", 7) == 0 ||
            strncmp(words, "FUNCTION ", 9) == 0)
            len += 1 + strcspn(words + len + 1, " ");
        if (strcmp(words, "GET doctor") == 0) {
            words = "GET of keys that are not weir's";
            len = strlen(words);
        }
        names = TEXT(r, "%s%s%.*s", names != NULL ? names : "", names != NULL ? ", " : "", (int)len,
                     words);
        if (names == NULL)
            return NULL;
    }
    return names;
}

static void check_rights(struct doctor_report *r, uint32_t i)
{
    const struct doctor_node *n = &r->nodes[i];
    const char *lacks = names_of(r, n, true, DOCTOR_MAY_NOT);
    const char *has = names_of(r, n, false, DOCTOR_MAY);
    bool everybody = strcmp(r->user, "default") == 0;

    if (lacks != NULL)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_BROKEN,
                   .id = "rights-missing",
                   .what = TEXT(r, "the user %s may not: %s", r->user, lacks),
                   .why = "weir needs them",
                   .command = TEXT(r, "ACL SETUSER %s " WEIR_RULES, r->user),
                   .line = "the line of weir in conf/redis/users.acl",
               },
               i);
    if (has != NULL)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_WRONG,
                   .id = "rights-excessive",
                   .what = TEXT(r, "the user %s may: %s", r->user, has),
                   .why = "weir never does that; whoever gets hold of its password could",
                   .command = TEXT(r, "ACL SETUSER %s " WEIR_RULES,
                                   everybody ? "weir on >PASSWORD" : r->user),
                   .line = "the line of weir in conf/redis/users.acl",
                   .advice =
                       everybody ? "then farm.redis.username: weir, in weir's configuration" : NULL,
               },
               i);
}

static void check_user(struct doctor_report *r, uint32_t i)
{
    if (r->nodes[i].user_missing)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_BROKEN,
                   .id = "user-missing",
                   .what = TEXT(r, "it knows no user %s", r->user),
                   .why = "weir cannot log in there",
                   .command = TEXT(r, "ACL SETUSER %s on >PASSWORD " WEIR_RULES, r->user),
                   .line = "the line of weir in conf/redis/users.acl",
               },
               i);
}

static void check_password(struct doctor_report *r, uint32_t i)
{
    if (r->nodes[i].no_password)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_WRONG,
                   .id = "no-password",
                   .what = "it asks for no password",
                   .why = "whoever reaches it reads and changes what all clients get",
                   .command = "ACL SETUSER default off",
                   .line = "aclfile /etc/redis/users.acl, from conf/redis/users.acl",
                   .advice = "first the users weir and replication, and farm.redis.username",
               },
               i);
}

/* ---- the whole ---- */

static void check_state(struct doctor_report *r, uint32_t i)
{
    const char *state = doctor_value(&r->nodes[i].cluster, "cluster_state");

    if (state == NULL || strcmp(state, "ok") == 0)
        return;
    report(r,
           (struct doctor_finding){
               .level = DOCTOR_BROKEN,
               .id = "cluster-state",
               .what = "it says that the cluster is down",
               .why = "it answers nothing, or only what its own shard can",
               .advice = "redis-cli --cluster check HOST:PORT tells more",
           },
           i);
}

static void check_failed(struct doctor_report *r, uint32_t i)
{
    const struct doctor_node *n = &r->nodes[i];

    if (!n->failed && !n->suspected)
        return;
    report(r,
           (struct doctor_finding){
               .level = n->slots > 0 ? DOCTOR_BROKEN : DOCTOR_WRONG,
               .id = "failed",
               .what = n->failed ? "the cluster holds it for dead"
                                 : "some of the cluster do not reach it",
               .why = n->slots > 0 ? "what lies in its slots cannot be had until it is replaced"
                                   : "there is one copy less",
               .advice = "start it again, or CLUSTER FORGET it on all others",
           },
           i);
}

static void check_coverage(struct doctor_report *r)
{
    uint32_t owned = 0;

    for (size_t i = 0; i < r->node_count; i++)
        owned += r->nodes[i].slots;
    if (!r->clustered || r->partly || owned >= SLOTS || r->too_many > 0)
        return;
    report(r,
           (struct doctor_finding){
               .level = DOCTOR_BROKEN,
               .id = "coverage",
               .what = TEXT(r, "%" PRIu32 " of 16384 slots have no owner", SLOTS - owned),
               .why = "that part of the keys cannot be stored or read",
               .advice = "redis-cli --cluster fix HOST:PORT",
           },
           WHOLE);
}

static bool host_of(const struct doctor_node *a, const struct doctor_node *b)
{
    return strcmp(a->host, b->host) == 0;
}

static uint32_t count_replicas(const struct doctor_report *r, const struct doctor_node *master,
                               uint32_t *elsewhere)
{
    uint32_t count = 0;

    *elsewhere = 0;
    for (size_t i = 0; i < r->node_count; i++) {
        const struct doctor_node *n = &r->nodes[i];

        if (!n->replica || n->failed || strcmp(n->master_id, master->id) != 0)
            continue;
        count++;
        *elsewhere += !host_of(n, master);
    }
    return count;
}

static void report_replicas(struct doctor_report *r, uint32_t i, uint32_t count)
{
    const char *least = setting(&r->nodes[i], "min-replicas-to-write");
    int64_t n;

    if (count == 0)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_WRONG,
                   .id = "no-replica",
                   .what = "a master without a replica",
                   .why = "when it is lost nobody takes over, and what it has is lost",
                   .advice = "redis-cli --cluster add-node NEW:PORT HOST:PORT --cluster-slave",
               },
               i);
    else if (number(least, &n) && n > 0 && count <= (uint64_t)n)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_NOTE,
                   .id = "min-replicas",
                   .what = "a master that takes no writes when it loses one replica",
                   .why = "nobody can purge then, until the replica is back",
                   .advice = "one replica more for each master",
               },
               i);
}

static void check_replicas(struct doctor_report *r)
{
    for (uint32_t i = 0; i < r->node_count && r->clustered && !r->partly; i++) {
        const struct doctor_node *master = &r->nodes[i];
        uint32_t elsewhere, count;

        if (master->replica || master->slots == 0 || r->too_many > 0)
            continue;
        count = count_replicas(r, master, &elsewhere);
        report_replicas(r, i, count);
        if (count > 0 && elsewhere == 0)
            report(r,
                   (struct doctor_finding){
                       .level = DOCTOR_NOTE,
                       .id = "same-host",
                       .what = "a master whose replicas are all on its own machine",
                       .why = "when the machine is lost, so is what it has",
                       .advice = "exchange replicas between machines (CLUSTER REPLICATE)",
                   },
                   i);
    }
}

/* The pair of nodes whose clocks are furthest apart, beyond what the measuring leaves in doubt. */
static void check_clocks(struct doctor_report *r)
{
    uint32_t slow = WHOLE, fast = WHOLE;
    int64_t apart;

    for (uint32_t i = 0; i < r->node_count; i++) {
        if (!r->nodes[i].clock_known)
            continue;
        if (slow == WHOLE || r->nodes[i].clock_ms < r->nodes[slow].clock_ms)
            slow = i;
        if (fast == WHOLE || r->nodes[i].clock_ms > r->nodes[fast].clock_ms)
            fast = i;
    }
    if (slow == WHOLE)
        return;
    apart = r->nodes[fast].clock_ms - r->nodes[slow].clock_ms;
    if (apart - r->nodes[fast].clock_doubt_ms - r->nodes[slow].clock_doubt_ms <= CLOCK_MS)
        return;
    report(r,
           (struct doctor_finding){
               .level = DOCTOR_WRONG,
               .id = "clock",
               .what = TEXT(r, "its clock is %.1f s ahead of that of %s", (double)apart / 1000,
                            r->nodes[slow].address),
               .why =
                   "what lasts an hour lasts more or less after a failover, and purges are dated "
                   "wrongly",
               .advice = "set the clocks by NTP",
           },
           fast);
}

static void check_versions(struct doctor_report *r)
{
    const char *first = NULL, *other = NULL;

    for (size_t i = 0; i < r->node_count; i++) {
        const char *version = doctor_value(&r->nodes[i].info, "redis_version");

        if (first == NULL)
            first = version;
        else if (version != NULL && strcmp(version, first) != 0)
            other = version;
    }
    if (other != NULL)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_NOTE,
                   .id = "versions",
                   .what = TEXT(r, "its nodes are of different versions: %s, %s", first, other),
                   .why = "a replica that is older than its master may not understand it",
                   .advice = "replicas first when upgrading",
               },
               WHOLE);
}

static void check_shape(struct doctor_report *r)
{
    if (r->role == DOCTOR_ONE)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_NOTE,
                   .id = "shared",
                   .what = "one Redis for both, responses and state",
                   .why = "when responses fill it, state with an end of its own is evicted as well",
                   .advice = "a second, small cluster: farm.state_redis, conf/redis/state.conf",
               },
               WHOLE);
    if (!r->clustered)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_NOTE,
                   .id = "plain",
                   .what = "one Redis, no cluster",
                   .why = "nobody takes over when it is lost: the nodes work on by themselves",
                   .advice = "a Redis Cluster, three masters with a replica each: conf/redis",
               },
               WHOLE);
}

static void check_partly(struct doctor_report *r)
{
    if (r->partly)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_WRONG,
                   .id = "cluster-nodes",
                   .what = "the list of its nodes may not be read: only the given ones were looked "
                           "at",
                   .why = "what is wrong with the others cannot be seen",
                   .advice = "weirctl doctor --user ops --password-file FILE, with a user that may "
                             "(conf/redis/users.acl)",
               },
               WHOLE);
    if (r->too_many > 0)
        report(r,
               (struct doctor_finding){
                   .level = DOCTOR_WRONG,
                   .id = "too-many",
                   .what = TEXT(r, "%" PRIu32 " nodes were not looked at", r->too_many),
                   .why = "there are more than weirctl asks at once",
                   .advice = "CONFIG GET of the others should give the same as of these",
               },
               WHOLE);
}

/* ---- all of it ---- */

typedef void node_check(struct doctor_report *r, uint32_t node);
typedef void whole_check(struct doctor_report *r);

static node_check *const of_a_node[] = {
    check_failed, check_state,    check_version,  check_user,      check_password,
    check_rights, check_settings, check_lazyfree, check_pubsub,    check_timeout,
    check_full,   check_disk,     check_link,     check_scattered,
};

static whole_check *const of_the_whole[] = {
    check_coverage, check_replicas, check_clocks, check_versions, check_partly, check_shape,
};

/* In place and stable, so that what belongs together stays together. There are few. */
static void sort_by_level(struct doctor_report *r)
{
    for (size_t i = 1; i < r->finding_count; i++) {
        struct doctor_finding f = r->findings[i];
        size_t at = i;

        for (; at > 0 && r->findings[at - 1].level > f.level; at--)
            r->findings[at] = r->findings[at - 1];
        r->findings[at] = f;
    }
}

void doctor_judge(struct doctor_report *r)
{
    for (uint32_t i = 0; i < r->node_count; i++) {
        check_asked(r, i);
        for (size_t k = 0; k < sizeof of_a_node / sizeof of_a_node[0]; k++)
            of_a_node[k](r, i);
    }
    for (size_t k = 0; k < sizeof of_the_whole / sizeof of_the_whole[0]; k++)
        of_the_whole[k](r);
    sort_by_level(r);
}
