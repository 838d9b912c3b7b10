/*
 * acme_hook.h - how a challenge comes from the ACME client to the node: the client runs a program
 * for each, which is weir itself, and that one asks the node by a socket in a folder that nobody
 * else may enter.
 *
 *     weir METHOD TYPE IDENT TOKEN AUTH   with WEIR_ACME_HOOK=<folder>   (man uacme, --hook)
 *     -> "METHOD TYPE IDENT TOKEN AUTH\n"    <- "ok\n" or "no\n"
 *
 * Source: uacme(1).
 */
#ifndef ACME_HOOK_H
#define ACME_HOOK_H

#include <stdbool.h>

#include "weir/err.h"
#include "weir/span.h"

struct acme_hook;
struct net_loop;

#define ACME_HOOK_ENV "WEIR_ACME_HOOK"

/* ---- the program: from main(), before anything else ---- */

/* Exit status: 0 the node takes the challenge, 1 not. */
int acme_hook_main(int argc, char **argv, const char *folder);

/* ---- the node ---- */

struct acme_asked { /* valid until it is answered */
    bool begin;     /* else it is over */
    struct weir_span type, name, token, answer;
};

/* asked(): from the loop; answered once by acme_hook_answer(), at once or later, unless a[] is
 * gone by then (told by gone()). NULL: *err. */
struct acme_hook *acme_hook_new(struct net_loop *loop, const char *folder,
                                void (*asked)(void *arg, const struct acme_asked *q),
                                void (*gone)(void *arg), void *arg, struct weir_err *err);
void acme_hook_answer(struct acme_hook *h, bool ok);
/* Removes the socket. NULL does nothing. */
void acme_hook_free(struct acme_hook *h);

#endif
