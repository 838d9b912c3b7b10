#include "ctl_table.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "weir/alloc.h"

#define GAP      2
#define CELL_MAX 4096 /* bytes of a cell: nobody reads more in a line */

void ctl_table_init(struct ctl_table *t, const struct ctl_column *columns, size_t count)
{
    assert(count > 0 && count <= CTL_TABLE_COLUMNS);
    *t = (struct ctl_table){.columns = columns, .count = count};
    weir_arena_init(&t->arena, 0);
}

void ctl_table_free(struct ctl_table *t)
{
    weir_arena_free(&t->arena);
    weir_free(t->cells);
    t->cells = NULL;
    t->used = t->room = 0;
}

static bool make_room(struct ctl_table *t)
{
    size_t room = t->room > 0 ? 2 * t->room : 64;
    struct ctl_cell *more;

    if (t->used < t->room)
        return true;
    more = weir_realloc(t->cells, room * sizeof *more);
    if (more == NULL)
        return false;
    t->cells = more;
    t->room = room;
    return true;
}

void ctl_table_add(struct ctl_table *t, enum ctl_colour colour, const char *text)
{
    size_t len = text != NULL ? strnlen(text, CELL_MAX) : 0;
    const char *copy = len > 0 ? weir_arena_dup(&t->arena, weir_span(text, len)).ptr : "";

    if (copy == NULL || !make_room(t))
        t->failed = true;
    else
        t->cells[t->used++] = (struct ctl_cell){copy, colour};
}

void ctl_table_addf(struct ctl_table *t, enum ctl_colour colour, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ctl_table_add(t, colour, text);
}

size_t ctl_table_rows(const struct ctl_table *t)
{
    assert(t->count > 0);
    return t->used / t->count; /* a row that is not whole, for want of memory, is not shown */
}

/* ---- widths ---- */

#define HIDDEN UINT32_MAX

struct layout {
    unsigned width[CTL_TABLE_COLUMNS]; /* HIDDEN: left out */
};

static void natural(const struct ctl_table *t, struct layout *l)
{
    for (size_t c = 0; c < t->count; c++) {
        unsigned widest = 0, title = 0;

        for (size_t r = 0; r < ctl_table_rows(t); r++) {
            unsigned w = ctl_columns(t->cells[r * t->count + c].text);

            widest = w > widest ? w : widest;
        }
        if (t->columns[c].title != NULL)
            title = ctl_columns(t->columns[c].title);
        l->width[c] = widest == 0 ? HIDDEN : widest > title ? widest : title;
    }
}

static unsigned least_of(const struct ctl_table *t, const struct layout *l, size_t c)
{
    unsigned least = t->columns[c].least;

    return least > 0 && least < l->width[c] ? least : l->width[c];
}

static unsigned sum(const struct ctl_table *t, const struct layout *l, bool cut)
{
    unsigned total = 0;

    for (size_t c = 0; c < t->count; c++)
        if (l->width[c] != HIDDEN)
            total += (total > 0 ? GAP : 0) + (cut ? least_of(t, l, c) : l->width[c]);
    return total;
}

/* Leaves out the column that matters least. false: all that are left always stay. */
static bool leave_one_out(const struct ctl_table *t, struct layout *l)
{
    size_t which = 0;
    unsigned rank = 0;

    for (size_t c = 0; c < t->count; c++) {
        if (l->width[c] != HIDDEN && t->columns[c].rank > rank) {
            rank = t->columns[c].rank;
            which = c;
        }
    }
    if (rank > 0)
        l->width[which] = HIDDEN;
    return rank > 0;
}

/* Takes a column from the widest that may be cut. false: none may. */
static bool cut_one(const struct ctl_table *t, struct layout *l)
{
    size_t which = t->count;

    for (size_t c = 0; c < t->count; c++)
        if (l->width[c] != HIDDEN && least_of(t, l, c) < l->width[c] &&
            (which == t->count || l->width[c] > l->width[which]))
            which = c;
    if (which == t->count)
        return false;
    l->width[which]--;
    return true;
}

static void lay_out(const struct ctl_table *t, struct layout *l, unsigned width)
{
    natural(t, l);
    if (width == 0)
        return;
    while (sum(t, l, true) > width && leave_one_out(t, l))
        ;
    while (sum(t, l, false) > width && cut_one(t, l))
        ;
}

/* ---- drawing ---- */

static bool is_last(const struct ctl_table *t, const struct layout *l, size_t c)
{
    while (++c < t->count)
        if (l->width[c] != HIDDEN)
            return false;
    return true;
}

static void put_cell(FILE *out, const struct ctl_look *look, const struct ctl_cell *cell,
                     unsigned width, bool right, bool last)
{
    unsigned used = ctl_columns(cell->text), pad = used < width ? width - used : 0;

    if (right)
        fprintf(out, "%*s", (int)pad, "");
    ctl_colour(out, look->colours && cell->colour != CTL_PLAIN, cell->colour);
    ctl_put_within(out, cell->text, width);
    ctl_colour(out, look->colours && cell->colour != CTL_PLAIN, CTL_PLAIN);
    if (!right && !last)
        fprintf(out, "%*s", (int)pad, "");
}

/* Where even the least is too wide, lines end at the edge. */
static void put_row(const struct ctl_table *t, const struct layout *l, FILE *out, unsigned room,
                    const struct ctl_look *look, const struct ctl_cell *row)
{
    bool first = true;

    for (size_t c = 0; c < t->count && room > 0; c++) {
        unsigned gap = first ? 0 : GAP, width = l->width[c];

        if (width == HIDDEN)
            continue;
        if (gap >= room)
            break;
        width = width > room - gap ? room - gap : width;
        fprintf(out, "%*s", (int)gap, "");
        put_cell(out, look, &row[c], width, t->columns[c].right, is_last(t, l, c));
        room -= gap + width;
        first = false;
    }
    putc('\n', out);
}

static void put_indented(const struct ctl_table *t, const struct layout *l, FILE *out,
                         const struct ctl_look *look, unsigned indent, const struct ctl_cell *row)
{
    unsigned room = look->width == 0 ? UINT32_MAX / 2 : look->width;

    indent = indent < room ? indent : 0;
    fprintf(out, "%*s", (int)indent, "");
    put_row(t, l, out, room - indent, look, row);
}

void ctl_table_print(const struct ctl_table *t, FILE *out, const struct ctl_look *look,
                     unsigned indent)
{
    struct ctl_cell titles[CTL_TABLE_COLUMNS];
    struct layout l;

    lay_out(t, &l, look->width > indent ? look->width - indent : look->width);
    for (size_t c = 0; c < t->count; c++)
        titles[c] = (struct ctl_cell){t->columns[c].title, CTL_DIM};
    if (t->columns[0].title != NULL && ctl_table_rows(t) > 0)
        put_indented(t, &l, out, look, indent, titles);
    for (size_t r = 0; r < ctl_table_rows(t); r++)
        put_indented(t, &l, out, look, indent, &t->cells[r * t->count]);
    if (t->failed)
        fputs("  (no memory for all of it)\n", out);
}
