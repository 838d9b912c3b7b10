/*
 * work.h - a few threads for what blocks (name resolution, large compression); answers come back by
 * mailbox.
 */
#ifndef WEIR_WORK_H
#define WEIR_WORK_H

#include "weir/err.h"
#include "weir/mailbox.h"

struct weir_work_pool;

/* Embedded in the task. Owned by the pool from submit until done runs on `reply`'s thread. */
struct weir_work {
    struct weir_mail mail;  /* private */
    struct weir_work *next; /* private */
    struct weir_mailbox *reply;
    void (*run)(struct weir_work *w);  /* on a pool thread; may block */
    void (*done)(struct weir_work *w); /* on the thread that drains `reply`; may free w */
};

struct weir_work_pool *weir_work_pool_new(unsigned threads, struct weir_err *err);
/* Any thread; never blocks. */
void weir_work_submit(struct weir_work_pool *p, struct weir_work *w);
/* Any thread. true: it had not begun and is the caller's again, done is not called. */
bool weir_work_withdraw(struct weir_work_pool *p, struct weir_work *w);
/* Waits for what runs, drops what has not begun (their done is not called). NULL does nothing. */
void weir_work_pool_free(struct weir_work_pool *p);

#endif
