#include "weir/hash.h"

#include <errno.h>
#include <sys/random.h>

/* Inlined: cache keys are short, and for those the call costs as much as the hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(((struct weir_hash_secret *)0)->bytes) >= XXH3_SECRET_SIZE_MIN,
               "the secret is long enough for XXH3");

bool weir_hash_secret_draw(struct weir_hash_secret *s, struct weir_err *err)
{
    ssize_t n;

    /* Up to 256 bytes come whole or not at all; only the wait for the first entropy can be
     * interrupted. */
    do
        n = getrandom(s->bytes, sizeof(s->bytes), 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(s->bytes))
        return weir_fail(err, WEIR_E_INTERNAL, "hash: getrandom", n < 0 ? errno : 0);
    return true;
}

struct weir_hash128 weir_hash128(const struct weir_hash_secret *s, const void *bytes, size_t len)
{
    XXH128_hash_t h = XXH3_128bits_withSecret(bytes, len, s->bytes, sizeof(s->bytes));

    return (struct weir_hash128){.lo = h.low64, .hi = h.high64};
}

uint64_t weir_hash64(const struct weir_hash_secret *s, const void *bytes, size_t len)
{
    return XXH3_64bits_withSecret(bytes, len, s->bytes, sizeof(s->bytes));
}
