#include "esi_page.h"

#include <string.h>

#include "http_head.h"
#include "http_list.h"

/* ---- templates ---- */

static bool is_markup(struct weir_span content_type)
{
    struct weir_span rest, type = weir_span_trim(http_list_item(content_type, &rest));

    return weir_span_ieq(type, WEIR_SPAN_LIT("text/html")) ||
           weir_span_ieq(type, WEIR_SPAN_LIT("application/xhtml+xml")) ||
           weir_span_ieq(type, WEIR_SPAN_LIT("text/xml")) ||
           weir_span_ieq(type, WEIR_SPAN_LIT("application/xml"));
}

/* One of the words, separated by spaces, in the value of `content`. */
static bool names_esi(struct weir_span words)
{
    while (words.len > 0) {
        const char *end = memchr(words.ptr, ' ', words.len);
        size_t n = end != NULL ? (size_t)(end - words.ptr) : words.len;

        if (weir_span_ieq(weir_span(words.ptr, n), WEIR_SPAN_LIT("ESI/1.0")))
            return true;
        n += end != NULL;
        words = weir_span(words.ptr + n, words.len - n);
    }
    return false;
}

static bool surrogate_asks(const struct http_head *response)
{
    const struct http_field *f = http_head_find(response, WEIR_SPAN_LIT("Surrogate-Control"));

    for (; f != NULL; f = http_head_next(response, f)) {
        struct http_list list;
        struct weir_span member, rest, value;
        struct http_param p;

        http_list_begin_value(&list, f->value);
        while (http_list_next(&list, &member)) {
            rest = member;
            if (http_param_next(&rest, ';', &p) && p.value.ptr != NULL &&
                weir_span_ieq(p.name, WEIR_SPAN_LIT("content")) &&
                http_unquote(p.value, NULL, &value) && names_esi(value))
                return true;
        }
    }
    return false;
}

static bool is_coded(const struct http_head *response)
{
    return http_head_has(response, HTTP_F_CONTENT_ENCODING) &&
           (http_head_repeats(response, HTTP_F_CONTENT_ENCODING) ||
            !weir_span_ieq(http_head_value(response, HTTP_F_CONTENT_ENCODING),
                           WEIR_SPAN_LIT("identity")));
}

bool esi_is_template(const struct http_head *response, bool require_surrogate)
{
    return http_head_has(response, HTTP_F_CONTENT_TYPE) && response->status != 206 &&
           is_markup(http_head_value(response, HTTP_F_CONTENT_TYPE)) && !is_coded(response) &&
           (!require_surrogate || surrogate_asks(response));
}

/* ---- URLs ---- */

/* "scheme:" (RFC 3986 3.1), or 0. */
static size_t scheme_length(struct weir_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = weir_ascii_lower(s.ptr[i]);

        if (c == ':')
            return i > 0 ? i + 1 : 0;
        if (!((c >= 'a' && c <= 'z') ||
              (i > 0 && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'))))
            return 0;
    }
    return 0;
}

static struct weir_span join(struct weir_arena *a, struct weir_span base, struct weir_span rest)
{
    char *p = weir_arena_alloc(a, base.len + rest.len + 1);

    if (p == NULL)
        return WEIR_SPAN_NONE;
    memcpy(p, base.ptr, base.len);
    if (rest.len > 0)
        memcpy(p + base.len, rest.ptr, rest.len);
    return weir_span(p, base.len + rest.len);
}

/* After "//": authority, then path and query, which may be missing. */
static bool take_authority(struct weir_span s, struct weir_arena *a, struct esi_url *out,
                           struct weir_err *err)
{
    size_t n = 0;

    while (n < s.len && s.ptr[n] != '/' && s.ptr[n] != '?')
        n++;
    if (n == 0)
        return weir_fail(err, WEIR_E_BAD_TARGET, "esi: include without host", 0);
    out->authority = weir_span(s.ptr, n);
    s = weir_span(s.ptr + n, s.len - n);
    out->origin_form = s.len > 0 && s.ptr[0] == '/' ? s : join(a, WEIR_SPAN_LIT("/"), s);
    return out->origin_form.ptr != NULL || weir_fail(err, WEIR_E_MEMORY, "esi: include", 0);
}

/* The directory of the page, or the page itself where only the query is another. */
static struct weir_span base_of(struct weir_span path, struct weir_span src)
{
    size_t n = path.len;

    if (src.ptr[0] == '?')
        return path;
    while (n > 0 && path.ptr[n - 1] != '/')
        n--;
    return weir_span(path.ptr, n);
}

bool esi_resolve(struct weir_span src, struct weir_span page_path, struct weir_arena *a,
                 struct esi_url *out, struct weir_err *err)
{
    const char *fragment = src.len > 0 ? memchr(src.ptr, '#', src.len) : NULL;
    size_t scheme;

    if (fragment != NULL)
        src.len = (size_t)(fragment - src.ptr);
    *out = (struct esi_url){WEIR_SPAN_NONE, WEIR_SPAN_NONE};
    scheme = scheme_length(src);
    if (scheme > 0) {
        struct weir_span name = weir_span(src.ptr, scheme);

        src = weir_span(src.ptr + scheme, src.len - scheme);
        if (!(weir_span_ieq(name, WEIR_SPAN_LIT("http:")) ||
              weir_span_ieq(name, WEIR_SPAN_LIT("https:"))) ||
            !weir_span_starts(src, WEIR_SPAN_LIT("//")))
            return weir_fail(err, WEIR_E_BAD_TARGET, "esi: scheme of an include", 0);
    }
    if (src.len == 0)
        return weir_fail(err, WEIR_E_BAD_TARGET, "esi: empty include", 0);
    if (weir_span_starts(src, WEIR_SPAN_LIT("//")))
        return take_authority(weir_span(src.ptr + 2, src.len - 2), a, out, err);
    out->origin_form = src.ptr[0] == '/' ? src : join(a, base_of(page_path, src), src);
    return out->origin_form.ptr != NULL || weir_fail(err, WEIR_E_MEMORY, "esi: include", 0);
}
