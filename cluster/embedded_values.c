/* Values of the embedded engine: blobs under keys. */
#include "embedded_own.h"

#include "weir/alloc.h"
#include "weir/container.h"

struct value {
    struct embedded_item item;
    struct weir_slice bytes; /* blob: a reference, never NULL */
};

static struct value *value_of(struct embedded_item *it)
{
    return WEIR_CONTAINER(it, struct value, item);
}

static void value_drop(struct embedded_item *it)
{
    weir_blob_unref(value_of(it)->bytes.blob);
    weir_free(value_of(it));
}

/* A slice that is most of its blob is kept as it is: a copy would cost more. */
static bool worth_keeping(struct weir_slice s)
{
    return s.len > 0 && s.len >= s.blob->cap / 2;
}

static bool join(struct weir_slice *out, const struct shared_put *put)
{
    struct weir_blob *b;
    size_t i;

    if (put->count == 1 && worth_keeping(put->slices[0])) {
        *out = put->slices[0];
        weir_blob_ref(out->blob);
        return true;
    }
    b = weir_blob_new(put->bytes);
    if (b == NULL)
        return false;
    for (i = 0; i < put->count; i++)
        if (put->slices[i].len > 0) {
            memcpy(b->bytes + b->len, weir_slice_ptr(put->slices[i]), put->slices[i].len);
            b->len += put->slices[i].len;
        }
    *out = (struct weir_slice){.blob = b, .off = 0, .len = b->len};
    return true;
}

/* In no place yet. NULL without memory. */
static struct value *value_new(const struct shared_put *put)
{
    struct weir_slice bytes;
    struct embedded_item *it;

    if (!join(&bytes, put))
        return NULL;
    it = embedded_item_new(sizeof(struct value), put->key, EMBEDDED_VALUE,
                           weir_blob_cost(bytes.blob), value_drop);
    if (it == NULL) {
        weir_blob_unref(bytes.blob);
        return NULL;
    }
    value_of(it)->bytes = bytes;
    return value_of(it);
}

static enum shared_result find_value(struct embedded_visit *v, struct weir_span key,
                                     struct value **out)
{
    struct embedded_item *it = embedded_find(v, key);

    if (it == NULL)
        return SHARED_NONE;
    if (it->kind != EMBEDDED_VALUE)
        return SHARED_BAD;
    *out = value_of(it);
    return SHARED_OK;
}

void embedded_get(struct shared_port *p, struct shared_call *c, struct weir_span key)
{
    struct embedded_visit v;
    struct value *found;
    enum shared_result result;

    embedded_visit_for(&v, p, c, key);
    do {
        embedded_lock(&v);
        result = find_value(&v, key, &found);
        if (result == SHARED_OK) {
            c->value = found->bytes;
            weir_blob_ref(c->value.blob);
        }
    } while (embedded_unlock_again(&v));
    shared_complete(p, c, result);
}

static enum shared_result put_condition(struct embedded_visit *v, const struct shared_put *put)
{
    if (put->how == SHARED_PUT_NEW && embedded_find(v, put->key) != NULL)
        return SHARED_REFUSED;
    if (put->how == SHARED_PUT_FENCED)
        return embedded_fence_check(v, put->fence_key, put->fence);
    return SHARED_OK;
}

void embedded_put(struct shared_port *p, struct shared_call *c, const struct shared_put *put)
{
    struct value *fresh = value_new(put);
    enum shared_result result;
    struct embedded_visit v;

    if (fresh == NULL) {
        shared_complete(p, c, SHARED_FULL);
        return;
    }
    embedded_visit_for(&v, p, c, put->key);
    do {
        embedded_lock(&v);
        result = put_condition(&v, put);
        if (result == SHARED_OK && !embedded_insert(&v, &fresh->item, v.now_ms + put->ttl_ms))
            result = SHARED_FULL;
    } while (embedded_unlock_again(&v));
    if (result != SHARED_OK)
        value_drop(&fresh->item);
    shared_complete(p, c, result);
}

void embedded_touch(struct shared_port *p, struct shared_call *c, struct weir_span key,
                    int64_t ttl_ms)
{
    struct embedded_item *it;
    struct embedded_visit v;

    embedded_visit_for(&v, p, c, key);
    do {
        embedded_lock(&v);
        it = embedded_find(&v, key);
        if (it != NULL && it->expires_ms < v.now_ms + ttl_ms)
            embedded_set_expiry(&v, it, v.now_ms + ttl_ms);
    } while (embedded_unlock_again(&v));
    shared_complete(p, c, it != NULL ? SHARED_OK : SHARED_NONE);
}

void embedded_remove_key(struct shared_port *p, struct shared_call *c, struct weir_span key)
{
    struct embedded_item *it;
    struct embedded_visit v;

    embedded_visit_for(&v, p, c, key);
    do {
        embedded_lock(&v);
        it = embedded_find(&v, key);
        if (it != NULL)
            embedded_remove(&v, it);
    } while (embedded_unlock_again(&v));
    c->number = it != NULL ? 1 : 0;
    shared_complete(p, c, SHARED_OK);
}

static bool holds(struct weir_slice value, size_t offset, struct weir_span bytes)
{
    return offset <= value.len && bytes.len <= value.len - offset &&
           memcmp(weir_slice_ptr(value) + offset, bytes.ptr, bytes.len) == 0;
}

void embedded_remove_if(struct shared_port *p, struct shared_call *c, struct weir_span key,
                        size_t offset, struct weir_span bytes)
{
    struct embedded_visit v;
    struct value *found;
    enum shared_result result;

    embedded_visit_for(&v, p, c, key);
    do {
        embedded_lock(&v);
        result = find_value(&v, key, &found);
        if (result == SHARED_OK && !holds(found->bytes, offset, bytes))
            result = SHARED_REFUSED;
        if (result == SHARED_OK)
            embedded_remove(&v, &found->item);
    } while (embedded_unlock_again(&v));
    c->number = result == SHARED_OK ? 1 : 0;
    shared_complete(p, c, result);
}
