#include "config_value.h"

#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first within each table: writing takes the first that divides the value. */
static const struct unit durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                        {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit sizes[] = {{"TiB", 1ULL << 40},
                                    {"GiB", 1ULL << 30},
                                    {"MiB", 1ULL << 20},
                                    {"KiB", 1ULL << 10},
                                    {"TB", 1000000000000ULL},
                                    {"GB", 1000000000},
                                    {"MB", 1000000},
                                    {"KB", 1000},
                                    {"B", 1},
                                    {"", 1},
                                    {NULL, 0}};
static const struct unit percents[] = {{"%", 1}, {"", 1}, {NULL, 0}};
static const struct unit counts[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum config_number kind)
{
    switch (kind) {
    case CONFIG_DURATION_MS:
    case CONFIG_DURATION_S:
        return durations;
    case CONFIG_SIZE:
        return sizes;
    case CONFIG_PERCENT:
        return percents;
    default:
        return counts;
    }
}

static enum config_value_fault parse_bool(struct weir_span text, uint64_t *out)
{
    *out = weir_span_eq(text, WEIR_SPAN_LIT("true"));
    return *out != 0 || weir_span_eq(text, WEIR_SPAN_LIT("false")) ? CONFIG_VALUE_OK
                                                                   : CONFIG_VALUE_MALFORMED;
}

/* "0660", "660" and YAML 1.2's "0o660": there is no such thing as a decimal mode. */
static enum config_value_fault parse_mode(struct weir_span text, uint64_t *out)
{
    size_t i = text.len > 2 && text.ptr[0] == '0' && text.ptr[1] == 'o' ? 2 : 0;

    *out = 0;
    if (text.len == i || text.len - i > 6)
        return CONFIG_VALUE_MALFORMED;
    for (; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7')
            return CONFIG_VALUE_MALFORMED;
        *out = *out * 8 + (uint64_t)(text.ptr[i] - '0');
    }
    return CONFIG_VALUE_OK;
}

static enum config_value_fault parse_units(const struct unit *units, struct weir_span text,
                                           uint64_t *out)
{
    unsigned long long number;
    size_t digits = 0;

    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    if (digits == 0)
        return CONFIG_VALUE_MALFORMED;
    for (; units->name != NULL; units++)
        if (weir_span_eq(weir_span(text.ptr + digits, text.len - digits),
                         weir_span_str(units->name)))
            break;
    if (units->name == NULL)
        return CONFIG_VALUE_MALFORMED;
    if (!weir_span_u64(weir_span(text.ptr, digits), INT64_MAX / units->factor, &number))
        return CONFIG_VALUE_TOO_LARGE;
    *out = number * units->factor;
    return CONFIG_VALUE_OK;
}

static enum config_value_fault parse_duration(enum config_number kind, struct weir_span text,
                                              uint64_t *out)
{
    enum config_value_fault fault;
    uint64_t bare;

    if (parse_units(counts, text, &bare) == CONFIG_VALUE_OK) {
        *out = 0;
        return bare == 0 ? CONFIG_VALUE_OK : CONFIG_VALUE_NO_UNIT;
    }
    fault = parse_units(durations, text, out);
    if (fault != CONFIG_VALUE_OK || kind == CONFIG_DURATION_MS)
        return fault;
    if (*out % 1000 != 0)
        return CONFIG_VALUE_NOT_WHOLE;
    *out /= 1000;
    return CONFIG_VALUE_OK;
}

enum config_value_fault config_value_parse(enum config_number kind, struct weir_span text,
                                           uint64_t *out)
{
    switch (kind) {
    case CONFIG_BOOL:
        return parse_bool(text, out);
    case CONFIG_MODE:
        return parse_mode(text, out);
    case CONFIG_DURATION_MS:
    case CONFIG_DURATION_S:
        return parse_duration(kind, text, out);
    default:
        return parse_units(units_of(kind), text, out);
    }
}

const char *config_value_form(enum config_number kind)
{
    switch (kind) {
    case CONFIG_DURATION_MS:
        return "a duration such as 250ms, 30s, 5m, 1h or 1d";
    case CONFIG_DURATION_S:
        return "a duration such as 30s, 5m, 1h or 1d";
    case CONFIG_SIZE:
        return "a size such as 512, 64KiB, 16MiB or 1GiB";
    case CONFIG_PERCENT:
        return "a percentage such as 50%";
    case CONFIG_MODE:
        return "an octal mode such as 0660";
    case CONFIG_BOOL:
        return "true or false";
    default:
        return "a whole number";
    }
}

const char *config_value_write(enum config_number kind, uint64_t value, char buf[32])
{
    const struct unit *unit = units_of(kind);

    if (kind == CONFIG_DURATION_S)
        value *= 1000;
    if (kind == CONFIG_BOOL)
        snprintf(buf, 32, "%s", value != 0 ? "true" : "false");
    else if (kind == CONFIG_MODE)
        snprintf(buf, 32, "%04" PRIo64, value);
    else if (value == 0)
        snprintf(buf, 32, "0%s", kind == CONFIG_PERCENT ? "%" : "");
    else {
        /* Decimal sizes are read but not written: 1000 is "1000", not "1KB". */
        while (value % unit->factor != 0 || (kind == CONFIG_SIZE && unit->factor % 1000 == 0))
            unit++;
        snprintf(buf, 32, "%" PRIu64 "%s", value / unit->factor,
                 kind == CONFIG_SIZE && unit->factor == 1 ? "" : unit->name);
    }
    return buf;
}

#define WORD_MAX 32

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment; three rows are enough. */
unsigned config_distance(struct weir_span a, struct weir_span b)
{
    unsigned rows[3][WORD_MAX + 1];

    if (a.len > WORD_MAX || b.len > WORD_MAX)
        return WORD_MAX;
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            char x = weir_ascii_lower(a.ptr[i - 1]), y = weir_ascii_lower(b.ptr[j - 1]);

            row[j] = least(above[j - 1] + (x != y), 1 + least(above[j], row[j - 1]));
            if (i > 1 && j > 1 && x == weir_ascii_lower(b.ptr[j - 2]) &&
                y == weir_ascii_lower(a.ptr[i - 2]))
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

bool config_is_near(struct weir_span a, struct weir_span b, unsigned *distance)
{
    size_t longer = a.len > b.len ? a.len : b.len;

    *distance = config_distance(a, b);
    return *distance < longer && *distance <= 1 + longer / 4;
}
