/*
 * ctl_find.h - which admin socket weirctl talks to.
 *
 * What --socket says, else $WEIR_SOCKET, else the first of the places where a node puts it when
 * nobody says (weir/admin_place.h) that somebody listens on.
 */
#ifndef CTL_FIND_H
#define CTL_FIND_H

#include "weir/admin_place.h"
#include "weir/err.h"

/*
 * Connects. `named` may be NULL. Returns the descriptor, with time-outs set; *path is where it
 * leads. -1: *err, whose detail says what was tried.
 */
int ctl_connect(const char *named, char path[WEIR_ADMIN_PATH_MAX], struct weir_err *err);

#endif
