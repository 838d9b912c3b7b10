#include "admin_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "weir/log.h"
#include "weir/span.h"
#include "net_owner.h"

#define BACKLOG    64
#define LOCK_TRIES 50
#define LOCK_WAIT  10000000 /* ns */

static const char where[] = "admin: socket";

static bool failed(struct weir_err *err, const char *path, const char *what, int os)
{
    return weir_failf(err, WEIR_E_LISTEN, where, os, "%s: %s", path, what);
}

/*
 * Two nodes that start at once must not both find a stale file and replace it, the second one that
 * of the first: who looks and makes holds the folder's lock. Returns the folder, or -1.
 */
static int lock_folder(const char *path)
{
    char folder[WEIR_ADMIN_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == path ? 1 : (size_t)(slash - path);
    int fd;

    memcpy(folder, path, len);
    folder[len] = '\0';
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        struct timespec wait = {0, LOCK_WAIT};

        if (i == LOCK_TRIES) {
            close(fd);
            errno = EWOULDBLOCK;
            return -1;
        }
        nanosleep(&wait, NULL);
    }
    return fd;
}

static void address_of(const char *path, struct sockaddr_un *a)
{
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    memcpy(a->sun_path, path, strlen(path) + 1);
}

/* Only a refusal proves that nobody is there. */
static bool answers(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused =
        fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof *a) != 0 && errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return !refused;
}

static bool clear_stale(const struct sockaddr_un *a, struct weir_err *err)
{
    struct stat st;

    if (lstat(a->sun_path, &st) != 0)
        return errno == ENOENT || failed(err, a->sun_path, "stat", errno);
    if (!S_ISSOCK(st.st_mode))
        return failed(err, a->sun_path, "there is something else than a socket", EEXIST);
    if (answers(a))
        return failed(err, a->sun_path, "another node listens there", EADDRINUSE);
    return unlink(a->sun_path) == 0 || failed(err, a->sun_path, "remove the old one", errno);
}

/* How a socket is made. */
struct manner {
    const struct admin_settings *settings;
    const struct net_helper *helper;
};

/* Before anybody can connect: bound but not listening refuses. */
static bool bind_and_listen(struct admin_socket *s, const struct sockaddr_un *a,
                            const struct manner *m, struct weir_err *err)
{
    struct stat st;

    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return failed(err, a->sun_path, "socket", errno);
    if (bind(s->fd, (const struct sockaddr *)a, sizeof *a) != 0) {
        failed(err, a->sun_path, "bind", errno);
        goto fail;
    }
    if (chmod(a->sun_path, m->settings->mode) != 0) {
        failed(err, a->sun_path, "mode", errno);
        goto remove;
    }
    if (!net_owner_give(a->sun_path, m->settings->user, m->settings->group, m->helper, err))
        goto remove;
    if (lstat(a->sun_path, &st) != 0 || listen(s->fd, BACKLOG) != 0) {
        failed(err, a->sun_path, "listen", errno);
        goto remove;
    }
    s->device = st.st_dev;
    s->inode = st.st_ino;
    s->changed = st.st_ctim;
    return true;
remove:
    unlink(a->sun_path);
fail:
    close(s->fd);
    s->fd = -1;
    return false;
}

static bool open_path(struct admin_socket *s, const char *path, const struct manner *m,
                      struct weir_err *err)
{
    struct sockaddr_un a;
    size_t len = strlen(path);
    bool ok;
    int lock;

    if (path[0] != '/' || len >= sizeof s->path)
        return failed(err, path, "expected a path that begins with / and is short enough", 0);
    memcpy(s->path, path, len + 1);
    address_of(path, &a);
    lock = lock_folder(path);
    if (lock < 0)
        return failed(err, path, "the folder", errno);
    ok = clear_stale(&a, err) && bind_and_listen(s, &a, m, err);
    close(lock);
    return ok;
}

/* Can this user make a socket there? Makes the folder if it is missing. */
static bool usable(const struct weir_admin_place *p)
{
    if (mkdir(p->folder, p->mode) != 0 && errno != EEXIST)
        return false;
    return weir_admin_place_fit(p) && access(p->folder, W_OK | X_OK) == 0;
}

static void open_somewhere(struct admin_socket *s, const struct manner *m)
{
    struct weir_admin_place place[WEIR_ADMIN_PLACES];
    unsigned n = weir_admin_places(place);
    struct weir_err err = {0};

    for (unsigned i = 0; i < n; i++) {
        if (!usable(&place[i]))
            continue;
        if (!open_path(s, place[i].path, m, &err))
            weir_log_err(WEIR_LOG_WARN, "no admin socket", &err);
        return;
    }
    weir_log(WEIR_LOG_WARN, "no admin socket: this user may make one nowhere; see admin.socket");
}

bool admin_socket_open(struct admin_socket *s, const struct admin_settings *settings,
                       const struct net_helper *helper, struct weir_err *err)
{
    const struct manner m = {settings, helper};

    s->fd = -1;
    s->path[0] = '\0';
    if (strcmp(settings->socket, "off") == 0)
        return true;
    if (strcmp(settings->socket, "auto") == 0)
        open_somewhere(s, &m);
    else if (!open_path(s, settings->socket, &m, err))
        return false;
    if (s->fd >= 0)
        weir_log(WEIR_LOG_INFO, "admin socket at %s", s->path);
    return true;
}

bool admin_socket_is(const struct admin_socket *s, const struct admin_settings *settings)
{
    struct weir_admin_place place[WEIR_ADMIN_PLACES];

    if (s->fd < 0)
        return false;
    if (strcmp(settings->socket, "auto") != 0)
        return strcmp(settings->socket, s->path) == 0;
    for (unsigned i = weir_admin_places(place); i-- > 0;)
        if (strcmp(place[i].path, s->path) == 0)
            return true;
    return false;
}

/* Is the file at the path still the one we made? */
static bool is_ours(const struct admin_socket *s)
{
    struct stat st;

    return lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode &&
           st.st_ctim.tv_sec == s->changed.tv_sec && st.st_ctim.tv_nsec == s->changed.tv_nsec;
}

void admin_socket_mode(struct admin_socket *s, mode_t mode)
{
    struct stat st;

    if (!is_ours(s) || (lstat(s->path, &st) == 0 && (st.st_mode & 07777) == mode))
        return; /* who has given it to somebody may not change it, but need not */
    if (chmod(s->path, mode) != 0)
        weir_log(WEIR_LOG_WARN, "the mode of %s cannot be changed", s->path);
    else if (lstat(s->path, &st) == 0)
        s->changed = st.st_ctim;
}

void admin_socket_close(struct admin_socket *s)
{
    if (s->fd < 0)
        return;
    close(s->fd);
    s->fd = -1;
    if (is_ours(s))
        unlink(s->path);
}
