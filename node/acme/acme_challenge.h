/*
 * acme_challenge.h - challenges of kind http-01 (RFC 8555 8.3) in shared state: the node that
 * orders a certificate puts one there, whichever node is asked answers it.
 *
 * What is put is sealed: who can write to Redis, and no more, must not be able to answer challenges
 * for the farm's names.
 *
 *     w1:a:<farm>:<token>   sealed key authorization, for ACME_CHALLENGE_MS
 *
 * Pure but for the seal.
 */
#ifndef ACME_CHALLENGE_H
#define ACME_CHALLENGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/seal.h"
#include "weir/span.h"

#define ACME_CHALLENGE_PATH "/.well-known/acme-challenge/"
#define ACME_CHALLENGE_MS   ((int64_t)3600000)
#define ACME_TOKEN_MIN      16 /* bytes; RFC 8555 wants 22 for its 128 bits */
#define ACME_TOKEN_MAX      128
#define ACME_ANSWER_MAX     256 /* token "." thumbprint */
#define ACME_KEY_MAX        384

/* Of a farm, or of a node alone; immutable. */
struct acme_place {
    struct weir_seal_key key;
    char farm[128];
};

/* false: the name does not fit. */
bool acme_place_init(struct acme_place *p, const struct weir_seal_key *key, const char *farm);

/* The token of a path that asks for a challenge; ptr NULL: it does not, or no token is like that.
 */
struct weir_span acme_challenge_token(struct weir_span path);
/* base64url, of a length that tokens have. */
bool acme_token_valid(struct weir_span token);
/* Is it an answer to that token: token "." base64url? */
bool acme_answer_valid(struct weir_span token, struct weir_span answer);

struct weir_span acme_challenge_key(const struct acme_place *p, struct weir_span token,
                                    char out[ACME_KEY_MAX]);
/* out: WEIR_SEAL_BYTES + answer.len bytes. false: OpenSSL has no memory. */
bool acme_challenge_seal(const struct acme_place *p, struct weir_span token,
                         struct weir_span answer, char *out);
/* *answer: within `sealed`. false: forged, damaged, or for another token. */
bool acme_challenge_open(const struct acme_place *p, struct weir_span token,
                         struct weir_span sealed, struct weir_span *answer);

#endif
