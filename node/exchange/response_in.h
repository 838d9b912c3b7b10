/*
 * response_in.h - an origin's response head, brought to the form in which it goes on and is stored.
 *
 * End-to-end fields only (RFC 9110 7.6.1), no framing; Date added where the origin sent none
 * (6.6.1); Age left to the facts when the response may be stored. What is for one client alone, and
 * what is for this cache alone, is kept apart.
 */
#ifndef RESPONSE_IN_H
#define RESPONSE_IN_H

#include "weir/arena.h"
#include "compressible.h"
#include "fill.h"
#include "http_framing.h"
#include "http_head.h"
#include "response_policy.h"
#include "site.h"

/*
 * framing NULL: a stored head that a 304 renewed. policy NULL: a pass, facts are left empty. Where
 * the policy stores the response, fields that its control withholds are left out:
 * response_in_own(). ETag and Content-Encoding come last, so that the same head serves for other
 * codings without its end; Vary names Accept-Encoding where `coding` says so (NULL: no word about
 * it). false: MEMORY, nothing is owned.
 */
bool response_in_build(struct fill_head *out, const struct http_head *head,
                       const struct http_framing *framing, const struct site *site,
                       const struct response_policy *policy, const struct compressible *coding,
                       int64_t now_s, struct weir_err *err);
/* Drops what a fill_head owns that no fill took. */
void response_in_clear(struct fill_head *h);

/*
 * The fields left out, for the client alone whose request caused the response: copied into `arena`,
 * which is that exchange's. *own is NULL if there are none. false: no memory.
 */
bool response_in_own(const struct http_head **own, const struct http_head *head,
                     const struct response_policy *policy, struct weir_arena *arena);

/* A head that borrows a field table: for the functions of policy that look fields up. */
bool response_in_view(struct http_head *view, const struct http_field *fields, uint32_t count,
                      int status, struct weir_arena *arena);

#endif
