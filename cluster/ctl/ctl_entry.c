#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "ctl_text.h"

#define RANGES_SHOWN 8

static void label(const char *name)
{
    printf("    %-12s", name);
}

static void text_row(const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    label(name);
    ctl_put(stdout, value);
    putchar('\n');
}

static enum ctl_colour colour_of(const char *state)
{
    if (strcmp(state, "fresh") == 0)
        return CTL_GREEN;
    return strcmp(state, "purged") == 0 ? CTL_RED : CTL_YELLOW;
}

static void print_state(const struct ctl_options *o, const json_t *s)
{
    const char *state = ctl_str(s, "state"), *purged = ctl_str(s, "purged");
    int64_t ttl = ctl_int(s, "ttl_s", NULL);
    char text[CTL_TEXT_MAX];

    printf("%" PRId64 "  ", ctl_int(s, "status", NULL));
    ctl_paint(stdout, o->colours, colour_of(state), state);
    if (strcmp(state, "purged") == 0)
        return;
    if (purged[0] != '\0') { /* what it had of a lifetime counts no more */
        printf(", purged softly %s ago", ctl_seconds(text, -ttl));
        return;
    }
    if (ttl > 0)
        printf(", %s left", ctl_seconds(text, ttl));
    else
        printf(", over for %s", ctl_seconds(text, -ttl));
    printf(" of %s", ctl_seconds(text, ctl_int(s, "lifetime_s", NULL)));
}

static void print_variant(const json_t *s)
{
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(s, "variant"), name, value)
    {
        label("for");
        ctl_put(stdout, name);
        printf(": ");
        ctl_put(stdout, json_is_string(value) ? json_string_value(value) : "(absent)");
        putchar('\n');
    }
}

static void print_age(const json_t *s)
{
    char age[CTL_TEXT_MAX], since[CTL_TEXT_MAX];

    label("stored");
    printf("%s ago, age %s\n", ctl_seconds(since, ctl_int(s, "since_s", NULL)),
           ctl_seconds(age, ctl_int(s, "age_s", NULL)));
}

static void print_windows(const json_t *s)
{
    int64_t swr = ctl_int(s, "stale_while_revalidate_s", NULL);
    int64_t sie = ctl_int(s, "stale_if_error_s", NULL);
    char a[CTL_TEXT_MAX], b[CTL_TEXT_MAX];

    label("when stale");
    if (json_is_true(json_object_get(s, "never_stale")))
        printf("never used without the origin's word\n");
    else if (swr == 0 && sie == 0)
        printf("validated first\n");
    else if (sie == 0)
        printf("used for %s while it is revalidated\n", ctl_seconds(a, swr));
    else if (swr == 0)
        printf("validated first, but used for %s if the origin fails\n", ctl_seconds(b, sie));
    else
        printf("used for %s while it is revalidated, for %s if the origin fails\n",
               ctl_seconds(a, swr), ctl_seconds(b, sie));
}

static void print_forms(const json_t *s)
{
    const json_t *forms = json_object_get(s, "forms");
    char text[CTL_TEXT_MAX];
    int64_t cost = 0;
    json_t *form;
    size_t i;

    label("size");
    json_array_foreach(forms, i, form)
    {
        printf("%s%s ", i > 0 ? ", " : "", ctl_bytes(text, ctl_int(form, "bytes", NULL)));
        ctl_put(stdout, ctl_str(form, "coding"));
        cost += ctl_int(form, "cost_bytes", NULL);
    }
    printf("; %s of memory\n", ctl_bytes(text, cost));
}

static void print_tags(const json_t *s)
{
    json_t *tag;
    size_t i;

    if (json_array_size(json_object_get(s, "tags")) == 0)
        return;
    label("tags");
    json_array_foreach(json_object_get(s, "tags"), i, tag)
    {
        if (i > 0)
            putchar(' ');
        ctl_put(stdout, json_string_value(tag) != NULL ? json_string_value(tag) : "");
    }
    putchar('\n');
}

static void print_fields(const json_t *s)
{
    json_t *pair;
    size_t i;

    json_array_foreach(json_object_get(s, "fields"), i, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));

        label(i == 0 ? "fields" : "");
        ctl_put(stdout, name != NULL ? name : "");
        printf(": ");
        ctl_put(stdout, value != NULL ? value : "");
        putchar('\n');
    }
}

static void print_response(const struct ctl_options *o, const json_t *s)
{
    print_state(o, s);
    if (json_is_true(json_object_get(s, "chosen")))
        printf("   <- what such a request is answered by");
    putchar('\n');
    print_variant(s);
    print_age(s);
    print_windows(s);
    print_forms(s);
    text_row("etag", ctl_str(s, "etag"));
    text_row("modified", ctl_str(s, "last_modified"));
    print_tags(s);
    label("queue");
    ctl_put(stdout, ctl_str(s, "queue"));
    printf(", uses %" PRId64 " (3 at most are counted)\n", ctl_int(s, "uses", NULL));
    if (o->show_fields)
        print_fields(s);
}

static void print_marker(const struct ctl_options *o, const json_t *s)
{
    char text[CTL_TEXT_MAX];

    ctl_paint(stdout, o->colours, CTL_DIM, "marker");
    printf(": nothing is stored, and nobody waits for another's fetch, for %s\n",
           ctl_seconds(text, ctl_int(s, "ttl_s", NULL)));
    text_row("why", ctl_str(s, "why"));
    print_variant(s);
}

/* "0-1048575, 4194304-5242879"; what is many is cut off. */
static void print_ranges(const json_t *ranges)
{
    json_t *range;
    size_t i;

    label("bytes");
    json_array_foreach(ranges, i, range)
    {
        if (i == RANGES_SHOWN) {
            printf(", and %zu more", json_array_size(ranges) - i);
            break;
        }
        printf("%s%" JSON_INTEGER_FORMAT "-%" JSON_INTEGER_FORMAT, i > 0 ? ", " : "",
               json_integer_value(json_array_get(range, 0)),
               json_integer_value(json_array_get(range, 1)));
    }
    putchar('\n');
}

static void print_slices(const json_t *s)
{
    char size[CTL_TEXT_MAX], bytes[CTL_TEXT_MAX], complete[CTL_TEXT_MAX];

    printf("slices of %s: %" PRId64 " stored, %" PRId64 " fresh; %s of %s\n",
           ctl_bytes(size, ctl_int(s, "size_bytes", NULL)), ctl_int(s, "stored", NULL),
           ctl_int(s, "fresh", NULL), ctl_bytes(bytes, ctl_int(s, "body_bytes", NULL)),
           ctl_bytes(complete, ctl_int(s, "complete_bytes", NULL)));
    print_ranges(json_object_get(s, "ranges"));
    text_row("etag", ctl_str(s, "etag"));
}

bool ctl_entry_print(const struct ctl_options *o, const json_t *answer)
{
    const json_t *route = json_object_get(answer, "route");
    const json_t *stored = json_object_get(answer, "stored");
    json_t *s;
    size_t i;

    ctl_paint(stdout, o->colours, CTL_BOLD, ctl_str(answer, "url"));
    if (json_is_object(route)) {
        printf("   route ");
        ctl_put(stdout, ctl_str(route, "name"));
        fputs(json_is_true(json_object_get(route, "caches")) ? "" : ", which does not cache",
              stdout);
    } else {
        printf("   no route takes it");
    }
    putchar('\n');
    if (json_array_size(stored) == 0)
        puts("  nothing is stored");
    json_array_foreach(stored, i, s)
    {
        printf("  ");
        if (strcmp(ctl_str(s, "kind"), "marker") == 0)
            print_marker(o, s);
        else if (strcmp(ctl_str(s, "kind"), "slices") == 0)
            print_slices(s);
        else
            print_response(o, s);
    }
    return json_array_size(stored) > 0;
}
