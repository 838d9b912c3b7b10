/*
 * limit_fields.h - what a client is told of the limits that count it.
 *
 *   RateLimit-Policy: "api";q=100;w=60        so many at once, so many seconds until all are back
 *   RateLimit: "api";r=42;t=35                so many are left, all are back in so many seconds
 *   Retry-After: 2                            refused
 *
 * Each of the first two is a list, so what an origin says of its own limits stands beside it. Pure.
 *
 * Source: draft-ietf-httpapi-ratelimit-headers-10; RFC 9110 10.2.3.
 */
#ifndef LIMIT_FIELDS_H
#define LIMIT_FIELDS_H

#include "http_text.h"
#include "limit.h"

/* Bytes that are enough for so many limits. */
#define LIMIT_FIELDS_BYTES(count) (96 + (count)*2 * 112)
#define LIMIT_FIELDS_MAX          LIMIT_FIELDS_BYTES(LIMITS_OF_ROUTE)

/* Of the first `count` limits of the list, which have been asked. refused: NULL, or what was taken
 * from the one that refused. */
void limit_fields_put(struct http_text *t, const struct limit_list *list,
                      const struct limit_taken *taken, uint32_t count,
                      const struct limit_taken *refused);

#endif
