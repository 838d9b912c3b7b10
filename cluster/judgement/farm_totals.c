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

bool farm_sum(json_t *farm)
{
    const json_t *nodes = json_object_get(farm, "nodes");
    json_t *totals =
        json_pack("{s:I, s:I, s:f, s:o, s:f, s:f}", "nodes", (json_int_t)json_array_size(nodes),
                  "connections", whole(sum_of(nodes, "connections")), "requests_per_s",
                  sum_of(nodes, "requests_per_s"), "hit_ratio", hit_ratio(nodes), "errors_per_s",
                  sum_of(nodes, "errors_per_s"), "bytes_per_s", sum_of(nodes, "bytes_per_s"));

    return totals != NULL && json_object_set_new(farm, "totals", totals) == 0;
}
