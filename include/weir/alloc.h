/*
 * alloc.h - the allocator every area calls, so that tests can make the n-th allocation fail.
 *
 * Same contracts as malloc(3). In builds without WEIR_FAULTS (release) they are plain calls.
 */
#ifndef WEIR_ALLOC_H
#define WEIR_ALLOC_H

#include <stddef.h>
#include <stdlib.h>

#ifdef WEIR_FAULTS
void *weir_malloc(size_t size) __attribute__((malloc));
void *weir_calloc(size_t count, size_t size) __attribute__((malloc));
void *weir_realloc(void *old, size_t size);
char *weir_strndup(const char *s, size_t len); /* always NUL-terminated */
/* Makes the n-th allocation from now (1 = the next) fail once; 0 turns it off. All threads. */
void weir_alloc_fail_at(unsigned long n);
/* True if the armed failure has happened since the last weir_alloc_fail_at(). */
_Bool weir_alloc_failed(void);
#else
#define weir_malloc  malloc
#define weir_calloc  calloc
#define weir_realloc realloc
char *weir_strndup(const char *s, size_t len);
#endif
#define weir_free free

#endif
