/* Clients: what they speak, how their handshakes go, and what was refused in the last minutes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_view_own.h"

#define NODES_MAX   6 /* rows; a farm of more is told by its sum */
#define REASONS_MAX 3
#define COUNT_MAX   ((int64_t)1 << 50)
#define TEXT_MAX    200

/* ---- what is going on now ---- */

static const json_t *part(const json_t *clients, const char *name)
{
    return json_object_get(clients, name);
}

/* Whatever it says, sums of it stay numbers. */
static int64_t bounded(int64_t n)
{
    return n < 0 ? 0 : n > COUNT_MAX ? COUNT_MAX : n;
}

static int64_t count_at(const json_t *object, const char *name)
{
    return bounded(farm_int(object, name));
}

static double all_rates(const json_t *clients)
{
    const json_t *h = part(clients, "handshakes_per_s");

    return farm_real(h, "full") + farm_real(h, "resumed") + farm_real(h, "failed");
}

/* Plain HTTP/1.1 alone is what the table of nodes tells already. */
static bool worth_telling(const json_t *clients)
{
    const json_t *c = part(clients, "connections");

    return count_at(c, "http2") + count_at(c, "tls") + count_at(c, "handshakes") > 0 ||
           all_rates(clients) > 0;
}

static int64_t count_all(const json_t *connections)
{
    return count_at(connections, "http1") + count_at(connections, "http2") +
           count_at(connections, "handshakes");
}

static double share_of_tls(const json_t *connections)
{
    int64_t spoken = count_at(connections, "http1") + count_at(connections, "http2");
    double share = spoken > 0 ? (double)count_at(connections, "tls") / (double)spoken : 0;

    return share > 1 ? 1 : share; /* gauges are read one after the other */
}

static void add_row(struct ctl_table *t, const char *name, const json_t *clients)
{
    const json_t *c = part(clients, "connections"), *h = part(clients, "handshakes_per_s");
    char text[CTL_TEXT_MAX];

    ctl_table_add(t, CTL_PLAIN, name);
    ctl_table_add(t, CTL_PLAIN, ctl_count(text, count_all(c)));
    view_count(t, c, "http1");
    view_count(t, c, "http2");
    ctl_table_addf(t, CTL_PLAIN, "%.0f%%", share_of_tls(c) * 100);
    view_count(t, c, "handshakes");
    view_rate(t, h, "full", CTL_PLAIN);
    view_rate(t, h, "resumed", CTL_PLAIN);
    view_rate(t, h, "failed", CTL_YELLOW);
}

static void put_now(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    static const struct ctl_column columns[] = {
        {"NODE", .least = 12},       {"CONNS", .right = true},
        {"HTTP/1", .right = true},   {"HTTP/2", .right = true},
        {"TLS", .right = true},      {"BEGINNING", .right = true, .rank = 1},
        {"FULL/S", .right = true},   {"RESUMED/S", .right = true},
        {"FAILED/S", .right = true},
    };
    const json_t *nodes = json_object_get(farm, "nodes"), *node;
    size_t count = json_array_size(nodes), i;
    struct ctl_table t;

    ctl_table_init(&t, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(nodes, i, node)
    {
        if (count <= NODES_MAX && json_is_object(json_object_get(node, "clients")))
            add_row(&t, farm_text(node, "id"), json_object_get(node, "clients"));
    }
    if (ctl_table_rows(&t) != 1)
        add_row(&t, "all", json_object_get(json_object_get(farm, "totals"), "clients"));
    ctl_table_print(&t, out, look, 2);
    ctl_table_free(&t);
}

/* ---- what was refused lately ---- */

static const struct {
    const char *name, *what;
} kinds[] = {
    {"handshakes_failed", "handshakes failed"},     {"floods_cut", "HTTP/2 floods cut"},
    {"requests_refused", "requests refused"},       {"proxy_refused", "PROXY refused"},
    {"connections_refused", "connections refused"},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static const struct {
    const char *reason, *words;
} reasons[] = {
    {"closed", "the client left"},         {"alert", "the client refused"},
    {"mismatch", "nothing in common"},     {"not_tls", "no TLS"},
    {"certificate", "client certificate"}, {"late", "too slow"},
    {"misdirected", "421 misdirected"},    {"too_early", "425 too early"},
    {"not_listed", "not listed"},          {"limit", "over a limit"},
};

static const char *words_of(const char *reason)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strcmp(reason, reasons[i].reason) == 0)
            return reasons[i].words;
    return reason;
}

struct counted {
    const char *name;
    int64_t count;
};

static int by_count(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;

    return x->count != y->count ? (x->count < y->count) - (x->count > y->count)
                                : strcmp(x->name, y->name);
}

static void append(char *text, const struct counted *one)
{
    size_t len = strlen(text);
    char number[CTL_TEXT_MAX];

    snprintf(text + len, TEXT_MAX - len, "%s%s %s", len > 0 ? ", " : "", one->name,
             ctl_count(number, one->count));
}

/* The greatest first, and of the others how many there are. */
static void list(struct counted *all, size_t count, char text[TEXT_MAX])
{
    size_t len;

    text[0] = '\0';
    if (count > 0)
        qsort(all, count, sizeof *all, by_count);
    for (size_t i = 0; i < count && i < REASONS_MAX; i++)
        append(text, &all[i]);
    len = strlen(text);
    if (count > REASONS_MAX)
        snprintf(text + len, TEXT_MAX - len, ", %zu more", count - REASONS_MAX);
}

#define COUNTED_MAX 64

static int64_t list_reasons(const json_t *kind, char text[TEXT_MAX])
{
    struct counted all[COUNTED_MAX];
    const char *name;
    json_t *value;
    int64_t sum = 0;
    size_t n = 0;

    json_object_foreach((json_t *)(uintptr_t)kind, name, value)
    {
        int64_t count = bounded(json_integer_value(value));

        if (count == 0 || n == COUNTED_MAX)
            continue;
        all[n++] = (struct counted){words_of(name), count};
        sum += count;
    }
    list(all, n, text);
    return bounded(sum);
}

static int64_t sum_of(const json_t *kind)
{
    const char *name;
    json_t *value;
    int64_t sum = 0;

    json_object_foreach((json_t *)(uintptr_t)kind, name, value) sum +=
        bounded(json_integer_value(value));
    return bounded(sum);
}

static void list_nodes(const json_t *farm, const char *kind, char text[TEXT_MAX])
{
    struct counted all[COUNTED_MAX];
    const json_t *node;
    size_t n = 0, i;

    json_array_foreach(json_object_get(farm, "nodes"), i, node)
    {
        const json_t *lately = part(json_object_get(node, "clients"), "lately");
        int64_t count = sum_of(json_object_get(lately, kind));

        if (count > 0 && n < COUNTED_MAX)
            all[n++] = (struct counted){farm_text(node, "id"), count};
    }
    list(all, n, text);
}

static const json_t *lately_of(const json_t *farm)
{
    return part(json_object_get(json_object_get(farm, "totals"), "clients"), "lately");
}

static bool anything_lately(const json_t *farm)
{
    for (size_t i = 0; i < KINDS; i++)
        if (sum_of(json_object_get(lately_of(farm), kinds[i].name)) > 0)
            return true;
    return false;
}

static void put_lately(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    static const struct ctl_column columns[] = {{.title = NULL},
                                                {.right = true},
                                                {.least = 16},
                                                {.least = 12, .rank = 1}};
    struct ctl_table t;
    char text[TEXT_MAX], number[CTL_TEXT_MAX];

    ctl_table_init(&t, columns, 4);
    for (size_t i = 0; i < KINDS; i++) {
        int64_t sum = list_reasons(json_object_get(lately_of(farm), kinds[i].name), text);

        if (sum == 0)
            continue;
        ctl_table_add(&t, CTL_YELLOW, kinds[i].what);
        ctl_table_add(&t, CTL_PLAIN, ctl_count(number, sum));
        ctl_table_add(&t, CTL_PLAIN, text);
        list_nodes(farm, kinds[i].name, text);
        ctl_table_add(&t, CTL_DIM, text);
    }
    ctl_table_print(&t, out, look, 2);
    ctl_table_free(&t);
}

/* ---- both ---- */

void view_clients(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    const json_t *sums = json_object_get(json_object_get(farm, "totals"), "clients");
    char title[80], span[CTL_TEXT_MAX];

    if (worth_telling(sums)) {
        view_heading(out, look, "clients");
        put_now(out, look, farm);
    }
    if (anything_lately(farm)) {
        snprintf(title, sizeof title, "refused in the last %s",
                 ctl_seconds(span, farm_int(lately_of(farm), "span_s")));
        view_heading(out, look, title);
        put_lately(out, look, farm);
    }
}

unsigned view_clients_lines(const json_t *farm)
{
    const json_t *sums = json_object_get(json_object_get(farm, "totals"), "clients");

    return (unsigned)worth_telling(sums) + (unsigned)anything_lately(farm);
}

static void put_line_now(FILE *out, const struct ctl_look *look, const json_t *clients)
{
    const json_t *c = part(clients, "connections"), *h = part(clients, "handshakes_per_s");
    char one[CTL_TEXT_MAX], two[CTL_TEXT_MAX], full[CTL_TEXT_MAX], resumed[CTL_TEXT_MAX],
        failed[CTL_TEXT_MAX], text[400];

    snprintf(text, sizeof text,
             "clients: %s HTTP/1, %s HTTP/2, %.0f%% TLS; handshakes/s: %s full, %s resumed, %s "
             "failed",
             ctl_count(one, count_at(c, "http1")), ctl_count(two, count_at(c, "http2")),
             share_of_tls(c) * 100, ctl_rate(full, farm_real(h, "full")),
             ctl_rate(resumed, farm_real(h, "resumed")), ctl_rate(failed, farm_real(h, "failed")));
    view_line(out, look, CTL_PLAIN, text);
}

static void put_line_lately(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    char text[600], number[CTL_TEXT_MAX], span[CTL_TEXT_MAX];
    size_t len = (size_t)snprintf(text, sizeof text, "refused in the last %s:",
                                  ctl_seconds(span, farm_int(lately_of(farm), "span_s")));
    const char *between = " ";

    for (size_t i = 0; i < KINDS; i++) {
        int64_t sum = sum_of(json_object_get(lately_of(farm), kinds[i].name));

        if (sum == 0)
            continue;
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s %s", between, kinds[i].what,
                                ctl_count(number, sum));
        between = ", ";
    }
    view_line(out, look, CTL_YELLOW, text);
}

void view_clients_brief(FILE *out, const struct ctl_look *look, const json_t *farm)
{
    const json_t *sums = json_object_get(json_object_get(farm, "totals"), "clients");

    if (worth_telling(sums))
        put_line_now(out, look, sums);
    if (anything_lately(farm))
        put_line_lately(out, look, farm);
}
