/*
 * acme_run.h - one certificate obtained by the ACME client (uacme): a folder of its own, the
 * account, then the order, each a child process with a deadline; what it leaves behind is read and
 * the folder goes.
 *
 *     idle --acme_run_start--> account ("new") --exit 0--> order ("issue") --exit 0--> over, with
 * files account, order --another exit, deadline, cancel--> over, with a reason
 *
 * The private keys lie in the folder (mode 0700, below the state directory) for that time only.
 *
 * Source: uacme(1).
 */
#ifndef ACME_RUN_H
#define ACME_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/err.h"
#include "acme_settings.h"

struct acme_run;
struct net_loop;

#define ACME_ACCOUNT_MS 60000  /* for the account */
#define ACME_ORDER_MS   300000 /* for the order: authorities take their time */

struct acme_got { /* owned by the run; PEM with a NUL; NULL in a failure */
    const char *chain, *key, *account;
};

struct acme_run_options {
    struct net_loop *loop;
    const char *folder; /* copied: ours, 0700; the client works below it, hooks find us in it */
    const char *self;   /* copied: the program that is the hook */
    /* From the loop, once; the run may be freed in it. got NULL: *why, for people. */
    void (*over)(void *arg, const struct acme_got *got, const char *why);
    void *arg;
};

struct acme_run *acme_run_new(const struct acme_run_options *o, struct weir_err *err);
/* Only when none runs. Settings are copied. account: PEM of the key, or NULL to
 * make one. false: *err, and over() is not called. */
bool acme_run_start(struct acme_run *r, const struct acme_settings *s,
                    const struct acme_certificate_settings *c, const char *account,
                    struct weir_err *err);
/* Ends what runs; over() is not called. NULL does nothing. */
void acme_run_free(struct acme_run *r);

#endif
