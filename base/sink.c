/*
 * sink.c - line sinks: rings that producers fill, and the thread that empties them.
 *
 * The writer is in one of three states, published in `state`:
 *
 *   BUSY      writes, or is about to look at the rings       nobody need wake it
 *   NAPPING   200 ms, so that lines gather into one write    woken when a ring is half full
 *   SLEEPING  without end: every ring is empty               woken by the first line
 *
 *   BUSY     -> SLEEPING  wait_for_lines()
 *   BUSY     -> NAPPING   nap()
 *   either   -> BUSY      wake(), or the end of the nap
 *
 * So a producer makes a system call once per idle period and once per half-full ring, else none.
 *
 * No wake-up is lost: a producer stores its head, then loads `state`; the writer stores `state`,
 * then loads the heads. All four are sequentially consistent, so one of the two sees the other.
 */
#include "weir/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "logfile.h"
#include "thread.h"

#define NAP_MS         200
#define STALL_MS       1000 /* how long one attempt waits for a full pipe */
#define CLOSE_MS       2000
#define LOSS_REPORT_MS 1000 /* at most one report in so many */
#define RING_BYTES_MIN 4096
#define RING_BYTES_MAX ((size_t)1 << 30)
#define LINE_FEED      '\n'

enum { BUSY, NAPPING, SLEEPING };

/* One producer, one consumer. head and tail count bytes for ever; & mask gives the place. The pads
 * keep the producer's and the writer's lines of cache apart. */
struct ring {
    atomic_size_t head; /* written by the producer */
    size_t tail_seen;   /* the producer's last look at tail, so that it seldom touches that line */
    _Atomic uint64_t lost;
    char *bytes; /* never change after sink_new */
    char pad_producer[64];
    atomic_size_t tail; /* written by the writer */
    char pad_writer[64];
};

struct weir_sink {
    size_t ring_bytes; /* a power of two */
    unsigned producers;
    char *path; /* NULL: standard output */

    char pad_state[64];
    atomic_int state;
    atomic_bool reopen;
    atomic_bool closing;
    char pad_private[64];

    /* The writer's own. */
    int fd;
    unsigned at;           /* ring to write next: the one with a line cut short comes first */
    bool mid_line;         /* the last byte written was not the end of a line */
    bool torn;             /* ... and the rest of that line is gone: start on a new one */
    bool stalled;          /* the last attempt met a full pipe */
    _Atomic uint64_t lost; /* lines taken from a ring and not written */
    uint64_t lost_reported;
    int64_t reported_ms;

    pthread_mutex_t lock; /* only to wait and to wake; never held while writing */
    pthread_cond_t wake;  /* state became BUSY */
    pthread_cond_t ended; /* done became true */
    bool done;
    pthread_t writer;
    struct ring ring[];
};

/* ---- producers ---- */

static void wake(struct weir_sink *s)
{
    if (atomic_exchange(&s->state, BUSY) == BUSY)
        return;
    pthread_mutex_lock(&s->lock); /* the writer is now before its check of state, or waiting */
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

static void copy_in(const struct weir_sink *s, struct ring *r, size_t head, const char *line,
                    size_t len)
{
    size_t at = head & (s->ring_bytes - 1);
    size_t first = s->ring_bytes - at;

    if (first > len)
        first = len;
    memcpy(r->bytes + at, line, first);
    memcpy(r->bytes, line + first, len - first);
}

bool weir_sink_write(struct weir_sink *s, unsigned producer, const char *line, size_t len)
{
    struct ring *r = &s->ring[producer];
    size_t half = s->ring_bytes / 2;
    size_t head;
    int state;

    assert(producer < s->producers && len > 0 && line[len - 1] == LINE_FEED);
    head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head - r->tail_seen + len >= half)
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (len > s->ring_bytes - (head - r->tail_seen)) {
        atomic_fetch_add_explicit(&r->lost, 1, memory_order_relaxed);
        return false;
    }
    copy_in(s, r, head, line, len);
    atomic_store(&r->head, head + len);
    state = atomic_load(&s->state);
    if (state == SLEEPING || (state == NAPPING && head - r->tail_seen + len >= half))
        wake(s);
    return true;
}

uint64_t weir_sink_lost(const struct weir_sink *s)
{
    uint64_t lost = atomic_load_explicit(&s->lost, memory_order_relaxed);
    unsigned i;

    for (i = 0; i < s->producers; i++)
        lost += atomic_load_explicit(&s->ring[i].lost, memory_order_relaxed);
    return lost;
}

void weir_sink_reopen(struct weir_sink *s)
{
    atomic_store(&s->reopen, true);
    wake(s);
}

/* ---- the writer: waiting ---- */

static int64_t mono_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct timespec deadline_in(int64_t ms)
{
    int64_t at_ms = mono_ms() + ms;

    return (struct timespec){.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000};
}

/* The fullest ring's bytes. */
static size_t most_waiting(struct weir_sink *s)
{
    size_t most = 0;
    unsigned i;

    for (i = 0; i < s->producers; i++) {
        size_t tail = atomic_load_explicit(&s->ring[i].tail, memory_order_relaxed);
        size_t waiting = atomic_load(&s->ring[i].head) - tail;

        most = waiting > most ? waiting : most;
    }
    return most;
}

static bool told_something(struct weir_sink *s)
{
    return atomic_load(&s->closing) || (atomic_load(&s->reopen) && !s->mid_line);
}

static void wait_for_lines(struct weir_sink *s)
{
    if (weir_sink_lost(s) != s->lost_reported)
        return; /* a loss is still to be reported: nap, do not sleep over it */
    atomic_store(&s->state, SLEEPING);
    if (most_waiting(s) == 0 && !told_something(s)) {
        pthread_mutex_lock(&s->lock);
        while (atomic_load(&s->state) == SLEEPING)
            pthread_cond_wait(&s->wake, &s->lock);
        pthread_mutex_unlock(&s->lock);
    }
    atomic_store(&s->state, BUSY);
}

static void nap(struct weir_sink *s)
{
    struct timespec until = deadline_in(NAP_MS);
    int rc = 0;

    atomic_store(&s->state, NAPPING);
    /* After a stall even a full ring waits: else a pipe nobody reads would keep us spinning. */
    if ((most_waiting(s) < s->ring_bytes / 2 || s->stalled) && !told_something(s)) {
        pthread_mutex_lock(&s->lock);
        while (atomic_load(&s->state) == NAPPING && rc == 0)
            rc = pthread_cond_timedwait(&s->wake, &s->lock, &until);
        pthread_mutex_unlock(&s->lock);
    }
    atomic_store(&s->state, BUSY);
}

/* ---- the writer: writing ---- */

/* Bytes [tail, head) as at most two runs. */
static int ring_runs(const struct weir_sink *s, const struct ring *r, size_t tail, size_t head,
                     struct iovec runs[2])
{
    size_t at = tail & (s->ring_bytes - 1);
    size_t first = s->ring_bytes - at;
    size_t len = head - tail;

    if (first >= len) {
        runs[0] = (struct iovec){r->bytes + at, len};
        return 1;
    }
    runs[0] = (struct iovec){r->bytes + at, first};
    runs[1] = (struct iovec){r->bytes, len - first};
    return 2;
}

/* writev that waits up to a second for room. weir_sink_close() may cancel the thread in here and
 * nowhere else, so nothing is held. */
static ssize_t write_patiently(int fd, const struct iovec *runs, int count)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    bool waited = false;
    ssize_t n;

    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    for (;;) {
        n = writev(fd, runs, count);
        if (n >= 0 || (errno != EINTR && (errno != EAGAIN || waited)))
            break;
        if (errno == EAGAIN) {
            waited = true;
            poll(&room, 1, STALL_MS);
        }
    }
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    return n;
}

/* Writes some of [tail, head). Returns how many of those bytes are out, or -1 with errno. */
static ssize_t write_some(struct weir_sink *s, const struct ring *r, size_t tail, size_t head)
{
    static const char line_feed = LINE_FEED;
    struct iovec runs[3];
    int skip = s->torn ? 0 : 1;
    ssize_t n;

    runs[0] = (struct iovec){(void *)(uintptr_t)&line_feed, 1};
    n = write_patiently(s->fd, runs + skip, 1 - skip + ring_runs(s, r, tail, head, runs + 1));
    if (n > 0 && s->torn) {
        s->torn = false;
        n--;
    }
    return n;
}

/* Only whole lines are dropped, but for the one whose beginning is already out. */
static void drop(struct weir_sink *s, struct ring *r, size_t tail, size_t head)
{
    uint64_t lines = 0;

    for (; tail != head; tail++)
        lines += r->bytes[tail & (s->ring_bytes - 1)] == LINE_FEED;
    atomic_fetch_add_explicit(&s->lost, lines, memory_order_relaxed);
    atomic_store_explicit(&r->tail, head, memory_order_release);
    s->torn = s->torn || s->mid_line;
    s->mid_line = false;
}

/* Empties one ring as far as it is filled now. False: the pipe is full, the rest stays. */
static bool write_ring(struct weir_sink *s, struct ring *r)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    while (tail != head) {
        ssize_t n = write_some(s, r, tail, head);

        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0) {
            drop(s, r, tail, head);
            return true;
        }
        if (n == 0)
            continue; /* only the line feed that ends a torn line is out */
        tail += (size_t)n;
        s->mid_line = r->bytes[(tail - 1) & (s->ring_bytes - 1)] != LINE_FEED;
        atomic_store_explicit(&r->tail, tail, memory_order_release);
    }
    return true;
}

/* Starts with the ring where the last call stalled, so that no line gets into another. */
static void write_rings(struct weir_sink *s)
{
    unsigned i;

    for (i = 0; i < s->producers; i++) {
        s->stalled = !write_ring(s, &s->ring[s->at]);
        if (s->stalled)
            return;
        s->at = (s->at + 1) % s->producers;
    }
}

static void reopen_file(struct weir_sink *s)
{
    struct weir_err err;
    int fd;

    if (s->path == NULL)
        return;
    fd = logfile_open(s->path, &err);
    if (fd < 0) {
        weir_log_err(WEIR_LOG_ERROR, "the access log stays where it was", &err);
        return;
    }
    close(s->fd);
    s->fd = fd;
    s->torn = false;
}

static const char *shown_path(const struct weir_sink *s)
{
    return s->path != NULL ? s->path : "standard output";
}

static void report_loss(struct weir_sink *s)
{
    uint64_t lost = weir_sink_lost(s);
    int64_t now_ms;

    if (lost == s->lost_reported)
        return;
    now_ms = mono_ms();
    if (now_ms - s->reported_ms < LOSS_REPORT_MS)
        return;
    weir_log(WEIR_LOG_WARN, "log: %s: %llu lines lost", shown_path(s),
             (unsigned long long)(lost - s->lost_reported));
    s->lost_reported = lost;
    s->reported_ms = now_ms;
}

static void *writer_main(void *arg)
{
    struct weir_sink *s = arg;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    while (!atomic_load(&s->closing) || most_waiting(s) > 0) {
        wait_for_lines(s);
        nap(s);
        if (!s->mid_line && atomic_exchange(&s->reopen, false))
            reopen_file(s);
        write_rings(s);
        report_loss(s);
    }
    pthread_mutex_lock(&s->lock);
    s->done = true;
    pthread_cond_signal(&s->ended);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- opening and closing ---- */

static size_t round_to_power(size_t bytes)
{
    size_t power = RING_BYTES_MIN;

    while (power < bytes)
        power *= 2;
    return power;
}

/* Accepts what sink_new() has half built. */
static void sink_free(struct weir_sink *s)
{
    unsigned i;

    for (i = 0; i < s->producers; i++)
        weir_free(s->ring[i].bytes);
    if (s->path != NULL && s->fd >= 0)
        close(s->fd);
    weir_free(s->path);
    weir_free(s);
}

static struct weir_sink *sink_new(unsigned producers, size_t ring_bytes)
{
    struct weir_sink *s = weir_calloc(1, sizeof(*s) + producers * sizeof(s->ring[0]));

    if (s == NULL)
        return NULL;
    s->fd = -1;
    s->ring_bytes = round_to_power(ring_bytes);
    while (s->producers < producers) {
        s->ring[s->producers].bytes = weir_malloc(s->ring_bytes);
        if (s->ring[s->producers].bytes == NULL) {
            sink_free(s);
            return NULL;
        }
        s->producers++;
    }
    return s;
}

static bool open_target(struct weir_sink *s, const char *path, struct weir_err *err)
{
    if (strcmp(path, "-") == 0) {
        s->fd = STDOUT_FILENO;
        return true;
    }
    s->path = weir_strndup(path, strlen(path));
    if (s->path == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "log: open sink", 0);
    s->fd = logfile_open(path, err);
    return s->fd >= 0;
}

static void init_waiting(struct weir_sink *s)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, &attr);
    pthread_cond_init(&s->ended, &attr);
    pthread_condattr_destroy(&attr);
}

static void end_waiting(struct weir_sink *s)
{
    pthread_cond_destroy(&s->ended);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
}

struct weir_sink *weir_sink_open(const char *path, unsigned producers, size_t ring_bytes,
                                 struct weir_err *err)
{
    struct weir_sink *s;
    int rc;

    assert(producers > 0 && ring_bytes <= RING_BYTES_MAX);
    s = sink_new(producers, ring_bytes);
    if (s == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "log: open sink", 0);
        return NULL;
    }
    if (!open_target(s, path, err)) {
        sink_free(s);
        return NULL;
    }
    init_waiting(s);
    rc = thread_start(&s->writer, "weir-log", writer_main, s);
    if (rc != 0) {
        weir_fail(err, WEIR_E_INTERNAL, "log: start thread", rc);
        end_waiting(s);
        sink_free(s);
        return NULL;
    }
    return s;
}

/* A writer stuck in a write that nobody reads is cancelled there. */
static void end_writer(struct weir_sink *s)
{
    struct timespec until = deadline_in(CLOSE_MS);
    int rc = 0;

    atomic_store(&s->closing, true);
    wake(s);
    pthread_mutex_lock(&s->lock);
    while (!s->done && rc == 0)
        rc = pthread_cond_timedwait(&s->ended, &s->lock, &until);
    if (!s->done)
        pthread_cancel(s->writer);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->writer, NULL);
}

void weir_sink_close(struct weir_sink *s)
{
    unsigned i;

    if (s == NULL)
        return;
    end_writer(s);
    for (i = 0; i < s->producers; i++)
        drop(s, &s->ring[i], atomic_load(&s->ring[i].tail), atomic_load(&s->ring[i].head));
    s->reported_ms = mono_ms() - LOSS_REPORT_MS; /* the last report waits for nothing */
    report_loss(s);
    end_waiting(s);
    sink_free(s);
}
