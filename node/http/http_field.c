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

/* ORing 0x20 folds case of letters; of the other bytes of a token it only maps '^', '_' and '@' to
 * others, which the exact comparison below tells apart. So a word that differs proves that the name
 * differs. */
static uint64_t folded(const char *p, size_t len)
{
    uint64_t word = 0;

    memcpy(&word, p, len);
    return word | 0x2020202020202020ULL;
}

/* The end of a name tells more than its beginning ("x-forwarded-...", "content-..."). */
static uint64_t folded_tail(const char *p, size_t len)
{
    return len >= 8 ? folded(p + len - 8, 8) : folded(p, len);
}

uint16_t http_field_intern(struct weir_span name)
{
    uint64_t tail;

    if (name.len >= NAME_MAX_LEN || name.len == 0)
        return HTTP_F_NONE;
    tail = folded_tail(name.ptr, name.len);
    for (unsigned id = last_of_length[name.len]; known_fields[id].len == name.len; id--) {
        const struct known *k = &known_fields[id];

        if (folded_tail(k->name, k->len) == tail && weir_span_ieq(name, weir_span(k->name, k->len)))
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
