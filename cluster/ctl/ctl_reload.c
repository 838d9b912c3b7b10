/* reload: this node by itself; another, all, or one after the other by words, each of which is
 * waited for in the node's record. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl_farm.h"
#include "ctl_text.h"
#include "weir/alloc.h"

#define TIMEOUT_MS 30000
#define LOOK_MS    200

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* ---- one node ---- */

enum outcome { WAITING, RELOADED, REFUSED, VANISHED, LATE };

struct target {
    const char *id;
    bool was_ready;  /* then it is to be ready again */
    uint64_t number; /* of the word */
    int64_t said_ms, took_ms;
    enum outcome outcome;
    char error[256];
};

static const json_t *find_node(const json_t *farm, const char *id)
{
    const json_t *node;
    size_t i;

    json_array_foreach(json_object_get(farm, "nodes"), i, node)
    {
        if (strcmp(ctl_str(node, "id"), id) == 0)
            return node;
    }
    return NULL;
}

static void settle(struct target *t, enum outcome outcome, const char *why)
{
    t->outcome = outcome;
    t->took_ms = now_ms() - t->said_ms;
    snprintf(t->error, sizeof t->error, "%s", why);
}

/* What its record says of the word; its readiness counts from the record that knows of it on. */
static void judge(struct target *t, const json_t *farm)
{
    const json_t *node = find_node(farm, t->id);
    const json_t *last = ctl_at(node, "config", "last_reload");
    const json_t *order = json_object_get(last, "order");

    if (t->outcome != WAITING)
        return;
    if (node == NULL)
        settle(t, VANISHED, "it is not in the farm any more");
    else if (!json_is_integer(order) || (uint64_t)json_integer_value(order) < t->number)
        return;
    else if (!json_is_true(json_object_get(last, "ok")))
        settle(t, REFUSED, ctl_str(last, "error"));
    else if (!t->was_ready || json_is_true(json_object_get(node, "ready")))
        settle(t, RELOADED, "");
}

static enum ctl_exit order(const struct ctl_options *o, const char *name, uint64_t *number)
{
    json_t *answer,
        *word = json_pack("{s:s, s:s, s:s}", "target", "node", "name", name, "kind", "reload");
    enum ctl_exit status = word != NULL ? ctl_say(o, word, &answer) : CTL_DOWN;

    if (status == CTL_FINE) {
        *number = (uint64_t)json_integer_value(json_object_get(answer, "number"));
        json_decref(answer);
    }
    json_decref(word);
    return status;
}

/* ---- several ---- */

struct rolling {
    const struct ctl_options *o;
    struct target *targets;
    size_t count;
    json_t *told; /* for --json */
    bool failed;
};

static void tell(struct rolling *r, const struct target *t)
{
    bool ok = t->outcome == RELOADED;

    r->failed |= !ok;
    if (r->o->json) {
        json_array_append_new(r->told,
                              json_pack("{s:s, s:b, s:s*, s:I}", "id", t->id, "ok", ok, "error",
                                        ok ? NULL : t->error, "took_ms", (json_int_t)t->took_ms));
        return;
    }
    ctl_put(stdout, t->id);
    if (ok)
        printf(": reloaded in %.1f s\n", (double)t->took_ms / 1000);
    else
        printf(": failed: ");
    if (!ok) {
        ctl_put(stdout, t->error);
        putchar('\n');
    }
    fflush(stdout);
}

static bool all_settled(const struct target *t, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (t[i].outcome == WAITING)
            return false;
    return true;
}

/* Looks again and again until each of them has said how it went. */
static enum ctl_exit await(struct rolling *r, struct target *targets, size_t count)
{
    int64_t timeout = r->o->timeout_ms > 0 ? (int64_t)r->o->timeout_ms : TIMEOUT_MS;
    int64_t until = now_ms() + timeout;

    for (;;) {
        json_t *farm;
        enum ctl_exit status = ctl_farm(r->o, &farm);

        if (status != CTL_FINE)
            return status;
        for (size_t i = 0; i < count; i++)
            judge(&targets[i], farm);
        json_decref(farm);
        for (size_t i = 0; i < count && now_ms() >= until; i++)
            if (targets[i].outcome == WAITING)
                settle(&targets[i], LATE, "it does not tell in time that it has");
        if (all_settled(targets, count))
            return CTL_FINE;
        pause_ms(LOOK_MS);
    }
}

/* One word for `name` ("": everybody), for all the targets. */
static enum ctl_exit reload_by_word(struct rolling *r, const char *name, struct target *targets,
                                    size_t count)
{
    uint64_t number = 0;
    enum ctl_exit status = order(r->o, name, &number);

    for (size_t i = 0; i < count; i++) {
        targets[i].number = number;
        targets[i].said_ms = now_ms();
    }
    if (status == CTL_FINE)
        status = await(r, targets, count);
    for (size_t i = 0; i < count && status == CTL_FINE; i++)
        tell(r, &targets[i]);
    return status;
}

static enum ctl_exit roll(struct rolling *r)
{
    enum ctl_exit status = CTL_FINE;
    size_t i;

    for (i = 0; i < r->count && status == CTL_FINE && !r->failed; i++)
        status = reload_by_word(r, r->targets[i].id, &r->targets[i], 1);
    if (i < r->count && !r->o->json)
        printf("stopped: %zu of %zu nodes were not told\n", r->count - i, r->count);
    return status;
}

/* ---- whom ---- */

/* The node that is asked comes last: should it fail, the others can still be seen. */
static void choose(struct rolling *r, const json_t *farm, const char *only)
{
    const json_t *node;
    size_t i;

    for (int last = 0; last < 2; last++) {
        json_array_foreach(json_object_get(farm, "nodes"), i, node)
        {
            bool self = json_is_true(json_object_get(node, "self"));

            if (self != (last == 1) || (only != NULL && strcmp(ctl_str(node, "id"), only) != 0) ||
                (only == NULL && json_is_true(json_object_get(node, "draining"))))
                continue;
            r->targets[r->count++] =
                (struct target){.id = ctl_str(node, "id"),
                                .was_ready = json_is_true(json_object_get(node, "ready"))};
        }
    }
}

static enum ctl_exit reload_chosen(struct rolling *r, const json_t *farm)
{
    const struct ctl_options *o = r->o;
    const char *only = o->argument_count > 0 ? o->arguments[0] : NULL;
    enum ctl_exit status;

    choose(r, farm, only);
    if (r->count == 0) {
        fputs("weirctl: there is no such node: weirctl nodes tells them\n", stderr);
        return CTL_USAGE;
    }
    status =
        o->rolling ? roll(r) : reload_by_word(r, only != NULL ? only : "", r->targets, r->count);
    if (o->json && status == CTL_FINE) {
        json_t *out = json_pack("{s:b, s:O}", "ok", !r->failed, "nodes", r->told);

        ctl_print_json(out);
        json_decref(out);
    }
    return status != CTL_FINE ? status : r->failed ? CTL_DOWN : CTL_FINE;
}

static enum ctl_exit reload_others(const struct ctl_options *o)
{
    struct rolling r = {.o = o, .told = json_array()};
    json_t *farm;
    enum ctl_exit status = ctl_farm(o, &farm);

    if (status == CTL_FINE) {
        r.targets =
            weir_calloc(json_array_size(json_object_get(farm, "nodes")) + 1, sizeof *r.targets);
        status = r.targets != NULL ? reload_chosen(&r, farm) : CTL_DOWN;
    }
    weir_free(r.targets);
    json_decref(r.told);
    json_decref(farm);
    return status;
}

/* This node is asked itself: that works without Redis and without a farm. */
static enum ctl_exit reload_this(const struct ctl_options *o)
{
    json_t *answer;
    enum ctl_exit status = ctl_call(o, "POST", "/v1/reload", NULL, &answer);

    if (status == CTL_FINE && !o->json) {
        printf("reloaded in %" PRId64 " ms, configuration ", ctl_int(answer, "took_ms", NULL));
        ctl_put(stdout, ctl_str(answer, "config"));
        putchar('\n');
    }
    json_decref(answer);
    return status;
}

enum ctl_exit ctl_reload(const struct ctl_options *o)
{
    bool others = o->rolling || o->all || o->argument_count > 0 || ctl_is_direct(o);

    return others ? reload_others(o) : reload_this(o);
}
