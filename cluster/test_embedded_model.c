/*
 * The embedded engine beside a naive model: random calls of all kinds on few keys, each answer
 * compared. Seeds are fixed; a failure names its seed and step.
 */
#include "shared_embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract_own.h"

#define SEEDS    20
#define STEPS    4000
#define KEYS     5
#define OWNERS   3
#define CHANNELS 3
#define RECORDS  64 /* more than any `max` below */
#define LIFE_MS  50

enum kind { NOTHING, VALUE, FENCE, LEASE, LOG };

struct record {
    uint64_t id;
    size_t len; /* its bytes are all 'r' */
};

/* What the model believes of one key. */
struct thing {
    enum kind kind;
    int64_t expires_ms;
    char bytes[16];
    size_t len;
    uint64_t number; /* of FENCE and LEASE */
    unsigned owner;
    bool waits[CHANNELS];
    struct record records[RECORDS];
    size_t count;
    uint64_t last_id;
    bool dropped;
};

struct model {
    struct world *w;
    uint64_t random;
    struct thing things[KEYS];
    struct hearer hearers[CHANNELS];
    int hints[CHANNELS];
};

struct expected {
    enum shared_result result;
    uint64_t number;
    uint32_t left_ms;
};

static unsigned draw(struct model *m, unsigned below)
{
    m->random = m->random * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(m->random >> 33) % below;
}

static struct weir_span key_of(unsigned i)
{
    static const char *const keys[KEYS] = {"{m}0", "{m}1", "{m}2", "{m}3", "{m}4"};

    return weir_span_str(keys[i]);
}

static struct weir_span owner_of(unsigned i)
{
    static const char *const owners[OWNERS] = {"one", "two", "three"};

    return weir_span_str(owners[i]);
}

static struct weir_span channel_of(unsigned i)
{
    static const char *const channels[CHANNELS] = {"{m}a", "{m}b", "{m}c"};

    return weir_span_str(channels[i]);
}

static int64_t now_ms(const struct model *m)
{
    return m->w->clock.mono_ms;
}

static struct thing *thing_at(struct model *m, unsigned i)
{
    struct thing *t = &m->things[i];

    if (t->kind != NOTHING && t->expires_ms <= now_ms(m))
        memset(t, 0, sizeof(*t));
    return t;
}

static void start(struct model *m, struct asked *a)
{
    asked_init(a, m->w, SHARED_STATE);
}

static struct shared_port *any_port(struct model *m)
{
    return m->w->ports[draw(m, 2)];
}

static void check(struct asked *a, struct expected e)
{
    asked_await(a);
    assert_string_equal(shared_result_text(a->call.result), shared_result_text(e.result));
    assert_true(a->call.number == e.number);
    assert_int_equal(a->call.left_ms, e.left_ms);
}

/* ---- values ---- */

static void step_get(struct model *m)
{
    unsigned k = draw(m, KEYS);
    struct thing *t = thing_at(m, k);
    struct asked a;

    start(m, &a);
    shared_get(any_port(m), &a.call, key_of(k));
    check(&a, (struct expected){.result = t->kind == NOTHING ? SHARED_NONE
                                          : t->kind == VALUE ? SHARED_OK
                                                             : SHARED_BAD});
    if (t->kind == VALUE) {
        assert_int_equal(a.call.value.len, t->len);
        assert_memory_equal(weir_slice_ptr(a.call.value), t->bytes, t->len);
    }
    asked_clear(&a);
}

static void model_put(struct model *m, struct thing *t, const char *bytes, size_t len)
{
    memset(t, 0, sizeof(*t));
    t->kind = VALUE;
    t->expires_ms = now_ms(m) + LIFE_MS;
    memcpy(t->bytes, bytes, len);
    t->len = len;
}

static void step_put(struct model *m)
{
    unsigned k = draw(m, KEYS), f = (k + 1) % KEYS, how = draw(m, 3), fence = draw(m, 6);
    struct thing *t = thing_at(m, k), *fenced = thing_at(m, f);
    enum shared_result result = SHARED_OK;
    size_t len = draw(m, 16), i;
    struct weir_slice s;
    char bytes[16];
    struct asked a;

    for (i = 0; i < len; i++)
        bytes[i] = (char)('a' + draw(m, 2));
    s = slice_of(weir_span(bytes, len));
    start(m, &a);
    if (how == 0) {
        shared_put(any_port(m), &a.call, key_of(k), &s, 1, LIFE_MS);
    } else if (how == 1) {
        shared_put_new(any_port(m), &a.call, key_of(k), &s, 1, LIFE_MS);
        result = t->kind != NOTHING ? SHARED_REFUSED : SHARED_OK;
    } else {
        shared_put_fenced(any_port(m), &a.call, key_of(k), key_of(f), fence, &s, 1, LIFE_MS);
        result = fenced->kind == FENCE && fenced->number > fence    ? SHARED_REFUSED
                 : fenced->kind == FENCE || fenced->kind == NOTHING ? SHARED_OK
                                                                    : SHARED_BAD;
    }
    weir_blob_unref(s.blob);
    check(&a, (struct expected){.result = result});
    if (result == SHARED_OK)
        model_put(m, t, bytes, len);
}

static void step_touch(struct model *m)
{
    unsigned k = draw(m, KEYS), ttl_ms = 1 + draw(m, 2 * LIFE_MS);
    struct thing *t = thing_at(m, k);
    struct asked a;

    start(m, &a);
    shared_touch(any_port(m), &a.call, key_of(k), ttl_ms);
    check(&a, (struct expected){.result = t->kind != NOTHING ? SHARED_OK : SHARED_NONE});
    if (t->kind != NOTHING && t->expires_ms < now_ms(m) + ttl_ms)
        t->expires_ms = now_ms(m) + ttl_ms;
}

static void step_remove(struct model *m)
{
    unsigned k = draw(m, KEYS);
    struct thing *t = thing_at(m, k);
    struct asked a;

    start(m, &a);
    shared_remove(any_port(m), &a.call, key_of(k));
    check(&a, (struct expected){.result = SHARED_OK, .number = t->kind != NOTHING});
    memset(t, 0, sizeof(*t));
}

static void step_remove_if(struct model *m)
{
    unsigned k = draw(m, KEYS), offset = draw(m, 4);
    struct thing *t = thing_at(m, k);
    char c = (char)('a' + draw(m, 2));
    bool holds = t->kind == VALUE && offset < t->len && t->bytes[offset] == c;
    struct asked a;

    start(m, &a);
    shared_remove_if(any_port(m), &a.call, key_of(k), offset, weir_span(&c, 1));
    check(&a, (struct expected){.result = t->kind == NOTHING ? SHARED_NONE
                                          : t->kind != VALUE ? SHARED_BAD
                                          : holds            ? SHARED_OK
                                                             : SHARED_REFUSED,
                                .number = holds});
    if (holds)
        memset(t, 0, sizeof(*t));
}

/* ---- leases ---- */

static struct shared_lease lease_of(unsigned k, unsigned owner, unsigned channel)
{
    return (struct shared_lease){.key = key_of(k),
                                 .fence_key = key_of((k + 1) % KEYS),
                                 .owner = owner_of(owner),
                                 .channel = channel_of(channel),
                                 .lease_ms = LIFE_MS,
                                 .fence_ttl_ms = 2 * LIFE_MS};
}

static void hold(struct model *m, struct thing *t, struct thing *fence, unsigned owner)
{
    if (t->kind == NOTHING) {
        memset(t, 0, sizeof(*t));
        t->kind = LEASE;
        t->owner = owner;
        t->number = fence->number + 1;
    }
    if (fence->number < t->number)
        fence->number = t->number;
    fence->kind = FENCE;
    fence->expires_ms = now_ms(m) + 2 * LIFE_MS;
    t->expires_ms = now_ms(m) + LIFE_MS;
}

static void step_take(struct model *m)
{
    unsigned k = draw(m, KEYS), owner = draw(m, OWNERS), channel = draw(m, CHANNELS);
    struct thing *t = thing_at(m, k), *fence = thing_at(m, (k + 1) % KEYS);
    struct shared_lease l = lease_of(k, owner, channel);
    struct expected e = {.result = SHARED_BAD};
    struct asked a;

    if (t->kind == LEASE && t->owner != owner) {
        e.result = SHARED_REFUSED;
        e.left_ms = (uint32_t)(t->expires_ms - now_ms(m));
        t->waits[channel] = true;
    } else if ((t->kind == NOTHING || t->kind == LEASE) &&
               (fence->kind == NOTHING || fence->kind == FENCE)) {
        e.result = SHARED_OK;
        hold(m, t, fence, owner);
        e.number = t->number;
    }
    start(m, &a);
    shared_lease_take(any_port(m), &a.call, &l);
    check(&a, e);
}

static unsigned model_wake(struct model *m, struct thing *t)
{
    unsigned woken = 0, i;

    for (i = 0; i < CHANNELS; i++) {
        woken += t->waits[i] ? 1 : 0;
        m->hints[i] += t->waits[i] ? 1 : 0;
        t->waits[i] = false;
    }
    return woken;
}

static void step_hold(struct model *m)
{
    unsigned k = draw(m, KEYS), owner = draw(m, OWNERS), how = draw(m, 3);
    struct thing *t = thing_at(m, k);
    struct shared_lease l = lease_of(k, owner, 0);
    struct expected e = {.result = SHARED_OK};
    struct asked a;

    if (t->kind != LEASE || t->owner != owner)
        e.result = t->kind == NOTHING || t->kind == LEASE ? SHARED_REFUSED : SHARED_BAD;
    else if (how == 0)
        t->expires_ms = now_ms(m) + LIFE_MS;
    else
        e.number = model_wake(m, t);
    start(m, &a);
    if (how == 0)
        shared_lease_renew(any_port(m), &a.call, &l);
    else if (how == 1)
        shared_lease_wake(any_port(m), &a.call, &l, WEIR_SPAN_LIT("woken"));
    else
        shared_lease_release(any_port(m), &a.call, &l, WEIR_SPAN_LIT("released"));
    check(&a, e);
    if (how == 2 && e.result == SHARED_OK)
        memset(t, 0, sizeof(*t));
}

/* ---- logs ---- */

static void model_record(struct model *m, struct thing *t, size_t len)
{
    uint64_t id = (uint64_t)m->w->clock.wall_ms << 20;

    if (t->kind == NOTHING) {
        memset(t, 0, sizeof(*t));
        t->kind = LOG;
        t->expires_ms = INT64_MAX;
        if (len > 0)
            model_record(m, t, 0);
    }
    t->last_id = id > t->last_id ? id : t->last_id + 1;
    t->records[t->count++] = (struct record){t->last_id, len};
}

static void model_trim(struct thing *t, size_t max)
{
    size_t over = t->count > max ? t->count - max : 0;

    t->dropped = t->dropped || over > 0;
    t->count -= over;
    memmove(t->records, t->records + over, t->count * sizeof(t->records[0]));
}

static void step_append(struct model *m)
{
    static const char bytes[] = "rrrrrrrrrrrrrrrr";
    unsigned k = draw(m, KEYS), channel = draw(m, CHANNELS);
    struct thing *t = thing_at(m, k);
    size_t len = 1 + draw(m, 16);
    struct shared_log log = {.key = key_of(k),
                             .channel = channel_of(channel),
                             .max = 1 + draw(m, RECORDS - 2)};
    struct expected e = {.result = SHARED_BAD};
    struct asked a;

    if (t->kind == NOTHING || t->kind == LOG) {
        model_record(m, t, len);
        model_trim(t, log.max);
        e = (struct expected){.result = SHARED_OK, .number = t->last_id};
        m->hints[channel]++;
    }
    start(m, &a);
    shared_log_append(any_port(m), &a.call, &log, weir_span(bytes, len));
    check(&a, e);
}

static void step_open(struct model *m)
{
    unsigned k = draw(m, KEYS);
    struct thing *t = thing_at(m, k);
    struct shared_log log = {.key = key_of(k), .channel = channel_of(0), .max = 10};
    struct expected e = {.result = SHARED_BAD};
    struct asked a;

    if (t->kind == NOTHING)
        model_record(m, t, 0);
    if (t->kind == LOG)
        e = (struct expected){.result = SHARED_OK, .number = t->last_id};
    start(m, &a);
    shared_log_open(any_port(m), &a.call, &log);
    check(&a, e);
}

static void check_entries(const struct asked *a, const struct thing *t, uint64_t after, size_t max)
{
    size_t from = 0, i;

    while (from < t->count && t->records[from].id <= after)
        from++;
    assert_int_equal(a->call.entry_count, t->count - from < max ? t->count - from : max);
    for (i = 0; i < a->call.entry_count; i++) {
        assert_true(a->call.entries[i].id == t->records[from + i].id);
        assert_int_equal(a->call.entries[i].bytes.len, t->records[from + i].len);
    }
    assert_true(a->call.log_last == t->last_id);
    assert_true(a->call.log_first == (t->dropped ? t->records[0].id : 0));
}

static void step_read(struct model *m)
{
    unsigned k = draw(m, KEYS), at = draw(m, RECORDS);
    struct thing *t = thing_at(m, k);
    struct shared_log log = {.key = key_of(k), .channel = channel_of(0), .max = 10};
    uint64_t after = t->kind == LOG && at < t->count ? t->records[at].id - at % 2 : 0;
    size_t max = 1 + draw(m, 2 * RECORDS);
    struct asked a;

    start(m, &a);
    shared_log_read(any_port(m), &a.call, &log, after, max);
    check(&a, (struct expected){.result = t->kind == NOTHING ? SHARED_NONE
                                          : t->kind == LOG   ? SHARED_OK
                                                             : SHARED_BAD});
    if (t->kind == LOG)
        check_entries(&a, t, after, max);
    asked_clear(&a);
}

/* ---- the run ---- */

static void step_time(struct model *m)
{
    pass(m->w, draw(m, LIFE_MS / 2));
}

static void (*const steps[])(struct model *m) = {
    step_get,       step_put,    step_put,  step_touch, step_remove,
    step_remove_if, step_take,   step_take, step_hold,  step_append,
    step_append,    step_append, step_open, step_read,  step_time,
};

static void check_hints(struct model *m)
{
    int i;

    for (i = 0; i < CHANNELS; i++) {
        await(m->w, &m->hearers[i].hints, m->hints[i]);
        assert_int_equal(m->hearers[i].hints, m->hints[i]);
        assert_int_equal(m->hearers[i].gaps, 1);
    }
}

static void run_seed(struct world *w, unsigned seed)
{
    struct model *m = calloc(1, sizeof(*m));
    unsigned i;

    m->w = w;
    m->random = seed;
    for (i = 0; i < KEYS; i++)
        remove_key(w, key_of(i));
    for (i = 0; i < CHANNELS; i++) {
        hearer_init(&m->hearers[i], w);
        hearer_listen(&m->hearers[i], PORT_B, channel_of(i));
    }
    for (i = 0; i < STEPS; i++) {
        steps[draw(m, sizeof(steps) / sizeof(steps[0]))](m);
        if (i % 64 == 0)
            check_hints(m);
    }
    check_hints(m);
    for (i = 0; i < CHANNELS; i++)
        shared_unlisten(w->ports[PORT_B], &m->hearers[i].listener);
    free(m);
}

static void random_calls_are_answered_as_the_model_says(void **state)
{
    struct world *w = *state;
    unsigned seed;

    for (seed = 1; seed <= SEEDS; seed++)
        run_seed(w, seed);
}

static struct weir_shared *open_embedded(void *arg)
{
    struct weir_err err;

    return shared_embedded_new(arg, &err);
}

int main(void)
{
    static const struct contract_engine embedded = {.name = "embedded",
                                                    .open = open_embedded,
                                                    .simulated = true};
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(random_calls_are_answered_as_the_model_says),
    };
    const struct contract_table table = {tests, 1};

    return contract_run_table(&embedded, "beside a model", &table);
}
