#include "redis_scripts.h"

static const char put_fenced[] =
    "local newest = tonumber(redis.call('GET', KEYS[2]) or 0)\n"
    "if newest == nil then return redis.error_reply('ERR fence is not a number') end\n"
    "if newest > tonumber(ARGV[1]) then return 0 end\n"
    "redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])\n"
    "return 1\n";

/* GETRANGE takes an end of -1 for the last byte: no bytes at all are compared here. */
static const char remove_if[] =
    "local from, want = tonumber(ARGV[1]), ARGV[2]\n"
    "local len = redis.call('STRLEN', KEYS[1])\n"
    "if len == 0 and redis.call('EXISTS', KEYS[1]) == 0 then return -1 end\n"
    "if from + #want > len then return 0 end\n"
    "if #want > 0 and\n"
    "   redis.call('GETRANGE', KEYS[1], from, from + #want - 1) ~= want then return 0 end\n"
    "redis.call('UNLINK', KEYS[1])\n"
    "return 1\n";

static const char touch[] = "if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end\n"
                            "redis.call('PEXPIRE', KEYS[1], ARGV[1], 'GT')\n"
                            "return 1\n";

/* A lease without a time to live is nobody's (only a stranger can have left it): taken over. The
 * number of waiters is bounded; those beyond ask again when it ends. */
static const char lease_take[] = "local owner = redis.call('HGET', KEYS[1], 'o')\n"
                                 "local left = owner and redis.call('PTTL', KEYS[1]) or -2\n"
                                 "if left > 0 and owner ~= ARGV[1] then\n"
                                 "  if ARGV[2] ~= '' and redis.call('HLEN', KEYS[1]) < 1026 then\n"
                                 "    redis.call('HSET', KEYS[1], 'w:' .. ARGV[2], '')\n"
                                 "  end\n"
                                 "  return {0, left}\n"
                                 "end\n"
                                 "local fence\n"
                                 "if left > 0 then\n"
                                 "  fence = tonumber(redis.call('HGET', KEYS[1], 'f'))\n"
                                 "else\n"
                                 "  fence = redis.call('INCR', KEYS[2])\n"
                                 "  redis.call('DEL', KEYS[1])\n"
                                 "  redis.call('HSET', KEYS[1], 'o', ARGV[1], 'f', fence)\n"
                                 "end\n"
                                 "redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
                                 "redis.call('PEXPIRE', KEYS[2], ARGV[4])\n"
                                 "return {1, fence}\n";

/* The count of fences must outlive the lease, or the next holder would begin at 1 again: put back
 * where it was evicted, and never left to end before the lease. */
static const char lease_renew[] =
    "if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] then return 0 end\n"
    "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
    "redis.call('SET', KEYS[2], redis.call('HGET', KEYS[1], 'f'), 'PX', ARGV[3], 'NX')\n"
    "redis.call('PEXPIRE', KEYS[2], ARGV[2], 'GT')\n"
    "return 1\n";

static const char lease_wake[] =
    "if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] then return 0 end\n"
    "local waiters = {}\n"
    "for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do\n"
    "  if string.sub(field, 1, 2) == 'w:' then\n"
    "    waiters[#waiters + 1] = string.sub(field, 3)\n"
    "    redis.call('HDEL', KEYS[1], field)\n"
    "  end\n"
    "end\n"
    "if ARGV[2] == '1' then redis.call('DEL', KEYS[1]) end\n"
    "return waiters\n";

/*
 * The next id: of this millisecond, or the next number after the last one, or after the one that
 * the caller knows of (a failover may have lost it). When the server's clock is set back the
 * millisecond stays and numbers count on: before one leaves its 20 bits the id goes to the next
 * millisecond. The hint is the id packed as (ms << 20 | seq), 61 bits, which a double does not
 * hold: computed in two halves. A channel that may not be published to is no reason to call the
 * append a failure, hence pcall.
 */
static const char log_append[] =
    "if redis.call('EXISTS', KEYS[1]) == 0 then\n"
    "  redis.call('XADD', KEYS[1], '*', 'b', '')\n"
    "end\n"
    "local info = redis.call('XINFO', 'STREAM', KEYS[1])\n"
    "local last\n"
    "for i = 1, #info, 2 do\n"
    "  if info[i] == 'last-generated-id' then last = info[i + 1] end\n"
    "end\n"
    "local function halves(id)\n"
    "  local ms, seq = string.match(id, '^(%d+)-(%d+)$')\n"
    "  return tonumber(ms), tonumber(seq)\n"
    "end\n"
    "local ms, seq = halves(last)\n"
    "local above_ms, above_seq = halves(ARGV[5])\n"
    "if above_ms > ms or (above_ms == ms and above_seq > seq) then\n"
    "  ms, seq = above_ms, above_seq\n"
    "end\n"
    "local time = redis.call('TIME')\n"
    "local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n"
    "if now > ms then\n"
    "  ms, seq = now, 0\n"
    "elseif seq >= 1048575 then\n"
    "  ms, seq = ms + 1, 0\n"
    "else\n"
    "  seq = seq + 1\n"
    "end\n"
    "local id = string.format('%.0f-%.0f', ms, seq)\n"
    "redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[1], ARGV[2], id, 'b', ARGV[3])\n"
    "if ARGV[4] ~= '' then\n"
    "  local low = ms % 1000000 * 1048576 + seq\n"
    "  local high = math.floor(ms / 1000000) * 1048576 + math.floor(low / 1000000)\n"
    "  redis.pcall('SPUBLISH', ARGV[4], string.format('%.0f%06.0f', high, low % 1000000))\n"
    "end\n"
    "return id\n";

static const char log_open[] = "if redis.call('EXISTS', KEYS[1]) == 0 then\n"
                               "  return redis.call('XADD', KEYS[1], '*', 'b', '')\n"
                               "end\n"
                               "local info = redis.call('XINFO', 'STREAM', KEYS[1])\n"
                               "for i = 1, #info, 2 do\n"
                               "  if info[i] == 'last-generated-id' then return info[i + 1] end\n"
                               "end\n";

/* entries-added counts for ever: more than there are now means that some were dropped. A record of
 * a stranger, without the field b, reads as an empty one. */
static const char log_read[] =
    "if redis.call('EXISTS', KEYS[1]) == 0 then return false end\n"
    "local info, at = redis.call('XINFO', 'STREAM', KEYS[1]), {}\n"
    "for i = 1, #info, 2 do at[info[i]] = info[i + 1] end\n"
    "local last, first = at['last-generated-id'], '0-0'\n"
    "if at['entries-added'] > at['length'] then\n"
    "  first = at['first-entry'] and at['first-entry'][1] or last\n"
    "end\n"
    "local answer = {last, first}\n"
    "local rows = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])\n"
    "for _, row in ipairs(rows) do\n"
    "  answer[#answer + 1] = row[1]\n"
    "  answer[#answer + 1] = row[2][1] == 'b' and row[2][2] or ''\n"
    "end\n"
    "return answer\n";

/* ---- boards ---- */

#define BOARD_NOW                                                                                  \
    "local board, ends = KEYS[1], KEYS[2]\n"                                                       \
    "local time = redis.call('TIME')\n"                                                            \
    "local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n"                \
    "local sum = redis.call('HGET', board, '')\n"                                                  \
    "if not sum and redis.call('EXISTS', board) == 1 then\n"                                       \
    "  return redis.error_reply('ERR not a board')\n"                                              \
    "end\n"

/* The board lives as long as the entry that ends last. A channel that may not be published to is no
 * reason to call it a failure (as for log_append). */
#define BOARD_END                                                                                  \
    "local last = redis.call('ZRANGE', ends, -1, -1, 'WITHSCORES')[2]\n"                           \
    "for _, key in ipairs(KEYS) do\n"                                                              \
    "  if not last then redis.call('DEL', key)\n"                                                  \
    "  elseif last == 'inf' then redis.call('PERSIST', key)\n"                                     \
    "  else redis.call('PEXPIREAT', key, string.format('%.0f', tonumber(last))) end\n"             \
    "end\n"                                                                                        \
    "if ARGV[2] ~= '' then redis.pcall('SPUBLISH', ARGV[1], ARGV[2]) end\n"                        \
    "return now\n"

/*
 * All or nothing: what there will be is known before anything is written, and the first command
 * that writes is one that a Redis without room refuses (OOM). The sum of bytes may have come to be
 * too high (see board_remove); before a board is called full by it, it is counted. Where one of the
 * two keys was evicted the board begins anew.
 */
static const char board_put[] = BOARD_NOW
    "local ended, count = {}, 0\n"
    "if sum and redis.call('ZCARD', ends) > 0 then\n"
    "  ended = redis.call('ZRANGEBYSCORE', ends, '-inf', now)\n"
    "  count = redis.call('ZCARD', ends) - #ended\n"
    "else\n"
    "  redis.call('DEL', board, ends)\n"
    "end\n"
    "local gone, posts, more = {}, {}, 0\n"
    "for _, id in ipairs(ended) do\n"
    "  gone[id] = true\n"
    "  more = more - redis.call('HSTRLEN', board, id)\n"
    "end\n"
    "for i = 5, #ARGV, 4 do\n"
    "  local id, ttl = ARGV[i], tonumber(ARGV[i + 2])\n"
    "  local old = redis.call('HSTRLEN', board, id)\n"
    "  local absent = old == 0 or gone[id]\n"
    "  if absent or ARGV[i + 3] == '0' then\n"
    "    local stop = ttl > 0 and now + ttl or 0\n"
    "    local bytes = string.format('%.0f %.0f ', now, stop) .. ARGV[i + 1]\n"
    "    more = more + #bytes - (gone[id] and 0 or old)\n"
    "    count = count + (absent and 1 or 0)\n"
    "    posts[#posts + 1] = {id, bytes, ttl > 0 and string.format('%.0f', stop) or '+inf'}\n"
    "  end\n"
    "end\n"
    "local most = tonumber(ARGV[4])\n"
    "sum = tonumber(redis.call('HGET', board, '') or 0)\n"
    "if sum + more > most then\n"
    "  sum = 0\n"
    "  for _, id in ipairs(redis.call('ZRANGE', ends, 0, -1)) do\n"
    "    sum = sum + redis.call('HSTRLEN', board, id)\n"
    "  end\n"
    "end\n"
    "if count > tonumber(ARGV[3]) or sum + more > most then return 0 end\n"
    "redis.call('HSET', board, '', string.format('%.0f', sum + more))\n"
    "for _, id in ipairs(ended) do\n"
    "  redis.call('HDEL', board, id)\n"
    "  redis.call('ZREM', ends, id)\n"
    "end\n"
    "for _, post in ipairs(posts) do\n"
    "  redis.call('HSET', board, post[1], post[2])\n"
    "  redis.call('ZADD', ends, post[3], post[1])\n"
    "end\n" BOARD_END;

/* A Redis without room takes no new sum, and that must not keep anybody from leaving. */
static const char board_remove[] = BOARD_NOW
    "redis.call('ZCARD', ends)\n" /* an error, if it is of another type: before the first write */
    "for i = 3, #ARGV do\n"
    "  sum = (sum or 0) - redis.call('HSTRLEN', board, ARGV[i])\n"
    "  redis.call('HDEL', board, ARGV[i])\n"
    "  redis.call('ZREM', ends, ARGV[i])\n"
    "end\n"
    "redis.pcall('HSET', board, '', string.format('%.0f', sum))\n" BOARD_END;

static const char board_read[] =
    "local time = redis.call('TIME')\n"
    "local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n"
    "if redis.call('EXISTS', KEYS[1]) == 0 then return {now, {}} end\n"
    "if not redis.call('HGET', KEYS[1], '') then return redis.error_reply('ERR not a board') end\n"
    "return {now, redis.call('HGETALL', KEYS[1])}\n";

/*
 * base/gcra.c in whole numbers below 2^53, which doubles count exactly: the theoretical arrival
 * time is `at` and a debt of `owed` intervals and a `part` of one (what is left over of another
 * interval counts as a whole one).
 */
static const char tokens_take[] =
    "local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
    "local time = redis.call('TIME')\n"
    "local now = tonumber(time[1]) * 1000000 + tonumber(time[2])\n"
    "local at, owed, part = now, 0, 0\n"
    "local state = redis.call('GET', KEYS[1])\n"
    "if state then\n"
    "  at, owed, part = string.match(state, '^(%d+) (%d+) (%d+)$')\n"
    "  if not at or #state > 48 then return redis.error_reply('ERR not a rate') end\n"
    "  at, owed, part = tonumber(at), tonumber(owed), tonumber(part)\n"
    "end\n"
    "if part >= interval then owed, part = owed + 1, 0 end\n"
    "local gone = math.abs(now - at)\n"
    "local tokens = math.floor(gone / interval)\n"
    "local rest = gone - tokens * interval\n"
    "if now < at then\n" /* the clock went back: more is owed, but see below */
    "  owed, part = owed + tokens, part + rest\n"
    "  if part >= interval then owed, part = owed + 1, part - interval end\n"
    "else\n"
    "  if part < rest then tokens, part = tokens + 1, part + interval end\n"
    "  if tokens > owed then owed, part = 0, 0 else owed, part = owed - tokens, part - rest end\n"
    "end\n"
    "if owed >= burst then owed, part = burst, 0 end\n"
    "local free = burst - owed - (part > 0 and 1 or 0)\n"
    "local taken = math.min(tonumber(ARGV[3]), free)\n"
    "local wait = 0\n"
    "if free == 0 then wait = math.ceil((part > 0 and part or interval) / 1000) end\n"
    "owed = owed + taken\n"
    "if taken > 0 or now < at then\n"
    "  local life = math.floor((owed * interval + part) / 1000) + 1\n"
    "  redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f', now, owed, part),\n"
    "             'PX', string.format('%.0f', life))\n"
    "end\n"
    "return {taken, free - taken, wait}\n";

void redis_scripts_init(struct redis_scripts *s)
{
    redis_script_init(&s->put_fenced, put_fenced);
    redis_script_init(&s->remove_if, remove_if);
    redis_script_init(&s->touch, touch);
    redis_script_init(&s->lease_take, lease_take);
    redis_script_init(&s->lease_renew, lease_renew);
    redis_script_init(&s->lease_wake, lease_wake);
    redis_script_init(&s->log_append, log_append);
    redis_script_init(&s->log_open, log_open);
    redis_script_init(&s->log_read, log_read);
    redis_script_init(&s->board_put, board_put);
    redis_script_init(&s->board_remove, board_remove);
    redis_script_init(&s->board_read, board_read);
    redis_script_init(&s->tokens_take, tokens_take);
}
