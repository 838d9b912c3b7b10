/* The tables: nodes, origins, words, Redis. */
#include "ctl_view.h"

#include <string.h>

#include "ctl_view_own.h"

/* ---- nodes ---- */

static void add_word(char *text, size_t room, const char *word)
{
    size_t len = strlen(text);

    snprintf(text + len, room - len, "%s%s", len > 0 ? ", " : "", word);
}

static enum ctl_colour node_state(const json_t *node, char *text, size_t room)
{
    bool draining = farm_true(node, "draining"), ready = farm_true(node, "ready");
    bool odd = farm_true(node, "suspect") || farm_true(node, "autonomous") ||
               farm_true(node, "twin") || strcmp(farm_text(node, "record"), "missing") == 0;

    text[0] = '\0';
    add_word(text, room, draining ? "draining" : ready ? "ready" : "not ready");
    if (farm_true(node, "twin"))
        add_word(text, room, "twin");
    if (farm_true(node, "suspect"))
        add_word(text, room, "suspect");
    if (farm_true(node, "autonomous"))
        add_word(text, room, "alone");
    if (strcmp(farm_text(node, "record"), "missing") == 0)
        add_word(text, room, "silent");
    return draining || (ready && odd) ? CTL_YELLOW : ready ? CTL_GREEN : CTL_RED;
}

static void add_config(struct ctl_table *t, const json_t *node)
{
    const char *hash = farm_text(json_object_get(node, "config"), "hash");
    bool drift = farm_true(node, "drift");

    ctl_table_addf(t, drift ? CTL_YELLOW : CTL_PLAIN, "%.6s%s", hash, drift ? " drift" : "");
}

static void add_age(struct ctl_table *t, const json_t *value)
{
    char text[CTL_TEXT_MAX];

    ctl_table_add(t, CTL_PLAIN,
                  json_is_integer(value) ? ctl_age(text, json_integer_value(value)) : NULL);
}

static void add_beat(struct ctl_table *t, const json_t *node)
{
    const json_t *beat = json_object_get(node, "beat_ms");

    if (json_is_integer(beat))
        ctl_table_addf(t, CTL_PLAIN, "%.1fs", (double)json_integer_value(beat) / 1000);
    else
        ctl_table_add(t, CTL_PLAIN, NULL);
}

static void add_cpu(struct ctl_table *t, const json_t *load)
{
    const json_t *cpu = json_object_get(load, "cpu_percent");

    if (json_is_number(cpu))
        ctl_table_addf(t, CTL_PLAIN, "%.0f%%", json_number_value(cpu));
    else
        ctl_table_add(t, CTL_PLAIN, NULL);
}

static void add_node(struct ctl_table *t, const json_t *node)
{
    const json_t *load = json_object_get(node, "load");
    char text[128];
    enum ctl_colour colour = node_state(node, text, sizeof text);

    ctl_table_addf(t, CTL_PLAIN, "%s%s", farm_text(node, "id"),
                   farm_true(node, "self") ? " *" : "");
    ctl_table_add(t, colour, text);
    ctl_table_add(t, CTL_PLAIN, farm_text(node, "version"));
    add_age(t, json_object_get(node, "uptime_s"));
    view_count(t, load, "connections");
    view_rate(t, load, "requests_per_s", CTL_PLAIN);
    view_ratio(t, load, "hit_ratio");
    view_rate(t, load, "errors_per_s", CTL_RED);
    add_cpu(t, load);
    view_bytes(t, load, "memory_bytes");
    add_config(t, node);
    add_beat(t, node);
    ctl_table_add(t, CTL_DIM,
                  json_string_value(json_array_get(json_object_get(node, "not_ready_because"), 0)));
}

static void put_left_out(FILE *out, const struct ctl_look *look, const json_t *rows, size_t most)
{
    char text[64];

    if (most == 0 || json_array_size(rows) <= most)
        return;
    snprintf(text, sizeof text, "  and %zu more", json_array_size(rows) - most);
    view_line(out, look, CTL_DIM, text);
}

void view_node_rows(FILE *out, const struct ctl_look *look, const json_t *nodes, size_t most)
{
    static const struct ctl_column columns[] = {
        {"NODE", .least = 12},
        {"STATE", .least = 9},
        {"VERSION", .rank = 6, .least = 7},
        {"UP", .right = true, .rank = 4},
        {"CONNS", .right = true, .rank = 3},
        {"REQ/S", .right = true},
        {"HITS", .right = true, .rank = 1},
        {"ERR/S", .right = true},
        {"CPU", .right = true, .rank = 2},
        {"MEMORY", .right = true, .rank = 5},
        {"CONFIG", .rank = 7},
        {"BEAT", .right = true, .rank = 8},
        {"WHY", .rank = 9, .least = 12},
    };
    const json_t *node;
    struct ctl_table t;
    size_t i;

    ctl_table_init(&t, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(nodes, i, node)
    {
        if (most > 0 && i >= most)
            break;
        add_node(&t, node);
    }
    ctl_table_print(&t, out, look, 2);
    ctl_table_free(&t);
    put_left_out(out, look, nodes, most);
}

void ctl_view_nodes(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    view_node_rows(out, look, json_object_get(farm, "nodes"), 0);
}

/* ---- origins ---- */

bool view_origin_fine(const json_t *origin)
{
    return strcmp(farm_text(origin, "in_force"), "up") == 0 && !farm_true(origin, "ejected") &&
           !farm_true(origin, "flapping") && !farm_true(origin, "held") &&
           !farm_true(origin, "panic") && !json_is_object(json_object_get(origin, "word"));
}

static enum ctl_colour origin_state(const json_t *origin, char *text, size_t room)
{
    const char *force = farm_text(origin, "in_force");
    bool up = strcmp(force, "up") == 0, down = strcmp(force, "down") == 0;
    bool plain = strcmp(force, "unknown") == 0 && farm_false(origin, "checked");

    text[0] = '\0';
    add_word(text, room,
             plain ? "in use" : force); /* nobody checks it: nothing speaks against it */
    if (farm_true(origin, "held"))
        add_word(text, room, "held");
    if (farm_true(origin, "ejected"))
        add_word(text, room, "ejected");
    if (farm_true(origin, "flapping"))
        add_word(text, room, "flapping");
    if (farm_true(origin, "panic"))
        add_word(text, room, "panic");
    if (down)
        return CTL_RED;
    return (up || plain) && strchr(text, ',') == NULL ? CTL_GREEN : CTL_YELLOW;
}

static void add_votes(struct ctl_table *t, const json_t *origin)
{
    int64_t up = farm_int(origin, "votes_up"), down = farm_int(origin, "votes_down");

    if (down > 0)
        ctl_table_addf(t, CTL_YELLOW, "%lld down, %lld up", (long long)down, (long long)up);
    else if (up > 0)
        ctl_table_addf(t, CTL_PLAIN, "%lld up", (long long)up);
    else
        ctl_table_add(t, CTL_PLAIN, NULL);
}

/* Why it is as it is, and what was seen: what an operator said says it all. */
static void add_why(struct ctl_table *t, const json_t *origin)
{
    const json_t *word = json_object_get(origin, "word");
    const char *why = farm_text(origin, "why"), *reason = farm_text(origin, "reason");

    if (json_is_object(word) && strcmp(farm_text(word, "kind"), "weight") != 0)
        ctl_table_addf(t, CTL_PLAIN, "%s: %s%s%s", farm_text(word, "author"),
                       farm_text(word, "kind"), farm_text(word, "reason")[0] != '\0' ? ", " : "",
                       farm_text(word, "reason"));
    else
        ctl_table_addf(t, CTL_PLAIN, "%s%s%s", why, why[0] != '\0' && reason[0] != '\0' ? ", " : "",
                       reason);
}

static void add_weight(struct ctl_table *t, const json_t *origin)
{
    int64_t weight = farm_int(origin, "weight"), file = farm_int(origin, "weight_configured");

    if (weight == file && weight <= 1)
        ctl_table_add(t, CTL_PLAIN, NULL);
    else if (weight == file)
        ctl_table_addf(t, CTL_PLAIN, "%lld", (long long)weight);
    else
        ctl_table_addf(t, CTL_YELLOW, "%lld (%lld)", (long long)weight, (long long)file);
}

static void add_origin(struct ctl_table *t, const json_t *origin)
{
    const json_t *rtt = json_object_get(origin, "rtt_ms");
    char text[128];
    enum ctl_colour colour = origin_state(origin, text, sizeof text);

    ctl_table_add(t, CTL_PLAIN, farm_text(origin, "upstream"));
    ctl_table_add(t, CTL_PLAIN, farm_text(origin, "url"));
    ctl_table_add(t, colour, text);
    if (farm_int(origin, "since_s") > 0)
        add_age(t, json_object_get(origin, "since_s"));
    else
        ctl_table_add(t, CTL_PLAIN, NULL); /* just now, or not known */
    add_votes(t, origin);
    add_weight(t, origin);
    view_rate(t, origin, "requests_per_s", CTL_PLAIN);
    view_rate(t, origin, "failures_per_s", CTL_RED);
    view_count(t, origin, "in_flight");
    if (json_is_number(rtt))
        ctl_table_addf(t, CTL_PLAIN, "%.1fms", json_number_value(rtt));
    else
        ctl_table_add(t, CTL_PLAIN, NULL);
    add_why(t, origin);
}

void view_origin_rows(FILE *out, const struct ctl_look *look, const json_t *origins, size_t most)
{
    static const struct ctl_column columns[] = {
        {"UPSTREAM", .least = 12},
        {"ORIGIN", .least = 40}, /* its end tells it from the next one */
        {"STATE", .least = 8},
        {"FOR", .right = true, .rank = 2},
        {"VOTES", .rank = 3},
        {"WEIGHT", .right = true, .rank = 6},
        {"REQ/S", .right = true, .rank = 1},
        {"FAIL/S", .right = true, .rank = 1},
        {"BUSY", .right = true, .rank = 5},
        {"RTT", .right = true, .rank = 7},
        {"WHY", .rank = 4, .least = 14},
    };
    const json_t *origin;
    struct ctl_table t;
    size_t i;

    ctl_table_init(&t, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(origins, i, origin)
    {
        if (most > 0 && i >= most)
            break;
        add_origin(&t, origin);
    }
    ctl_table_print(&t, out, look, 2);
    ctl_table_free(&t);
    put_left_out(out, look, origins, most);
}

void ctl_view_origins(FILE *out, const struct ctl_look *look, const json_t *farm,
                      const char *upstream)
{
    json_t *all = json_object_get(farm, "origins"), *some = json_array(), *origin;
    size_t i;

    json_array_foreach(all, i, origin)
    {
        if (upstream == NULL || strcmp(farm_text(origin, "upstream"), upstream) == 0)
            json_array_append(some, origin);
    }
    view_origin_rows(out, look, some, 0);
    json_decref(some);
}

/* ---- words ---- */

static void add_word_row(struct ctl_table *t, const json_t *word, int64_t now_s)
{
    const char *name = farm_text(word, "name"), *url = farm_text(word, "url");
    const json_t *said = json_object_get(word, "said_at"), *left = json_object_get(word, "left_s");
    char text[CTL_TEXT_MAX];
    int64_t ago;

    ctl_table_add(t, CTL_PLAIN, farm_text(word, "target"));
    ctl_table_addf(t, CTL_PLAIN, "%s%s%s", name[0] != '\0' ? name : "all",
                   url[0] != '\0' ? " " : "", url);
    if (json_is_integer(json_object_get(word, "weight")))
        ctl_table_addf(t, CTL_YELLOW, "%s %lld", farm_text(word, "kind"),
                       (long long)farm_int(word, "weight"));
    else
        ctl_table_add(t, CTL_YELLOW, farm_text(word, "kind"));
    ctl_table_add(t, CTL_PLAIN, farm_text(word, "author"));
    ago = now_s > 0 && json_integer_value(said) > 0 ? now_s - json_integer_value(said) : -1;
    if (ago >= 0)
        ctl_table_addf(t, CTL_PLAIN, "%s ago", ctl_age(text, ago));
    else
        ctl_table_add(t, CTL_PLAIN, NULL);
    ctl_table_add(t, CTL_PLAIN,
                  json_is_integer(left) ? ctl_age(text, json_integer_value(left)) : "for good");
    ctl_table_add(t, CTL_PLAIN, farm_text(word, "reason"));
}

void view_word_rows(FILE *out, const struct ctl_look *look, const json_t *words, int64_t now_s)
{
    static const struct ctl_column columns[] = {
        {.title = "WHAT"},
        {"NAME", .least = 20},
        {.title = "WORD"},
        {"BY", .least = 6},
        {"SAID", .right = true, .rank = 1},
        {"LEFT", .right = true},
        {"REASON", .least = 8, .rank = 2},
    };
    const json_t *word;
    struct ctl_table t;
    size_t i;

    ctl_table_init(&t, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(words, i, word) add_word_row(&t, word, now_s);
    ctl_table_print(&t, out, look, 2);
    ctl_table_free(&t);
}

void ctl_view_words(FILE *out, const struct ctl_look *look, const json_t *words, int64_t now_s)
{
    const json_t *list = json_object_get(words, "words");

    if (json_array_size(list) == 0)
        fputs("nothing is said\n", out);
    view_word_rows(out, look, list, now_s);
}

/* ---- Redis ---- */

static void add_redis(struct ctl_table *t, const json_t *redis)
{
    int64_t up = farm_int(redis, "nodes_up"), down = farm_int(redis, "nodes_down");
    const json_t *slots = json_object_get(redis, "slots_covered");
    bool whole = json_integer_value(slots) == 16384;
    char count[CTL_TEXT_MAX];

    ctl_table_add(t, CTL_PLAIN, farm_text(redis, "endpoint"));
    ctl_table_add(t, CTL_PLAIN, farm_text(redis, "mode"));
    ctl_table_addf(t,
                   up == 0    ? CTL_RED
                   : down > 0 ? CTL_YELLOW
                              : CTL_GREEN,
                   down > 0 ? "%lld up, %lld down" : "%lld up", (long long)up, (long long)down);
    if (json_is_integer(slots))
        ctl_table_addf(t, whole ? CTL_PLAIN : CTL_RED, "%s of 16,384",
                       ctl_count(count, json_integer_value(slots)));
    else
        ctl_table_add(t, CTL_PLAIN, NULL);
    ctl_table_add(t, CTL_YELLOW, farm_text(redis, "trouble"));
}

void view_redis_rows(FILE *out, const struct ctl_look *look, const json_t *redis)
{
    static const struct ctl_column columns[] = {{.title = "ENDPOINT"},
                                                {.title = "MODE"},
                                                {.title = "NODES"},
                                                {.title = "SLOTS"},
                                                {"TROUBLE", .least = 10}};
    const json_t *one;
    struct ctl_table t;
    size_t i;

    ctl_table_init(&t, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(redis, i, one) add_redis(&t, one);
    ctl_table_print(&t, out, look, 2);
    ctl_table_free(&t);
}
