#include "weir/admin_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* False when the path would be too long for a socket. */
static bool name_place(struct weir_admin_place *p, const char *parent, const char *folder)
{
    int n = snprintf(p->folder, sizeof p->folder, "%s/%s", parent, folder);
    int m = snprintf(p->path, sizeof p->path, "%s/%s/admin.sock", parent, folder);

    return n > 0 && (size_t)n < sizeof p->folder && m > 0 && (size_t)m < sizeof p->path;
}

unsigned weir_admin_places(struct weir_admin_place place[WEIR_ADMIN_PLACES])
{
    const char *session = getenv("XDG_RUNTIME_DIR");
    char own[32];
    unsigned n = 0;

    place[n] = (struct weir_admin_place){.mode = 0755};
    n += name_place(&place[n], "/run", "weir");
    if (session != NULL && session[0] == '/') {
        place[n] = (struct weir_admin_place){.mode = 0700};
        n += name_place(&place[n], session, "weir");
    }
    snprintf(own, sizeof own, "weir-%lu", (unsigned long)geteuid());
    place[n] = (struct weir_admin_place){.mode = 0700, .ours = true};
    n += name_place(&place[n], "/tmp", own);
    return n;
}

bool weir_admin_place_fit(const struct weir_admin_place *place)
{
    struct stat st;

    /* lstat: a link that somebody laid there first leads wherever he likes. */
    if (lstat(place->folder, &st) != 0 || (place->ours && !S_ISDIR(st.st_mode)))
        return false;
    return !place->ours || (st.st_uid == geteuid() && (st.st_mode & 077) == 0);
}
