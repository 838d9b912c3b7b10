/*
 * response_in.h - an origin's response head, brought to the form in which it goes on and is stored.
 *
 * End-to-end fields only (RFC 9110 7.6.1), no framing; Date added where the origin sent none
 * (6.6.1); Age left to the facts when the response may be stored.
 */
#ifndef RESPONSE_IN_H
#define RESPONSE_IN_H

#include "weir/arena.h"
#include "fill.h"
#include "http_framing.h"
#include "http_head.h"
#include "site.h"

/* framing NULL: a stored head that a 304 renewed. cache NULL: nobody stores it, facts are left
 * empty. false: MEMORY, nothing is owned. */
bool response_in_build(struct fill_head *out, const struct http_head *head,
                       const struct http_framing *framing, const struct site *site,
                       const struct route_cache_settings *cache, int64_t request_time_s,
                       int64_t now_s, struct weir_err *err);
/* Drops what a fill_head owns that no fill took. */
void response_in_clear(struct fill_head *h);

/* A head that borrows a field table: for the functions of policy that look fields up. */
bool response_in_view(struct http_head *view, const struct http_field *fields, uint32_t count,
                      int status, struct weir_arena *arena);

#endif
