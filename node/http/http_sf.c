#include "http_sf.h"

#include "weir/arena.h"
#include "http_char.h"
#include "http_head.h"

#define INTEGER_DIGITS 15 /* RFC 9651 3.3.1 */
#define DECIMAL_DIGITS 12 /* before the point, RFC 9651 3.3.2 */

/* ---- the lines of a field ---- */

static size_t joined_len(const struct http_head *h, const struct http_field *f)
{
    size_t len = 0;

    for (; f != NULL; f = http_head_next(h, f))
        len += f->value.len + 2;
    return len;
}

static bool join(struct weir_span *text, const struct http_head *h, const struct http_field *f,
                 struct weir_arena *arena)
{
    char *out, *at;

    if (f == NULL)
        return false;
    *text = f->value;
    if (http_head_next(h, f) == NULL)
        return true;
    out = at = weir_arena_alloc(arena, joined_len(h, f));
    if (out == NULL)
        return false;
    for (; f != NULL; f = http_head_next(h, f)) {
        memcpy(at, f->value.ptr, f->value.len);
        at += f->value.len;
        *at++ = ',';
        *at++ = ' ';
    }
    *text = weir_span(out, (size_t)(at - out) - 2);
    return true;
}

bool http_sf_lines(struct weir_span *text, const struct http_head *h, uint16_t id,
                   struct weir_arena *arena)
{
    return join(text, h, http_head_first(h, id), arena);
}

bool http_sf_lines_name(struct weir_span *text, const struct http_head *h, struct weir_span name,
                        struct weir_arena *arena)
{
    return join(text, h, http_head_find(h, name), arena);
}

/* ---- bytes ---- */

static bool lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool alpha(char c)
{
    return lower((char)(c | 0x20));
}

static void skip(struct weir_span *s, size_t n)
{
    s->ptr += n;
    s->len -= n;
}

/* Takes `c` if it stands there. */
static bool took(struct weir_span *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    skip(s, 1);
    return true;
}

static void skip_spaces(struct weir_span *s)
{
    while (took(s, ' '))
        ;
}

static void skip_ows(struct weir_span *s)
{
    while (s->len > 0 && http_char_ows(s->ptr[0]))
        skip(s, 1);
}

/* ---- bare items: each takes its own bytes off *s, or says false (RFC 9651 4.2.3.1 to 4.2.10) ----
 */

static size_t digits(struct weir_span s)
{
    size_t n = 0;

    while (n < s.len && http_char_digit(s.ptr[n]))
        n++;
    return n;
}

static int64_t number(const char *ptr, size_t len)
{
    int64_t value = 0;

    for (size_t i = 0; i < len; i++)
        value = value * 10 + (ptr[i] - '0');
    return value;
}

/* One to three digits after the point, as thousandths. */
static bool read_fraction(struct weir_span *s, int64_t *thousandths)
{
    size_t n = digits(*s);

    if (n == 0 || n > 3)
        return false;
    *thousandths = number(s->ptr, n);
    for (size_t i = n; i < 3; i++)
        *thousandths *= 10;
    skip(s, n);
    return true;
}

static bool read_number(struct weir_span *s, struct http_sf_item *out)
{
    bool minus = took(s, '-');
    size_t n = digits(*s);
    int64_t thousandths;

    if (n == 0 || n > INTEGER_DIGITS)
        return false;
    out->type = HTTP_SF_INTEGER;
    out->number = number(s->ptr, n);
    skip(s, n);
    if (took(s, '.')) {
        if (n > DECIMAL_DIGITS || !read_fraction(s, &thousandths))
            return false;
        out->type = HTTP_SF_DECIMAL;
        out->number = out->number * 1000 + thousandths;
    }
    if (minus)
        out->number = -out->number;
    return true;
}

static bool read_date(struct weir_span *s, struct http_sf_item *out)
{
    skip(s, 1);
    if (!read_number(s, out) || out->type != HTTP_SF_INTEGER)
        return false;
    out->type = HTTP_SF_DATE;
    return true;
}

static bool read_string(struct weir_span *s, struct http_sf_item *out)
{
    out->type = HTTP_SF_STRING;
    skip(s, 1);
    for (size_t i = 0; i < s->len; i++) {
        char c = s->ptr[i];

        if (c == '"') {
            out->text = weir_span(s->ptr, i);
            skip(s, i + 1);
            return true;
        }
        if (c == '\\') {
            out->escaped = true;
            if (++i == s->len || (s->ptr[i] != '"' && s->ptr[i] != '\\'))
                return false;
        } else if (c < 0x20 || c > 0x7e) {
            return false;
        }
    }
    return false; /* never closed */
}

static bool read_token(struct weir_span *s, struct http_sf_item *out)
{
    size_t n = 1;

    while (n < s->len &&
           (http_char_is(s->ptr[n], HTTP_C_TOKEN) || s->ptr[n] == ':' || s->ptr[n] == '/'))
        n++;
    out->type = HTTP_SF_TOKEN;
    out->text = weir_span(s->ptr, n);
    skip(s, n);
    return true;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (lower(c))
        return c - 'a' + 26;
    if (http_char_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The alphabet, then padding, which may be missing (RFC 9651 4.2.7 leaves that open). */
static bool is_base64(struct weir_span s)
{
    size_t n = 0, pad;

    while (n < s.len && base64_value(s.ptr[n]) >= 0)
        n++;
    pad = s.len - n;
    for (size_t i = n; i < s.len; i++)
        if (s.ptr[i] != '=')
            return false;
    return n % 4 != 1 && (pad == 0 || (n % 4 != 0 && s.len % 4 == 0));
}

static bool read_bytes(struct weir_span *s, struct http_sf_item *out)
{
    const char *end;

    skip(s, 1);
    end = s->len > 0 ? memchr(s->ptr, ':', s->len) : NULL;
    if (end == NULL)
        return false;
    out->type = HTTP_SF_BYTES;
    out->text = weir_span(s->ptr, (size_t)(end - s->ptr));
    skip(s, out->text.len + 1);
    return is_base64(out->text);
}

static bool read_boolean(struct weir_span *s, struct http_sf_item *out)
{
    skip(s, 1);
    out->type = HTTP_SF_BOOLEAN;
    out->truth = took(s, '1');
    return out->truth || took(s, '0');
}

static bool lower_hex(char c)
{
    return http_char_digit(c) || (c >= 'a' && c <= 'f');
}

/* The byte at *i, which may be written as %xx; *i moves behind it. The text is known to be sound.
 */
static unsigned char display_byte(struct weir_span s, size_t *i)
{
    unsigned char c = (unsigned char)s.ptr[(*i)++];

    if (c != '%')
        return c;
    c = (unsigned char)(http_char_hex(s.ptr[*i]) << 4 | http_char_hex(s.ptr[*i + 1]));
    *i += 2;
    return c;
}

/* How many bytes follow the first of a UTF-8 sequence; *low and *high bound the second. -1: none
 * begins so. */
static int utf8_follow(unsigned char c, unsigned char *low, unsigned char *high)
{
    *low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;  /* no overlong forms */
    *high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf; /* no surrogates, nothing past 10FFFF */
    if (c < 0x80)
        return 0;
    if (c < 0xc2 || c > 0xf4)
        return -1;
    return c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
}

static bool display_is_utf8(struct weir_span s)
{
    for (size_t i = 0; i < s.len;) {
        unsigned char low, high;
        int follow = utf8_follow(display_byte(s, &i), &low, &high);

        if (follow < 0)
            return false;
        for (; follow > 0; follow--) {
            unsigned char c = i < s.len ? display_byte(s, &i) : 0;

            if (c < low || c > high)
                return false;
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}

static bool read_display(struct weir_span *s, struct http_sf_item *out)
{
    skip(s, 1);
    out->type = HTTP_SF_DISPLAY;
    if (!took(s, '"'))
        return false;
    for (size_t i = 0; i < s->len; i++) {
        char c = s->ptr[i];

        if (c == '"') {
            out->text = weir_span(s->ptr, i);
            skip(s, i + 1);
            return display_is_utf8(out->text);
        }
        if (c == '%') {
            out->escaped = true;
            if (s->len - i < 3 || !lower_hex(s->ptr[i + 1]) || !lower_hex(s->ptr[i + 2]))
                return false;
            i += 2;
        } else if (c < 0x20 || c > 0x7e) {
            return false;
        }
    }
    return false;
}

static bool read_bare(struct weir_span *s, struct http_sf_item *out)
{
    *out = (struct http_sf_item){.text = {"", 0}, .params = {"", 0}};
    if (s->len == 0)
        return false;
    switch (s->ptr[0]) {
    case '"':
        return read_string(s, out);
    case ':':
        return read_bytes(s, out);
    case '?':
        return read_boolean(s, out);
    case '@':
        return read_date(s, out);
    case '%':
        return read_display(s, out);
    default:
        break;
    }
    if (alpha(s->ptr[0]) || s->ptr[0] == '*')
        return read_token(s, out);
    return read_number(s, out);
}

/* ---- items, inner lists, members ---- */

static bool read_key(struct weir_span *s, struct weir_span *key)
{
    size_t n = 0;

    if (s->len == 0 || (!lower(s->ptr[0]) && s->ptr[0] != '*'))
        return false;
    while (n < s->len && (lower(s->ptr[n]) || http_char_digit(s->ptr[n]) || s->ptr[n] == '_' ||
                          s->ptr[n] == '-' || s->ptr[n] == '.' || s->ptr[n] == '*'))
        n++;
    *key = weir_span(s->ptr, n);
    skip(s, n);
    return true;
}

static void set_true(struct http_sf_item *item)
{
    *item = (struct http_sf_item){.type = HTTP_SF_BOOLEAN,
                                  .truth = true,
                                  .text = {"", 0},
                                  .params = {"", 0}};
}

/* What stands between a ';' and the next. */
static bool read_param(struct weir_span *s, struct weir_span *key, struct http_sf_item *item)
{
    skip_spaces(s);
    if (!read_key(s, key))
        return false;
    if (took(s, '='))
        return read_bare(s, item);
    set_true(item);
    return true;
}

static bool read_params(struct weir_span *s, struct weir_span *params)
{
    struct weir_span begin = *s, key;
    struct http_sf_item item;

    while (took(s, ';'))
        if (!read_param(s, &key, &item))
            return false;
    *params = weir_span(begin.ptr, begin.len - s->len);
    return true;
}

static bool read_item(struct weir_span *s, struct http_sf_item *out)
{
    return read_bare(s, out) && read_params(s, &out->params);
}

/* Behind the opening parenthesis (RFC 9651 4.2.1.2). */
static bool read_inner(struct weir_span *s, struct http_sf_item *out)
{
    struct weir_span begin = *s;
    struct http_sf_item item;

    for (;;) {
        skip_spaces(s);
        if (took(s, ')'))
            break;
        if (!read_item(s, &item) || s->len == 0 || (s->ptr[0] != ' ' && s->ptr[0] != ')'))
            return false;
    }
    *out = (struct http_sf_item){
        .type = HTTP_SF_INNER,
        .text = weir_span(begin.ptr, begin.len - s->len - 1),
    };
    return read_params(s, &out->params);
}

static bool read_member(struct weir_span *s, struct http_sf_item *out)
{
    return took(s, '(') ? read_inner(s, out) : read_item(s, out);
}

static bool read_dict_member(struct weir_span *s, struct weir_span *key, struct http_sf_item *out)
{
    if (!read_key(s, key))
        return false;
    if (took(s, '='))
        return read_member(s, out);
    set_true(out);
    return read_params(s, &out->params);
}

/* Behind a member: the end, or a comma with another one to come. */
static bool read_separator(struct weir_span *s)
{
    skip_ows(s);
    if (s->len == 0)
        return true;
    if (!took(s, ','))
        return false;
    skip_ows(s);
    return s->len > 0; /* a comma at the end is a fault */
}

/* Without the spaces around it; nothing but SP may stand there (RFC 9651 4.2, steps 2 and 6). */
static struct weir_span strip(struct weir_span text)
{
    skip_spaces(&text);
    while (text.len > 0 && text.ptr[text.len - 1] == ' ')
        text.len--;
    return text;
}

/* ---- walks ---- */

bool http_sf_list(struct http_sf *it, struct weir_span text)
{
    struct weir_span s = it->rest = strip(text);
    struct http_sf_item member;

    while (s.len > 0)
        if (!read_member(&s, &member) || !read_separator(&s))
            return false;
    return true;
}

bool http_sf_dict(struct http_sf *it, struct weir_span text)
{
    struct weir_span s = it->rest = strip(text), key;
    struct http_sf_item member;

    while (s.len > 0)
        if (!read_dict_member(&s, &key, &member) || !read_separator(&s))
            return false;
    return true;
}

bool http_sf_list_next(struct http_sf *it, struct http_sf_item *member)
{
    return it->rest.len > 0 && read_member(&it->rest, member) && read_separator(&it->rest);
}

bool http_sf_dict_next(struct http_sf *it, struct weir_span *key, struct http_sf_item *member)
{
    return it->rest.len > 0 && read_dict_member(&it->rest, key, member) &&
           read_separator(&it->rest);
}

bool http_sf_dict_find(struct weir_span text, struct weir_span key, struct http_sf_item *member)
{
    struct http_sf_item each;
    struct weir_span name;
    struct http_sf it;
    bool found = false;

    if (!http_sf_dict(&it, text))
        return false;
    while (http_sf_dict_next(&it, &name, &each)) {
        if (!weir_span_eq(name, key))
            continue;
        *member = each;
        found = true;
    }
    return found;
}

bool http_sf_item(struct weir_span text, struct http_sf_item *item)
{
    struct weir_span s = strip(text);

    return read_item(&s, item) && s.len == 0;
}

bool http_sf_inner_next(struct weir_span *inner, struct http_sf_item *item)
{
    skip_spaces(inner);
    return inner->len > 0 && read_item(inner, item);
}

bool http_sf_param_next(struct weir_span *params, struct weir_span *key, struct http_sf_item *item)
{
    return took(params, ';') && read_param(params, key, item);
}

/* ---- text ---- */

static size_t unescape(struct weir_span s, char *room)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        i += s.ptr[i] == '\\';
        room[n++] = s.ptr[i];
    }
    return n;
}

static size_t percent_decode(struct weir_span s, char *room)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len;)
        room[n++] = (char)display_byte(s, &i);
    return n;
}

static size_t base64_decode(struct weir_span s, char *room)
{
    unsigned bits = 0, have = 0;
    size_t n = 0;

    for (size_t i = 0; i < s.len && s.ptr[i] != '='; i++) {
        bits = (bits << 6 | (unsigned)base64_value(s.ptr[i])) & 0xffff;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        room[n++] = (char)(bits >> have & 0xff);
    }
    return n;
}

struct weir_span http_sf_text(const struct http_sf_item *item, char *room)
{
    switch (item->type) {
    case HTTP_SF_TOKEN:
        return item->text;
    case HTTP_SF_STRING:
        return item->escaped ? weir_span(room, unescape(item->text, room)) : item->text;
    case HTTP_SF_DISPLAY:
        return item->escaped ? weir_span(room, percent_decode(item->text, room)) : item->text;
    case HTTP_SF_BYTES:
        return weir_span(room, base64_decode(item->text, room));
    default:
        return WEIR_SPAN_NONE;
    }
}

struct weir_span http_sf_bytes(struct weir_span bytes, struct weir_arena *arena)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = (bytes.len + 2) / 3 * 4 + 2;
    char *out = weir_arena_alloc(arena, len), *at = out;

    if (out == NULL)
        return WEIR_SPAN_NONE;
    *at++ = ':';
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t have = bytes.len - i;
        uint32_t v = (uint32_t)(unsigned char)bytes.ptr[i] << 16;

        if (have > 1)
            v |= (uint32_t)(unsigned char)bytes.ptr[i + 1] << 8;
        if (have > 2)
            v |= (unsigned char)bytes.ptr[i + 2];
        *at++ = digits[v >> 18];
        *at++ = digits[v >> 12 & 63];
        *at++ = have > 1 ? digits[v >> 6 & 63] : '=';
        *at++ = have > 2 ? digits[v & 63] : '=';
    }
    *at = ':';
    return weir_span(out, len);
}
