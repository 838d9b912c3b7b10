/*
 * A million stored responses of mixed size: the limit holds, the account tells the truth about the
 * process's memory, and all of it comes back.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "weir/alloc.h"

#include "stored.h"
#include "tier.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SCALE 50 /* the same in small: what is checked there is memory, not size */
#else
#define SCALE 1
#endif

#define RESIDENT 1000000u                         /* stored at a time, at least */
#define KEYS     (1500000u / SCALE)               /* different ones that are put */
#define CHURN    (1000000u / SCALE)               /* puts after that */
#define LIMIT    ((size_t)1500 * 1000000 / SCALE) /* bytes: room for more than RESIDENT */
#define LARGE    300000                           /* bytes of the largest bodies */

static const struct weir_hash_secret secret = {"one and the same in each run ..."};

static uint64_t next_random(uint64_t *seed) /* xorshift64* */
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

/* Most are small, one in a hundred is a page, one in two thousand a picture. */
static uint32_t size_of_body(uint64_t dice)
{
    if (dice % 2000 == 0)
        return LARGE;
    if (dice % 100 == 0)
        return 5000 + (uint32_t)(dice >> 20) % 20000;
    return (uint32_t)(dice >> 20) % 700;
}

static void put(struct tier *t, unsigned id, uint64_t dice)
{
    static const char fields[] = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
                                 "Cache-Control: max-age=600\r\nETag: \"4d3f-5e1a\"\r\n";
    uint32_t size = size_of_body(dice);
    struct weir_slice body = {weir_blob_new(size), 0, size};
    char key[64];
    struct stored_draft d = {.status = 200, .head = WEIR_SPAN_LIT(fields)};
    struct stored_response *r;

    snprintf(key, sizeof(key), "https://www.example.org/articles/number-%u", id);
    d.key = weir_span_str(key);
    d.hash = weir_hash128(&secret, key, strlen(key));
    assert_non_null(body.blob);
    memset(body.blob->bytes, 'x', size);
    body.blob->len = size;
    d.slices = &body;
    d.slice_count = 1;
    r = stored_response_new(&d, NULL);
    assert_non_null(r);
    weir_blob_unref(body.blob);
    tier_put(t, r);
    stored_response_unref(r);
}

static struct tier_stats stats(struct tier *t)
{
    struct tier_stats s;

    tier_stats(t, &s);
    return s;
}

/* Memory handed out by the allocator, large blocks that are mapped apart included. */
static size_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

static void a_million_of_mixed_size_stay_within_the_limit(void **state)
{
    struct tier *t = tier_new(&(struct tier_options){.memory_bytes = LIMIT}, NULL);
    size_t before = in_use();
    uint64_t seed = 4711, most = 0;
    struct tier_stats s;

    (void)state;
    assert_non_null(t);
    for (unsigned i = 0; i < KEYS + CHURN; i++) {
        uint64_t dice = next_random(&seed);

        put(t, i < KEYS ? i : (unsigned)(dice >> 40) % KEYS, dice);
        if (i % 4096 != 0)
            continue;
        s = stats(t);
        assert_true(s.bytes <= LIMIT);
        most = s.responses > most ? s.responses : most;
    }
    s = stats(t);
    print_message("%llu stored, at most %llu; %zu of %zu bytes charged, %zu in use\n",
                  (unsigned long long)s.responses, (unsigned long long)most, s.bytes, LIMIT,
                  in_use() - before);
    assert_true(most >= RESIDENT / SCALE);
    assert_true(s.evictions > 0);
    assert_true(s.bytes > LIMIT - LIMIT / 50);
    if (SCALE == 1) { /* a sanitizer's allocator counts in its own way */
        assert_true(in_use() - before <= LIMIT + LIMIT / 50);
        assert_true(in_use() - before >= s.bytes - s.bytes / 20);
    }
    tier_flush(t);
    assert_int_equal(stats(t).bytes, 0);
    assert_int_equal(stats(t).responses, 0);
    tier_free(t);
    if (SCALE == 1)
        assert_true(in_use() <= before + LIMIT / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_of_mixed_size_stay_within_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
