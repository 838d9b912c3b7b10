#include "http_text.h"

size_t http_u64_digits(char out[20], uint64_t value)
{
    char reversed[20];
    size_t n = 0;

    do {
        reversed[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    return n;
}

void http_text_u64(struct http_text *t, uint64_t value)
{
    char digits[20];

    http_text_bytes(t, digits, http_u64_digits(digits, value));
}

void http_text_i64(struct http_text *t, int64_t value)
{
    if (value < 0)
        http_text_char(t, '-');
    http_text_u64(t, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void http_text_hex(struct http_text *t, uint64_t value, unsigned digits)
{
    static const char hex[] = "0123456789abcdef";
    char text[16];
    unsigned n = 0;

    if (digits > sizeof(text))
        digits = sizeof(text);
    do {
        text[sizeof(text) - ++n] = hex[value & 15];
        value >>= 4;
    } while (value > 0 || n < digits);
    http_text_bytes(t, text + sizeof(text) - n, n);
}

void http_text_field(struct http_text *t, struct weir_span name, struct weir_span value)
{
    http_text_add(t, name);
    http_text_lit(t, ": ");
    http_text_add(t, value);
    http_text_lit(t, "\r\n");
}

void http_text_fields(struct http_text *t, const struct http_head *h)
{
    for (uint32_t i = 0; i < h->count; i++)
        http_text_field(t, h->fields[i].name, h->fields[i].value);
}

void http_text_status_line(struct http_text *t, int status, struct weir_span reason)
{
    http_text_lit(t, "HTTP/1.1 ");
    http_text_u64(t, (uint64_t)status);
    http_text_char(t, ' ');
    http_text_add(t, reason.len > 0 ? reason : http_status_reason(status));
    http_text_lit(t, "\r\n");
}

void http_text_request_line(struct http_text *t, struct weir_span method, struct weir_span target)
{
    http_text_add(t, method);
    http_text_char(t, ' ');
    http_text_add(t, target);
    http_text_lit(t, " HTTP/1.1\r\n");
}

size_t http_fields_bytes(const struct http_head *h)
{
    size_t sum = 0;

    for (uint32_t i = 0; i < h->count; i++)
        sum += http_field_bytes(&h->fields[i]);
    return sum;
}
