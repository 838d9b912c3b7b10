/*
 * privileges.h - from root to node.user, before anything is listened on or any thread made.
 */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

#include <stdbool.h>

#include "weir/err.h"
#include "settings.h"

struct warden;

/*
 * As root, with a user in the settings: leaves a warden behind for what they name, and becomes that
 * user. Otherwise nothing changes. Turns core dumps off unless the settings want them. *warden:
 * owned; NULL: none is needed. file: the configuration; NULL: none. false: *err, and the process
 * must end.
 */
bool privileges_give_up(const struct settings *s, const char *file, struct warden **warden,
                        struct weir_err *err);

#endif
