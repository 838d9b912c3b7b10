#include "sticky.h"

#include <assert.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/hash.h"

#include "origin_state.h"

struct sticky {
    size_t count;
    uint64_t ids[]; /* by index of the origin */
};

/* Keyed hash of "upstream NUL url": two upstreams may share an origin, not a binding. */
static bool identity(const struct weir_hash_secret *secret, const struct origin_state *state,
                     uint64_t *out)
{
    const size_t upstream_size = strlen(state->upstream) + 1;
    const size_t url_len = strlen(state->url);
    char *text = weir_malloc(upstream_size + url_len);

    if (text == NULL)
        return false;
    memcpy(text, state->upstream, upstream_size);
    memcpy(text + upstream_size, state->url, url_len);
    *out = weir_hash64(secret, text, upstream_size + url_len);
    weir_free(text);
    return true;
}

struct sticky *sticky_new(const struct weir_hash_secret *secret, struct origin_state *const *states,
                          size_t count, struct weir_err *err)
{
    struct sticky *s = weir_malloc(sizeof(*s) + count * sizeof(*s->ids));
    bool ok = s != NULL;

    for (size_t i = 0; ok && i < count; i++)
        ok = identity(secret, states[i], &s->ids[i]);
    if (!ok) {
        weir_fail(err, WEIR_E_MEMORY, "origin: sticky", 0);
        weir_free(s);
        return NULL;
    }
    s->count = count;
    return s;
}

void sticky_free(struct sticky *s)
{
    weir_free(s);
}

void sticky_value(const struct sticky *s, int i, char out[STICKY_VALUE_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";

    assert(i >= 0 && (size_t)i < s->count);
    for (int k = 0; k < STICKY_VALUE_LEN; k++)
        out[k] = digits[(s->ids[i] >> (60 - 4 * k)) & 15];
    out[STICKY_VALUE_LEN] = '\0';
}

/* Lower case only: what sticky_value() wrote comes back unchanged or is not ours. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int sticky_find(const struct sticky *s, struct weir_span value)
{
    uint64_t id = 0;

    if (value.len != STICKY_VALUE_LEN)
        return -1;
    for (size_t k = 0; k < value.len; k++) {
        const int digit = hex_digit(value.ptr[k]);

        if (digit < 0)
            return -1;
        id = id << 4 | (uint64_t)digit;
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->ids[i] == id)
            return (int)i;
    return -1;
}
