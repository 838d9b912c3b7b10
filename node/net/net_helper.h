/*
 * net_helper.h - who may do what this process may not, after privileges were dropped.
 */
#ifndef NET_HELPER_H
#define NET_HELPER_H

#include <sys/socket.h>
#include <sys/types.h>

/* Each as the system call: 0, or -1 and errno. */
struct net_helper {
    /* To ports below 1024. */
    int (*bind)(void *arg, int fd, const struct sockaddr *addr, socklen_t len);
    /* Gives the file of a Unix socket (an O_PATH descriptor) to somebody. */
    int (*own)(void *arg, int file, uid_t uid, gid_t gid);
    void *arg;
};

#endif
