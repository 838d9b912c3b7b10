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
}
