/*
 * tags.h - the words by which a purge may name a response: tags (Surrogate-Key, Cache-Tag) and
 * groups (Cache-Groups).
 *
 * Tags are for this cache and count for whatever origin they come from. Groups are a standard: a
 * Structured Field list of strings that binds the responses of one origin (scheme, host and port)
 * together; a value that does not parse, or has a member that is no string, is ignored as a whole.
 * Both compare as bytes. As many count as fit into a header section.
 *
 * Pure; borrows its arguments. What is made lies in the arena.
 *
 * Source: RFC 9875 2 and 3, RFC 9651 4.2; for Surrogate-Key and Cache-Tag what CDNs do.
 */
#ifndef TAGS_H
#define TAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/span.h"

struct http_head;
struct purge_table;
struct weir_arena;

struct tags {
    const uint64_t *hashes; /* of tags and groups, as the purge table has them */
    uint32_t count;
    struct weir_span text; /* the tags, a space between two; without the groups */
};

struct tags_question {
    const struct http_head *response;
    const char *const *fields; /* names of the fields that carry tags */
    size_t field_count;
    struct weir_span scheme, authority; /* the origin, for groups */
    /* Tags where the response has none of those fields: what a 304 does not say stays. As `text`.
     */
    struct weir_span kept;
};

/* The next tag of a field's value; *rest begins as the value. commas: they separate too, as spaces
 * and tabs always do. false: no more. */
bool tags_next(struct weir_span *rest, bool commas, struct weir_span *tag);

/* Is `name` one of the fields that carry tags? */
bool tags_is_field(struct weir_span name, const char *const *fields, size_t count);

/* Surrogate-Key separates its tags by spaces alone, all others by commas too. false: no memory;
 * then the response must not be stored, for a purge could not name it. */
bool tags_of(struct tags *out, const struct tags_question *q, const struct purge_table *t,
             struct weir_arena *arena);

/*
 * Calls each() for every group in Cache-Group-Invalidation. Only for responses to unsafe methods
 * (RFC 9875 3). false: no memory.
 */
bool tags_invalidated_groups(const struct http_head *response, struct weir_arena *arena,
                             void (*each)(struct weir_span group, void *arg), void *arg);

#endif
