/*
 * account.h - users and groups of the system, by name or number.
 */
#ifndef WEIR_ACCOUNT_H
#define WEIR_ACCOUNT_H

#include <stdbool.h>
#include <sys/types.h>

struct weir_user {
    uid_t uid;
    gid_t gid; /* its own group */
    char name[64];
};

/* false: there is none. They ask the system's databases, which may read files: not on a worker. */
bool weir_user_find(const char *text, struct weir_user *out);
bool weir_group_find(const char *text, gid_t *out);

#endif
