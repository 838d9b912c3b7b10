#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weir/alloc.h"

#include "purge.h"
#include "purge_records.h"

#define S(lit) WEIR_SPAN_LIT(lit)

static struct weir_hash_secret secret;

static int set_up(void **state)
{
    for (size_t i = 0; i < sizeof secret.bytes; i++)
        secret.bytes[i] = (unsigned char)(i * 151 + 17); /* the same run each time */
    *state = purge_new(&secret, 0, NULL);
    return *state == NULL;
}

static int tear_down(void **state)
{
    purge_free(*state);
    return 0;
}

static struct purge_subject subject_of(struct purge_table *t, const char *authority,
                                       const char *path, const char *query)
{
    return (struct purge_subject){
        .stamp = purge_stamp(t),
        .url = purge_url_hash(t, weir_span_str(authority), weir_span_str(path),
                              query != NULL ? weir_span_str(query) : WEIR_SPAN_NONE),
        .host = purge_host_hash(t, weir_span_str(authority)),
        .path = weir_span_str(path),
    };
}

static enum purge_verdict check(struct purge_table *t, struct purge_subject *s)
{
    int64_t since;

    return purge_check(t, s, &since);
}

static void purge_url(struct purge_table *t, enum purge_mode mode, const char *authority,
                      const char *path, const char *query)
{
    struct purge_target target = {
        .scope = PURGE_URL,
        .mode = mode,
        .authority = weir_span_str(authority),
        .path = weir_span_str(path),
        .query = query != NULL ? weir_span_str(query) : WEIR_SPAN_NONE,
    };

    assert_true(purge_add(t, &target, 100) > 0);
}

static void purge_prefix(struct purge_table *t, const char *authority, const char *prefix)
{
    struct purge_target target = {
        .scope = PURGE_PREFIX,
        .mode = PURGE_HARD,
        .authority = weir_span_str(authority),
        .path = weir_span_str(prefix),
    };

    assert_true(purge_add(t, &target, 100) > 0);
}

static void purge_word(struct purge_table *t, enum purge_scope scope, enum purge_mode mode,
                       const char *word, int64_t now_s)
{
    struct purge_target target = {
        .scope = scope,
        .mode = mode,
        .scheme = S("http"),
        .authority = scope == PURGE_HOST ? weir_span_str(word) : S("a.example"),
        .tag = weir_span_str(word),
    };

    assert_true(purge_add(t, &target, now_s) > 0);
}

/* ---- scopes ---- */

static void a_url_is_purged_and_no_other(void **state)
{
    struct purge_table *t = *state;
    struct purge_subject a = subject_of(t, "a.example", "/x", NULL),
                         b = subject_of(t, "a.example", "/x", ""),
                         c = subject_of(t, "a.example", "/x", "q"),
                         d = subject_of(t, "b.example", "/x", NULL),
                         e = subject_of(t, "a.example", "/x/", NULL),
                         f = subject_of(t, "a.example:81", "/x", NULL);

    purge_url(t, PURGE_HARD, "a.example", "/x", NULL);
    assert_int_equal(check(t, &a), PURGE_DEAD);
    assert_int_equal(check(t, &b), PURGE_VALID);
    assert_int_equal(check(t, &c), PURGE_VALID);
    assert_int_equal(check(t, &d), PURGE_VALID);
    assert_int_equal(check(t, &e), PURGE_VALID);
    assert_int_equal(check(t, &f), PURGE_VALID);
    purge_url(t, PURGE_HARD, "a.example", "/x", "q");
    assert_int_equal(check(t, &c), PURGE_DEAD);
    assert_int_equal(check(t, &b), PURGE_VALID);
}

static void what_is_fetched_after_a_purge_is_valid(void **state)
{
    struct purge_table *t = *state;
    struct purge_subject before, after;

    before = subject_of(t, "a.example", "/x", NULL);
    purge_url(t, PURGE_HARD, "a.example", "/x", NULL);
    after = subject_of(t, "a.example", "/x", NULL);
    assert_int_equal(check(t, &after), PURGE_VALID);
    assert_int_equal(check(t, &before), PURGE_DEAD);
    purge_url(t, PURGE_SOFT, "a.example", "/x", NULL);
    assert_int_equal(check(t, &after), PURGE_STALE);
    assert_int_equal(check(t, &before), PURGE_DEAD); /* the soft one did not revive it */
}

static void a_prefix_is_purged_byte_by_byte(void **state)
{
    struct purge_table *t = *state;
    struct purge_subject a = subject_of(t, "a.example:8080", "/img/a", "q"),
                         b = subject_of(t, "a.example", "/images", NULL),
                         c = subject_of(t, "b.example", "/img/a", NULL),
                         d = subject_of(t, "a.example", "/im", NULL),
                         e = subject_of(t, "a.example", "/img", NULL);

    purge_prefix(t, "a.example", "/img");
    assert_int_equal(check(t, &a), PURGE_DEAD);
    assert_int_equal(check(t, &e), PURGE_DEAD);
    assert_int_equal(check(t, &b), PURGE_VALID);
    assert_int_equal(check(t, &c), PURGE_VALID);
    assert_int_equal(check(t, &d), PURGE_VALID);
    purge_prefix(t, "", "/im");
    assert_int_equal(check(t, &b), PURGE_DEAD);
    assert_int_equal(check(t, &c), PURGE_DEAD);
    assert_int_equal(check(t, &d), PURGE_DEAD);
}

static void a_host_is_purged_on_all_its_ports(void **state)
{
    struct purge_table *t = *state;
    struct purge_subject a = subject_of(t, "a.example", "/", NULL),
                         b = subject_of(t, "a.example:8080", "/", NULL),
                         c = subject_of(t, "aa.example", "/", NULL),
                         v6 = subject_of(t, "[2001:db8::1]:81", "/", NULL);

    purge_word(t, PURGE_HOST, PURGE_HARD, "a.example:443", 100);
    assert_int_equal(check(t, &a), PURGE_DEAD);
    assert_int_equal(check(t, &b), PURGE_DEAD);
    assert_int_equal(check(t, &c), PURGE_VALID);
    assert_int_equal(check(t, &v6), PURGE_VALID);
    purge_word(t, PURGE_HOST, PURGE_HARD, "[2001:db8::1]", 100);
    assert_int_equal(check(t, &v6), PURGE_DEAD);
}

static void a_tag_is_no_group(void **state)
{
    struct purge_table *t = *state;
    const uint64_t tag = purge_tag_hash(t, S("x")),
                   group = purge_group_hash(t, S("http"), S("a.example"), S("x")),
                   other = purge_group_hash(t, S("https"), S("a.example"), S("x"));
    struct purge_subject tagged = subject_of(t, "a.example", "/1", NULL),
                         grouped = subject_of(t, "a.example", "/2", NULL),
                         foreign = subject_of(t, "a.example", "/3", NULL);

    tagged.tags = &tag;
    grouped.tags = &group;
    foreign.tags = &other;
    tagged.tag_count = grouped.tag_count = foreign.tag_count = 1;
    purge_word(t, PURGE_GROUP, PURGE_HARD, "x", 100);
    assert_int_equal(check(t, &tagged), PURGE_VALID);
    assert_int_equal(check(t, &grouped), PURGE_DEAD);
    assert_int_equal(check(t, &foreign), PURGE_VALID);
    purge_word(t, PURGE_TAG, PURGE_HARD, "x", 100);
    assert_int_equal(check(t, &tagged), PURGE_DEAD);
}

static void everything_is_purged(void **state)
{
    struct purge_table *t = *state;
    struct purge_subject a = subject_of(t, "a.example", "/", NULL);
    int64_t since = 0;

    purge_word(t, PURGE_ALL, PURGE_SOFT, "", 200);
    assert_int_equal(purge_check(t, &a, &since), PURGE_STALE);
    assert_int_equal(since, 200);
    purge_word(t, PURGE_ALL, PURGE_HARD, "", 300);
    assert_int_equal(check(t, &a), PURGE_DEAD);
}

static void a_malformed_target_is_refused(void **state)
{
    static char long_path[PURGE_PREFIX_MAX + 1];
    const struct purge_target bad[] = {
        {.scope = PURGE_URL, .authority = S("a"), .path = S("x")},
        {.scope = PURGE_URL, .path = S("/x")},
        {.scope = PURGE_PREFIX, .path = S("x")},
        {.scope = PURGE_PREFIX, .path = weir_span(long_path, sizeof long_path)},
        {.scope = PURGE_TAG},
        {.scope = PURGE_HOST},
        {.scope = PURGE_GROUP, .tag = S("x")},
        {.scope = PURGE_SCOPES},
    };

    memset(long_path, '/', sizeof long_path);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(purge_add(*state, &bad[i], 1), 0);
    assert_int_equal(purge_stamp(*state), 0);
}

/* ---- what is watched ---- */

static uint64_t invalidate(struct purge_table *t, const char *path, const char *query)
{
    return purge_invalidate(t, S("a.example"), weir_span_str(path),
                            query != NULL ? weir_span_str(query) : WEIR_SPAN_NONE, 100);
}

static void only_what_is_watched_is_invalidated(void **state)
{
    struct purge_table *t = *state;
    struct purge_subject s = subject_of(t, "a.example", "/x", NULL);

    assert_int_equal(invalidate(t, "/x", NULL), 0);
    purge_watch(t, s.url);
    purge_watch(t, s.url);
    purge_unwatch(t, s.url);
    assert_int_equal(invalidate(t, "/y", NULL), 0);
    assert_int_equal(check(t, &s), PURGE_VALID);
    assert_int_equal(invalidate(t, "/x", NULL), 1);
    assert_int_equal(check(t, &s), PURGE_DEAD);
    purge_unwatch(t, s.url);
    assert_int_equal(invalidate(t, "/x", NULL), 0);
}

static void what_is_stored_under_a_part_of_its_query_goes_with_any_query(void **state)
{
    struct purge_table *t = *state;
    struct purge_subject loose = subject_of(t, "a.example", "/x", "a=1"), exact;
    struct purge_stats stats;

    loose.url = purge_loose_hash(t, S("a.example"), S("/x"));
    exact = subject_of(t, "a.example", "/x", "c");
    purge_watch(t, loose.url);
    assert_int_equal(invalidate(t, "/y", "b"), 0);
    assert_int_equal(invalidate(t, "/x", "b"), 1);
    assert_int_equal(check(t, &loose), PURGE_DEAD);
    assert_int_equal(check(t, &exact), PURGE_VALID);
    purge_unwatch(t, loose.url);
    purge_stats(t, &stats);
    assert_int_equal(stats.records, 2);
    purge_url(t, PURGE_HARD, "a.example", "/x", "d"); /* no use for the loose form: one record */
    purge_stats(t, &stats);
    assert_int_equal(stats.records, 3);
}

/* ---- softly ---- */

static void stale_counts_from_the_first_soft_purge_after_the_fetch(void **state)
{
    struct purge_table *t = *state;
    const uint64_t tag = purge_tag_hash(t, S("x"));
    struct purge_subject old = subject_of(t, "a.example", "/", NULL), newer;
    int64_t since = 0;

    old.tags = &tag;
    old.tag_count = 1;
    purge_word(t, PURGE_TAG, PURGE_SOFT, "x", 100);
    newer = old;
    newer.stamp = purge_stamp(t);
    purge_word(t, PURGE_TAG, PURGE_SOFT, "x", 150);
    purge_word(t, PURGE_TAG, PURGE_SOFT, "x", 200);
    assert_int_equal(purge_check(t, &old, &since), PURGE_STALE);
    assert_int_equal(since, 100);
    assert_int_equal(purge_check(t, &newer, &since), PURGE_STALE);
    assert_int_equal(since, 150);
}

static void of_many_soft_purges_the_oldest_become_one(void **state)
{
    struct purge_table *t = *state;
    const uint64_t tag = purge_tag_hash(t, S("x"));
    struct purge_subject s[20];
    struct purge_stats stats;

    for (int i = 0; i < 20; i++) {
        s[i] = subject_of(t, "a.example", "/", NULL);
        s[i].tags = &tag;
        s[i].tag_count = 1;
        purge_word(t, PURGE_TAG, PURGE_SOFT, "x", 100 + i);
    }
    purge_stats(t, &stats);
    assert_int_equal(stats.records, PURGE_SOFT_MAX);
    for (int i = 0; i < 20; i++) {
        int64_t since = 0;

        assert_int_equal(purge_check(t, &s[i], &since), PURGE_STALE);
        /* exact for the newest; never later than the truth for the others */
        assert_int_equal(since, i > 20 - PURGE_SOFT_MAX ? 100 + i : 100);
    }
}

static void purges_of_one_second_are_one_record(void **state)
{
    struct purge_table *t = *state;
    struct purge_stats stats;

    for (int i = 0; i < 100; i++)
        purge_word(t, PURGE_TAG, PURGE_SOFT, "x", 100);
    purge_stats(t, &stats);
    assert_int_equal(stats.records, 1);
    assert_int_equal(stats.sequence, 100);
    assert_int_equal(stats.applied[PURGE_TAG], 100);
}

/* ---- bounds ---- */

static void purge_numbered(struct purge_table *t, enum purge_mode mode, unsigned n)
{
    char path[16] = "/";

    for (int i = 1; i < 9; i++, n >>= 4)
        path[i] = "0123456789abcdef"[n & 15];
    purge_url(t, mode, "a.example", path, NULL);
}

static void beyond_its_capacity_the_floor_rises_as_softly_as_what_left(void **state)
{
    struct purge_table *t = purge_new(&secret, 10, NULL);
    struct purge_subject before = subject_of(t, "b.example", "/", NULL), after;
    struct purge_stats stats;

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        purge_numbered(t, i == 1 ? PURGE_HARD : PURGE_SOFT, i);
    after = subject_of(t, "b.example", "/", NULL);
    assert_int_equal(check(t, &before), PURGE_VALID);
    purge_numbered(t, PURGE_SOFT, 10);
    assert_int_equal(check(t, &before), PURGE_STALE);
    purge_numbered(t, PURGE_SOFT, 11); /* now the hard one leaves */
    assert_int_equal(check(t, &before), PURGE_DEAD);
    assert_int_equal(check(t, &after), PURGE_VALID);
    purge_stats(t, &stats);
    assert_int_equal(stats.records, 10);
    assert_int_equal(stats.floor_soft, 1);
    assert_int_equal(stats.floor_hard, 2);
    purge_free(t);
}

static void its_memory_is_bounded_and_accounted(void **state)
{
    struct purge_table *t = purge_new(&secret, 20000, NULL);
    struct purge_stats stats;

    (void)state;
    for (unsigned i = 0; i < 30000; i++)
        purge_numbered(t, PURGE_HARD, i);
    purge_stats(t, &stats);
    assert_int_equal(stats.records, 20000);
    assert_int_equal(stats.floor_hard, 10000);
    assert_in_range(stats.bytes, 20000 * sizeof(struct purge_slot), 20000 * 60 + (3 << 19));
    purge_free(t);
}

#ifdef WEIR_FAULTS
/* Records that find no memory push others out, never themselves: nothing that was purged revives.
 */
static void without_memory_more_is_purged_never_less(void **state)
{
    struct purge_table *t = *state;
    struct purge_subject s[600];
    unsigned n;

    for (n = 0; n < 600; n++) {
        char path[16] = "/";

        for (unsigned i = 1, m = n; i < 9; i++, m >>= 4)
            path[i] = "0123456789abcdef"[m & 15];
        s[n] = subject_of(t, "a.example", path, NULL);
        weir_alloc_fail_at(1);
        purge_numbered(t, PURGE_HARD, n);
    }
    weir_alloc_fail_at(0);
    for (n = 0; n < 600; n++)
        assert_int_equal(check(t, &s[n]), PURGE_DEAD);
}
#endif

static void a_purge_of_something_else_is_looked_at_once(void **state)
{
    struct purge_table *t = *state;
    struct purge_subject s = subject_of(t, "a.example", "/", NULL);

    purge_url(t, PURGE_HARD, "b.example", "/", NULL);
    assert_int_equal(check(t, &s), PURGE_VALID);
    assert_int_equal(atomic_load(&s.checked), 1);
    assert_int_equal(s.stamp, 0);
}

/* ---- against a model that remembers every word ---- */

#define WORLD_HOSTS 3
#define WORLD_PATHS 6
#define WORLD_TAGS  5

static const char *const hosts[WORLD_HOSTS] = {"a.example", "b.example", "b.example:81"};
static const char *const paths[WORLD_PATHS] = {"/", "/a", "/ab", "/a/b", "/a/bc", "/b"};
static const char *const tags[WORLD_TAGS] = {"1", "2", "3", "4", "5"};

struct said {
    enum purge_scope scope;
    enum purge_mode mode;
    int host, path, tag; /* host -1: all */
    uint64_t sequence;
    int64_t time_s;
};

struct thing {
    struct purge_subject s;
    uint64_t tag_hash[WORLD_TAGS];
    int host, path;
    unsigned tags; /* bits */
};

struct world {
    struct purge_table *t;
    struct said said[2000];
    size_t said_count;
    struct thing thing[64];
    int64_t now_s;
    unsigned rng;
};

static int draw(struct world *w, int n)
{
    w->rng = w->rng * 1103515245 + 12345;
    return (int)((w->rng >> 16) % (unsigned)n);
}

static size_t host_len(int host)
{
    return strcspn(hosts[host], ":");
}

static bool same_host(int a, int b)
{
    return host_len(a) == host_len(b) && memcmp(hosts[a], hosts[b], host_len(a)) == 0;
}

static bool covers(const struct said *p, const struct thing *x)
{
    switch (p->scope) {
    case PURGE_URL:
        return p->host == x->host && p->path == x->path;
    case PURGE_PREFIX:
        return (p->host < 0 || same_host(p->host, x->host)) &&
               strncmp(paths[x->path], paths[p->path], strlen(paths[p->path])) == 0;
    case PURGE_TAG:
        return (x->tags & 1U << p->tag) != 0;
    case PURGE_HOST:
        return same_host(p->host, x->host);
    default:
        return p->scope == PURGE_ALL;
    }
}

static enum purge_verdict model(const struct world *w, const struct thing *x, int64_t *since_s)
{
    enum purge_verdict v = PURGE_VALID;

    for (size_t i = 0; i < w->said_count; i++) {
        const struct said *p = &w->said[i];

        if (p->sequence <= x->s.stamp || !covers(p, x))
            continue;
        if (p->mode == PURGE_HARD)
            return PURGE_DEAD;
        if (v == PURGE_VALID || p->time_s < *since_s)
            *since_s = p->time_s;
        v = PURGE_STALE;
    }
    return v;
}

static void say(struct world *w)
{
    /* Sweeping purges are rare, or there would be nothing left to be wrong about. */
    static const enum purge_scope often[] = {PURGE_URL, PURGE_URL, PURGE_URL,    PURGE_TAG,
                                             PURGE_TAG, PURGE_URL, PURGE_PREFIX, PURGE_HOST};
    struct said *p = &w->said[w->said_count++];
    struct purge_target target;

    *p = (struct said){
        .scope = draw(w, 40) == 0 ? PURGE_ALL : often[draw(w, 8)],
        .mode = draw(w, 3) == 0 ? PURGE_HARD : PURGE_SOFT,
        .host = draw(w, WORLD_HOSTS),
        .path = draw(w, WORLD_PATHS),
        .tag = draw(w, WORLD_TAGS),
        .time_s = w->now_s,
    };
    if (p->scope == PURGE_PREFIX && draw(w, 2) == 0)
        p->host = -1;
    target = (struct purge_target){
        .scope = p->scope,
        .mode = p->mode,
        .authority = p->host >= 0 ? weir_span_str(hosts[p->host]) : WEIR_SPAN_NONE,
        .path = weir_span_str(paths[p->path]),
        .tag = weir_span_str(tags[p->tag]),
    };
    p->sequence = purge_add(w->t, &target, w->now_s);
    assert_true(p->sequence > 0);
}

static void fetch(struct world *w, struct thing *x)
{
    memset(x, 0, sizeof *x);
    x->host = draw(w, WORLD_HOSTS);
    x->path = draw(w, WORLD_PATHS);
    x->tags = (unsigned)draw(w, 1 << WORLD_TAGS);
    x->s = subject_of(w->t, hosts[x->host], paths[x->path], NULL);
    for (int i = 0; i < WORLD_TAGS; i++)
        if ((x->tags & 1U << i) != 0)
            x->tag_hash[x->s.tag_count++] = purge_tag_hash(w->t, weir_span_str(tags[i]));
    x->s.tags = x->tag_hash;
}

/* seconds: the clock's steps in all; few enough keep every time exact. */
static void live(struct world *w, int steps, int seconds, bool exact)
{
    for (int i = 0; i < 64; i++)
        fetch(w, &w->thing[i]);
    for (int step = 0; step < steps; step++) {
        w->now_s = 1000 + (int64_t)step * seconds / steps;
        if (draw(w, 3) == 0)
            say(w);
        else
            fetch(w, &w->thing[draw(w, 64)]);
        for (int i = 0; i < 64; i += 1 + draw(w, 4)) {
            struct thing *x = &w->thing[i];
            int64_t want = 0, since = 0;
            enum purge_verdict v = purge_check(w->t, &x->s, &since);
            enum purge_verdict truth = model(w, x, &want);

            if (exact) {
                assert_int_equal(v, truth);
                if (v == PURGE_STALE)
                    assert_int_equal(since, want);
            } else {
                assert_true(v >= truth);
            }
        }
    }
}

static void verdicts_are_those_of_a_naive_model(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        memset(w, 0, sizeof *w);
        w->rng = seed;
        w->t = purge_new(&secret, 0, NULL);
        live(w, 3000, PURGE_SOFT_MAX, true);
        purge_free(w->t);
    }
    free(w);
}

static void a_table_that_is_too_small_never_revives_anything(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        memset(w, 0, sizeof *w);
        w->rng = seed;
        w->t = purge_new(&secret, 1 + seed % 7, NULL);
        live(w, 3000, 1000, false);
        purge_free(w->t);
    }
    free(w);
}

/* ---- threads ---- */

#define THREADS 3
#define ROUNDS  20000

struct reading {
    struct purge_table *t;
    atomic_uint_fast64_t *purged; /* number of the last purge of "/0", once it has returned */
    atomic_bool *stop;
    struct purge_subject *shared;
};

static void *read_on(void *arg)
{
    struct reading *r = arg;
    uint64_t verdicts = 0;

    while (!atomic_load(r->stop)) {
        struct purge_subject s = subject_of(r->t, "a.example", "/0", NULL);

        /* What a purge was finished before is purged; what began after one is not, by that one. */
        uint64_t purged = atomic_load(r->purged);
        enum purge_verdict v = check(r->t, &s);

        if (v == PURGE_VALID)
            assert_true(s.stamp >= purged);
        verdicts += check(r->t, r->shared) == PURGE_VALID;
    }
    assert_true(verdicts > 0);
    return NULL;
}

static void purges_and_checks_run_side_by_side(void **state)
{
    struct purge_table *t = purge_new(&secret, 500, NULL);
    struct purge_subject shared = subject_of(t, "b.example", "/shared", NULL);
    atomic_uint_fast64_t purged = 0;
    atomic_bool stop = false;
    struct reading r = {t, &purged, &stop, &shared};
    pthread_t thread[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_on, &r), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct purge_target target = {
            .scope = PURGE_URL,
            .mode = i % 2 == 0 ? PURGE_SOFT : PURGE_HARD,
            .authority = S("a.example"),
            .path = S("/0"),
        };

        atomic_store(&purged, purge_add(t, &target, i));
        if (i % 100 == 0)
            purge_numbered(t, PURGE_HARD, (unsigned)i);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(check(t, &shared), PURGE_VALID);
    purge_free(t);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test_setup_teardown(a_url_is_purged_and_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_fetched_after_a_purge_is_valid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_prefix_is_purged_byte_by_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_host_is_purged_on_all_its_ports, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tag_is_no_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(everything_is_purged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_malformed_target_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_what_is_watched_is_invalidated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_is_stored_under_a_part_of_its_query_goes_with_any_query, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stale_counts_from_the_first_soft_purge_after_the_fetch,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_many_soft_purges_the_oldest_become_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(purges_of_one_second_are_one_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(beyond_its_capacity_the_floor_rises_as_softly_as_what_left,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_memory_is_bounded_and_accounted, set_up, tear_down),
#ifdef WEIR_FAULTS
        cmocka_unit_test_setup_teardown(without_memory_more_is_purged_never_less, set_up,
                                        tear_down),
#endif
        cmocka_unit_test_setup_teardown(a_purge_of_something_else_is_looked_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(verdicts_are_those_of_a_naive_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_table_that_is_too_small_never_revives_anything, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(purges_and_checks_run_side_by_side, set_up, tear_down),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
