/*
 * net_owner.h - to whom the file of a Unix socket belongs.
 */
#ifndef NET_OWNER_H
#define NET_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "net_helper.h"
#include "weir/err.h"

struct net_owner {
    uid_t uid; /* (uid_t)-1: stays whose it is */
    gid_t gid; /* likewise */
};

/* user, group: names or numbers; NULL or "": stays. false: there is none such, *err. */
bool net_owner_find(const char *user, const char *group, struct net_owner *out,
                    struct weir_err *err);
/* Gives the socket at `path` away: by this process or, when it may not, by the helper (NULL:
 * nobody). false: *err names path, user and group. */
bool net_owner_give(const char *path, const char *user, const char *group,
                    const struct net_helper *helper, struct weir_err *err);

#endif
