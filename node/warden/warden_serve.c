/* The warden's side. Runs as root: read every line of it twice. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "warden_own.h"

/* What the walk has found is what is read, whatever its name leads to by now. */
static int reopen(int found)
{
    char name[32];

    snprintf(name, sizeof name, "/proc/self/fd/%d", found);
    return open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static int open_file(const struct warden_paths *paths, const struct warden_request *r, int *fd)
{
    struct stat st;
    int found, error = EACCES;

    if (r->len == 0 || r->bytes[r->len - 1] != '\0' || strlen(r->bytes) != r->len - 1)
        return EINVAL;
    if (!warden_may_open(paths, r->bytes))
        return EACCES;
    found = warden_walk(r->bytes);
    if (found < 0)
        return errno;
    if (fstat(found, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
        *fd = reopen(found);
        error = *fd < 0 ? errno : 0;
    }
    close(found);
    return error;
}

static int bind_socket(const struct warden_request *r, int fd)
{
    struct sockaddr_storage addr = {0};
    int type = 0;
    socklen_t size = sizeof type;

    if (fd < 0 || r->len > sizeof addr || r->len < sizeof(struct sockaddr_in) ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM)
        return EINVAL;
    memcpy(&addr, r->bytes, r->len);
    if (addr.ss_family != AF_INET && addr.ss_family != AF_INET6)
        return EINVAL;
    return bind(fd, (const struct sockaddr *)&addr, r->len) == 0 ? 0 : errno;
}

/* A socket of the node's own, to somebody who was named: nothing it could not let them do. */
static int give_socket(const struct warden_paths *allowed, const struct warden_request *r, int file)
{
    struct warden_owner o;
    struct stat st;

    if (r->len != sizeof o || file < 0 || fstat(file, &st) != 0)
        return EINVAL;
    if (!S_ISSOCK(st.st_mode) || st.st_uid != allowed->node)
        return EPERM;
    memcpy(&o, r->bytes, sizeof o);
    for (size_t i = 0; i < allowed->owner_count; i++)
        if (allowed->owners[i].uid == o.uid && allowed->owners[i].gid == o.gid)
            return fchownat(file, "", o.uid, o.gid, AT_EMPTY_PATH) == 0 ? 0 : errno;
    return EPERM;
}

static bool is_whole(const struct warden_request *r, size_t len)
{
    const size_t head = offsetof(struct warden_request, bytes);

    return len >= head && r->len == len - head;
}

_Noreturn void warden_serve(int sock, const struct warden_paths *paths)
{
    static struct warden_request r; /* a process of its own, with one thread */

    for (;;) {
        struct warden_packet in = {&r, sizeof r, -1};
        struct warden_answer answer = {EINVAL};
        struct warden_packet out = {&answer, sizeof answer, -1};

        if (!warden_receive(sock, &in))
            _exit(0); /* the node is gone */
        if (is_whole(&r, in.len) && r.verb == WARDEN_OPEN)
            answer.error = open_file(paths, &r, &out.fd);
        else if (is_whole(&r, in.len) && r.verb == WARDEN_BIND)
            answer.error = bind_socket(&r, in.fd);
        else if (is_whole(&r, in.len) && r.verb == WARDEN_OWN)
            answer.error = give_socket(paths, &r, in.fd);
        if (in.fd >= 0)
            close(in.fd);
        if (!warden_send(sock, &out))
            _exit(0);
        if (out.fd >= 0)
            close(out.fd);
    }
}
