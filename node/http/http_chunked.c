#include "http_chunked.h"

#include <string.h>

#include "http_char.h"

#define GATHER_BELOW 1024 /* larger chunks are handed out where they stand */
#define SIZE_DIGITS  15   /* 60 bits: no overflow, and no message comes near (security rule 1.6) */

/*
 *                 ";" BWS name [BWS "=" BWS value]
 *               +--------- extensions ----------+
 * SIZE --hex--> SIZE --CR--> SIZE_LF --LF--> DATA --> DATA_CR --> DATA_LF --> SIZE
 *                                 \--last--> TRAILERS --> done
 */
enum state {
    S_SIZE,
    S_BWS,         /* after size or value: more BWS, or ';' */
    S_EXT_NAME_0,  /* after ';': BWS or the first byte of the name */
    S_EXT_NAME,    /* inside it */
    S_EXT_NAME_WS, /* BWS after it: '=' or ';' may come */
    S_EXT_VALUE_0, /* after '=': BWS, a token or a quote */
    S_EXT_TOKEN,
    S_EXT_QUOTED,
    S_EXT_PAIR,  /* after a backslash */
    S_EXT_AFTER, /* after the closing quote */
    S_SIZE_LF,
    S_DATA,
    S_DATA_CR,
    S_DATA_LF,
    S_TRAILERS
};

static const struct http_parse_limits trailer_limits = {
    .head_bytes = HTTP_TRAILER_BYTES,
    .fields = 100,
    .field_bytes = HTTP_TRAILER_BYTES,
    .underscores = false,
};

void http_chunked_init(struct http_chunked *d, bool response, struct http_head *trailers)
{
    *d = (struct http_chunked){.response = response, .trailers = trailers};
    http_parser_init(&d->parser);
}

static enum http_chunk_result bad(const struct http_chunked *d, const char *what,
                                  struct weir_err *err)
{
    weir_failf(err, d->response ? WEIR_E_RESPONSE_MALFORMED : WEIR_E_BAD_CHUNK, "http: chunked", 0,
               "%s after %llu bytes of content", what, (unsigned long long)d->total);
    return HTTP_CHUNK_BAD;
}

/* ---- the chunk line, a byte at a time; each returns NULL or what is wrong ---- */

static const char *size_byte(struct http_chunked *d, char c)
{
    if (http_char_is(c, HTTP_C_HEX)) {
        if (++d->digits > SIZE_DIGITS)
            return "chunk size too large";
        d->left = d->left << 4 | http_char_hex(c);
        return NULL;
    }
    if (d->digits == 0)
        return "no chunk size";
    if (c == '\r')
        d->state = S_SIZE_LF;
    else if (c == ';')
        d->state = S_EXT_NAME_0;
    else if (http_char_ows(c))
        d->state = S_BWS;
    else
        return "invalid byte in a chunk size";
    return NULL;
}

/* Where an extension may end: another one, or the end of the line (but not after mere space). */
static const char *ext_end_byte(struct http_chunked *d, char c, bool spaced)
{
    if (c == ';')
        d->state = S_EXT_NAME_0;
    else if (c == '\r' && !spaced)
        d->state = S_SIZE_LF;
    else if (http_char_ows(c))
        d->state = S_BWS;
    else
        return "malformed chunk extension";
    return NULL;
}

static const char *ext_name_byte(struct http_chunked *d, char c)
{
    if (http_char_is(c, HTTP_C_TOKEN)) {
        if (d->state == S_EXT_NAME_WS)
            return "malformed chunk extension";
        d->state = S_EXT_NAME;
        return NULL;
    }
    if (d->state == S_EXT_NAME_0)
        return http_char_ows(c) ? NULL : "chunk extension without a name";
    if (http_char_ows(c)) {
        d->state = S_EXT_NAME_WS;
        return NULL;
    }
    if (c == '=') {
        d->state = S_EXT_VALUE_0;
        return NULL;
    }
    return ext_end_byte(d, c, d->state == S_EXT_NAME_WS);
}

static const char *ext_value_byte(struct http_chunked *d, char c)
{
    if (http_char_is(c, HTTP_C_TOKEN)) {
        d->state = S_EXT_TOKEN;
        return NULL;
    }
    if (d->state == S_EXT_TOKEN)
        return ext_end_byte(d, c, false);
    if (c == '"')
        d->state = S_EXT_QUOTED;
    else if (!http_char_ows(c))
        return "malformed chunk extension value";
    return NULL;
}

static const char *ext_quoted_byte(struct http_chunked *d, char c)
{
    if (d->state == S_EXT_PAIR) {
        d->state = S_EXT_QUOTED;
        return http_char_is(c, HTTP_C_FIELD) ? NULL : "invalid byte in a chunk extension";
    }
    if (c == '"')
        d->state = S_EXT_AFTER;
    else if (c == '\\')
        d->state = S_EXT_PAIR;
    else if (!http_char_is(c, HTTP_C_QDTEXT))
        return "invalid byte in a chunk extension";
    return NULL;
}

/* The chunk line is complete; its data, or the trailer section, comes next. */
static const char *size_lf_byte(struct http_chunked *d, char c)
{
    if (c != '\n')
        return "bare CR in a chunk line";
    d->last = d->left == 0;
    d->state = d->last ? S_TRAILERS : S_DATA;
    return NULL;
}

static const char *data_end_byte(struct http_chunked *d, char c)
{
    if (c != (d->state == S_DATA_CR ? '\r' : '\n'))
        return "chunk data is not followed by CRLF";
    if (d->state == S_DATA_CR) {
        d->state = S_DATA_LF;
        return NULL;
    }
    d->state = S_SIZE;
    d->digits = 0;
    d->ext_line = 0;
    return NULL;
}

static const char *line_byte(struct http_chunked *d, char c)
{
    switch ((enum state)d->state) {
    case S_SIZE:
        return size_byte(d, c);
    case S_BWS:
        return ext_end_byte(d, c, true);
    case S_EXT_NAME_0:
    case S_EXT_NAME:
    case S_EXT_NAME_WS:
        return ext_name_byte(d, c);
    case S_EXT_VALUE_0:
    case S_EXT_TOKEN:
        return ext_value_byte(d, c);
    case S_EXT_QUOTED:
    case S_EXT_PAIR:
        return ext_quoted_byte(d, c);
    case S_EXT_AFTER:
        return ext_end_byte(d, c, false);
    case S_SIZE_LF:
        return size_lf_byte(d, c);
    case S_DATA_CR:
    case S_DATA_LF:
        return data_end_byte(d, c);
    case S_DATA:
    case S_TRAILERS:
        break;
    }
    return "impossible state";
}

/* Counts what a line holds besides its size: the receiver pays for it, so it is bounded. */
static const char *count_extension(struct http_chunked *d)
{
    if (d->state < S_BWS || d->state > S_EXT_AFTER)
        return NULL;
    d->ext_message++;
    if (++d->ext_line > HTTP_CHUNK_EXT_LINE || d->ext_message > HTTP_CHUNK_EXT_MESSAGE)
        return "too much chunk extension";
    return NULL;
}

/* ---- the three parts of a message ---- */

static enum http_chunk_result take_data(struct http_chunked *d, const char *buf, size_t len,
                                        size_t *used, struct weir_span *data)
{
    size_t n = len - *used;

    if (n > d->left)
        n = (size_t)d->left;
    *data = weir_span(buf + *used, n);
    *used += n;
    d->left -= n;
    d->total += n;
    if (d->left == 0)
        d->state = S_DATA_CR;
    return HTTP_CHUNK_DATA;
}

static enum http_chunk_result take_trailers(struct http_chunked *d, const char *buf, size_t len,
                                            size_t *used, struct weir_err *err)
{
    const char *at = buf + *used;
    size_t n = len - *used;
    enum http_parsed r =
        http_parse_trailers(&d->parser, &trailer_limits, d->response, d->trailers, at, n, err);

    if (r == HTTP_BAD)
        return HTTP_CHUNK_BAD;
    if (r == HTTP_PARSED) {
        *used += d->parser.consumed;
        return HTTP_CHUNK_END;
    }
    if (d->trailers == NULL) {
        http_parser_shift(&d->parser, (uint32_t)n);
        *used = len;
    }
    return HTTP_CHUNK_MORE;
}

enum http_chunk_result http_chunked_next(struct http_chunked *d, const char *buf, size_t len,
                                         size_t *used, struct weir_span *data, struct weir_err *err)
{
    *used = 0;
    *data = WEIR_SPAN_NONE;
    while (*used < len) {
        const char *fault;

        if (d->state == S_DATA)
            return take_data(d, buf, len, used, data);
        if (d->state == S_TRAILERS)
            return take_trailers(d, buf, len, used, err);
        fault = line_byte(d, buf[*used]);
        if (fault == NULL)
            fault = count_extension(d);
        if (fault != NULL)
            return bad(d, fault, err);
        ++*used;
    }
    return HTTP_CHUNK_MORE;
}

enum http_chunk_result http_chunked_run(struct http_chunked *d, char *buf, uint32_t len,
                                        uint32_t *at, struct http_chunk_run *run,
                                        struct weir_err *err)
{
    *run = (struct http_chunk_run){d->held_off, d->held_len};
    d->held_len = 0;
    for (;;) {
        struct weir_span data = {0};
        size_t used = 0;
        enum http_chunk_result r = http_chunked_next(d, buf + *at, len - *at, &used, &data, err);

        *at += (uint32_t)used;
        if (r != HTTP_CHUNK_DATA)
            return r;
        if (run->len == 0) {
            *run = (struct http_chunk_run){(uint32_t)(data.ptr - buf), (uint32_t)data.len};
        } else if (data.len < GATHER_BELOW) {
            memmove(buf + run->off + run->len, data.ptr, data.len);
            run->len += (uint32_t)data.len;
        } else {
            d->held_off = (uint32_t)(data.ptr - buf);
            d->held_len = (uint32_t)data.len;
            return HTTP_CHUNK_DATA;
        }
    }
}

size_t http_chunk_header(char out[HTTP_CHUNK_HEADER_MAX], uint64_t size)
{
    static const char hex[] = "0123456789abcdef";
    unsigned digits = size == 0 ? 1 : (67 - (unsigned)__builtin_clzll(size)) / 4;

    for (unsigned i = digits; i > 0; i--, size >>= 4)
        out[i - 1] = hex[size & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}
