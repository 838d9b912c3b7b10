#include "admin_tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/secret.h"

#define DIGEST 32 /* SHA-256 */

static const char where[] = "admin: tokens";

struct token {
    unsigned char digest[DIGEST];
    enum admin_role role;
    char *name;
};

struct admin_tokens {
    size_t count;
    struct token token[];
};

static bool digest_of(unsigned char out[DIGEST], const char *bytes, size_t len)
{
    unsigned int n = 0;

    return EVP_Digest(bytes, len, out, &n, EVP_sha256(), NULL) == 1 && n == DIGEST;
}

static bool read_token(struct token *t, const struct admin_token_settings *s,
                       const struct weir_opener *opener, struct weir_err *err)
{
    struct weir_secret secret;
    bool ok;

    if (!weir_secret_read_by(&secret, opener, s->token_file, err))
        return weir_failf(err, WEIR_E_CONFIG, where, err->os, "%s cannot be read or is empty",
                          s->token_file);
    if (secret.len < ADMIN_TOKEN_LEAST) {
        weir_secret_clear(&secret);
        return weir_failf(err, WEIR_E_CONFIG, where, 0,
                          "%s is shorter than %d bytes; make one by \"openssl rand -hex 32\"",
                          s->token_file, ADMIN_TOKEN_LEAST);
    }
    t->role = s->role;
    t->name = weir_strndup(s->name, strlen(s->name));
    ok = digest_of(t->digest, secret.bytes, secret.len) && t->name != NULL;
    weir_secret_clear(&secret);
    return ok || weir_fail(err, WEIR_E_MEMORY, where, 0);
}

/* One token for two names would leave open who it was. */
static bool is_new(const struct admin_tokens *t, const struct admin_token_settings *s,
                   struct weir_err *err)
{
    for (size_t i = 0; i + 1 < t->count; i++)
        if (CRYPTO_memcmp(t->token[i].digest, t->token[t->count - 1].digest, DIGEST) == 0)
            return weir_failf(err, WEIR_E_CONFIG, where, 0, "%s holds the token of %s",
                              s->token_file, t->token[i].name);
    return true;
}

struct admin_tokens *admin_tokens_new(const struct admin_token_settings *tokens, size_t count,
                                      const struct weir_opener *opener, struct weir_err *err)
{
    struct admin_tokens *t = weir_calloc(1, sizeof *t + count * sizeof *t->token);

    if (t == NULL) {
        weir_fail(err, WEIR_E_MEMORY, where, 0);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        t->count++;
        if (!read_token(&t->token[i], &tokens[i], opener, err) || !is_new(t, &tokens[i], err)) {
            admin_tokens_free(t);
            return NULL;
        }
    }
    return t;
}

void admin_tokens_free(struct admin_tokens *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        weir_free(t->token[i].name);
    weir_free(t);
}

enum admin_role admin_tokens_role(const struct admin_tokens *t, struct weir_span authorization,
                                  const char **name)
{
    static const struct weir_span scheme = WEIR_SPAN_LIT("Bearer ");
    unsigned char digest[DIGEST];
    const struct token *found = NULL;
    struct weir_span token;

    *name = NULL;
    if (authorization.len <= scheme.len ||
        !weir_span_ieq(weir_span(authorization.ptr, scheme.len), scheme))
        return ADMIN_NOBODY;
    token =
        weir_span_trim(weir_span(authorization.ptr + scheme.len, authorization.len - scheme.len));
    if (!digest_of(digest, token.ptr, token.len))
        return ADMIN_NOBODY;
    for (size_t i = 0; i < t->count; i++)
        if (CRYPTO_memcmp(t->token[i].digest, digest, DIGEST) == 0)
            found = &t->token[i];
    if (found == NULL)
        return ADMIN_NOBODY;
    *name = found->name;
    return found->role;
}
