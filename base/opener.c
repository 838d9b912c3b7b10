#include "weir/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

int weir_opener_open(const struct weir_opener *o, const char *path)
{
    /* O_NONBLOCK: a FIFO in the place of a file must not hold the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 && (errno == EACCES || errno == EPERM) && o != NULL)
        fd = o->open(o->arg, path);
    return fd;
}
