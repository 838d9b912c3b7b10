#include "search_rules.h"

#include <pthread.h>
#include <string.h>

#include "weir/alloc.h"
#include "search_rule.h"

#define SHARDS 16
#define WAYS   4
#define SETS   (SEARCH_RULES_MAX / SHARDS / WAYS)

struct place {
    struct search_rule *rule; /* reference; NULL: free */
    struct weir_hash128 hash;
    char *key; /* owned */
    size_t key_len;
    uint64_t used; /* when last, by the shard's count */
};

struct shard {
    pthread_mutex_t lock;
    uint64_t uses;
    struct place place[SETS][WAYS];
};

struct search_rules {
    atomic_size_t count; /* never falls but with the table */
    struct shard shard[SHARDS];
};

struct search_rules *search_rules_new(struct weir_err *err)
{
    struct search_rules *t = weir_calloc(1, sizeof *t);

    if (t == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "search rules: create", 0);
        return NULL;
    }
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&t->shard[i].lock, NULL);
    return t;
}

static void clear(struct place *p)
{
    search_rule_unref(p->rule);
    weir_free(p->key);
    p->rule = NULL;
    p->key = NULL;
}

void search_rules_free(struct search_rules *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < SHARDS; i++) {
        for (int set = 0; set < SETS; set++)
            for (int way = 0; way < WAYS; way++)
                clear(&t->shard[i].place[set][way]);
        pthread_mutex_destroy(&t->shard[i].lock);
    }
    weir_free(t);
}

bool search_rules_empty(const struct search_rules *t)
{
    return atomic_load_explicit(&t->count, memory_order_relaxed) == 0;
}

static struct shard *shard_of(struct search_rules *t, const struct cache_key *where)
{
    return &t->shard[where->hash.hi % SHARDS];
}

static struct place *set_of(struct shard *s, const struct cache_key *where)
{
    return s->place[where->hash.lo % SETS];
}

static struct place *place_of(struct shard *s, const struct cache_key *where)
{
    struct place *set = set_of(s, where);

    for (int i = 0; i < WAYS; i++)
        if (set[i].rule != NULL && set[i].hash.lo == where->hash.lo &&
            set[i].hash.hi == where->hash.hi &&
            weir_span_eq(weir_span(set[i].key, set[i].key_len), where->bytes))
            return &set[i];
    return NULL;
}

struct search_rule *search_rules_find(struct search_rules *t, const struct cache_key *where)
{
    struct shard *s = shard_of(t, where);
    struct search_rule *rule = NULL;
    struct place *p;

    pthread_mutex_lock(&s->lock);
    p = place_of(s, where);
    if (p != NULL) {
        p->used = ++s->uses;
        rule = search_rule_ref(p->rule);
    }
    pthread_mutex_unlock(&s->lock);
    return rule;
}

static struct place *oldest(struct place *set)
{
    struct place *p = &set[0];

    for (int i = 0; i < WAYS; i++) {
        if (set[i].rule == NULL)
            return &set[i];
        if (set[i].used < p->used)
            p = &set[i];
    }
    return p;
}

/* The shard is locked. */
static void add(struct search_rules *t, struct shard *s, const struct cache_key *where,
                struct search_rule *rule)
{
    char *key = weir_malloc(where->bytes.len);
    struct place *p = oldest(set_of(s, where));

    if (key == NULL)
        return;
    if (p->rule == NULL)
        atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
    clear(p);
    memcpy(key, where->bytes.ptr, where->bytes.len);
    *p = (struct place){search_rule_ref(rule), where->hash, key, where->bytes.len, ++s->uses};
}

void search_rules_learn(struct search_rules *t, const struct cache_key *where,
                        struct search_rule *rule)
{
    struct shard *s = shard_of(t, where);
    struct place *p;

    if (where->bytes.len > SEARCH_RULE_KEY_MAX)
        return;
    pthread_mutex_lock(&s->lock);
    p = place_of(s, where);
    if (p == NULL) {
        add(t, s, where, rule);
    } else if (!weir_span_eq(p->rule->text, rule->text)) {
        search_rule_unref(p->rule);
        p->rule = search_rule_ref(rule);
    }
    pthread_mutex_unlock(&s->lock);
}
