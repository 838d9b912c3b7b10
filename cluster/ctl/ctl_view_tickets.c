/* The keys of session tickets, by name; never the keys. */
#include <inttypes.h>

#include "ctl_view.h"
#include "ctl_view_own.h"

static int64_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

/* "in 3 h", "5 min ago" */
static void add_when(struct ctl_table *t, int64_t s)
{
    char text[48], span[32];
    int64_t size = s < 0 ? -s : s;

    if (size >= 7200)
        snprintf(span, sizeof span, "%" PRId64 " h", size / 3600);
    else if (size >= 120)
        snprintf(span, sizeof span, "%" PRId64 " min", size / 60);
    else
        snprintf(span, sizeof span, "%" PRId64 " s", size);
    snprintf(text, sizeof text, s > 0 ? "in %s" : "%s ago", span);
    ctl_table_add(t, CTL_PLAIN, text);
}

static void add_key(struct ctl_table *t, const json_t *key, int64_t now)
{
    ctl_table_add(t, CTL_PLAIN, farm_text(key, "name"));
    ctl_table_add(t, CTL_PLAIN, farm_text(key, "kind"));
    ctl_table_add(t, CTL_PLAIN, farm_text(key, "use"));
    add_when(t, number(key, "begins") - now);
    add_when(t, number(key, "ends") - now);
    ctl_table_add(t, CTL_GREEN, farm_true(key, "issues") ? "issues tickets" : "");
}

void ctl_view_tickets(FILE *out, const struct ctl_look *look, const json_t *tickets)
{
    static const struct ctl_column columns[] = {{"KEY", .least = 16},   {"KIND", .least = 6},
                                                {"PERIOD", .least = 6}, {"BEGINS", .least = 6},
                                                {"ENDS", .least = 6},   {"NOW", .least = 14}};
    struct ctl_table t;
    const json_t *one;
    size_t i;

    if (!farm_true(tickets, "enabled")) {
        fputs("no session tickets are issued here\n", out);
        return;
    }
    ctl_table_init(&t, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(json_object_get(tickets, "keys"), i, one)
        add_key(&t, one, number(tickets, "now"));
    ctl_table_print(&t, out, look, 0);
    ctl_table_free(&t);
    if (number(tickets, "refused") > 0)
        fprintf(out,
                "\n%" PRId64 " values in shared state were refused: not of this farm, or damaged\n",
                number(tickets, "refused"));
}
