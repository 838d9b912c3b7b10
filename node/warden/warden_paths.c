#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "weir/alloc.h"
#include "warden_own.h"

/* In a folder like /tmp, what is root's stays where it is. */
static bool is_roots(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && st.st_uid == 0 &&
           (S_ISLNK(st.st_mode) || (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 ||
            (S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX) != 0));
}

bool warden_way_is_roots(const char *path)
{
    char *real = realpath(path, NULL);
    bool ok = real != NULL && is_roots("/");

    for (char *at = real; ok && at != NULL && at[1] != '\0';) {
        char *slash = strchr(at + 1, '/');

        if (slash != NULL)
            *slash = '\0';
        ok = is_roots(real);
        if (slash != NULL)
            *slash = '/';
        at = slash;
    }
    free(real);
    return ok;
}

/* No "..", ".", or empty step: what is compared is what is opened. */
static bool is_plain(const char *path)
{
    for (const char *at = path; at != NULL && *at != '\0'; at = strchr(at + 1, '/')) {
        size_t len = strcspn(at + 1, "/");

        if (at[0] != '/' || len == 0 || (len == 1 && at[1] == '.') ||
            (len == 2 && at[1] == '.' && at[2] == '.'))
            return false;
    }
    return path[0] == '/';
}

bool warden_may_open(const struct warden_paths *paths, const char *path)
{
    if (!is_plain(path))
        return false;
    for (size_t i = 0; i < paths->count; i++) {
        size_t len = strlen(paths->folders[i]);

        if (strncmp(path, paths->folders[i], len) == 0 && (path[len] == '/' || path[len] == '\0'))
            return warden_way_is_roots(path); /* as it is now */
    }
    return false;
}
