#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/members.h"
#include "admin.h"
#include "admin_endpoints.h"
#include "admin_state.h"
#include "admin_views.h"
#include "farm_judgement.h"
#include "net_loop.h"

#define WAIT_MS     500
#define RECORDS_MAX 500 /* that are read; the others are shown by their briefs */
#define ORIGINS_MAX 100

/* One other node: its brief as it was when we asked, and its record when it comes. */
struct node {
    struct shared_call call;
    struct looking *looking;
    char id[MEMBER_ID_MAX + 1];
    uint64_t incarnation, config, purges;
    uint32_t flags;
    bool self, twin, asked;
    int64_t beat_ms;
    json_t *record; /* NULL: none */
};

/* One who wants to see the farm. */
struct looking {
    struct admin_later later;
    struct net_timer deadline;
    size_t count, pending;
    struct node node[];
};

static void end(struct looking *l)
{
    struct shared_port *port = l->later.request.source->shared;

    net_timer_stop(l->later.request.source->loop, &l->deadline);
    for (size_t i = 0; i < l->count; i++) {
        if (l->node[i].asked)
            shared_cancel(port, &l->node[i].call);
        json_decref(l->node[i].record);
    }
    weir_free(l);
}

static void on_cancel(struct admin_later *later)
{
    end(WEIR_CONTAINER(later, struct looking, later));
}

/* ---- one node ---- */

static void put_brief(struct admin_request *r, json_t *o, const struct node *n)
{
    admin_put_text(r, o, "id", n->id);
    admin_put_hex(r, o, "incarnation", n->incarnation);
    admin_put_bool(r, o, "ready", (n->flags & MEMBER_READY) != 0);
    admin_put_bool(r, o, "draining", (n->flags & MEMBER_DRAINING) != 0);
    admin_put_bool(r, o, "suspect", (n->flags & MEMBER_SUSPECT) != 0);
    admin_put_bool(r, o, "autonomous", (n->flags & MEMBER_AUTONOMOUS) != 0);
}

/* What the brief says is newer than what the record says. */
static json_t *inner(struct admin_request *r, json_t *o, const char *name)
{
    json_t *found = json_object_get(o, name);

    return json_is_object(found) ? found : admin_put_object(r, o, name);
}

static void put_newer(struct admin_request *r, json_t *o, const struct node *n)
{
    put_brief(r, o, n);
    admin_put_hex(r, inner(r, o, "config"), "hash", n->config);
    admin_put(r, inner(r, o, "purges"), "applied",
              n->purges != 0 ? json_integer((json_int_t)n->purges) : json_null());
}

static json_t *node_of(struct admin_request *r, const struct node *n)
{
    json_t *o = n->self             ? admin_view_node(r, ORIGINS_MAX)
                : n->record != NULL ? json_incref(n->record)
                                    : json_object();

    if (!n->self)
        put_newer(r, o, n);
    admin_put_bool(r, o, "self", n->self);
    admin_put_bool(r, o, "twin", n->twin);
    admin_put_int(r, o, "beat_ms", n->beat_ms);
    admin_put_text(r, o, "record", n->self || n->record != NULL ? "fresh" : "missing");
    return o;
}

/* ---- the whole ---- */

static void put_missing(struct admin_request *r, json_t *members)
{
    json_t *list = admin_put_array(r, members, "missing");
    const struct known_node *gone;

    for (size_t i = 0; (gone = known_nodes_missing(&r->state->known, i)) != NULL; i++) {
        json_t *o = json_object();

        admin_put_text(r, o, "id", gone->id);
        admin_put_int(r, o, "since_s", (r->source->loop->clock.mono_ms - gone->seen_ms) / 1000);
        admin_append(r, list, o);
    }
}

static void put_members(struct admin_request *r, json_t *out)
{
    struct members_state s = {.current = true, .last_live = 1};
    json_t *o = admin_put_object(r, out, "members");

    if (r->source->members != NULL)
        members_state(r->source->members, &s);
    admin_put_bool(r, o, "current", s.current);
    admin_put_bool(r, o, "lost", s.lost);
    admin_put_int(r, o, "live",
                  r->source->members != NULL ? (int64_t)members_live(r->source->members) : 1);
    admin_put_int(r, o, "last_live", (int64_t)s.last_live);
    admin_put(r, o, "contact_ms", s.contact_ms >= 0 ? json_integer(s.contact_ms) : json_null());
    admin_put_int(r, o, "skew_ms", s.skew_ms);
    put_missing(r, o);
    admin_put_int(r, o, "forged", (int64_t)s.forged);
    admin_put_int(r, o, "stale", (int64_t)s.stale);
    admin_put_int(r, o, "foreign", (int64_t)s.foreign);
}

static void tell(struct looking *l)
{
    struct admin_request *r = &l->later.request;
    json_t *out = json_object(), *nodes;

    admin_put_text(r, out, "farm", r->source->farm_name);
    admin_put_text(r, out, "asked", l->count > 0 ? l->node[0].id : "");
    put_members(r, out);
    nodes = admin_put_array(r, out, "nodes");
    for (size_t i = 0; i < l->count; i++)
        admin_append(r, nodes, node_of(r, &l->node[i]));
    admin_put(r, out, "origins", admin_view_origins(r));
    admin_put(r, out, "words", admin_view_words(r));
    admin_put(r, out, "words_state", admin_view_words_state(r));
    admin_put(r, out, "redis", admin_view_redis(r));
    if (!r->failed && !farm_judge(out))
        r->failed = true;
    admin_answer(r, 200, out);
    admin_later_end(&l->later);
    end(l);
}

/* ---- asking ---- */

static void on_record(struct shared_call *c)
{
    struct node *n = WEIR_CONTAINER(c, struct node, call);
    struct looking *l = n->looking;
    const struct members *m = l->later.request.source->members;
    struct weir_span json;

    net_loop_enter(l->later.request.source->loop);
    n->asked = false;
    if (members_record_json(m, c, n->id, n->incarnation, &json))
        n->record = json_loadb(json.ptr, json.len, 0, NULL);
    if (!json_is_object(n->record)) {
        json_decref(n->record);
        n->record = NULL;
    }
    shared_call_clear(c);
    if (--l->pending == 0)
        tell(l);
}

static void on_deadline(struct net_timer *t)
{
    tell(WEIR_CONTAINER(t, struct looking, deadline));
}

static void copy_brief(struct node *n, const struct member *m, int64_t now_ms)
{
    strncpy(n->id, m->id, MEMBER_ID_MAX);
    n->incarnation = m->incarnation;
    n->flags = m->brief.flags;
    n->config = m->brief.config;
    n->purges = m->brief.purges;
    n->self = m->self;
    n->twin = m->twin;
    n->beat_ms = now_ms > m->beat_ms ? now_ms - m->beat_ms : 0;
}

static void ask_all(struct looking *l)
{
    struct members *m = l->later.request.source->members;

    for (size_t i = 0; i < l->count && l->pending < RECORDS_MAX; i++) {
        struct node *n = &l->node[i];

        if (n->self)
            continue;
        n->asked = true;
        n->call.done = on_record;
        n->call.area = SHARED_STATE;
        n->call.timeout_ms = WAIT_MS - 50;
        l->pending++;
        members_record(m, &n->call, n->id, n->incarnation);
    }
}

void admin_farm(struct admin_request *r)
{
    struct net_loop *loop = r->source->loop;
    const struct member *list = NULL;
    size_t n = r->source->members != NULL ? members_list(r->source->members, &list) : 0;
    struct looking *l = weir_calloc(1, sizeof *l + n * sizeof l->node[0]);

    if (l == NULL) {
        admin_refuse(r, 503, "out of memory");
        return;
    }
    l->count = n;
    for (size_t i = 0; i < n; i++) {
        copy_brief(&l->node[i], &list[i], loop->clock.mono_ms);
        l->node[i].looking = l;
    }
    admin_defer(r, &l->later, on_cancel);
    ask_all(l);
    l->deadline.fire = on_deadline;
    if (l->pending > 0)
        net_timer_start(loop, &l->deadline, loop->clock.mono_ms + WAIT_MS);
    else
        tell(l);
}
