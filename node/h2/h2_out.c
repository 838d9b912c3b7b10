#include <string.h>

#include "h2_conn.h"

void h2_out_begin(struct h2_out *o, size_t limit)
{
    o->iov_count = o->blob_count = 0;
    o->used = 0;
    o->bytes = 0;
    o->limit = limit;
}

/* A frame of nghttp2's own is at most its header and 16 KiB; one with content needs two pieces. */
bool h2_out_room(const struct h2_out *o)
{
    return o->bytes < o->limit && o->used < H2_COPY_BYTES && o->iov_count + H2_PARTS + 2 < H2_IOV;
}

void h2_out_copy(struct h2_out *o, const void *bytes, size_t len)
{
    struct iovec *last = o->iov_count > 0 ? &o->iov[o->iov_count - 1] : NULL;
    char *to = o->copied + o->used;

    memcpy(to, bytes, len);
    o->used += (uint32_t)len;
    o->bytes += len;
    if (last != NULL && (char *)last->iov_base + last->iov_len == to)
        last->iov_len += len;
    else
        o->iov[o->iov_count++] = (struct iovec){to, len};
}

void h2_out_refer(struct h2_out *o, const char *bytes, size_t len, struct weir_blob *blob)
{
    o->iov[o->iov_count++] = (struct iovec){(void *)(uintptr_t)bytes, len};
    o->bytes += len;
    if (blob != NULL)
        o->blobs[o->blob_count++] = blob;
}

void h2_out_end(struct h2_out *o)
{
    for (unsigned i = 0; i < o->blob_count; i++)
        weir_blob_unref(o->blobs[i]);
    o->blob_count = o->iov_count = 0;
}
