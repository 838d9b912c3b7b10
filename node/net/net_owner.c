#include "net_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "weir/account.h"

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

bool net_owner_find(const char *user, const char *group, struct net_owner *out,
                    struct weir_err *err)
{
    struct weir_user found;

    *out = (struct net_owner){(uid_t)-1, (gid_t)-1};
    if (is_set(user)) {
        if (!weir_user_find(user, &found))
            return weir_failf(err, WEIR_E_CONFIG, "socket: user", 0, "there is no user %s", user);
        out->uid = found.uid;
    }
    if (is_set(group) && !weir_group_find(group, &out->gid))
        return weir_failf(err, WEIR_E_CONFIG, "socket: group", 0, "there is no group %s", group);
    return true;
}

/* The file that was opened, whatever its name leads to by now. */
static bool give(int file, const struct net_owner *o, const struct net_helper *helper)
{
    if (fchownat(file, "", o->uid, o->gid, AT_EMPTY_PATH) == 0)
        return true;
    return errno == EPERM && helper != NULL && helper->own(helper->arg, file, o->uid, o->gid) == 0;
}

bool net_owner_give(const char *path, const char *user, const char *group,
                    const struct net_helper *helper, struct weir_err *err)
{
    struct net_owner o;
    int file;
    bool ok;

    if (!net_owner_find(user, group, &o, err))
        return false;
    if (o.uid == (uid_t)-1 && o.gid == (gid_t)-1)
        return true;
    file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    ok = file >= 0 && give(file, &o, helper);
    if (!ok)
        weir_failf(err, WEIR_E_LISTEN, "socket: owner", errno, "%s: cannot be given to %s%s%s",
                   path, is_set(user) ? user : "", is_set(group) ? ":" : "",
                   is_set(group) ? group : "");
    if (file >= 0)
        close(file);
    return ok;
}
