/*
 * bench_net.h - sockets on the loopback address for the programs of the benchmark. They end with a
 * message when something fails: a measurement that goes on would be wrong.
 */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stdbool.h>
#include <stdint.h>

/* Says what failed, with errno, and exits with 1. */
void die(const char *what) __attribute__((noreturn));
/* The decimal number, or an end with a message that names it. */
unsigned long number(const char *text, unsigned long max, const char *name);

int listen_on(uint16_t port);                 /* non-blocking, 127.0.0.1 */
int connect_to(uint16_t port, bool blocking); /* blocking: until it stands */
int accept_from(int listener);                /* non-blocking, without delay; -1: nobody waits */
/* 0: sent them all; else how many are left. Less than 0: the peer has gone. */
long send_some(int fd, const char *bytes, unsigned long len);
int64_t now_ns(void); /* monotonic */

#endif
