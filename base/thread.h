/*
 * thread.h - starts the helper threads of base (work pool, sink writers).
 */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>

/* Starts run(arg) with every signal blocked: signals are for the threads that wait for them.
 * name: at most 15 bytes, shown by ps and gdb. Returns 0 or an errno. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);

#endif
