#include "ctl_find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S 10

static const char where[] = "weirctl: connect";

static int connect_to(const char *path, struct weir_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval timeout = {TIMEOUT_S, 0};
    size_t len = strlen(path);
    int fd;

    if (len == 0 || len >= sizeof a.sun_path) {
        weir_failf(err, WEIR_E_FILE, where, 0, "%s: no path of a socket", path);
        return -1;
    }
    memcpy(a.sun_path, path, len + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        return fd;
    }
    weir_failf(err, WEIR_E_FILE, where, errno, "%s", path);
    if (fd >= 0)
        close(fd);
    return -1;
}

static int connect_somewhere(char path[WEIR_ADMIN_PATH_MAX], struct weir_err *err)
{
    struct weir_admin_place place[WEIR_ADMIN_PLACES];
    unsigned n = weir_admin_places(place);
    struct weir_err denied = {0};

    for (unsigned i = 0; i < n; i++) {
        struct weir_err one = {0};
        int fd = -1;

        if (weir_admin_place_fit(&place[i]))
            fd = connect_to(place[i].path, &one);
        if (fd >= 0) {
            memcpy(path, place[i].path, WEIR_ADMIN_PATH_MAX);
            return fd;
        }
        if (one.os == EACCES || one.os == EPERM)
            denied = one; /* says more than that there is none elsewhere */
    }
    if (denied.code != WEIR_OK)
        *err = denied;
    else
        weir_failf(err, WEIR_E_FILE, where, 0,
                   "no node found: looked for %s and %s; use --socket or WEIR_SOCKET",
                   place[0].path, place[n - 1].path);
    return -1;
}

int ctl_connect(const char *named, char path[WEIR_ADMIN_PATH_MAX], struct weir_err *err)
{
    if (named == NULL)
        named = getenv("WEIR_SOCKET");
    if (named == NULL || named[0] == '\0')
        return connect_somewhere(path, err);
    path[0] = '\0';
    strncat(path, named, WEIR_ADMIN_PATH_MAX - 1);
    return connect_to(named, err);
}
