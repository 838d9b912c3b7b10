/*
 * Bytes as a chunked body: whole and cut give the same content and end; with or without keeping
 * trailers; what was decoded and is encoded anew decodes to itself.
 */
#include "fuzz_http.h"

#include "http_chunked.h"

#define CONTENT_MAX (1 << 20)

struct decoded {
    enum http_chunk_result result;
    struct weir_err err;
    size_t used, len;
    uint32_t trailers;
    char content[CONTENT_MAX];
};

static void decode(struct decoded *out, const void *data, size_t size, bool cut, bool keep)
{
    struct http_field fields[100];
    struct http_head trailers;
    struct http_chunked d;
    uint32_t seed = fuzz_seed(data, size);
    size_t have = cut ? 0 : size;

    memset(&out->err, 0, sizeof(out->err));
    out->used = out->len = 0;
    http_head_init(&trailers, fields, 100);
    http_chunked_init(&d, false, keep ? &trailers : NULL);
    for (;;) {
        char *buf = exact_copy((const char *)data + out->used, have - out->used);
        struct weir_span piece;
        size_t used;

        out->result = http_chunked_next(&d, buf, have - out->used, &used, &piece, &out->err);
        MUST(used <= have - out->used);
        out->used += used;
        if (out->result == HTTP_CHUNK_DATA) {
            MUST(piece.len > 0 && piece.ptr + piece.len <= buf + used);
            memcpy(out->content + out->len, piece.ptr, piece.len);
            out->len += piece.len;
        }
        free(buf);
        if (out->result == HTTP_CHUNK_MORE && have < size)
            have += fuzz_piece(&seed, size - have);
        else if (out->result != HTTP_CHUNK_DATA)
            break;
    }
    MUST(d.total == out->len);
    out->trailers = trailers.count + trailers.dropped;
}

static void must_be_same(const struct decoded *a, const struct decoded *b)
{
    MUST(a->result == b->result && a->len == b->len);
    MUST(memcmp(a->content, b->content, a->len) == 0);
    MUST(a->result != HTTP_CHUNK_BAD || a->err.code == b->err.code);
    MUST(a->result != HTTP_CHUNK_END || a->used == b->used);
}

static void must_encode(const struct decoded *d)
{
    static char text[CONTENT_MAX * 2];
    static struct decoded again;
    size_t n = 0;

    for (size_t at = 0, piece; at < d->len; at += piece) {
        piece = d->len - at < 300 ? d->len - at : 300;
        n += http_chunk_header(text + n, piece);
        memcpy(text + n, d->content + at, piece);
        n += piece;
        memcpy(text + n, "\r\n", 2);
        n += 2;
    }
    memcpy(text + n, HTTP_CHUNK_LAST, sizeof(HTTP_CHUNK_LAST) - 1);
    n += sizeof(HTTP_CHUNK_LAST) - 1;
    decode(&again, text, n, false, false);
    MUST(again.result == HTTP_CHUNK_END && again.used == n);
    MUST(again.len == d->len && memcmp(again.content, d->content, d->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decoded whole, cut, kept;

    if (size > CONTENT_MAX)
        return 0;
    decode(&whole, data, size, false, false);
    decode(&cut, data, size, true, false);
    must_be_same(&whole, &cut);
    decode(&kept, data, size, false, true);
    must_be_same(&whole, &kept);
    decode(&cut, data, size, true, true);
    must_be_same(&kept, &cut);
    MUST(whole.result != HTTP_CHUNK_END || kept.trailers == cut.trailers);
    if (whole.result == HTTP_CHUNK_END)
        must_encode(&whole);
    return 0;
}
