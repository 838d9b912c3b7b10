#include "trailers.h"

#include "http_grpc.h"
#include "http_text.h"

static bool named(struct weir_span name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (weir_span_ieq(name, weir_span_str(names[i])))
            return true;
    return false;
}

/* Lines of those that pass. NULL: none, or no memory. */
static struct weir_blob *lines_of(const struct http_head *trailers,
                                  bool (*passes)(const struct http_field *f, const void *ctx),
                                  const void *ctx, bool end)
{
    struct weir_blob *b =
        trailers->count > 0 ? weir_blob_new(http_fields_bytes(trailers) + 2) : NULL;
    struct http_text t;

    if (b == NULL)
        return NULL;
    http_text_init(&t, b->bytes, b->cap);
    for (uint32_t i = 0; i < trailers->count; i++)
        if (passes(&trailers->fields[i], ctx))
            http_text_field(&t, trailers->fields[i].name, trailers->fields[i].value);
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

struct names {
    const char *const *name;
    size_t count;
};

static bool is_allowed(const struct http_field *f, const void *ctx)
{
    const struct names *allowed = ctx;

    return !(f->flags & (HTTP_FF_HOP | HTTP_FF_FRAMING)) &&
           named(f->name, allowed->name, allowed->count);
}

struct weir_blob *trailers_filter(const struct http_head *trailers, const char *const *allowed,
                                  size_t count, bool end)
{
    struct names names = {allowed, count};

    return lines_of(trailers, is_allowed, &names, end);
}

static bool is_of_call(const struct http_field *f, const void *ctx)
{
    (void)ctx;
    return http_grpc_trailer(f);
}

struct weir_blob *trailers_of_call(const struct http_head *trailers)
{
    return lines_of(trailers, is_of_call, NULL, false);
}
