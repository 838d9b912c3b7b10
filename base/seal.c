#include "weir/seal.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#define MAC_BYTES 32 /* of HMAC-SHA256; the first WEIR_SEAL_BYTES are used */

/* ---- keys ---- */

static bool hkdf(EVP_KDF_CTX *ctx, struct weir_span secret, struct weir_span label,
                 struct weir_seal_key *k)
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

    return EVP_KDF_derive(ctx, k->bytes, sizeof k->bytes, params) == 1;
}

static bool derive(struct weir_span secret, struct weir_span label, struct weir_seal_key *k)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx != NULL && hkdf(ctx, secret, label, k);

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

/* Two farms with one secret must not open each other's seals: the name is part of the label. */
bool weir_seal_key_derive(struct weir_seal_key *k, struct weir_span secret, struct weir_span farm,
                          struct weir_err *err)
{
    static const char use[] = "weir seal 1:";
    char label[512];

    if (secret.len == 0)
        return RAND_bytes(k->bytes, (int)sizeof k->bytes) == 1 ||
               weir_fail(err, WEIR_E_INTERNAL, "seal: draw a key", 0);
    if (farm.len > sizeof label - sizeof use)
        return weir_fail(err, WEIR_E_INTERNAL, "seal: the farm's name is too long", 0);
    memcpy(label, use, sizeof use - 1);
    if (farm.len > 0)
        memcpy(label + sizeof use - 1, farm.ptr, farm.len);
    return derive(secret, weir_span(label, sizeof use - 1 + farm.len), k) ||
           weir_fail(err, WEIR_E_INTERNAL, "seal: derive a key", 0);
}

/* ---- seals ---- */

static EVP_MAC_CTX *keyed(const struct weir_seal_key *k)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;

    EVP_MAC_free(hmac); /* the context holds its own reference */
    if (ctx != NULL && EVP_MAC_init(ctx, k->bytes, sizeof k->bytes, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

static bool add(EVP_MAC_CTX *ctx, const char *bytes, size_t len)
{
    return len == 0 || EVP_MAC_update(ctx, (const unsigned char *)bytes, len) == 1;
}

/* A place with a NUL in it could be told from the bytes behind it in two ways: none is sealed. */
static bool authenticate(const struct weir_seal_key *k, const char *purpose, struct weir_span place,
                         struct weir_span bytes, unsigned char mac[MAC_BYTES])
{
    EVP_MAC_CTX *ctx;
    size_t len = 0;
    bool ok;

    if (place.len > 0 && memchr(place.ptr, '\0', place.len) != NULL)
        return false;
    ctx = keyed(k);
    ok = ctx != NULL && add(ctx, purpose, strlen(purpose) + 1) && add(ctx, place.ptr, place.len) &&
         add(ctx, "", 1) && add(ctx, bytes.ptr, bytes.len) &&
         EVP_MAC_final(ctx, mac, &len, MAC_BYTES) == 1 && len == MAC_BYTES;
    EVP_MAC_CTX_free(ctx);
    return ok;
}

bool weir_seal(const struct weir_seal_key *k, const char *purpose, struct weir_span place,
               struct weir_span bytes, char *out)
{
    unsigned char mac[MAC_BYTES];

    if (!authenticate(k, purpose, place, bytes, mac))
        return false;
    memcpy(out, mac, WEIR_SEAL_BYTES);
    if (bytes.len > 0)
        memcpy(out + WEIR_SEAL_BYTES, bytes.ptr, bytes.len);
    return true;
}

bool weir_seal_open(const struct weir_seal_key *k, const char *purpose, struct weir_span place,
                    struct weir_span sealed, struct weir_span *bytes)
{
    unsigned char mac[MAC_BYTES];
    struct weir_span inside;

    if (sealed.len < WEIR_SEAL_BYTES)
        return false;
    inside = weir_span(sealed.ptr + WEIR_SEAL_BYTES, sealed.len - WEIR_SEAL_BYTES);
    if (!authenticate(k, purpose, place, inside, mac) ||
        CRYPTO_memcmp(mac, sealed.ptr, WEIR_SEAL_BYTES) != 0)
        return false;
    *bytes = inside;
    return true;
}
