/*
 * fuzz_tags.c - field lines: the tags and groups of whatever they say.
 *
 * Holds: tags lie inside their value and hold no separator; the text kept yields the same tags
 * again; what is counted is what is written.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "weir/arena.h"
#include "weir/hash.h"

#include "http_head.h"
#include "purge.h"
#include "tags.h"

#define FIELDS 32

static const char *const usual[] = {"Surrogate-Key", "Cache-Tag", "X-Tags"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_lines(struct http_head *h, const char *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end != NULL ? (size_t)(end - text) - at : len - at;
        const char *colon = memchr(text + at, ':', line);

        if (colon != NULL && h->count < FIELDS) {
            size_t name = (size_t)(colon - text) - at;

            (void)http_head_add(h, NULL, weir_span(text + at, name),
                                weir_span_trim(weir_span(colon + 1, line - name - 1)));
        }
        at += line + (end != NULL);
    }
}

/* Tags hold neither space nor tab, so the text splits into them again. */
static void check_text(const struct tags *t, const struct purge_table *table)
{
    struct weir_span rest = t->text, tag;
    uint32_t n = 0;

    while (tags_next(&rest, false, &tag)) {
        assert(n < t->count);
        assert(t->hashes[n] == purge_tag_hash(table, tag));
        n++;
    }
}

static void note_group(struct weir_span group, void *arg)
{
    size_t *bytes = arg;

    for (size_t i = 0; i < group.len; i++) /* strings are visible ASCII and spaces */
        assert(group.ptr[i] >= ' ' && group.ptr[i] <= '~');
    *bytes += group.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct weir_hash_secret secret;
    static struct purge_table *table; /* made once: it is large */
    struct http_field fields[FIELDS];
    struct http_head head;
    struct weir_arena arena;
    struct tags tags;
    struct tags_question q = {.response = &head,
                              .fields = usual,
                              .field_count = 3,
                              .scheme = WEIR_SPAN_LIT("http"),
                              .authority = WEIR_SPAN_LIT("a")};
    size_t bytes = 0;

    if (table == NULL)
        table = purge_new(&secret, 1, NULL);
    assert(table != NULL);
    weir_arena_init(&arena, 0);
    http_head_init(&head, fields, FIELDS);
    read_lines(&head, (const char *)data, size);
    if (tags_of(&tags, &q, table, &arena))
        check_text(&tags, table);
    (void)tags_invalidated_groups(&head, &arena, note_group, &bytes);
    assert(bytes <= size);
    weir_arena_free(&arena);
    return 0;
}
