/*
 * tls_secrets.h - memory for private keys: locked where that is allowed (RLIMIT_MEMLOCK), left out
 * of core dumps, overwritten before it goes. Nothing in it is freed alone. One thread at a time.
 */
#ifndef TLS_SECRETS_H
#define TLS_SECRETS_H

#include <stddef.h>

struct tls_secrets;

/* NULL without memory. */
struct tls_secrets *tls_secrets_new(void);
void tls_secrets_free(struct tls_secrets *s); /* NULL does nothing */
/* A copy that lives as long as s; NULL without memory. */
const void *tls_secrets_keep(struct tls_secrets *s, const void *bytes, size_t len);
/* Room for one text at a time, overwritten and given anew by each call; for what is read and
 * decoded on the way to tls_secrets_keep(). */
void *tls_secrets_scratch(struct tls_secrets *s, size_t len);

#endif
