#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "weir/account.h"
#include "warden.h"

bool warden_find_identity(const char *user, const char *group, struct warden_identity *out,
                          struct weir_err *err)
{
    struct weir_user found;

    if (!weir_user_find(user, &found))
        return weir_failf(err, WEIR_E_CONFIG, "node.user", 0, "there is no user %s", user);
    out->uid = found.uid;
    out->gid = found.gid;
    snprintf(out->name, sizeof out->name, "%s", found.name);
    if (group[0] != '\0' && !weir_group_find(group, &out->gid))
        return weir_failf(err, WEIR_E_CONFIG, "node.group", 0, "there is no group %s", group);
    return true;
}

bool warden_drop(const struct warden_identity *id, struct weir_err *err)
{
    if (initgroups(id->name, id->gid) != 0 || setresgid(id->gid, id->gid, id->gid) != 0 ||
        setresuid(id->uid, id->uid, id->uid) != 0)
        return weir_failf(err, WEIR_E_INTERNAL, "privileges", errno, "cannot become %s", id->name);
    /* What cannot be had back is gone. */
    if (id->uid != 0 && (setuid(0) == 0 || geteuid() != id->uid))
        return weir_failf(err, WEIR_E_INTERNAL, "privileges", 0, "they were not given up");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return weir_fail(err, WEIR_E_INTERNAL, "privileges: no_new_privs", errno);
    return true;
}

void warden_hide_memory(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* its leak check attaches to the process */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}
