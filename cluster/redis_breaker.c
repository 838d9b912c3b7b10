#include "redis_breaker.h"

#include <string.h>

#define RAMP_FIRST_PERMILLE 50

static uint32_t or_default(uint32_t value, uint32_t preset)
{
    return value != 0 ? value : preset;
}

void redis_breaker_init(struct redis_breaker *b, const struct redis_breaker_settings *settings,
                        uint64_t seed, int64_t now_ms)
{
    const struct redis_breaker_settings none = {0};
    const struct redis_breaker_settings *s = settings != NULL ? settings : &none;

    memset(b, 0, sizeof(*b));
    b->settings = (struct redis_breaker_settings){
        .in_a_row = or_default(s->in_a_row, 5),
        .least = or_default(s->least, 20),
        .percent = or_default(s->percent, 50),
        .window_ms = or_default(s->window_ms, 1000),
        .first_ms = or_default(s->first_ms, 500),
        .most_ms = or_default(s->most_ms, 10000),
        .ramp_ms = or_default(s->ramp_ms, 10000),
        .reset_ms = or_default(s->reset_ms, 10000),
        .ramp = s->ramp,
    };
    b->since_ms = b->bucket_ms = now_ms;
    b->random = seed != 0 ? seed : 0x9e3779b97f4a7c15u;
}

static uint32_t random_below(struct redis_breaker *b, uint32_t limit)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return (uint32_t)((b->random >> 32) % limit);
}

static void enter(struct redis_breaker *b, enum redis_breaker_state state, int64_t now_ms)
{
    b->state = state;
    b->since_ms = now_ms;
}

static void forget_window(struct redis_breaker *b, int64_t now_ms)
{
    memset(b->window, 0, sizeof(b->window));
    b->at = 0;
    b->bucket_ms = now_ms;
    b->run = 0;
}

/* The wait before the next test: doubled by each opening, plus or minus a quarter, so that a
 * hundred nodes that lost the same Redis do not come back together. */
static int64_t next_wait(struct redis_breaker *b)
{
    uint64_t wait = b->settings.first_ms;

    for (uint32_t i = 1; i < b->openings && wait < b->settings.most_ms; i++)
        wait *= 2;
    if (wait > b->settings.most_ms || b->why == REDIS_OUTCOME_CONFIG)
        wait = b->settings.most_ms; /* nobody repairs a password within milliseconds */
    return (int64_t)(wait * 3 / 4 + random_below(b, (uint32_t)(wait / 2 + 1)));
}

static void open_it(struct redis_breaker *b, enum redis_outcome why, int64_t now_ms)
{
    b->why = why;
    b->opened++;
    b->openings++;
    enter(b, REDIS_BREAKER_OPEN, now_ms);
    b->probe_ms = now_ms + next_wait(b);
}

/* RAMPING ends by itself, and so does the memory of earlier openings. */
static void settle(struct redis_breaker *b, int64_t now_ms)
{
    if (b->state == REDIS_BREAKER_RAMPING && now_ms - b->since_ms >= b->settings.ramp_ms)
        enter(b, REDIS_BREAKER_CLOSED, now_ms);
    if (b->state == REDIS_BREAKER_CLOSED && b->openings > 0 &&
        now_ms - b->since_ms >= b->settings.reset_ms)
        b->openings = 0;
}

static uint32_t permille_admitted(const struct redis_breaker *b, int64_t now_ms)
{
    int64_t passed = now_ms > b->since_ms ? now_ms - b->since_ms : 0;

    return (uint32_t)(RAMP_FIRST_PERMILLE +
                      passed * (1000 - RAMP_FIRST_PERMILLE) / b->settings.ramp_ms);
}

bool redis_breaker_admits(struct redis_breaker *b, int64_t now_ms)
{
    bool admitted;

    settle(b, now_ms);
    if (b->state == REDIS_BREAKER_CLOSED)
        return true;
    admitted =
        b->state == REDIS_BREAKER_RAMPING && random_below(b, 1000) < permille_admitted(b, now_ms);
    if (!admitted)
        b->refused++;
    return admitted;
}

bool redis_breaker_open(const struct redis_breaker *b)
{
    return b->state == REDIS_BREAKER_OPEN || b->state == REDIS_BREAKER_PROBING;
}

/* Moves the window on to now: buckets that fell out of it are emptied. */
static void turn_window(struct redis_breaker *b, int64_t now_ms)
{
    int64_t width = b->settings.window_ms / REDIS_BREAKER_BUCKETS + 1;

    for (int i = 0; i < REDIS_BREAKER_BUCKETS && now_ms - b->bucket_ms >= width; i++) {
        b->at = (b->at + 1) % REDIS_BREAKER_BUCKETS;
        b->window[b->at].calls = b->window[b->at].failures = 0;
        b->bucket_ms += width;
    }
    if (now_ms - b->bucket_ms >= width)
        b->bucket_ms = now_ms; /* idle for longer than the window: all of it is empty now */
}

static bool too_many_failed(const struct redis_breaker *b)
{
    uint64_t calls = 0;
    uint64_t failures = 0;

    for (int i = 0; i < REDIS_BREAKER_BUCKETS; i++) {
        calls += b->window[i].calls;
        failures += b->window[i].failures;
    }
    return calls >= b->settings.least && failures * 100 >= calls * b->settings.percent;
}

bool redis_breaker_note(struct redis_breaker *b, enum redis_outcome outcome, int64_t now_ms)
{
    bool failed = outcome != REDIS_OUTCOME_OK;

    settle(b, now_ms);
    if (redis_breaker_open(b))
        return false;
    turn_window(b, now_ms);
    b->window[b->at].calls++;
    b->window[b->at].failures += failed;
    b->run = failed ? b->run + 1 : 0;
    if (!failed)
        return false;
    if (outcome != REDIS_OUTCOME_CONFIG && b->run < b->settings.in_a_row && !too_many_failed(b))
        return false;
    open_it(b, outcome, now_ms);
    return true;
}

bool redis_breaker_probe_due(struct redis_breaker *b, int64_t now_ms)
{
    if (b->state != REDIS_BREAKER_OPEN || now_ms < b->probe_ms)
        return false;
    enter(b, REDIS_BREAKER_PROBING, now_ms);
    return true;
}

void redis_breaker_probed(struct redis_breaker *b, enum redis_outcome why, int64_t now_ms)
{
    if (b->state != REDIS_BREAKER_PROBING)
        return;
    if (why != REDIS_OUTCOME_OK) {
        open_it(b, why, now_ms);
        return;
    }
    forget_window(b, now_ms);
    enter(b, b->settings.ramp ? REDIS_BREAKER_RAMPING : REDIS_BREAKER_CLOSED, now_ms);
}

const char *redis_breaker_state_name(enum redis_breaker_state s)
{
    switch (s) {
    case REDIS_BREAKER_CLOSED:
        return "closed";
    case REDIS_BREAKER_OPEN:
        return "open";
    case REDIS_BREAKER_PROBING:
        return "probing";
    case REDIS_BREAKER_RAMPING:
        return "ramping";
    }
    return "unknown";
}

const char *redis_outcome_name(enum redis_outcome o)
{
    switch (o) {
    case REDIS_OUTCOME_OK:
        return "ok";
    case REDIS_OUTCOME_TIMEOUT:
        return "timeout";
    case REDIS_OUTCOME_REFUSED:
        return "refused";
    case REDIS_OUTCOME_DOWN:
        return "down";
    case REDIS_OUTCOME_CONFIG:
        return "config";
    }
    return "unknown";
}
