/*
 * First line: a method letter and the target; second line: Host. What is accepted is normal: parsed
 * again it gives the same bytes, and none of what the header promises to remove is left.
 */
#include "fuzz_http.h"

#include "http_target.h"

static bool parse(enum http_method method, struct weir_span target, struct weir_span host,
                  bool secure, struct weir_arena *a, struct http_target *out)
{
    struct http_field fields[1];
    struct http_head h;
    struct weir_err err = {0};
    bool ok;

    http_head_init(&h, fields, 1);
    h.method_id = method;
    h.target = target;
    if (host.ptr != NULL)
        MUST(http_head_add_id(&h, NULL, HTTP_F_HOST, host));
    else
        h.minor = 0;
    ok = http_target_parse(&h, secure, a, out, &err);
    MUST(ok || (weir_code_status(err.code) == 400 && err.detail[0] != '\0'));
    return ok;
}

static bool hex_byte(const char *two, unsigned *byte)
{
    char text[3] = {two[0], two[1], '\0'};
    char *end;

    *byte = (unsigned)strtoul(text, &end, 16);
    return end == text + 2;
}

static void must_be_a_normal_path(struct weir_span p)
{
    if (weir_span_eq(p, WEIR_SPAN_LIT("*")))
        return;
    MUST(p.len > 0 && p.ptr[0] == '/');
    for (size_t i = 0; i < p.len; i++) {
        unsigned char c = (unsigned char)p.ptr[i];
        size_t rest = p.len - i;

        MUST(c > ' ' && c < 127 && c != '\\' && c != '#' && c != '?');
        if (c == '/' && rest >= 2 && p.ptr[i + 1] == '.') {
            MUST(rest > 2 && p.ptr[i + 2] != '/');
            MUST(p.ptr[i + 2] != '.' || (rest > 3 && p.ptr[i + 3] != '/'));
        }
        if (c == '%') {
            unsigned byte;

            MUST(rest >= 3 && hex_byte(p.ptr + i + 1, &byte));
            MUST(byte >= 0x20 && byte != 0x7f);
            MUST(strchr("0123456789ABCDEF", p.ptr[i + 1]) &&
                 strchr("0123456789ABCDEF", p.ptr[i + 2]));
            MUST(!((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                   (byte >= 'a' && byte <= 'z') || (byte != 0 && strchr("-._~", (int)byte))));
        }
    }
}

static void must_be_normal(const struct http_target *t, bool has_host, struct weir_arena *a)
{
    struct http_target again;
    enum http_method method =
        weir_span_eq(t->path, WEIR_SPAN_LIT("*")) ? HTTP_M_OPTIONS : HTTP_M_GET;

    must_be_a_normal_path(t->path);
    MUST(t->path.len + (t->query.ptr != NULL ? 1 + t->query.len : 0) == t->origin_form.len);
    if (!has_host && t->host.len == 0)
        return;
    MUST(t->host.len > 0 && t->authority.len >= t->host.len);
    MUST((t->port == 0) == (t->authority.len == t->host.len));
    MUST(parse(method, t->origin_form, t->authority, t->https, a, &again));
    MUST(weir_span_eq(t->origin_form, again.origin_form));
    MUST(weir_span_eq(t->path, again.path) && weir_span_eq(t->query, again.query));
    MUST((t->query.ptr == NULL) == (again.query.ptr == NULL));
    MUST(weir_span_eq(t->authority, again.authority) && weir_span_eq(t->host, again.host));
    MUST(t->port == again.port && t->https == again.https);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t n = newline != NULL ? (size_t)(newline - data) : size;
    struct weir_span host = WEIR_SPAN_NONE, target;
    char *target_copy, *host_copy;
    struct http_target out;
    struct weir_arena a;

    if (n == 0)
        return 0;
    target_copy = exact_copy(data + 1, n - 1);
    host_copy = exact_copy(data + n, size - n);
    target = weir_span(target_copy, n - 1);
    if (newline != NULL)
        host = weir_span(host_copy + 1, size - n - 1);
    weir_arena_init(&a, 0);
    if (parse(data[0] == 'O' ? HTTP_M_OPTIONS : HTTP_M_GET, target, host, data[0] == 'S', &a, &out))
        must_be_normal(&out, newline != NULL, &a);
    weir_arena_free(&a);
    free(target_copy);
    free(host_copy);
    return 0;
}
