/*
 * redis_scripts.h - what must be atomic in Redis, in Lua.
 *
 * All keys of a script lie in one slot and are passed in KEYS. Numbers in a reply are integers (a
 * Lua number is a double: exact up to 2^53, and nothing here comes near that). A script checks
 * before it writes: what raises an error (a key of another type) has changed nothing, except where
 * its comment says otherwise.
 *
 * Source: redis.md 3.6, 3.8, 3.9. They run on Redis >= 7 and Valkey.
 */
#ifndef REDIS_SCRIPTS_H
#define REDIS_SCRIPTS_H

#include "redis_cluster.h"

struct redis_scripts {
    /*
     * Sets a value unless a newer fence was given out.
     * KEYS value, fence; ARGV fence, ttl_ms, bytes. -> 1, or 0: refused
     */
    struct redis_script put_fenced;

    /*
     * Removes a value if it holds certain bytes at a certain place.
     * KEYS value; ARGV offset, bytes. -> 1, 0: it does not, -1: there is none
     */
    struct redis_script remove_if;

    /* KEYS any; ARGV ttl_ms: from now on, unless it would live longer. -> 1, or -1: there is none
     */
    struct redis_script touch;

    /*
     * A lease is a hash: o owner, f fence, and a field w:<channel> for each waiter. Its life is
     * that of the key. Who has it and asks again (an answer was lost) gets it again under the same
     * fence. KEYS lease, fence; ARGV owner, channel of the asker ("": none), lease_ms,
     * fence_ttl_ms.
     * -> {1, fence}, or {0, milliseconds that another's has left}: the asker waits
     */
    struct redis_script lease_take;

    /* KEYS lease, fence; ARGV owner, lease_ms, fence_ttl_ms. -> 1, or 0: it is another's, or
     * nobody's */
    struct redis_script lease_renew;

    /*
     * Forgets the waiters, and with "1" gives the lease up. The waiters' channels lie in other
     * slots, where a script may not publish: whoever calls it does. KEYS lease; ARGV owner, "1" or
     * "0". -> their channels, or 0: it is another's, or nobody's
     */
    struct redis_script lease_wake;

    /*
     * Appends to a log, a stream whose records have one field, b. One that does not exist gets an
     * empty record first. Ids stay within 20 bits of sequence number, whatever the clock does. KEYS
     * log; ARGV "=" or "~", max, bytes, channel (same slot) or "". -> id "ms-seq"
     */
    struct redis_script log_append;

    /* KEYS log. -> the newest id; puts the empty record if there is no log */
    struct redis_script log_open;

    /*
     * KEYS log; ARGV id (exclusive), count. -> nil: there is none; or {newest id ever given, oldest
     * id still there or "0-0" if none was ever dropped, id, bytes, id, bytes, ...}
     */
    struct redis_script log_read;

    /*
     * A board is a hash, id -> "<ms it was put> <ms it ends, or 0> <bytes>", with the sum of its
     * values' bytes under the empty id; and a sorted set, id -> ms it ends, or +inf, that says what
     * has ended. Both live until the last entry ends. KEYS board, ends; ARGV channel (same slot),
     * hint or "", most entries, most bytes, then for each post: id, bytes, ttl_ms or 0, "1" to
     * leave what is there. -> milliseconds since the epoch, or 0: it would be too much
     */
    struct redis_script board_put;

    /* KEYS board, ends; ARGV channel, hint or "", ids ... -> milliseconds since the epoch */
    struct redis_script board_remove;

    /* KEYS board. -> {milliseconds since the epoch, {id, value, id, value ...}}, the empty id and
     * what has ended among them */
    struct redis_script board_read;

    /* A rate (weir/gcra.h) is "<us> <owed> <part_us>": what was owed at a time, in whole intervals
     * and a part of one. KEYS rate; ARGV interval_us, burst, want.
     * -> {taken, how many more could have been, milliseconds until one can be} */
    struct redis_script tokens_take;
};

void redis_scripts_init(struct redis_scripts *s);

#endif
