#include "weir/keepfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weir/alloc.h"

/* ---- reading ---- */

static bool read_all(int fd, char *text, size_t size, size_t *len)
{
    ssize_t got = 0;

    while (*len < size && (got = read(fd, text + *len, size - *len)) != 0) {
        if (got < 0 && errno != EINTR)
            return false;
        if (got > 0)
            *len += (size_t)got;
    }
    return true;
}

bool weir_keepfile_read(const char *path, size_t max, char **text, size_t *len,
                        struct weir_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* nor wait at a FIFO */
    struct stat st;
    bool ok = false;

    *text = NULL;
    *len = 0;
    if (fd < 0)
        return errno == ENOENT || weir_failf(err, WEIR_E_FILE, "file: open", errno, "%.120s", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uintmax_t)st.st_size > max) {
        weir_failf(err, WEIR_E_FILE, "file: read", 0, "%.100s is no file, or too large", path);
        goto out;
    }
    *text = weir_malloc((size_t)st.st_size + 1);
    if (*text == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "file: read", 0);
        goto out;
    }
    ok = read_all(fd, *text, (size_t)st.st_size, len) ||
         weir_failf(err, WEIR_E_FILE, "file: read", errno, "%.120s", path);
out:
    if (!ok) {
        weir_free(*text);
        *text = NULL;
    }
    close(fd);
    return ok;
}

/* ---- writing ---- */

static bool write_all(int fd, struct weir_span bytes)
{
    while (bytes.len > 0) {
        ssize_t put = write(fd, bytes.ptr, bytes.len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        bytes.ptr += put;
        bytes.len -= (size_t)put;
    }
    return true;
}

/* So that the new name outlives a power cut as well. */
static bool sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    bool ok;
    int fd;

    if (slash == NULL)
        strcpy(folder, ".");
    else
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

bool weir_keepfile_write(const char *path, struct weir_span bytes, struct weir_err *err)
{
    char temporary[PATH_MAX];
    bool ok;
    int fd;

    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return weir_fail(err, WEIR_E_FILE, "file: write", ENAMETOOLONG);
    unlink(temporary); /* of a run that was killed; or something that was put there */
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return weir_failf(err, WEIR_E_FILE, "file: write", errno, "%.120s", temporary);
    ok = write_all(fd, bytes) && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    if (ok && rename(temporary, path) == 0 && sync_folder(path))
        return true;
    weir_failf(err, WEIR_E_FILE, "file: write", errno, "%.120s", path);
    unlink(temporary);
    return false;
}
