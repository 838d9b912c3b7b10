#include "word_codec.h"

#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "weir/members.h"
#include "weir/record.h"
#include "weir/utf8.h"
#include "member_brief.h"

enum {
    FIELD_FORMAT = 0x0300,
    FIELD_TARGET = 0x0301,
    FIELD_KIND = 0x0302,
    FIELD_ASPECT = 0x0303,
    FIELD_NAME = 0x0304,
    FIELD_URL = 0x0305,
    FIELD_WEIGHT = 0x0306,
    FIELD_AUTHOR = 0x0307,
    FIELD_REASON = 0x0308,
    FIELD_NUMBER = 0x0309,
    FIELD_SAID_AT = 0x030a,
    FIELD_ENDS_AT = 0x030b,
};

#define TARGETS   3
#define TIME_MAX  INT64_C(253402300799999) /* the end of the year 9999, in milliseconds */
#define ENTRY_LEN 200                      /* what is longer is told by a hash */

static const char *const target_names[TARGETS] = {"origin", "upstream", "node"};
static const char *const aspect_names[WORD_ASPECTS] = {"state", "weight", "order"};
static const char *const kind_names[WORD_KINDS] = {
    [WORD_NOTHING] = "nothing", [WORD_DRAIN] = "drain",     [WORD_DISABLE] = "disable",
    [WORD_UP] = "up",           [WORD_WEIGHT] = "weight",   [WORD_MAINTENANCE] = "maintenance",
    [WORD_RELOAD] = "reload",   [WORD_UNREADY] = "unready",
};

/* ---- names ---- */

static int find(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

const char *word_kind_name(enum word_kind k)
{
    return (unsigned)k < WORD_KINDS ? kind_names[k] : "?";
}

int word_kind_of(const char *name)
{
    return find(kind_names, WORD_KINDS, name);
}

const char *word_target_name(enum word_target t)
{
    return (unsigned)t < TARGETS ? target_names[t] : "?";
}

int word_target_of(const char *name)
{
    return find(target_names, TARGETS, name);
}

const char *word_aspect_name(enum word_aspect a)
{
    return (unsigned)a < WORD_ASPECTS ? aspect_names[a] : "?";
}

int word_aspect_of_name(const char *name)
{
    return find(aspect_names, WORD_ASPECTS, name);
}

enum word_aspect word_aspect_of(enum word_target t, enum word_kind k, bool weight_only)
{
    if (k == WORD_WEIGHT || (k == WORD_NOTHING && weight_only))
        return WORD_WEIGHING;
    if (t == WORD_NODE && (k == WORD_DRAIN || k == WORD_RELOAD))
        return WORD_ORDERING;
    return WORD_STATE;
}

/* ---- what is sound ---- */

static bool text_ok(const char *text, size_t least, size_t most)
{
    size_t len = strlen(text);

    if (len < least || len > most)
        return false;
    for (size_t at = 0, n; at < len; at += n) {
        const unsigned char *p = (const unsigned char *)text + at;

        n = weir_utf8_plain(p, len - at);
        if (n == 0)
            return false;
    }
    return true;
}

static bool kind_ok(enum word_target t, enum word_kind k)
{
    static const unsigned known[TARGETS] = {
        [WORD_ORIGIN] = 1u << WORD_DRAIN | 1u << WORD_DISABLE | 1u << WORD_UP | 1u << WORD_WEIGHT,
        [WORD_UPSTREAM] = 1u << WORD_MAINTENANCE,
        [WORD_NODE] = 1u << WORD_DRAIN | 1u << WORD_RELOAD | 1u << WORD_UNREADY,
    };

    return k == WORD_NOTHING || ((unsigned)k < WORD_KINDS && (known[t] >> k & 1u) != 0);
}

static bool wrong(struct weir_err *err, const char *what)
{
    return weir_failf(err, WEIR_E_CONFIG, "words", 0, "%s", what);
}

static bool name_ok(const struct word *w)
{
    if (w->target == WORD_NODE)
        return w->name[0] == '\0' || member_id_valid(weir_span_str(w->name));
    return text_ok(w->name, 1, WORD_NAME_MAX);
}

static bool times_ok(const struct word_said *s)
{
    return s->word.number > 0 && s->word.number <= (uint64_t)TIME_MAX && s->word.said_at_s >= 0 &&
           s->word.said_at_s <= TIME_MAX / 1000 && s->ends_at_ms >= 0 && s->ends_at_ms <= TIME_MAX;
}

bool word_check(const struct word_said *s, struct weir_err *err)
{
    const struct word *w = &s->word;
    bool origin = w->target == WORD_ORIGIN;
    bool nothing_of_weight = w->kind == WORD_NOTHING && s->aspect == WORD_WEIGHING;

    if ((unsigned)w->target >= TARGETS)
        return wrong(err, "no such target");
    if (!kind_ok(w->target, w->kind))
        return wrong(err, "no such word for this target");
    if (s->aspect != word_aspect_of(w->target, w->kind, nothing_of_weight && origin))
        return wrong(err, "no such word for this target");
    if (!name_ok(w))
        return wrong(err, "the name is missing, too long or no name");
    if (!text_ok(w->url, origin ? 1 : 0, origin ? WORD_URL_MAX : 0) || strchr(w->url, '|') != NULL)
        return wrong(err, "the URL is missing, too long or none");
    if (w->kind == WORD_WEIGHT && (w->weight < 1 || w->weight > WORD_WEIGHT_MAX))
        return wrong(err, "a weight is 1 to 1000");
    if (!text_ok(w->author, 0, WORD_AUTHOR_MAX))
        return wrong(err, "the author is too long or no text");
    if (!text_ok(w->reason, 0, WORD_REASON_MAX))
        return wrong(err, "the reason is too long or no text");
    return times_ok(s) || wrong(err, "no such time");
}

/* ---- ids ---- */

struct weir_span word_entry(const struct word_said *s, char buf[SHARED_BOARD_ID_MAX + 1])
{
    char whole[WORD_NAME_MAX + WORD_URL_MAX + 32];
    XXH128_hash_t h;
    int len;

    /* The URL holds no '|', and the name may hold anything: no two targets share an id. */
    len = snprintf(whole, sizeof whole, "%s|%s|%s|%s", word_target_name(s->word.target),
                   word_aspect_name(s->aspect), s->word.url, s->word.name);
    if (len <= ENTRY_LEN) {
        memcpy(buf, whole, (size_t)len + 1);
        return weir_span(buf, (size_t)len);
    }
    h = XXH3_128bits(whole, (size_t)len); /* who aims for a collision spoils words of his own */
    len = snprintf(buf, SHARED_BOARD_ID_MAX + 1, "%.150s#%016llx%016llx", whole,
                   (unsigned long long)h.high64, (unsigned long long)h.low64);
    return weir_span(buf, (size_t)len);
}

/* ---- bytes ---- */

static void add_text(struct record_fields *fs, unsigned type, const char *text)
{
    record_add(fs, type, weir_span(text, strlen(text) + 1));
}

void word_write(struct record_fields *fs, const struct word_said *s)
{
    const struct word *w = &s->word;

    record_add_u64(fs, FIELD_FORMAT, s->format);
    record_add_u64(fs, FIELD_TARGET, w->target);
    record_add_u64(fs, FIELD_KIND, w->kind);
    record_add_u64(fs, FIELD_ASPECT, s->aspect);
    add_text(fs, FIELD_NAME, w->name);
    add_text(fs, FIELD_URL, w->url);
    record_add_u64(fs, FIELD_WEIGHT, w->weight);
    add_text(fs, FIELD_AUTHOR, w->author);
    add_text(fs, FIELD_REASON, w->reason);
    record_add_u64(fs, FIELD_NUMBER, w->number);
    record_add_u64(fs, FIELD_SAID_AT, (uint64_t)w->said_at_s);
    record_add_u64(fs, FIELD_ENDS_AT, (uint64_t)s->ends_at_ms);
}

static bool read_small(const struct record_field *f, uint64_t most, unsigned *out)
{
    uint64_t value;

    if (!record_u64(f, &value) || value > most)
        return false;
    *out = (unsigned)value;
    return true;
}

static bool read_text(const struct record_field *f, const char **out)
{
    *out = f->bytes.ptr;
    return f->bytes.len > 0 &&
           memchr(f->bytes.ptr, '\0', f->bytes.len) == f->bytes.ptr + f->bytes.len - 1;
}

static bool read_time(const struct record_field *f, int64_t *out)
{
    uint64_t value;

    if (!record_u64(f, &value) || value > (uint64_t)TIME_MAX)
        return false;
    *out = (int64_t)value;
    return true;
}

/* false: not as it must be, or one that must not be skipped. */
static bool read_field(const struct record_field *f, struct word_said *out)
{
    unsigned value = 0;
    bool ok;

    switch (f->type) {
    case FIELD_FORMAT:
        return read_small(f, UINT32_MAX, &out->format);
    case FIELD_TARGET:
        ok = read_small(f, TARGETS - 1, &value);
        out->word.target = (enum word_target)value;
        return ok;
    case FIELD_KIND:
        ok = read_small(f, WORD_KINDS - 1, &value);
        out->word.kind = (enum word_kind)value;
        return ok;
    case FIELD_ASPECT:
        ok = read_small(f, WORD_ASPECTS - 1, &value);
        out->aspect = (enum word_aspect)value;
        return ok;
    case FIELD_NAME:
        return read_text(f, &out->word.name);
    case FIELD_URL:
        return read_text(f, &out->word.url);
    case FIELD_WEIGHT:
        return read_small(f, UINT32_MAX, &out->word.weight);
    case FIELD_AUTHOR:
        return read_text(f, &out->word.author);
    case FIELD_REASON:
        return read_text(f, &out->word.reason);
    case FIELD_NUMBER:
        return record_u64(f, &out->word.number);
    case FIELD_SAID_AT:
        return read_time(f, &out->word.said_at_s);
    case FIELD_ENDS_AT:
        return read_time(f, &out->ends_at_ms);
    default:
        return !f->critical;
    }
}

bool word_read(struct weir_span bytes, struct word_said *out)
{
    struct record_field f;

    *out = (struct word_said){.word = {.name = "", .url = "", .author = "", .reason = ""}};
    while (record_next(&bytes, &f))
        if (!read_field(&f, out))
            return false;
    return bytes.len == 0 && out->format != 0 && word_check(out, NULL);
}
