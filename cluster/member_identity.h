/*
 * member_identity.h - from the settings of a node to its id and its folder.
 *
 * Source: systemd.exec(5), STATE_DIRECTORY.
 */
#ifndef MEMBER_IDENTITY_H
#define MEMBER_IDENTITY_H

#include <stdbool.h>

#include "weir/members.h"

/* "auto": the host's name, with '-' for what an id may not hold; what is longer is cut. Else the
 * setting itself, which is an id. */
void member_identity(const char *setting, char id[MEMBER_ID_MAX + 1]);
/* "auto": the first folder in $STATE_DIRECTORY. NULL: none. Returns owned text: weir_free(); false
 * without memory. */
bool member_state_dir(const char *setting, char **dir);

#endif
