#include "pattern.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "weir/alloc.h"

struct pattern {
    pcre2_code *code;
    uint32_t groups;
    bool anchored; /* can only match at the begin */
};

struct pattern_scratch {
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static void *allocate(size_t size, void *unused)
{
    (void)unused;
    return weir_malloc(size);
}

static void release(void *block, void *unused)
{
    (void)unused;
    weir_free(block);
}

/* PCRE2 copies the functions into whatever is made with the context, so it need not outlive its
 * use. */
static pcre2_general_context *allocator_new(struct weir_err *err)
{
    pcre2_general_context *general = pcre2_general_context_create(allocate, release, NULL);

    if (general == NULL)
        weir_fail(err, WEIR_E_MEMORY, "pattern: allocator", 0);
    return general;
}

static bool compile_failed(int code, size_t offset, struct weir_err *err)
{
    PCRE2_UCHAR text[128];

    if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED)
        return weir_fail(err, WEIR_E_MEMORY, "pattern: compile", 0);
    pcre2_get_error_message(code, text, sizeof(text));
    return weir_failf(err, WEIR_E_CONFIG, "pattern: compile", 0, "at offset %zu: %s", offset,
                      (const char *)text);
}

static pcre2_code *compile_code(const char *text, struct weir_err *err)
{
    /* No UTF: a path is bytes, and an invalid sequence must not make a match fail by itself. */
    const uint32_t options =
        PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;
    pcre2_general_context *general = allocator_new(err);
    pcre2_compile_context *context;
    pcre2_code *code = NULL;
    size_t offset = 0;
    int failure = 0;

    if (general == NULL)
        return NULL;
    context = pcre2_compile_context_create(general);
    if (context == NULL)
        weir_fail(err, WEIR_E_MEMORY, "pattern: context", 0);
    else
        code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &failure, &offset,
                             context);
    if (context != NULL && code == NULL)
        compile_failed(failure, offset, err);
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    return code;
}

struct pattern *pattern_compile(const char *text, struct weir_err *err)
{
    struct pattern *p = weir_calloc(1, sizeof(*p));
    uint32_t options = 0;

    if (p == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "pattern: compile", 0);
        return NULL;
    }
    p->code = compile_code(text, err);
    if (p->code == NULL)
        goto fail;
    pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &p->groups);
    pcre2_pattern_info(p->code, PCRE2_INFO_ALLOPTIONS, &options);
    p->anchored = (options & PCRE2_ANCHORED) != 0;
    if (p->groups >= PATTERN_CAPTURES_MAX) {
        weir_failf(err, WEIR_E_CONFIG, "pattern: compile", 0,
                   "%u capturing groups, at most %d are possible; (?:...) does not capture",
                   p->groups, PATTERN_CAPTURES_MAX - 1);
        goto fail;
    }
    /* Refused where memory may not be made executable (MemoryDenyWriteExecute): then it is
     * interpreted. */
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
    return p;
fail:
    pattern_free(p);
    return NULL;
}

void pattern_free(struct pattern *p)
{
    if (p == NULL)
        return;
    pcre2_code_free(p->code);
    weir_free(p);
}

uint32_t pattern_groups(const struct pattern *p)
{
    return p->groups;
}

uint32_t pattern_group_number(const struct pattern *p, struct weir_span name)
{
    char text[33]; /* PCRE2 names have at most 32 bytes */
    int number;

    if (name.len >= sizeof(text))
        return 0;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    number = pcre2_substring_number_from_name(p->code, (PCRE2_SPTR)text);
    return number > 0 ? (uint32_t)number : 0;
}

static bool scratch_fill(struct pattern_scratch *s, struct weir_err *err)
{
    pcre2_general_context *general = allocator_new(err);

    if (general == NULL)
        return false;
    s->data = pcre2_match_data_create(PATTERN_CAPTURES_MAX, general);
    s->limits = pcre2_match_context_create(general);
    pcre2_general_context_free(general);
    if (s->data == NULL || s->limits == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "pattern: scratch", 0);
    pcre2_set_depth_limit(s->limits, PATTERN_DEPTH_LIMIT);
    pcre2_set_heap_limit(s->limits, PATTERN_HEAP_KIB);
    return true;
}

struct pattern_scratch *pattern_scratch_new(struct weir_err *err)
{
    struct pattern_scratch *s = weir_calloc(1, sizeof(*s));

    if (s == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "pattern: scratch", 0);
        return NULL;
    }
    if (scratch_fill(s, err))
        return s;
    pattern_scratch_free(s);
    return NULL;
}

void pattern_scratch_free(struct pattern_scratch *s)
{
    if (s == NULL)
        return;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->limits);
    weir_free(s);
}

static void copy_captures(struct weir_span subject, pcre2_match_data *data, uint32_t count,
                          struct pattern_captures *out)
{
    const size_t *at = pcre2_get_ovector_pointer(data);

    out->count = count;
    for (uint32_t i = 0; i < count; i++) {
        size_t begin = at[2 * i], end = at[2 * i + 1];

        /* \K inside a lookahead can put the begin behind the end: such a capture is empty. */
        if (begin == PCRE2_UNSET || end < begin)
            out->at[i] = WEIR_SPAN_NONE;
        else
            out->at[i] = weir_span(subject.ptr + begin, end - begin);
    }
}

/*
 * PCRE2 counts anew from each place where a match may begin, so a long subject multiplies its
 * limit. An anchored pattern begins at one place.
 */
static uint32_t match_limit(const struct pattern *p, size_t len)
{
    if (p->anchored || len <= PATTERN_TOTAL_LIMIT / PATTERN_MATCH_LIMIT)
        return PATTERN_MATCH_LIMIT;
    if (len >= PATTERN_TOTAL_LIMIT / PATTERN_LEAST_LIMIT)
        return PATTERN_LEAST_LIMIT;
    return (uint32_t)(PATTERN_TOTAL_LIMIT / len);
}

enum pattern_result pattern_match(const struct pattern *p, struct weir_span subject,
                                  struct pattern_scratch *scratch, struct pattern_captures *out)
{
    PCRE2_SPTR bytes = (PCRE2_SPTR)(subject.ptr != NULL ? subject.ptr : "");
    int rc;

    pcre2_set_match_limit(scratch->limits, match_limit(p, subject.len));
    rc = pcre2_match(p->code, bytes, subject.len, 0, 0, scratch->data, scratch->limits);

    /* The JIT code has 32 KiB of machine stack; the interpreter may succeed where that does not do.
     */
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(p->code, bytes, subject.len, 0, PCRE2_NO_JIT, scratch->data,
                         scratch->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return PATTERN_NO_MATCH;
    if (rc < 0)
        return PATTERN_LIMIT; /* match, depth or heap limit; or no memory, which is a limit too */
    if (out != NULL) {
        /* Groups behind the last one that took part are not in rc, but are captures all the same.
         */
        copy_captures(subject, scratch->data, (uint32_t)rc, out);
        for (uint32_t i = (uint32_t)rc; i <= p->groups; i++)
            out->at[i] = WEIR_SPAN_NONE;
        out->count = p->groups + 1;
    }
    return PATTERN_MATCH;
}
