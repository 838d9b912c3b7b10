#include "esi_tag.h"

/* ---- entities ---- */

static const struct entity {
    struct weir_span name;
    char value;
} entities[] = {
    {{"amp;", 4}, '&'},  {{"lt;", 3}, '<'},    {{"gt;", 3}, '>'},
    {{"quot;", 5}, '"'}, {{"apos;", 5}, '\''},
};

static int digit_of(char c, int base)
{
    int d = c >= '0' && c <= '9'                                   ? c - '0'
            : base == 16 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                                   : -1;

    return d < base ? d : -1;
}

/* "#38;" or "#x26;": the character, which may be of ASCII only, for it goes into a URL. 0: none. */
static char numeric(struct weir_span s, size_t *used)
{
    bool hex = s.len > 1 && s.ptr[1] == 'x';
    size_t at = hex ? 2 : 1, first = at;
    unsigned value = 0;

    for (; at < s.len && value < 128 && digit_of(s.ptr[at], hex ? 16 : 10) >= 0; at++)
        value = value * (hex ? 16 : 10) + (unsigned)digit_of(s.ptr[at], hex ? 16 : 10);
    if (at == first || at == s.len || s.ptr[at] != ';' || value >= 128)
        return 0;
    *used = at + 1;
    return (char)value;
}

/* What follows an '&'; 0: nothing known, it stands for itself. */
static char entity(struct weir_span s, size_t *used)
{
    if (s.len > 0 && s.ptr[0] == '#')
        return numeric(s, used);
    for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++)
        if (weir_span_starts(s, entities[i].name)) {
            *used = entities[i].name.len;
            return entities[i].value;
        }
    return 0;
}

/* In place: what is decoded is never longer. */
static struct weir_span decode(char *text, size_t len)
{
    size_t to = 0;

    for (size_t at = 0; at < len;) {
        char c = text[at++];

        if (c == '&') {
            size_t used = 0;
            char value = entity(weir_span(text + at, len - at), &used);

            c = value != 0 ? value : c;
            at += value != 0 ? used : 0;
        }
        text[to++] = c;
    }
    return weir_span(text, to);
}

/* ---- attributes ---- */

struct attribute {
    struct weir_span name;
    char *value;
    size_t len;
};

struct cursor {
    char *at, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && esi_is_space(*c->at))
        c->at++;
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == ':' || c == '.';
}

static struct weir_span read_name(struct cursor *c)
{
    const char *from = c->at;

    while (c->at < c->end && name_char(*c->at))
        c->at++;
    return weir_span(from, (size_t)(c->at - from));
}

/* name = "value"; false: malformed. */
static bool read_attribute(struct cursor *c, struct attribute *a)
{
    char quote;

    a->name = read_name(c);
    skip_space(c);
    if (a->name.len == 0 || c->at == c->end || *c->at++ != '=')
        return false;
    skip_space(c);
    if (c->at == c->end || (*c->at != '"' && *c->at != '\''))
        return false;
    quote = *c->at++;
    a->value = c->at;
    while (c->at < c->end && *c->at != quote)
        c->at++;
    if (c->at == c->end)
        return false;
    a->len = (size_t)(c->at++ - a->value);
    return c->at == c->end || esi_is_space(*c->at) || *c->at == '/';
}

/* Notes an attribute that is looked for; one that comes twice is malformed (XML 1.0 3.1). */
static bool note(struct attribute *to, const struct attribute *a)
{
    if (to->value != NULL)
        return false;
    *to = *a;
    return true;
}

static struct weir_span trimmed(struct weir_span s)
{
    while (s.len > 0 && esi_is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && esi_is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* All attributes are read before the first is decoded: a malformed tag stays as it was. */
static enum esi_tag read_include(struct cursor *c, struct esi_include *out)
{
    struct attribute src = {0}, alt = {0}, onerror = {0}, a;

    for (skip_space(c); c->at < c->end && *c->at != '/'; skip_space(c)) {
        bool ok = read_attribute(c, &a);

        if (ok && weir_span_eq(a.name, WEIR_SPAN_LIT("src")))
            ok = note(&src, &a);
        else if (ok && weir_span_eq(a.name, WEIR_SPAN_LIT("alt")))
            ok = note(&alt, &a);
        else if (ok && weir_span_eq(a.name, WEIR_SPAN_LIT("onerror")))
            ok = note(&onerror, &a);
        if (!ok)
            return ESI_TAG_OTHER;
    }
    if ((c->at < c->end && c->at + 1 != c->end) || trimmed(weir_span(src.value, src.len)).len == 0)
        return ESI_TAG_OTHER;
    out->go_on = weir_span_eq(weir_span(onerror.value, onerror.len), WEIR_SPAN_LIT("continue"));
    out->src = trimmed(decode(src.value, src.len));
    out->alt = alt.value != NULL ? trimmed(decode(alt.value, alt.len)) : WEIR_SPAN_NONE;
    if (out->alt.len == 0)
        out->alt = WEIR_SPAN_NONE;
    return out->src.len > 0 ? ESI_TAG_INCLUDE : ESI_TAG_DROP;
}

/* ---- tags ---- */

static enum esi_tag read_end_tag(struct cursor *c)
{
    struct weir_span name = read_name(c);

    skip_space(c);
    if (c->at == c->end && (weir_span_eq(name, WEIR_SPAN_LIT("include")) ||
                            weir_span_eq(name, WEIR_SPAN_LIT("comment"))))
        return ESI_TAG_DROP;
    return ESI_TAG_OTHER;
}

enum esi_tag esi_tag_read(char *tag, size_t len, struct esi_include *out)
{
    struct cursor c = {tag, tag + len - 1}; /* without '>' */
    bool empty = len > 1 && tag[len - 2] == '/';
    struct weir_span name;

    if (weir_span_starts(weir_span(tag, len), WEIR_SPAN_LIT("</esi:"))) {
        c.at += sizeof "</esi:" - 1;
        return read_end_tag(&c);
    }
    c.at += sizeof "<esi:" - 1;
    name = read_name(&c);
    if (c.at < c.end && !esi_is_space(*c.at) && *c.at != '/')
        return ESI_TAG_OTHER;
    if (weir_span_eq(name, WEIR_SPAN_LIT("include")))
        return read_include(&c, out);
    if (weir_span_eq(name, WEIR_SPAN_LIT("comment")))
        return ESI_TAG_DROP;
    if (weir_span_eq(name, WEIR_SPAN_LIT("remove")))
        return empty ? ESI_TAG_DROP : ESI_TAG_REMOVE;
    return ESI_TAG_OTHER;
}
