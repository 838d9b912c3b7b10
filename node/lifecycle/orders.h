/*
 * orders.h - which of the operators' words (weir/words.h) this node is to carry out, and whether
 * one keeps it unready.
 *
 * An order, to reload or to drain, is carried out once, by a process that was up when it was said:
 * a node that is started again serves. What is to hold over restarts is a state: UNREADY.
 *
 * Numbers of words are milliseconds of the shared clock. Until somebody knows where that clock was
 * when this process started (orders_begin), nothing is carried out: a host whose clock is wrong
 * must not take an old order for a new one.
 *
 * `words` are those of words_list(). Pure.
 */
#ifndef ORDERS_H
#define ORDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/words.h"

struct orders {
    uint64_t since; /* nothing up to it is carried out; 0: not known yet */
};

/* The process started at this instant of the shared clock (ms). Only the first call counts. */
void orders_begin(struct orders *o, uint64_t started);

struct order {
    enum word_kind kind; /* NOTHING: there is none; else RELOAD or DRAIN */
    uint64_t number;
};

/* The newest order to node `id` that is not carried out yet, and with it all before it: they are
 * done then. Of a drain and a reload it is the drain, whichever came last. */
struct order orders_take(struct orders *o, const struct word *words, size_t count, const char *id);

/* A word says that node `id` is to be unready. */
bool orders_unready(const struct word *words, size_t count, const char *id);

#endif
