/*
 * ticket_ring.h - the keys of session tickets that a node holds, by period: which one issues, which
 * ones open, which are over. tls_tickets.h has the rules.
 *
 * Pure: no clock, no memory, no network. Keys that go are overwritten.
 */
#ifndef TICKET_RING_H
#define TICKET_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TICKET_KEYS_MAX 16

enum ticket_kind { TICKET_STORED, TICKET_DERIVED };

struct ticket_key {
    unsigned char name[16]; /* in the clear in each ticket; else all of it is random */
    unsigned char aes[32];  /* AES-256-CBC */
    unsigned char mac[32];  /* HMAC-SHA256 */
};

struct ticket_held {
    struct ticket_key key;
    enum ticket_kind kind;
    int64_t rotation_ms; /* length of the periods that are counted */
    uint64_t period;     /* since the epoch */
};

/* By rotation and period, of one period the stored one first. */
struct ticket_ring {
    struct ticket_held held[TICKET_KEYS_MAX];
    size_t count;
};

/* rotation_ms > 0; an instant before the epoch is in period 0. */
uint64_t ticket_period(int64_t now_ms, int64_t rotation_ms);
int64_t ticket_begins_ms(const struct ticket_held *h); /* of its period */
int64_t ticket_ends_ms(const struct ticket_held *h);   /* it opens nothing from then on */
/* In its period, or the one before, or the one after. */
bool ticket_alive(const struct ticket_held *h, int64_t now_ms);

/* Adds it, or puts it in the place of another key of its kind and period. false: it is not alive,
 * or there is no room. *changed: something is not as it was (left alone otherwise). */
bool ticket_ring_put(struct ticket_ring *r, const struct ticket_held *h, int64_t now_ms,
                     bool *changed);
/* Overwrites and drops what is not alive. true: there was some. */
bool ticket_ring_expire(struct ticket_ring *r, int64_t now_ms);
/* NULL: there is none. */
const struct ticket_held *ticket_ring_find(const struct ticket_ring *r, enum ticket_kind kind,
                                           int64_t rotation_ms, uint64_t period);
/* The one of the period that runs: stored, or else derived, or else NULL. */
const struct ticket_held *ticket_ring_issuer(const struct ticket_ring *r, int64_t rotation_ms,
                                             int64_t now_ms);
/* Overwrites all. */
void ticket_ring_clear(struct ticket_ring *r);

#endif
