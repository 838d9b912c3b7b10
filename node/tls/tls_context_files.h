/*
 * tls_context_files.h - files into an SSL context, opened by whoever may.
 */
#ifndef TLS_CONTEXT_FILES_H
#define TLS_CONTEXT_FILES_H

#include <stdbool.h>

#include "weir/err.h"
#include "weir/opener.h"

struct ssl_ctx_st;

struct tls_identity_files {
    const char *certificate; /* leaf first, then intermediates */
    const char *key;         /* may be the same file */
};

/* Who we are. opener: NULL: nobody but this process. false: *err names the file. */
bool tls_load_identity(struct ssl_ctx_st *ctx, const struct tls_identity_files *files,
                       const struct weir_opener *opener, struct weir_err *err);
/* Who may issue certificates of clients, who are told so. */
bool tls_load_clients(struct ssl_ctx_st *ctx, const char *file, const struct weir_opener *opener,
                      struct weir_err *err);

#endif
