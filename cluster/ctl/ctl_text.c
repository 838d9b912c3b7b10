#include "ctl_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir/utf8.h"

const char *ctl_count(char buf[CTL_TEXT_MAX], int64_t n)
{
    char digits[24];
    const char *from = digits;
    size_t at = 0, left;

    snprintf(digits, sizeof digits, "%" PRId64, n);
    if (*from == '-')
        buf[at++] = *from++;
    for (left = strlen(from); left > 0; left--) {
        buf[at++] = *from++;
        if (left > 1 && left % 3 == 1)
            buf[at++] = ',';
    }
    buf[at] = '\0';
    return buf;
}

/* Three digits tell enough; bytes are told to the last. */
const char *ctl_bytes(char buf[CTL_TEXT_MAX], int64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes / 1024;
    unsigned unit = 0;

    if (bytes < 1024) {
        snprintf(buf, CTL_TEXT_MAX, "%" PRId64 " B", bytes);
        return buf;
    }
    for (; value >= 1023.5 && unit < 4; unit++)
        value /= 1024;
    snprintf(buf, CTL_TEXT_MAX, value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return buf;
}

const char *ctl_seconds(char buf[CTL_TEXT_MAX], int64_t s)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    const char *sign = s < 0 ? "-" : "";
    unsigned u = 0;
    int64_t whole, rest;

    if (s < 0)
        s = s > INT64_MIN ? -s : INT64_MAX;
    while (u < 3 && s < units[u].seconds)
        u++;
    whole = s / units[u].seconds;
    rest = u < 3 ? s % units[u].seconds / units[u + 1].seconds : 0;
    if (rest > 0)
        snprintf(buf, CTL_TEXT_MAX, "%s%" PRId64 " %s %" PRId64 " %s", sign, whole, units[u].name,
                 rest, units[u + 1].name);
    else
        snprintf(buf, CTL_TEXT_MAX, "%s%" PRId64 " %s", sign, whole, units[u].name);
    return buf;
}

const char *ctl_age(char buf[CTL_TEXT_MAX], int64_t s)
{
    static const struct {
        int64_t seconds;
        char name;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    unsigned u = 0;
    int64_t rest;

    if (s < 0)
        s = 0; /* clocks differ a little */
    while (u < 3 && s < units[u].seconds)
        u++;
    rest = u < 3 ? s % units[u].seconds / units[u + 1].seconds : 0;
    if (rest > 0)
        snprintf(buf, CTL_TEXT_MAX, "%" PRId64 "%c%" PRId64 "%c", s / units[u].seconds,
                 units[u].name, rest, units[u + 1].name);
    else
        snprintf(buf, CTL_TEXT_MAX, "%" PRId64 "%c", s / units[u].seconds, units[u].name);
    return buf;
}

const char *ctl_rate(char buf[CTL_TEXT_MAX], double rate)
{
    if (!(rate < 1e15))
        snprintf(buf, CTL_TEXT_MAX, "%.2g", rate);
    else if (rate >= 99.95)
        ctl_count(buf, (int64_t)(rate + 0.5));
    else
        snprintf(buf, CTL_TEXT_MAX, "%.1f", rate > 0 ? rate : 0);
    return buf;
}

const char *ctl_percent(char buf[CTL_TEXT_MAX], double ratio)
{
    snprintf(buf, CTL_TEXT_MAX, "%.1f %%", ratio * 100);
    return buf;
}

bool ctl_colours(FILE *out)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return (no == NULL || no[0] == '\0') && (term == NULL || strcmp(term, "dumb") != 0) &&
           isatty(fileno(out));
}

/* ---- what comes from somewhere else ---- */

struct range {
    uint32_t first, last;
};

static bool within(uint32_t c, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

#define WITHIN(c, ranges) within(c, ranges, sizeof ranges / sizeof ranges[0])

/* Controls, and what turns the direction of writing round, so that a line reads as another. */
static bool is_harmful(uint32_t c)
{
    static const struct range ranges[] = {{0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},
                                          {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
                                          {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff}};

    return WITHIN(c, ranges);
}

/* East Asian wide ones and pictures; those that combine with the one before (the usual ones). */
static unsigned columns_of(uint32_t c)
{
    static const struct range wide[] = {{0x1100, 0x115f}, {0x2e80, 0x303e},   {0x3041, 0xa4cf},
                                        {0xac00, 0xd7a3}, {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
                                        {0xff00, 0xff60}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
    static const struct range none[] = {
        {0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x1ab0, 0x1aff}, {0x20d0, 0x20ff}};

    return WITHIN(c, none) ? 0 : WITHIN(c, wide) ? 2 : 1;
}

size_t ctl_glyph(const char *text, char out[CTL_GLYPH_MAX], unsigned *columns)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t left = strnlen(text, 4), len = left > 0 ? weir_utf8_length(p, left) : 0;
    int n = 0;

    if (left == 0)
        return 0;
    if (len > 0 && !is_harmful(weir_utf8_code_point(p, len))) {
        memcpy(out, text, len);
        out[len] = '\0';
        *columns = columns_of(weir_utf8_code_point(p, len));
        return len;
    }
    len = len > 0 ? len : 1;
    for (size_t i = 0; i < len; i++)
        n += snprintf(out + n, CTL_GLYPH_MAX - (size_t)n, "\\x%02x", p[i]);
    *columns = (unsigned)n;
    return len;
}

void ctl_put(FILE *out, const char *text)
{
    char glyph[CTL_GLYPH_MAX];
    unsigned columns;
    size_t len;

    while ((len = ctl_glyph(text, glyph, &columns)) > 0) {
        fputs(glyph, out);
        text += len;
    }
}

unsigned ctl_columns(const char *text)
{
    char glyph[CTL_GLYPH_MAX];
    unsigned columns, sum = 0;
    size_t len;

    for (; sum < 100000 && (len = ctl_glyph(text, glyph, &columns)) > 0; text += len)
        sum += columns;
    return sum;
}

unsigned ctl_put_within(FILE *out, const char *text, unsigned width)
{
    bool cut = ctl_columns(text) > width;
    unsigned room = cut && width > 0 ? width - 1 : width, at = 0, columns;
    char glyph[CTL_GLYPH_MAX];
    size_t len;

    for (; (len = ctl_glyph(text, glyph, &columns)) > 0 && at + columns <= room; text += len) {
        fputs(glyph, out);
        at += columns;
    }
    if (!cut || width == 0)
        return at;
    fputs("\xe2\x80\xa6", out); /* an ellipsis */
    return at + 1;
}

void ctl_colour(FILE *out, bool colours, enum ctl_colour colour)
{
    static const char *const codes[] = {"\033[0m",  "\033[1m",  "\033[2m",
                                        "\033[32m", "\033[33m", "\033[31m"};

    if (colours)
        fputs(codes[colour], out);
}

void ctl_paint(FILE *out, bool colours, enum ctl_colour colour, const char *text)
{
    ctl_colour(out, colours && colour != CTL_PLAIN, colour);
    ctl_put(out, text);
    ctl_colour(out, colours && colour != CTL_PLAIN, CTL_PLAIN);
}
