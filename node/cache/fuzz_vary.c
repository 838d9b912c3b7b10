/*
 * fuzz_vary.c - response lines, an empty line, request lines: variant keys of whatever they say.
 *
 * Holds: a request matches the key it makes, whichever memory the key was written to; a key that is
 * cut does not match; what was normalised once is normal; any bytes may be matched as a key.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "weir/arena.h"

#include "http_head.h"
#include "vary.h"

#define FIELDS 32

/* Lines up to an empty one; returns where the rest begins. Names and values may be any bytes. */
static size_t read_lines(struct http_head *h, const char *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end != NULL ? (size_t)(end - text) - at : len - at;
        const char *colon = memchr(text + at, ':', line);

        if (line == 0)
            return at + 1;
        if (colon != NULL && h->count < FIELDS) {
            size_t name = (size_t)(colon - text) - at;

            (void)http_head_add(h, NULL, weir_span(text + at, name),
                                weir_span_trim(weir_span(colon + 1, line - name - 1)));
        }
        at += line + (end != NULL);
    }
    return len;
}

static void check_encoding(const struct http_head *request)
{
    char once[VARY_ACCEPT_ENCODING_MAX], twice[VARY_ACCEPT_ENCODING_MAX];
    size_t len = vary_accept_encoding(request, once);
    struct http_field field[1];
    struct http_head again;

    assert(len <= sizeof(once));
    assert((len == 0) == !http_head_has(request, HTTP_F_ACCEPT_ENCODING));
    if (len == 0)
        return;
    http_head_init(&again, field, 1);
    assert(http_head_add_id(&again, NULL, HTTP_F_ACCEPT_ENCODING, weir_span(once, len)));
    assert(vary_accept_encoding(&again, twice) == len && memcmp(once, twice, len) == 0);
}

static void check_key(const struct vary_spec *spec, const struct http_head *request)
{
    struct weir_arena arena;
    struct weir_span key, other;
    char buf[64];

    weir_arena_init(&arena, 0);
    key = vary_key(spec, request, buf, sizeof(buf), &arena);
    other = vary_key(spec, request, NULL, 0, &arena);
    assert((key.ptr == NULL) == spec->star);
    assert(weir_span_eq(key, other));
    assert(key.ptr == NULL || vary_matches(key, request));
    if (key.len > 0)
        assert(!vary_matches(weir_span(key.ptr, key.len - 1), request));
    weir_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct http_field response_fields[FIELDS], request_fields[FIELDS];
    struct http_head response, request;
    struct vary_spec spec;
    size_t at;

    http_head_init(&response, response_fields, FIELDS);
    http_head_init(&request, request_fields, FIELDS);
    at = read_lines(&response, text, size);
    read_lines(&request, text + at, size - at);
    vary_parse(&response, &spec);
    assert(spec.fields <= VARY_FIELDS_MAX && spec.names_len <= VARY_NAMES_MAX);
    check_key(&spec, &request);
    check_encoding(&request);
    (void)vary_matches(weir_span(text, size), &request);
    return 0;
}
