#include "purge.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "weir/alloc.h"

#include "purge_records.h"

#define BUCKETS 4096   /* of newest numbers by hash: 32 KiB, looked at without a lock */
#define WATCHES 262144 /* counters by hash: 1 MiB */

/* What a hash is of. The hash of one kind never equals that of another but by accident. */
enum domain { OF_URL = 1, OF_LOOSE_URL, OF_PREFIX, OF_TAG, OF_GROUP, OF_HOST, OF_ALL };

struct purge_table {
    const struct weir_hash_secret *secret;
    uint64_t all; /* the hash of everything */

    /* Read without the lock, written under it: first the buckets, then `newest`. */
    atomic_uint_fast64_t newest;
    atomic_uint_fast64_t newest_prefix;
    atomic_uint_fast64_t floor_hard;
    atomic_uint_fast64_t floor_soft;
    atomic_uint_fast64_t bucket[BUCKETS];
    atomic_uint_fast64_t prefix[PURGE_PREFIX_MAX + 1]; /* by length */

    pthread_rwlock_t lock;
    struct purge_records records;
    int64_t floor_soft_time_s; /* from then on what is below floor_soft counts as stale */

    /* Of the log; written under the lock. */
    bool has_log; /* before there are other threads */
    atomic_uint_fast64_t logged, begin;
    atomic_int_fast64_t current_until_ms; /* monotonic; INT64_MIN: the log is not known */
    atomic_uint_fast64_t believed;        /* newer stamps of other nodes count as this one */
    struct {
        uint64_t logged; /* when it began */
        uint64_t count;  /* records applied ahead in it, not landed */
    } epoch[PURGE_TOKENS];
    unsigned now; /* the epoch of what is applied ahead from here on */

    uint64_t applied[PURGE_SCOPES];
    atomic_ullong checks_exact;

    atomic_uint watch[WATCHES];
};

struct purge_table *purge_new(const struct weir_hash_secret *secret, size_t records_max,
                              struct weir_err *err)
{
    struct purge_table *t = weir_calloc(1, sizeof *t);

    if (t == NULL ||
        !purge_records_init(&t->records, records_max != 0 ? records_max : PURGE_RECORDS_MAX)) {
        weir_free(t);
        weir_fail(err, WEIR_E_MEMORY, "purge: create", 0);
        return NULL;
    }
    t->secret = secret;
    t->all = weir_hash64(secret, &(uint64_t){OF_ALL}, sizeof(uint64_t));
    pthread_rwlock_init(&t->lock, NULL);
    return t;
}

void purge_free(struct purge_table *t)
{
    if (t == NULL)
        return;
    pthread_rwlock_destroy(&t->lock);
    purge_records_free(&t->records);
    weir_free(t);
}

/* ---- hashes ---- */

static uint64_t hash_of(const struct purge_table *t, struct weir_span s)
{
    return weir_hash64(t->secret, s.ptr, s.len);
}

static uint64_t join(const struct purge_table *t, enum domain of, uint64_t a, uint64_t b,
                     uint64_t c)
{
    const uint64_t words[4] = {of, a, b, c};

    return weir_hash64(t->secret, words, sizeof words);
}

uint64_t purge_url_hash(const struct purge_table *t, struct weir_span authority,
                        struct weir_span path, struct weir_span query)
{
    /* "/a?" is not "/a": the hash of an empty query is not 0 but by accident. */
    return join(t, OF_URL, hash_of(t, authority), hash_of(t, path),
                query.ptr != NULL ? hash_of(t, query) : 0);
}

uint64_t purge_loose_hash(const struct purge_table *t, struct weir_span authority,
                          struct weir_span path)
{
    return join(t, OF_LOOSE_URL, hash_of(t, authority), hash_of(t, path), 0);
}

/* "[::1]:80" and "host:80" without the port. */
static struct weir_span without_port(struct weir_span authority)
{
    size_t n = authority.len;

    while (n > 0 && authority.ptr[n - 1] >= '0' && authority.ptr[n - 1] <= '9')
        n--;
    return n > 0 && authority.ptr[n - 1] == ':' ? weir_span(authority.ptr, n - 1) : authority;
}

uint64_t purge_host_hash(const struct purge_table *t, struct weir_span authority)
{
    return join(t, OF_HOST, hash_of(t, without_port(authority)), 0, 0);
}

uint64_t purge_tag_hash(const struct purge_table *t, struct weir_span tag)
{
    return join(t, OF_TAG, hash_of(t, tag), 0, 0);
}

uint64_t purge_group_hash(const struct purge_table *t, struct weir_span scheme,
                          struct weir_span authority, struct weir_span group)
{
    return join(t, OF_GROUP, hash_of(t, scheme), hash_of(t, authority), hash_of(t, group));
}

/* host: 0 for all hosts. */
static uint64_t prefix_hash(const struct purge_table *t, uint64_t host, struct weir_span prefix)
{
    return join(t, OF_PREFIX, host, hash_of(t, prefix), 0);
}

/* ---- records ---- */

static bool is_path(struct weir_span s)
{
    return s.len > 0 && s.ptr[0] == '/';
}

static bool well_formed(const struct purge_target *target)
{
    switch (target->scope) {
    case PURGE_URL:
        return target->authority.len > 0 && is_path(target->path);
    case PURGE_PREFIX:
        return is_path(target->path) && target->path.len <= PURGE_PREFIX_MAX;
    case PURGE_TAG:
        return target->tag.len > 0;
    case PURGE_GROUP:
        return target->authority.len > 0 && target->scheme.len > 0;
    case PURGE_HOST:
        return target->authority.len > 0;
    case PURGE_ALL:
        return true;
    case PURGE_SCOPES:
        break;
    }
    return false;
}

static uint64_t target_hash(const struct purge_table *t, const struct purge_target *target)
{
    switch (target->scope) {
    case PURGE_URL:
        return purge_url_hash(t, target->authority, target->path, target->query);
    case PURGE_PREFIX:
        return prefix_hash(t, target->authority.len > 0 ? purge_host_hash(t, target->authority) : 0,
                           target->path);
    case PURGE_TAG:
        return purge_tag_hash(t, target->tag);
    case PURGE_GROUP:
        return purge_group_hash(t, target->scheme, target->authority, target->tag);
    case PURGE_HOST:
        return purge_host_hash(t, target->authority);
    default:
        return t->all;
    }
}

bool purge_record_make(const struct purge_table *t, const struct purge_target *target,
                       int64_t now_s, struct purge_record *out)
{
    if (!well_formed(target))
        return false;
    *out = (struct purge_record){
        .scope = target->scope,
        .mode = target->mode,
        .hash = target_hash(t, target),
        .also =
            target->scope == PURGE_URL ? purge_loose_hash(t, target->authority, target->path) : 0,
        .length = target->scope == PURGE_PREFIX ? (uint32_t)target->path.len : 0,
        .time_s = now_s,
    };
    return true;
}

/* ---- applying ---- */

static void raise_to(atomic_uint_fast64_t *n, uint64_t to)
{
    if (atomic_load_explicit(n, memory_order_relaxed) < to)
        atomic_store_explicit(n, to, memory_order_release);
}

static uint64_t seen(const atomic_uint_fast64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static atomic_uint_fast64_t *bucket_of(struct purge_table *t, uint64_t hash)
{
    return &t->bucket[hash % BUCKETS];
}

/* The lock is held for writing. */
static void raise_floor(struct purge_table *t, uint64_t sequence, enum purge_mode mode,
                        int64_t time_s)
{
    if (mode == PURGE_HARD) {
        raise_to(&t->floor_hard, sequence);
    } else if (seen(&t->floor_soft) < sequence) {
        t->floor_soft_time_s = time_s;
        raise_to(&t->floor_soft, sequence);
    }
}

/* Keeps the record in the exact table; what has to leave for it, or itself if there is no memory at
 * all, is remembered by the floor. */
static void remember(struct purge_table *t, const struct purge_record *r, uint64_t hash)
{
    struct purge_kept kept = {hash, r->sequence, r->time_s, r->mode}, out;

    if (purge_records_add(&t->records, &kept, &out))
        raise_floor(t, out.sequence, out.mode, out.time_s);
    raise_to(bucket_of(t, hash), r->sequence);
}

/* The lock is held for writing. */
static void apply(struct purge_table *t, const struct purge_record *r)
{
    /* Everything, for good: that is the floor's own meaning. */
    if (r->scope == PURGE_ALL && r->mode == PURGE_HARD)
        raise_floor(t, r->sequence, PURGE_HARD, r->time_s);
    else
        remember(t, r, r->hash);
    if (r->also != 0)
        remember(t, r, r->also);
    if (r->scope == PURGE_PREFIX && r->length <= PURGE_PREFIX_MAX) {
        raise_to(&t->prefix[r->length], r->sequence);
        raise_to(&t->newest_prefix, r->sequence);
    }
    t->applied[r->scope]++;
    raise_to(&t->newest, r->sequence); /* last: who sees it sees the rest */
}

static atomic_uint *watch_of(struct purge_table *t, uint64_t url)
{
    return &t->watch[(url >> 32) % WATCHES];
}

/*
 * Sequentially consistent, as purge_watch() is: either this sees the fetch that watches, or that
 * fetch sends its request after the one that is purged for was answered.
 */
static bool watched(struct purge_table *t, uint64_t url)
{
    return atomic_load(watch_of(t, url)) > 0;
}

/* Gives it the next number. Here all that is stored watches, so the loose form is left out where
 * nothing can be covered by it. */
static uint64_t add(struct purge_table *t, struct purge_record *r)
{
    if (!watched(t, r->also))
        r->also = 0;
    pthread_rwlock_wrlock(&t->lock);
    r->sequence = seen(&t->newest) + 1;
    apply(t, r);
    pthread_rwlock_unlock(&t->lock);
    return r->sequence;
}

uint64_t purge_add_record(struct purge_table *t, const struct purge_record *r)
{
    struct purge_record numbered = *r;

    return add(t, &numbered);
}

uint64_t purge_add(struct purge_table *t, const struct purge_target *target, int64_t now_s)
{
    struct purge_record r;

    return purge_record_make(t, target, now_s, &r) ? add(t, &r) : 0;
}

uint64_t purge_invalidate(struct purge_table *t, struct weir_span authority, struct weir_span path,
                          struct weir_span query, int64_t now_s)
{
    struct purge_target target = {.scope = PURGE_URL,
                                  .mode = PURGE_HARD,
                                  .authority = authority,
                                  .path = path,
                                  .query = query};
    struct purge_record r;

    if (!purge_record_make(t, &target, now_s, &r) || !purge_is_watched(t, &r))
        return 0;
    return add(t, &r);
}

void purge_watch(struct purge_table *t, uint64_t url)
{
    atomic_fetch_add(watch_of(t, url), 1);
}

void purge_unwatch(struct purge_table *t, uint64_t url)
{
    atomic_fetch_sub_explicit(watch_of(t, url), 1, memory_order_relaxed);
}

/* ---- asking ---- */

uint64_t purge_stamp(const struct purge_table *t)
{
    return atomic_load_explicit(&t->newest, memory_order_acquire);
}

/* One check: which hashes may be covered by a record newer than `base`. */
struct check {
    struct purge_table *t;
    const struct purge_subject *subject;
    uint64_t base; /* known to be valid up to here */
};

/* Calls look() for each hash by which a purge since c->base may name the subject, until one says
 * true. */
static bool any_hash(const struct check *c,
                     bool (*look)(const struct check *c, uint64_t hash, void *arg), void *arg)
{
    const struct purge_subject *s = c->subject;
    size_t longest = s->path.len < PURGE_PREFIX_MAX ? s->path.len : PURGE_PREFIX_MAX;

    if (look(c, c->t->all, arg) || look(c, s->url, arg) || look(c, s->host, arg))
        return true;
    for (uint32_t i = 0; i < s->tag_count; i++)
        if (look(c, s->tags[i], arg))
            return true;
    if (seen(&c->t->newest_prefix) <= c->base)
        return false;
    for (size_t n = 1; n <= longest; n++) {
        struct weir_span prefix = weir_span(s->path.ptr, n);

        if (seen(&c->t->prefix[n]) > c->base && (look(c, prefix_hash(c->t, s->host, prefix), arg) ||
                                                 look(c, prefix_hash(c->t, 0, prefix), arg)))
            return true;
    }
    return false;
}

static bool bucket_is_new(const struct check *c, uint64_t hash, void *arg)
{
    (void)arg;
    return seen(bucket_of(c->t, hash)) > c->base;
}

/* What the records say; of several soft ones the earliest counts. */
struct finding {
    enum purge_verdict verdict;
    int64_t since_s;
};

static void note(struct finding *f, enum purge_mode mode, int64_t time_s)
{
    if (mode == PURGE_HARD) {
        f->verdict = PURGE_DEAD;
    } else if (f->verdict == PURGE_VALID || (f->verdict == PURGE_STALE && time_s < f->since_s)) {
        f->verdict = PURGE_STALE;
        f->since_s = time_s;
    }
}

static bool consult(const struct check *c, uint64_t hash, void *arg)
{
    struct finding *f = arg;
    struct purge_kept kept;
    uint32_t at = 0;

    if (!bucket_is_new(c, hash, NULL))
        return false;
    while (purge_records_next(&c->t->records, hash, &at, &kept))
        if (kept.sequence > c->subject->stamp)
            note(f, kept.mode, kept.time_s);
    return f->verdict == PURGE_DEAD;
}

/* Under the lock: what a floor has taken over is no longer in the table, and the other way round.
 */
static struct finding check_exactly(const struct check *c)
{
    struct finding f = {PURGE_VALID, 0};
    struct purge_table *t = c->t;

    pthread_rwlock_rdlock(&t->lock);
    if (seen(&t->floor_hard) > c->subject->stamp)
        note(&f, PURGE_HARD, 0);
    if (seen(&t->floor_soft) > c->subject->stamp)
        note(&f, PURGE_SOFT, t->floor_soft_time_s);
    if (f.verdict != PURGE_DEAD)
        any_hash(c, consult, &f);
    pthread_rwlock_unlock(&t->lock);
    atomic_fetch_add_explicit(&t->checks_exact, 1, memory_order_relaxed);
    return f;
}

/* Something was purged since the last check. Apart, so that a hit does not pay for its frame. */
static __attribute__((noinline)) enum purge_verdict check_again(struct purge_table *t,
                                                                struct purge_subject *s,
                                                                uint64_t base, uint64_t newest,
                                                                int64_t *since_s)
{
    const struct check c = {t, s, base};
    struct finding f = {PURGE_VALID, 0};

    if (seen(&t->floor_hard) > s->stamp || seen(&t->floor_soft) > s->stamp ||
        any_hash(&c, bucket_is_new, NULL))
        f = check_exactly(&c);
    if (f.verdict == PURGE_VALID)
        atomic_store_explicit(&s->checked, newest, memory_order_relaxed);
    *since_s = f.since_s;
    return f.verdict;
}

enum purge_verdict purge_check(struct purge_table *t, struct purge_subject *s, int64_t *since_s)
{
    uint64_t newest = atomic_load_explicit(&t->newest, memory_order_acquire);
    uint64_t checked = atomic_load_explicit(&s->checked, memory_order_relaxed);
    uint64_t base = checked > s->stamp ? checked : s->stamp;

    return base >= newest ? PURGE_VALID : check_again(t, s, base, newest, since_s);
}

/* ---- the log of a farm ---- */

#define CLOCKS_APART_MS (3600 * 1000) /* and less: this node's and that of Redis */

uint64_t purge_logged(const struct purge_table *t)
{
    return t->has_log ? atomic_load_explicit(&t->logged, memory_order_acquire) : purge_stamp(t);
}

bool purge_log_current(const struct purge_table *t, int64_t now_ms)
{
    return !t->has_log || now_ms < atomic_load_explicit(&t->current_until_ms, memory_order_acquire);
}

void purge_log_current_at(struct purge_table *t, int64_t asked_ms)
{
    /* After all that was read: whoever sees this sees the purges. */
    atomic_store_explicit(&t->current_until_ms, asked_ms + PURGE_CURRENT_MS, memory_order_release);
}

void purge_log_doubt(struct purge_table *t)
{
    atomic_store_explicit(&t->current_until_ms, INT64_MIN, memory_order_release);
}

bool purge_admit(const struct purge_table *t, uint64_t logged, int64_t now_ms, uint64_t *stamp)
{
    /* First: what was applied before it is then seen in all that is looked at later. */
    bool current = purge_log_current(t, now_ms);
    uint64_t believed = atomic_load_explicit(&t->believed, memory_order_acquire);

    *stamp = logged;
    if (!t->has_log)
        return true;
    *stamp = logged < believed ? logged : believed;
    return current && logged != 0 && believed != 0 && logged >= seen(&t->begin);
}

/*
 * What other nodes fetched since the oldest purge that has not landed may be older than it. Kept in
 * two epochs, so that it moves on though there is always one on its way: the older one must empty,
 * then the newer takes its place.
 */
static void find_believed(struct purge_table *t)
{
    uint64_t logged = seen(&t->logged);

    if (t->epoch[!t->now].count == 0 && t->epoch[t->now].count > 0) {
        t->now = !t->now;
        t->epoch[t->now].logged = logged;
    }
    if (t->epoch[!t->now].count > 0)
        logged = t->epoch[!t->now].logged < logged ? t->epoch[!t->now].logged : logged;
    else
        t->epoch[t->now].logged = logged;
    atomic_store_explicit(&t->believed, logged, memory_order_release);
}

/* All of them get one number. The lock is held for writing. */
static void apply_all(struct purge_table *t, const struct purge_record *r, size_t count,
                      uint64_t number)
{
    for (size_t i = 0; i < count; i++) {
        struct purge_record numbered = r[i];

        numbered.sequence = number;
        apply(t, &numbered);
    }
}

static uint64_t number_of(const struct purge_table *t, uint64_t id)
{
    uint64_t next = seen(&t->newest) + 1;

    return id > next ? id : next;
}

void purge_log_start(struct purge_table *t, int64_t wall_ms)
{
    pthread_rwlock_wrlock(&t->lock);
    t->has_log = true;
    purge_log_doubt(t);
    if (wall_ms > CLOCKS_APART_MS)
        raise_to(&t->newest, (uint64_t)(wall_ms - CLOCKS_APART_MS) << 20);
    pthread_rwlock_unlock(&t->lock);
}

void purge_log_begins(struct purge_table *t, uint64_t id)
{
    pthread_rwlock_wrlock(&t->lock);
    raise_to(&t->begin, id);
    /* Were there, since this node started, so many purges that some are gone from the log? */
    if (id > seen(&t->newest)) {
        raise_floor(t, id, PURGE_HARD, 0);
        raise_to(&t->newest, id);
    }
    pthread_rwlock_unlock(&t->lock);
}

void purge_log_apply(struct purge_table *t, const struct purge_record *r, size_t count, uint64_t id)
{
    pthread_rwlock_wrlock(&t->lock);
    apply_all(t, r, count, number_of(t, id));
    pthread_rwlock_unlock(&t->lock);
}

void purge_log_missed(struct purge_table *t, uint64_t id)
{
    uint64_t number;

    pthread_rwlock_wrlock(&t->lock);
    number = number_of(t, id);
    raise_floor(t, number, PURGE_HARD, 0);
    raise_to(&t->begin, id);
    raise_to(&t->newest, number);
    pthread_rwlock_unlock(&t->lock);
}

void purge_log_reached(struct purge_table *t, uint64_t id)
{
    pthread_rwlock_wrlock(&t->lock);
    for (int i = 0; i < PURGE_TOKENS; i++)
        if (t->epoch[i].logged > id) /* it went back */
            t->epoch[i].logged = id;
    raise_to(&t->newest, id); /* before it may be anybody's stamp: what comes ahead is above it */
    atomic_store_explicit(&t->logged, id, memory_order_release);
    find_believed(t);
    pthread_rwlock_unlock(&t->lock);
}

unsigned purge_ahead(struct purge_table *t, const struct purge_record *r, size_t count)
{
    unsigned token;

    pthread_rwlock_wrlock(&t->lock);
    apply_all(t, r, count, seen(&t->newest) + 1);
    token = t->now;
    t->epoch[token].count += count;
    find_believed(t);
    pthread_rwlock_unlock(&t->lock);
    return token;
}

void purge_landed(struct purge_table *t, unsigned token, size_t count)
{
    pthread_rwlock_wrlock(&t->lock);
    assert(token < PURGE_TOKENS && t->epoch[token].count >= count);
    t->epoch[token].count -= count;
    find_believed(t);
    pthread_rwlock_unlock(&t->lock);
}

bool purge_is_watched(struct purge_table *t, const struct purge_record *r)
{
    return watched(t, r->hash) || watched(t, r->also);
}

/* ---- seeing ---- */

void purge_stats(struct purge_table *t, struct purge_stats *out)
{
    memset(out, 0, sizeof *out);
    pthread_rwlock_rdlock(&t->lock);
    out->sequence = seen(&t->newest);
    out->floor_hard = seen(&t->floor_hard);
    out->floor_soft = seen(&t->floor_soft);
    out->logged = seen(&t->logged);
    out->begin = seen(&t->begin);
    out->records = t->records.count;
    out->records_max = t->records.max;
    out->bytes = sizeof *t + purge_records_bytes(&t->records);
    memcpy(out->applied, t->applied, sizeof out->applied);
    pthread_rwlock_unlock(&t->lock);
    out->checks_exact = atomic_load_explicit(&t->checks_exact, memory_order_relaxed);
}
