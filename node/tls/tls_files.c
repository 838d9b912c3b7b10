#include "tls_files.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "tls_secrets.h"

/* Encoded text is never longer than its letters; some more for who rounds up. */
#define ROOM(len) ((len) + 16)

static bool read_all(int fd, char *out, size_t len, size_t *got)
{
    *got = 0;
    while (*got < len) {
        ssize_t n = read(fd, out + *got, len - *got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        *got += (size_t)n;
    }
    return true;
}

static bool judge(int fd, const char *path, struct stat *st, struct weir_err *err)
{
    if (fstat(fd, st) != 0)
        return weir_failf(err, WEIR_E_FILE, "tls", 0, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st->st_mode))
        return weir_failf(err, WEIR_E_FILE, "tls", 0, "%s: is no regular file", path);
    if (st->st_size == 0)
        return weir_failf(err, WEIR_E_FILE, "tls", 0, "%s: is empty", path);
    if ((size_t)st->st_size > TLS_FILE_MAX)
        return weir_failf(err, WEIR_E_FILE, "tls", 0, "%s: is larger than %zu KiB", path,
                          TLS_FILE_MAX / 1024);
    return true;
}

bool tls_file_read(struct tls_secrets *s, const struct weir_opener *opener, const char *path,
                   struct weir_span *out, struct stat *st, struct weir_err *err)
{
    int fd = weir_opener_open(opener, path);
    char *room;
    bool ok;

    if (fd < 0)
        return weir_failf(err, WEIR_E_FILE, "tls", 0, "%s: cannot be read: %s", path,
                          strerror(errno));
    ok = judge(fd, path, st, err);
    room = ok ? tls_secrets_scratch(s, 2 * ROOM((size_t)st->st_size)) : NULL;
    if (ok && room == NULL)
        ok = weir_fail(err, WEIR_E_MEMORY, "tls", 0);
    if (ok && !read_all(fd, room, (size_t)st->st_size, &out->len))
        ok =
            weir_failf(err, WEIR_E_FILE, "tls", 0, "%s: cannot be read: %s", path, strerror(errno));
    out->ptr = room;
    close(fd);
    return ok;
}

unsigned char *tls_file_room(struct weir_span read)
{
    return (unsigned char *)(uintptr_t)read.ptr + read.len;
}

bool tls_file_is_private(const char *path, const struct stat *st, struct weir_err *err)
{
    if ((st->st_mode & (S_IWGRP | S_IRWXO)) != 0)
        return weir_failf(err, WEIR_E_FILE, "tls", 0,
                          "%s: holds a private key, but its mode %04o lets %s; chmod 600 it", path,
                          (unsigned)st->st_mode & 07777,
                          (st->st_mode & S_IRWXO) != 0 ? "others read it" : "its group change it");
    if ((st->st_mode & S_IRGRP) != 0 && st->st_uid != 0)
        return weir_failf(err, WEIR_E_FILE, "tls", 0,
                          "%s: holds a private key, but its mode %04o lets its group read it "
                          "(which only root's files may); chmod 600 it",
                          path, (unsigned)st->st_mode & 07777);
    return true;
}
