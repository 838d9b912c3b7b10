#include <stdio.h>
#include <string.h>

#include "farm_own.h"

#define PLACE_MAX 700 /* an upstream's name and an origin's URL */

static bool is(const json_t *origin, const char *name, const char *word)
{
    return strcmp(farm_text(origin, name), word) == 0;
}

/* An operator took it out: that it serves nobody is what was wanted. */
static bool taken_out(const json_t *origin)
{
    return is(origin, "in_force", "drained") || is(origin, "in_force", "disabled") ||
           is(origin, "in_force", "maintenance");
}

static bool in_use(const json_t *origin)
{
    return !taken_out(origin) && !is(origin, "in_force", "down") && !farm_true(origin, "ejected");
}

static const char *place_of(const json_t *origin, char buf[PLACE_MAX])
{
    snprintf(buf, PLACE_MAX, "%s %s", farm_text(origin, "upstream"), farm_text(origin, "url"));
    return buf;
}

/* What the checks saw, else why it is so. */
static const char *cause_of(const json_t *origin)
{
    const char *reason = farm_text(origin, "reason");

    return reason[0] != '\0' ? reason : farm_text(origin, "why");
}

static void judge_origin(struct farm_faults *f, const json_t *o)
{
    char place[PLACE_MAX];

    place_of(o, place);
    if (taken_out(o))
        return; /* its word is told */
    if (farm_true(o, "flapping"))
        farm_fault(f, FARM_DEGRADED, "origin_flapping", place,
                   "kept out, for it keeps going up and down");
    else if (is(o, "in_force", "down"))
        farm_fault(f, FARM_DEGRADED, "origin_down", place, "down: %s (%s)", cause_of(o),
                   farm_text(o, "why"));
    else if (farm_true(o, "ejected"))
        farm_fault(f, FARM_DEGRADED, "origin_down", place,
                   "this node leaves it alone: its requests failed");
    else if (farm_true(o, "held"))
        farm_fault(f, FARM_INFO, "origin_held", place,
                   "too few fresh votes: the last verdict holds");
    else if (farm_true(o, "checked") && is(o, "verdict", "unknown"))
        farm_fault(f, FARM_INFO, "origin_unknown", place, "nobody has checked it yet");
}

/* The origins of one upstream. */
struct upstream_count {
    size_t all, used, out, maintenance, panic;
};

static struct upstream_count count_upstream(const json_t *origins, const char *name)
{
    struct upstream_count n = {0};
    const json_t *o;
    size_t i;

    json_array_foreach(origins, i, o)
    {
        if (!is(o, "upstream", name))
            continue;
        n.all++;
        n.used += in_use(o);
        n.out += taken_out(o);
        n.maintenance += is(o, "in_force", "maintenance");
        n.panic += farm_true(o, "panic");
    }
    return n;
}

static void judge_upstream(struct farm_faults *f, const json_t *origins, const char *name)
{
    struct upstream_count n = count_upstream(origins, name);

    if (n.used == 0 && n.out < n.all)
        farm_fault(f, FARM_DOWN, "upstream_down", name, "none of its %zu origins is up%s", n.all,
                   n.panic > 0 ? ": all are used all the same" : "");
    else if (n.panic > 0)
        farm_fault(f, FARM_DEGRADED, "upstream_panic", name,
                   "%zu of %zu origins are up: all are used", n.used, n.all);
    else if (n.used == 0 && n.maintenance == 0)
        farm_fault(f, FARM_DEGRADED, "upstream_down", name,
                   "operators have taken out all of its origins");
}

/* Is it the first one of its upstream? Origins of one stand together. */
static bool leads(const json_t *origins, size_t i)
{
    return i == 0 || !is(json_array_get(origins, i - 1), "upstream",
                         farm_text(json_array_get(origins, i), "upstream"));
}

/* ---- what other nodes alone see ---- */

static const json_t *find(const json_t *origins, const json_t *like)
{
    const json_t *o;
    size_t i;

    json_array_foreach(origins, i, o)
    {
        if (is(o, "url", farm_text(like, "url")) && is(o, "upstream", farm_text(like, "upstream")))
            return o;
    }
    return NULL;
}

static void judge_view_of(struct farm_faults *f, const json_t *node, const json_t *origins)
{
    const json_t *seen, *o;
    char place[PLACE_MAX];
    size_t i;

    json_array_foreach(json_object_get(node, "origins"), i, seen)
    {
        if (!is(seen, "own", "down") || (o = find(origins, seen)) == NULL || !in_use(o))
            continue;
        farm_fault(f, FARM_DEGRADED, "origin_local", farm_text(node, "id"),
                   "does not reach %s, others do: %s", place_of(seen, place),
                   farm_text(seen, "reason"));
    }
}

void farm_judge_origins(struct farm_faults *f, const json_t *origins, const json_t *nodes)
{
    const json_t *o, *node;
    size_t i;

    json_array_foreach(origins, i, o)
    {
        judge_origin(f, o);
        if (leads(origins, i))
            judge_upstream(f, origins, farm_text(o, "upstream"));
    }
    json_array_foreach(nodes, i, node) judge_view_of(f, node, origins);
}
