#include "weir/alloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef WEIR_FAULTS

/* Test builds only, and process-wide on purpose: a test arms it, any thread may meet it. */
static atomic_ulong countdown; /* allocations until the one that fails; 0 = not armed */
static atomic_bool failed;

void weir_alloc_fail_at(unsigned long n)
{
    atomic_store(&failed, false);
    atomic_store(&countdown, n);
}

_Bool weir_alloc_failed(void)
{
    return atomic_load(&failed);
}

/* True for exactly one allocation: the one that takes the countdown from 1 to 0. */
static bool must_fail(void)
{
    unsigned long left = atomic_load(&countdown);

    do {
        if (left == 0)
            return false;
    } while (!atomic_compare_exchange_weak(&countdown, &left, left - 1));
    if (left > 1)
        return false;
    atomic_store(&failed, true);
    errno = ENOMEM;
    return true;
}

void *weir_malloc(size_t size)
{
    return must_fail() ? NULL : malloc(size);
}

void *weir_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : calloc(count, size);
}

void *weir_realloc(void *old, size_t size)
{
    return must_fail() ? NULL : realloc(old, size);
}

#endif

char *weir_strndup(const char *s, size_t len)
{
    char *copy = len < SIZE_MAX ? weir_malloc(len + 1) : NULL;

    if (copy == NULL)
        return NULL;
    if (len > 0) /* s may be NULL then */
        memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}
