/*
 * esi_page.h - which responses are templates, and where the src of an include leads.
 *
 * Pure; borrows what it is given.
 */
#ifndef ESI_PAGE_H
#define ESI_PAGE_H

#include <stdbool.h>

#include "weir/arena.h"
#include "weir/err.h"
#include "weir/span.h"

struct http_head;

/*
 * May a response with this head be a template? Of a type that is markup (text/html,
 * application/xhtml+xml, text/xml, application/xml), not coded, not a part (206).
 * require_surrogate: and its Surrogate-Control must ask for it with content="ESI/1.0" (W3C note
 * "Edge Architecture Specification" 2.3).
 */
bool esi_is_template(const struct http_head *response, bool require_surrogate);

struct esi_url {
    struct weir_span authority; /* as written; ptr NULL: the page's own */
    struct weir_span
        origin_form; /* path[?query], begins with '/'; neither checked nor normalised */
};

/*
 * Resolves the src of an include against the path of the page (begins with '/'), by RFC 3986 5.2;
 * dot segments are left to http_target_parse(). A fragment is cut off. false: BAD_TARGET (another
 * scheme than http and https, nothing but a fragment), MEMORY.
 */
bool esi_resolve(struct weir_span src, struct weir_span page_path, struct weir_arena *a,
                 struct esi_url *out, struct weir_err *err);

#endif
