/*
 * config_fill.h - a checked tree into settings, by libcyaml.
 */
#ifndef CONFIG_FILL_H
#define CONFIG_FILL_H

struct config_ctx;
struct settings;

/*
 * Writes the tree out in its plainest form (defaults filled in, units resolved, includes and
 * aliases gone), lets libcyaml load that by the same schema, and copies the outcome into one arena.
 * What is marked bad counts as not written. Returns owned, with one reference; NULL after a report.
 */
struct settings *config_fill(struct config_ctx *ctx);

#endif
