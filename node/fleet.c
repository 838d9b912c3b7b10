#include "fleet.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/hash.h"
#include "weir/members.h"
#include "weir/seal.h"
#include "weir/words.h"
#include "farm.h"
#include "health.h"
#include "limit.h"
#include "member_identity.h"
#include "net_loop.h"
#include "orders.h"
#include "purge_feed.h"
#include "readiness.h"
#include "reload_report.h"
#include "settings.h"

#define WORDS_FILE "words.json"
#define FILE_MAX   4096

struct fleet {
    struct fleet_options o;
    char id[MEMBER_ID_MAX + 1];
    struct weir_seal_key key;
    struct members *members;
    struct words *words;
    struct health *health;
    struct readiness_watcher watcher;
    struct orders orders;
    bool runs;                   /* it can drain and reload: until then orders wait */
    struct reload_report report; /* of the last reload */
    int64_t began_unix_ms;       /* by this host's clock */
    struct member_brief said;
    void (*on_left)(void *arg);
    void *left_arg;
    bool left, quiet; /* the others know; and have what was ordered here */
};

static void follow_orders(struct fleet *f);

/* ---- what this node says of itself ---- */

static bool drains(const struct fleet *f)
{
    const char *why[READY_REASONS];
    size_t n = readiness_because(f->o.readiness, why);

    for (size_t i = 0; i < n; i++)
        if (why[i] == ready_reason_name(READY_DRAINING))
            return true;
    return false;
}

static uint32_t flags_of(const struct fleet *f)
{
    uint32_t flags = 0;

    if (readiness_is(f->o.readiness))
        flags |= MEMBER_READY;
    if (drains(f))
        flags |= MEMBER_DRAINING;
    if (health_suspects_self(f->health))
        flags |= MEMBER_SUSPECT;
    if (health_autonomous(f->health))
        flags |= MEMBER_AUTONOMOUS;
    return flags;
}

static uint64_t purges_applied(const struct fleet *f)
{
    struct purge_feed_stats stats;

    if (f->o.purge_feed == NULL)
        return 0;
    purge_feed_stats(f->o.purge_feed, &stats);
    return stats.known ? stats.applied : 0;
}

/* What is new to the others is worth a beat of its own; numbers that grow are not. */
static void say(struct fleet *f, bool at_once)
{
    const char *votes;
    size_t len = health_votes(f->health, &votes);
    struct member_brief b = {
        .flags = flags_of(f),
        .config = f->report.config,
        .purges = purges_applied(f),
        .order = f->report.order,
        .votes = weir_span(votes, len),
    };

    if (b.flags != f->said.flags || b.config != f->said.config || b.order != f->said.order)
        at_once = true;
    if (!members_say(f->members, &b, at_once))
        return;               /* no memory: what is new is so still at the next turn */
    b.votes = WEIR_SPAN_NONE; /* are health's for this turn only */
    f->said = b;
}

static size_t on_record(void *arg, char *out, size_t cap)
{
    struct fleet *f = arg;

    return f->o.record(f->o.arg, out, cap);
}

/* ---- what others say ---- */

static void on_members(void *arg)
{
    struct fleet *f = arg;

    limit_node_members(f->o.limits, members_live(f->members));
    health_look(f->health);
    follow_orders(f);
}

static void on_health(void *arg)
{
    struct fleet *f = arg;

    readiness_set(f->o.readiness, READY_SUSPECT, health_suspects_self(f->health));
    say(f, true);
}

/* Told for the first time when the start is over: what was ordered meanwhile is due. */
static void on_ready(struct readiness_watcher *w, bool ready)
{
    struct fleet *f = WEIR_CONTAINER(w, struct fleet, watcher);

    (void)ready;
    say(f, true);
    f->runs = true;
    follow_orders(f);
}

/* ---- orders ---- */

/* When the shared clock is known it is known which orders were given to this process. */
static void begin_orders(struct fleet *f)
{
    struct members_state state;

    members_state(f->members, &state);
    if (state.current)
        orders_begin(&f->orders, (uint64_t)(f->began_unix_ms - state.skew_ms));
}

static void follow_orders(struct fleet *f)
{
    const struct word *words;
    size_t n = words_list(f->words, &words);
    struct order d;

    if (!f->runs)
        return;
    begin_orders(f);
    d = orders_take(&f->orders, words, n, f->id);
    if (d.kind == WORD_DRAIN)
        f->o.drain(f->o.arg);
    else if (d.kind == WORD_RELOAD)
        f->o.reload(f->o.arg, d.number);
}

static void on_words(void *arg)
{
    struct fleet *f = arg;
    const struct word *words;
    size_t n = words_list(f->words, &words);

    readiness_set(f->o.readiness, READY_WORD, orders_unready(words, n, f->id));
    health_look(f->health);
    follow_orders(f);
}

/* ---- making ---- */

static uint64_t draw(struct weir_err *err)
{
    struct weir_hash_secret random;
    uint64_t number = 0;

    if (weir_hash_secret_draw(&random, err))
        memcpy(&number, random.bytes, sizeof number);
    return number | 1; /* never 0, which is none */
}

/* From now on it can say which purges it has applied when somebody waits for that. */
static void introduce(struct fleet *f, uint64_t incarnation)
{
    char who[MEMBER_ID_MAX + 24];

    snprintf(who, sizeof who, "%s/%llu", f->id, (unsigned long long)incarnation);
    purge_feed_introduce(f->o.purge_feed, &f->key, who);
}

static bool make_members(struct fleet *f, struct weir_err *err)
{
    struct members_options o = {
        .port = f->o.port,
        .loop = f->o.shared_loop,
        .key = &f->key,
        .farm = f->o.first->farm.name,
        .id = f->id,
        .incarnation = draw(err),
        .record = on_record,
        .changed = on_members,
        .arg = f,
    };

    f->members = members_new(&o, err);
    if (f->members != NULL && f->o.purge_feed != NULL)
        introduce(f, o.incarnation);
    return f->members != NULL;
}

static bool make_words_in(struct fleet *f, const char *dir, struct weir_err *err)
{
    char path[FILE_MAX];
    struct words_options o = {
        .port = f->o.port,
        .loop = f->o.shared_loop,
        .key = &f->key,
        .farm = f->o.first->farm.name,
        .file = dir != NULL ? path : NULL,
        .pool = f->o.pool,
        .box = &f->o.loop->box,
        .seed = draw(err),
        .changed = on_words,
        .arg = f,
    };

    if (dir != NULL)
        snprintf(path, sizeof path, "%s/" WORDS_FILE, dir);
    f->words = words_new(&o, err);
    return f->words != NULL;
}

static bool make_words(struct fleet *f, struct weir_err *err)
{
    char *dir;
    bool made;

    if (!member_state_dir(f->o.first->state_dir, &dir))
        return weir_fail(err, WEIR_E_MEMORY, "fleet: folder", 0);
    made = make_words_in(f, dir, err);
    weir_free(dir);
    return made;
}

static bool make_health(struct fleet *f, struct weir_err *err)
{
    struct health_options o = {
        .loop = f->o.loop,
        .members = f->members,
        .words = f->words,
        .changed = on_health,
        .arg = f,
        .seed = draw(err),
    };

    f->health = health_new(&o, err);
    return f->health != NULL;
}

struct fleet *fleet_new(const struct fleet_options *o, struct weir_err *err)
{
    struct fleet *f = weir_calloc(1, sizeof *f);
    struct timespec now;

    if (f == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "fleet: create", 0);
        return NULL;
    }
    f->o = *o;
    member_identity(o->first->node_id, f->id);
    clock_gettime(CLOCK_REALTIME, &now);
    f->began_unix_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (!farm_seal_key(o->farm, &f->key, err) || !make_members(f, err) || !make_words(f, err) ||
        !make_health(f, err)) {
        fleet_free(f);
        return NULL;
    }
    f->watcher.changed = on_ready;
    readiness_watch(o->readiness, &f->watcher);
    return f;
}

void fleet_free(struct fleet *f)
{
    if (f == NULL)
        return;
    health_free(f->health);
    words_free(f->words);
    members_free(f->members);
    weir_free(f);
}

bool fleet_watch(struct fleet *f, struct site *site, struct weir_err *err)
{
    return health_watch(f->health, site, err);
}

void fleet_reloaded(struct fleet *f, const struct reload_report *report)
{
    f->report = *report;
    say(f, true);
}

void fleet_turn(struct fleet *f)
{
    say(f, false);
}

bool fleet_settled(const struct fleet *f)
{
    return words_settled(f->words);
}

static void on_left(void *arg)
{
    struct fleet *f = arg;

    f->left = true;
    if (fleet_left(f))
        f->on_left(f->left_arg);
}

static void on_quiet(void *arg)
{
    struct fleet *f = arg;

    f->quiet = true;
    if (fleet_left(f))
        f->on_left(f->left_arg);
}

void fleet_leave(struct fleet *f, void (*left)(void *arg), void *arg)
{
    f->on_left = left;
    f->left_arg = arg;
    members_leave(f->members, on_left, f);
    words_when_quiet(f->words, on_quiet, f);
}

bool fleet_left(const struct fleet *f)
{
    return f->left && f->quiet;
}

struct members *fleet_members(struct fleet *f)
{
    return f->members;
}

struct words *fleet_words(struct fleet *f)
{
    return f->words;
}

struct health *fleet_health(struct fleet *f)
{
    return f->health;
}
