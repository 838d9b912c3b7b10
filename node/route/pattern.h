/*
 * pattern.h - PCRE2 patterns that cannot hang: compiled once, JIT where the system allows it,
 * matched under limits.
 *
 * A pattern is immutable and shared by all threads. Matching needs a scratch, which belongs to one
 * thread. Subjects are bytes, never UTF-8; `$` matches only at the very end; patterns are not
 * anchored unless they say so. A match that exceeds a limit is no match, and is told apart so that
 * it can be counted and refused.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/span.h"

#define PATTERN_CAPTURES_MAX 16 /* $0, the whole match, to $15 */
/*
 * PCRE2 counts steps anew from each place where a match may begin. An anchored pattern has one
 * place; for others the limit shrinks with the subject, so that all places together stay near
 * PATTERN_TOTAL_LIMIT.
 */
#define PATTERN_MATCH_LIMIT 50000 /* steps from one place: below a millisecond */
#define PATTERN_LEAST_LIMIT 2000
#define PATTERN_TOTAL_LIMIT 4000000
#define PATTERN_DEPTH_LIMIT 2000 /* nested backtracking of the interpreter */
#define PATTERN_HEAP_KIB    1024 /* memory of the interpreter, kept by the scratch between matches */

struct pattern;
struct pattern_scratch;

struct pattern_captures {
    struct weir_span
        at[PATTERN_CAPTURES_MAX]; /* into the subject; a group that took no part is {NULL, 0} */
    uint32_t count;               /* 0 when nothing was captured, else groups + 1 */
};

enum pattern_result { PATTERN_NO_MATCH, PATTERN_MATCH, PATTERN_LIMIT };

/* Returns owned. Fails with CONFIG (detail: message and offset of the fault, or too many groups) or
 * MEMORY. */
struct pattern *pattern_compile(const char *text, struct weir_err *err);
void pattern_free(struct pattern *p); /* NULL does nothing */

/* Capturing groups, $0 not counted. */
uint32_t pattern_groups(const struct pattern *p);
/* Number of the group called `name`, or 0 if there is none. */
uint32_t pattern_group_number(const struct pattern *p, struct weir_span name);

/* One for each thread that matches, for any number of patterns. Returns owned; NULL: MEMORY. */
struct pattern_scratch *pattern_scratch_new(struct weir_err *err);
void pattern_scratch_free(struct pattern_scratch *s); /* NULL does nothing */

/* *out (may be NULL) is written on PATTERN_MATCH only; its spans borrow the subject's bytes. */
enum pattern_result pattern_match(const struct pattern *p, struct weir_span subject,
                                  struct pattern_scratch *scratch, struct pattern_captures *out);

#endif
