#include "member_brief.h"

#include <stdio.h>
#include <string.h>

#include "weir/record.h"

enum {
    FIELD_FORMAT = 0x0200,
    FIELD_SEQUENCE = 0x0201,
    FIELD_FLAGS = 0x0202,
    FIELD_CONFIG = 0x0203,
    FIELD_PURGES = 0x0204,
    FIELD_ORDER = 0x0205,
    FIELD_VOTES = 0x0206,
    FIELD_SHARED = 0x0207,
};

#define HEX_DIGITS 16
#define HINT_BRIEF 'b'

/* ---- ids ---- */

static bool id_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_' || c == ':';
}

bool member_id_valid(struct weir_span id)
{
    if (id.len == 0 || id.len > MEMBER_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!id_byte(id.ptr[i]))
            return false;
    return true;
}

struct weir_span member_entry(struct weir_span id, uint64_t incarnation,
                              char buf[MEMBER_ENTRY_MAX + 1])
{
    int len = snprintf(buf, MEMBER_ENTRY_MAX + 1, "%.*s/%016llx", (int)id.len, id.ptr,
                       (unsigned long long)incarnation);

    return weir_span(buf, (size_t)len);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool member_entry_read(struct weir_span entry, struct weir_span *id, uint64_t *incarnation)
{
    const char *hex;

    if (entry.len < HEX_DIGITS + 2)
        return false;
    hex = entry.ptr + entry.len - HEX_DIGITS;
    *id = weir_span(entry.ptr, entry.len - HEX_DIGITS - 1);
    *incarnation = 0;
    for (int i = 0; i < HEX_DIGITS; i++) {
        int value = hex_value(hex[i]);

        if (value < 0)
            return false;
        *incarnation = *incarnation << 4 | (unsigned)value;
    }
    return hex[-1] == '/' && *incarnation != 0 && member_id_valid(*id);
}

/* ---- briefs ---- */

void member_brief_write(struct record_fields *fs, const struct member_said *said)
{
    record_add_u64(fs, FIELD_FORMAT, said->format);
    record_add_u64(fs, FIELD_SEQUENCE, said->sequence);
    record_add_u64(fs, FIELD_FLAGS, said->brief.flags);
    record_add_u64(fs, FIELD_CONFIG, said->brief.config);
    record_add_u64(fs, FIELD_PURGES, said->brief.purges);
    record_add_u64(fs, FIELD_ORDER, said->brief.order);
    record_add_u64(fs, FIELD_SHARED, said->shared_ms);
    record_add(fs, FIELD_VOTES, said->brief.votes);
}

static bool read_small(const struct record_field *f, uint32_t *out)
{
    uint64_t value;

    if (!record_u64(f, &value) || value > UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

/* false: a field of ours that is not as it must be, or one that must not be skipped. */
static bool read_field(const struct record_field *f, struct member_said *out)
{
    switch (f->type) {
    case FIELD_FORMAT:
        return read_small(f, &out->format);
    case FIELD_SEQUENCE:
        return record_u64(f, &out->sequence);
    case FIELD_FLAGS:
        return read_small(f, &out->brief.flags);
    case FIELD_CONFIG:
        return record_u64(f, &out->brief.config);
    case FIELD_PURGES:
        return record_u64(f, &out->brief.purges);
    case FIELD_ORDER:
        return record_u64(f, &out->brief.order);
    case FIELD_VOTES:
        out->brief.votes = f->bytes;
        return f->bytes.len <= MEMBER_VOTES_MAX;
    case FIELD_SHARED:
        return record_u64(f, &out->shared_ms);
    default:
        return !f->critical;
    }
}

bool member_brief_read(struct weir_span bytes, struct member_said *out)
{
    struct record_field f;

    *out = (struct member_said){.format = 0};
    while (record_next(&bytes, &f))
        if (!read_field(&f, out))
            return false;
    return bytes.len == 0 && out->format != 0 && out->sequence != 0;
}

bool member_brief_same(const struct member_brief *a, const struct member_brief *b)
{
    return a->flags == b->flags && a->config == b->config && a->purges == b->purges &&
           a->order == b->order && weir_span_eq(a->votes, b->votes);
}

/* ---- hints ---- */

struct weir_span member_hint_write(struct weir_span entry, struct weir_span sealed,
                                   char buf[SHARED_HINT_MAX])
{
    size_t len = 2 + entry.len + sealed.len;

    if (len > SHARED_HINT_MAX || entry.len > MEMBER_ENTRY_MAX)
        return WEIR_SPAN_NONE;
    buf[0] = HINT_BRIEF;
    buf[1] = (char)entry.len;
    memcpy(buf + 2, entry.ptr, entry.len);
    memcpy(buf + 2 + entry.len, sealed.ptr, sealed.len);
    return weir_span(buf, len);
}

bool member_hint_read(struct weir_span hint, struct weir_span *entry, struct weir_span *sealed)
{
    size_t entry_len;

    if (hint.len < 2 || hint.ptr[0] != HINT_BRIEF)
        return false;
    entry_len = (unsigned char)hint.ptr[1];
    if (entry_len > hint.len - 2)
        return false;
    *entry = weir_span(hint.ptr + 2, entry_len);
    *sealed = weir_span(hint.ptr + 2 + entry_len, hint.len - 2 - entry_len);
    return true;
}
