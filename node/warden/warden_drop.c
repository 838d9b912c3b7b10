#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "warden.h"

static bool number_of(const char *text, unsigned *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    *out = (unsigned)n;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n < 0xffffffffUL;
}

bool warden_find_identity(const char *user, const char *group, struct warden_identity *out,
                          struct weir_err *err)
{
    unsigned uid, gid;
    const struct passwd *p = number_of(user, &uid) ? getpwuid(uid) : getpwnam(user);
    const struct group *g;

    if (p == NULL)
        return weir_failf(err, WEIR_E_CONFIG, "node.user", 0, "there is no user %s", user);
    out->uid = p->pw_uid;
    out->gid = p->pw_gid;
    snprintf(out->name, sizeof out->name, "%s", p->pw_name);
    if (group[0] == '\0')
        return true;
    g = number_of(group, &gid) ? getgrgid(gid) : getgrnam(group);
    if (g == NULL)
        return weir_failf(err, WEIR_E_CONFIG, "node.group", 0, "there is no group %s", group);
    out->gid = g->gr_gid;
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
