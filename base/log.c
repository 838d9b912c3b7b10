#include "weir/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/clock.h"
#include "weir/utf8.h"
#include "civil.h"
#include "logfile.h"

#define MESSAGE_BYTES 960 /* longer ones are cut and end in "..." */
#define LINE_BYTES                                                                                 \
    4096 /* every byte of a message may become \xNN; up to PIPE_BUF a write is whole */

_Static_assert(MESSAGE_BYTES * 4 + 64 <= LINE_BYTES, "an escaped message fits its line");

/*
 * The one exception to "no mutable state at file scope": there is one error log to a process, it
 * must work before anything is set up, and every function that meets an error would have to be
 * handed it. Level and descriptor are atomic; the lock orders open and reopen against writers.
 */
static struct {
    atomic_int level;
    pthread_mutex_t lock; /* over what follows */
    int fd;
    char *path;         /* NULL: stderr, which is never closed */
    unsigned long lost; /* lines that could not be written since the last that could */
} error_log = {
    .level = WEIR_LOG_INFO,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .fd = STDERR_FILENO,
};

static const char *const level_words[] = {
    [WEIR_LOG_DEBUG] = "debug",
    [WEIR_LOG_INFO] = "info",
    [WEIR_LOG_WARN] = "warn",
    [WEIR_LOG_ERROR] = "error",
};

void weir_log_set_level(enum weir_log_level level)
{
    atomic_store_explicit(&error_log.level, (int)level, memory_order_relaxed);
}

bool weir_log_level_parse(const char *word, enum weir_log_level *out)
{
    size_t i;

    for (i = 0; i < sizeof(level_words) / sizeof(level_words[0]); i++) {
        if (strcmp(word, level_words[i]) == 0) {
            *out = (enum weir_log_level)i;
            return true;
        }
    }
    return false;
}

bool weir_log_enabled(enum weir_log_level level)
{
    return (int)level >= atomic_load_explicit(&error_log.level, memory_order_relaxed);
}

/* What a peer sent may end up in a message: it must not forge lines nor drive a terminal. */
static size_t escape(char *to, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *from = (const unsigned char *)text;
    char *at = to;

    for (size_t i = 0; i < len;) {
        size_t plain = weir_utf8_plain(from + i, len - i);

        if (plain > 0) {
            memcpy(at, from + i, plain);
            at += plain;
            i += plain;
        } else {
            *at++ = '\\';
            *at++ = 'x';
            *at++ = hex[from[i] >> 4];
            *at++ = hex[from[i] & 15];
            i++;
        }
    }
    return (size_t)(at - to);
}

static size_t format_line(char line[LINE_BYTES], enum weir_log_level level, const char *text,
                          size_t len)
{
    struct weir_clock now = {0};
    char stamp[25];
    size_t n;

    weir_clock_update(&now);
    civil_rfc3339_ms(now.wall_ms, stamp);
    n = (size_t)snprintf(line, LINE_BYTES, "%s %s ", stamp, level_words[level]);
    n += escape(line + n, text, len);
    line[n++] = '\n';
    return n;
}

static bool write_whole(int fd, const char *line, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write(fd, line + done, len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false; /* EAGAIN too: whoever logs is often a loop, and must not wait */
        done += (size_t)n;
    }
    return true;
}

static void write_loss(void)
{
    char text[64], line[LINE_BYTES];
    int n = snprintf(text, sizeof(text), "log: %lu lines lost", error_log.lost);

    if (write_whole(error_log.fd, line, format_line(line, WEIR_LOG_WARN, text, (size_t)n)))
        error_log.lost = 0;
}

static void emit(enum weir_log_level level, const char *text, size_t len)
{
    char line[LINE_BYTES];
    size_t n = format_line(line, level, text, len);

    pthread_mutex_lock(&error_log.lock);
    if (error_log.lost > 0)
        write_loss();
    if (!write_whole(error_log.fd, line, n))
        error_log.lost++;
    pthread_mutex_unlock(&error_log.lock);
}

void weir_log(enum weir_log_level level, const char *fmt, ...)
{
    char text[MESSAGE_BYTES];
    int saved_errno = errno; /* logging is a side remark: callers go on looking at errno */
    va_list ap;
    int len;

    if (!weir_log_enabled(level))
        return;
    va_start(ap, fmt);
    len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (len >= (int)sizeof(text)) {
        len = (int)sizeof(text) - 1;
        memcpy(text + len - 3, "...", 3);
    }
    if (len >= 0)
        emit(level, text, (size_t)len);
    errno = saved_errno;
}

void weir_log_err(enum weir_log_level level, const char *what, const struct weir_err *err)
{
    char text[512];

    weir_log(level, "%s: %s", what, weir_err_str(err, text, sizeof(text)));
}

/* Takes path; NULL for stderr. */
static void use_file(int fd, char *path)
{
    char *old_path;
    int old_fd;

    pthread_mutex_lock(&error_log.lock);
    old_fd = error_log.fd;
    old_path = error_log.path;
    error_log.fd = fd;
    error_log.path = path;
    pthread_mutex_unlock(&error_log.lock);
    if (old_path != NULL)
        close(old_fd);
    weir_free(old_path);
}

bool weir_log_open(const char *path, struct weir_err *err)
{
    char *copy;
    int fd;

    if (path == NULL) {
        use_file(STDERR_FILENO, NULL);
        return true;
    }
    copy = weir_strndup(path, strlen(path));
    if (copy == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "log: open", 0);
    fd = logfile_open(path, err);
    if (fd < 0) {
        weir_free(copy);
        return false;
    }
    use_file(fd, copy);
    return true;
}

/* The path as it is now, or NULL; the caller owns it. */
static char *copy_path(void)
{
    char *copy = NULL;

    pthread_mutex_lock(&error_log.lock);
    if (error_log.path != NULL)
        copy = weir_strndup(error_log.path, strlen(error_log.path));
    pthread_mutex_unlock(&error_log.lock);
    return copy;
}

void weir_log_reopen(void)
{
    struct weir_err err;
    char *path = copy_path();

    if (path != NULL && !weir_log_open(path, &err))
        weir_log_err(WEIR_LOG_ERROR, "the error log stays where it was", &err);
    weir_free(path);
}
