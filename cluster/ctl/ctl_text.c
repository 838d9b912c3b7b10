#include "ctl_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* U+0080 to U+009F are controls too: "\xc2\x80" to "\xc2\x9f" in UTF-8. */
static bool is_control(const char *at)
{
    unsigned char c = (unsigned char)at[0];

    return c < 0x20 || c == 0x7f ||
           (c == 0xc2 && (unsigned char)at[1] >= 0x80 && (unsigned char)at[1] < 0xa0);
}

void ctl_put(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (!is_control(text)) {
            putc(*text, out);
            continue;
        }
        fprintf(out, "\\x%02x", (unsigned char)*text);
        if ((unsigned char)*text == 0xc2)
            fprintf(out, "\\x%02x", (unsigned char)*++text);
    }
}

void ctl_paint(FILE *out, bool colours, enum ctl_colour colour, const char *text)
{
    static const char *const codes[] = {"",         "\033[1m",  "\033[2m",
                                        "\033[32m", "\033[33m", "\033[31m"};

    if (colours && colour != CTL_PLAIN)
        fputs(codes[colour], out);
    ctl_put(out, text);
    if (colours && colour != CTL_PLAIN)
        fputs("\033[0m", out);
}
