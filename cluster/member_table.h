/*
 * member_table.h - the members that a node knows of: what each has said last, who is live, who has
 * a twin.
 *
 * Filled from reads of the board (begin, saw, end) and from hints. Pure: time is a parameter, and
 * what comes in is opened already (seal, format). Keeps its own copies.
 *
 *     table_saw() for each entry, then table_end()
 *
 * Whose last beat is MEMBER_LIVE_MS old is silent, but only by a read: without one nobody knows.
 * Who is silent or has left is remembered for a while, so that showing its old briefs again does
 * not bring it back. An allocation that fails leaves a member as it was (or unknown): the next read
 * tries again.
 */
#ifndef MEMBER_TABLE_H
#define MEMBER_TABLE_H

#include "member_brief.h"

struct member_known {
    char id[MEMBER_ID_MAX + 1];
    struct member m;         /* m.id points to `id`, votes into `bytes` */
    uint64_t board_sequence; /* of the brief that was on the board last */
    char *bytes;             /* the brief as it came */
    size_t cap;
    int64_t seen_ms;   /* on the board */
    bool left, silent; /* in no list */
};

struct member_table {
    struct member_known **known; /* by id, then incarnation */
    size_t count, cap;
    struct member *list; /* room for all of `known` and one more */
    size_t live;         /* those who are neither silent nor have left */
    bool changed;        /* what the list says differs since table_take_changed() */
};

enum member_news { MEMBER_NEWS, MEMBER_NO_NEWS, MEMBER_STALE, MEMBER_UNKNOWN, MEMBER_NO_MEMORY };

void table_free(struct member_table *t);

/* An entry of the board. age_ms: since it was put. `bytes`: what `said` was read from. STALE: it is
 * older than what was there before; UNKNOWN: there are too many. */
enum member_news table_saw(struct member_table *t, struct weir_span id, uint64_t incarnation,
                           const struct member_said *said, struct weir_span bytes, int64_t age_ms,
                           int64_t now_ms);
/* The read was whole: drops who is silent. own: this node's own member, or NULL; its `twin` is set
 * as well. */
void table_end(struct member_table *t, struct member *own, int64_t now_ms);
/* From a hint. UNKNOWN: the board does not show this member to be alive. */
enum member_news table_heard(struct member_table *t, struct weir_span id, uint64_t incarnation,
                             const struct member_said *said, struct weir_span bytes);

/* Those who are live, behind `own` if that is not NULL. Valid until anything else is done. */
size_t table_list(struct member_table *t, const struct member *own, const struct member **out);
bool table_take_changed(struct member_table *t);

#endif
