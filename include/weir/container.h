/*
 * container.h - from an embedded member (a timer, a mail, a deferred piece of work) to what it is
 * part of.
 */
#ifndef WEIR_CONTAINER_H
#define WEIR_CONTAINER_H

#include <stddef.h>

#define WEIR_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
