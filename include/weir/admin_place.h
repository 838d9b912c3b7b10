/*
 * admin_place.h - where the admin socket of a node is when nobody says: the places that nodes and
 * weirctl look at, in this order.
 *
 *   /run/weir/admin.sock               a service, or root
 *   $XDG_RUNTIME_DIR/weir/admin.sock   a person who is logged in; left out where that is not set
 *   /tmp/weir-UID/admin.sock           anybody else
 *
 * The last one lies where everybody may write: its folder counts only if it is ours alone.
 */
#ifndef WEIR_ADMIN_PLACE_H
#define WEIR_ADMIN_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#define WEIR_ADMIN_PATH_MAX 108 /* of a Unix socket, with its NUL */
#define WEIR_ADMIN_PLACES   3

struct weir_admin_place {
    char folder[WEIR_ADMIN_PATH_MAX];
    char path[WEIR_ADMIN_PATH_MAX];
    mode_t mode; /* of the folder when it has to be made */
    bool ours;   /* the folder must belong to this user and to nobody else */
};

/* The places for this user and environment; returns how many. */
unsigned weir_admin_places(struct weir_admin_place place[WEIR_ADMIN_PLACES]);

/* Is the folder there, and fit to be trusted? */
bool weir_admin_place_fit(const struct weir_admin_place *place);

#endif
