/*
 * admin_views.h - the parts that several answers are made of (docs/api.md). Each is a new value,
 * which marks the request as failed if it cannot be made.
 */
#ifndef ADMIN_VIEWS_H
#define ADMIN_VIEWS_H

#include <stdint.h>

#include "admin_request.h"

struct word;

/* The record of this node, with at most so many origins. */
json_t *admin_view_node(struct admin_request *r, size_t origins_max);
json_t *admin_view_clients(struct admin_request *r);
/* Of TLS with clients, since the start. */
json_t *admin_view_handshakes(struct admin_request *r);
json_t *admin_view_redis(struct admin_request *r);
json_t *admin_view_origins(struct admin_request *r);
json_t *admin_view_words(struct admin_request *r);
json_t *admin_view_words_state(struct admin_request *r);
json_t *admin_view_word(struct admin_request *r, const struct word *w);

/* Sixteen hex digits. */
void admin_put_hex(struct admin_request *r, json_t *object, const char *name, uint64_t value);

/* "up", "down", "unknown", "drained", "disabled": of an enum origin_verdict. */
const char *admin_verdict_name(int verdict);
/* "up", "down" or NULL: of an enum health_vote. */
const char *admin_vote_name(int vote);

#endif
