#include "trailers.h"

#include "http_text.h"

static bool named(struct weir_span name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (weir_span_ieq(name, weir_span_str(names[i])))
            return true;
    return false;
}

struct weir_blob *trailers_filter(const struct http_head *trailers, const char *const *allowed,
                                  size_t count, bool end)
{
    struct weir_blob *b =
        trailers->count > 0 ? weir_blob_new(http_fields_bytes(trailers) + 2) : NULL;
    struct http_text t;

    if (b == NULL)
        return NULL;
    http_text_init(&t, b->bytes, b->cap);
    for (uint32_t i = 0; i < trailers->count; i++) {
        const struct http_field *f = &trailers->fields[i];

        if (!(f->flags & (HTTP_FF_HOP | HTTP_FF_FRAMING)) && named(f->name, allowed, count))
            http_text_field(&t, f->name, f->value);
    }
    b->len = (uint32_t)http_text_len(&t);
    if (b->len == 0) {
        weir_blob_unref(b);
        return NULL;
    }
    if (end)
        http_text_lit(&t, "\r\n");
    b->len = (uint32_t)http_text_len(&t);
    return b;
}
