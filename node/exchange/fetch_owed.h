/*
 * fetch_owed.h - fetches that go on for the store although whoever asked has left, counted for the
 * connection that he asked on.
 *
 * A client that asks and leaves, again and again, shall not have more done for it at a time than
 * one connection may have (HTTP/2: rapid reset). Lists alone: nothing is allocated, nothing fails.
 */
#ifndef FETCH_OWED_H
#define FETCH_OWED_H

#include <stddef.h>
#include <stdint.h>

struct fetch_debt;

/* Of one connection; all zero: none. */
struct fetch_owed {
    struct fetch_debt *first;
    uint32_t count;
};

/* Part of a fetch; all zero: it is nobody's. */
struct fetch_debt {
    struct fetch_owed *to;
    struct fetch_debt *next, **at;
};

/* to NULL: nobody counts. */
static inline void fetch_owed_add(struct fetch_owed *to, struct fetch_debt *d)
{
    if (to == NULL || d->to != NULL)
        return;
    d->to = to;
    d->next = to->first;
    d->at = &to->first;
    if (d->next != NULL)
        d->next->at = &d->next;
    to->first = d;
    to->count++;
}

/* Harmless for one that is nobody's. */
static inline void fetch_owed_remove(struct fetch_debt *d)
{
    if (d->to == NULL)
        return;
    *d->at = d->next;
    if (d->next != NULL)
        d->next->at = d->at;
    d->to->count--;
    d->to = NULL;
}

/* The connection has gone; its fetches go on. */
static inline void fetch_owed_forget(struct fetch_owed *to)
{
    while (to->first != NULL)
        fetch_owed_remove(to->first);
}

#endif
