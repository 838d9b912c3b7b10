#include "weir/secret.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool read_all(int fd, struct weir_secret *s)
{
    while (s->len < sizeof s->bytes) {
        ssize_t n = read(fd, s->bytes + s->len, sizeof s->bytes - s->len);

        if (n == 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            s->len += (size_t)n;
    }
    errno = EFBIG;
    return false;
}

bool weir_secret_read(struct weir_secret *s, const char *path, struct weir_err *err)
{
    return weir_secret_read_by(s, NULL, path, err);
}

bool weir_secret_read_by(struct weir_secret *s, const struct weir_opener *opener, const char *path,
                         struct weir_err *err)
{
    int fd = weir_opener_open(opener, path);
    bool ok;
    int os;

    memset(s, 0, sizeof *s);
    ok = fd >= 0 && read_all(fd, s);
    os = errno;
    if (fd >= 0)
        close(fd);
    if (!ok) {
        weir_secret_clear(s);
        return weir_failf(err, WEIR_E_FILE, "secret: read", os, "cannot be read: %s", strerror(os));
    }
    while (s->len > 0 && (s->bytes[s->len - 1] == '\n' || s->bytes[s->len - 1] == '\r'))
        s->len--;
    s->bytes[s->len] = '\0';
    if (s->len == 0)
        return weir_failf(err, WEIR_E_FILE, "secret: read", 0, "is empty");
    return true;
}

void weir_secret_clear(struct weir_secret *s)
{
    explicit_bzero(s, sizeof *s);
}
