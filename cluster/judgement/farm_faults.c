#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "farm_judgement.h"
#include "farm_own.h"

#define TEXT_MAX 1024

static const char *const severities[FARM_SEVERITIES] = {
    [FARM_INFO] = "info", [FARM_DEGRADED] = "degraded", [FARM_DOWN] = "down"};

/* Cut at a byte, a text may have lost the rest of its last character. */
static json_t *whole_text(char *text)
{
    json_t *json = json_string(text);
    size_t len = strlen(text);

    while (json == NULL && len > 0 && ((unsigned char)text[len - 1] & 0x80) != 0) {
        text[--len] = '\0';
        json = json_string(text);
    }
    return json;
}

void farm_fault(struct farm_faults *f, enum farm_severity severity, const char *code,
                const char *where, const char *fmt, ...)
{
    char what[TEXT_MAX], place[TEXT_MAX];
    json_t *fault;
    va_list args;

    if (f->count >= FARM_FAULTS_MAX && severity == FARM_INFO)
        return;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    snprintf(place, sizeof place, "%s", where);
    fault = json_pack("{s:s, s:s, s:o, s:o}", "severity", severities[severity], "code", code,
                      "where", whole_text(place), "what", whole_text(what));
    if (fault == NULL || json_array_append_new(f->list[severity], fault) != 0)
        f->failed = true;
    f->count++;
}

const char *farm_inner_text(const json_t *node, const char *name, const char *inner)
{
    const json_t *value = json_object_get(node, name);

    return json_string_value(inner != NULL ? json_object_get(value, inner) : value);
}

/* How many nodes say each value: {value: [count, when its newest was loaded]}. NULL: no memory. */
static json_t *count_values(const json_t *nodes, const char *name, const char *inner)
{
    json_t *counts = json_object();
    const json_t *node;
    size_t i;

    json_array_foreach(nodes, i, node)
    {
        const char *value = farm_inner_text(node, name, inner);
        json_int_t loaded = farm_int(json_object_get(node, "config"), "loaded_at");
        const json_t *before = value != NULL ? json_object_get(counts, value) : NULL;
        json_int_t newest = json_integer_value(json_array_get(before, 1));

        if (value != NULL &&
            json_object_set_new(counts, value,
                                json_pack("[I, I]",
                                          json_integer_value(json_array_get(before, 0)) + 1,
                                          loaded > newest ? loaded : newest)) != 0) {
            json_decref(counts);
            return NULL;
        }
    }
    return counts;
}

const char *farm_most(const json_t *nodes, const char *name, const char *inner)
{
    json_t *counts = count_values(nodes, name, inner);
    json_int_t best = 0, best_newest = 0;
    const char *most = NULL;
    const json_t *node;
    size_t i;

    json_array_foreach(nodes, i, node)
    {
        const char *value = farm_inner_text(node, name, inner);
        const json_t *its = value != NULL ? json_object_get(counts, value) : NULL;
        json_int_t count = json_integer_value(json_array_get(its, 0));
        json_int_t newest = json_integer_value(json_array_get(its, 1));

        if (count > best || (count == best && newest > best_newest)) {
            most = value;
            best = count;
            best_newest = newest;
        }
    }
    json_decref(counts);
    return most;
}
