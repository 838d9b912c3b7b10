/*
 * test_http.h - what the tests and fuzzers of this area share. Header only, for programs.
 */
#ifndef TEST_HTTP_H
#define TEST_HTTP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weir/err.h"
#include "weir/span.h"

#define LIT(s) WEIR_SPAN_LIT(s)

/* A copy on the heap of exactly that size, so that AddressSanitizer sees a read beyond it. */
static inline char *exact_copy(const char *bytes, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, bytes, len);
    return copy;
}

static inline void expect_span(struct weir_span got, const char *want)
{
    assert_non_null(got.ptr);
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.ptr, want, got.len);
}

#define expect_code(err, want)                                                                     \
    assert_string_equal(weir_code_name((err)->code), weir_code_name(want))

#endif
