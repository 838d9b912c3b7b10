/*
 * No-Vary-Search: a field line, a zero byte, a query. The form of a form is the form itself, and a
 * parameter that matters to nobody changes nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "weir/arena.h"
#include "http_head.h"
#include "search_rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    struct weir_arena arena;
    struct http_field field;
    struct http_head head;
    struct search_rule *rule;
    struct weir_span query, once, twice;

    if (zero == NULL)
        return 0;
    weir_arena_init(&arena, 0);
    http_head_init(&head, &field, 1);
    http_head_add_id(&head, NULL, HTTP_F_NO_VARY_SEARCH,
                     weir_span((const char *)data, (size_t)(zero - data)));
    query = weir_span((const char *)zero + 1, size - (size_t)(zero - data) - 1);
    rule = search_rule_from(&head, &arena);
    if (rule != NULL && search_rule_apply(rule, query, &arena, &once)) {
        assert(search_rule_apply(rule, once, &arena, &twice));
        assert(weir_span_eq(once, twice));
        assert(once.len <= 3 * query.len + 2 * SEARCH_PARAMETERS_MAX);
    }
    search_rule_unref(rule);
    weir_arena_free(&arena);
    return 0;
}
