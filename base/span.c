#include "weir/span.h"

bool weir_span_ieq(struct weir_span a, struct weir_span b)
{
    size_t i;

    if (a.len != b.len)
        return false;
    for (i = 0; i < a.len; i++) {
        if (weir_ascii_lower(a.ptr[i]) != weir_ascii_lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool weir_span_starts(struct weir_span s, struct weir_span prefix)
{
    return s.len >= prefix.len && weir_span_eq(weir_span(s.ptr, prefix.len), prefix);
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

struct weir_span weir_span_trim(struct weir_span s)
{
    while (s.len > 0 && is_ows(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_ows(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool weir_span_u64(struct weir_span s, unsigned long long max, unsigned long long *out)
{
    unsigned long long value = 0;
    size_t i;

    if (s.len == 0)
        return false;
    for (i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';

        /* value * 10 + digit <= max, put so that nothing overflows */
        if (digit > 9 || digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}
