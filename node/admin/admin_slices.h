/*
 * admin_slices.h - what is stored of something large that a route caches in slices.
 */
#ifndef ADMIN_SLICES_H
#define ADMIN_SLICES_H

#include "admin_request.h"

struct probe;

/*
 * Looks for the first 16384 slices; the others, of a file that has more, are not told.
 *
 * Appends one object for all slices of p's URL that are stored, if there are any:
 * {"kind": "slices", "scheme", "size_bytes", "complete_bytes", "stored", "fresh", "body_bytes",
 * "cost_bytes", "etag", "ranges": [[first, last], ...]}. p asks for some slice afterwards.
 */
void admin_append_slices(struct admin_request *r, json_t *array, struct probe *p);

#endif
