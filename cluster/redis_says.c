#include "redis_says.h"

#include "redis_reply.h"

static struct weir_span next_word(struct weir_span *rest)
{
    const char *blank = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;
    size_t len = blank != NULL ? (size_t)(blank - rest->ptr) : rest->len;
    struct weir_span word = weir_span(rest->ptr, len);

    if (blank != NULL)
        len++;
    *rest = weir_span(rest->ptr + len, rest->len - len);
    return word;
}

/* "3999 127.0.0.1:6381" */
static bool target(struct weir_span rest, const struct redis_address *from, uint16_t *slot,
                   struct redis_address *to)
{
    struct weir_span number = next_word(&rest);
    unsigned long long n;

    if (!weir_span_u64(number, REDIS_SLOTS - 1, &n) ||
        !redis_address_parse(next_word(&rest), from, to))
        return false;
    *slot = (uint16_t)n;
    return true;
}

static enum redis_says by_word(struct weir_span word)
{
    static const struct {
        const char *word;
        enum redis_says says;
    } words[] = {
        {"MOVED", REDIS_SAYS_MOVED},       {"ASK", REDIS_SAYS_ASK},
        {"TRYAGAIN", REDIS_SAYS_TRYAGAIN}, {"CLUSTERDOWN", REDIS_SAYS_CLUSTERDOWN},
        {"LOADING", REDIS_SAYS_LOADING},   {"MASTERDOWN", REDIS_SAYS_LOADING},
        {"BUSY", REDIS_SAYS_LOADING},      {"READONLY", REDIS_SAYS_READONLY},
        {"NOSCRIPT", REDIS_SAYS_NOSCRIPT}, {"OOM", REDIS_SAYS_OOM},
        {"NOAUTH", REDIS_SAYS_DENIED},     {"NOPERM", REDIS_SAYS_DENIED},
        {"WRONGPASS", REDIS_SAYS_DENIED},  {"NOREPLICAS", REDIS_SAYS_REFUSES},
        {"MISCONF", REDIS_SAYS_REFUSES},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (weir_span_eq(word, weir_span_str(words[i].word)))
            return words[i].says;
    return REDIS_SAYS_ERROR;
}

/* Errors that have no word of their own. */
static enum redis_says by_sentence(struct weir_span text)
{
    if (weir_span_starts(text, WEIR_SPAN_LIT("ERR max number of clients")))
        return REDIS_SAYS_CLIENTS;
    if (weir_span_starts(text, WEIR_SPAN_LIT("ERR This instance has cluster support disabled")))
        return REDIS_SAYS_NO_CLUSTER;
    return REDIS_SAYS_ERROR;
}

enum redis_says redis_says(const struct redis_reply *reply, const struct redis_address *from,
                           uint16_t *slot, struct redis_address *to)
{
    struct weir_span rest = reply->text;
    enum redis_says says;

    if (reply->kind != REDIS_KIND_ERROR)
        return REDIS_SAYS_ANSWER;
    says = by_word(next_word(&rest));
    if (says == REDIS_SAYS_ERROR)
        return by_sentence(reply->text);
    if ((says == REDIS_SAYS_MOVED || says == REDIS_SAYS_ASK) && !target(rest, from, slot, to))
        return REDIS_SAYS_NONSENSE;
    return says;
}

enum redis_outcome redis_says_outcome(enum redis_says s)
{
    switch (s) {
    case REDIS_SAYS_CLUSTERDOWN:
    case REDIS_SAYS_LOADING:
    case REDIS_SAYS_CLIENTS:
    case REDIS_SAYS_NONSENSE:
        return REDIS_OUTCOME_DOWN;
    case REDIS_SAYS_DENIED:
        return REDIS_OUTCOME_CONFIG;
    default:
        return REDIS_OUTCOME_OK;
    }
}
