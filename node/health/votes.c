#include "votes.h"

#include <string.h>

#define FORMAT 1

static void put_u64(char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (char)(v >> (56 - 8 * i));
}

static uint64_t take_u64(const char *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

void votes_put(const struct vote *v, size_t i, char *out)
{
    char *p = out + VOTES_HEAD_BYTES + i * VOTES_ONE_BYTES;

    out[0] = FORMAT;
    put_u64(p, v->check);
    p[8] = (char)v->vote;
    p[9] = (char)v->reason;
    p[10] = (char)(v->run >> 8);
    p[11] = (char)v->run;
}

static const char *nth(struct weir_span bytes, size_t i)
{
    return bytes.ptr + VOTES_HEAD_BYTES + i * VOTES_ONE_BYTES;
}

size_t votes_count(struct weir_span bytes)
{
    return bytes.len == 0 ? 0 : (bytes.len - VOTES_HEAD_BYTES) / VOTES_ONE_BYTES;
}

bool votes_valid(struct weir_span bytes)
{
    if (bytes.len == 0)
        return true;
    if (bytes.ptr[0] != FORMAT || (bytes.len - VOTES_HEAD_BYTES) % VOTES_ONE_BYTES != 0)
        return false;
    for (size_t i = 0; i < votes_count(bytes); i++) {
        const char *p = nth(bytes, i);

        if (p[8] != HEALTH_VOTE_UP && p[8] != HEALTH_VOTE_DOWN)
            return false;
        if (i > 0 && take_u64(nth(bytes, i - 1)) >= take_u64(p))
            return false;
    }
    return true;
}

static void read_one(const char *p, struct vote *out)
{
    const unsigned reason = (unsigned char)p[9];

    out->check = take_u64(p);
    out->vote = (enum health_vote)p[8];
    out->reason = reason < HEALTH_REASONS ? (enum health_reason)reason : HEALTH_R_NONE;
    out->run = (uint16_t)((unsigned char)p[10] << 8 | (unsigned char)p[11]);
}

bool votes_find(struct weir_span bytes, uint64_t check, struct vote *out)
{
    size_t low = 0, high = votes_count(bytes);

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const uint64_t id = take_u64(nth(bytes, middle));

        if (id == check) {
            read_one(nth(bytes, middle), out);
            return true;
        }
        if (id < check)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
