#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weir/alloc.h"

#include "stored.h"
#include "tier.h"

static struct weir_hash_secret secret;

static int fill_secret(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(secret.bytes); i++)
        secret.bytes[i] = (unsigned char)(i * 151 + 17); /* the same run each time */
    return 0;
}

static struct weir_hash128 hash_of(const char *key)
{
    return weir_hash128(&secret, key, strlen(key));
}

static struct stored_draft draft_of(const char *key, const char *variant)
{
    return (struct stored_draft){
        .hash = hash_of(key),
        .key = weir_span_str(key),
        .vary = weir_span_str(variant[0] != '\0' ? "v" : ""),
        .variant = weir_span_str(variant),
        .status = 200,
        .head = WEIR_SPAN_LIT("HTTP/1.1 200 OK\r\n"),
    };
}

/* A response with a body of `size` bytes, all zero. NULL without memory. */
static struct stored_response *response(const char *key, const char *variant, size_t size)
{
    struct stored_draft d = draft_of(key, variant);
    struct weir_slice body = {weir_blob_new(size), 0, (uint32_t)size};
    struct stored_response *r = NULL;

    if (body.blob != NULL) {
        memset(body.blob->bytes, 0, size);
        body.blob->len = (uint32_t)size;
        d.slices = &body;
        d.slice_count = 1;
        r = stored_response_new(&d, NULL);
    }
    weir_blob_unref(body.blob);
    return r;
}

/* The same, with forms. */
static struct stored_response *recodable(const char *key, size_t size)
{
    struct stored_draft d = draft_of(key, "");
    struct weir_slice body = {weir_blob_new(size), 0, (uint32_t)size};
    struct stored_response *r;

    assert_non_null(body.blob);
    memset(body.blob->bytes, 0, size);
    body.blob->len = (uint32_t)size;
    d.slices = &body;
    d.slice_count = 1;
    d.recodable = true;
    r = stored_response_new(&d, NULL);
    assert_non_null(r);
    weir_blob_unref(body.blob);
    return r;
}

static struct stored_form *form(enum coding c, size_t size)
{
    struct weir_slice body = {weir_blob_new(size), 0, (uint32_t)size};
    struct stored_form *f;

    assert_non_null(body.blob);
    memset(body.blob->bytes, 1, size);
    body.blob->len = (uint32_t)size;
    f = stored_form_new(c, &body, 1, NULL);
    assert_non_null(f);
    weir_blob_unref(body.blob);
    return f;
}

static struct tier *tier_of(size_t memory, unsigned shards)
{
    struct tier *t =
        tier_new(&(struct tier_options){.memory_bytes = memory, .shards = shards}, NULL);

    assert_non_null(t);
    return t;
}

/* Puts and keeps no reference; what the response cost, or 0 if it was refused. */
static size_t put(struct tier *t, const char *key, const char *variant, size_t size)
{
    struct stored_response *r = response(key, variant, size);
    size_t cost;

    assert_non_null(r);
    cost = tier_put(t, r) ? r->cost_bytes : 0;
    stored_response_unref(r);
    return cost;
}

static bool variant_is(const struct stored_response *r, void *arg)
{
    return weir_span_eq(r->variant, weir_span_str(arg));
}

static struct stored_response *find(struct tier *t, const char *key, const char *variant)
{
    char want[32];

    snprintf(want, sizeof(want), "%s", variant);
    return tier_find(t, hash_of(key), weir_span_str(key), variant_is, want, NULL);
}

static bool holds(struct tier *t, const char *key, const char *variant)
{
    struct stored_response *r = find(t, key, variant);

    stored_response_unref(r);
    return r != NULL;
}

static struct tier_stats stats(struct tier *t)
{
    struct tier_stats s;

    tier_stats(t, &s);
    return s;
}

/* ---- look-up ---- */

static void what_was_put_is_found_with_a_reference(void **state)
{
    struct tier *t = tier_of(1 << 20, 4);
    struct stored_response *r = response("a", "", 100), *found;

    (void)state;
    assert_true(tier_put(t, r));
    found = find(t, "a", "");
    assert_ptr_equal(found, r);
    assert_int_equal(atomic_load(&r->refs), 3);
    stored_response_unref(found);
    stored_response_unref(r);
    assert_int_equal(stats(t).hits, 1);
    assert_null(find(t, "b", ""));
    assert_int_equal(stats(t).misses, 1);
    tier_free(t);
}

static void equal_hashes_of_different_keys_are_not_confused(void **state)
{
    struct tier *t = tier_of(1 << 20, 4);
    struct stored_draft d = draft_of("a", "");
    struct stored_response *r = stored_response_new(&d, NULL);

    (void)state;
    assert_true(tier_put(t, r));
    assert_null(tier_find(t, hash_of("a"), weir_span_str("b"), NULL, NULL, NULL));
    assert_int_equal(tier_remove(t, hash_of("a"), weir_span_str("b")), 0);
    stored_response_unref(r);
    tier_free(t);
}

static void a_vary_miss_is_told_from_a_uri_miss(void **state)
{
    struct tier *t = tier_of(1 << 20, 4);
    char french[] = "fr";
    unsigned seen = 99;

    (void)state;
    assert_null(tier_find(t, hash_of("a"), weir_span_str("a"), NULL, NULL, &seen));
    assert_int_equal(seen, 0);
    put(t, "a", "de", 10);
    put(t, "a", "en", 10);
    assert_null(tier_find(t, hash_of("a"), weir_span_str("a"), variant_is, french, &seen));
    assert_int_equal(seen, 2);
    tier_free(t);
}

static bool anything(const struct stored_response *r, void *arg)
{
    (void)r;
    (void)arg;
    return true;
}

static void the_newest_that_matches_wins(void **state)
{
    struct tier *t = tier_of(1 << 20, 4);
    struct stored_response *r;

    (void)state;
    put(t, "a", "de", 10);
    put(t, "a", "en", 10);
    r = tier_find(t, hash_of("a"), weir_span_str("a"), anything, NULL, NULL);
    assert_true(weir_span_eq(r->variant, weir_span_str("en")));
    stored_response_unref(r);
    put(t, "a", "de", 20); /* replaced: newest now */
    r = tier_find(t, hash_of("a"), weir_span_str("a"), anything, NULL, NULL);
    assert_true(weir_span_eq(r->variant, weir_span_str("de")));
    assert_int_equal(r->body_len, 20);
    stored_response_unref(r);
    assert_int_equal(stats(t).responses, 2);
    tier_free(t);
}

static void the_oldest_variant_goes_when_there_are_too_many(void **state)
{
    struct tier *t =
        tier_new(&(struct tier_options){.memory_bytes = 1 << 20, .variants = 3, .shards = 1}, NULL);

    (void)state;
    put(t, "a", "1", 10);
    put(t, "a", "2", 10);
    put(t, "a", "3", 10);
    put(t, "a", "2", 10); /* replaces: still three, and 1 is the oldest */
    put(t, "a", "4", 10);
    assert_false(holds(t, "a", "1"));
    assert_true(holds(t, "a", "2"));
    assert_true(holds(t, "a", "3"));
    assert_true(holds(t, "a", "4"));
    put(t, "a", "5", 10);
    assert_false(holds(t, "a", "3"));
    assert_int_equal(stats(t).evictions, 0);
    tier_free(t);
}

static void a_marker_is_found_replaces_and_is_replaced(void **state)
{
    struct tier *t = tier_of(1 << 20, 1);
    struct stored_draft d = draft_of("a", "");
    struct stored_response *marker = stored_marker_new(&d, 5, NULL), *r;
    unsigned seen;

    (void)state;
    put(t, "a", "", 10);
    assert_true(tier_put(t, marker));
    r = tier_find(t, hash_of("a"), weir_span_str("a"), anything, NULL, &seen);
    assert_ptr_equal(r, marker);
    assert_int_equal(seen, 0); /* nothing is stored: not a vary-miss */
    assert_int_equal(stats(t).responses, 1);
    stored_response_unref(r);
    put(t, "a", "", 10);
    r = find(t, "a", "");
    assert_int_equal(r->kind, STORED_RESPONSE);
    assert_int_equal(stats(t).responses, 1);
    stored_response_unref(r);
    stored_response_unref(marker);
    tier_free(t);
}

static void a_key_is_listed_whole_without_counting_as_a_use(void **state)
{
    struct tier *t = tier_of(1 << 20, 4);
    struct stored_draft d = draft_of("a", "m");
    struct stored_response *marker = stored_marker_new(&d, 1000, NULL);
    struct tier_seen seen[3];
    size_t n;

    (void)state;
    put(t, "a", "x", 10);
    stored_response_unref(find(t, "a", "x"));
    put(t, "b", "", 10);
    assert_true(tier_put(t, marker));
    assert_int_equal(stats(t).markers, 1);
    n = tier_list(t, hash_of("a"), weir_span_str("a"), seen, 3);
    assert_int_equal(n, 2);
    assert_ptr_equal(seen[0].response, marker);
    assert_false(seen[1].main);
    assert_int_equal(seen[1].uses, 1);
    assert_int_equal(stats(t).hits, 1);
    for (size_t i = 0; i < n; i++)
        stored_response_unref(seen[i].response);
    assert_int_equal(tier_list(t, hash_of("a"), weir_span_str("a"), seen, 1), 1);
    stored_response_unref(seen[0].response);
    assert_int_equal(tier_list(t, hash_of("c"), weir_span_str("c"), seen, 3), 0);
    stored_response_unref(marker);
    tier_remove(t, hash_of("a"), weir_span_str("a"));
    assert_int_equal(stats(t).markers, 0);
    tier_free(t);
}

static void what_left_cannot_be_put_again(void **state)
{
    struct tier *t = tier_of(1 << 20, 1);
    struct stored_response *r = response("a", "", 10);

    (void)state;
    assert_true(tier_put(t, r));
    assert_true(tier_put(t, r)); /* still in: nothing happens */
    assert_int_equal(atomic_load(&r->refs), 2);
    assert_true(tier_drop(t, r));
    assert_false(tier_drop(t, r));
    assert_false(tier_put(t, r));
    assert_false(holds(t, "a", ""));
    stored_response_unref(r);
    assert_int_equal(stats(t).bytes, 0);
    tier_free(t);
}

static void removal_takes_all_variants_of_one_key(void **state)
{
    struct tier *t = tier_of(1 << 20, 1);

    (void)state;
    for (int i = 0; i < 100; i++) { /* enough to make the index grow */
        char key[16];

        snprintf(key, sizeof(key), "%d", i);
        put(t, key, "de", 10);
        put(t, key, "en", 10);
    }
    assert_int_equal(tier_remove(t, hash_of("7"), weir_span_str("7")), 2);
    assert_false(holds(t, "7", "de"));
    assert_true(holds(t, "8", "de"));
    assert_int_equal(stats(t).responses, 198);
    assert_int_equal(tier_flush(t), 198);
    assert_int_equal(stats(t).bytes, 0);
    tier_free(t);
}

/* ---- room ---- */

static void too_large_a_response_is_refused(void **state)
{
    struct tier *t = tier_of(100000, 1);

    (void)state;
    put(t, "a", "", 10);
    assert_int_equal(put(t, "b", "", 100000), 0); /* more than the tier */
    tier_resize(t, 100000, 5000);
    assert_int_equal(put(t, "b", "", 5000), 0); /* more than one response may cost */
    assert_true(put(t, "b", "", 3000) > 0);
    assert_true(holds(t, "a", ""));
    assert_int_equal(stats(t).refused, 2);
    assert_int_equal(stats(t).evictions, 0);
    tier_free(t);
}

static void a_tier_of_no_bytes_keeps_nothing(void **state)
{
    struct tier *t = tier_of(0, 1);

    (void)state;
    assert_int_equal(put(t, "a", "", 10), 0);
    assert_false(holds(t, "a", ""));
    tier_free(t);
}

static void a_pinned_response_stays_charged_until_its_last_reader_is_done(void **state)
{
    struct tier *t = tier_of(100000, 1);
    struct stored_response *pinned = response("a", "", 50000);

    (void)state;
    assert_true(tier_put(t, pinned));
    tier_remove(t, pinned->hash, pinned->key);
    assert_int_equal(stats(t).stored_bytes, 0);
    assert_int_equal(stats(t).bytes, pinned->cost_bytes);
    assert_true(put(t, "b", "", 30000) > 0);
    assert_int_equal(put(t, "c", "", 60000), 0); /* cannot fit, so b is left in peace */
    assert_true(holds(t, "b", ""));
    stored_response_unref(pinned);
    assert_true(put(t, "c", "", 60000) > 0);
    tier_flush(t);
    assert_int_equal(stats(t).bytes, 0);
    tier_free(t);
}

static void references_outlive_the_tier(void **state)
{
    struct tier *t = tier_of(100000, 4);
    struct stored_response *r = response("a", "", 5000);

    (void)state;
    assert_true(tier_put(t, r));
    tier_free(t);
    assert_int_equal(atomic_load(&r->refs), 1);
    stored_response_unref(r);
}

static void a_smaller_limit_evicts_at_once(void **state)
{
    struct tier *t = tier_of(1 << 20, 4);
    char key[16];

    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "%d", i);
        put(t, key, "", 4000);
    }
    tier_resize(t, 300000, 0);
    assert_true(stats(t).bytes <= 300000);
    assert_true(stats(t).bytes > 250000);
    assert_int_equal(stats(t).bytes, stats(t).stored_bytes);
    tier_resize(t, 0, 0);
    assert_int_equal(stats(t).bytes, 0);
    tier_free(t);
}

static void what_a_freshened_response_shares_is_charged_once(void **state)
{
    struct tier *t = tier_of(150000, 1);
    struct stored_response *old = response("a", "", 100000), *fresh;
    struct stored_draft d = draft_of("a", "");

    (void)state;
    assert_true(tier_put(t, old));
    fresh = stored_response_freshened(old, &d, NULL);
    assert_true(tier_put(t, fresh)); /* would not fit twice */
    stored_response_unref(old);
    assert_int_equal(stats(t).bytes, fresh->cost_bytes);
    assert_int_equal(stats(t).evictions, 0);
    stored_response_unref(fresh);
    tier_free(t);
}

/* ---- queues ---- */

/* A tier for `n` responses of 1000 bytes, full of f0, f1 ... which nobody asked for again. */
static struct tier *full_tier(unsigned n)
{
    struct stored_response *r = response("f0", "", 1000);
    struct tier *t =
        tier_of(n * (r->cost_bytes + 16), 1); /* keys of 2 and of 6 bytes: same block or next */
    char key[16];

    stored_response_unref(r);
    for (unsigned i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "f%u", i);
        put(t, key, "", 1000);
    }
    assert_int_equal(stats(t).evictions, 0);
    return t;
}

static void put_scan(struct tier *t, const char *prefix, int n)
{
    char key[32];

    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "%s%d", prefix, i);
        assert_true(put(t, key, "", 1000) > 0);
    }
}

static void one_use_saves_from_a_scan(void **state)
{
    struct tier *t = full_tier(300);

    (void)state;
    assert_true(holds(t, "f5", ""));
    put_scan(t, "s", 2000);
    assert_true(holds(t, "f5", ""));
    assert_false(holds(t, "f6", ""));
    assert_true(stats(t).main_bytes > 0);
    tier_free(t);
}

static void a_replacement_inherits_the_standing(void **state)
{
    struct tier *t = full_tier(300);

    (void)state;
    assert_true(holds(t, "f5", ""));
    put(t, "f5", "", 1000);
    put_scan(t, "s", 2000);
    assert_true(holds(t, "f5", ""));
    tier_free(t);
}

static void a_large_response_needs_two_uses(void **state)
{
    struct tier *t = tier_of(2000000, 1);

    (void)state;
    put(t, "once", "", 100000);
    put(t, "twice", "", 100000);
    assert_true(holds(t, "once", ""));
    assert_true(holds(t, "twice", ""));
    assert_true(holds(t, "twice", ""));
    put_scan(t, "s", 3000);
    assert_false(holds(t, "once", ""));
    assert_true(holds(t, "twice", ""));
    tier_free(t);
}

static void who_comes_back_soon_enters_the_main_queue(void **state)
{
    struct tier *t = full_tier(300);

    (void)state;
    put_scan(t, "s", 50);
    assert_false(holds(t, "f0", ""));
    put(t, "f0", "", 1000);
    assert_int_equal(stats(t).ghost_hits, 1);
    assert_true(stats(t).main_bytes > 1000);
    put_scan(t, "x", 1500);
    assert_true(holds(t, "f0", ""));
    tier_flush(t);
    put(t, "s0", "", 1000); /* a flush forgets the ghosts too */
    assert_int_equal(stats(t).ghost_hits, 1);
    tier_free(t);
}

static void a_large_response_makes_room_among_small_ones(void **state)
{
    struct tier *t = full_tier(2000);

    (void)state;
    assert_true(put(t, "big", "", 1000000) == 0 || holds(t, "big", ""));
    assert_true(stats(t).evictions <= 8 + 1010000 / 4096);
    assert_true(put(t, "middle", "", 30000) > 0);
    tier_free(t);
}

/* ---- against a model: the algorithm as the paper has it, one queue each, by object number ---- */

enum { OUT, SMALL, MAIN };

struct model {
    size_t limit, small_bytes, main_bytes, main_count, small_count;
    const size_t *cost;
    struct {
        uint8_t where, freq;
        unsigned long ghost; /* number of the ghost it became, 0: none */
    } * object;
    struct fifo {
        unsigned *id; /* as long as the trace can make it: nothing is moved */
        size_t head, tail;
    } small, main;
    unsigned long ghosts;
    unsigned long hits;
};

static void model_into_main(struct model *m, unsigned id)
{
    m->object[id].where = MAIN;
    m->main.id[m->main.head++] = id;
    m->main_bytes += m->cost[id];
    m->main_count++;
}

static bool model_evict_small(struct model *m)
{
    unsigned id = m->small.id[m->small.tail++];

    m->small_bytes -= m->cost[id];
    m->small_count--;
    if (m->object[id].freq >= (m->cost[id] > 65536 ? 2 : 1)) {
        m->object[id].freq = 0;
        model_into_main(m, id);
        return false;
    }
    m->object[id].where = OUT;
    m->object[id].ghost = ++m->ghosts;
    return true;
}

static bool model_evict_main(struct model *m)
{
    unsigned id = m->main.id[m->main.tail++];

    m->main_bytes -= m->cost[id];
    m->main_count--;
    if (m->object[id].freq > 0) {
        m->object[id].freq--;
        model_into_main(m, id);
        return false;
    }
    m->object[id].where = OUT;
    return true;
}

static void model_evict(struct model *m)
{
    bool gone = false;

    while (!gone) {
        if (m->main_count == 0 || (m->small_bytes > m->limit / 10 && m->small_count > 64))
            gone = model_evict_small(m);
        else
            gone = model_evict_main(m);
    }
}

static void model_access(struct model *m, unsigned id)
{
    unsigned long ghost = m->object[id].ghost;

    if (m->object[id].where != OUT) {
        m->hits++;
        m->object[id].freq += m->object[id].freq < 3;
        return;
    }
    while (m->small_bytes + m->main_bytes + m->cost[id] > m->limit)
        model_evict(m);
    m->object[id].freq = 0;
    m->object[id].ghost = 0;
    if (ghost != 0 && m->ghosts - ghost < m->main_count * 9 / 10) {
        model_into_main(m, id);
        return;
    }
    m->object[id].where = SMALL;
    m->small.id[m->small.head++] = id;
    m->small_bytes += m->cost[id];
    m->small_count++;
}

#define OBJECTS  8000 /* asked for by Zipf's law */
#define SCANNED  16000
#define REQUESTS 80000

static uint64_t next_random(uint64_t *seed) /* xorshift64* */
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

static double next_unit(uint64_t *seed)
{
    return (double)(next_random(seed) >> 11) / 9007199254740992.0;
}

struct trace {
    unsigned *id;
    size_t *size, *cost;
    size_t total_cost; /* of the OBJECTS */
};

static void object_key(unsigned id, char key[16])
{
    snprintf(key, 16, "object-%07u", id);
}

/* Sizes from 100 bytes to 20 KB, small ones more often, and a few of 100 KB. */
static void trace_sizes(struct trace *tr, uint64_t *seed)
{
    tr->total_cost = 0;
    for (unsigned i = 0; i < OBJECTS + SCANNED; i++) {
        char key[16];
        struct stored_response *r;

        object_key(i, key);
        tr->size[i] = (size_t)(100.0 * pow(200.0, next_unit(seed)));
        if (next_random(seed) % 500 == 0)
            tr->size[i] = 100000;
        r = response(key, "", tr->size[i]);
        tr->cost[i] = r->cost_bytes;
        stored_response_unref(r);
        if (i < OBJECTS)
            tr->total_cost += tr->cost[i];
    }
}

static void trace_make(struct trace *tr, bool scans)
{
    double *upto = malloc(OBJECTS * sizeof(*upto)), sum = 0;
    uint64_t seed = 42;
    unsigned scan = 0;

    tr->id = malloc(REQUESTS * sizeof(*tr->id));
    tr->size = malloc((OBJECTS + SCANNED) * sizeof(*tr->size));
    tr->cost = malloc((OBJECTS + SCANNED) * sizeof(*tr->cost));
    trace_sizes(tr, &seed);
    for (unsigned i = 0; i < OBJECTS; i++)
        upto[i] = sum += 1.0 / pow(i + 1, 0.9);
    for (unsigned i = 0; i < REQUESTS; i++) {
        double u = next_unit(&seed) * sum;
        unsigned low = 0, high = OBJECTS - 1;

        if (scans && i / 4000 % 5 == 4) { /* each fifth stretch: what is never asked for again */
            tr->id[i] = OBJECTS + scan++ % SCANNED;
            continue;
        }
        while (low < high) {
            unsigned mid = (low + high) / 2;

            if (upto[mid] < u)
                low = mid + 1;
            else
                high = mid;
        }
        tr->id[i] = low;
    }
    free(upto);
}

static void trace_drop(struct trace *tr)
{
    free(tr->id);
    free(tr->size);
    free(tr->cost);
}

static double model_hit_ratio(const struct trace *tr, size_t limit)
{
    struct model m = {.limit = limit, .cost = tr->cost};
    double ratio;

    m.object = calloc(OBJECTS + SCANNED, sizeof(*m.object));
    m.small.id = malloc(REQUESTS * sizeof(unsigned));
    m.main.id =
        malloc(REQUESTS * 5 * sizeof(unsigned)); /* each access is good for one more round */
    for (unsigned i = 0; i < REQUESTS; i++)
        model_access(&m, tr->id[i]);
    ratio = (double)m.hits / REQUESTS;
    free(m.object);
    free(m.small.id);
    free(m.main.id);
    return ratio;
}

static double tier_hit_ratio(const struct trace *tr, size_t limit, unsigned shards)
{
    struct tier *t = tier_of(limit, shards);
    double ratio;

    for (unsigned i = 0; i < REQUESTS; i++) {
        char key[16];

        object_key(tr->id[i], key);
        if (!holds(t, key, ""))
            put(t, key, "", tr->size[tr->id[i]]);
    }
    assert_true(stats(t).bytes <= limit);
    assert_true(stats(t).bytes > limit - 150000);
    ratio = (double)stats(t).hits / REQUESTS;
    tier_flush(t);
    assert_int_equal(stats(t).bytes, 0);
    tier_free(t);
    return ratio;
}

static void compare(bool scans, size_t divisor)
{
    static const unsigned shards[] = {1, 16, 64};
    struct trace tr;
    size_t limit;
    double model, tier[3];

    trace_make(&tr, scans);
    limit = tr.total_cost / divisor;
    model = model_hit_ratio(&tr, limit);
    for (int i = 0; i < 3; i++)
        tier[i] = tier_hit_ratio(&tr, limit, shards[i]);
    trace_drop(&tr);
    print_message("hit ratio at 1/%zu of the bytes: model %.4f; tier of 1, 16, 64 shards %.4f %.4f "
                  "%.4f\n",
                  divisor, model, tier[0], tier[1], tier[2]);
    for (int i = 0; i < 3; i++)
        assert_true(fabs(model - tier[i]) < 0.01);
}

static void zipf_hits_as_often_as_the_model(void **state)
{
    (void)state;
    compare(false, 10);
}

static void zipf_with_scans_hits_as_often_as_the_model(void **state)
{
    (void)state;
    compare(true, 10);
}

static void a_tight_tier_hits_as_often_as_the_model(void **state)
{
    (void)state;
    compare(true, 30);
}

/* ---- several threads ---- */

#define CHURN_THREADS 4
#define CHURN_ROUNDS  6000
#define CHURN_HELD    16
#define CHURN_LIMIT   600000

struct churn {
    struct tier *tier;
    uint64_t seed;
    struct stored_response *held[CHURN_HELD]; /* as if being sent */
    bool over;
};

static void churn_put(struct churn *c, const char *key)
{
    static const size_t sizes[] = {50, 700, 3000, 9000, 40000, 90000};
    struct stored_response *r =
        response(key, next_random(&c->seed) % 4 == 0 ? "v" : "", sizes[next_random(&c->seed) % 6]);

    tier_put(c->tier, r);
    stored_response_unref(r);
}

/* Answers as a 304 does: a new head over what may be replaced, evicted or sent meanwhile. */
static void churn_freshen(struct churn *c, const char *key, struct stored_response *old)
{
    struct stored_draft d = draft_of(key, "");
    struct stored_response *r = stored_response_freshened(old, &d, NULL);

    tier_put(c->tier, r);
    stored_response_unref(r);
}

static void *churn_run(void *arg)
{
    struct churn *c = arg;

    for (int i = 0; i < CHURN_ROUNDS; i++) {
        uint64_t dice = next_random(&c->seed) % 100, slot = next_random(&c->seed) % CHURN_HELD;
        struct stored_response *r;
        char key[16];

        object_key((unsigned)(next_random(&c->seed) % 400), key);
        r = find(c->tier, key, "");
        if (r == NULL)
            churn_put(c, key);
        else if (dice < 10)
            churn_freshen(c, key, r);
        else if (dice < 12)
            tier_remove(c->tier, hash_of(key), weir_span_str(key));
        else if (dice < 13)
            tier_drop(c->tier, r);
        else if (i % 2000 == 1999)
            tier_flush(c->tier);
        stored_response_unref(c->held[slot]);
        c->held[slot] = r;
        if (i % 8 == 0 && stats(c->tier).bytes > CHURN_LIMIT)
            c->over = true;
    }
    return NULL;
}

static void the_limit_holds_under_churn_and_all_of_it_comes_back(void **state)
{
    struct tier *t = tier_of(CHURN_LIMIT, 8);
    struct churn c[CHURN_THREADS];
    pthread_t thread[CHURN_THREADS];

    (void)state;
    memset(c, 0, sizeof(c));
    for (int i = 0; i < CHURN_THREADS; i++) {
        c[i].tier = t;
        c[i].seed = 1000 + (uint64_t)i;
        assert_int_equal(pthread_create(&thread[i], NULL, churn_run, &c[i]), 0);
    }
    for (int i = 0; i < CHURN_THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_true(stats(t).evictions > 0);
    assert_true(stats(t).hits > 0);
    tier_flush(t);
    assert_int_equal(stats(t).stored_bytes, 0);
    for (int i = 0; i < CHURN_THREADS; i++) {
        assert_false(c[i].over);
        for (int j = 0; j < CHURN_HELD; j++)
            stored_response_unref(c[i].held[j]);
    }
    assert_int_equal(stats(t).bytes, 0);
    tier_free(t);
}

/* ---- memory ---- */

#ifdef WEIR_FAULTS
/* What was put is found, whatever else failed. */
static bool use_all(void)
{
    struct tier *t = tier_new(&(struct tier_options){.memory_bytes = 30000, .shards = 2}, NULL);
    struct tier_stats s;
    bool whole = t != NULL;

    for (int i = 0; i < 60 && t != NULL; i++) {
        char key[16];
        struct stored_response *r;

        object_key((unsigned)i, key);
        r = response(key, "", 20);
        if (r != NULL) {
            assert_true(tier_put(t, r));
            assert_true(holds(t, key, ""));
        }
        whole = whole && r != NULL;
        stored_response_unref(r);
    }
    if (t != NULL) {
        tier_flush(t);
        tier_stats(t, &s);
        assert_int_equal(s.bytes, 0);
    }
    tier_free(t);
    return whole;
}

static void any_allocation_may_fail(void **state)
{
    unsigned long n = 1, hurt = 0;

    (void)state;
    for (;; n++) {
        bool whole;

        weir_alloc_fail_at(n);
        whole = use_all();
        if (!weir_alloc_failed()) {
            assert_true(whole);
            break;
        }
        hurt += !whole;
    }
    weir_alloc_fail_at(0);
    assert_true(n > 60);
    assert_true(hurt < n - 1); /* a failed growth of the index hurts nobody */
}
#endif

/* ---- forms ---- */

struct taking {
    enum coding coding;
    struct stored_form *form;
};

static void take(const struct stored_response *r, void *arg)
{
    struct taking *t = arg;

    t->form = stored_form_take(r, t->coding);
}

static struct stored_form *taken(struct tier *t, const struct stored_response *r, enum coding c)
{
    struct taking taking = {c, NULL};

    tier_look(t, r, take, &taking);
    return taking.form;
}

static bool has_form(struct tier *t, const struct stored_response *r, enum coding c)
{
    struct stored_form *seen[CODINGS];
    size_t n = tier_forms(t, r, seen);
    bool has = false;

    for (size_t i = 0; i < n; i++) {
        has = has || seen[i]->coding == c;
        stored_form_unref(seen[i]);
    }
    return has;
}

/* Puts and keeps no reference to the form. */
static bool put_form(struct tier *t, const struct stored_response *r, enum coding c, size_t size)
{
    struct stored_form *f = form(c, size);
    bool in = tier_put_form(t, r, f);

    stored_form_unref(f);
    return in;
}

static void a_form_is_charged_found_and_goes_with_its_response(void **state)
{
    struct tier *t = tier_of(1 << 20, 4);
    struct stored_response *r = recodable("a", 1000);
    struct stored_form *f;

    (void)state;
    assert_true(tier_put(t, r));
    assert_true(put_form(t, r, CODING_GZIP, 500));
    assert_false(put_form(t, r, CODING_GZIP, 400)); /* there is one */
    assert_null(taken(t, r, CODING_BR));
    f = taken(t, r, CODING_GZIP);
    assert_non_null(f);
    assert_int_equal(f->len, 500);
    assert_int_equal(stats(t).forms, 1);
    assert_int_equal(stats(t).form_bytes, f->cost_bytes);
    assert_int_equal(stats(t).bytes, r->cost_bytes + f->cost_bytes);
    assert_int_equal(tier_flush(t), 1);
    assert_int_equal(stats(t).forms, 0);
    assert_int_equal(stats(t).form_bytes, 0);
    assert_false(put_form(t, r, CODING_BR, 400)); /* r is not in any more */
    stored_response_unref(r);
    assert_int_equal(stats(t).bytes, f->cost_bytes); /* pinned */
    stored_form_unref(f);
    assert_int_equal(stats(t).bytes, 0);
    tier_free(t);
}

static void forms_outlive_a_validation(void **state)
{
    struct tier *t = tier_of(1 << 20, 4);
    struct stored_response *r = recodable("a", 1000), *fresh, *holder;
    struct stored_draft d = draft_of("a", "");

    (void)state;
    d.recodable = true;
    assert_true(tier_put(t, r));
    assert_true(put_form(t, r, CODING_GZIP, 500));
    fresh = stored_response_freshened(r, &d, NULL);
    assert_non_null(fresh);
    assert_true(tier_put(t, fresh));
    holder = tier_holder(t, r);
    assert_ptr_equal(holder, fresh);
    stored_response_unref(holder);
    stored_response_unref(r);
    assert_true(has_form(t, fresh, CODING_GZIP));
    assert_int_equal(stats(t).forms, 1);
    stored_response_unref(fresh);
    tier_flush(t);
    assert_int_equal(stats(t).bytes, 0);
    tier_free(t);
}

static void a_response_is_replaced_over_a_form_only_while_it_is_in(void **state)
{
    struct tier *t = tier_of(1 << 20, 4);
    struct stored_response *r = recodable("a", 10000), *small, *found;
    struct stored_form *f = form(CODING_ZSTD, 300);

    (void)state;
    assert_true(tier_put(t, r));
    assert_true(put_form(t, r, CODING_GZIP, 500));
    small = stored_response_recoded(r, f, NULL);
    assert_non_null(small);
    assert_true(tier_replace(t, r, small));
    stored_response_unref(r);
    found = find(t, "a", "");
    assert_ptr_equal(found, small);
    assert_int_equal(found->coding, CODING_ZSTD);
    assert_int_equal(found->sent_coding, CODING_IDENTITY);
    assert_int_equal(found->body_len, 300);
    assert_true(has_form(t, found, CODING_GZIP));
    assert_true(stats(t).bytes < 4000);
    tier_flush(t);
    r = stored_response_recoded(found, f, NULL);
    assert_false(tier_replace(t, found, r));
    assert_false(holds(t, "a", ""));
    stored_response_unref(r);
    stored_response_unref(found);
    stored_response_unref(small);
    stored_form_unref(f);
    assert_int_equal(stats(t).bytes, 0);
    tier_free(t);
}

static void forms_are_dropped_before_responses_and_used_ones_later(void **state)
{
    struct tier *t = tier_of(200000, 1);
    struct stored_response *r[4];
    char key[8];
    size_t stored = 4, i;

    (void)state;
    for (i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "f%zu", i);
        r[i] = recodable(key, 10000);
        assert_true(tier_put(t, r[i]));
        assert_true(put_form(t, r[i], CODING_GZIP, 10000));
    }
    stored_form_unref(taken(t, r[0], CODING_GZIP)); /* the oldest, and the only one in use */
    for (i = 0; stats(t).form_drops < 3; i++) {
        snprintf(key, sizeof key, "p%zu", i);
        assert_true(put(t, key, "", 10000) > 0);
        stored++;
    }
    assert_true(stats(t).evictions <= 1); /* the used form was passed over once */
    assert_true(has_form(t, r[0], CODING_GZIP));
    for (i = 1; i < 4; i++)
        assert_false(has_form(t, r[i], CODING_GZIP));
    assert_true(stats(t).responses + 1 >= stored);
    for (i = 0; i < 4; i++)
        stored_response_unref(r[i]);
    tier_flush(t);
    assert_int_equal(stats(t).bytes, 0);
    tier_free(t);
}

static void what_is_useless_is_remembered_with_the_content(void **state)
{
    struct tier *t = tier_of(1 << 20, 4);
    struct stored_response *r = recodable("a", 1000), *fresh;
    struct stored_draft d = draft_of("a", "");

    (void)state;
    tier_put_useless(t, r, CODING_BR);
    fresh = stored_response_freshened(r, &d, NULL);
    assert_non_null(fresh);
    assert_int_equal(fresh->forms->useless, 1U << CODING_BR);
    assert_true(fresh->as_sent_only); /* the draft does not permit other codings any more */
    stored_response_unref(r);
    stored_response_unref(fresh);
    tier_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found_with_a_reference),
        cmocka_unit_test(equal_hashes_of_different_keys_are_not_confused),
        cmocka_unit_test(a_vary_miss_is_told_from_a_uri_miss),
        cmocka_unit_test(the_newest_that_matches_wins),
        cmocka_unit_test(the_oldest_variant_goes_when_there_are_too_many),
        cmocka_unit_test(a_marker_is_found_replaces_and_is_replaced),
        cmocka_unit_test(a_key_is_listed_whole_without_counting_as_a_use),
        cmocka_unit_test(what_left_cannot_be_put_again),
        cmocka_unit_test(removal_takes_all_variants_of_one_key),
        cmocka_unit_test(too_large_a_response_is_refused),
        cmocka_unit_test(a_tier_of_no_bytes_keeps_nothing),
        cmocka_unit_test(a_pinned_response_stays_charged_until_its_last_reader_is_done),
        cmocka_unit_test(references_outlive_the_tier),
        cmocka_unit_test(a_smaller_limit_evicts_at_once),
        cmocka_unit_test(what_a_freshened_response_shares_is_charged_once),
        cmocka_unit_test(one_use_saves_from_a_scan),
        cmocka_unit_test(a_replacement_inherits_the_standing),
        cmocka_unit_test(a_large_response_needs_two_uses),
        cmocka_unit_test(who_comes_back_soon_enters_the_main_queue),
        cmocka_unit_test(a_large_response_makes_room_among_small_ones),
        cmocka_unit_test(zipf_hits_as_often_as_the_model),
        cmocka_unit_test(zipf_with_scans_hits_as_often_as_the_model),
        cmocka_unit_test(a_tight_tier_hits_as_often_as_the_model),
        cmocka_unit_test(the_limit_holds_under_churn_and_all_of_it_comes_back),
#ifdef WEIR_FAULTS
        cmocka_unit_test(any_allocation_may_fail),
#endif
        cmocka_unit_test(a_form_is_charged_found_and_goes_with_its_response),
        cmocka_unit_test(forms_outlive_a_validation),
        cmocka_unit_test(a_response_is_replaced_over_a_form_only_while_it_is_in),
        cmocka_unit_test(forms_are_dropped_before_responses_and_used_ones_later),
        cmocka_unit_test(what_is_useless_is_remembered_with_the_content),
    };

    return cmocka_run_group_tests(tests, fill_secret, NULL);
}
