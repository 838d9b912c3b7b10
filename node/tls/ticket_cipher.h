/*
 * ticket_cipher.h - what OpenSSL asks of whoever has the keys of session tickets: AES-256-CBC and
 * HMAC-SHA256, set up for one ticket (RFC 5077 4).
 *
 * Source: man SSL_CTX_set_tlsext_ticket_key_evp_cb.
 */
#ifndef TICKET_CIPHER_H
#define TICKET_CIPHER_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "ticket_slots.h"

/* Draws iv. 1, or 0: no ticket is issued. */
int ticket_encrypt(const struct ticket_view *v, unsigned char name[16], unsigned char *iv,
                   EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac);
/* 1, 2 (it is to be renewed), or 0: nobody knows that key; a full handshake. */
int ticket_decrypt(const struct ticket_view *v, const unsigned char name[16],
                   const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac);

#endif
