#include "template.h"

#include <assert.h>
#include <string.h>

#include "pattern.h"

enum piece_kind { LITERAL, CAPTURE, HOST, PATH, QUERY, CLIENT, SCHEME, REQUEST_ID, CLIENT_CERT };

struct piece {
    enum piece_kind kind;
    uint32_t capture;      /* or which value of a certificate */
    struct weir_span text; /* LITERAL */
    char lead;         /* QUERY: '?' or '&' that goes before a query that is not empty; else 0 */
    bool in_authority; /* LOCATION: may stand between "://" and the path */
    bool continued;    /* LOCATION: text or $host of the authority follows */
};

struct template
{
    enum template_use use;
    struct piece *pieces;
    uint32_t count;
    bool network_path; /* LOCATION: the text begins with "//" */
};

static const struct {
    const char *name;
    enum piece_kind kind;
    enum template_client_cert value;
} variables[] = {
    {"host", HOST, 0},
    {"path", PATH, 0},
    {"query", QUERY, 0},
    {"client", CLIENT, 0},
    {"scheme", SCHEME, 0},
    {"request_id", REQUEST_ID, 0},
    {"client_cert_subject", CLIENT_CERT, TEMPLATE_CERT_SUBJECT},
    {"client_cert_issuer", CLIENT_CERT, TEMPLATE_CERT_ISSUER},
    {"client_cert_serial", CLIENT_CERT, TEMPLATE_CERT_SERIAL},
    {"client_cert_fingerprint", CLIENT_CERT, TEMPLATE_CERT_FINGERPRINT},
    {"client_cert_san", CLIENT_CERT, TEMPLATE_CERT_SAN},
};

/* ---- compiling ---- */

struct parser {
    const char *at;
    const struct pattern *const *patterns;
    size_t pattern_count;
    struct template *t;
    char *literals; /* where the next byte of literal text goes; never longer than the text */
    struct weir_err *err;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    char lower = weir_ascii_lower(c);

    return (lower >= 'a' && lower <= 'z') || is_digit(c) || c == '_';
}

static bool is_hex(char c)
{
    char lower = weir_ascii_lower(c);

    return is_digit(c) || (lower >= 'a' && lower <= 'f');
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* What RFC 3986 lets stand in a URI, less '#' (a value has no fragment) and '[' ']' (IP literals
 * only). */
static bool uri_byte(char c)
{
    return is_name(c) || (c != '\0' && strchr("-.~:/?@!$&'()*+,;=%", c) != NULL);
}

static struct piece *add_piece(struct parser *p, enum piece_kind kind)
{
    struct piece *piece;

    assert(p->t->pieces != NULL);
    piece = &p->t->pieces[p->t->count++];
    *piece = (struct piece){.kind = kind};
    return piece;
}

static void add_literal(struct parser *p, char c)
{
    struct piece *last = p->t->count > 0 ? &p->t->pieces[p->t->count - 1] : NULL;

    if (last == NULL || last->kind != LITERAL) {
        last = add_piece(p, LITERAL);
        last->text = weir_span(p->literals, 0);
    }
    *p->literals++ = c;
    last->text.len++;
}

#define BAD(p, ...) weir_failf((p)->err, WEIR_E_CONFIG, "template: compile", 0, __VA_ARGS__)

/* Every path the route may have been found by must fill the capture, or it would silently be empty.
 */
static bool check_capture(struct parser *p, unsigned number)
{
    if (p->pattern_count == 0)
        return BAD(p, "$%u: there is no pattern to capture from", number);
    for (size_t i = 0; i < p->pattern_count; i++) {
        if (p->patterns[i] == NULL)
            return BAD(p, "$%u: not every path of the route is a pattern that captures", number);
        if (number > pattern_groups(p->patterns[i]))
            return BAD(p, "$%u: the pattern has only %u captures", number,
                       (unsigned)pattern_groups(p->patterns[i]));
    }
    return true;
}

static bool add_capture(struct parser *p, struct weir_span digits)
{
    unsigned long long number;

    if (!weir_span_u64(digits, PATTERN_CAPTURES_MAX - 1, &number))
        return BAD(p, "$%.*s: captures go from $0 to $%d", (int)digits.len, digits.ptr,
                   PATTERN_CAPTURES_MAX - 1);
    if (!check_capture(p, (unsigned)number))
        return false;
    add_piece(p, CAPTURE)->capture = (uint32_t)number;
    return true;
}

/* The number of a named group: the same in every pattern, 0 if no pattern has it. */
static bool named_group(struct parser *p, struct weir_span name, uint32_t *number)
{
    *number = 0;
    for (size_t i = 0; i < p->pattern_count; i++) {
        uint32_t here = p->patterns[i] != NULL ? pattern_group_number(p->patterns[i], name) : 0;

        if (i > 0 && here != *number)
            return BAD(p, "${%.*s}: not the same group in every path of the route", (int)name.len,
                       name.ptr);
        *number = here;
    }
    return true;
}

static bool add_variable(struct parser *p, struct weir_span name)
{
    uint32_t group;

    if (!named_group(p, name, &group))
        return false;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        if (!weir_span_eq(name, weir_span_str(variables[i].name)))
            continue;
        if (group != 0)
            return BAD(p, "${%s} is a variable and a group of the pattern: rename the group",
                       variables[i].name);
        add_piece(p, variables[i].kind)->capture = variables[i].value;
        return true;
    }
    if (group == 0)
        return BAD(p,
                   "unknown ${%.*s}: expected a capture, host, path, query, client, scheme, "
                   "request_id or client_cert_subject, _issuer, _serial, _fingerprint, _san",
                   name.len < 40 ? (int)name.len : 40, name.ptr);
    add_piece(p, CAPTURE)->capture = group;
    return true;
}

static struct weir_span take_while(struct parser *p, bool (*belongs)(char c))
{
    const char *begin = p->at;

    while (belongs(*p->at))
        p->at++;
    return weir_span(begin, (size_t)(p->at - begin));
}

/* at: behind the '$'. */
static bool parse_reference(struct parser *p)
{
    bool braced = *p->at == '{';
    struct weir_span name;

    if (*p->at == '$') {
        p->at++;
        add_literal(p, '$');
        return true;
    }
    if (braced)
        p->at++;
    name = take_while(p, is_digit(*p->at) && !braced ? is_digit : is_name);
    if (name.len == 0)
        return BAD(p, "a '$' stands before a number, a name or '{name}'; write $$ for the sign");
    if (braced && *p->at++ != '}')
        return BAD(p, "'${%.*s' has no '}'", name.len < 40 ? (int)name.len : 40, name.ptr);
    return is_digit(name.ptr[0]) ? add_capture(p, name) : add_variable(p, name);
}

static bool literal_ok(const struct parser *p, char c)
{
    switch (p->t->use) {
    case TEMPLATE_FIELD:
        return !is_control(c) || c == '\t';
    case TEMPLATE_LOCATION:
        return uri_byte(c) || c == '#' || c == '[' || c == ']';
    case TEMPLATE_PATH:
        return uri_byte(c) && c != '?';
    }
    return false;
}

static bool parse_literal(struct parser *p)
{
    char c = *p->at++;

    if (!literal_ok(p, c))
        return BAD(p, "byte 0x%02x cannot stand there", (unsigned)(unsigned char)c);
    if (c == '%' && p->t->use != TEMPLATE_FIELD && !(is_hex(p->at[0]) && is_hex(p->at[1])))
        return BAD(p, "'%%' is not followed by two hexadecimal digits; write %%25 for the sign");
    add_literal(p, c);
    return true;
}

static bool parse_pieces(struct parser *p)
{
    while (*p->at != '\0') {
        if (*p->at != '$') {
            if (!parse_literal(p))
                return false;
            continue;
        }
        p->at++;
        if (!parse_reference(p))
            return false;
    }
    return true;
}

/* "?$query" and "&$query": the sign moves from the text before to the query. */
static void bind_query_leads(struct template *t)
{
    for (uint32_t i = 1; i < t->count; i++) {
        struct weir_span *before = &t->pieces[i - 1].text;
        char last;

        if (t->pieces[i].kind != QUERY || t->pieces[i - 1].kind != LITERAL || before->len == 0)
            continue;
        last = before->ptr[before->len - 1];
        if (last != '?' && last != '&')
            continue;
        t->pieces[i].lead = last;
        before->len--;
    }
}

/* ---- the place of the authority in a Location ---- */

static bool ends_authority(char c)
{
    return c == '/' || c == '?' || c == '#';
}

static bool has_authority_end(struct weir_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (ends_authority(s.ptr[i]))
            return true;
    }
    return false;
}

/*
 * Where the authority begins: piece and offset in it. *found is false for a Location on the same
 * site. Fails if the client could choose even the scheme.
 */
static bool authority_begin(struct parser *p, uint32_t *piece, size_t *offset, bool *found)
{
    const struct piece *first = p->t->pieces;
    static const char *const begins[] = {"http://", "https://", "//"};

    *found = false;
    if (p->t->count >= 2 && first[0].kind == SCHEME && first[1].kind == LITERAL &&
        weir_span_starts(first[1].text, WEIR_SPAN_LIT("://"))) {
        *piece = 1;
        *offset = 3;
        *found = true;
        return true;
    }
    for (size_t i = 0; p->t->count > 0 && i < sizeof(begins) / sizeof(begins[0]); i++) {
        struct weir_span begin = weir_span_str(begins[i]);

        if (first->kind == LITERAL && weir_span_starts(first->text, begin)) {
            *piece = 0;
            *offset = begin.len;
            *found = true;
            return true;
        }
    }
    if (p->t->count > 0 && (first->kind == PATH || (first->kind == LITERAL && first->text.len > 0 &&
                                                    first->text.ptr[0] == '/')))
        return true;
    return BAD(p, "a redirect begins with '/', http://, https://, $path or $scheme://");
}

/* True if more of the authority stands right behind piece i, whatever the values are. */
static bool authority_continues(const struct template *t, uint32_t i)
{
    if (i + 1 >= t->count)
        return false;
    if (t->pieces[i + 1].kind == HOST)
        return true;
    return t->pieces[i + 1].kind == LITERAL && t->pieces[i + 1].text.len > 0 &&
           !ends_authority(t->pieces[i + 1].text.ptr[0]);
}

static bool mark_authority(struct parser *p)
{
    struct template *t = p->t;
    struct weir_span rest;
    uint32_t i;
    size_t offset;
    bool found, empty;

    if (!authority_begin(p, &i, &offset, &found))
        return false;
    t->network_path = found && i == 0 && offset == 2;
    if (!found)
        return true;
    rest = weir_span(t->pieces[i].text.ptr + offset, t->pieces[i].text.len - offset);
    empty = rest.len == 0;
    if (has_authority_end(rest))
        return !ends_authority(rest.ptr[0]) || BAD(p, "a redirect names no host");
    while (++i < t->count) {
        struct piece *piece = &t->pieces[i];

        if (piece->kind == LITERAL && has_authority_end(piece->text))
            break;
        piece->in_authority = piece->kind != LITERAL;
        piece->continued = authority_continues(t, i);
        if (piece->in_authority && piece->kind != HOST && empty && !piece->continued)
            return BAD(p, "the host of a redirect cannot be a value of the client's alone");
        empty = false;
    }
    return !empty || BAD(p, "a redirect names no host");
}

static bool check_begin(struct parser *p)
{
    const struct piece *first = p->t->pieces;

    if (p->t->use == TEMPLATE_LOCATION)
        return mark_authority(p);
    if (p->t->use == TEMPLATE_PATH &&
        (p->t->count == 0 || (first->kind == LITERAL && first->text.ptr[0] != '/')))
        return BAD(p, "a path begins with '/'");
    return true;
}

struct template *template_compile(const char *text, enum template_use use,
                                  const struct pattern *const *patterns, size_t pattern_count,
                                  struct weir_arena *arena, struct weir_err *err)
{
    size_t len = strlen(text);
    struct parser p = {text, patterns, pattern_count, NULL, NULL, err};

    p.t = weir_arena_zalloc(arena, sizeof(*p.t));
    p.literals = weir_arena_alloc(arena, len + 1);
    if (p.t != NULL)
        p.t->pieces = weir_arena_zalloc(arena, (len + 1) * sizeof(*p.t->pieces));
    if (p.t == NULL || p.literals == NULL || p.t->pieces == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "template: compile", 0);
        return NULL;
    }
    p.t->use = use;
    if (!parse_pieces(&p))
        return NULL;
    bind_query_leads(p.t);
    return check_begin(&p) ? p.t : NULL;
}

bool template_is_constant(const struct template *t)
{
    return t->count == 0 || (t->count == 1 && t->pieces[0].kind == LITERAL);
}

/* ---- expanding ---- */

static struct weir_span piece_value(const struct piece *p, const struct template_values *v)
{
    switch (p->kind) {
    case LITERAL:
        return p->text;
    case CAPTURE:
        return p->capture < v->capture_count ? v->captures[p->capture] : WEIR_SPAN_NONE;
    case HOST:
        return v->host;
    case PATH:
        return v->path;
    case QUERY:
        return v->query;
    case CLIENT:
        return v->client;
    case SCHEME:
        return v->scheme;
    case REQUEST_ID:
        return v->request_id;
    case CLIENT_CERT:
        return v->client_cert[p->capture];
    }
    return WEIR_SPAN_NONE;
}

/* A percent-encoded byte is three, a lead one more. */
static size_t bound_bytes(const struct template *t, const struct template_values *v)
{
    size_t sum = 0;

    for (uint32_t i = 0; i < t->count; i++) {
        const struct piece *p = &t->pieces[i];

        sum += piece_value(p, v).len * (p->kind != LITERAL && t->use == TEMPLATE_LOCATION ? 3 : 1);
        sum += p->lead != 0;
    }
    return sum;
}

static char *put(char *to, struct weir_span s)
{
    if (s.len > 0)
        memcpy(to, s.ptr, s.len);
    return to + s.len;
}

static bool goes_verbatim(const struct piece *p, struct weir_span value, size_t i)
{
    char c = value.ptr[i];

    if (c == '%') /* already encoded, unless it is no encoding */
        return i + 2 < value.len && is_hex(value.ptr[i + 1]) && is_hex(value.ptr[i + 2]);
    if (c == '?')
        return p->kind == QUERY;
    if (c == '[' || c == ']')
        return p->kind == HOST;
    return uri_byte(c);
}

static char *put_encoded(char *to, const struct piece *p, struct weir_span value)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if (goes_verbatim(p, value, i)) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    return to;
}

static bool all_bytes(struct weir_span s, const char *others)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = is_name(c) && c != '_';

        if (!plain && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return true;
}

/*
 * May the value stand where the authority is? "https://example.org$1" must not become
 * example.org.evil or example.org@evil, and "https://$1.example.org" not evil/.example.org. Clears
 * *open when the value ends the authority.
 */
static bool authority_allows(const struct piece *p, struct weir_span value, bool *open)
{
    if (p->kind == HOST)
        return value.len > 0 && all_bytes(value, "-._~!$&'()*+,;=%:[]");
    if (p->continued)
        return value.len > 0 && all_bytes(value, "-");
    if (value.len == 0)
        return true;
    *open = false;
    return p->lead != 0 || value.ptr[0] == '/';
}

static bool put_location_piece(char **to, const struct piece *p, struct weir_span value, bool *open,
                               struct weir_err *err)
{
    if (p->in_authority && *open && !authority_allows(p, value, open))
        return weir_fail(err, WEIR_E_BAD_TARGET,
                         "template: a value would choose the site of a redirect", 0);
    if (p->lead != 0 && value.len > 0)
        *(*to)++ = p->lead;
    *to = put_encoded(*to, p, value);
    return true;
}

static bool no_controls(struct weir_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (is_control(s.ptr[i]) && s.ptr[i] != '\t')
            return false;
    }
    return true;
}

static bool put_plain_piece(char **to, const struct template *t, const struct piece *p,
                            struct weir_span value, struct weir_err *err)
{
    if (t->use == TEMPLATE_FIELD && !no_controls(value))
        return weir_fail(err, WEIR_E_INTERNAL, "template: control byte in a field value", 0);
    if (p->lead != 0 && value.len > 0)
        *(*to)++ = p->lead;
    *to = put(*to, value);
    return true;
}

/* "/$1" with a capture of "/evil" is "//evil", another site to a browser: one slash is enough. */
static struct weir_span one_leading_slash(struct weir_span s)
{
    while (s.len > 1 && s.ptr[0] == '/' && s.ptr[1] == '/') {
        s.ptr++;
        s.len--;
    }
    return s;
}

bool template_expand(const struct template *t, const struct template_values *v,
                     struct weir_arena *arena, struct weir_span *out, struct weir_err *err)
{
    size_t bound = bound_bytes(t, v);
    bool open = true;
    char *begin, *to;

    if (template_is_constant(t)) {
        *out = t->count > 0 ? t->pieces[0].text : WEIR_SPAN_LIT("");
        return true;
    }
    begin = to = weir_arena_alloc(arena, bound + 1);
    if (begin == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "template: expand", 0);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct piece *p = &t->pieces[i];
        struct weir_span value = piece_value(p, v);
        bool ok = true;

        if (p->kind == LITERAL)
            to = put(to, value);
        else if (t->use == TEMPLATE_LOCATION)
            ok = put_location_piece(&to, p, value, &open, err);
        else
            ok = put_plain_piece(&to, t, p, value, err);
        if (!ok)
            return false;
    }
    assert((size_t)(to - begin) <= bound);
    *out = weir_span(begin, (size_t)(to - begin));
    if (t->use == TEMPLATE_LOCATION && !t->network_path)
        *out = one_leading_slash(*out);
    return true;
}
