#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"
#include "ctl.h"
#include "ctl_http.h"
#include "ctl_text.h"

#define BAR_WIDTH 30

/* ---- stats ---- */

static void title(const struct ctl_options *o, const char *text)
{
    char padded[32];

    snprintf(padded, sizeof padded, "%-10s", text);
    ctl_paint(stdout, o->colours, CTL_BOLD, padded);
}

static void heading(const struct ctl_options *o, const char *text)
{
    ctl_paint(stdout, o->colours, CTL_BOLD, text);
    putchar('\n');
}

static void row(const char *name, const char *value)
{
    printf("  %-28s%14s\n", name, value);
}

static void count_row(const json_t *a, const char *name, const char *part, const char *member)
{
    char text[CTL_TEXT_MAX];

    row(name, ctl_count(text, ctl_int(a, part, member)));
}

static void bytes_row(const json_t *a, const char *name, const char *part, const char *member)
{
    char text[CTL_TEXT_MAX];

    row(name, ctl_bytes(text, ctl_int(a, part, member)));
}

static void ratio_row(const json_t *a, const char *name, const char *part)
{
    const json_t *ratio = ctl_at(a, part, "hit_ratio");
    char text[CTL_TEXT_MAX];

    row(name, json_is_number(ratio) ? ctl_percent(text, json_number_value(ratio)) : "-");
}

static void print_memory(const struct ctl_options *o, const json_t *a)
{
    int64_t limit = ctl_int(a, "memory", "limit_bytes"), used = ctl_int(a, "memory", "used_bytes");
    double part = limit > 0 ? (double)used / (double)limit : 0;
    int full = (int)(part * BAR_WIDTH + 0.5);
    char text[CTL_TEXT_MAX], bar[BAR_WIDTH + 1];

    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)(full < BAR_WIDTH ? full : BAR_WIDTH));
    bar[BAR_WIDTH] = '\0';
    title(o, "memory");
    printf("[");
    ctl_paint(stdout, o->colours, part > 0.97 ? CTL_YELLOW : CTL_GREEN, bar);
    printf("] %s", ctl_percent(text, part));
    printf(" of %s\n", ctl_bytes(text, limit));
    bytes_row(a, "stored", "memory", "stored_bytes");
    bytes_row(a, "in further codings", "memory", "form_bytes");
    bytes_row(a, "being sent, no more stored", "memory", "pinned_bytes");
}

static void print_stored(const struct ctl_options *o, const json_t *a)
{
    heading(o, "stored");
    count_row(a, "responses", "stored", "responses");
    count_row(a, "markers (not worth waiting)", "stored", "markers");
    count_row(a, "further codings of them", "stored", "forms");
    count_row(a, "fetches under way", "stored", "fills");
    count_row(a, "put in", "stored", "puts");
    count_row(a, "evicted for room", "stored", "evictions");
    count_row(a, "further codings dropped", "stored", "form_drops");
    count_row(a, "dropped, purged", "stored", "purged");
    count_row(a, "came back after eviction", "stored", "ghost_hits");
    count_row(a, "refused: no room", "stored", "refused");
}

static void print_requests(const struct ctl_options *o, const json_t *a)
{
    const json_t *reasons = ctl_at(a, "requests", "passes_by_reason");
    const char *reason;
    json_t *n;

    heading(o, "requests");
    ratio_row(a, "hit ratio", "requests");
    ratio_row(a, "hit ratio of content", "content");
    count_row(a, "hits", "requests", "hits");
    count_row(a, "hits, stale", "requests", "stale_hits");
    count_row(a, "misses", "requests", "misses");
    count_row(a, "shared another's fetch", "requests", "collapsed");
    count_row(a, "validated by a 304", "requests", "validated");
    count_row(a, "passed on", "requests", "passes");
    json_object_foreach((json_t *)(uintptr_t)reasons, reason, n)
    {
        char name[64], text[CTL_TEXT_MAX];

        if (json_integer_value(n) == 0)
            continue;
        snprintf(name, sizeof name, "  for %s", reason);
        row(name, ctl_count(text, json_integer_value(n)));
    }
}

static void print_farm(const struct ctl_options *o, const json_t *a)
{
    if (json_object_get(a, "farm") == NULL)
        return;
    heading(o, "the farm, asked on a miss");
    count_row(a, "answered from it", "farm", "hits");
    count_row(a, "nothing of use there", "farm", "misses");
    count_row(a, "stale there, to be validated", "farm", "stale");
    count_row(a, "fetches made for all nodes", "farm", "leases");
    count_row(a, "waited for another node's", "farm", "waits");
    count_row(a, "stored for all nodes", "farm", "stores");
    count_row(a, "no answer from Redis", "farm", "errors");
}

/* An id: in digits, as a purge is answered with it. */
static void id_row(const char *name, int64_t id)
{
    char text[CTL_TEXT_MAX];

    snprintf(text, sizeof text, "%" PRId64, id);
    row(name, text);
}

static void print_purges(const struct ctl_options *o, const json_t *a)
{
    if (json_object_get(a, "purges") == NULL)
        return;
    heading(o, "purges");
    id_row("newest", ctl_int(a, "purges", "sequence"));
    count_row(a, "remembered", "purges", "records");
    bytes_row(a, "memory", "purges", "bytes");
}

/* How long ago, or that it never was. */
static const char *since(char text[CTL_TEXT_MAX], const json_t *ms)
{
    if (!json_is_integer(ms))
        return "never";
    snprintf(text, CTL_TEXT_MAX, "%.1f s ago", (double)json_integer_value(ms) / 1000);
    return text;
}

static void print_purge_log(const struct ctl_options *o, const json_t *a)
{
    const json_t *log = json_object_get(a, "purge_log");
    const char *state = "cannot be reached";
    char text[CTL_TEXT_MAX];

    if (log == NULL)
        return;
    if (json_is_true(json_object_get(log, "reachable")))
        state = json_is_true(json_object_get(log, "known")) ? "read" : "not read yet";
    heading(o, "purge log of the farm");
    row("state", state);
    id_row("applied here", ctl_int(log, "applied", NULL));
    id_row("newest", ctl_int(log, "newest", NULL));
    row("read", since(text, json_object_get(log, "contact_ms")));
    row("purges not in it yet", ctl_count(text, ctl_int(log, "pending", NULL)));
}

enum ctl_exit ctl_cache_stats(const struct ctl_options *o)
{
    char up[CTL_TEXT_MAX];
    json_t *a;
    enum ctl_exit status = ctl_call(o, "GET", "/v1/cache/stats", NULL, &a);
    bool enabled = json_is_true(json_object_get(a, "enabled"));

    if (status == CTL_FINE && !o->json) {
        title(o, "node");
        printf("weir ");
        ctl_put(stdout, ctl_str(json_object_get(a, "node"), "version"));
        printf(", pid %" PRId64 ", up %s\n", ctl_int(a, "node", "pid"),
               ctl_seconds(up, ctl_int(a, "node", "uptime_s")));
        if (!enabled)
            puts("the cache is off: cache.memory is 0");
        print_memory(o, a);
        print_stored(o, a);
        print_requests(o, a);
        print_farm(o, a);
        print_purges(o, a);
        print_purge_log(o, a);
    }
    json_decref(a);
    return status == CTL_FINE && !enabled ? CTL_DEGRADED : status;
}

/* ---- get ---- */

/* "name=" and the value, encoded, behind what is there. false without memory. */
static bool add_parameter(char **target, const char *name, const char *value)
{
    char *encoded = ctl_encode(value);
    size_t len = strlen(*target), room;
    char *longer = NULL;

    if (encoded != NULL) {
        room = len + strlen(name) + strlen(encoded) + 3;
        longer = weir_realloc(*target, room);
    }
    if (longer != NULL) {
        snprintf(longer + len, room - len, "%c%s=%s", strchr(longer, '?') != NULL ? '&' : '?', name,
                 encoded);
        *target = longer;
    }
    weir_free(encoded);
    return longer != NULL;
}

/* example.org/a is http://example.org/a. Returns owned. */
static char *whole_url(const char *url)
{
    char *out = weir_malloc(strlen(url) + 8);

    if (out != NULL)
        sprintf(out, "%s%s", strstr(url, "://") == NULL && url[0] != '/' ? "http://" : "", url);
    return out;
}

static char *entry_target(const struct ctl_options *o)
{
    static const char path[] = "/v1/cache/entry";
    char *target = weir_strndup(path, sizeof path - 1), *url = whole_url(o->arguments[0]);
    bool ok = target != NULL && url != NULL && add_parameter(&target, "url", url);

    for (unsigned i = 0; ok && i < o->fields.count; i++)
        ok = add_parameter(&target, "field", o->fields.at[i]);
    weir_free(url);
    if (ok)
        return target;
    weir_free(target);
    return NULL;
}

enum ctl_exit ctl_cache_get(const struct ctl_options *o)
{
    char *target = entry_target(o);
    enum ctl_exit status;
    bool found;
    json_t *a;

    if (target == NULL) {
        fputs("weirctl: out of memory\n", stderr);
        return CTL_DOWN;
    }
    status = ctl_call(o, "GET", target, NULL, &a);
    weir_free(target);
    if (status != CTL_FINE)
        return status;
    found = o->json ? json_array_size(json_object_get(a, "stored")) > 0 : ctl_entry_print(o, a);
    json_decref(a);
    return found ? CTL_FINE : CTL_DEGRADED;
}

/* ---- purge ---- */

static void print_purged(const struct ctl_options *o, const json_t *a)
{
    const char *state = ctl_str(a, "state");

    printf("purged, %s: ", o->hard ? "hard: gone at once" : "soft: stale from now on");
    if (strcmp(state, "pending") == 0)
        printf("on this node; pending for the farm, whose log cannot be reached");
    else
        printf("sequence %" PRId64, ctl_int(a, "sequence", NULL));
    if (strcmp(state, "unconfirmed") == 0)
        printf(", unconfirmed: in one place of the log only");
    printf(", took %.3f ms\n", (double)ctl_int(a, "took_us", NULL) / 1000);
}

unsigned ctl_purge_wait_ms(const struct ctl_options *o)
{
    return o->timeout_ms != 0 ? (unsigned)o->timeout_ms : CTL_PURGE_WAIT_MS;
}

static void print_names(const char *before, const json_t *names)
{
    const json_t *name;
    size_t i;

    if (json_array_size(names) == 0)
        return;
    printf("  %s:", before);
    json_array_foreach(names, i, name)
    {
        putchar(' ');
        ctl_put(stdout, json_string_value(name) != NULL ? json_string_value(name) : "?");
    }
    putchar('\n');
}

/* Which nodes have it, and how long each took. */
static void print_receipt(const json_t *a)
{
    const json_t *applied = json_object_get(a, "applied"), *row;
    size_t i;

    printf("  %s after %" PRId64 " ms: on %zu nodes",
           json_is_true(json_object_get(a, "complete")) ? "complete" : "not complete",
           ctl_int(a, "ms", NULL), json_array_size(applied));
    json_array_foreach(applied, i, row)
    {
        fputs(i == 0 ? ": " : ", ", stdout);
        ctl_put(stdout, ctl_str(row, "id"));
        printf(" %" PRId64 " ms", ctl_int(row, "ms", NULL));
    }
    putchar('\n');
    print_names("not on", json_object_get(a, "missing"));
    print_names("gone meanwhile", json_object_get(a, "gone"));
}

static enum ctl_exit judge_purge(const struct ctl_options *o, const json_t *a)
{
    if (strcmp(ctl_str(a, "state"), "applied") != 0)
        return CTL_DEGRADED;
    return !o->wait || json_is_true(json_object_get(a, "complete")) ? CTL_FINE : CTL_DEGRADED;
}

static enum ctl_exit purge(const struct ctl_options *o, const char *scope, json_t *what)
{
    json_t *wait = o->wait ? json_integer(ctl_purge_wait_ms(o)) : NULL;
    json_t *body = json_pack("{s:s, s:s, s:o*, s:o*}", "scope", scope, "mode",
                             o->hard ? "hard" : "soft", scope, what, "wait_ms", wait);
    enum ctl_exit status;
    json_t *a;

    if (body == NULL) {
        fputs("weirctl: out of memory\n", stderr);
        return CTL_DOWN;
    }
    status = ctl_call(o, "POST", "/v1/cache/purge", body, &a);
    json_decref(body);
    if (status == CTL_FINE) {
        status = judge_purge(o, a);
        if (!o->json)
            print_purged(o, a);
        if (!o->json && json_object_get(a, "applied") != NULL)
            print_receipt(a);
    }
    json_decref(a);
    return status;
}

/* One that waits for the farm's log does not keep the others back; one that failed does. */
static enum ctl_exit purge_each(const struct ctl_options *o, const char *scope,
                                const struct ctl_list *list, bool urls, enum ctl_exit before)
{
    enum ctl_exit worst = before;

    for (unsigned i = 0; worst <= CTL_DEGRADED && i < list->count; i++) {
        char *url = urls ? whole_url(list->at[i]) : NULL;
        enum ctl_exit status = purge(o, scope, json_string(url != NULL ? url : list->at[i]));

        worst = status > worst ? status : worst;
        weir_free(url);
    }
    return worst;
}

static enum ctl_exit purge_tags(const struct ctl_options *o)
{
    json_t *tags = json_array();

    for (unsigned i = 0; i < o->tags.count; i++)
        json_array_append_new(tags, json_string(o->tags.at[i]));
    return purge(o, "tag", tags);
}

enum ctl_exit ctl_cache_purge(const struct ctl_options *o)
{
    enum ctl_exit status = CTL_FINE;

    if (o->all)
        return purge(o, "all", NULL);
    if (o->tags.count > 0)
        status = purge_tags(o);
    status = purge_each(o, "host", &o->hosts, false, status);
    status = purge_each(o, "prefix", &o->prefixes, true, status);
    status = purge_each(o, "url", &o->urls, true, status);
    return status;
}
