#include "weir/shared_store.h"

#include <endian.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "weir/alloc.h"

#define MAC_KEY_BYTES 32
#define HASH_BYTES    16
#define CHECK_BYTES   8
#define MAC_BYTES     32 /* what BLAKE2s gives; the first HASH_BYTES + CHECK_BYTES are used */

struct store_names {
    /* Keyed; started anew for each name, so that nothing is fetched or allocated. */
    EVP_MAC_CTX *mac;
};

/* ---- secrets ---- */

static bool hkdf(EVP_KDF_CTX *ctx, struct weir_span secret, struct weir_span label, void *out,
                 size_t len)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.ptr,
                                          secret.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)label.ptr,
                                          label.len),
        OSSL_PARAM_construct_end(),
    };

    return EVP_KDF_derive(ctx, out, len, params) == 1;
}

bool store_derive(struct weir_span secret, struct weir_span label, void *out, size_t len,
                  struct weir_err *err)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx != NULL && secret.len > 0 && hkdf(ctx, secret, label, out, len);

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok || weir_fail(err, WEIR_E_INTERNAL, "store: derive a secret", 0);
}

/* ---- hashes ---- */

/* Each farm has its own key, so that the names of two farms differ even for one secret. */
static bool mac_key(struct weir_span secret, struct weir_span farm, unsigned char *key,
                    struct weir_err *err)
{
    static const char use[] = "weir store names 1:";
    char label[512];

    if (farm.len > sizeof(label) - sizeof(use))
        return weir_fail(err, WEIR_E_INTERNAL, "store: the farm's name is too long", 0);
    memcpy(label, use, sizeof(use) - 1);
    if (farm.len > 0)
        memcpy(label + sizeof(use) - 1, farm.ptr, farm.len);
    return store_derive(secret, weir_span(label, sizeof(use) - 1 + farm.len), key, MAC_KEY_BYTES,
                        err);
}

static EVP_MAC_CTX *keyed_mac(const unsigned char *key)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
    EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;

    EVP_MAC_free(mac); /* the context holds its own reference */
    if (ctx != NULL && EVP_MAC_init(ctx, key, MAC_KEY_BYTES, NULL) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

struct store_names *store_names_new(struct weir_span farm_secret, struct weir_span farm_name,
                                    struct weir_err *err)
{
    struct store_names *n = weir_calloc(1, sizeof(*n));
    unsigned char key[MAC_KEY_BYTES];

    if (n == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "store: names", 0);
        return NULL;
    }
    if (!mac_key(farm_secret, farm_name, key, err)) {
        store_names_free(n);
        return NULL;
    }
    n->mac = keyed_mac(key);
    OPENSSL_cleanse(key, sizeof(key));
    if (n->mac == NULL) {
        weir_fail(err, WEIR_E_INTERNAL, "store: BLAKE2SMAC", 0);
        store_names_free(n);
        return NULL;
    }
    return n;
}

void store_names_free(struct store_names *n)
{
    if (n == NULL)
        return;
    EVP_MAC_CTX_free(n->mac);
    weir_free(n);
}

static bool hash(struct store_names *n, struct weir_span first, struct weir_span second,
                 unsigned char out[MAC_BYTES])
{
    size_t len = 0;

    return EVP_MAC_init(n->mac, NULL, 0, NULL) == 1 && /* the same key again */
           EVP_MAC_update(n->mac, (const unsigned char *)first.ptr, first.len) == 1 &&
           EVP_MAC_update(n->mac, (const unsigned char *)second.ptr, second.len) == 1 &&
           EVP_MAC_final(n->mac, out, &len, MAC_BYTES) == 1 && len == MAC_BYTES;
}

/* base64url without padding (RFC 4648 5): 17 bytes less for each key than hexadecimal digits, in
 * an allocator that rounds to 16. */
static void to_text(const unsigned char *bytes, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned have = 0;
    size_t i;

    for (i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        for (have += 8; have >= 6; have -= 6)
            *out++ = digits[bits >> (have - 6) & 63];
    }
    if (have > 0)
        *out = digits[bits << (6 - have) & 63];
}

static uint64_t check_of(const unsigned char *mac)
{
    uint64_t check;

    memcpy(&check, mac + HASH_BYTES, CHECK_BYTES); /* only ever compared with itself as a number */
    return le64toh(check);
}

/* What is hashed begins with what it is the hash of: a key can never be taken for a variant. */
bool store_name_of(struct store_names *n, struct weir_span cache_key, struct store_name *out)
{
    unsigned char mac[MAC_BYTES];

    if (!hash(n, WEIR_SPAN_LIT("k"), cache_key, mac))
        return false;
    memset(out, 0, sizeof(*out));
    to_text(mac, HASH_BYTES, out->base);
    out->check = out->base_check = check_of(mac);
    return true;
}

bool store_name_variant(struct store_names *n, const struct store_name *base,
                        struct weir_span variant, struct store_name *out)
{
    unsigned char mac[MAC_BYTES];
    char start[1 + STORE_HASH_TEXT] = "v";

    memcpy(start + 1, base->base, STORE_HASH_TEXT);
    if (!hash(n, weir_span(start, sizeof(start)), variant, mac))
        return false;
    *out = *base;
    to_text(mac, HASH_BYTES, out->variant);
    out->check = check_of(mac);
    out->base_check = base->base_check;
    return true;
}

/* ---- keys ---- */

_Static_assert(4 + 2 * STORE_HASH_TEXT + 3 <= STORE_KEY_MAX, "the longest key fits");

struct weir_span store_key(const struct store_name *name, enum store_key what,
                           char buf[STORE_KEY_MAX])
{
    bool varied = name->variant[0] != '\0' && what != STORE_KEY_OPEN;
    char *at = buf;

    memcpy(at, "w1:{", 4);
    memcpy(at + 4, name->base, STORE_HASH_TEXT);
    at += 4 + STORE_HASH_TEXT;
    memcpy(at, "}:", 2);
    at[2] = (char)(varied && what == STORE_KEY_META ? 'v' : (char)what);
    at += 3;
    if (varied) {
        memcpy(at, name->variant, STORE_HASH_TEXT);
        at += STORE_HASH_TEXT;
    }
    return weir_span(buf, (size_t)(at - buf));
}
