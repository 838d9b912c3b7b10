/* Votes of another node: whatever comes, what is valid is found again, vote by vote. */
#include "votes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t id_at(const uint8_t *p)
{
    uint64_t id = 0;

    for (int i = 0; i < 8; i++)
        id = id << 8 | p[i];
    return id;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct weir_span bytes = {(const char *)data, size};
    char again[VOTES_ONE_BYTES + VOTES_HEAD_BYTES];
    struct vote v;

    if (!votes_valid(bytes))
        return 0;
    for (size_t i = 0; i < votes_count(bytes); i++) {
        const uint8_t *p = data + VOTES_HEAD_BYTES + i * VOTES_ONE_BYTES;

        MUST(votes_find(bytes, id_at(p), &v));
        MUST(v.check == id_at(p) && v.vote != HEALTH_NONE && v.reason < HEALTH_REASONS);
        votes_put(&v, 0, again);
        if (p[9] < HEALTH_REASONS)
            MUST(memcmp(again + VOTES_HEAD_BYTES, p, VOTES_ONE_BYTES) == 0);
    }
    MUST(size == 0 || votes_bytes(votes_count(bytes)) == size);
    return 0;
}
