#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "ctl_text.h"

#define SLOTS 16384

static void paint(const struct ctl_options *o, bool good, const char *text)
{
    ctl_paint(stdout, o->colours, good ? CTL_GREEN : CTL_RED, text);
}

/* What else happened with a node, by how often. */
static void print_events(const json_t *node)
{
    const char *name;
    json_t *count;
    unsigned shown = 0;

    json_object_foreach(json_object_get(node, "events"), name, count)
    {
        if (json_integer_value(count) == 0)
            continue;
        printf("%s", shown++ > 0 ? ", " : "");
        ctl_put(stdout, name);
        printf(" %" JSON_INTEGER_FORMAT, json_integer_value(count));
    }
    printf("%s\n", shown > 0 ? "" : "-");
}

static void print_node(const struct ctl_options *o, const json_t *node)
{
    const char *breaker = ctl_str(node, "breaker");
    bool good = strcmp(breaker, "closed") == 0;
    char slots[CTL_TEXT_MAX], calls[CTL_TEXT_MAX], padded[80];

    snprintf(padded, sizeof padded, "%-23s", ctl_str(node, "address"));
    printf("    ");
    ctl_put(stdout, padded);
    printf(" %-8s %6s ", ctl_str(node, "role"), ctl_count(slots, ctl_int(node, "slots", NULL)));
    snprintf(padded, sizeof padded, "%-9.9s", good ? "in use" : breaker);
    paint(o, good, padded);
    printf(" %7.2f ms %10s  ", (double)ctl_int(node, "rtt_us", NULL) / 1000,
           ctl_count(calls, ctl_int(node, "calls", NULL)));
    print_events(node);
}

/* Is all of it in use, some, or none? */
static enum ctl_exit judge(const json_t *endpoint)
{
    if (ctl_int(endpoint, "ports_ready", NULL) == 0)
        return CTL_DOWN;
    if (ctl_int(endpoint, "ports_ready", NULL) < ctl_int(endpoint, "ports", NULL) ||
        ctl_int(endpoint, "slots_covered", NULL) < SLOTS)
        return CTL_DEGRADED;
    for (size_t i = 0; i < json_array_size(json_object_get(endpoint, "nodes")); i++)
        if (ctl_int(json_array_get(json_object_get(endpoint, "nodes"), i), "ports_open", NULL) > 0)
            return CTL_DEGRADED;
    return CTL_FINE;
}

static enum ctl_exit print_endpoint(const struct ctl_options *o, const json_t *endpoint)
{
    static const char *const words[] = {"in use", "partly in use", "not in use"};
    enum ctl_exit state = judge(endpoint);
    const json_t *nodes = json_object_get(endpoint, "nodes");
    char covered[CTL_TEXT_MAX];

    ctl_paint(stdout, o->colours, CTL_BOLD, ctl_str(endpoint, "name"));
    printf("  %s, ", ctl_str(endpoint, "mode"));
    paint(o, state == CTL_FINE, words[state]);
    printf(", %s of 16,384 slots covered\n",
           ctl_count(covered, ctl_int(endpoint, "slots_covered", NULL)));
    if (ctl_str(endpoint, "trouble")[0] != '\0') {
        printf("    trouble: ");
        ctl_put(stdout, ctl_str(endpoint, "trouble"));
        putchar('\n');
    }
    if (json_array_size(nodes) > 0)
        printf("    %-23s %-8s %6s %-9s %10s %10s  %s\n", "node", "role", "slots", "state",
               "round trip", "calls", "events");
    for (size_t i = 0; i < json_array_size(nodes); i++)
        print_node(o, json_array_get(nodes, i));
    return state;
}

enum ctl_exit ctl_redis(const struct ctl_options *o)
{
    json_t *answer;
    enum ctl_exit status = ctl_call(o, "GET", "/v1/redis", NULL, &answer), worst = CTL_FINE;
    const json_t *endpoints = json_object_get(answer, "endpoints");

    if (status != CTL_FINE)
        return status;
    if (json_array_size(endpoints) == 0 && !o->json)
        puts("This node belongs to no farm: it keeps everything to itself.");
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const json_t *e = json_array_get(endpoints, i);

        status = o->json ? judge(e) : print_endpoint(o, e);
        worst = status > worst ? status : worst;
    }
    json_decref(answer);
    return worst;
}
