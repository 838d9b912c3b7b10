/*
 * test_redis_servers.h - redis-servers of a test's own: one, or a cluster of masters.
 *
 * Each has a folder of its own under /tmp and dies with the test. Included by one test program.
 */
#ifndef TEST_REDIS_SERVERS_H
#define TEST_REDIS_SERVERS_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_SERVERS_MAX 6
#define TEST_SERVER_WAIT 500 /* looks of 20 ms each */

struct test_server {
    pid_t pid; /* 0: none */
    char dir[64], socket[80];
    int port;
};

static inline int test_free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        abort();
    close(fd);
    return ntohs(at.sin_port);
}

/* A folder and what else it takes to have a configuration. */
static inline void test_server_prepare(struct test_server *s, int port)
{
    memset(s, 0, sizeof *s);
    strcpy(s->dir, "/tmp/weir-test-redis-XXXXXX");
    if (mkdtemp(s->dir) == NULL)
        abort();
    snprintf(s->socket, sizeof s->socket, "%s/s", s->dir);
    s->port = port;
}

/* Starts it. more: lines of configuration. */
static inline void test_server_spawn(struct test_server *s, const char *more)
{
    pid_t parent = getpid();
    char path[96];
    FILE *f;

    snprintf(path, sizeof path, "%s/redis.conf", s->dir);
    f = fopen(path, "w");
    if (f == NULL)
        abort();
    fprintf(f,
            "port %d\nbind 127.0.0.1\nunixsocket %s\nsave \"\"\nappendonly no\ndir %s\n"
            "logfile %s/log\nenable-debug-command yes\n%s\n",
            s->port, s->socket, s->dir, s->dir, more);
    fclose(f);
    s->pid = fork();
    if (s->pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        execlp("redis-server", "redis-server", path, (char *)NULL);
    _exit(127);
}

/* One command, its arguments split at blanks; NULL if there is no answer. freeReplyObject(). */
static inline redisReply *test_server_ask(const struct test_server *s, const char *command)
{
    redisContext *c = redisConnectUnix(s->socket);
    redisReply *r = c != NULL && c->err == 0 ? redisCommand(c, command) : NULL;

    if (c != NULL)
        redisFree(c);
    return r;
}

/* Does the answer to a command hold this text? */
static inline int test_server_says(const struct test_server *s, const char *command,
                                   const char *text)
{
    redisReply *r = test_server_ask(s, command);
    int says = r != NULL && r->str != NULL && strstr(r->str, text) != NULL;

    if (r != NULL)
        freeReplyObject(r);
    return says;
}

static inline int test_server_wait(const struct test_server *s, const char *command,
                                   const char *text)
{
    for (int i = 0; i < TEST_SERVER_WAIT; i++) {
        if (test_server_says(s, command, text))
            return 1;
        if (waitpid(s->pid, NULL, WNOHANG) != 0)
            break;
        usleep(20000); /* there is no event to wait for: another process comes up */
    }
    fprintf(stderr, "redis-server does not say \"%s\": see tools/deps\n", text);
    return 0;
}

static inline int test_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void test_server_stop(struct test_server *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    if (s->dir[0] != '\0')
        nftw(s->dir, test_remove, 8, FTW_DEPTH | FTW_PHYS);
    memset(s, 0, sizeof *s);
}

/* One Redis; 0 if there is none. */
static inline int test_server_start(struct test_server *s, const char *more)
{
    test_server_prepare(s, test_free_port());
    test_server_spawn(s, more);
    return test_server_wait(s, "PING", "PONG");
}

/* ---- a cluster of masters, given a finished nodes.conf: nothing depends on gossip ---- */

static inline void test_nodes_conf(const struct test_server *all, const int *buses, int count,
                                   int myself)
{
    char path[96];
    FILE *f;

    snprintf(path, sizeof path, "%s/nodes.conf", all[myself].dir);
    f = fopen(path, "w");
    if (f == NULL)
        abort();
    for (int i = 0; i < count; i++)
        fprintf(f, "%040x 127.0.0.1:%d@%d %smaster - 0 0 %d connected %d-%d\n", 0xa0 + i,
                all[i].port, buses[i], i == myself ? "myself," : "", i + 1, 16384 * i / count,
                16384 * (i + 1) / count - 1);
    fprintf(f, "vars currentEpoch %d lastVoteEpoch 0\n", count);
    fclose(f);
}

/* 0 if it does not come up. */
static inline int test_cluster_start(struct test_server *all, int count)
{
    int buses[TEST_SERVERS_MAX];
    char more[200];

    for (int i = 0; i < count; i++) {
        test_server_prepare(&all[i], test_free_port());
        buses[i] = test_free_port();
    }
    for (int i = 0; i < count; i++) {
        test_nodes_conf(all, buses, count, i);
        snprintf(more, sizeof more,
                 "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-port %d\n"
                 "cluster-node-timeout 2000\ncluster-require-full-coverage no\n"
                 "cluster-announce-ip 127.0.0.1",
                 buses[i]);
        test_server_spawn(&all[i], more);
    }
    for (int i = 0; i < count; i++)
        if (!test_server_wait(&all[i], "CLUSTER INFO", "cluster_state:ok"))
            return 0;
    return 1;
}

#endif
