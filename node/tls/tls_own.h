/*
 * tls_own.h - what the files of the store share. Private to them.
 *
 *   tls_load.c   files -> certificates: read, checked, warned of
 *   tls_store.c  the set, the index of names, what a hello gets
 *   tls_live.c   OpenSSL's objects of those in use
 */
#ifndef TLS_OWN_H
#define TLS_OWN_H

#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tls_der.h"
#include "tls_ocsp.h"
#include "tls_store.h"

/* As many certificates have OpenSSL's objects at once; one costs some 20 KiB. */
#define TLS_LIVE_MAX  1024
#define TLS_CHAIN_MAX 10

struct tls_secrets;

/* One for all certificates that were issued under it. */
struct tls_intermediate {
    struct tls_intermediate *next; /* of the same bucket */
    uint64_t hash;
    X509 *x; /* made at first use, under the store's lock; NULL before */
    uint32_t len;
    char der[];
};

/* OpenSSL's objects of one certificate, under the store's lock. */
struct tls_live {
    struct tls_live *newer, *older; /* by last use */
    struct tls_certificate *of;
    X509 *x;
    EVP_PKEY *key;
    STACK_OF(X509) * chain; /* NULL: none */
};

/* What is stapled, under the store's lock. */
struct tls_staple {
    unsigned char *bytes; /* NULL: nothing */
    uint32_t len;
    int64_t until_s; /* never sent from then on */
    enum tls_ocsp_state state;
    char error[96]; /* of the last attempt; "" */
};

/* One allocation: this, the chain, the certificate's bytes, the source's text. */
struct tls_certificate {
    const char *source;
    struct weir_span der;                /* the leaf */
    struct weir_span key;                /* in the store's secrets */
    struct weir_span names, common_name; /* tls_der_names() */
    int64_t not_before_s, not_after_s;
    struct tls_live *live;     /* NULL: not in use */
    struct tls_staple *staple; /* NULL: never had one */
    uint32_t number;           /* in the order of the configuration */
    uint16_t bits;
    uint8_t kind; /* enum tls_key_kind */
    uint8_t chain_count;
    bool must_staple, chain_complete;
    bool asks; /* a responder can be asked for its state; what follows is the control thread's */
    uint8_t failures; /* of asking, in a row */
    int64_t ask_again_s;
    struct tls_intermediate *chain[];
};

#define TLS_BUCKETS 256

/* One name of one certificate. Sorted by hash, then by who is shown first. */
struct tls_name {
    uint64_t hash;
    uint32_t certificate;
};

struct tls_store {
    atomic_uint refs;
    struct tls_secrets *secrets;
    struct tls_certificate **certificates;
    size_t count, cap;
    struct tls_name *names;
    size_t name_count, name_cap;
    struct tls_intermediate *intermediates[TLS_BUCKETS];

    pthread_mutex_t lock;   /* what follows, staples, and what is made at first use */
    struct tls_live newest; /* head of the ring: .newer is the oldest, .older the newest */
    unsigned live_count;
};

/* ---- tls_store.c ---- */

/* What came of asking for its state; a response that is not GOOD is not kept. Borrows. */
void tls_store_staple(struct tls_store *s, struct tls_certificate *c, struct weir_span response,
                      const struct tls_ocsp_answer *answer);

/* ---- tls_load.c ---- */

/* Everything the options name. false: *err. */
bool tls_load_all(struct tls_store *s, const struct tls_store_options *o, struct weir_err *err);

/* ---- tls_live.c, all under the lock ---- */

void tls_live_init(struct tls_store *s);
void tls_live_end(struct tls_store *s);
/* NULL: *err says what is wrong with it. */
struct tls_live *tls_live_get(struct tls_store *s, struct tls_certificate *c, struct weir_err *err);

#endif
