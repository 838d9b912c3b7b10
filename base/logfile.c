#include "logfile.h"

#include <errno.h>
#include <fcntl.h>

int logfile_open(const char *path, struct weir_err *err)
{
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd = open(path, flags, 0640);

    if (fd < 0)
        weir_failf(err, WEIR_E_FILE, "log: open", errno, "%s", path);
    return fd;
}
