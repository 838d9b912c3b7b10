#include "doctor.h"

#include <string.h>

#define SLOTS 16384

void doctor_report_free(struct doctor_report *r)
{
    if (r == NULL)
        return;
    weir_arena_free(&r->arena);
    memset(r, 0, sizeof *r);
}

const char *doctor_value(const struct doctor_values *values, const char *name)
{
    for (size_t i = 0; i < values->count; i++) {
        if (strcmp(values->at[i].name, name) == 0)
            return values->at[i].text;
    }
    return NULL;
}

/* What stands before the next `mark`, which is skipped; all of it if there is none. */
static struct weir_span cut(struct weir_span *rest, char mark)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, mark, rest->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - rest->ptr) : rest->len;
    struct weir_span piece = weir_span(rest->ptr, len);

    len += at != NULL;
    *rest = weir_span(rest->ptr + len, rest->len - len);
    return piece;
}

static struct weir_span cut_line(struct weir_span *rest)
{
    struct weir_span line = cut(rest, '\n');

    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* ---- lines ---- */

static size_t count_lines(struct weir_span text)
{
    size_t n = 1;

    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

bool doctor_read_lines(struct weir_arena *a, struct weir_span text, struct doctor_values *out)
{
    struct doctor_value *at = weir_arena_zalloc(a, count_lines(text) * sizeof *at);
    size_t count = 0;

    *out = (struct doctor_values){0};
    if (at == NULL)
        return false;
    while (text.len > 0) {
        struct weir_span line = cut_line(&text), name = cut(&line, ':');

        if (name.len == 0 || name.ptr[0] == '#' || line.ptr == name.ptr + name.len)
            continue; /* without a colon there is no value */
        at[count].name = weir_arena_dup(a, name).ptr;
        at[count].text = weir_arena_dup(a, line).ptr;
        if (at[count].name == NULL || at[count].text == NULL)
            return false;
        count++;
    }
    *out = (struct doctor_values){at, count};
    return true;
}

/* ---- addresses ---- */

bool doctor_read_address(struct weir_span text, struct weir_span *host, uint16_t *port)
{
    const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    unsigned long long number;
    struct weir_span name;

    if (colon == NULL)
        return false;
    name = weir_span(text.ptr, (size_t)(colon - text.ptr));
    if (!weir_span_u64(weir_span(colon + 1, text.len - name.len - 1), UINT16_MAX, &number) ||
        number == 0)
        return false;
    if (name.len > 1 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = weir_span(name.ptr + 1, name.len - 2);
    *host = name;
    *port = (uint16_t)number;
    return true;
}

struct doctor_node *doctor_add_node(struct doctor_report *r, struct weir_span host, uint16_t port)
{
    struct doctor_node *node;
    bool v6 = host.len > 0 && memchr(host.ptr, ':', host.len) != NULL;

    if (r->nodes == NULL)
        r->nodes = weir_arena_zalloc(&r->arena, DOCTOR_NODES_MAX * sizeof *r->nodes);
    if (r->nodes == NULL)
        return NULL;
    if (r->node_count == DOCTOR_NODES_MAX) {
        r->too_many++;
        return NULL;
    }
    node = &r->nodes[r->node_count];
    *node = (struct doctor_node){.port = port, .id = "", .master_id = ""};
    node->host = weir_arena_dup(&r->arena, host).ptr;
    if (node->host == NULL)
        return NULL;
    node->address = weir_arena_printf(&r->arena, v6 ? "[%s]:%u" : "%s:%u", node->host, port);
    if (node->address == NULL)
        return NULL;
    r->node_count++;
    return node;
}

/* ---- CLUSTER NODES ---- */

static bool has_flag(struct weir_span flags, const char *flag)
{
    while (flags.len > 0) {
        if (weir_span_eq(cut(&flags, ','), weir_span_str(flag)))
            return true;
    }
    return false;
}

/* "0-5460" or "7"; what stands in brackets is on the move and counts where it is. */
static uint32_t count_slots(struct weir_span ranges)
{
    uint32_t sum = 0;

    while (ranges.len > 0) {
        struct weir_span last = cut(&ranges, ' '), first = cut(&last, '-');
        unsigned long long from, to;

        if (!weir_span_u64(first, SLOTS - 1, &from))
            continue;
        if (!weir_span_u64(last, SLOTS - 1, &to))
            to = from;
        if (to >= from)
            sum += (uint32_t)(to - from + 1);
    }
    return sum < SLOTS ? sum : SLOTS;
}

/* "10.0.0.1:6379@16379,redis-1": an address and perhaps a name. */
static bool read_place(struct weir_span text, const char *asked, bool names, struct weir_span *host,
                       uint16_t *port)
{
    struct weir_span more = text, address = cut(&more, ','), name = cut(&more, ','),
                     bare = cut(&address, '@');

    if (bare.len > 0 && !doctor_read_address(bare, host, port))
        return false;
    if (bare.len > 0 && host->len == 0)
        *host = weir_span_str(asked);
    if (names && name.len > 0 && memchr(name.ptr, '=', name.len) == NULL)
        *host = name;
    return bare.len > 0 && host->len > 0;
}

static bool read_node(struct doctor_report *r, struct weir_span line, const char *asked, bool names)
{
    struct weir_span id = cut(&line, ' '), place = cut(&line, ' '), flags = cut(&line, ' '),
                     master = cut(&line, ' '), host;
    struct doctor_node *node;
    uint16_t port;

    for (unsigned skipped = 0; skipped < 4; skipped++) /* ping, pong, epoch, link */
        cut(&line, ' ');
    if (has_flag(flags, "noaddr") || has_flag(flags, "handshake") ||
        !read_place(place, asked, names, &host, &port))
        return true;
    node = doctor_add_node(r, host, port);
    if (node == NULL)
        return r->node_count == DOCTOR_NODES_MAX;
    node->id = weir_arena_dup(&r->arena, id).ptr;
    node->replica = has_flag(flags, "slave");
    node->master_id = node->replica ? weir_arena_dup(&r->arena, master).ptr : "";
    node->failed = has_flag(flags, "fail");
    node->suspected = has_flag(flags, "fail?");
    node->slots = count_slots(line);
    return node->id != NULL && node->master_id != NULL;
}

bool doctor_read_nodes(struct doctor_report *r, struct weir_span text, const char *asked,
                       bool names)
{
    while (text.len > 0) {
        struct weir_span line = cut_line(&text);

        if (line.len > 0 && !read_node(r, line, asked, names))
            return false;
    }
    return true;
}
