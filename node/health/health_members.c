#include "health_own.h"

#include "weir/alloc.h"
#include "weir/log.h"

/* ---- who is there ---- */

static bool make_room(struct health *h, size_t count)
{
    struct prober_candidate *candidates;
    struct health_member *read;

    if (count <= h->member_room)
        return true;
    count += count / 2;
    candidates = weir_realloc(h->candidates, count * sizeof *candidates);
    if (candidates == NULL)
        return false;
    h->candidates = candidates;
    read = weir_realloc(h->read, count * sizeof *read);
    if (read == NULL)
        return false;
    h->read = read;
    h->member_room = count;
    return true;
}

static bool suspects_itself(const struct health *h, const struct member *m)
{
    return m->self ? h->suspicion.suspect : (m->brief.flags & MEMBER_SUSPECT) != 0;
}

static uint64_t sign(uint64_t so_far, const struct prober_candidate *c)
{
    const uint64_t x =
        (so_far ^ c->place ^ c->incarnation << 1 ^ c->out) * UINT64_C(0x9e3779b97f4a7c15);

    return x ^ x >> 29;
}

/* Votes count if they make sense, are fresh by our own clock, and their sayer trusts himself. */
static struct weir_span votes_of(const struct member *m, bool out, int64_t now_ms)
{
    const struct weir_span none = {NULL, 0};

    if (m->self || out || now_ms - m->beat_ms > HEALTH_FRESH_MS || !votes_valid(m->brief.votes))
        return none;
    return m->brief.votes;
}

static void read_member(struct health *h, size_t i, int64_t now_ms)
{
    const struct member *m = &h->members[i];
    struct prober_candidate *c = &h->candidates[i];

    c->place = probers_place(m->id);
    c->incarnation = m->incarnation;
    c->out = suspects_itself(h, m);
    h->read[i].votes = votes_of(m, c->out, now_ms);
    if (m->self)
        h->self_place = c->place;
}

void health_members_assign(struct health *h, struct health_item *it)
{
    it->prober = false;
    probers_pick(it->check->id, h->candidates, h->member_count, &it->probers);
    for (unsigned k = 0; k < it->probers.count; k++)
        it->prober |= h->members[it->probers.at[k]].self;
}

static void assign_all(struct health *h)
{
    for (size_t i = 0; i < h->checked; i++) {
        struct health_item *it = h->by_id[i];
        const bool before = it->prober;

        health_members_assign(h, it);
        h->said_changed |= it->prober != before && it->tally.vote != HEALTH_NONE;
    }
}

static void note_lost(struct health *h, bool lost)
{
    if (h->autonomous == lost)
        return;
    h->autonomous = lost;
    h->said_changed = true;
    if (lost)
        weir_log(WEIR_LOG_WARN,
                 "health: the others cannot be heard: origins are asked from here alone, seldom "
                 "enough for %zu nodes that all do so",
                 h->last_live);
    else
        weir_log(WEIR_LOG_INFO, "health: the others are heard again");
}

bool health_members_read(struct health *h)
{
    struct members_state state;
    uint64_t signature = 1;
    size_t count;

    members_state(h->options.members, &state);
    count = members_list(h->options.members, &h->members);
    if (!make_room(h, count))
        return false;
    h->last_live = state.last_live;
    note_lost(h, state.lost);
    if (!state.current && !state.lost)
        count = 0; /* the start: whose turn it is, is not known yet */
    for (size_t i = 0; i < count; i++) {
        read_member(h, i, health_now_ms(h));
        signature = sign(signature, &h->candidates[i]);
    }
    h->member_count = count;
    if (signature != h->signature) {
        h->signature = signature;
        assign_all(h);
    }
    return true;
}

void health_members_forget(struct health *h)
{
    h->members = NULL;
}
