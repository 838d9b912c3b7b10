#include "weir/wrap.h"

#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#define NONCE_BYTES 12
#define TAG_BYTES   16
#define LABEL_MAX   512
#define EXPAND_MAX  8160 /* 255 hashes (RFC 5869 2.3) */

_Static_assert(WEIR_WRAP_BYTES == NONCE_BYTES + TAG_BYTES, "as the header says");

/* What a key is for: purpose 0 place. A place with a NUL in it could be read in two ways. */
struct label {
    unsigned char bytes[LABEL_MAX];
    size_t len;
};

static bool label_of(const char *purpose, struct weir_span place, struct label *out)
{
    size_t len = strlen(purpose) + 1;

    if (len + place.len > sizeof out->bytes ||
        (place.len > 0 && memchr(place.ptr, '\0', place.len) != NULL))
        return false;
    memcpy(out->bytes, purpose, len);
    if (place.len > 0)
        memcpy(out->bytes + len, place.ptr, place.len);
    out->len = len + place.len;
    return true;
}

/* ---- keys ---- */

static bool hkdf(struct weir_span secret, struct label *info, unsigned char *out, size_t len)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.ptr,
                                          secret.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info->bytes, info->len),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, out, len, params) == 1;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

/* Two farms with one secret must not open what the other has wrapped. */
bool weir_wrap_key_derive(struct weir_wrap_key *k, struct weir_span secret, struct weir_span farm,
                          struct weir_err *err)
{
    struct label info;

    if (secret.len == 0)
        return RAND_priv_bytes(k->bytes, (int)sizeof k->bytes) == 1 ||
               weir_fail(err, WEIR_E_INTERNAL, "wrap: draw a key", 0);
    if (!label_of("weir wrap 1", farm, &info))
        return weir_fail(err, WEIR_E_INTERNAL, "wrap: name of the farm", 0);
    return hkdf(secret, &info, k->bytes, sizeof k->bytes) ||
           weir_fail(err, WEIR_E_INTERNAL, "wrap: derive a key", 0);
}

bool weir_wrap_expand(const struct weir_wrap_key *k, const char *purpose, struct weir_span place,
                      unsigned char *out, size_t len, struct weir_err *err)
{
    struct weir_span secret = weir_span((const char *)k->bytes, sizeof k->bytes);
    struct label info;

    if (len > EXPAND_MAX || !label_of(purpose, place, &info))
        return weir_fail(err, WEIR_E_INTERNAL, "wrap: place", 0);
    return hkdf(secret, &info, out, len) || weir_fail(err, WEIR_E_INTERNAL, "wrap: expand", 0);
}

/* ---- values ---- */

static const unsigned char *bytes_of(const char *p)
{
    return (const unsigned char *)p;
}

/* out: nonce (drawn already), ciphertext, tag. */
static bool encrypt(EVP_CIPHER_CTX *ctx, const struct weir_wrap_key *k, const struct label *label,
                    struct weir_span bytes, unsigned char *out)
{
    unsigned char *body = out + NONCE_BYTES;
    int len = 0;

    return EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->bytes, out) == 1 &&
           EVP_EncryptUpdate(ctx, NULL, &len, label->bytes, (int)label->len) == 1 &&
           (bytes.len == 0 ||
            EVP_EncryptUpdate(ctx, body, &len, bytes_of(bytes.ptr), (int)bytes.len) == 1) &&
           EVP_EncryptFinal_ex(ctx, body + bytes.len, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, body + bytes.len) == 1;
}

bool weir_wrap(const struct weir_wrap_key *k, const char *purpose, struct weir_span place,
               struct weir_span bytes, char *out, struct weir_err *err)
{
    unsigned char *to = (unsigned char *)out;
    EVP_CIPHER_CTX *ctx;
    struct label label;
    bool ok;

    if (bytes.len > INT_MAX - WEIR_WRAP_BYTES || !label_of(purpose, place, &label))
        return weir_fail(err, WEIR_E_INTERNAL, "wrap: place", 0);
    ctx = EVP_CIPHER_CTX_new();
    ok = ctx != NULL && RAND_bytes(to, NONCE_BYTES) == 1 && encrypt(ctx, k, &label, bytes, to);
    EVP_CIPHER_CTX_free(ctx);
    return ok || weir_fail(err, WEIR_E_INTERNAL, "wrap: encrypt", 0);
}

/* Nothing counts before the last call has said that the tag is right. */
static bool decrypt(EVP_CIPHER_CTX *ctx, const struct weir_wrap_key *k, const struct label *label,
                    struct weir_span wrapped, unsigned char *out)
{
    const unsigned char *from = bytes_of(wrapped.ptr);
    size_t body = wrapped.len - WEIR_WRAP_BYTES;
    unsigned char tag[TAG_BYTES], none[1];
    int len = 0;

    memcpy(tag, from + NONCE_BYTES + body, TAG_BYTES);
    return EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->bytes, from) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &len, label->bytes, (int)label->len) == 1 &&
           (body == 0 || EVP_DecryptUpdate(ctx, out, &len, from + NONCE_BYTES, (int)body) == 1) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(ctx, none, &len) == 1;
}

bool weir_wrap_open(const struct weir_wrap_key *k, const char *purpose, struct weir_span place,
                    struct weir_span wrapped, char *out)
{
    EVP_CIPHER_CTX *ctx;
    struct label label;
    bool ok;

    if (wrapped.len < WEIR_WRAP_BYTES || wrapped.len > INT_MAX || !label_of(purpose, place, &label))
        return false;
    ctx = EVP_CIPHER_CTX_new();
    ok = ctx != NULL && decrypt(ctx, k, &label, wrapped, (unsigned char *)out);
    EVP_CIPHER_CTX_free(ctx);
    if (!ok && wrapped.len > WEIR_WRAP_BYTES)
        OPENSSL_cleanse(out, wrapped.len - WEIR_WRAP_BYTES);
    return ok;
}
