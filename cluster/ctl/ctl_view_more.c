/* Views of one thing each: drift of the configuration, limits, and `top`. */
#include "ctl_view.h"

#include <stdlib.h>
#include <string.h>

#include "ctl_view_own.h"
#include "weir/alloc.h"

/* ---- which configuration where ---- */

static void add_drift(struct ctl_table *t, const json_t *node)
{
    const json_t *config = json_object_get(node, "config");
    const json_t *last = json_object_get(config, "last_reload");
    bool drift = farm_true(node, "drift");

    ctl_table_add(t, CTL_PLAIN, farm_text(node, "id"));
    ctl_table_add(t, drift ? CTL_YELLOW : CTL_GREEN, drift ? "drift" : "same");
    ctl_table_add(t, CTL_PLAIN, farm_text(config, "hash"));
    ctl_table_add(t, CTL_PLAIN, farm_text(config, "file"));
    if (farm_false(last, "ok"))
        ctl_table_addf(t, CTL_RED, "failed: %s", farm_text(last, "error"));
    else
        ctl_table_add(t, CTL_PLAIN, farm_true(last, "ok") ? "reloaded" : "");
}

void ctl_view_drift(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    static const struct ctl_column columns[] = {{"NODE", .least = 12},
                                                {.title = "CONFIG"},
                                                {"HASH", .least = 6},
                                                {"FILE", .least = 12, .rank = 1},
                                                {"LAST RELOAD", .least = 12}};
    const json_t *node;
    struct ctl_table t;
    size_t i;

    ctl_table_init(&t, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(json_object_get(farm, "nodes"), i, node) add_drift(&t, node);
    ctl_table_print(&t, out, look, 0);
    ctl_table_free(&t);
}

/* ---- limits ---- */

/* A text, a number, or a list of texts: what a limit's rate and key may be. */
static void add_any(struct ctl_table *t, const json_t *value)
{
    char text[256] = "";
    const json_t *one;
    size_t i, len;

    if (json_is_string(value))
        snprintf(text, sizeof text, "%s", json_string_value(value));
    else if (json_is_number(value))
        snprintf(text, sizeof text, "%.6g", json_number_value(value));
    json_array_foreach(value, i, one)
    {
        len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%s", i > 0 ? ", " : "",
                 json_is_string(one) ? json_string_value(one) : "?");
    }
    ctl_table_add(t, CTL_PLAIN, text);
}

static const json_t *either(const json_t *object, const char *name, const char *other)
{
    const json_t *value = json_object_get(object, name);

    return value != NULL ? value : json_object_get(object, other);
}

static void add_limit(struct ctl_table *t, const json_t *limit)
{
    ctl_table_add(t, CTL_PLAIN, farm_text(limit, "name"));
    add_any(t, json_object_get(limit, "rate"));
    view_count(t, limit, "burst");
    add_any(t, either(limit, "key", "keys"));
    view_count(t, limit, "allowed");
    view_count(t, limit, "refused");
    view_count(t, limit, "late");
    ctl_table_add(t, CTL_YELLOW,
                  farm_true(limit, "dry_run")       ? "dry run"
                  : farm_true(limit, "local_share") ? "without Redis: its own share"
                                                    : "");
}

void ctl_view_limits(FILE *out, const struct ctl_look *look, const json_t *limits)
{
    static const struct ctl_column columns[] = {{"LIMIT", .least = 10},
                                                {"RATE", .right = true},
                                                {"BURST", .right = true, .rank = 2},
                                                {"KEY", .least = 8, .rank = 3},
                                                {"ALLOWED", .right = true},
                                                {"REFUSED", .right = true},
                                                {"LATE", .right = true, .rank = 4},
                                                {"NOW", .rank = 1, .least = 8}};
    static const struct ctl_column tops[] = {{"MOST REFUSED", .least = 10},
                                             {"KEY", .least = 12},
                                             {"REFUSED", .right = true}};
    const json_t *one;
    struct ctl_table t;
    size_t i;

    if (json_array_size(json_object_get(limits, "limits")) == 0)
        fputs("there are no limits\n", out);
    ctl_table_init(&t, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(json_object_get(limits, "limits"), i, one) add_limit(&t, one);
    ctl_table_print(&t, out, look, 0);
    ctl_table_free(&t);
    ctl_table_init(&t, tops, sizeof tops / sizeof tops[0]);
    json_array_foreach(json_object_get(limits, "top"), i, one)
    {
        ctl_table_add(&t, CTL_PLAIN, farm_text(one, "limit"));
        ctl_table_add(&t, CTL_PLAIN, farm_text(one, "key"));
        add_any(&t, json_object_get(one, "refused"));
    }
    if (ctl_table_rows(&t) > 0)
        putc('\n', out);
    ctl_table_print(&t, out, look, 0);
    ctl_table_free(&t);
}

/* ---- top ---- */

static const json_t *find_origin(const json_t *farm, const json_t *like)
{
    const json_t *origin;
    size_t i;

    json_array_foreach(json_object_get(farm, "origins"), i, origin)
    {
        if (strcmp(farm_text(origin, "url"), farm_text(like, "url")) == 0 &&
            strcmp(farm_text(origin, "upstream"), farm_text(like, "upstream")) == 0)
            return origin;
    }
    return NULL;
}

static void set_rate(json_t *origin, const json_t *before, const char *counter, const char *rate,
                     int64_t ms)
{
    int64_t now = farm_int(origin, counter), then = farm_int(before, counter);

    if (!json_is_integer(json_object_get(origin, counter)) || now < then || then < 0)
        return; /* not known, or the node was started anew */
    json_object_set_new(origin, rate, json_real((double)(now - then) * 1000 / (double)ms));
}

void ctl_view_rates(json_t *farm, const json_t *before, int64_t ms)
{
    json_t *origin;
    size_t i;

    if (before == NULL || ms <= 0)
        return;
    json_array_foreach(json_object_get(farm, "origins"), i, origin)
    {
        const json_t *then = find_origin(before, origin);

        if (then == NULL || !json_is_object(origin))
            continue;
        set_rate(origin, then, "requests", "requests_per_s", ms);
        set_rate(origin, then, "failures", "failures_per_s", ms);
    }
}

/* ---- order ---- */

struct ranked {
    json_t *row;
    double value; /* greatest first */
    size_t place; /* as it came, which is by name */
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *one = a, *other = b;

    if (one->value != other->value)
        return one->value > other->value ? -1 : 1;
    return one->place < other->place ? -1 : one->place > other->place;
}

static double rank_node(const json_t *node, const char *sort)
{
    const json_t *load = json_object_get(node, "load");

    if (strcmp(sort, "requests") == 0)
        return farm_real(load, "requests_per_s");
    if (strcmp(sort, "errors") == 0)
        return farm_real(load, "errors_per_s");
    if (strcmp(sort, "hits") == 0)
        return farm_real(load, "hit_ratio");
    return strcmp(sort, "load") == 0 ? farm_real(load, "cpu_percent") : 0;
}

static double rank_origin(const json_t *origin, const char *sort)
{
    if (strcmp(sort, "requests") == 0)
        return farm_real(origin, "requests_per_s");
    if (strcmp(sort, "errors") == 0)
        return farm_real(origin, "failures_per_s");
    return strcmp(sort, "load") == 0 ? farm_real(origin, "in_flight") : 0;
}

static bool has(const json_t *row, const char *name, const char *filter)
{
    return strcasestr(farm_text(row, name), filter) != NULL;
}

static bool wanted(const json_t *row, const char *filter)
{
    return filter == NULL || filter[0] == '\0' || has(row, "id", filter) ||
           has(row, "upstream", filter) || has(row, "url", filter);
}

/* The rows that are wanted, in order; owned. */
static json_t *arrange(const json_t *rows, const struct ctl_top *top,
                       double (*rank)(const json_t *row, const char *sort))
{
    const char *sort = top->sort != NULL ? top->sort : "name";
    struct ranked *list = weir_calloc(json_array_size(rows) + 1, sizeof *list);
    json_t *out = json_array(), *row;
    size_t n = 0, i;

    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        if (list != NULL && wanted(row, top->filter)) {
            list[n] = (struct ranked){row, rank(row, sort), n};
            n++;
        }
    }
    if (n > 0)
        qsort(list, n, sizeof *list, by_rank);
    for (i = 0; i < n; i++)
        json_array_append(out, list[i].row);
    weir_free(list);
    return out;
}

/* ---- the picture ---- */

/* Room for rows of two tables within the lines that are left: half each, or what the other leaves.
 */
static void share_out(size_t room, size_t a, size_t b, size_t *rows_a, size_t *rows_b)
{
    size_t half = room / 2;

    *rows_a = a < half ? a : half;
    *rows_b = room - *rows_a < b ? room - *rows_a : b;
    *rows_a = room - *rows_b < a ? room - *rows_b : a;
}

static json_t *head_of(json_t *rows, size_t most)
{
    while (json_array_size(rows) > most)
        json_array_remove(rows, json_array_size(rows) - 1);
    return rows;
}

static size_t worth_telling(const json_t *farm)
{
    const json_t *fault;
    size_t n = 0, i;

    json_array_foreach(json_object_get(farm, "faults"), i, fault) n +=
        strcmp(farm_text(fault, "severity"), "info") != 0; /* the worst come first */
    return n;
}

static void put_top_line(FILE *out, const struct ctl_look *look, const struct ctl_top *top)
{
    char text[256];

    if (top->message != NULL)
        snprintf(text, sizeof text, "%s", top->message);
    else
        snprintf(text, sizeof text, "every %.1f s, by %s%s%s", (double)top->interval_ms / 1000,
                 top->sort != NULL ? top->sort : "name",
                 top->filter != NULL && top->filter[0] != '\0' ? ", only " : "",
                 top->filter != NULL ? top->filter : "");
    view_line(out, look, CTL_DIM, text);
}

#define LINES_BESIDES 7 /* the farm, the message, and of each table a gap and its titles */

void ctl_view_top(FILE *out, const struct ctl_look *look, const struct ctl_top *top,
                  const json_t *farm)
{
    json_t *nodes = arrange(json_object_get(farm, "nodes"), top, rank_node);
    json_t *origins = arrange(json_object_get(farm, "origins"), top, rank_origin);
    size_t faults = worth_telling(farm), room = SIZE_MAX / 2, for_nodes, for_origins;
    json_t *shown = ctl_view_faults(farm, CTL_ABOUT_ALL);

    if (top->height > 0) {
        size_t besides = LINES_BESIDES + view_clients_lines(farm);

        room = top->height > besides ? top->height - besides : 0;
        faults = faults > room / 3 ? room / 3 : faults;
        room -= faults + (faults > 0);
    }
    share_out(room, json_array_size(nodes), json_array_size(origins), &for_nodes, &for_origins);
    view_farm_line(out, look, farm);
    view_clients_brief(out, look, farm);
    put_top_line(out, look, top);
    if (faults > 0) {
        putc('\n', out);
        view_fault_rows(out, look, head_of(shown, faults), 0);
    }
    putc('\n', out);
    view_node_rows(out, look, head_of(nodes, for_nodes), 0);
    putc('\n', out);
    view_origin_rows(out, look, head_of(origins, for_origins), 0);
    json_decref(shown);
    json_decref(nodes);
    json_decref(origins);
}
