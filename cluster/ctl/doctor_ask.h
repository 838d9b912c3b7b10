/*
 * doctor_ask.h - asks every node of a Redis for what doctor.h judges.
 */
#ifndef DOCTOR_ASK_H
#define DOCTOR_ASK_H

#include "doctor.h"
#include "redis_settings.h"
#include "weir/err.h"

struct doctor_target {
    enum doctor_role role;
    const char *const *addresses; /* "host:port" of some nodes; at least one */
    size_t address_count;
    const char *login; /* whom to log in as; NULL or "": the default user */
    const char *password;
    const char *user; /* whose rights to look at: weir's; NULL or "": the default user */
    struct redis_tls_settings tls;
};

/*
 * Fills *r, which is zero, as far as doctor_judge(). Blocks, some seconds at most; changes nothing
 * there. Borrows target. false: nobody could be asked at all, err says why; *r may be freed then as
 * always.
 */
bool doctor_ask(const struct doctor_target *target, struct doctor_report *r, struct weir_err *err);

#endif
