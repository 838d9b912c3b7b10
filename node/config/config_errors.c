#include "config_errors.h"

#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"

static bool make_room(struct config_errors *e)
{
    struct config_error *items;
    size_t cap = e->cap != 0 ? e->cap * 2 : 16;

    if (!e->arena_ready) {
        weir_arena_init(&e->arena, 0);
        e->arena_ready = true;
    }
    if (e->count < e->cap)
        return true;
    items = weir_realloc(e->items, cap * sizeof(*items));
    if (items == NULL)
        return false;
    e->items = items;
    e->cap = cap;
    return true;
}

static const char *keep(struct config_errors *e, const char *s)
{
    return s == NULL ? "" : weir_arena_dup(&e->arena, weir_span_str(s)).ptr;
}

/* Formats in two passes, for the arena has no vprintf. */
static const char *keep_format(struct config_errors *e, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static const char *keep_format(struct config_errors *e, const char *fmt, va_list args)
{
    va_list again;
    char *text;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (len < 0)
        return NULL;
    text = weir_arena_alloc(&e->arena, (size_t)len + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)len + 1, fmt, args);
    return text;
}

void config_errors_add(struct config_errors *e, const struct config_error *where, const char *fmt,
                       va_list args)
{
    struct config_error made = *where;

    if (e->count >= CONFIG_ERRORS_MAX) {
        e->dropped++;
        return;
    }
    if (!make_room(e))
        goto no_memory;
    made.file = keep(e, where->file);
    made.path = keep(e, where->path);
    made.message = keep_format(e, fmt, args);
    if (made.file == NULL || made.path == NULL || made.message == NULL)
        goto no_memory;
    e->items[e->count++] = made;
    return;
no_memory:
    e->out_of_memory = true;
}

static int by_place(const struct config_error *a, const struct config_error *b)
{
    if (a->file_order != b->file_order)
        return a->file_order < b->file_order ? -1 : 1;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return (a->column > b->column) - (a->column < b->column);
}

void config_errors_sort(struct config_errors *e)
{
    /* By insertion: it keeps the order of equals, needs no memory, and there are at most a hundred.
     */
    for (size_t i = 1; i < e->count; i++) {
        struct config_error moving = e->items[i];
        size_t at = i;

        for (; at > 0 && by_place(&moving, &e->items[at - 1]) < 0; at--)
            e->items[at] = e->items[at - 1];
        e->items[at] = moving;
    }
}

bool config_errors_any(const struct config_errors *e)
{
    return e->count != 0 || e->dropped != 0 || e->out_of_memory;
}

void config_errors_print(const struct config_errors *e, FILE *out)
{
    for (size_t i = 0; i < e->count; i++) {
        const struct config_error *x = &e->items[i];

        fputs(x->file, out);
        if (x->line != 0)
            fprintf(out, ":%u", x->line);
        if (x->line != 0 && x->column != 0)
            fprintf(out, ":%u", x->column);
        fprintf(out, ": %s%s%s\n", x->path, x->path[0] != '\0' ? ": " : "", x->message);
    }
    if (e->dropped != 0)
        fprintf(out, "and %zu more errors\n", e->dropped);
    if (e->out_of_memory)
        fputs("out of memory while reading the configuration\n", out);
}

void config_errors_free(struct config_errors *e)
{
    if (e == NULL)
        return;
    weir_free(e->items);
    if (e->arena_ready)
        weir_arena_free(&e->arena);
    memset(e, 0, sizeof(*e));
}
