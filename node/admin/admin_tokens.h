/*
 * admin_tokens.h - the tokens by which clients over TCP are known (RFC 6750: Bearer).
 *
 * Only their hashes are kept. Every look-up compares with all of them and takes the same time
 * whatever was sent.
 */
#ifndef ADMIN_TOKENS_H
#define ADMIN_TOKENS_H

#include "weir/err.h"
#include "weir/span.h"
#include "admin_settings.h"

struct admin_tokens;
struct weir_opener;

/* Reads the files, with opener where this process may not (NULL: nobody). NULL: MEMORY; CONFIG,
 * with the name of a file that cannot be read, is shorter than ADMIN_TOKEN_LEAST bytes, or holds
 * the token of another one. */
struct admin_tokens *admin_tokens_new(const struct admin_token_settings *tokens, size_t count,
                                      const struct weir_opener *opener, struct weir_err *err);
void admin_tokens_free(struct admin_tokens *t); /* NULL does nothing */

/* The role of who sent this value of Authorization, and the token's name (lives as long as t);
 * NOBODY: it is unknown or no bearer token. */
enum admin_role admin_tokens_role(const struct admin_tokens *t, struct weir_span authorization,
                                  const char **name);

#endif
