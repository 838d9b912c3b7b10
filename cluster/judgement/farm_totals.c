#include <string.h>

#include "farm_own.h"

/* The sum of one rate or count over all records. */
static double sum_of(const json_t *nodes, const char *name)
{
    const json_t *node;
    double sum = 0;
    size_t i;

    json_array_foreach(nodes, i, node) sum += farm_real(json_object_get(node, "load"), name);
    return sum;
}

/* Weighed by requests; NULL where nobody was asked anything. */
static json_t *hit_ratio(const json_t *nodes)
{
    double requests = 0, hits = 0;
    const json_t *node;
    size_t i;

    json_array_foreach(nodes, i, node)
    {
        const json_t *load = json_object_get(node, "load");
        double rate = farm_real(load, "requests_per_s");

        if (!json_is_number(json_object_get(load, "hit_ratio")))
            continue;
        requests += rate;
        hits += rate * farm_real(load, "hit_ratio");
    }
    return requests > 0 ? json_real(hits / requests) : json_null();
}

/* Sums of what other nodes say: any number at all. */
static json_int_t whole(double sum)
{
    return sum > 1e15 ? (json_int_t)1e15 : sum < 0 ? 0 : (json_int_t)sum;
}

/* ---- what clients speak ---- */

#define DEPTH_MAX 3 /* clients: lately: floods_cut: resets */

/* How far back a node remembers is no quantity that adds up. */
static json_t *added(const char *name, const json_t *a, const json_t *b)
{
    double x = json_number_value(a), y = json_number_value(b);
    double sum = strcmp(name, "span_s") == 0 ? (x > y ? x : y) : x + y;

    if (json_is_integer(b))
        return json_integer(whole(sum));
    return json_real(sum > 1e15 ? 1e15 : sum < 0 ? 0 : sum); /* infinity is no number of JSON's */
}

/* Adds each number of `from` to the one of that name; false: no memory. */
static bool add_numbers(json_t *into, const json_t *from, int depth)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        json_t *sum = json_object_get(into, name);

        if (json_is_number(value)) {
            if (json_object_set_new(into, name, added(name, sum, value)) != 0)
                return false;
        } else if (json_is_object(value) && depth < DEPTH_MAX) {
            if (!json_is_object(sum) && json_object_set_new(into, name, sum = json_object()) != 0)
                return false;
            if (!add_numbers(sum, value, depth + 1))
                return false;
        }
    }
    return true;
}

/* NULL: no memory. */
static json_t *clients_of(const json_t *nodes)
{
    json_t *sums = json_object();
    const json_t *node;
    size_t i;

    json_array_foreach(nodes, i, node)
    {
        if (sums != NULL && !add_numbers(sums, json_object_get(node, "clients"), 1)) {
            json_decref(sums);
            return NULL;
        }
    }
    return sums;
}

bool farm_sum(json_t *farm)
{
    const json_t *nodes = json_object_get(farm, "nodes");
    json_t *totals = json_pack("{s:I, s:I, s:f, s:o, s:f, s:f, s:o}", "nodes",
                               (json_int_t)json_array_size(nodes), "connections",
                               whole(sum_of(nodes, "connections")), "requests_per_s",
                               sum_of(nodes, "requests_per_s"), "hit_ratio", hit_ratio(nodes),
                               "errors_per_s", sum_of(nodes, "errors_per_s"), "bytes_per_s",
                               sum_of(nodes, "bytes_per_s"), "clients", clients_of(nodes));

    return totals != NULL && json_object_set_new(farm, "totals", totals) == 0;
}
