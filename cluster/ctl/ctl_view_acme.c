/* Certificates that are obtained. */
#include <inttypes.h>

#include "ctl_view.h"
#include "ctl_view_own.h"

/* "in 3 d", "now"; "" where nothing is known. */
static void add_when(struct ctl_table *t, const json_t *of, const char *name, int64_t now_s)
{
    int64_t at = json_integer_value(json_object_get(of, name)), left = at - now_s;
    char text[40] = "";

    if (at > 0 && left <= 0)
        snprintf(text, sizeof text, "now");
    else if (at > 0 && left >= 2 * 86400)
        snprintf(text, sizeof text, "in %" PRId64 " d", left / 86400);
    else if (at > 0 && left >= 7200)
        snprintf(text, sizeof text, "in %" PRId64 " h", left / 3600);
    else if (at > 0)
        snprintf(text, sizeof text, "in %" PRId64 " s", left);
    ctl_table_add(t, CTL_PLAIN, text);
}

static void add_names(struct ctl_table *t, const json_t *names)
{
    const char *first = json_string_value(json_array_get(names, 0));
    char text[300];

    if (json_array_size(names) > 1)
        snprintf(text, sizeof text, "%s +%zu", first != NULL ? first : "?",
                 json_array_size(names) - 1);
    else
        snprintf(text, sizeof text, "%s", first != NULL ? first : "?");
    ctl_table_add(t, CTL_PLAIN, text);
}

void ctl_view_acme(FILE *out, const struct ctl_look *look, const json_t *acme, int64_t now_s)
{
    static const struct ctl_column columns[] = {
        {"NAMES", .least = 12}, {"STATE", .least = 8},  {"ENDS", .least = 6},
        {"RENEWS", .least = 6}, {"ERROR", .least = 10},
    };
    const json_t *list = json_object_get(acme, "certificates"), *one;
    struct ctl_table t;
    size_t i;

    if (json_array_size(list) == 0) {
        fputs("no certificates are obtained here\n", out);
        return;
    }
    ctl_table_init(&t, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(list, i, one)
    {
        const char *error = json_string_value(json_object_get(one, "error"));

        add_names(&t, json_object_get(one, "names"));
        ctl_table_add(&t, CTL_PLAIN, farm_text(one, "state"));
        add_when(&t, one, "not_after", now_s);
        add_when(&t, one, "renews", now_s);
        ctl_table_add(&t, CTL_RED, error != NULL ? error : "");
    }
    ctl_table_print(&t, out, look, 0);
    ctl_table_free(&t);
}
