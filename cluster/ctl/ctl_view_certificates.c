/* Certificates: for what names, until when, what is stapled. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"
#include "ctl_view.h"
#include "ctl_view_own.h"

#define SOON_S ((int64_t)14 * 86400)

static int64_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

/* The first one, and how many more there are. */
static void add_names(struct ctl_table *t, const json_t *certificate)
{
    const json_t *first = json_array_get(json_object_get(certificate, "names"), 0);
    int64_t total = number(certificate, "names_total");

    ctl_table_addf(t, CTL_PLAIN, total > 1 ? "%s +%" PRId64 : "%s",
                   json_is_string(first) ? json_string_value(first) : "(no name)", total - 1);
}

static void add_expiry(struct ctl_table *t, int64_t left_s)
{
    enum ctl_colour colour = left_s <= 0 ? CTL_RED : left_s <= SOON_S ? CTL_YELLOW : CTL_GREEN;

    if (left_s <= 0)
        ctl_table_add(t, colour, "expired");
    else if (left_s < 2 * 86400)
        ctl_table_addf(t, colour, "%" PRId64 " h", left_s / 3600);
    else
        ctl_table_addf(t, colour, "%" PRId64 " days", left_s / 86400);
}

static void add_ocsp(struct ctl_table *t, const json_t *ocsp)
{
    const char *state = farm_text(ocsp, "state"), *error = farm_text(ocsp, "error");
    bool must = farm_true(ocsp, "must_staple"), good = strcmp(state, "good") == 0;
    enum ctl_colour colour = good                                    ? CTL_GREEN
                             : must || strcmp(state, "revoked") == 0 ? CTL_RED
                             : error[0] != '\0'                      ? CTL_YELLOW
                                                                     : CTL_PLAIN;

    if (strcmp(state, "none") == 0 && !must)
        ctl_table_add(t, CTL_PLAIN, NULL);
    else
        ctl_table_addf(t, colour, "%s%s%s%s", good ? "stapled" : state, must ? " (required)" : "",
                       error[0] != '\0' ? ": " : "", error);
}

static void add_certificate(struct ctl_table *t, const json_t *certificate)
{
    add_names(t, certificate);
    ctl_table_add(t, CTL_PLAIN, farm_text(certificate, "key"));
    add_expiry(t, number(certificate, "expires_in_s"));
    if (farm_false(certificate, "chain_complete"))
        ctl_table_add(t, CTL_YELLOW, "incomplete");
    else
        ctl_table_add(t, CTL_PLAIN, "");
    add_ocsp(t, json_object_get(certificate, "ocsp"));
    ctl_table_add(t, CTL_PLAIN, farm_text(certificate, "source"));
}

static int by_expiry(const void *a, const void *b)
{
    int64_t x = number(*(json_t *const *)a, "not_after");
    int64_t y = number(*(json_t *const *)b, "not_after");

    return (x > y) - (x < y);
}

/* ---- handshakes since the start ---- */

static double share(const json_t *o, const char *part, double whole)
{
    return whole > 0 ? farm_real(o, part) / whole * 100 : 0;
}

static void put_handshakes(FILE *out, const struct ctl_look *look, const json_t *h)
{
    const json_t *groups = json_object_get(h, "groups");
    double full = farm_real(h, "full"), done = full + farm_real(h, "resumed");
    char count[CTL_TEXT_MAX], failed[CTL_TEXT_MAX], early[CTL_TEXT_MAX], text[300];

    if (done + farm_real(h, "failed") <= 0)
        return;
    snprintf(text, sizeof text,
             "%s handshakes: %.0f%% resumed, %.0f%% TLS 1.3, %s with early data; %s failed",
             ctl_count(count, done < 1e15 ? (int64_t)done : 0), share(h, "resumed", done),
             share(h, "tls_1_3", done), ctl_count(early, number(h, "early_data")),
             ctl_count(failed, number(h, "failed")));
    putc('\n', out);
    view_line(out, look, CTL_PLAIN, text);
    snprintf(text, sizeof text, "full ones by X25519 %.0f%%, P-256 %.0f%%, others %.0f%%",
             share(groups, "x25519", full), share(groups, "p256", full),
             share(groups, "other", full));
    if (full > 0)
        view_line(out, look, CTL_PLAIN, text);
}

void ctl_view_certificates(FILE *out, const struct ctl_look *look, const json_t *tls)
{
    static const struct ctl_column columns[] = {
        {"NAME", .least = 12}, {"KEY", .least = 8, .rank = 2},  {"EXPIRES", .right = true},
        {"CHAIN", .rank = 1},  {"OCSP", .least = 8, .rank = 3}, {"FROM", .least = 12, .rank = 4},
    };
    const json_t *list = json_object_get(tls, "certificates");
    size_t count = json_array_size(list);
    const json_t **sorted = weir_calloc(count + 1, sizeof *sorted);
    struct ctl_table t;

    if (count == 0)
        fputs("there are no certificates\n", out);
    for (size_t i = 0; sorted != NULL && i < count; i++)
        sorted[i] = json_array_get(list, i);
    if (sorted != NULL && count > 0)
        qsort(sorted, count, sizeof *sorted, by_expiry);
    ctl_table_init(&t, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; sorted != NULL && i < count; i++)
        add_certificate(&t, sorted[i]);
    ctl_table_print(&t, out, look, 0);
    ctl_table_free(&t);
    weir_free(sorted);
    put_handshakes(out, look, json_object_get(tls, "handshakes"));
}

bool ctl_certificates_trouble(const json_t *tls)
{
    const json_t *sum = json_object_get(tls, "summary"), *one;
    size_t i;

    json_array_foreach(json_object_get(tls, "certificates"), i, one)
    {
        if (strcmp(farm_text(json_object_get(one, "ocsp"), "state"), "revoked") == 0)
            return true;
    }
    return number(sum, "expired") > 0 || number(sum, "expiring") > 0 ||
           number(sum, "must_staple_failed") > 0;
}
