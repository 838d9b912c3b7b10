/*
 * The query of a key: first byte: the rule; the rest: the query. What comes out must come out again
 * of itself, must be made of parameters of the query, and no listed name may be left (or no other).
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "weir/arena.h"
#include "cache_settings.h"
#include "key_query.h"

static const char *const names[] = {"a", "utm_*", ""};

static bool is_listed(const char *p, size_t len)
{
    return len == 0 || (len == 1 && *p == 'a') || (len >= 4 && memcmp(p, "utm_", 4) == 0);
}

static void check_names(const struct cache_key_settings *r, struct weir_span out)
{
    size_t at = 0;

    while (at < out.len) {
        const char *end = memchr(out.ptr + at, '&', out.len - at);
        size_t len = end != NULL ? (size_t)(end - out.ptr) - at : out.len - at;
        const char *equals = memchr(out.ptr + at, '=', len);
        size_t name = equals != NULL ? (size_t)(equals - out.ptr) - at : len;

        assert(len > 0);
        assert(r->query != KEY_QUERY_ONLY || is_listed(out.ptr + at, name));
        assert(r->query != KEY_QUERY_EXCEPT || !is_listed(out.ptr + at, name));
        at += len + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_arena arena;
    struct cache_key_settings r = {.parameters = (const char **)(uintptr_t)names,
                                   .parameter_count = 3};
    struct weir_span query, once, twice;
    size_t parameters = 1;

    if (size == 0)
        return 0;
    r.query = (enum cache_key_query)(data[0] & 3);
    r.sort = (data[0] & 4) != 0;
    query = weir_span((const char *)data + 1, size - 1);
    for (size_t i = 0; i < query.len; i++)
        parameters += query.ptr[i] == '&';
    weir_arena_init(&arena, 0);
    assert(key_query_apply(&r, query, &arena, &once));
    assert(key_query_apply(&r, once, &arena, &twice));
    assert((once.ptr == NULL) == (twice.ptr == NULL) && weir_span_eq(once, twice));
    assert(once.len <= query.len);
    if (parameters <= KEY_QUERY_PARAMETERS_MAX && once.ptr != query.ptr)
        check_names(&r, once);
    weir_arena_free(&arena);
    return 0;
}
