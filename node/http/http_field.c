#include "http_field.h"

#include <string.h>

/* Long enough for the longest known name, so that one comparison has a fixed size. */
#define NAME_MAX_LEN 40

struct known {
    const char *name;
    uint8_t len;
    uint16_t flags;
};

static const struct known known_fields[HTTP_FIELD_IDS] = {
    [HTTP_F_NONE] = {"", 0, 0},
#define X(id, name, flags) [HTTP_F_##id] = {name, sizeof(name) - 1, flags},
#include "http_fields.def"
#undef X
};

/* The last row of each length: a later row replaces the one before on purpose, the .def is sorted
 * by length. */
#pragma GCC diagnostic push
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
static const uint8_t last_of_length[NAME_MAX_LEN] = {
#define X(id, name, flags) [sizeof(name) - 1] = HTTP_F_##id,
#include "http_fields.def"
#undef X
};
#pragma GCC diagnostic pop

_Static_assert(HTTP_FIELD_IDS <= 256, "last_of_length holds ids in a byte");

/*
 * A known name holds letters, digits and '-' only. Of these the letters alone have bit 0x40, and
 * the two cases of a letter differ in bit 0x20. So a word equals a known one, case aside, exactly
 * if all bits that differ are the 0x20 of bytes whose known value has 0x40.
 */
static bool same_word(uint64_t word, uint64_t known)
{
    return ((word ^ known) & ~((known & 0x4040404040404040ULL) >> 1)) == 0;
}

static uint64_t load8(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

static uint32_t load4(const char *p)
{
    uint32_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

/* The last eight bytes, or all bytes of a shorter name (some of them twice). */
static uint64_t tail(const char *p, size_t len)
{
    if (len >= 8)
        return load8(p + len - 8);
    if (len >= 4)
        return load4(p) | (uint64_t)load4(p + len - 4) << 32;
    return (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[len / 2] << 8 |
           (uint64_t)(unsigned char)p[len - 1] << 16;
}

/* The bytes before the last eight. */
static bool same_front(const char *name, const char *known_name, size_t len)
{
    for (size_t i = 0; i + 8 < len; i += 8)
        if (!same_word(load8(name + i), load8(known_name + i)))
            return false;
    return true;
}

uint16_t http_field_intern(struct weir_span name)
{
    uint64_t end;

    if (name.len >= NAME_MAX_LEN || name.len == 0)
        return HTTP_F_NONE;
    /* The end of a name tells more than its beginning ("x-forwarded-...", "content-..."). */
    end = tail(name.ptr, name.len);
    for (unsigned id = last_of_length[name.len]; known_fields[id].len == name.len; id--) {
        const char *known_name = known_fields[id].name;

        if (same_word(end, tail(known_name, name.len)) &&
            same_front(name.ptr, known_name, name.len))
            return (uint16_t)id;
    }
    return HTTP_F_NONE;
}

static bool begins(struct weir_span name, struct weir_span prefix)
{
    return name.len >= prefix.len && weir_span_ieq(weir_span(name.ptr, prefix.len), prefix);
}

uint16_t http_field_flags(uint16_t id, struct weir_span name)
{
    if (id != HTTP_F_NONE)
        return known_fields[id].flags;
    if (begins(name, WEIR_SPAN_LIT("x-forwarded-")))
        return HTTP_FF_FORWARDING | HTTP_FF_PROTECTED;
    if (begins(name, WEIR_SPAN_LIT("proxy-")))
        return HTTP_FF_HOP;
    return 0;
}

struct weir_span http_field_name(uint16_t id)
{
    return weir_span(known_fields[id].name, known_fields[id].len);
}
