#include "purge_wire.h"

#include <assert.h>

static void put(char *out, uint64_t n, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (char)(n >> (8 * i) & 0xff);
}

static uint64_t get(const char *in, size_t bytes)
{
    uint64_t n = 0;

    for (size_t i = 0; i < bytes; i++)
        n |= (uint64_t)(unsigned char)in[i] << (8 * i);
    return n;
}

void purge_wire_write(char *out, const struct purge_record *r, size_t count)
{
    assert(count > 0 && count <= PURGE_WIRE_MAX);
    put(out, PURGE_WIRE_VERSION, 2);
    put(out + 2, count, 2);
    for (size_t i = 0; i < count; i++) {
        char *to = out + PURGE_WIRE_BYTES(i);

        put(to, r[i].scope, 1);
        put(to + 1, r[i].mode, 1);
        put(to + 2, 0, 2);
        put(to + 4, r[i].length, 4);
        put(to + 8, r[i].hash, 8);
        put(to + 16, r[i].also, 8);
        put(to + 24, (uint64_t)r[i].time_s, 8);
    }
}

/* Exactly what purge_wire_write() may have written. */
static bool record_is_known(const char *in)
{
    uint64_t scope = get(in, 1), length = get(in + 4, 4);

    if (scope >= PURGE_SCOPES || get(in + 1, 1) > PURGE_HARD || get(in + 2, 2) != 0)
        return false;
    return scope == PURGE_PREFIX ? length > 0 && length <= PURGE_PREFIX_MAX : length == 0;
}

bool purge_wire_read(struct weir_span entry, size_t *count)
{
    size_t n;

    *count = 0;
    if (entry.len == 0)
        return true;
    if (entry.len < PURGE_WIRE_HEAD || get(entry.ptr, 2) != PURGE_WIRE_VERSION)
        return false;
    n = (size_t)get(entry.ptr + 2, 2);
    if (n == 0 || entry.len != PURGE_WIRE_BYTES(n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!record_is_known(entry.ptr + PURGE_WIRE_BYTES(i)))
            return false;
    *count = n;
    return true;
}

struct purge_record purge_wire_record(struct weir_span entry, size_t i)
{
    const char *in = entry.ptr + PURGE_WIRE_BYTES(i);

    return (struct purge_record){
        .scope = (enum purge_scope)get(in, 1),
        .mode = (enum purge_mode)get(in + 1, 1),
        .length = (uint32_t)get(in + 4, 4),
        .hash = get(in + 8, 8),
        .also = get(in + 16, 8),
        .time_s = (int64_t)get(in + 24, 8),
    };
}
