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
};

void redis_scripts_init(struct redis_scripts *s);

#endif
