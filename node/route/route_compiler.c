#include "route_compiler.h"

#include <stdarg.h>
#include <stdio.h>

#include "netset.h"
#include "pattern.h"

static void report(struct route_compiler *c, const char *path, const char *message)
{
    c->faults++;
    if (c->problems != NULL && c->problems->report != NULL)
        c->problems->report(c->problems->arg, c->route, path, message);
}

struct route_place route_place(const char *format, ...)
{
    struct route_place place;
    va_list args;

    va_start(args, format);
    vsnprintf(place.text, sizeof(place.text), format, args);
    va_end(args);
    return place;
}

bool route_fault(struct route_compiler *c, const struct weir_err *cause, const char *path)
{
    if (cause->code == WEIR_E_MEMORY)
        c->no_memory = true;
    else
        report(c, path, cause->detail[0] != '\0' ? cause->detail : weir_code_text(cause->code));
    return false;
}

bool route_fault_text(struct route_compiler *c, const char *path, const char *format, ...)
{
    char message[WEIR_ERR_DETAIL];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    report(c, path, message);
    return false;
}

void *route_alloc(struct route_compiler *c, size_t count, size_t size)
{
    void *block = NULL;

    if (count <= SIZE_MAX / size)
        block = weir_arena_zalloc(c->arena, count * size);
    if (block == NULL)
        c->no_memory = true;
    return block;
}

/* The node is made first, so that nothing has to be undone once the thing itself exists. */
static struct route_owned *own(struct route_compiler *c)
{
    struct route_owned *o = route_alloc(c, 1, sizeof(*o));

    if (o == NULL)
        return NULL;
    o->next = *c->owned;
    *c->owned = o;
    return o;
}

struct pattern *route_pattern(struct route_compiler *c, const char *text, const char *path)
{
    struct weir_err err = {0};
    struct route_owned *o = own(c);

    if (o == NULL)
        return NULL;
    o->pattern = pattern_compile(text, &err);
    if (o->pattern == NULL)
        route_fault(c, &err, path);
    return o->pattern;
}

struct netset *route_netset(struct route_compiler *c, const char **words, size_t count,
                            const char *path)
{
    struct weir_err err = {0};
    struct route_owned *o = own(c);

    if (o == NULL)
        return NULL;
    o->netset = netset_new(&err);
    if (o->netset == NULL) {
        route_fault(c, &err, path);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (!netset_add(o->netset, words[i], &err))
            route_fault(c, &err, route_place("%s[%zu]", path, i).text);
    }
    netset_seal(o->netset);
    return o->netset;
}

struct template *route_template(struct route_compiler *c, const char *text, enum template_use use,
                                const char *path)
{
    struct weir_err err = {0};
    struct template *t;

    if (c->patterns_faulty)
        return NULL;
    t = template_compile(text, use, c->patterns, c->pattern_count, c->arena, &err);
    if (t == NULL)
        route_fault(c, &err, path);
    return t;
}

void route_owned_free(struct route_owned *first)
{
    for (struct route_owned *o = first; o != NULL; o = o->next) { /* the arena has the nodes */
        pattern_free(o->pattern);
        netset_free(o->netset);
    }
}
