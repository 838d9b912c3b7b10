#include "search_rule.h"

#include <stdlib.h>

#include "weir/alloc.h"
#include "weir/arena.h"
#include "weir/utf8.h"
#include "http_char.h"
#include "http_head.h"
#include "http_sf.h"

static const char hex[] = "0123456789ABCDEF";

/* ---- application/x-www-form-urlencoded, as the URL standard reads it ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = weir_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Into `out`, which has room for s.len bytes; a "%" that begins no escape stands for itself. */
static struct weir_span decode(struct weir_span s, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        int high = -1, low = -1;

        if (s.ptr[i] == '%' && s.len - i > 2) {
            high = hex_value(s.ptr[i + 1]);
            low = hex_value(s.ptr[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            out[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[n++] = s.ptr[i] == '+' ? ' ' : s.ptr[i];
        }
    }
    return weir_span(out, n);
}

static bool unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* In the one way weir writes it: at most three times as long. Returns the end. */
static char *encode(char *at, struct weir_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (unreserved(c)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return at;
}

static bool is_utf8(struct weir_span s)
{
    for (size_t i = 0; i < s.len;) {
        size_t len = weir_utf8_length((const unsigned char *)s.ptr + i, s.len - i);

        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

/* ---- reading a rule (draft 5.1) ---- */

/* What the dictionary says; a key that comes twice counts as the last. */
struct said {
    struct http_sf_item order, params, except;
    bool has_order, has_params, has_except;
};

static bool read_dictionary(struct weir_span text, struct said *said)
{
    struct http_sf it;
    struct http_sf_item member;
    struct weir_span key;

    *said = (struct said){.has_order = false};
    if (!http_sf_dict(&it, text))
        return false;
    while (http_sf_dict_next(&it, &key, &member)) {
        if (weir_span_eq(key, WEIR_SPAN_LIT("key-order"))) {
            said->order = member;
            said->has_order = true;
        } else if (weir_span_eq(key, WEIR_SPAN_LIT("params"))) {
            said->params = member;
            said->has_params = true;
        } else if (weir_span_eq(key, WEIR_SPAN_LIT("except"))) {
            said->except = member;
            said->has_except = true;
        }
    }
    return true;
}

/* Is it of the types it must be, and does it change anything? *list: the names, or NULL. */
static bool understand(const struct said *said, bool *any_order, bool *wildcard,
                       const struct http_sf_item **list)
{
    *list = NULL;
    if (said->has_order && said->order.type != HTTP_SF_BOOLEAN)
        return false;
    *any_order = said->has_order && said->order.truth;
    *wildcard = said->has_params && said->params.type == HTTP_SF_BOOLEAN && said->params.truth;
    if (said->has_params && said->params.type == HTTP_SF_INNER)
        *list = &said->params;
    else if (said->has_params && said->params.type != HTTP_SF_BOOLEAN)
        return false;
    if (said->has_except) {
        if (!*wildcard || said->except.type != HTTP_SF_INNER)
            return false;
        *list = &said->except;
    }
    return true;
}

/* Decoded names into rule->bytes at *at. */
static bool read_names(struct search_rule *rule, const struct http_sf_item *list, char **at,
                       struct weir_arena *arena)
{
    struct weir_span inner = list->text;
    struct http_sf_item item;

    while (http_sf_inner_next(&inner, &item)) {
        char *room = weir_arena_alloc(arena, item.text.len + 1);
        struct weir_span name;

        if (room == NULL || item.type != HTTP_SF_STRING ||
            rule->name_count == SEARCH_RULE_NAMES_MAX)
            return false;
        name = decode(http_sf_text(&item, room), *at);
        if (!is_utf8(name))
            return false;
        *at += name.len;
        rule->names[rule->name_count++] = name;
    }
    return true;
}

static char *put_word(char *at, const char *word)
{
    size_t len = strlen(word);

    memcpy(at, word, len);
    return at + len;
}

static void write_text(struct search_rule *rule, char *at)
{
    char *start = at;

    at = put_word(at, rule->any_order ? "key-order;" : "");
    at = put_word(at, rule->wildcard ? "except" : "params");
    for (unsigned i = 0; i < rule->name_count; i++) {
        *at++ = i == 0 ? '=' : ',';
        at = encode(at, rule->names[i]);
    }
    rule->text = weir_span(start, (size_t)(at - start));
}

struct search_rule *search_rule_from(const struct http_head *response, struct weir_arena *arena)
{
    const struct http_sf_item *list;
    struct search_rule *rule;
    struct weir_span field;
    struct said said;
    bool any_order, wildcard, sound;
    char *at;

    if (!http_sf_lines(&field, response, HTTP_F_NO_VARY_SEARCH, arena) ||
        field.len > SEARCH_RULE_BYTES_MAX || !read_dictionary(field, &said) ||
        !understand(&said, &any_order, &wildcard, &list))
        return NULL;
    /* names, then the text: each name three times as long, and a space; then the words */
    rule = weir_calloc(1, sizeof *rule + 4 * field.len + SEARCH_RULE_NAMES_MAX + 32);
    if (rule == NULL)
        return NULL;
    atomic_init(&rule->refs, 1);
    rule->any_order = any_order;
    rule->wildcard = wildcard;
    at = rule->bytes;
    sound = list == NULL || read_names(rule, list, &at, arena);
    if (!sound || !(any_order || wildcard || rule->name_count > 0)) {
        search_rule_unref(rule);
        return NULL;
    }
    write_text(rule, at);
    return rule;
}

struct search_rule *search_rule_ref(struct search_rule *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void search_rule_unref(struct search_rule *r)
{
    if (r != NULL && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
        weir_free(r);
}

/* ---- applying it (draft 6) ---- */

struct parameter {
    struct weir_span name, value; /* decoded */
    unsigned place;
};

static bool matters(const struct search_rule *r, struct weir_span name)
{
    for (unsigned i = 0; i < r->name_count; i++)
        if (weir_span_eq(r->names[i], name))
            return r->wildcard;
    return !r->wildcard;
}

static int compare(const void *left, const void *right)
{
    const struct parameter *a = left, *b = right;
    size_t common = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = common > 0 ? memcmp(a->name.ptr, b->name.ptr, common) : 0;

    if (order != 0)
        return order;
    if (a->name.len != b->name.len)
        return a->name.len < b->name.len ? -1 : 1;
    return a->place < b->place ? -1 : 1; /* of the same name: in the order they came */
}

static struct weir_span next_part(struct weir_span *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '&', rest->len) : NULL;
    struct weir_span part =
        weir_span(rest->ptr, end != NULL ? (size_t)(end - rest->ptr) : rest->len);

    rest->len -= part.len + (end != NULL);
    rest->ptr += part.len + (end != NULL);
    return part;
}

/* Those that matter, decoded into `room`; false: there is something that can be read in two ways,
 * or there are too many. */
static bool read_parameters(const struct search_rule *r, struct weir_span query, char *room,
                            struct parameter *list, unsigned *count)
{
    struct weir_span rest = query;
    unsigned n = 0, seen = 0;

    while (rest.len > 0) {
        struct weir_span part = next_part(&rest);
        const char *equals = part.len > 0 ? memchr(part.ptr, '=', part.len) : NULL;
        size_t name_len = equals != NULL ? (size_t)(equals - part.ptr) : part.len;
        struct parameter p;

        if (part.len == 0)
            continue;
        if (seen++ == SEARCH_PARAMETERS_MAX)
            return false;
        p.name = decode(weir_span(part.ptr, name_len), room);
        room += p.name.len;
        p.value = weir_span(room, 0);
        if (equals != NULL)
            p.value = decode(weir_span(equals + 1, part.len - name_len - 1), room);
        room += p.value.len;
        p.place = n;
        if (!is_utf8(p.name) || !is_utf8(p.value))
            return false;
        if (matters(r, p.name))
            list[n++] = p;
    }
    *count = n;
    return true;
}

static unsigned parameters_in(struct weir_span query)
{
    unsigned n = 1;

    for (size_t i = 0; i < query.len && n <= SEARCH_PARAMETERS_MAX; i++)
        n += query.ptr[i] == '&';
    return n < SEARCH_PARAMETERS_MAX ? n : SEARCH_PARAMETERS_MAX;
}

bool search_rule_apply(const struct search_rule *r, struct weir_span query,
                       struct weir_arena *arena, struct weir_span *out)
{
    unsigned most = parameters_in(query), n;
    struct parameter *list = weir_arena_alloc(arena, most * sizeof *list);
    char *decoded = weir_arena_alloc(arena, query.len + 1);
    char *form = weir_arena_alloc(arena, 3 * query.len + 2 * (size_t)most + 1), *at = form;

    if (list == NULL || decoded == NULL || form == NULL ||
        !read_parameters(r, query, decoded, list, &n))
        return false;
    if (r->any_order && n > 1)
        qsort(list, n, sizeof *list, compare);
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            *at++ = '&';
        at = encode(at, list[i].name);
        *at++ = '=';
        at = encode(at, list[i].value);
    }
    *out = weir_span(form, (size_t)(at - form));
    return true;
}
