/*
 * ctl_view.h - the farm as people see it: from the JSON of docs/api.md to lines of text.
 *
 * Pure. What is missing or of another type is shown as nothing; whatever texts the JSON has, no
 * control character of theirs comes through (ctl_text.h), and no line is wider than the look
 * where that is at least 40.
 */
#ifndef CTL_VIEW_H
#define CTL_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl_table.h"

/* Of GET /v1/farm, or made of Redis alone. */
void ctl_view_status(FILE *out, const struct ctl_look *look, const json_t *farm);
void ctl_view_nodes(FILE *out, const struct ctl_look *look, const json_t *farm);
/* upstream: of this one alone; NULL: all. */
void ctl_view_origins(FILE *out, const struct ctl_look *look, const json_t *farm,
                      const char *upstream);
/* now_s: Unix time, for how long ago something was said. */
void ctl_view_words(FILE *out, const struct ctl_look *look, const json_t *words, int64_t now_s);
/* Which configuration which node has. */
void ctl_view_drift(FILE *out, const struct ctl_look *look, const json_t *farm);
/* Of GET /v1/limits. */
void ctl_view_limits(FILE *out, const struct ctl_look *look, const json_t *limits);
/* Of GET /v1/tls. */
void ctl_view_certificates(FILE *out, const struct ctl_look *look, const json_t *tls);
/* Does one need somebody who looks after it? */
bool ctl_certificates_trouble(const json_t *tls);
/* Of GET /v1/tls/acme; now_s: the reader's clock. */
void ctl_view_acme(FILE *out, const struct ctl_look *look, const json_t *acme, int64_t now_s);
/* Of GET /v1/tls/tickets. */
void ctl_view_tickets(FILE *out, const struct ctl_look *look, const json_t *tickets);

/*
 * One picture of `top`, of `height` lines at most (0: all). The farm has what ctl_view_rates() has
 * added, if there was a look before this one. sort: a word of --sort, NULL for name.
 */
struct ctl_top {
    unsigned height;
    const char *sort, *filter; /* filter: only what has this in its name; NULL or "": all */
    int64_t interval_ms;
    const char *message; /* in the last line; NULL: none */
};
void ctl_view_top(FILE *out, const struct ctl_look *look, const struct ctl_top *top,
                  const json_t *farm);
/* Gives each origin of `farm` requests_per_s and failures_per_s since `before`, ms ago. */
void ctl_view_rates(json_t *farm, const json_t *before, int64_t ms);

/* What matters to whom: for exit statuses. */
enum ctl_concern { CTL_ABOUT_ALL, CTL_ABOUT_NODES, CTL_ABOUT_ORIGINS, CTL_ABOUT_WORDS };

/* The worst of the faults that are of concern: 0 fine, 1 degraded, 2 down. */
int ctl_view_worst(const json_t *farm, enum ctl_concern about);
void ctl_view_fault_list(FILE *out, const struct ctl_look *look, const json_t *faults);
/* Those faults, as an array; owned. NULL without memory. */
json_t *ctl_view_faults(const json_t *farm, enum ctl_concern about);

#endif
