#include <string.h>

#include "store_put.h"
#include "weir/alloc.h"

#define COPY_BELOW 2048  /* a smaller piece is copied: a reference would hold its whole blob */
#define COPY_BLOB  16384 /* into blobs of this size */

/* Room for one more, beside at[0]. */
static bool make_room(struct store_pieces *ps)
{
    size_t cap = ps->cap > 0 ? ps->cap * 2 : 8;
    struct weir_slice *grown;

    if (ps->count + 1 < ps->cap)
        return true;
    grown = weir_realloc(ps->at, cap * sizeof(*grown));
    if (grown == NULL)
        return false;
    ps->at = grown;
    ps->cap = cap;
    return true;
}

static void push(struct store_pieces *ps, struct weir_slice s)
{
    ps->at[++ps->count] = s;
    ps->bytes += s.len;
}

static bool copy(struct store_pieces *ps, struct weir_slice s)
{
    struct weir_slice *to = &ps->at[ps->count];

    if (!ps->copying || to->blob->cap - to->len < s.len) {
        struct weir_blob *b = weir_blob_new(COPY_BLOB);

        if (b == NULL)
            return false;
        push(ps, (struct weir_slice){b, 0, 0});
        ps->copying = true;
        to = &ps->at[ps->count];
    }
    memcpy(to->blob->bytes + to->blob->len, weir_slice_ptr(s), s.len);
    to->blob->len += s.len;
    to->len += s.len;
    ps->bytes += s.len;
    return true;
}

bool store_pieces_add(struct store_pieces *ps, struct weir_slice bytes)
{
    struct weir_slice *last;

    if (!make_room(ps))
        return false;
    last = &ps->at[ps->count];
    if (ps->count > 0 && last->blob == bytes.blob && last->off + last->len == bytes.off) {
        last->len += bytes.len;
        ps->bytes += bytes.len;
        return true;
    }
    if (bytes.len < COPY_BELOW)
        return copy(ps, bytes);
    weir_blob_ref(bytes.blob);
    push(ps, bytes);
    ps->copying = false;
    return true;
}

void store_pieces_drop(struct store_pieces *ps)
{
    size_t i;

    for (i = 1; i <= ps->count; i++)
        weir_blob_unref(ps->at[i].blob);
    ps->count = 0;
    ps->bytes = 0;
    ps->copying = false;
}

void store_pieces_free(struct store_pieces *ps)
{
    store_pieces_drop(ps);
    weir_free(ps->at);
    *ps = (struct store_pieces){0};
}
