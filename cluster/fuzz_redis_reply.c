/*
 * Bytes from Redis: read whole, in pieces and byte by byte, copied and received in place, they are
 * the same replies, and end in the same error or none. Limits are small, so that they are met.
 */
#include "redis_reply.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_redis_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *bytes, size_t size, const char *whole, size_t step, bool room)
{
    static const struct redis_limits limits = {4096, 8192};
    char *again = dump_stream(bytes, size, step, room, &limits);

    if (strcmp(again, whole) != 0) {
        fprintf(stderr, "by %zu: %s\nwhole: %s\n", step, again, whole);
        abort();
    }
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct redis_limits limits = {4096, 8192};
    const char *bytes = (const char *)data;
    char *whole;

    if (size > 1 << 18)
        return 0;
    whole = dump_stream(bytes, size, size > 0 ? size : 1, false, &limits);
    check(bytes, size, whole, 1, false);
    check(bytes, size, whole, 1, true);
    check(bytes, size, whole, 7, false);
    check(bytes, size, whole, 100, true);
    free(whole);
    return 0;
}
