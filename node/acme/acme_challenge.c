#include "acme_challenge.h"

#include <stdio.h>
#include <string.h>

bool acme_place_init(struct acme_place *p, const struct weir_seal_key *key, const char *farm)
{
    p->key = *key;
    return snprintf(p->farm, sizeof p->farm, "%s", farm) < (int)sizeof p->farm;
}

static bool is_base64url(struct weir_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return true;
}

bool acme_token_valid(struct weir_span token)
{
    return token.len >= ACME_TOKEN_MIN && token.len <= ACME_TOKEN_MAX && is_base64url(token);
}

bool acme_answer_valid(struct weir_span token, struct weir_span answer)
{
    return acme_token_valid(token) && answer.len > token.len + 1 && answer.len <= ACME_ANSWER_MAX &&
           weir_span_starts(answer, token) && answer.ptr[token.len] == '.' &&
           is_base64url(weir_span(answer.ptr + token.len + 1, answer.len - token.len - 1));
}

struct weir_span acme_challenge_token(struct weir_span path)
{
    static const size_t prefix = sizeof ACME_CHALLENGE_PATH - 1;
    struct weir_span token;

    if (path.len <= prefix || memcmp(path.ptr, ACME_CHALLENGE_PATH, prefix) != 0)
        return WEIR_SPAN_NONE;
    token = weir_span(path.ptr + prefix, path.len - prefix);
    return acme_token_valid(token) ? token : WEIR_SPAN_NONE;
}

struct weir_span acme_challenge_key(const struct acme_place *p, struct weir_span token,
                                    char out[ACME_KEY_MAX])
{
    int len = snprintf(out, ACME_KEY_MAX, "w1:a:%s:%.*s", p->farm, (int)token.len, token.ptr);

    return weir_span(out, (size_t)len);
}

bool acme_challenge_seal(const struct acme_place *p, struct weir_span token,
                         struct weir_span answer, char *out)
{
    return weir_seal(&p->key, "acme challenge", token, answer, out);
}

bool acme_challenge_open(const struct acme_place *p, struct weir_span token,
                         struct weir_span sealed, struct weir_span *answer)
{
    return weir_seal_open(&p->key, "acme challenge", token, sealed, answer) &&
           acme_answer_valid(token, *answer);
}
