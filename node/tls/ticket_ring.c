#include "ticket_ring.h"

#include <string.h>

uint64_t ticket_period(int64_t now_ms, int64_t rotation_ms)
{
    return now_ms > 0 ? (uint64_t)(now_ms / rotation_ms) : 0;
}

int64_t ticket_begins_ms(const struct ticket_held *h)
{
    return (int64_t)h->period * h->rotation_ms;
}

int64_t ticket_ends_ms(const struct ticket_held *h)
{
    return ((int64_t)h->period + 2) * h->rotation_ms;
}

bool ticket_alive(const struct ticket_held *h, int64_t now_ms)
{
    uint64_t now = ticket_period(now_ms, h->rotation_ms);

    return h->period <= now + 1 && now <= h->period + 1;
}

static int compare(const struct ticket_held *a, const struct ticket_held *b)
{
    if (a->rotation_ms != b->rotation_ms)
        return a->rotation_ms < b->rotation_ms ? -1 : 1;
    if (a->period != b->period)
        return a->period < b->period ? -1 : 1;
    return (a->kind > b->kind) - (a->kind < b->kind);
}

bool ticket_ring_put(struct ticket_ring *r, const struct ticket_held *h, int64_t now_ms,
                     bool *changed)
{
    size_t at = 0;

    if (!ticket_alive(h, now_ms))
        return false;
    while (at < r->count && compare(&r->held[at], h) < 0)
        at++;
    if (at < r->count && compare(&r->held[at], h) == 0) {
        if (memcmp(&r->held[at].key, &h->key, sizeof h->key) == 0)
            return true;
    } else {
        if (r->count == TICKET_KEYS_MAX)
            return false;
        memmove(&r->held[at + 1], &r->held[at], (r->count - at) * sizeof r->held[0]);
        r->count++;
    }
    r->held[at] = *h;
    *changed = true;
    return true;
}

bool ticket_ring_expire(struct ticket_ring *r, int64_t now_ms)
{
    size_t kept = 0, before = r->count;

    for (size_t i = 0; i < before; i++)
        if (ticket_alive(&r->held[i], now_ms))
            r->held[kept++] = r->held[i];
    explicit_bzero(&r->held[kept], (before - kept) * sizeof r->held[0]);
    r->count = kept;
    return kept != before;
}

const struct ticket_held *ticket_ring_find(const struct ticket_ring *r, enum ticket_kind kind,
                                           int64_t rotation_ms, uint64_t period)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->held[i].kind == kind && r->held[i].rotation_ms == rotation_ms &&
            r->held[i].period == period)
            return &r->held[i];
    return NULL;
}

const struct ticket_held *ticket_ring_issuer(const struct ticket_ring *r, int64_t rotation_ms,
                                             int64_t now_ms)
{
    uint64_t period = ticket_period(now_ms, rotation_ms);
    const struct ticket_held *stored = ticket_ring_find(r, TICKET_STORED, rotation_ms, period);

    return stored != NULL ? stored : ticket_ring_find(r, TICKET_DERIVED, rotation_ms, period);
}

void ticket_ring_clear(struct ticket_ring *r)
{
    explicit_bzero(r, sizeof *r);
}
