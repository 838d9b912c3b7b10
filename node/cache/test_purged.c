/*
 * test_purged.c - stored responses, the tier and fills under way with a purge table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>
#include <cmocka.h>

#include "weir/alloc.h"

#include "cache_key.h"
#include "inflight.h"
#include "policy_heads.h"
#include "purge.h"
#include "stored.h"
#include "tier.h"

#define S(lit) WEIR_SPAN_LIT(lit)

static struct weir_hash_secret secret;
static const struct fill_owner nobody = {NULL, NULL};

struct world {
    struct purge_table *purges;
    struct tier *tier;
    struct inflight *inflight;
    struct weir_mailbox box;
};

static int set_up(void **state)
{
    static struct world w;
    struct tier_options o = {.memory_bytes = 1 << 20, .shards = 4};

    for (size_t i = 0; i < sizeof secret.bytes; i++)
        secret.bytes[i] = (unsigned char)(i * 151 + 17); /* the same run each time */
    memset(&w, 0, sizeof w);
    w.box.fd = -1;
    w.purges = o.purges = purge_new(&secret, 0, NULL);
    w.tier = tier_new(&o, NULL);
    w.inflight = inflight_new(NULL);
    *state = &w;
    return w.purges == NULL || w.tier == NULL || w.inflight == NULL;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    tier_free(w->tier);
    inflight_free(w->inflight);
    purge_free(w->purges);
    return 0;
}

/* The key of http://a.example<path>; its bytes are the caller's. */
static struct cache_key key_of(const char *path, char buf[CACHE_KEY_INLINE])
{
    struct cache_key_parts parts = {.class = CACHE_KEY_GET,
                                    .scheme = S("http"),
                                    .authority = S("a.example"),
                                    .path = weir_span_str(path)};
    struct cache_key key;

    assert_true(cache_key_build(&key, &parts, &secret, buf, CACHE_KEY_INLINE, NULL));
    return key;
}

static struct purge_subject subject(const struct world *w, const char *path)
{
    return (struct purge_subject){
        .stamp = purge_stamp(w->purges),
        .url = purge_url_hash(w->purges, S("a.example"), weir_span_str(path), WEIR_SPAN_NONE),
        .host = purge_host_hash(w->purges, S("a.example")),
    };
}

static struct stored_response *make(const struct world *w, const char *path, const char *variant,
                                    const struct purge_subject *s, struct weir_span tags)
{
    char buf[CACHE_KEY_INLINE];
    struct cache_key key = key_of(path, buf);
    struct stored_draft d = {
        .hash = key.hash,
        .key = key.bytes,
        .variant = weir_span_str(variant),
        .tags = tags,
        .purges = w->purges,
        .purge = s,
        .status = 200,
        .head = S("HTTP/1.1 200 OK\r\n"),
    };

    return stored_response_new(&d, NULL);
}

static void store(struct world *w, const char *path, const char *variant)
{
    struct purge_subject s = subject(w, path);
    struct stored_response *r = make(w, path, variant, &s, WEIR_SPAN_NONE);

    assert_true(tier_put(w->tier, r));
    stored_response_unref(r);
}

/* What is stored under the path, in how many variants looked at. */
static bool find(struct world *w, const char *path, unsigned *seen)
{
    char buf[CACHE_KEY_INLINE];
    struct cache_key key = key_of(path, buf);
    struct stored_response *r = tier_find(w->tier, key.hash, key.bytes, NULL, NULL, seen);

    stored_response_unref(r);
    return r != NULL;
}

static void purge(struct world *w, enum purge_scope scope, enum purge_mode mode, const char *what)
{
    struct purge_target t = {.scope = scope,
                             .mode = mode,
                             .authority = S("a.example"),
                             .path = weir_span_str(what),
                             .tag = weir_span_str(what)};

    assert_true(purge_add(w->purges, &t, 100) > 0);
}

static struct tier_stats stats(struct world *w)
{
    struct tier_stats s;

    tier_stats(w->tier, &s);
    return s;
}

/* ---- stored responses ---- */

static void a_stored_response_keeps_what_it_can_be_purged_by(void **state)
{
    struct world *w = *state;
    uint64_t hashes[20] = {purge_tag_hash(w->purges, S("x")), purge_tag_hash(w->purges, S("y"))};
    struct purge_subject s = subject(w, "/a");
    struct stored_response *plain = make(w, "/a", "", &s, WEIR_SPAN_NONE), *r, *again;
    struct stored_draft d = {.head = S("HTTP/1.1 200 OK\r\n"), .purges = w->purges};
    int64_t since;

    s.tags = hashes;
    s.tag_count = 20;
    r = make(w, "/a", "v", &s, S("x y"));
    hashes[0] = hashes[1] = 0; /* copied */
    assert_int_equal(r->purge.tag_count, 20);
    assert_true(weir_span_eq(r->tags, S("x y")));
    assert_true(weir_span_eq(r->purge.path, S("/a")));
    assert_true(r->cost_bytes >= plain->cost_bytes + sizeof hashes - 16); /* allocator's steps */
    purge(w, PURGE_TAG, PURGE_HARD, "y");
    assert_int_equal(purge_check(w->purges, &r->purge, &since), PURGE_DEAD);
    assert_int_equal(purge_check(w->purges, &plain->purge, &since), PURGE_VALID);
    s.tag_count = 0; /* freshened: a new stamp, other tags, the key it had */
    s.stamp = purge_stamp(w->purges);
    d.purge = &s;
    again = stored_response_freshened(r, &d, NULL);
    assert_true(weir_span_eq(again->purge.path, S("/a")));
    assert_int_equal(purge_check(w->purges, &again->purge, &since), PURGE_VALID);
    stored_response_unref(plain);
    stored_response_unref(r);
    stored_response_unref(again);
}

static void a_url_is_watched_while_something_is_stored_for_it(void **state)
{
    struct world *w = *state;
    struct purge_subject s = subject(w, "/a");
    struct stored_response *r = make(w, "/a", "", &s, WEIR_SPAN_NONE);

    assert_int_equal(purge_invalidate(w->purges, S("a.example"), S("/b"), WEIR_SPAN_NONE, 1), 0);
    assert_int_equal(purge_invalidate(w->purges, S("a.example"), S("/a"), WEIR_SPAN_NONE, 1), 1);
    stored_response_unref(r);
    assert_int_equal(purge_invalidate(w->purges, S("a.example"), S("/a"), WEIR_SPAN_NONE, 1), 0);
}

/* ---- the tier ---- */

static void what_was_purged_for_good_is_dropped_where_it_is_met(void **state)
{
    struct world *w = *state;
    unsigned seen;

    store(w, "/a", "1");
    store(w, "/a", "2");
    store(w, "/b", "");
    purge(w, PURGE_URL, PURGE_HARD, "/a");
    assert_int_equal(stats(w).responses, 3);
    assert_false(find(w, "/a", &seen));
    assert_int_equal(seen, 0); /* nothing to vary from */
    assert_int_equal(stats(w).responses, 1);
    assert_int_equal(stats(w).purged, 2);
    assert_true(find(w, "/b", &seen));
    store(w, "/a", "1");
    assert_true(find(w, "/a", &seen));
}

static void one_look_up_drops_a_few_and_passes_over_the_rest(void **state)
{
    struct world *w = *state;
    char variant[2] = "a";

    for (int i = 0; i < 10; i++, variant[0]++)
        store(w, "/a", variant);
    purge(w, PURGE_ALL, PURGE_HARD, "");
    assert_false(find(w, "/a", NULL));
    assert_in_range(stats(w).responses, 1, 9);
    for (int i = 0; i < 3; i++)
        assert_false(find(w, "/a", NULL));
    assert_int_equal(stats(w).responses, 0);
    assert_int_equal(stats(w).bytes, 0);
}

static void what_was_purged_softly_is_still_found_but_not_a_marker(void **state)
{
    struct world *w = *state;
    char buf[CACHE_KEY_INLINE];
    struct cache_key key = key_of("/m", buf);
    struct purge_subject s = subject(w, "/m");
    struct stored_draft d = {.hash = key.hash, .key = key.bytes, .purges = w->purges, .purge = &s};
    struct stored_response *marker = stored_marker_new(&d, 1 << 30, NULL);

    assert_true(tier_put(w->tier, marker));
    stored_response_unref(marker);
    store(w, "/a", "");
    assert_true(find(w, "/m", NULL));
    purge(w, PURGE_PREFIX, PURGE_SOFT, "/");
    assert_true(find(w, "/a", NULL));
    assert_false(find(w, "/m", NULL));
}

/* ---- fills under way ---- */

static struct fill *new_fill(struct world *w, const char *path)
{
    char buf[CACHE_KEY_INLINE];
    struct cache_key key = key_of(path, buf);
    struct purge_subject s = subject(w, path);
    struct fill *f = fill_new(&key, true, &w->box, &nobody, NULL, NULL);
    struct cache_key_parts parts;

    assert_non_null(f);
    assert_true(cache_key_read(f->key, &parts));
    fill_set_subject(f, w->purges, s.url, s.host, 0, parts.path);
    return f;
}

/* Does a request that comes now find `f`? */
static bool joins(struct world *w, struct fill *f, const char *path)
{
    struct policy_head p;
    struct fill *fresh = new_fill(w, path);
    struct fill *found = inflight_join(w->inflight, fresh, policy_request(&p, "GET", "Host: x"));
    bool same = found == f;

    assert_true(found == NULL || same);
    inflight_remove(w->inflight, fresh);
    fill_unref(found);
    fill_unref(fresh);
    return same;
}

static void nobody_joins_a_fill_that_was_purged_since_it_began(void **state)
{
    static const struct {
        enum purge_scope scope;
        const char *what;
    } rows[] = {{PURGE_URL, "/a"}, {PURGE_PREFIX, "/"}, {PURGE_HOST, ""}, {PURGE_ALL, ""}};
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (enum purge_mode mode = PURGE_SOFT; mode <= PURGE_HARD; mode++) {
            struct fill *f = new_fill(w, "/a");
            struct policy_head p;

            assert_null(inflight_join(w->inflight, f, policy_request(&p, "GET", "Host: x")));
            assert_true(joins(w, f, "/a"));
            purge(w, PURGE_URL, PURGE_HARD, "/b");
            assert_true(joins(w, f, "/a"));
            purge(w, rows[i].scope, mode, rows[i].what);
            assert_false(joins(w, f, "/a"));
            assert_true(inflight_remove(w->inflight, f));
            fill_unref(f);
        }
}

static void by_a_tag_nobody_joins_once_it_is_known(void **state)
{
    struct world *w = *state;
    const uint64_t tag = purge_tag_hash(w->purges, S("x"));
    struct fill *f = new_fill(w, "/a");
    struct policy_head p;

    assert_null(inflight_join(w->inflight, f, policy_request(&p, "GET", "Host: x")));
    purge(w, PURGE_TAG, PURGE_HARD, "x");
    assert_true(joins(w, f, "/a")); /* who knows; and now it has been found valid */
    inflight_tags(w->inflight, f, &tag, 1);
    assert_false(joins(w, f, "/a"));
    inflight_remove(w->inflight, f);
    fill_unref(f);
}

static void a_url_is_watched_while_it_is_under_way(void **state)
{
    struct world *w = *state;
    struct fill *f = new_fill(w, "/a");

    assert_true(purge_invalidate(w->purges, S("a.example"), S("/a"), WEIR_SPAN_NONE, 1) > 0);
    fill_unref(f);
    assert_int_equal(purge_invalidate(w->purges, S("a.example"), S("/a"), WEIR_SPAN_NONE, 1), 0);
}

/* ---- threads ---- */

#define ROUNDS 3000

/* Fetches "/a" and stores it, over and over, with what the origin held when the fetch began. */
struct racing {
    struct world *w;
    atomic_int origin; /* version of "/a" */
    atomic_bool stop;
    atomic_bool wrong;
};

static struct stored_response *fetch(struct racing *c)
{
    struct world *w = c->w;
    struct fill *f = new_fill(w, "/a"); /* watches, takes the stamp */
    char buf[CACHE_KEY_INLINE];
    struct cache_key key = key_of("/a", buf);
    struct stored_draft d = {.hash = key.hash,
                             .key = key.bytes,
                             .purges = w->purges,
                             .purge = &f->purge,
                             .head = S("HTTP/1.1 200 OK\r\n"),
                             .status = atomic_load(&c->origin)};
    struct stored_response *r = stored_response_new(&d, NULL);

    fill_unref(f);
    return r;
}

static void *fetch_on(void *arg)
{
    struct racing *c = arg;

    while (!atomic_load(&c->stop)) {
        struct stored_response *r = fetch(c);

        tier_put(c->w->tier, r);
        stored_response_unref(r);
    }
    return NULL;
}

/* What is found must not be older than the last change that was invalidated before. */
static void *read_on(void *arg)
{
    struct racing *c = arg;
    char buf[CACHE_KEY_INLINE];
    struct cache_key key = key_of("/a", buf);

    while (!atomic_load(&c->stop)) {
        /* The version is raised first, then invalidated: it is certain one round later. */
        int least = atomic_load(&c->origin) - 1;
        struct stored_response *r = tier_find(c->w->tier, key.hash, key.bytes, NULL, NULL, NULL);

        if (r != NULL && r->status < least)
            atomic_store(&c->wrong, true);
        stored_response_unref(r);
    }
    return NULL;
}

static void what_was_changed_and_invalidated_is_never_found_again(void **state)
{
    struct racing c = {.w = *state};
    pthread_t fetching[2], reading[2];

    atomic_store(&c.origin, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&fetching[i], NULL, fetch_on, &c), 0);
        assert_int_equal(pthread_create(&reading[i], NULL, read_on, &c), 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&c.origin, 1);
        purge_invalidate(c.w->purges, S("a.example"), S("/a"), WEIR_SPAN_NONE, i);
    }
    atomic_store(&c.stop, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(fetching[i], NULL);
        pthread_join(reading[i], NULL);
    }
    assert_false(atomic_load(&c.wrong));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test_setup_teardown(a_stored_response_keeps_what_it_can_be_purged_by, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_url_is_watched_while_something_is_stored_for_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_purged_for_good_is_dropped_where_it_is_met, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_look_up_drops_a_few_and_passes_over_the_rest, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_purged_softly_is_still_found_but_not_a_marker,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_joins_a_fill_that_was_purged_since_it_began, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(by_a_tag_nobody_joins_once_it_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_url_is_watched_while_it_is_under_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_changed_and_invalidated_is_never_found_again,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
