/* The farm of what its nodes have written: records, briefs, words, and what Redis is like. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "ctl_direct_own.h"
#include "shared_redis_stats.h"
#include "weir/alloc.h"
#include "weir/container.h"

#define RECORD_MS 1500 /* for a record */
#define AT_ONCE   50   /* records that are asked for */
#define STATS_MS  1000

/* ---- Redis ---- */

static const char *endpoint_name(const char *name)
{
    return strcmp(name, "state") == 0 ? "state_redis" : "redis";
}

static json_t *endpoint_json(const struct shared_redis_endpoint *e)
{
    unsigned up = 0, down = 0;
    json_t *slots = e->mode == REDIS_MODE_CLUSTER ? json_integer(e->covered) : json_null();
    json_t *trouble = e->trouble[0] != '\0' ? json_string(e->trouble) : json_null();

    for (uint32_t i = 0; i < e->node_count; i++) {
        if (e->nodes[i].ports_open > 0)
            down++;
        else
            up++;
    }
    return json_pack("{s:s, s:s, s:i, s:i, s:o, s:o}", "endpoint", endpoint_name(e->name), "mode",
                     redis_mode_name(e->mode), "nodes_up", (int)up, "nodes_down", (int)down,
                     "slots_covered", slots, "trouble", trouble);
}

static void on_stats(const struct shared_redis_stats *s, void *arg)
{
    struct direct *d = arg;

    d->redis_told = true;
    for (unsigned i = 0; s != NULL && i < s->endpoint_count; i++) {
        json_array_append_new(d->redis_json, endpoint_json(&s->endpoints[i]));
        if (s->endpoints[i].trouble[0] != '\0')
            snprintf(d->trouble, sizeof d->trouble, "%s", s->endpoints[i].trouble);
    }
}

static bool is_told(struct direct *d)
{
    return d->redis_told;
}

void direct_ask_redis(struct direct *d)
{
    struct weir_err err = {0};
    struct shared_redis_ask *ask;

    d->redis_told = false;
    json_decref(d->redis_json);
    d->redis_json = json_array();
    ask = shared_redis_ask(d->port, on_stats, d, &err);
    if (ask != NULL && !direct_wait(d, is_told, STATS_MS))
        shared_redis_ask_cancel(ask);
}

/* ---- nodes ---- */

/* One member, and the question for its record. */
struct reading {
    struct shared_call call;
    struct direct *direct;
    char id[MEMBER_ID_MAX + 1];
    uint64_t incarnation;
    uint32_t flags;
    uint64_t config, purges;
    bool twin;
    int64_t beat_ms;
    json_t *record; /* NULL: none that can be read */
};

static void on_record(struct shared_call *c)
{
    struct reading *r = WEIR_CONTAINER(c, struct reading, call);
    struct weir_span json;

    r->direct->answered++;
    if (c->result == SHARED_OK &&
        members_record_json(r->direct->members, c, r->id, r->incarnation, &json))
        r->record = json_loadb(json.ptr, json.len, 0, NULL);
    if (!json_is_object(r->record)) {
        json_decref(r->record);
        r->record = NULL;
    }
    shared_call_clear(c);
}

static bool has_room(struct direct *d)
{
    return d->asked - d->answered < AT_ONCE;
}

static bool all_answered(struct direct *d)
{
    return d->answered == d->asked;
}

static struct reading *copy_members(struct direct *d, size_t *count)
{
    const struct member *list;
    size_t n = members_list(d->members, &list);
    struct reading *r = weir_calloc(n + 1, sizeof *r);

    *count = r != NULL ? n : 0;
    for (size_t i = 0; i < *count; i++) {
        const struct member *m = &list[i];

        r[i] = (struct reading){.direct = d,
                                .incarnation = m->incarnation,
                                .flags = m->brief.flags,
                                .config = m->brief.config,
                                .purges = m->brief.purges,
                                .twin = m->twin,
                                .beat_ms = d->clock.mono_ms - m->beat_ms};
        snprintf(r[i].id, sizeof r[i].id, "%s", m->id);
    }
    return r;
}

/* Each call has its own deadline, so all of them end. */
static void read_records(struct direct *d, struct reading *r, size_t count)
{
    d->asked = d->answered = 0;
    for (size_t i = 0; i < count; i++) {
        direct_wait(d, has_room, RECORD_MS * 2);
        r[i].call.done = on_record;
        r[i].call.timeout_ms = RECORD_MS;
        r[i].call.area = SHARED_STATE;
        d->asked++;
        members_record(d->members, &r[i].call, r[i].id, r[i].incarnation);
    }
    direct_wait(d, all_answered, RECORD_MS * 2);
}

static json_t *brief_json(const struct reading *r)
{
    char incarnation[17], config[17];
    json_t *applied = r->purges > 0 ? json_integer((json_int_t)r->purges) : json_null();

    snprintf(incarnation, sizeof incarnation, "%016" PRIx64, r->incarnation);
    snprintf(config, sizeof config, "%016" PRIx64, r->config);
    return json_pack("{s:s, s:s, s:b, s:b, s:b, s:b, s:{s:s}, s:{s:o}}", "id", r->id, "incarnation",
                     incarnation, "ready", (r->flags & MEMBER_READY) != 0, "draining",
                     (r->flags & MEMBER_DRAINING) != 0, "suspect", (r->flags & MEMBER_SUSPECT) != 0,
                     "autonomous", (r->flags & MEMBER_AUTONOMOUS) != 0, "config", "hash", config,
                     "purges", "applied", applied);
}

/* The brief is younger than the record: what both tell is the brief's. */
static json_t *node_json(struct reading *r)
{
    bool fresh = r->record != NULL;
    json_t *node = fresh ? json_incref(r->record) : brief_json(r);

    if (fresh) {
        json_object_set_new(node, "ready", json_boolean(r->flags & MEMBER_READY));
        json_object_set_new(node, "draining", json_boolean(r->flags & MEMBER_DRAINING));
        json_object_set_new(node, "suspect", json_boolean(r->flags & MEMBER_SUSPECT));
        json_object_set_new(node, "autonomous", json_boolean(r->flags & MEMBER_AUTONOMOUS));
    }
    json_object_set_new(node, "self", json_false());
    json_object_set_new(node, "twin", json_boolean(r->twin));
    json_object_set_new(node, "beat_ms", json_integer((json_int_t)r->beat_ms));
    json_object_set_new(node, "record", json_string(fresh ? "fresh" : "missing"));
    return node;
}

static json_t *nodes_json(struct direct *d)
{
    json_t *out = json_array();
    size_t count;
    struct reading *r = copy_members(d, &count);

    read_records(d, r, count);
    for (size_t i = 0; i < count; i++) {
        shared_cancel(d->port, &r[i].call);
        json_array_append_new(out, node_json(&r[i]));
        json_decref(r[i].record);
    }
    weir_free(r);
    return out;
}

static json_t *members_json(struct direct *d)
{
    struct members_state s;
    const struct member *list;
    size_t live = members_list(d->members, &list);

    members_state(d->members, &s);
    return json_pack("{s:b, s:b, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:[]}", "current", s.current,
                     "lost", s.lost, "live", (json_int_t)live, "last_live", (json_int_t)live,
                     "contact_ms", s.contact_ms >= 0 ? json_integer(s.contact_ms) : json_null(),
                     "skew_ms", (json_int_t)s.skew_ms, "forged", (json_int_t)s.forged, "stale",
                     (json_int_t)s.stale, "foreign", (json_int_t)s.foreign, "missing");
}

/* ---- words ---- */

static json_t *word_json(const struct direct *d, const struct word *w)
{
    static const char *const targets[] = {
        [WORD_ORIGIN] = "origin", [WORD_UPSTREAM] = "upstream", [WORD_NODE] = "node"};
    int64_t left_ms = w->until_ms - d->clock.mono_ms;
    json_t *url = w->target == WORD_ORIGIN ? json_string(w->url) : json_null();
    json_t *weight = w->kind == WORD_WEIGHT ? json_integer(w->weight) : json_null();
    json_t *left = w->until_ms != 0 ? json_integer(left_ms > 0 ? left_ms / 1000 : 0) : json_null();

    return json_pack("{s:s, s:s, s:o, s:s, s:o, s:s, s:s, s:I, s:I, s:o}", "target",
                     targets[w->target], "name", w->name, "url", url, "kind",
                     word_kind_name(w->kind), "weight", weight, "author", w->author, "reason",
                     w->reason, "number", (json_int_t)w->number, "said_at",
                     (json_int_t)w->said_at_s, "left_s", left);
}

static json_t *words_json(struct direct *d)
{
    const struct word *list;
    size_t count = words_list(d->words, &list);
    json_t *out = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, word_json(d, &list[i]));
    return out;
}

static json_t *words_state_json(struct direct *d)
{
    struct words_state s;

    words_state(d->words, &s);
    return json_pack("{s:b, s:I, s:I, s:I}", "current", s.current, "pending", (json_int_t)s.pending,
                     "forged", (json_int_t)s.forged, "restored", (json_int_t)s.restored);
}

/* ---- all of it ---- */

json_t *direct_farm(struct direct *d)
{
    json_t *nodes = nodes_json(d), *words = words_json(d);
    json_t *origins = direct_origins(d, nodes, words), *farm;

    direct_ask_redis(d);
    farm = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "farm", d->own.name, "asked",
                     "weirctl", "members", members_json(d), "nodes", nodes, "origins", origins,
                     "words", words, "words_state", words_state_json(d), "redis", d->redis_json);
    d->redis_json = NULL;
    return farm;
}
