#include "tls_pem.h"

#include <openssl/evp.h>
#include <string.h>

#define BEGIN "-----BEGIN "
#define END   "-----END "
#define DASH  "-----"

/* Where `what` stands at the beginning of a line; NULL: nowhere. */
static const char *find_line(struct weir_span in, const char *what)
{
    size_t len = strlen(what);
    const char *at = in.ptr, *end = in.ptr + in.len;

    while (at != NULL && (size_t)(end - at) >= len) {
        const char *found = memmem(at, (size_t)(end - at), what, len);

        if (found == NULL || found == in.ptr || found[-1] == '\n' || found[-1] == '\r')
            return found;
        at = found + 1;
    }
    return NULL;
}

static bool ends_with(struct weir_span s, const char *what)
{
    size_t len = strlen(what);

    return s.len >= len && memcmp(s.ptr + s.len - len, what, len) == 0;
}

enum tls_pem_step tls_pem_next(struct weir_span *text, struct tls_pem_block *out)
{
    const char *end = text->ptr + text->len, *begin = find_line(*text, BEGIN), *dash, *stop;

    if (begin == NULL)
        return TLS_PEM_END;
    begin += strlen(BEGIN);
    dash = memmem(begin, (size_t)(end - begin), DASH, strlen(DASH));
    if (dash == NULL || memchr(begin, '\n', (size_t)(dash - begin)) != NULL)
        return TLS_PEM_BROKEN;
    out->label = weir_span(begin, (size_t)(dash - begin));
    dash += strlen(DASH);
    stop = find_line(weir_span(dash, (size_t)(end - dash)), END);
    if (stop == NULL || (size_t)(end - stop) < strlen(END) + out->label.len + strlen(DASH) ||
        memcmp(stop + strlen(END), out->label.ptr, out->label.len) != 0)
        return TLS_PEM_BROKEN;
    out->text = weir_span(dash, (size_t)(stop - dash));
    out->encrypted = weir_span_starts(out->label, WEIR_SPAN_LIT("ENCRYPTED ")) ||
                     (ends_with(out->label, "PRIVATE KEY") &&
                      memmem(out->text.ptr, out->text.len, "ENCRYPTED", 9) != NULL);
    stop += strlen(END) + out->label.len + strlen(DASH);
    *text = weir_span(stop, (size_t)(end - stop));
    return TLS_PEM_BLOCK;
}

size_t tls_pem_room(const struct tls_pem_block *b)
{
    return b->text.len + 4;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool tls_pem_decode(const struct tls_pem_block *b, unsigned char *out, size_t *len)
{
    size_t n = 0, pad = 0;
    int decoded;

    for (size_t i = 0; i < b->text.len; i++)
        if (!is_space(b->text.ptr[i]))
            out[n++] = (unsigned char)b->text.ptr[i];
    if (n == 0 || n % 4 != 0)
        return false;
    while (pad < 2 && out[n - 1 - pad] == '=')
        pad++;
    decoded = EVP_DecodeBlock(out, out, (int)n); /* three bytes behind four: in place is safe */
    if (decoded < (int)pad)
        return false;
    *len = (size_t)decoded - pad;
    return *len > 0;
}
