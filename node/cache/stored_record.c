#include "stored_record.h"

#include <string.h>

#include "cache_key.h"
#include "http_head.h"
#include "http_parse.h"
#include "purge.h"
#include "storable.h"

/* Types of fields: 0x0100 to 0x01ff are ours (weir/record.h). */
enum type {
    KEY = 0x0100,
    VARIANT = 0x0101,
    HEAD = 0x0102,  /* as sent, then what is hidden */
    SHAPE = 0x0103, /* numbers: put_shape() */
    FACTS = 0x0104, /* numbers: put_facts() */
    PURGE = 0x0105, /* logged, url, host, hashes of tags: 8 bytes each */
    TAGS = 0x0106,
    MARKER = 0x0107, /* a number: until_s; then `why` */
    VARY = 0x0108,   /* a byte: coded; then names, each with a line feed */
};

#define ROWS_MAX     4096          /* field lines of a head */
#define HEAD_MAX     (1024 * 1024) /* bytes of a head, or one line */
#define INSTANT_MAX  (INT64_C(1) << 40)
#define DURATION_MAX (INT64_C(1) << 40)

/* ---- numbers ---- */

/* Rows of numbers: seven bits a byte, the lowest first. What is added later is added at the end:
 * who does not know it does not read that far. */
struct numbers {
    char bytes[256];
    size_t len;
};

static void put_u64(struct numbers *n, uint64_t v)
{
    while (v >= 0x80) {
        n->bytes[n->len++] = (char)(v | 0x80);
        v >>= 7;
    }
    n->bytes[n->len++] = (char)v;
}

/* Small when near to zero, on either side. */
static void put_i64(struct numbers *n, int64_t v)
{
    put_u64(n, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

/* 0 for what is absent, `absent`; else one more than the number. */
static void put_optional(struct numbers *n, int64_t v, int64_t absent)
{
    put_u64(n, v == absent ? 0 : ((uint64_t)v << 1 ^ (uint64_t)(v >> 63)) + 1);
}

static uint64_t take_u64(struct weir_span *s, bool *ok)
{
    uint64_t v = 0;

    for (unsigned shift = 0; s->len > 0 && shift < 64; shift += 7) {
        uint8_t b = (uint8_t)*s->ptr;

        s->ptr++;
        s->len--;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    *ok = false;
    return 0;
}

static int64_t unfold(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (~(v & 1) + 1));
}

/* Between -max and max, else 0 and not ok: sums of a few of them do not overflow. */
static int64_t take_i64(struct weir_span *s, int64_t max, bool *ok)
{
    int64_t v = unfold(take_u64(s, ok));

    if (v >= -max && v <= max)
        return v;
    *ok = false;
    return 0;
}

static int64_t take_optional(struct weir_span *s, int64_t max, int64_t absent, bool *ok)
{
    uint64_t v = take_u64(s, ok);
    int64_t i = v == 0 ? absent : unfold(v - 1);

    if (v != 0 && (i < -max || i > max))
        *ok = false;
    return i;
}

static uint64_t take_small(struct weir_span *s, uint64_t max, bool *ok)
{
    uint64_t v = take_u64(s, ok);

    if (v > max)
        *ok = false;
    return v;
}

static int64_t take_duration(struct weir_span *s, bool *ok)
{
    int64_t v = take_i64(s, DURATION_MAX, ok);

    if (v < 0)
        *ok = false;
    return v;
}

static bool is_set(uint64_t bits, unsigned bit)
{
    return (bits >> bit & 1) != 0;
}

/* ---- the shape: all of a response that is no text and no time ---- */

static void put_shape(struct numbers *n, const struct stored_record *s)
{
    put_u64(n, (uint64_t)s->status);
    put_u64(n, s->hidden_len);
    put_u64(n, s->head_common);
    put_u64(n, (uint64_t)s->coding);
    put_u64(n, (uint64_t)s->sent_coding);
    put_u64(n, s->sent_len);
    put_u64(n, (uint64_t)s->recodable | (uint64_t)s->as_sent_only << 1 |
                   (uint64_t)s->sent_len_open << 2);
}

static bool take_shape(struct stored_record *s, struct weir_span from)
{
    bool ok = true;
    uint64_t bits;

    s->status = (int)take_small(&from, 999, &ok);
    s->hidden_len = (uint32_t)take_small(&from, HEAD_MAX, &ok);
    s->head_common = (uint32_t)take_small(&from, HEAD_MAX, &ok);
    s->coding = (enum coding)take_small(&from, CODING_OTHER, &ok);
    s->sent_coding = (enum coding)take_small(&from, CODING_OTHER, &ok);
    s->sent_len = take_small(&from, (uint64_t)INT64_MAX, &ok);
    bits = take_u64(&from, &ok);
    s->recodable = is_set(bits, 0);
    s->as_sent_only = is_set(bits, 1);
    s->sent_len_open = is_set(bits, 2);
    /* Only what we coded ourselves lies in another coding, and only where we may code. */
    return ok && s->status >= 200 &&
           (s->coding == s->sent_coding ||
            (s->recodable && s->coding == CODING_ZSTD && s->sent_coding == CODING_IDENTITY));
}

/* ---- the facts ---- */

/* Instants but the first are told from that: they are near, and so short. */
static void put_facts(struct numbers *n, const struct stored_facts *facts)
{
    const struct freshness_facts *f = &facts->freshness;
    const struct reuse_facts *r = &facts->reuse;
    int64_t from = f->response_time;

    put_i64(n, from);
    put_i64(n, f->request_time - from);
    put_i64(n, f->date - from);
    put_i64(n, f->age);
    put_optional(n, f->s_maxage, FRESHNESS_ABSENT);
    put_optional(n, f->max_age, FRESHNESS_ABSENT);
    put_optional(n, f->expires, FRESHNESS_ABSENT);
    put_optional(n, f->last_modified, FRESHNESS_ABSENT);
    put_i64(n, f->route_lifetime);
    put_i64(n, r->response_time - from);
    put_i64(n, r->initial_age);
    put_i64(n, r->lifetime);
    put_i64(n, r->stale_while_revalidate);
    put_i64(n, r->stale_if_error);
    put_optional(n, r->refresh_age, INT64_MAX);
    put_u64(n, (uint64_t)f->route_says | (uint64_t)f->heuristic_ok << 1 |
                   (uint64_t)r->no_cache << 2 | (uint64_t)r->never_stale << 3 |
                   (uint64_t)r->immutable << 4);
}

static bool take_facts(struct stored_facts *facts, struct weir_span from)
{
    struct freshness_facts *f = &facts->freshness;
    struct reuse_facts *r = &facts->reuse;
    bool ok = true;
    int64_t base = take_i64(&from, INSTANT_MAX, &ok);
    uint64_t bits;

    f->response_time = base;
    f->request_time = base + take_i64(&from, INSTANT_MAX, &ok);
    f->date = base + take_i64(&from, INSTANT_MAX, &ok);
    f->age = take_duration(&from, &ok);
    f->s_maxage = take_optional(&from, DURATION_MAX, FRESHNESS_ABSENT, &ok);
    f->max_age = take_optional(&from, DURATION_MAX, FRESHNESS_ABSENT, &ok);
    f->expires = take_optional(&from, INSTANT_MAX, FRESHNESS_ABSENT, &ok);
    f->last_modified = take_optional(&from, INSTANT_MAX, FRESHNESS_ABSENT, &ok);
    f->route_lifetime = take_i64(&from, DURATION_MAX, &ok);
    r->response_time = base + take_i64(&from, INSTANT_MAX, &ok);
    r->initial_age = take_duration(&from, &ok);
    r->lifetime = take_duration(&from, &ok);
    r->stale_while_revalidate = take_duration(&from, &ok);
    r->stale_if_error = take_duration(&from, &ok);
    r->refresh_age = take_optional(&from, DURATION_MAX, INT64_MAX, &ok);
    bits = take_u64(&from, &ok);
    f->route_says = is_set(bits, 0);
    f->heuristic_ok = is_set(bits, 1);
    r->no_cache = is_set(bits, 2);
    r->never_stale = is_set(bits, 3);
    r->immutable = is_set(bits, 4);
    return ok;
}

/* ---- the head ---- */

static void put_head(struct record_fields *out, const struct stored_record *s)
{
    size_t len = s->head.len + s->hidden_len;
    char *to = record_add_space(out, HEAD | RECORD_CRITICAL, len + 2);

    if (to == NULL)
        return;
    memcpy(to, s->head.ptr, len);
    memcpy(to + len, "\r\n", 2); /* so that it reads as any head does */
}

static uint32_t lines_of(struct weir_span s)
{
    const char *end = s.ptr + s.len, *at = s.ptr;
    uint32_t n = 0;

    while (n <= ROWS_MAX && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        n++;
    }
    return n;
}

static bool inside(const char *at, struct weir_span s)
{
    return at >= s.ptr && at < s.ptr + s.len;
}

/* Which rows are sent, and where the validators are. */
static bool sort_rows(struct stored_record *s, const struct http_head *h, struct weir_span all)
{
    s->head = weir_span(all.ptr, all.len - s->hidden_len);
    s->fields = h->fields;
    while (s->field_count < h->count && inside(h->fields[s->field_count].name.ptr, s->head))
        s->field_count++;
    s->hidden_count = h->count - s->field_count;
    for (uint32_t i = 0; i < s->field_count; i++) {
        const struct http_field *f = &h->fields[i];

        if (f->id == HTTP_F_ETAG)
            s->etag = f->value;
        else if (f->id == HTTP_F_LAST_MODIFIED)
            s->last_modified = f->value;
    }
    return s->head.len >= 2 && memcmp(s->head.ptr + s->head.len - 2, "\r\n", 2) == 0 &&
           (s->hidden_len > 0) == (s->hidden_count > 0);
}

/* A length may end a sent head only behind one of its lines. */
static bool common_fits(const struct stored_record *s)
{
    uint32_t n = s->head_common;

    return n == 0 || (n >= 2 && n <= s->head.len && memcmp(s->head.ptr + n - 2, "\r\n", 2) == 0);
}

static bool read_head(struct stored_record *s, struct weir_span text, struct weir_arena *arena)
{
    static const struct http_parse_limits limits = {.head_bytes = HEAD_MAX,
                                                    .fields = ROWS_MAX,
                                                    .field_bytes = HEAD_MAX,
                                                    .target_bytes = 1,
                                                    .method_bytes = 1,
                                                    .underscores = true};
    uint32_t rows = lines_of(text);
    struct http_field *fields;
    struct http_parser parser;
    struct http_head head;
    struct weir_err err;

    if (rows > ROWS_MAX || text.len > HEAD_MAX || s->hidden_len + 2 > text.len)
        return false;
    fields = weir_arena_alloc(arena, (rows + 1) * sizeof *fields);
    if (fields == NULL)
        return false;
    http_head_init(&head, fields, rows + 1);
    http_parser_init(&parser);
    return http_parse_response(&parser, &limits, &head, text.ptr, text.len, &err) == HTTP_PARSED &&
           parser.consumed == text.len && head.status == s->status && head.dropped == 0 &&
           sort_rows(s, &head, weir_span(text.ptr, text.len - 2)) && common_fits(s);
}

/* ---- what purges go by ---- */

static void put_purge(struct record_fields *out, const struct stored_record *s)
{
    const uint64_t first[3] = {s->logged, s->url, s->host};
    size_t rest = s->hash_count * sizeof(uint64_t);
    char *to = record_add_space(out, PURGE | RECORD_CRITICAL, sizeof first + rest);

    if (to == NULL)
        return;
    memcpy(to, first, sizeof first); /* both ends are little-endian machines */
    if (rest > 0)
        memcpy(to + sizeof first, s->hashes, rest);
}

static bool read_purge(struct stored_record *s, struct weir_span from, struct weir_arena *arena)
{
    uint64_t first[3];
    uint64_t *hashes;

    if (from.len < sizeof first || from.len % sizeof(uint64_t) != 0)
        return false;
    memcpy(first, from.ptr, sizeof first);
    s->logged = first[0];
    s->url = first[1];
    s->host = first[2];
    s->hash_count = (uint32_t)((from.len - sizeof first) / sizeof(uint64_t));
    if (s->hash_count == 0)
        return true;
    hashes = weir_arena_alloc(arena, s->hash_count * sizeof *hashes); /* aligned */
    if (hashes != NULL)
        memcpy(hashes, from.ptr + sizeof first, s->hash_count * sizeof *hashes);
    s->hashes = hashes;
    return hashes != NULL;
}

/* ---- markers ---- */

/* The words that markers give as their reason, as static text. */
static const char *static_word(struct weir_span text)
{
    for (int v = 0; v < STORABLE_VERDICTS; v++)
        if (weir_span_eq(text, weir_span_str(storable_text((enum storable_verdict)v))))
            return storable_text((enum storable_verdict)v);
    return weir_span_eq(text, WEIR_SPAN_LIT("too-large")) ? "too-large" : NULL;
}

static void put_marker(struct record_fields *out, const struct stored_record *s)
{
    struct weir_span why = weir_span_str(s->why != NULL ? s->why : "");
    struct numbers n = {.len = 0};
    char *to;

    put_i64(&n, s->until_s);
    to = record_add_space(out, MARKER | RECORD_CRITICAL, n.len + why.len);
    if (to == NULL)
        return;
    memcpy(to, n.bytes, n.len);
    memcpy(to + n.len, why.ptr, why.len);
}

static bool read_marker(struct stored_record *s, struct weir_span from)
{
    bool ok = true;

    s->kind = STORED_MARKER;
    s->until_s = take_i64(&from, INSTANT_MAX, &ok);
    s->why = static_word(from);
    return ok;
}

/* ---- whole records ---- */

void stored_record_of(struct stored_record *out, const struct stored_response *r, int64_t now_s,
                      int64_t now_ms)
{
    *out = (struct stored_record){
        .kind = r->kind,
        .key = r->key,
        .variant = r->variant,
        .tags = r->tags,
        .logged = r->purge.logged,
        .stamp = r->purge.stamp,
        .url = r->purge.url,
        .host = r->purge.host,
        .hashes = r->purge.tags,
        .hash_count = r->purge.tag_count,
    };
    if (r->kind == STORED_MARKER) {
        out->until_s = now_s + (r->marker_until_ms - now_ms) / 1000;
        out->why = r->why;
        return;
    }
    out->status = r->status;
    out->head = weir_span(r->head->bytes, r->head->len);
    out->hidden_len = (uint32_t)stored_hidden_len(r);
    out->fields = r->fields;
    out->field_count = r->field_count;
    out->hidden_count = r->hidden_count;
    out->etag = r->etag;
    out->last_modified = r->last_modified;
    out->head_common = r->head_common;
    out->coding = r->coding;
    out->sent_coding = r->sent_coding;
    out->sent_len = r->sent_len;
    out->recodable = r->forms != NULL;
    out->as_sent_only = r->as_sent_only;
    out->facts = r->facts;
}

void stored_record_write(struct record_fields *out, const struct stored_record *s)
{
    struct numbers shape = {.len = 0}, facts = {.len = 0};

    record_add(out, KEY | RECORD_CRITICAL, s->key);
    record_add(out, VARIANT | RECORD_CRITICAL, s->variant);
    put_purge(out, s);
    if (s->kind == STORED_MARKER) {
        put_marker(out, s);
        return;
    }
    put_shape(&shape, s);
    record_add(out, SHAPE | RECORD_CRITICAL, weir_span(shape.bytes, shape.len));
    put_facts(&facts, &s->facts);
    record_add(out, FACTS | RECORD_CRITICAL, weir_span(facts.bytes, facts.len));
    put_head(out, s);
    if (s->tags.len > 0)
        record_add(out, TAGS, s->tags);
}

/* What has been read, a bit each: twice is as wrong as not at all. */
#define HAS(type) (1U << ((type)-KEY))

static bool read_field(struct stored_record *s, const struct record_field *f,
                       struct weir_span *head, struct weir_arena *arena)
{
    switch (f->type) {
    case KEY:
        s->key = f->bytes;
        return true;
    case VARIANT:
        s->variant = f->bytes;
        return true;
    case HEAD:
        *head = f->bytes; /* read when the shape is known */
        return true;
    case SHAPE:
        return take_shape(s, f->bytes);
    case FACTS:
        return take_facts(&s->facts, f->bytes);
    case PURGE:
        return read_purge(s, f->bytes, arena);
    case TAGS:
        s->tags = f->bytes;
        return true;
    case MARKER:
        return read_marker(s, f->bytes);
    default:
        return false;
    }
}

bool stored_record_read(struct stored_record *out, struct weir_span meta, struct weir_arena *arena)
{
    const unsigned all = HAS(KEY) | HAS(VARIANT) | HAS(PURGE);
    const unsigned response = all | HAS(HEAD) | HAS(SHAPE) | HAS(FACTS);
    struct weir_span head = WEIR_SPAN_NONE;
    struct record_field f;
    unsigned has = 0;

    *out = (struct stored_record){.kind = STORED_RESPONSE};
    while (record_next(&meta, &f)) {
        if (f.type < KEY || f.type > MARKER) {
            if (f.critical)
                return false;
            continue;
        }
        if ((has & HAS(f.type)) != 0 || !read_field(out, &f, &head, arena))
            return false;
        has |= HAS(f.type);
    }
    has &= ~HAS(TAGS);
    if (meta.len > 0)
        return false;
    if (out->kind == STORED_MARKER)
        return has == (all | HAS(MARKER));
    return has == response && read_head(out, head, arena);
}

void stored_record_subject(const struct stored_record *s, struct purge_subject *out)
{
    struct cache_key_parts parts;

    memset(out, 0, sizeof *out);
    out->logged = s->logged;
    out->stamp = s->stamp;
    out->url = s->url;
    out->host = s->host;
    out->tags = s->hashes;
    out->tag_count = s->hash_count;
    if (cache_key_read(s->key, &parts))
        out->path = parts.path;
}

struct stored_response *stored_record_restore(const struct stored_record *s,
                                              struct weir_hash128 hash, struct purge_table *purges,
                                              const struct weir_slice *slices, size_t count,
                                              int64_t now_s, int64_t now_ms, struct weir_err *err)
{
    const struct stored_sent sent = {s->sent_coding, s->sent_len, s->as_sent_only};
    struct purge_subject subject;
    struct stored_draft d = {
        .hash = hash,
        .key = s->key,
        .variant = s->variant,
        .tags = s->tags,
        .purges = purges,
        .purge = &subject,
        .status = s->status,
        .head = s->head,
        .fields = s->fields,
        .field_count = s->field_count,
        .hidden_len = s->hidden_len,
        .hidden_count = s->hidden_count,
        .slices = slices,
        .slice_count = count,
        .etag = s->etag,
        .last_modified = s->last_modified,
        .head_common = s->head_common,
        .coding = s->coding,
        .recodable = s->recodable,
        .facts = s->facts,
        .why = s->why,
    };

    stored_record_subject(s, &subject);
    if (s->kind == STORED_MARKER)
        return stored_marker_new(&d, now_ms + (s->until_s - now_s) * 1000, err);
    return stored_response_restored(&d, &sent, err);
}

/* ---- stubs ---- */

void stored_record_write_vary(struct record_fields *out, const struct vary_spec *spec)
{
    size_t len = 1;
    char *to;

    for (unsigned i = 0; i < spec->fields; i++)
        len += spec->field[i].len + 1U;
    to = record_add_space(out, VARY | RECORD_CRITICAL, len);
    if (to == NULL)
        return;
    *to++ = (char)spec->coded;
    for (unsigned i = 0; i < spec->fields; i++) {
        memcpy(to, spec->names + spec->field[i].at, spec->field[i].len);
        to += spec->field[i].len;
        *to++ = '\n';
    }
}

static bool name_sound(struct weir_span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z'))
            return false;
    return name.len > 0;
}

/* Each once, in their order, shorter ones first: as vary_parse() leaves them. */
static bool comes_after(const struct vary_spec *spec, struct weir_span name)
{
    const char *last;
    size_t len;

    if (spec->fields == 0)
        return true;
    last = spec->names + spec->field[spec->fields - 1].at;
    len = spec->field[spec->fields - 1].len;
    return len != name.len ? len < name.len : memcmp(last, name.ptr, len) < 0;
}

static bool take_name(struct vary_spec *spec, struct weir_span name)
{
    if (spec->fields == VARY_FIELDS_MAX || name.len > (size_t)(VARY_NAMES_MAX - spec->names_len) ||
        !name_sound(name) || !comes_after(spec, name))
        return false;
    memcpy(spec->names + spec->names_len, name.ptr, name.len);
    spec->field[spec->fields].at = spec->names_len;
    spec->field[spec->fields].len = (uint16_t)name.len;
    spec->fields++;
    spec->names_len = (uint16_t)(spec->names_len + name.len);
    return true;
}

static bool read_names(struct vary_spec *spec, struct weir_span s)
{
    if (s.len < 1 || (unsigned char)s.ptr[0] > 1)
        return false;
    spec->coded = s.ptr[0] == 1;
    s = weir_span(s.ptr + 1, s.len - 1);
    while (s.len > 0) {
        const char *end = memchr(s.ptr, '\n', s.len);

        if (end == NULL || !take_name(spec, weir_span(s.ptr, (size_t)(end - s.ptr))))
            return false;
        s = weir_span(end + 1, s.len - (size_t)(end + 1 - s.ptr));
    }
    return spec->fields > 0;
}

bool stored_record_read_vary(struct vary_spec *spec, struct weir_span meta)
{
    struct record_field f;
    bool found = false;

    memset(spec, 0, sizeof *spec);
    while (record_next(&meta, &f)) {
        if (f.type == VARY) {
            if (found || !read_names(spec, f.bytes))
                return false;
            found = true;
        } else if (f.critical) {
            return false;
        }
    }
    return found && meta.len == 0;
}
