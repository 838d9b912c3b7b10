#include "cache_status.h"

#include <string.h>

static const char *const fwd_words[FWD_WORDS] = {
    [FWD_NONE] = "",
    [FWD_BYPASS] = "bypass",
    [FWD_METHOD] = "method",
    [FWD_URI_MISS] = "uri-miss",
    [FWD_VARY_MISS] = "vary-miss",
    [FWD_MISS] = "miss",
    [FWD_REQUEST] = "request",
    [FWD_STALE] = "stale",
    [FWD_PARTIAL] = "partial",
};

const char *cache_fwd_word(enum cache_fwd fwd)
{
    return fwd_words[fwd];
}

static char *put_text(char *at, const char *text)
{
    size_t len = strlen(text);

    memcpy(at, text, len);
    return at + len;
}

static char *put_u64(char *at, uint64_t value)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

/* An sf-integer: at most fifteen digits (RFC 8941 3.3.1). */
static char *put_sf_integer(char *at, int64_t value)
{
    const int64_t most = INT64_C(999999999999999);

    if (value < 0) {
        *at++ = '-';
        value = value < -most ? most : -value;
    }
    return put_u64(at, (uint64_t)(value > most ? most : value));
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* sf-token: ALPHA or "*" first, then tchar, ":" and "/" (RFC 8941 3.3.4). */
static bool is_token(const char *text, size_t len)
{
    if (len == 0 || !(is_alpha(text[0]) || text[0] == '*'))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_alpha(text[i]) && !(text[i] >= '0' && text[i] <= '9') &&
            strchr("!#$%&'*+-.^_`|~:/", text[i]) == NULL)
            return false;
    return true;
}

static char *put_detail(char *at, const char *text)
{
    size_t len = strnlen(text, CACHE_STATUS_DETAIL_MAX);

    if (is_token(text, len)) {
        memcpy(at, text, len);
        return at + len;
    }
    *at++ = '"';
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c < 0x20 || c > 0x7e) /* not in an sf-string (RFC 8941 3.3.3) */
            c = '?';
        if (c == '"' || c == '\\')
            *at++ = '\\';
        *at++ = c;
    }
    *at++ = '"';
    return at;
}

static char *put_forwarded(char *at, const struct cache_status *s)
{
    at = put_text(at, "; fwd=");
    at = put_text(at, cache_fwd_word(s->fwd));
    if (s->fwd_status != 0) {
        at = put_text(at, "; fwd-status=");
        at = put_u64(at, s->fwd_status);
    }
    return at;
}

size_t cache_status_write(char buf[CACHE_STATUS_MAX], const struct cache_status *s)
{
    char *at = put_text(buf, "weir");

    if (s->fwd != FWD_NONE)
        at = put_forwarded(at, s);
    else if (s->hit)
        at = put_text(at, "; hit");
    if (s->has_ttl) {
        at = put_text(at, "; ttl=");
        at = put_sf_integer(at, s->ttl);
    }
    if (s->fwd != FWD_NONE && s->stored)
        at = put_text(at, "; stored");
    if (s->fwd != FWD_NONE && s->collapsed)
        at = put_text(at, "; collapsed");
    if (s->detail != NULL && s->detail[0] != '\0') {
        at = put_text(at, "; detail=");
        at = put_detail(at, s->detail);
    }
    return (size_t)(at - buf);
}

size_t cache_age_write(char buf[CACHE_AGE_MAX], int64_t age)
{
    const int64_t most = INT64_C(1) << 31; /* RFC 9111 1.2.2 */

    if (age < 0)
        age = 0;
    return (size_t)(put_u64(buf, (uint64_t)(age > most ? most : age)) - buf);
}
