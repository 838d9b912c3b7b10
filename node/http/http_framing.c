#include "http_framing.h"

#include <openssl/evp.h>

#include "http_char.h"
#include "http_list.h"

static const char where_request[] = "http: request framing";
static const char where_response[] = "http: response framing";

/* 18 digits always fit 63 bits, so no sum over lengths overflows (security rule 1.5). */
#define LENGTH_DIGITS 18

/* ---- the two framing fields ---- */

/* NULL, or what is wrong with Content-Length. */
static const char *content_length_fault(const struct http_head *h, struct http_framing *out)
{
    struct weir_span text = http_head_value(h, HTTP_F_CONTENT_LENGTH);
    unsigned long long value;

    if (text.ptr == NULL)
        return NULL;
    if (http_head_repeats(h, HTTP_F_CONTENT_LENGTH))
        return "Content-Length repeated";
    if (text.len > LENGTH_DIGITS || !weir_span_u64(text, UINT64_MAX, &value))
        return "Content-Length is not 1 to 18 digits";
    out->has_length = true;
    out->length = value;
    return NULL;
}

enum coding { CODING_ABSENT, CODING_CHUNKED, CODING_OTHER, CODING_AMBIGUOUS };

/* The single value `chunked` and nothing else; what else there is tells 501 from 400. */
static enum coding transfer_coding(const struct http_head *h)
{
    const struct weir_span chunked = WEIR_SPAN_LIT("chunked");
    struct weir_span value = http_head_value(h, HTTP_F_TRANSFER_ENCODING), member, rest;
    struct http_list l;
    unsigned times = 0;
    bool other = false;

    if (value.ptr == NULL)
        return CODING_ABSENT;
    if (http_head_repeats(h, HTTP_F_TRANSFER_ENCODING))
        return CODING_AMBIGUOUS;
    if (weir_span_ieq(value, chunked))
        return CODING_CHUNKED;
    http_list_begin_value(&l, value);
    while (http_list_next(&l, &member)) {
        if (!http_is_token(http_list_item(member, &rest)))
            return CODING_AMBIGUOUS;
        if (weir_span_ieq(member, chunked))
            times++;
        else
            other = true;
    }
    /* Empty, ", chunked" and "chunked, chunked" are ill-formed; a list with another coding is
     * merely unknown. */
    return other && times < 2 ? CODING_OTHER : CODING_AMBIGUOUS;
}

/* ---- Connection ---- */

/*
 * Callers ask for every field of a message, so this may not crawl: options are tokens, and
 * splitting at commas with memchr() is enough (a quoted string is no option).
 */
static bool value_names(struct weir_span rest, struct weir_span name)
{
    const char *comma;

    while ((comma = memchr(rest.ptr, ',', rest.len)) != NULL) {
        size_t n = (size_t)(comma - rest.ptr);

        if (n >= name.len && weir_span_ieq(weir_span_trim(weir_span(rest.ptr, n)), name))
            return true;
        rest = weir_span(comma + 1, rest.len - n - 1);
    }
    return rest.len >= name.len && weir_span_ieq(weir_span_trim(rest), name);
}

bool http_connection_names(const struct http_head *h, struct weir_span name)
{
    for (const struct http_field *f = http_head_first(h, HTTP_F_CONNECTION); f != NULL;
         f = http_head_next(h, f))
        if (value_names(f->value, name))
            return true;
    return false;
}

static bool ends_here(const struct http_field *f, const void *ctx)
{
    if (f->flags & (HTTP_FF_HOP | HTTP_FF_FRAMING))
        return true;
    return !(f->flags & HTTP_FF_PROTECTED) && http_connection_names(ctx, f->name);
}

void http_head_remove_hop(struct http_head *h)
{
    http_head_remove_if(h, ends_here, h);
}

static bool too_many_options(const struct http_head *h)
{
    struct weir_span member;
    struct http_list l;
    unsigned count = 0;

    if (!http_head_has(h, HTTP_F_CONNECTION))
        return false;
    http_list_begin(&l, h, HTTP_F_CONNECTION);
    while (count <= HTTP_CONNECTION_OPTIONS && http_list_next(&l, &member))
        count++;
    return count > HTTP_CONNECTION_OPTIONS;
}

static bool wants_keep_alive(const struct http_head *h)
{
    if (!http_head_has(h, HTTP_F_CONNECTION))
        return h->minor > 0;
    if (http_connection_names(h, WEIR_SPAN_LIT("close")))
        return false;
    return h->minor > 0 || http_connection_names(h, WEIR_SPAN_LIT("keep-alive"));
}

/* ---- WebSocket ---- */

#define NONCE_CHARS 24 /* base64 of 16 bytes: 22 characters and "==" */

static bool is_base64(char c)
{
    return http_char_is(c, HTTP_C_UNRESERVED) ? c != '-' && c != '.' && c != '_' && c != '~'
                                              : c == '+' || c == '/';
}

static bool is_nonce(struct weir_span key)
{
    if (key.len != NONCE_CHARS || key.ptr[22] != '=' || key.ptr[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++)
        if (!is_base64(key.ptr[i]))
            return false;
    /* The last character carries two bits: the other four must be zero, or two keys would be one
     * nonce. */
    return memchr("AQgw", key.ptr[21], 4) != NULL;
}

static bool upgrades_to_websocket(const struct http_head *h)
{
    return h->minor == 1 && http_connection_names(h, WEIR_SPAN_LIT("upgrade")) &&
           !http_head_repeats(h, HTTP_F_UPGRADE) &&
           weir_span_ieq(http_head_value(h, HTTP_F_UPGRADE), WEIR_SPAN_LIT("websocket"));
}

static bool offers_websocket(const struct http_head *h, const struct http_framing *f)
{
    return http_head_has(h, HTTP_F_UPGRADE) && h->method_id == HTTP_M_GET &&
           f->kind == HTTP_BODY_NONE && upgrades_to_websocket(h) &&
           !http_head_repeats(h, HTTP_F_SEC_WEBSOCKET_VERSION) &&
           weir_span_eq(http_head_value(h, HTTP_F_SEC_WEBSOCKET_VERSION), WEIR_SPAN_LIT("13")) &&
           http_head_has(h, HTTP_F_SEC_WEBSOCKET_KEY) &&
           is_nonce(http_head_value(h, HTTP_F_SEC_WEBSOCKET_KEY));
}

bool http_websocket_accept_ok(struct weir_span key, struct weir_span accept)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[NONCE_CHARS + sizeof(guid) - 1];
    unsigned char digest[EVP_MAX_MD_SIZE], base64[HTTP_WEBSOCKET_ACCEPT_LEN + 1];
    unsigned digest_len = 0;

    if (!is_nonce(key) || accept.len != HTTP_WEBSOCKET_ACCEPT_LEN)
        return false;
    memcpy(text, key.ptr, NONCE_CHARS);
    memcpy(text + NONCE_CHARS, guid, sizeof(guid) - 1);
    if (!EVP_Digest(text, sizeof(text), digest, &digest_len, EVP_sha1(), NULL) || digest_len != 20)
        return false;
    EVP_EncodeBlock(base64, digest, (int)digest_len);
    return memcmp(base64, accept.ptr, HTTP_WEBSOCKET_ACCEPT_LEN) == 0;
}

/* ---- requests ---- */

static bool check_host(const struct http_head *h, struct weir_err *err)
{
    if (http_head_repeats(h, HTTP_F_HOST))
        return weir_failf(err, WEIR_E_BAD_HOST, where_request, 0, "Host repeated");
    if (!http_head_has(h, HTTP_F_HOST) && h->minor > 0)
        return weir_failf(err, WEIR_E_BAD_HOST, where_request, 0, "HTTP/1.1 without Host");
    return true;
}

/* Fields that say one thing; who reads the first and who reads the last would disagree. */
static bool check_single(const struct http_head *h, struct weir_err *err)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < HTTP_FIELD_WORDS; i++)
        any |= h->repeated[i];
    for (uint32_t i = 0; any != 0 && i < h->count; i++) {
        const struct http_field *f = &h->fields[i];

        if ((f->flags & HTTP_FF_SINGLE) && http_head_repeats(h, f->id))
            return weir_failf(err, WEIR_E_BAD_REQUEST, where_request, 0, "%s repeated",
                              http_field_name(f->id).ptr);
    }
    return true;
}

static bool request_body(const struct http_head *h, struct http_framing *out, struct weir_err *err)
{
    const char *fault = content_length_fault(h, out);
    enum coding coding = transfer_coding(h);

    if (fault != NULL)
        return weir_failf(err, WEIR_E_BAD_LENGTH, where_request, 0, "%s", fault);
    if (coding != CODING_ABSENT && out->has_length)
        return weir_failf(err, WEIR_E_BAD_LENGTH, where_request, 0,
                          "Content-Length with Transfer-Encoding");
    if (coding != CODING_ABSENT && h->minor == 0)
        return weir_failf(err, WEIR_E_BAD_LENGTH, where_request, 0,
                          "Transfer-Encoding in HTTP/1.0");
    if (coding == CODING_AMBIGUOUS)
        return weir_failf(err, WEIR_E_BAD_LENGTH, where_request, 0, "malformed Transfer-Encoding");
    if (coding == CODING_OTHER)
        return weir_failf(err, WEIR_E_CODING_UNKNOWN, where_request, 0,
                          "Transfer-Encoding is not chunked alone");
    if (coding == CODING_CHUNKED)
        out->kind = HTTP_BODY_CHUNKED;
    else if (out->has_length)
        out->kind = HTTP_BODY_LENGTH;
    return true;
}

static bool expectation(const struct http_head *h, struct http_framing *out, struct weir_err *err)
{
    const struct http_field *f = http_head_first(h, HTTP_F_EXPECT);

    if (f == NULL)
        return true;
    for (; f != NULL; f = http_head_next(h, f))
        if (!weir_span_ieq(f->value, WEIR_SPAN_LIT("100-continue")))
            return weir_failf(err, WEIR_E_EXPECTATION, where_request, 0,
                              "Expect is not 100-continue");
    /* A 1.0 client cannot read a 100, and nobody waits for one without content (RFC 9110 10.1.1).
     */
    out->expect_continue = h->minor > 0 && (out->kind == HTTP_BODY_CHUNKED || out->length > 0);
    return true;
}

bool http_request_framing(const struct http_head *h, struct http_framing *out, struct weir_err *err)
{
    *out = (struct http_framing){.kind = HTTP_BODY_NONE};
    if (h->method_id == HTTP_M_CONNECT || h->method_id == HTTP_M_TRACE)
        return weir_failf(err, WEIR_E_METHOD_NOT_ALLOWED, where_request, 0, "%s",
                          http_method_name(h->method_id).ptr);
    if (too_many_options(h))
        return weir_failf(err, WEIR_E_BAD_REQUEST, where_request, 0, "too many Connection options");
    if (!check_host(h, err) || !request_body(h, out, err) || !check_single(h, err) ||
        !expectation(h, out, err))
        return false;
    out->keep_alive = wants_keep_alive(h);
    out->upgrade = offers_websocket(h, out);
    return true;
}

/* ---- responses ---- */

static bool response_fields(const struct http_head *h, struct http_framing *out, bool *chunked,
                            struct weir_err *err)
{
    const char *fault = content_length_fault(h, out);
    enum coding coding = transfer_coding(h);

    if (fault == NULL && coding != CODING_ABSENT && out->has_length)
        fault = "Content-Length with Transfer-Encoding";
    if (fault == NULL && coding != CODING_ABSENT && h->minor == 0)
        fault = "Transfer-Encoding in HTTP/1.0";
    if (fault == NULL && (coding == CODING_OTHER || coding == CODING_AMBIGUOUS))
        fault = "Transfer-Encoding is not chunked";
    if (fault == NULL && too_many_options(h))
        fault = "too many Connection options";
    if (fault != NULL)
        return weir_failf(err, WEIR_E_RESPONSE_MALFORMED, where_response, 0, "%s", fault);
    *chunked = coding == CODING_CHUNKED;
    return true;
}

bool http_response_framing(const struct http_head *h, enum http_method method,
                           struct http_framing *out, struct weir_err *err)
{
    bool chunked = false;

    *out = (struct http_framing){.kind = HTTP_BODY_NONE};
    if (!response_fields(h, out, &chunked, err))
        return false;
    out->keep_alive = wants_keep_alive(h);
    out->upgrade = h->status == 101 && upgrades_to_websocket(h);
    if (http_status_interim(h->status) || h->status == 204) {
        /* They may not announce content (RFC 9110 8.6, RFC 9112 6.1): one that does may well send
         * it. */
        out->keep_alive = out->keep_alive && !chunked && out->length == 0;
        return true;
    }
    if (h->status == 304 || method == HTTP_M_HEAD)
        return true;
    if (chunked)
        out->kind = HTTP_BODY_CHUNKED;
    else if (out->has_length)
        out->kind = HTTP_BODY_LENGTH;
    else
        out->kind = HTTP_BODY_CLOSE;
    if (out->kind == HTTP_BODY_CLOSE)
        out->keep_alive = false;
    return true;
}
