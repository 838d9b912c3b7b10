/*
 * Origins as far as Redis tells: each node's record lists those that are not simply up there. Pure.
 */
#include <string.h>

#include "ctl.h"
#include "ctl_direct_own.h"

static json_t *find(const json_t *origins, const char *upstream, const char *url)
{
    json_t *o;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)origins, i, o)
    {
        if (strcmp(ctl_str(o, "url"), url) == 0 && strcmp(ctl_str(o, "upstream"), upstream) == 0)
            return o;
    }
    return NULL;
}

/* One that nothing is said of: up, or unknown where nobody checks it. */
static json_t *new_origin(const char *upstream, const char *url, bool checked, unsigned weight)
{
    const char *verdict = checked ? "up" : "unknown";

    return json_pack("{s:s, s:s, s:b, s:s, s:s, s:b, s:n, s:n, s:i, s:i, s:i, s:b, s:n, s:n, s:n, "
                     "s:b, s:b, s:f, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:n}",
                     "upstream", upstream, "url", url, "checked", checked, "verdict", verdict,
                     "in_force", verdict, "held", 0, "why", "reason", "since_s", 0, "votes_up", 0,
                     "votes_down", 0, "prober", 0, "own", "own_reason", "rtt_ms", "ejected", 0,
                     "flapping", 0, "penalty", 0.0, "panic", 0, "weight", (int)weight,
                     "weight_configured", (int)weight, "connections", 0, "in_flight", 0, "requests",
                     0, "failures", 0, "word");
}

static void add_configured(const struct direct *d, json_t *out)
{
    for (size_t u = 0; d->settings != NULL && u < d->settings->upstream_count; u++) {
        const struct upstream_settings *up = &d->settings->upstreams[u];

        for (size_t i = 0; i < up->origin_count; i++)
            json_array_append_new(out, new_origin(up->name, up->origins[i].url,
                                                  up->health.kind != HEALTH_KIND_OFF,
                                                  up->origins[i].weight));
    }
}

static void count_one(json_t *origin, const char *name)
{
    json_object_set_new(origin, name,
                        json_integer(json_integer_value(json_object_get(origin, name)) + 1));
}

/* What one node says of one origin: its vote, and that it finds it down ("down" is counted). */
static void add_said(json_t *out, const json_t *said)
{
    const char *upstream = ctl_str(said, "upstream"), *url = ctl_str(said, "url");
    const char *own = ctl_str(said, "own"), *reason = ctl_str(said, "reason");
    json_t *origin = find(out, upstream, url);

    if (url[0] == '\0')
        return;
    if (origin == NULL) {
        origin = new_origin(upstream, url, true, 1);
        json_array_append_new(out, origin);
    }
    json_object_set_new(origin, "checked", json_true());
    if (strcmp(own, "up") == 0)
        count_one(origin, "votes_up");
    if (strcmp(own, "down") == 0)
        count_one(origin, "votes_down");
    if (strcmp(ctl_str(said, "verdict"), "down") == 0)
        count_one(origin, "down");
    if (strcmp(ctl_str(said, "verdict"), "unknown") == 0)
        count_one(origin, "unknown");
    if (reason[0] != '\0')
        json_object_set_new(origin, "reason", json_string(reason));
}

/* What most nodes find; what fewer find is told, and changes nothing for the farm. */
static void conclude(json_t *origin, int64_t nodes)
{
    int64_t down = ctl_int(origin, "down", NULL), unknown = ctl_int(origin, "unknown", NULL);
    const char *most = 2 * down > nodes      ? "down"
                       : 2 * unknown > nodes ? "unknown"
                       : down + unknown > 0  ? "up"
                                             : ctl_str(origin, "verdict");
    json_t *verdict = json_string(most);

    json_object_set(origin, "verdict", verdict); /* frees what `most` may point to */
    json_object_set_new(origin, "in_force", verdict);
    if (down > 0)
        json_object_set_new(origin, "why",
                            json_sprintf("down for %d of %d nodes", (int)down, (int)nodes));
    json_object_del(origin, "down");
    json_object_del(origin, "unknown");
}

/* ---- words ---- */

static void obey(json_t *origin, const json_t *word)
{
    static const char *const forces[][2] = {{"drain", "drained"},
                                            {"disable", "disabled"},
                                            {"maintenance", "maintenance"},
                                            {"up", "up"}};
    const char *kind = ctl_str(word, "kind");

    if (strcmp(kind, "weight") == 0)
        json_object_set(origin, "weight", json_object_get(word, "weight"));
    for (size_t i = 0; i < sizeof forces / sizeof forces[0]; i++) {
        if (strcmp(kind, forces[i][0]) == 0) {
            json_object_set_new(origin, "in_force", json_string(forces[i][1]));
            json_object_set_new(origin, "why", json_string("operator"));
            json_object_set(origin, "word", (json_t *)(uintptr_t)word);
        }
    }
}

/* A word for an origin that is in no record and in no configuration is shown all the same. */
static void add_word(json_t *out, const json_t *word)
{
    const char *target = ctl_str(word, "target"), *name = ctl_str(word, "name");
    json_t *origin;
    size_t i;

    if (strcmp(target, "origin") == 0) {
        origin = find(out, name, ctl_str(word, "url"));
        if (origin == NULL) {
            origin = new_origin(name, ctl_str(word, "url"), false, 1);
            json_array_append_new(out, origin);
        }
        obey(origin, word);
    }
    json_array_foreach(out, i, origin)
    {
        if (strcmp(target, "upstream") == 0 && strcmp(ctl_str(origin, "upstream"), name) == 0)
            obey(origin, word);
    }
}

json_t *direct_origins(struct direct *d, const json_t *nodes, const json_t *words)
{
    json_t *out = json_array(), *one, *said;
    int64_t readable = 0;
    size_t i, k;

    add_configured(d, out);
    json_array_foreach((json_t *)(uintptr_t)nodes, i, one)
    {
        readable += strcmp(ctl_str(one, "record"), "fresh") == 0;
        json_array_foreach(json_object_get(one, "origins"), k, said) add_said(out, said);
    }
    json_array_foreach(out, i, one) conclude(one, readable);
    json_array_foreach((json_t *)(uintptr_t)words, i, one) add_word(out, one);
    return out;
}
