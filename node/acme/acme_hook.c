#include "acme_hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "net_loop.h"

#define SOCKET_NAME   "hook"
#define LINE_MAX_     1024
#define ANSWER_WAIT_S 30   /* the program waits for the node */
#define ASK_MS        5000 /* the node for the program's line */

/* By the folder's descriptor: its path may be longer than a socket's may be. */
static bool address_in(const char *folder, struct sockaddr_un *to, int *dir)
{
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    *dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir < 0)
        return false;
    snprintf(to->sun_path, sizeof to->sun_path, "/proc/self/fd/%d/" SOCKET_NAME, *dir);
    return true;
}

/* ---- the program ---- */

static bool put_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

static bool ask_node(int fd, char **argv)
{
    struct timeval wait = {.tv_sec = ANSWER_WAIT_S};
    char line[LINE_MAX_], answer[4] = "";
    int len = snprintf(line, sizeof line, "%s %s %s %s %s\n", argv[1], argv[2], argv[3], argv[4],
                       argv[5]);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return len < (int)sizeof line && put_all(fd, line, (size_t)len) &&
           recv(fd, answer, sizeof answer - 1, MSG_WAITALL) == 3 && strcmp(answer, "ok\n") == 0;
}

int acme_hook_main(int argc, char **argv, const char *folder)
{
    struct sockaddr_un to;
    bool ok = false;
    int fd, dir;

    if (argc != 6) {
        fputs("weir as a hook of an ACME client: METHOD TYPE IDENT TOKEN AUTH\n", stderr);
        return 1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && address_in(folder, &to, &dir)) {
        ok = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && ask_node(fd, argv);
        close(dir);
    }
    if (fd >= 0)
        close(fd);
    return ok ? 0 : 1;
}

/* ---- the node ---- */

struct acme_hook {
    struct net_loop *loop;
    void (*asked)(void *arg, const struct acme_asked *q);
    void (*gone)(void *arg);
    void *arg;
    char *folder;
    int listener, fd; /* -1: none */
    struct event accepts, reads;
    struct net_timer deadline;
    bool pending; /* asked, and not answered yet */
    size_t len;
    char line[LINE_MAX_];
};

static void drop(struct acme_hook *h)
{
    bool pending = h->pending;

    net_timer_stop(h->loop, &h->deadline);
    if (h->fd >= 0) {
        event_del(&h->reads);
        close(h->fd);
    }
    h->fd = -1;
    h->pending = false;
    if (pending)
        h->gone(h->arg);
}

void acme_hook_answer(struct acme_hook *h, bool ok)
{
    if (!h->pending)
        return;
    h->pending = false;
    put_all(h->fd, ok ? "ok\n" : "no\n", 3); /* fits into any socket */
    drop(h);
}

/* The next word of *rest, up to a space. */
static struct weir_span word(struct weir_span *rest)
{
    const char *space = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;
    size_t len = space != NULL ? (size_t)(space - rest->ptr) : rest->len;
    struct weir_span w = weir_span(rest->ptr, len);

    len += space != NULL;
    *rest = weir_span(rest->ptr + len, rest->len - len);
    return w;
}

static void understand(struct acme_hook *h, struct weir_span line)
{
    struct weir_span method = word(&line);
    struct acme_asked q = {.begin = weir_span_eq(method, WEIR_SPAN_LIT("begin"))};

    q.type = word(&line);
    q.name = word(&line);
    q.token = word(&line);
    q.answer = word(&line);
    h->pending = true;
    h->asked(h->arg, &q);
}

static void on_line(evutil_socket_t fd, short what, void *arg)
{
    struct acme_hook *h = arg;
    ssize_t n = recv(fd, h->line + h->len, sizeof h->line - h->len, 0);
    const char *end;

    (void)what;
    net_loop_enter(h->loop);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || h->pending) { /* it has gone, or says more than it may */
        drop(h);
        return;
    }
    h->len += (size_t)n;
    end = memchr(h->line, '\n', h->len);
    if (end != NULL)
        understand(h, weir_span(h->line, (size_t)(end - h->line)));
    else if (h->len == sizeof h->line)
        drop(h);
}

static void on_late(struct net_timer *t)
{
    struct acme_hook *h = WEIR_CONTAINER(t, struct acme_hook, deadline);

    if (!h->pending)
        drop(h);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
    struct acme_hook *h = arg;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)what;
    net_loop_enter(h->loop);
    if (fd < 0)
        return;
    drop(h); /* the client asks one after the other */
    h->fd = fd;
    h->len = 0;
    event_assign(&h->reads, h->loop->base, fd, EV_READ | EV_PERSIST, on_line, h);
    event_add(&h->reads, NULL);
    net_timer_start(h->loop, &h->deadline, net_now_ms(h->loop) + ASK_MS);
}

static bool listen_in(struct acme_hook *h, struct weir_err *err)
{
    struct sockaddr_un at;
    int dir;
    bool ok;

    h->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (h->listener < 0 || !address_in(h->folder, &at, &dir))
        return weir_failf(err, WEIR_E_FILE, "acme: socket", errno, "%.120s", h->folder);
    unlinkat(dir, SOCKET_NAME, 0);
    ok = bind(h->listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(h->listener, 4) == 0;
    if (!ok)
        weir_failf(err, WEIR_E_FILE, "acme: socket", errno, "%.120s", h->folder);
    close(dir);
    return ok;
}

struct acme_hook *acme_hook_new(struct net_loop *loop, const char *folder,
                                void (*asked)(void *arg, const struct acme_asked *q),
                                void (*gone)(void *arg), void *arg, struct weir_err *err)
{
    struct acme_hook *h = weir_calloc(1, sizeof *h);

    if (h == NULL || (h->folder = weir_strndup(folder, strlen(folder))) == NULL) {
        weir_free(h);
        weir_fail(err, WEIR_E_MEMORY, "acme: socket", 0);
        return NULL;
    }
    h->loop = loop;
    h->asked = asked;
    h->gone = gone;
    h->arg = arg;
    h->listener = h->fd = -1;
    h->deadline.fire = on_late;
    if (!listen_in(h, err)) {
        acme_hook_free(h);
        return NULL;
    }
    event_assign(&h->accepts, loop->base, h->listener, EV_READ | EV_PERSIST, on_accept, h);
    event_add(&h->accepts, NULL);
    return h;
}

void acme_hook_free(struct acme_hook *h)
{
    char path[4200];

    if (h == NULL)
        return;
    h->pending = false;
    drop(h);
    if (event_initialized(&h->accepts))
        event_del(&h->accepts);
    if (h->listener >= 0)
        close(h->listener);
    if (snprintf(path, sizeof path, "%s/" SOCKET_NAME, h->folder) < (int)sizeof path)
        unlink(path);
    weir_free(h->folder);
    weir_free(h);
}
