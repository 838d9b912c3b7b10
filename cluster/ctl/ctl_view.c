#include "ctl_view.h"

#include <string.h>

#include "ctl_view_own.h"

#define STATUS_FAULTS  12 /* of one screen; the others are counted */
#define STATUS_NODES   20
#define STATUS_ORIGINS 16

/* ---- lines and cells ---- */

void view_line(FILE *out, const struct ctl_look *look, enum ctl_colour colour, const char *text)
{
    ctl_colour(out, look->colours && colour != CTL_PLAIN, colour);
    ctl_put_within(out, text, look->width > 0 ? look->width : ctl_columns(text));
    ctl_colour(out, look->colours && colour != CTL_PLAIN, CTL_PLAIN);
    putc('\n', out);
}

void view_heading(FILE *out, const struct ctl_look *look, const char *text)
{
    putc('\n', out);
    view_line(out, look, CTL_BOLD, text);
}

void view_rate(struct ctl_table *t, const json_t *object, const char *name, enum ctl_colour some)
{
    const json_t *value = json_object_get(object, name);
    char text[CTL_TEXT_MAX];

    if (json_is_number(value))
        ctl_table_add(t, json_number_value(value) >= 0.05 ? some : CTL_PLAIN,
                      ctl_rate(text, json_number_value(value)));
    else
        ctl_table_add(t, CTL_DIM, NULL);
}

void view_ratio(struct ctl_table *t, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (json_is_number(value))
        ctl_table_addf(t, CTL_PLAIN, "%.0f%%", json_number_value(value) * 100);
    else
        ctl_table_add(t, CTL_DIM, NULL);
}

void view_bytes(struct ctl_table *t, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    char text[CTL_TEXT_MAX];

    ctl_table_add(t, CTL_PLAIN,
                  json_is_integer(value) ? ctl_bytes(text, json_integer_value(value)) : NULL);
}

void view_count(struct ctl_table *t, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    char text[CTL_TEXT_MAX];

    ctl_table_add(t, CTL_PLAIN,
                  json_is_integer(value) ? ctl_count(text, json_integer_value(value)) : NULL);
}

/* ---- faults ---- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool concerns(const json_t *fault, enum ctl_concern about)
{
    static const char *const nodes[] = {"node",          "members",     "twin",
                                        "clock",         "version",     "config_drift",
                                        "reload_failed", "hook_failed", "certificate"};
    const char *code = farm_text(fault, "code");

    switch (about) {
    case CTL_ABOUT_NODES:
        for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
            if (begins(code, nodes[i]))
                return true;
        return false;
    case CTL_ABOUT_ORIGINS:
        return begins(code, "origin") || begins(code, "upstream");
    case CTL_ABOUT_WORDS:
        return begins(code, "words");
    case CTL_ABOUT_ALL:
        break;
    }
    return true;
}

static int severity(const json_t *fault)
{
    const char *text = farm_text(fault, "severity");

    return strcmp(text, "down") == 0 ? 2 : strcmp(text, "degraded") == 0 ? 1 : 0;
}

int ctl_view_worst(const json_t *farm, enum ctl_concern about)
{
    const json_t *fault;
    int worst = 0;
    size_t i;

    json_array_foreach(json_object_get(farm, "faults"), i, fault)
    {
        if (concerns(fault, about) && severity(fault) > worst)
            worst = severity(fault);
    }
    return worst;
}

json_t *ctl_view_faults(const json_t *farm, enum ctl_concern about)
{
    json_t *out = json_array(), *fault;
    size_t i;

    json_array_foreach(json_object_get(farm, "faults"), i, fault)
    {
        if (concerns(fault, about))
            json_array_append(out, fault);
    }
    return out;
}

static const enum ctl_colour severity_colours[] = {CTL_DIM, CTL_YELLOW, CTL_RED};

static void put_more(FILE *out, const struct ctl_look *look, size_t more, const char *what)
{
    char text[128];

    snprintf(text, sizeof text, "  and %zu more%s", more, what);
    view_line(out, look, CTL_DIM, text);
}

void view_fault_rows(FILE *out, const struct ctl_look *look, const json_t *faults, size_t most)
{
    static const struct ctl_column columns[] = {{.title = NULL}, {.least = 16}, {.least = 20}};
    const json_t *fault;
    struct ctl_table t;
    size_t i;

    ctl_table_init(&t, columns, 3);
    json_array_foreach(faults, i, fault)
    {
        if (most > 0 && i >= most)
            break;
        ctl_table_add(&t, severity_colours[severity(fault)], farm_text(fault, "severity"));
        ctl_table_add(&t, CTL_PLAIN, farm_text(fault, "where"));
        ctl_table_add(&t, CTL_PLAIN, farm_text(fault, "what"));
    }
    ctl_table_print(&t, out, look, 2);
    ctl_table_free(&t);
    if (most > 0 && json_array_size(faults) > most)
        put_more(out, look, json_array_size(faults) - most, "");
}

void ctl_view_fault_list(FILE *out, const struct ctl_look *look, const json_t *faults)
{
    view_fault_rows(out, look, faults, 0);
}

/* ---- the farm in a line ---- */

static size_t count_ready(const json_t *nodes)
{
    const json_t *node;
    size_t ready = 0, i;

    json_array_foreach(nodes, i, node) ready += farm_true(node, "ready");
    return ready;
}

/* Words of it in bold, its state in colour, the rest as it is: what does not fit is cut. */
void view_farm_line(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    const json_t *nodes = json_object_get(farm, "nodes"), *sums = json_object_get(farm, "totals");
    const char *name = farm_text(farm, "farm"), *state = farm_text(farm, "status");
    char rate[CTL_TEXT_MAX], errors[CTL_TEXT_MAX], hits[CTL_TEXT_MAX], rest[512], head[96];
    unsigned used;

    snprintf(head, sizeof head, "%.60s", name[0] != '\0' ? name : "no farm");
    ctl_colour(out, look->colours, CTL_BOLD);
    used = ctl_put_within(out, head, 40) + 2;
    ctl_colour(out, look->colours, CTL_PLAIN);
    fputs("  ", out);
    ctl_colour(out, look->colours,
               strcmp(state, "fine") == 0   ? CTL_GREEN
               : strcmp(state, "down") == 0 ? CTL_RED
                                            : CTL_YELLOW);
    used += ctl_put_within(out, state, 12);
    ctl_colour(out, look->colours, CTL_PLAIN);
    ctl_rate(rate, farm_real(sums, "requests_per_s"));
    ctl_rate(errors, farm_real(sums, "errors_per_s"));
    strcpy(hits, "-");
    if (json_is_number(json_object_get(sums, "hit_ratio")))
        ctl_percent(hits, farm_real(sums, "hit_ratio"));
    snprintf(rest, sizeof rest, "  %zu of %zu nodes ready, %s requests/s, hits %s, %s errors/s",
             count_ready(nodes), json_array_size(nodes), rate, hits, errors);
    ctl_put_within(out, rest, look->width > used ? look->width - used : 512);
    putc('\n', out);
}

/* ---- the whole screen ---- */

static void put_words(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    const json_t *words = json_object_get(farm, "words");

    if (json_array_size(words) == 0)
        return;
    view_heading(out, look, "words in force");
    view_word_rows(out, look, words, 0);
}

/* Words are shown in a table of their own, so as faults they would be shown twice. */
static json_t *without_words(const json_t *faults)
{
    json_t *out = json_array(), *fault;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)faults, i, fault)
    {
        if (strcmp(farm_text(fault, "code"), "word") != 0)
            json_array_append(out, fault);
    }
    return out;
}

static void put_faults(FILE *out, const struct ctl_look *look, const json_t *farm, size_t most)
{
    json_t *faults = without_words(json_object_get(farm, "faults"));

    if (json_array_size(faults) > 0) {
        view_heading(out, look, "faults");
        view_fault_rows(out, look, faults, most);
    }
    json_decref(faults);
}

/* Those that are not simply up; all of them where there are few. */
static void put_origins(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    json_t *all = json_object_get(farm, "origins"), *some = json_array(), *origin;
    bool few = json_array_size(all) <= STATUS_ORIGINS;
    size_t i;

    json_array_foreach(all, i, origin)
    {
        if (few || !view_origin_fine(origin))
            json_array_append(some, origin);
    }
    if (json_array_size(all) > 0)
        view_heading(out, look, "origins");
    view_origin_rows(out, look, some, STATUS_ORIGINS);
    if (!few && json_array_size(some) < json_array_size(all))
        put_more(out, look, json_array_size(all) - json_array_size(some), " that are fine");
    json_decref(some);
}

void ctl_view_status(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    const json_t *nodes = json_object_get(farm, "nodes");

    view_farm_line(out, look, farm);
    put_faults(out, look, farm, STATUS_FAULTS);
    if (json_array_size(nodes) > 0) {
        view_heading(out, look, "nodes");
        view_node_rows(out, look, nodes, STATUS_NODES);
    }
    view_clients(out, look, farm);
    put_origins(out, look, farm);
    put_words(out, look, farm);
    if (json_array_size(json_object_get(farm, "redis")) > 0) {
        view_heading(out, look, "redis");
        view_redis_rows(out, look, json_object_get(farm, "redis"));
    }
}
