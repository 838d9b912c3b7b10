#include "vary.h"

#include <string.h>

#include "weir/arena.h"

#include "http_head.h"
#include "http_list.h"

/*
 * A variant key is a row of parts, by field name:
 *
 *     rule (1)  name length (2)  value length (4)  name  value
 *
 * lengths little-endian; VALUE_ABSENT as value length says that the request had no such field.
 */
#define PART_HEAD    7
#define VALUE_ABSENT UINT32_MAX

/* How a value is normalised. The letters are stored, so they keep their meaning. */
enum vary_rule {
    RULE_RAW = 'r',     /* not a list, or one whose bytes all count */
    RULE_COOKIE = 'k',  /* lines are joined by "; " (RFC 9113 8.2.3) */
    RULE_LIST = 'l',    /* white space around commas dropped */
    RULE_WORDS = 'w',   /* also around semicolons, and no case */
    RULE_MEDIA = 'm',   /* the same, but parameter values keep their case */
    RULE_CODINGS = 'c', /* Accept-Encoding as the set of codings weir serves */
};

static enum vary_rule rule_of(uint16_t id, bool coded)
{
    switch (id) {
    case HTTP_F_ACCEPT_ENCODING:
        return coded ? RULE_WORDS : RULE_CODINGS;
    case HTTP_F_ACCEPT_LANGUAGE:
    case HTTP_F_ACCEPT_CHARSET:
        return RULE_WORDS;
    case HTTP_F_ACCEPT:
        return RULE_MEDIA;
    case HTTP_F_COOKIE:
        return RULE_COOKIE;
    case HTTP_F_AUTHORIZATION:
    case HTTP_F_HOST:
    case HTTP_F_ORIGIN:
    case HTTP_F_REFERER:
    case HTTP_F_USER_AGENT:
        return RULE_RAW;
    default:
        return RULE_LIST;
    }
}

/* ---- where normalised bytes go: into a buffer, and past its end into nothing but the count ----
 */

struct sink {
    char *out;        /* room for `size` bytes; or NULL */
    const char *want; /* `size` bytes that are expected; or NULL */
    size_t size;
    size_t len;
    bool differs; /* from `want` */
};

static void put(struct sink *s, const char *ptr, size_t len)
{
    if (len == 0)
        return;
    if (s->len > s->size || len > s->size - s->len)
        s->differs = true;
    else if (s->out != NULL)
        memcpy(s->out + s->len, ptr, len);
    else if (s->want != NULL && memcmp(s->want + s->len, ptr, len) != 0)
        s->differs = true;
    s->len += len;
}

static void put_char(struct sink *s, char c)
{
    put(s, &c, 1);
}

/* ---- rules ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Bytes of a quoted string that begins at s.ptr[0], its quotes included; all of s if it never ends.
 */
static size_t quoted_len(struct weir_span s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '"')
            return i + 1;
    }
    return s.len;
}

/* How far the spaces reach that begin at s.ptr[at]. */
static size_t after_spaces(struct weir_span s, size_t at)
{
    while (at < s.len && is_space(s.ptr[at]))
        at++;
    return at;
}

/* One line of a list: as it is, but for white space beside separators, and for case. */
static void put_list(struct sink *s, struct weir_span line, enum vary_rule rule)
{
    bool separated = true; /* at the beginning, or just after a separator */
    bool in_value = false; /* between '=' and the next separator */

    for (size_t i = 0; i < line.len;) {
        char c = line.ptr[i];
        bool separator = c == ',' || (c == ';' && rule != RULE_LIST);

        if (c == '"') {
            size_t len = quoted_len(weir_span(line.ptr + i, line.len - i));

            put(s, line.ptr + i, len);
            i += len;
        } else if (is_space(c)) {
            size_t next = after_spaces(line, i);
            bool before = next == line.len || line.ptr[next] == ',' ||
                          (line.ptr[next] == ';' && rule != RULE_LIST);

            if (!separated && !before)
                put(s, line.ptr + i, next - i);
            i = next;
            continue; /* spaces alone do not end the state of being separated */
        } else {
            if (separator || c == '=')
                in_value = !separator;
            if (rule == RULE_WORDS || (rule == RULE_MEDIA && !in_value))
                c = weir_ascii_lower(c);
            put_char(s, c);
            i++;
        }
        separated = separator;
    }
}

static void put_lines(struct sink *s, const struct http_head *h, const struct http_field *f,
                      enum vary_rule rule)
{
    const char *const joint = rule == RULE_COOKIE ? "; " : rule == RULE_RAW ? ", " : ",";
    bool first = true;

    for (; f != NULL; f = http_head_next(h, f)) {
        if (!first)
            put(s, joint, strlen(joint));
        first = false;
        if (rule == RULE_RAW || rule == RULE_COOKIE)
            put(s, f->value.ptr, f->value.len);
        else
            put_list(s, f->value, rule);
    }
}

/* ---- Accept-Encoding ---- */

enum { ZSTD, BR, GZIP, IDENTITY, ANY, CODINGS };
#define SERVED_CODINGS 3 /* the first three */

static const struct {
    struct weir_span name;
    uint8_t coding;
} codings[] = {
    {WEIR_SPAN_LIT("zstd"), ZSTD}, {WEIR_SPAN_LIT("br"), BR},
    {WEIR_SPAN_LIT("gzip"), GZIP}, {WEIR_SPAN_LIT("x-gzip"), GZIP}, /* RFC 9110 8.4.1.3 */
    {WEIR_SPAN_LIT("*"), ANY},     {WEIR_SPAN_LIT("identity"), IDENTITY},
};

static int coding_of(struct weir_span name)
{
    for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++)
        if (weir_span_ieq(name, codings[i].name))
            return codings[i].coding;
    return CODINGS;
}

struct accepted {
    unsigned yes, no; /* bit per coding that was named, with q > 0 or q = 0 */
};

static struct accepted read_accept_encoding(const struct http_head *h)
{
    struct accepted a = {0, 0};
    struct http_list list;
    struct weir_span member, rest;

    http_list_begin(&list, h, HTTP_F_ACCEPT_ENCODING);
    while (http_list_next(&list, &member)) {
        int quality = http_quality(member);
        int coding = coding_of(http_list_item(member, &rest));

        if (coding == CODINGS || quality < 0)
            continue;
        if (quality > 0)
            a.yes |= 1U << coding;
        else
            a.no |= 1U << coding;
    }
    a.yes &= ~a.no; /* named twice: the refusal counts */
    return a;
}

/* Is a coding accepted that may be named, or be meant by "*" (RFC 9110 12.5.3)? */
static bool accepts(const struct accepted *a, int coding, bool unless_named)
{
    if ((a->yes >> coding & 1) != 0)
        return true;
    if ((a->no >> coding & 1) != 0)
        return false;
    if ((a->yes >> ANY & 1) != 0)
        return true;
    return (a->no >> ANY & 1) != 0 ? false : unless_named;
}

static void put_codings(struct sink *s, const struct http_head *h)
{
    const struct accepted a = read_accept_encoding(h);
    bool any = false;

    for (int coding = 0; coding < SERVED_CODINGS; coding++) {
        if (!accepts(&a, coding, false))
            continue;
        if (any)
            put(s, ", ", 2);
        put(s, codings[coding].name.ptr, codings[coding].name.len);
        any = true;
    }
    if (!accepts(&a, IDENTITY, true))
        put(s, any ? ", identity;q=0" : "identity;q=0", any ? 14 : 12);
    else if (!any)
        put(s, "identity", 8);
}

size_t vary_accept_encoding(const struct http_head *request, char buf[VARY_ACCEPT_ENCODING_MAX])
{
    struct sink s = {buf, NULL, VARY_ACCEPT_ENCODING_MAX, 0, false};

    if (!http_head_has(request, HTTP_F_ACCEPT_ENCODING))
        return 0;
    put_codings(&s, request);
    return s.len;
}

struct weir_span vary_accept_encoding_memo(const struct http_head *request,
                                           struct vary_accept_memo *memo)
{
    struct weir_span value = http_head_value(request, HTTP_F_ACCEPT_ENCODING);
    bool one = !http_head_repeats(request, HTTP_F_ACCEPT_ENCODING) && value.len > 0 &&
               value.len <= sizeof memo->value;

    if (!one || memo->len != value.len || memcmp(memo->value, value.ptr, value.len) != 0) {
        memo->len = one ? (uint8_t)value.len : 0;
        if (one)
            memcpy(memo->value, value.ptr, value.len);
        memo->out_len = (uint8_t)vary_accept_encoding(request, memo->out);
    }
    return weir_span(memo->out, memo->out_len);
}

/* ---- Vary ---- */

static struct weir_span spec_name(const struct vary_spec *spec, unsigned i)
{
    return weir_span(spec->names + spec->field[i].at, spec->field[i].len);
}

/* By length, then bytes: any total order will do. */
static int name_order(struct weir_span a, struct weir_span b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return memcmp(a.ptr, b.ptr, a.len);
}

/* Enters a name in its place, once. False if there is no room. */
static bool add_name(struct vary_spec *spec, struct weir_span name)
{
    char *copy = spec->names + spec->names_len;
    unsigned at = 0;
    int order = 1;

    if (name.len > VARY_NAMES_MAX - (size_t)spec->names_len)
        return false;
    for (size_t i = 0; i < name.len; i++)
        copy[i] = weir_ascii_lower(name.ptr[i]);
    name.ptr = copy;
    while (at < spec->fields && (order = name_order(spec_name(spec, at), name)) < 0)
        at++;
    if (at < spec->fields && order == 0)
        return true;
    if (spec->fields == VARY_FIELDS_MAX)
        return false;
    memmove(&spec->field[at + 1], &spec->field[at], (spec->fields - at) * sizeof(spec->field[0]));
    spec->field[at].at = spec->names_len;
    spec->field[at].len = (uint16_t)name.len;
    spec->names_len = (uint16_t)(spec->names_len + name.len);
    spec->fields++;
    return true;
}

/* Is the content coded in a way that the normalised Accept-Encoding does not tell? */
static bool coded_otherwise(const struct http_head *response)
{
    struct http_list list;
    struct weir_span coding;

    http_list_begin(&list, response, HTTP_F_CONTENT_ENCODING);
    while (http_list_next(&list, &coding)) {
        int known = coding_of(coding);

        if (known == CODINGS || known == ANY)
            return true;
    }
    return false;
}

/* Need this name not be heeded? */
static bool disregarded(const struct vary_despite *despite, struct weir_span name)
{
    if (despite->star && weir_span_eq(name, WEIR_SPAN_LIT("*")))
        return true;
    for (size_t i = 0; i < despite->name_count; i++)
        if (weir_span_ieq(name, weir_span_str(despite->names[i])))
            return true;
    return false;
}

void vary_parse(const struct http_head *response, struct vary_spec *spec)
{
    vary_parse_despite(response, &(struct vary_despite){.star = false}, spec);
}

void vary_parse_despite(const struct http_head *response, const struct vary_despite *despite,
                        struct vary_spec *spec)
{
    struct http_list list;
    struct weir_span name;

    spec->star = false;
    spec->coded = false;
    spec->fields = 0;
    spec->names_len = 0;
    if (!http_head_has(response, HTTP_F_VARY))
        return;
    http_list_begin(&list, response, HTTP_F_VARY);
    while (!spec->star && http_list_next(&list, &name)) {
        if (disregarded(despite, name))
            continue;
        /* "*" is a token too; what is none cannot be matched either (RFC 9111 4.1) */
        spec->star =
            weir_span_eq(name, WEIR_SPAN_LIT("*")) || !http_is_token(name) || !add_name(spec, name);
    }
    if (spec->star)
        spec->fields = 0;
    spec->coded = coded_otherwise(response);
}

void vary_forget_accept_encoding(struct vary_spec *spec)
{
    for (unsigned i = 0; i < spec->fields; i++) {
        if (http_field_intern(spec_name(spec, i)) != HTTP_F_ACCEPT_ENCODING)
            continue;
        spec->fields--;
        memmove(&spec->field[i], &spec->field[i + 1], (spec->fields - i) * sizeof(spec->field[0]));
        return; /* each stands once */
    }
}

/* ---- variant keys ---- */

static void put_u16(struct sink *s, unsigned value)
{
    put_char(s, (char)(unsigned char)value);
    put_char(s, (char)(unsigned char)(value >> 8));
}

static void put_u32(struct sink *s, uint32_t value)
{
    put_u16(s, value & 0xffff);
    put_u16(s, value >> 16);
}

static void put_value(struct sink *s, const struct http_head *request, const struct http_field *f,
                      enum vary_rule rule)
{
    if (rule == RULE_CODINGS)
        put_codings(s, request);
    else
        put_lines(s, request, f, rule);
}

static const struct http_field *find_field(const struct http_head *request, struct weir_span name,
                                           uint16_t id)
{
    return id != HTTP_F_NONE ? http_head_first(request, id) : http_head_find(request, name);
}

static void put_part(struct sink *s, const struct vary_spec *spec, unsigned i,
                     const struct http_head *request)
{
    struct weir_span name = spec_name(spec, i);
    uint16_t id = http_field_intern(name);
    enum vary_rule rule = rule_of(id, spec->coded);
    const struct http_field *f = find_field(request, name, id);
    struct sink value = {NULL, NULL, 0, 0, false};

    if (f != NULL)
        put_value(&value, request, f, rule); /* only measures */
    put_char(s, (char)rule);
    put_u16(s, (unsigned)name.len);
    put_u32(s, f != NULL ? (uint32_t)value.len : VALUE_ABSENT);
    put(s, name.ptr, name.len);
    if (f != NULL)
        put_value(s, request, f, rule);
}

static size_t write_key(const struct vary_spec *spec, const struct http_head *request, char *buf,
                        size_t size)
{
    struct sink s = {buf, NULL, size, 0, false};

    for (unsigned i = 0; i < spec->fields; i++)
        put_part(&s, spec, i, request);
    return s.len;
}

struct weir_span vary_key(const struct vary_spec *spec, const struct http_head *request, char *buf,
                          size_t size, struct weir_arena *arena)
{
    size_t len;

    if (spec->star)
        return WEIR_SPAN_NONE;
    len = write_key(spec, request, buf, size);
    if (len <= size)
        return weir_span(buf != NULL ? buf : "", len);
    buf = arena != NULL ? weir_arena_alloc(arena, len) : NULL;
    if (buf == NULL)
        return WEIR_SPAN_NONE;
    return weir_span(buf, write_key(spec, request, buf, len));
}

struct part {
    enum vary_rule rule;
    bool absent;
    struct weir_span name, value;
};

static uint32_t get_le(const char *at, unsigned bytes)
{
    uint32_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | (unsigned char)at[bytes];
    return value;
}

static bool next_part(struct weir_span *key, struct part *p)
{
    uint32_t name_len, value_len;

    if (key->len < PART_HEAD)
        return false;
    p->rule = (enum vary_rule)key->ptr[0];
    name_len = get_le(key->ptr + 1, 2);
    value_len = get_le(key->ptr + 3, 4);
    p->absent = value_len == VALUE_ABSENT;
    if (p->absent)
        value_len = 0;
    if (key->len - PART_HEAD < name_len || key->len - PART_HEAD - name_len < value_len)
        return false;
    p->name = weir_span(key->ptr + PART_HEAD, name_len);
    p->value = weir_span(p->name.ptr + name_len, value_len);
    *key = weir_span(p->value.ptr + value_len, key->len - PART_HEAD - name_len - value_len);
    return true;
}

bool vary_of_key(struct vary_spec *spec, struct weir_span key)
{
    struct part p;

    memset(spec, 0, sizeof *spec);
    while (key.len > 0) {
        if (!next_part(&key, &p) || !add_name(spec, p.name))
            return false;
        if (p.rule == RULE_WORDS && http_field_intern(p.name) == HTTP_F_ACCEPT_ENCODING)
            spec->coded = true;
    }
    return true;
}

bool vary_next(struct weir_span *key, struct vary_part *out)
{
    struct part p;

    if (!next_part(key, &p))
        return false;
    *out = (struct vary_part){p.name, p.value, p.absent};
    return true;
}

static bool part_matches(const struct part *p, const struct http_head *request)
{
    uint16_t id = http_field_intern(p->name);
    const struct http_field *f = find_field(request, p->name, id);
    struct sink s = {NULL, p->value.ptr, p->value.len, 0, false};

    /* The stored rule is the one that holds now, or the key was made by another release. */
    if (p->rule != rule_of(id, false) && p->rule != rule_of(id, true))
        return false;
    if (f == NULL || p->absent)
        return f == NULL && p->absent;
    put_value(&s, request, f, p->rule);
    return !s.differs && s.len == p->value.len;
}

bool vary_matches(struct weir_span key, const struct http_head *request)
{
    struct part p;

    while (key.len > 0)
        if (!next_part(&key, &p) || !part_matches(&p, request))
            return false;
    return true;
}
