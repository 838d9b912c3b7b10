/*
 * Entries of the log of purges: what can be read is written again byte for byte, and applied to a
 * table without harm.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "purge_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct purge_table *table; /* made once: it is large */
    static struct weir_hash_secret secret;
    static uint64_t id;
    struct weir_span entry = weir_span((const char *)data, size);
    struct purge_record *r;
    size_t count;
    char *again;

    if (table == NULL)
        table = purge_new(&secret, 1000, NULL);
    assert(table != NULL);
    if (!purge_wire_read(entry, &count) || count == 0)
        return 0;
    r = malloc(count * sizeof *r);
    again = malloc(PURGE_WIRE_BYTES(count));
    assert(r != NULL && again != NULL);
    for (size_t i = 0; i < count; i++)
        r[i] = purge_wire_record(entry, i);
    purge_wire_write(again, r, count);
    assert(size == PURGE_WIRE_BYTES(count) && memcmp(again, data, size) == 0);
    purge_log_apply(table, r, count, ++id);
    free(r);
    free(again);
    return 0;
}
