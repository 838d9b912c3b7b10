/*
 * address.h - host and port in one text, as people write them.
 */
#ifndef WEIR_ADDRESS_H
#define WEIR_ADDRESS_H

#include <stdbool.h>

#include "weir/span.h"

/*
 * "redis-1:6379", "redis-1", "10.0.0.1:6379", "[2001:db8::1]:6379", "[::1]" (RFC 3986 3.2.2: an
 * IPv6 address stands in brackets, which *host is without). *port is empty if there is none; it is
 * not judged. false: neither. Both point into `text`.
 */
bool weir_address_split(struct weir_span text, struct weir_span *host, struct weir_span *port);

#endif
