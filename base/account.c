#include "weir/account.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

static bool number_of(const char *text, unsigned *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    *out = (unsigned)n;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n < 0xffffffffUL;
}

bool weir_user_find(const char *text, struct weir_user *out)
{
    unsigned uid;
    const struct passwd *p = number_of(text, &uid) ? getpwuid(uid) : getpwnam(text);

    if (p == NULL)
        return false;
    out->uid = p->pw_uid;
    out->gid = p->pw_gid;
    snprintf(out->name, sizeof out->name, "%s", p->pw_name);
    return true;
}

bool weir_group_find(const char *text, gid_t *out)
{
    unsigned gid;
    const struct group *g = number_of(text, &gid) ? getgrgid(gid) : getgrnam(text);

    if (g == NULL)
        return false;
    *out = g->gr_gid;
    return true;
}
