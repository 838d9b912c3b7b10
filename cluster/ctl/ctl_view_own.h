/*
 * ctl_view_own.h - between the files of the views.
 */
#ifndef CTL_VIEW_OWN_H
#define CTL_VIEW_OWN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl_table.h"
#include "farm_json.h"

void view_heading(FILE *out, const struct ctl_look *look, const char *text);
/* A line of parts, cut to the width. */
void view_line(FILE *out, const struct ctl_look *look, enum ctl_colour colour, const char *text);

/* Cells. "-" or nothing where it is not known. */
void view_rate(struct ctl_table *t, const json_t *object, const char *name, enum ctl_colour some);
void view_ratio(struct ctl_table *t, const json_t *object, const char *name);
void view_bytes(struct ctl_table *t, const json_t *object, const char *name);
void view_count(struct ctl_table *t, const json_t *object, const char *name);

/* The parts of which pictures are made; each ends its lines. most: rows at most, 0 all. */
void view_farm_line(FILE *out, const struct ctl_look *look, const json_t *farm);
void view_fault_rows(FILE *out, const struct ctl_look *look, const json_t *faults, size_t most);
void view_node_rows(FILE *out, const struct ctl_look *look, const json_t *nodes, size_t most);
void view_origin_rows(FILE *out, const struct ctl_look *look, const json_t *origins, size_t most);
void view_word_rows(FILE *out, const struct ctl_look *look, const json_t *words, int64_t now_s);
void view_redis_rows(FILE *out, const struct ctl_look *look, const json_t *redis);
/* What clients speak, and what was refused of it lately; nothing where there is nothing to tell. */
void view_clients(FILE *out, const struct ctl_look *look, const json_t *farm);
/* The same in a line or two, for top. */
unsigned view_clients_lines(const json_t *farm);
void view_clients_brief(FILE *out, const struct ctl_look *look, const json_t *farm);

/* Is this origin in use, as simply as can be? */
bool view_origin_fine(const json_t *origin);

#endif
