/*
 * A key read back: what is accepted is exactly what cache_key_build() makes of the parts, and its
 * text for people stays within its bounds and is printable.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "weir/arena.h"
#include "cache_key.h"

#define TEXT_MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const struct cache_key_parts *parts, size_t room)
{
    char text[TEXT_MAX + 1];
    size_t len;

    memset(text, '\n', sizeof text);
    len = cache_key_text(parts, text, room);
    assert(len <= room && text[room] == '\n');
    for (size_t i = 0; i < len; i++)
        assert(text[i] >= 0x20 && text[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_span bytes = weir_span((const char *)data, size);
    static const struct weir_hash_secret secret;
    struct cache_key_parts parts;
    struct weir_arena arena;
    struct cache_key key;

    if (!cache_key_read(bytes, &parts))
        return 0;
    weir_arena_init(&arena, 0);
    assert(cache_key_build(&key, &parts, &secret, NULL, 0, &arena));
    assert(weir_span_eq(key.bytes, bytes));
    for (size_t room = 0; room <= TEXT_MAX; room += 37)
        check_text(&parts, room);
    check_text(&parts, TEXT_MAX);
    weir_arena_free(&arena);
    return 0;
}
