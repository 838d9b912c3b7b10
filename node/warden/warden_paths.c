#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "warden_own.h"

#define LINKS_MAX 40 /* as the kernel follows */

/* In a folder like /tmp, what is root's stays where it is. Who may change a link is said by its
 * folder. */
static bool is_roots(const struct stat *st)
{
    return st->st_uid == 0 && (S_ISLNK(st->st_mode) || (st->st_mode & (S_IWGRP | S_IWOTH)) == 0 ||
                               (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0));
}

/* A way that is walked: where it has got to, and what is left of it. */
struct walk {
    int at;
    unsigned links;
    char rest[PATH_MAX];
};

/* Takes fd. */
static void go(struct walk *w, int fd)
{
    if (w->at >= 0)
        close(w->at);
    w->at = fd;
}

/* The first step of the rest, taken off it; "": there is none. */
static void next_step(struct walk *w, char step[NAME_MAX + 1])
{
    const char *from = w->rest + strspn(w->rest, "/");
    size_t len = strcspn(from, "/");

    snprintf(step, NAME_MAX + 1, "%.*s", (int)(len < NAME_MAX ? len : NAME_MAX), from);
    memmove(w->rest, from + len, strlen(from + len) + 1);
}

/* The link's target goes before the rest. 0 or errno. */
static int follow(struct walk *w, int link)
{
    char way[PATH_MAX];
    ssize_t n = readlinkat(link, "", way, sizeof way - 1);
    size_t rest = strlen(w->rest);

    if (n < 0)
        return errno;
    if (++w->links > LINKS_MAX || (size_t)n + rest + 1 >= sizeof w->rest)
        return ELOOP;
    memmove(w->rest + n, w->rest, rest + 1); /* it begins with '/', or is empty */
    memcpy(w->rest, way, (size_t)n);
    if (way[0] == '/')
        go(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    return w->at >= 0 ? 0 : errno;
}

/* One step, of which nobody but root may change anything. 0 or errno. */
static int take(struct walk *w, const char *step)
{
    int fd = openat(w->at, step, O_PATH | O_NOFOLLOW | O_CLOEXEC), error = 0;
    struct stat st;

    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0 || !is_roots(&st))
        error = EACCES;
    else if (S_ISLNK(st.st_mode))
        error = follow(w, fd);
    else {
        go(w, fd);
        return 0;
    }
    close(fd);
    return error;
}

int warden_walk(const char *path)
{
    struct walk w = {.at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
    char step[NAME_MAX + 1];
    struct stat st;
    int error = w.at < 0 || fstat(w.at, &st) != 0 ? errno : is_roots(&st) ? 0 : EACCES;

    if (path[0] != '/' || strlen(path) >= sizeof w.rest)
        error = EACCES;
    else
        memcpy(w.rest, path, strlen(path) + 1);
    while (error == 0) {
        next_step(&w, step);
        if (step[0] == '\0')
            return w.at;
        error = take(&w, step);
    }
    go(&w, -1);
    errno = error;
    return -1;
}

bool warden_way_is_roots(const char *path)
{
    int fd = warden_walk(path);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* No "..", ".", or empty step: what is compared is what is opened. */
static bool is_plain(const char *path)
{
    const char *at = path;

    while (*at == '/') {
        size_t len = strcspn(++at, "/");

        if (len == 0 || (len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at += len;
    }
    return at != path && *at == '\0';
}

bool warden_may_open(const struct warden_paths *paths, const char *path)
{
    if (!is_plain(path))
        return false;
    for (size_t i = 0; i < paths->count; i++) {
        size_t len = strlen(paths->folders[i]);

        if (strncmp(path, paths->folders[i], len) == 0 && (path[len] == '/' || path[len] == '\0'))
            return true;
    }
    return false;
}
