/*
 * origin_url.h - read one origin as the configuration writes it.
 *
 *     http://app.internal:3000                      port 80 when not given; one "/" may follow
 *     http://[2001:db8::7]:8080 weight=2 max_connections=50
 *     https://app.internal                          port 443 when not given
 *     h2c://grpc.internal:50051                     HTTP/2 by prior knowledge, without TLS
 *     unix:/run/app.sock backup
 *
 * Options follow after spaces or tabs: weight=1..1000, max_connections=1..1000000, backup; each
 * once.
 */
#ifndef ORIGIN_URL_H
#define ORIGIN_URL_H

#include <stdbool.h>

#include "origin_settings.h"
#include "weir/err.h"

struct weir_arena;

/*
 * Borrows text; every string of *out comes from the arena. False with WEIR_E_CONFIG and a detail
 * that says what was expected (or WEIR_E_MEMORY); *out is then not to be used.
 */
bool origin_settings_parse(const char *text, struct weir_arena *arena, struct origin_settings *out,
                           struct weir_err *err);

#endif
