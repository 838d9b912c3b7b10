/*
 * mailbox.h - how threads talk to a loop: many senders, one receiver, no allocation, no lock.
 *
 * A mail is embedded in what it is about. It belongs to the mailbox from post until its
 * function is called on the receiver's thread; posting it again before that is a bug (assert).
 * Mails posted by one thread arrive in the order they were posted.
 */
#ifndef WEIR_MAILBOX_H
#define WEIR_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

#include "weir/err.h"

struct weir_mail {
    struct weir_mail *next;
    void (*run)(struct weir_mail *mail); /* on the receiver; may free the mail */
    atomic_bool posted;
};

struct weir_mailbox {
    _Atomic(struct weir_mail *) head; /* newest first; reversed by the receiver */
    int fd;                           /* eventfd, readable when there is mail */
};

bool weir_mailbox_init(struct weir_mailbox *m, struct weir_err *err);
void weir_mailbox_close(struct weir_mailbox *m);
/* Any thread. One eventfd write when the box was empty, else none. */
void weir_mailbox_post(struct weir_mailbox *m, struct weir_mail *mail);
/* Receiver only, when fd is readable: clears fd, then runs every mail posted before the call. */
void weir_mailbox_drain(struct weir_mailbox *m);

#endif
