#include "warden.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "warden_own.h"

#define ANSWER_S 5

struct warden {
    pthread_mutex_t lock; /* one request at a time */
    int sock;             /* -1: it is gone, or out of step */
    pid_t pid;
};

/* ---- what it may open ---- */

static void free_paths(struct warden_paths *p)
{
    for (size_t i = 0; i < p->count; i++)
        weir_free(p->folders[i]);
    weir_free(p->folders);
    weir_free(p->owners);
}

/* A file stands for its folder: a key is renewed by putting another file in its place. */
static char *folder_of(const char *path)
{
    struct stat st;
    size_t len = strlen(path);

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        const char *slash = strrchr(path, '/');

        len = slash != NULL ? (size_t)(slash - path) : 0;
    }
    while (len > 0 && path[len - 1] == '/')
        len--;
    return weir_strndup(path, len);
}

static bool add_path(struct warden_paths *p, const char *path)
{
    char *folder = folder_of(path);

    if (folder == NULL)
        return false;
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->folders[i], folder) == 0) {
            weir_free(folder);
            return true;
        }
    if (folder[0] != '/' || !warden_way_is_roots(folder)) {
        weir_log(WEIR_LOG_WARN,
                 "warden: %s: not root's alone to change: what only root can read there cannot be "
                 "read on",
                 path);
        weir_free(folder);
        return true;
    }
    p->folders[p->count++] = folder;
    return true;
}

static bool gather(struct warden_paths *p, const struct warden_duties *d)
{
    p->node = d->node;
    p->owners = weir_calloc(d->owner_count + 1, sizeof *p->owners);
    p->folders = weir_calloc(d->path_count + 1, sizeof *p->folders);
    if (p->owners == NULL || p->folders == NULL)
        return false;
    for (; p->owner_count < d->owner_count; p->owner_count++)
        p->owners[p->owner_count] = d->owners[p->owner_count];
    for (size_t i = 0; i < d->path_count; i++)
        if (!add_path(p, d->paths[i]))
            return false;
    return true;
}

/* ---- its process ---- */

/* Only these capabilities, for good; the calls of libcap without libcap. */
static bool limit_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};

    for (int cap = 0; cap <= 63; cap++)
        if ((keep >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 &&
            errno != EINVAL && errno != EPERM)
            return false;
    for (int i = 0; i < 2; i++)
        data[i].permitted = data[i].effective = (uint32_t)(keep >> (32 * i));
    return syscall(SYS_capset, &head, data) == 0;
}

static uint64_t needed(const struct warden_paths *allowed)
{
    uint64_t keep = (uint64_t)1 << CAP_DAC_READ_SEARCH | (uint64_t)1 << CAP_NET_BIND_SERVICE;

    return allowed->owner_count > 0 ? keep | (uint64_t)1 << CAP_CHOWN : keep;
}

static _Noreturn void be_warden(int sock, pid_t node, const struct warden_paths *paths)
{
    int null = open("/dev/null", O_RDWR);

    for (int i = 0; i < 3; i++)
        if (null < 0 || dup2(null, i) < 0)
            _exit(1);
    if (dup2(sock, 3) < 0)
        _exit(1);
    closefrom(4);
    fcntl(3, F_SETFD, FD_CLOEXEC);
    /* Told by the end of the connection, not by a terminal or a service manager. */
    for (int s = 1; s < 32; s++)
        signal(s, s == SIGKILL || s == SIGSTOP || s == SIGSEGV ? SIG_DFL : SIG_IGN);
    prctl(PR_SET_NAME, "weir-warden", 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != node || chdir("/") != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || !limit_capabilities(needed(paths)))
        _exit(1);
    warden_serve(3, paths);
}

struct warden *warden_start(const struct warden_duties *duties, struct weir_err *err)
{
    struct warden *k = weir_calloc(1, sizeof *k);
    struct warden_paths allowed = {0};
    const struct timeval wait = {ANSWER_S, 0};
    pid_t node = getpid();
    int pair[2];

    if (k == NULL || !gather(&allowed, duties)) {
        weir_free(k);
        free_paths(&allowed);
        weir_fail(err, WEIR_E_MEMORY, "warden: start", 0);
        return NULL;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        weir_fail(err, WEIR_E_INTERNAL, "warden: socketpair", errno);
        free_paths(&allowed);
        weir_free(k);
        return NULL;
    }
    k->pid = fork();
    if (k->pid == 0)
        be_warden(pair[1], node, &allowed);
    free_paths(&allowed);
    close(pair[1]);
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    k->sock = pair[0];
    pthread_mutex_init(&k->lock, NULL);
    if (k->pid > 0)
        return k;
    weir_fail(err, WEIR_E_INTERNAL, "warden: fork", errno);
    warden_stop(k);
    return NULL;
}

void warden_stop(struct warden *k)
{
    if (k == NULL)
        return;
    if (k->sock >= 0)
        close(k->sock);
    if (k->pid > 0)
        waitpid(k->pid, NULL, 0);
    pthread_mutex_destroy(&k->lock);
    weir_free(k);
}

/* ---- asking ---- */

/* Returns errno; *fd: what came along. */
static int ask(struct warden *k, struct warden_request *r, int with, int *fd)
{
    struct warden_answer answer = {EIO};
    struct warden_packet out = {r, offsetof(struct warden_request, bytes) + r->len, with};
    struct warden_packet in = {&answer, sizeof answer, -1};

    pthread_mutex_lock(&k->lock);
    if (k->sock < 0 || !warden_send(k->sock, &out) || !warden_receive(k->sock, &in) ||
        in.len != sizeof answer) {
        answer.error = EIO;
        if (k->sock >= 0) {
            weir_log(WEIR_LOG_ERROR, "warden: does not answer: what only root may is lost until "
                                     "the node starts again");
            close(k->sock); /* a late answer must not be taken for that to another question */
        }
        k->sock = -1;
    }
    pthread_mutex_unlock(&k->lock);
    *fd = in.fd;
    return answer.error;
}

/* The warden has another folder. */
static bool make_absolute(struct warden_request *r, const char *path)
{
    size_t len;

    if (getcwd(r->bytes, sizeof r->bytes) == NULL)
        return false;
    len = strlen(r->bytes);
    if (len + 1 + strlen(path) + 1 > sizeof r->bytes) {
        errno = ENAMETOOLONG;
        return false;
    }
    r->bytes[len] = '/';
    memcpy(r->bytes + len + 1, path, strlen(path) + 1);
    r->len = (uint32_t)strlen(r->bytes) + 1;
    return true;
}

int warden_open(struct warden *k, const char *path)
{
    struct warden_request r = {.verb = WARDEN_OPEN, .len = (uint32_t)strlen(path) + 1};
    int fd = -1;

    if (k == NULL || r.len > sizeof r.bytes) {
        errno = k == NULL ? EACCES : ENAMETOOLONG;
        return -1;
    }
    memcpy(r.bytes, path, r.len);
    if (path[0] != '/' && !make_absolute(&r, path))
        return -1;
    errno = ask(k, &r, -1, &fd);
    return errno == 0 ? fd : -1;
}

int warden_bind(struct warden *k, int sock, const struct sockaddr *addr, socklen_t len)
{
    struct warden_request r = {.verb = WARDEN_BIND, .len = (uint32_t)len};
    int fd = -1;

    if (k == NULL || len > sizeof r.bytes) {
        errno = k == NULL ? EACCES : EINVAL;
        return -1;
    }
    memcpy(r.bytes, addr, len);
    errno = ask(k, &r, sock, &fd);
    return errno == 0 ? 0 : -1;
}

int warden_own(struct warden *k, int file, uid_t uid, gid_t gid)
{
    const struct warden_owner o = {uid, gid};
    struct warden_request r = {.verb = WARDEN_OWN, .len = sizeof o};
    int fd = -1;

    if (k == NULL) {
        errno = EPERM;
        return -1;
    }
    memcpy(r.bytes, &o, sizeof o);
    errno = ask(k, &r, file, &fd);
    return errno == 0 ? 0 : -1;
}

static int open_by(void *arg, const char *path)
{
    return warden_open(arg, path);
}

const struct weir_opener *warden_opener(struct warden *k, struct weir_opener *room)
{
    *room = (struct weir_opener){open_by, k};
    return k != NULL ? room : NULL;
}

pid_t warden_pid(const struct warden *k)
{
    return k != NULL ? k->pid : 0;
}
