/*
 * limit_key.h - which requests are counted together: a request's parts to one hash.
 *
 *   client        the client's network: its address, cut to a prefix
 *   field NAME    the value of a field
 *   cookie NAME   the value of a cookie
 *   route         the route that took it
 *   all           nothing: all that come are one
 *
 * Of several cookies of a name the first one counts (cookie.h). A field that comes more than once
 * counts as missing: nobody can tell which line the origin believes. The hash is keyed, so that
 * nobody can aim for another's; values are hashed apart, so that no two sets of values run into
 * each other. Pure.
 */
#ifndef LIMIT_KEY_H
#define LIMIT_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/hash.h"
#include "weir/span.h"
#include "limit_settings.h"

struct http_head;
struct net_peer;

#define LIMIT_PARTS_MAX    8
#define LIMIT_KEY_TEXT_MAX 160 /* with its NUL */

enum limit_part_kind {
    LIMIT_PART_CLIENT,
    LIMIT_PART_FIELD,
    LIMIT_PART_COOKIE,
    LIMIT_PART_ROUTE,
    LIMIT_PART_ALL,
};

struct limit_part {
    enum limit_part_kind kind;
    struct weir_span name; /* of a field or cookie */
    uint16_t field;        /* HTTP_F_NONE for a name that is not known */
};

struct limit_key_rule {
    struct limit_part parts[LIMIT_PARTS_MAX];
    unsigned count;
    uint8_t ipv4_prefix, ipv6_prefix;
    enum limit_missing missing;
    struct weir_hash128 base; /* of the limit's name and its parts: two limits share no key */
};

/* What a key is made of; borrowed. */
struct limit_subject {
    const struct http_head *head;
    const struct net_peer *client;
    struct weir_span route;
};

/* NULL, or what is wrong with the word (static). out->name borrows the text. */
const char *limit_part_parse(struct weir_span text, struct limit_part *out);

/* From words that parse, LIMIT_PARTS_MAX at most; none: client. Borrows the settings. */
void limit_key_rule_init(struct limit_key_rule *r, const struct limit_settings *s,
                         const struct weir_hash_secret *secret);

/* false: a part is missing, and the limit does not see such requests. */
bool limit_key(const struct limit_key_rule *r, const struct limit_subject *s,
               const struct weir_hash_secret *secret, struct weir_hash128 *out);

/* For people: "192.0.2.0/24", "2001:db8::/64 route api"; where a field or cookie is a part of it,
 * its hash, for what clients send there may be a secret. Returns buf. */
const char *limit_key_text(const struct limit_key_rule *r, const struct limit_subject *s,
                           const struct weir_hash128 *key, char buf[LIMIT_KEY_TEXT_MAX]);

#endif
