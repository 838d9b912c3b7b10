#include "netset.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "weir/alloc.h"
#include "weir/span.h"

#define WORD_MAX 64 /* the longest network is 43 bytes; "unix" and nonsense aside */

/* Addresses as big-endian bytes, so that memcmp orders them. IPv4 uses the first four. */
struct range {
    unsigned char low[16];
    unsigned char high[16];
};

struct ranges {
    struct range *at;
    size_t count, cap;
    size_t width; /* bytes of an address: 4 or 16 */
};

struct netset {
    struct ranges v4, v6;
    bool unix_peers;
    bool sealed;
};

struct network {
    unsigned char addr[16];
    size_t width;
    unsigned bits;
};

struct netset *netset_new(struct weir_err *err)
{
    struct netset *set = weir_calloc(1, sizeof(*set));

    if (set == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "netset: new", 0);
        return NULL;
    }
    set->v4.width = 4;
    set->v6.width = 16;
    return set;
}

void netset_free(struct netset *set)
{
    if (set == NULL)
        return;
    weir_free(set->v4.at);
    weir_free(set->v6.at);
    weir_free(set);
}

/* ---- words ---- */

static bool bad_word(const char *word, const char *why, struct weir_err *err)
{
    return weir_failf(err, WEIR_E_CONFIG, "netset: parse", 0, "'%.64s' %s", word, why);
}

/* "::ffff:a.b.c.d/n" with n >= 96 is IPv4 a.b.c.d/(n - 96). */
static void unmap(struct network *n)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (n->width != 16 || n->bits < 96 || memcmp(n->addr, mapped, sizeof(mapped)) != 0)
        return;
    memmove(n->addr, n->addr + 12, 4);
    n->width = 4;
    n->bits -= 96;
}

/* Clears the bits behind the prefix; true if some were set. */
static bool clear_host_bits(struct network *n)
{
    bool had = false;

    for (unsigned bit = n->bits; bit < n->width * 8; bit++) {
        unsigned char mask = (unsigned char)(0x80 >> bit % 8);

        had = had || (n->addr[bit / 8] & mask) != 0;
        n->addr[bit / 8] &= (unsigned char)~mask;
    }
    return had;
}

static bool host_bits_set(const char *word, const struct network *n, struct weir_err *err)
{
    char text[INET6_ADDRSTRLEN] = "";

    inet_ntop(n->width == 4 ? AF_INET : AF_INET6, n->addr, text, sizeof(text));
    return weir_failf(err, WEIR_E_CONFIG, "netset: parse", 0,
                      "'%.64s' has bits set behind its prefix; the network is %s/%u", word, text,
                      n->bits);
}

static bool parse_bits(const char *word, const char *text, struct network *n, struct weir_err *err)
{
    unsigned long long bits;

    if (!weir_span_u64(weir_span_str(text), n->width * 8, &bits) ||
        (text[0] == '0' && text[1] != '\0'))
        return bad_word(word,
                        n->width == 4 ? "has no prefix length from 0 to 32 after '/'"
                                      : "has no prefix length from 0 to 128 after '/'",
                        err);
    n->bits = (unsigned)bits;
    return true;
}

static bool parse_network(const char *word, struct network *n, struct weir_err *err)
{
    char text[WORD_MAX];
    char *slash;

    memset(n, 0, sizeof(*n));
    if (strlen(word) >= sizeof(text))
        return bad_word(word, "is no network", err);
    strcpy(text, word); /* fits: see above */
    slash = strchr(text, '/');
    if (slash != NULL)
        *slash = '\0';
    if (inet_pton(AF_INET, text, n->addr) == 1)
        n->width = 4;
    else if (inet_pton(AF_INET6, text, n->addr) == 1)
        n->width = 16;
    else
        return bad_word(word,
                        "is no network: expected an address such as 192.0.2.7, 10.0.0.0/8 or "
                        "2001:db8::/32, or \"unix\"",
                        err);
    n->bits = (unsigned)n->width * 8;
    if (slash != NULL && !parse_bits(word, slash + 1, n, err))
        return false;
    unmap(n);
    return !clear_host_bits(n) || host_bits_set(word, n, err);
}

static bool ranges_add(struct ranges *r, const struct network *n, struct weir_err *err)
{
    struct range *range;

    if (r->count == r->cap) {
        size_t cap = r->cap == 0 ? 8 : r->cap * 2;
        struct range *bigger = weir_realloc(r->at, cap * sizeof(*bigger));

        if (bigger == NULL)
            return weir_fail(err, WEIR_E_MEMORY, "netset: add", 0);
        r->at = bigger;
        r->cap = cap;
    }
    range = &r->at[r->count++];
    memcpy(range->low, n->addr, 16);
    memcpy(range->high, n->addr, 16);
    for (unsigned bit = n->bits; bit < r->width * 8; bit++)
        range->high[bit / 8] |= (unsigned char)(0x80 >> bit % 8);
    return true;
}

bool netset_add(struct netset *set, const char *word, struct weir_err *err)
{
    struct network n;

    if (strcmp(word, "unix") == 0) {
        set->unix_peers = true;
        return true;
    }
    if (!parse_network(word, &n, err))
        return false;
    set->sealed = false;
    return ranges_add(n.width == 4 ? &set->v4 : &set->v6, &n, err);
}

/* ---- the sealed set ---- */

static int by_low(const void *a, const void *b)
{
    const struct range *left = a, *right = b;

    return memcmp(left->low, right->low, sizeof(left->low));
}

/* Networks overlap only by nesting, so what begins inside the last kept range ends inside it. */
static void ranges_seal(struct ranges *r)
{
    size_t kept = 0;

    if (r->count == 0)
        return;
    qsort(r->at, r->count, sizeof(*r->at), by_low);
    for (size_t i = 1; i < r->count; i++) {
        struct range *last = &r->at[kept];

        if (memcmp(r->at[i].low, last->high, r->width) > 0)
            r->at[++kept] = r->at[i];
        else if (memcmp(r->at[i].high, last->high, r->width) > 0)
            memcpy(last->high, r->at[i].high, r->width); /* same begin, the wider one came later */
    }
    r->count = kept + 1;
}

void netset_seal(struct netset *set)
{
    ranges_seal(&set->v4);
    ranges_seal(&set->v6);
    set->sealed = true;
}

struct netset *netset_compile(const char **words, size_t count, struct weir_err *err)
{
    struct netset *set = netset_new(err);

    if (set == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (!netset_add(set, words[i], err)) {
            netset_free(set);
            return NULL;
        }
    }
    netset_seal(set);
    return set;
}

static bool ranges_have(const struct ranges *r, const unsigned char *addr)
{
    size_t low = 0, high = r->count;

    while (low < high) { /* the first range that does not end before addr */
        size_t middle = low + (high - low) / 2;

        if (memcmp(r->at[middle].high, addr, r->width) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->count && memcmp(r->at[low].low, addr, r->width) <= 0;
}

static bool has_v6(const struct netset *set, const struct sockaddr *addr)
{
    struct sockaddr_in6 in6;

    memcpy(&in6, addr, sizeof(in6));
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
        return ranges_have(&set->v4, in6.sin6_addr.s6_addr + 12);
    return ranges_have(&set->v6, in6.sin6_addr.s6_addr);
}

bool netset_has(const struct netset *set, const struct sockaddr *addr)
{
    if (set == NULL || addr == NULL)
        return false;
    assert(set->sealed);
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, addr, sizeof(in));
        return ranges_have(&set->v4, (const unsigned char *)&in.sin_addr);
    }
    if (addr->sa_family == AF_INET6)
        return has_v6(set, addr);
    return addr->sa_family == AF_UNIX && set->unix_peers;
}
