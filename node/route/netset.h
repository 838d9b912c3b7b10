/*
 * netset.h - a compiled set of client networks: "10.0.0.0/8", "2001:db8::/32", "192.0.2.7", "unix".
 *
 * An IPv4-mapped IPv6 address (::ffff:192.0.2.7) is the IPv4 address, in words and in look-ups;
 * "::/0" is therefore every IPv6 client and no IPv4 one. Peers on Unix sockets are in no network,
 * only in "unix". Look-ups are a binary search over disjoint ranges. Filled by one thread, then
 * immutable and shared.
 */
#ifndef NETSET_H
#define NETSET_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/err.h"

struct netset;
struct sockaddr;

struct netset *netset_new(struct weir_err *err); /* empty; returns owned; NULL: MEMORY */
void netset_free(struct netset *set);            /* NULL does nothing */

/* Adds one word. Fails with CONFIG (detail says what is wrong with the word) or MEMORY; the set
 * stays as it was. */
bool netset_add(struct netset *set, const char *word, struct weir_err *err);
/* Sorts and joins what was added. To be called once after the last netset_add, before netset_has.
 */
void netset_seal(struct netset *set);

/* All in one: a sealed set of `count` words, or NULL with the first word's error. */
struct netset *netset_compile(const char **words, size_t count, struct weir_err *err);

/* False for an empty or NULL set, a NULL address and any other family. */
bool netset_has(const struct netset *set, const struct sockaddr *addr);

#endif
