#include "purge_receipt.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/members.h"
#include "weir/shared.h"

#define FIRST_MS 20  /* until they are asked again; doubled each time */
#define MOST_MS  250 /* at most */

/* A member that was seen since the beginning. */
struct node {
    char key[PURGE_NODE_MAX]; /* "id/incarnation": as it names itself in acks */
    size_t id_len;
    bool live, applied;
    int64_t ms;
};

struct purge_receipt {
    struct purge_receipt_options o;
    struct purge_watch watch;
    struct event *timer;
    int64_t until_ms, ended_ms;
    int64_t pause_ms;
    struct node *nodes;
    size_t count, cap;
    struct purge_receipt_row *rows; /* in the end */
    size_t row_count;
    bool complete;
};

static int64_t now_ms(const struct purge_receipt *r)
{
    return r->o.loop->clock->mono_ms;
}

/* ---- who ---- */

static struct node *find(struct purge_receipt *r, struct weir_span key)
{
    for (size_t i = 0; i < r->count; i++)
        if (weir_span_eq(weir_span_str(r->nodes[i].key), key))
            return &r->nodes[i];
    return NULL;
}

/* NULL without memory. */
static struct node *add(struct purge_receipt *r, const char *key, size_t id_len)
{
    size_t cap = r->cap > 0 ? r->cap * 2 : 8;
    struct node *wider;

    if (r->count == r->cap) {
        wider = weir_realloc(r->nodes, cap * sizeof *wider);
        if (wider == NULL)
            return NULL;
        r->nodes = wider;
        r->cap = cap;
    }
    r->nodes[r->count] = (struct node){.id_len = id_len};
    snprintf(r->nodes[r->count].key, sizeof r->nodes[0].key, "%s", key);
    return &r->nodes[r->count++];
}

static void has_applied(struct purge_receipt *r, struct node *n, uint64_t applied)
{
    if (n->applied || applied < r->o.id)
        return;
    n->applied = true;
    n->ms = now_ms(r) - r->o.began_ms;
}

/* One live member. false without memory: it is not known, so not all can have it. */
static bool see(struct purge_receipt *r, const struct member *m)
{
    char key[PURGE_NODE_MAX];
    int n = snprintf(key, sizeof key, "%s/%" PRIu64, m->id, m->incarnation);
    struct node *node = find(r, weir_span(key, (size_t)n));

    if (node == NULL)
        node = add(r, key, strlen(m->id));
    if (node == NULL)
        return false;
    node->live = true;
    has_applied(r, node, m->self ? r->o.id : m->brief.purges);
    return true;
}

/* As far as they were known when it was looked last. */
static bool none_waits(const struct purge_receipt *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->nodes[i].live && !r->nodes[i].applied)
            return false;
    return true;
}

/* Have all that live? */
static bool look(struct purge_receipt *r)
{
    const struct member *list;
    struct members_state state;
    bool all = true;
    size_t count;

    if (r->o.members == NULL)
        return false;
    for (size_t i = 0; i < r->count; i++)
        r->nodes[i].live = false;
    count = members_list(r->o.members, &list);
    for (size_t i = 0; i < count; i++)
        all = see(r, &list[i]) && all;
    members_state(r->o.members, &state);
    return all && state.current && none_waits(r);
}

/* ---- the end ---- */

static void make_rows(struct purge_receipt *r)
{
    r->rows = r->count > 0 ? weir_calloc(r->count, sizeof *r->rows) : NULL;
    if (r->rows == NULL)
        return;
    for (size_t i = 0; i < r->count; i++) {
        const struct node *n = &r->nodes[i];

        memcpy(r->rows[i].id, n->key, n->id_len);
        r->rows[i].applied = n->applied;
        r->rows[i].gone = !n->live && !n->applied;
        r->rows[i].ms = n->ms;
    }
    r->row_count = r->count;
}

static void end(struct purge_receipt *r, bool complete)
{
    r->ended_ms = now_ms(r);
    purge_ack_unwatch(&r->watch);
    event_del(r->timer);
    make_rows(r);
    r->complete = complete && r->rows != NULL;
    r->o.done(r, r->o.arg);
}

/* ---- hearing ---- */

static void on_heard(struct purge_watch *w, struct weir_span key, uint64_t applied)
{
    struct purge_receipt *r = WEIR_CONTAINER(w, struct purge_receipt, watch);
    struct node *n = find(r, key);

    if (n == NULL)
        return; /* it is no member yet */
    has_applied(r, n, applied);
    if (none_waits(r) && look(r))
        end(r, true);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct purge_receipt *r = arg;
    struct timeval in;
    bool all;

    (void)fd;
    (void)what;
    r->o.loop->enter(r->o.loop->arg);
    all = look(r);
    if (all || now_ms(r) >= r->until_ms) {
        end(r, all);
        return;
    }
    purge_ack_ask(r->o.feed, r->o.id);
    in = (struct timeval){r->pause_ms / 1000, r->pause_ms % 1000 * 1000};
    if (now_ms(r) + r->pause_ms > r->until_ms)
        in = (struct timeval){0, (r->until_ms - now_ms(r)) * 1000};
    event_add(r->timer, &in);
    r->pause_ms = r->pause_ms * 2 < MOST_MS ? r->pause_ms * 2 : MOST_MS;
}

/* ---- life ---- */

struct purge_receipt *purge_receipt_new(const struct purge_receipt_options *o)
{
    static const struct timeval at_once = {0, 0};
    struct purge_receipt *r = weir_calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->o = *o;
    r->watch.heard = on_heard;
    r->until_ms = now_ms(r) + o->wait_ms;
    r->pause_ms = FIRST_MS;
    r->timer = event_new(o->loop->base, -1, 0, on_timer, r);
    if (r->timer == NULL || event_add(r->timer, &at_once) != 0) {
        purge_receipt_free(r);
        return NULL;
    }
    purge_ack_watch(o->feed, &r->watch);
    return r;
}

void purge_receipt_free(struct purge_receipt *r)
{
    if (r == NULL)
        return;
    purge_ack_unwatch(&r->watch);
    if (r->timer != NULL)
        event_free(r->timer);
    weir_free(r->nodes);
    weir_free(r->rows);
    weir_free(r);
}

size_t purge_receipt_rows(const struct purge_receipt *r, const struct purge_receipt_row **out)
{
    *out = r->rows;
    return r->row_count;
}

bool purge_receipt_complete(const struct purge_receipt *r)
{
    return r->complete;
}

int64_t purge_receipt_ms(const struct purge_receipt *r)
{
    return r->ended_ms - r->o.began_ms;
}
