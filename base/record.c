#include "weir/record.h"

#include <endian.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

#include "weir/alloc.h"

#define FIELDS_FIRST 256 /* most sets of fields need one allocation */

static const char magic[4] = {'W', 'R', 'C', '1'};

/* Little-endian on any machine: nodes of different kinds may share a Redis. */
static void store_le(char *out, uint64_t value, size_t bytes)
{
    size_t i;

    for (i = 0; i < bytes; i++)
        out[i] = (char)(unsigned char)(value >> (8 * i));
}

static uint16_t load_le16(const char *in)
{
    uint16_t value;

    memcpy(&value, in, sizeof(value));
    return le16toh(value);
}

static uint32_t load_le32(const char *in)
{
    uint32_t value;

    memcpy(&value, in, sizeof(value));
    return le32toh(value);
}

static uint64_t load_le64(const char *in)
{
    uint64_t value;

    memcpy(&value, in, sizeof(value));
    return le64toh(value);
}

/* ---- reading ---- */

bool record_version_read(unsigned version, unsigned newest)
{
    return version >= RECORD_VERSION_MIN && version <= newest && version + 1 >= newest;
}

bool record_next(struct weir_span *rest, struct record_field *f)
{
    unsigned type;
    size_t len;

    if (rest->len < RECORD_FIELD_BYTES)
        return false;
    type = load_le16(rest->ptr);
    len = load_le32(rest->ptr + 2);
    if (len > rest->len - RECORD_FIELD_BYTES)
        return false;
    f->type = (uint16_t)(type & ~(unsigned)RECORD_CRITICAL);
    f->critical = (type & RECORD_CRITICAL) != 0;
    f->bytes = weir_span(rest->ptr + RECORD_FIELD_BYTES, len);
    rest->ptr += RECORD_FIELD_BYTES + len;
    rest->len -= RECORD_FIELD_BYTES + len;
    return true;
}

static bool well_formed(struct weir_span fields)
{
    struct record_field f;

    while (record_next(&fields, &f))
        ;
    return fields.len == 0;
}

enum record_verdict record_open(struct weir_span bytes, struct record *out)
{
    size_t left, fields_len;

    if (bytes.len < RECORD_HEAD_BYTES + RECORD_TAIL_BYTES ||
        memcmp(bytes.ptr, magic, sizeof(magic)) != 0)
        return RECORD_FOREIGN;
    out->version = load_le16(bytes.ptr + 4);
    out->flags = load_le16(bytes.ptr + 6);
    /* Before the checksum: another version may well have another one. */
    if (!record_version_read(out->version, RECORD_VERSION))
        return RECORD_UNKNOWN;
    left = bytes.len - RECORD_TAIL_BYTES;
    if (XXH3_64bits(bytes.ptr, left) != load_le64(bytes.ptr + left))
        return RECORD_DAMAGED;
    fields_len = load_le32(bytes.ptr + 8);
    left -= RECORD_HEAD_BYTES;
    if (fields_len > left)
        return RECORD_DAMAGED;
    out->fields = weir_span(bytes.ptr + RECORD_HEAD_BYTES, fields_len);
    out->body = weir_span(out->fields.ptr + fields_len, left - fields_len);
    return well_formed(out->fields) ? RECORD_OK : RECORD_DAMAGED;
}

bool record_u64(const struct record_field *f, uint64_t *out)
{
    if (f->bytes.len != sizeof(*out))
        return false;
    *out = load_le64(f->bytes.ptr);
    return true;
}

/* ---- writing ---- */

static bool make_room(struct record_fields *fs, size_t more)
{
    size_t cap = fs->cap > 0 ? fs->cap : FIELDS_FIRST;
    char *grown;

    if (more > UINT32_MAX - fs->len)
        return false;
    if (fs->cap - fs->len >= more)
        return true;
    while (cap - fs->len < more)
        cap *= 2;
    grown = weir_realloc(fs->ptr, cap);
    if (grown == NULL)
        return false;
    fs->ptr = grown;
    fs->cap = cap;
    return true;
}

char *record_add_space(struct record_fields *fs, unsigned type, size_t len)
{
    char *at;

    if (fs->failed || len > UINT32_MAX - RECORD_FIELD_BYTES ||
        !make_room(fs, RECORD_FIELD_BYTES + len)) {
        fs->failed = true;
        return NULL;
    }
    at = fs->ptr + fs->len;
    store_le(at, type, 2);
    store_le(at + 2, len, 4);
    fs->len += RECORD_FIELD_BYTES + len;
    return at + RECORD_FIELD_BYTES;
}

void record_add(struct record_fields *fs, unsigned type, struct weir_span bytes)
{
    char *at = record_add_space(fs, type, bytes.len);

    if (at != NULL && bytes.len > 0)
        memcpy(at, bytes.ptr, bytes.len);
}

void record_add_u64(struct record_fields *fs, unsigned type, uint64_t value)
{
    char *at = record_add_space(fs, type, sizeof(value));

    if (at != NULL)
        store_le(at, value, sizeof(value));
}

void record_fields_free(struct record_fields *fs)
{
    weir_free(fs->ptr);
    *fs = (struct record_fields){0};
}

static uint64_t sum_of(struct weir_slice head, const struct weir_slice *body, size_t count)
{
    XXH3_state_t state;
    size_t i;

    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, weir_slice_ptr(head), head.len);
    for (i = 0; i < count; i++)
        XXH3_64bits_update(&state, weir_slice_ptr(body[i]), body[i].len);
    return XXH3_64bits_digest(&state);
}

static void append(struct weir_blob *to, struct weir_span bytes)
{
    if (bytes.len > 0)
        memcpy(to->bytes + to->len, bytes.ptr, bytes.len);
    to->len += (uint32_t)bytes.len;
}

static struct weir_blob *make_head(unsigned version, unsigned flags, struct weir_span first,
                                   struct weir_span second)
{
    char start[RECORD_HEAD_BYTES];
    struct weir_blob *b;

    if (first.len > UINT32_MAX / 4 || second.len > UINT32_MAX / 4)
        return NULL;
    b = weir_blob_new(RECORD_HEAD_BYTES + first.len + second.len);
    if (b == NULL)
        return NULL;
    memcpy(start, magic, sizeof(magic));
    store_le(start + 4, version, 2);
    store_le(start + 6, flags, 2);
    store_le(start + 8, first.len + second.len, 4);
    append(b, weir_span(start, sizeof(start)));
    append(b, first);
    append(b, second);
    return b;
}

bool record_seal(unsigned version, unsigned flags, struct weir_span first, struct weir_span second,
                 const struct weir_slice *body, size_t body_count, struct weir_slice *head,
                 struct weir_slice *tail)
{
    struct weir_blob *h = make_head(version, flags, first, second);
    struct weir_blob *t = weir_blob_new(RECORD_TAIL_BYTES);

    if (h == NULL || t == NULL) {
        weir_blob_unref(h);
        weir_blob_unref(t);
        return false;
    }
    *head = (struct weir_slice){h, 0, h->len};
    store_le(t->bytes, sum_of(*head, body, body_count), RECORD_TAIL_BYTES);
    t->len = RECORD_TAIL_BYTES;
    *tail = (struct weir_slice){t, 0, RECORD_TAIL_BYTES};
    return true;
}
