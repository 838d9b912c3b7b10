#include "ticket_cipher.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/rand.h>

/* The key among the parameters, not in EVP_MAC_init(): OpenSSL begins the MAC itself. */
static bool set_mac(EVP_MAC_CTX *mac, const struct ticket_key *k)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)k->mac,
                                          sizeof k->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

int ticket_encrypt(const struct ticket_view *v, unsigned char name[16], unsigned char *iv,
                   EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const struct ticket_key *k;

    if (v->issuer >= v->count)
        return 0;
    k = &v->keys[v->issuer];
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1 ||
        EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->aes, iv) != 1 || !set_mac(mac, k))
        return 0;
    memcpy(name, k->name, sizeof k->name);
    return 1;
}

int ticket_decrypt(const struct ticket_view *v, const unsigned char name[16],
                   const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    for (size_t i = 0; i < v->count; i++) {
        const struct ticket_key *k = &v->keys[i];

        if (memcmp(k->name, name, sizeof k->name) != 0)
            continue;
        if (!set_mac(mac, k) ||
            EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->aes, iv) != 1)
            return 0;
        return v->renew[i] ? 2 : 1;
    }
    return 0;
}
