#include "member_table.h"

#include <assert.h>
#include <string.h>

#include "weir/alloc.h"

#define FIRST_CAP 16
#define GRAVE_MS  600000 /* how long who is gone is remembered, since it was on the board */

static void known_free(struct member_known *k)
{
    if (k != NULL)
        weir_free(k->bytes);
    weir_free(k);
}

void table_free(struct member_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        known_free(t->known[i]);
    weir_free(t->known);
    weir_free(t->list);
    *t = (struct member_table){.known = NULL};
}

/* ---- finding ---- */

static int order(struct weir_span id, uint64_t incarnation, const struct member_known *k)
{
    struct weir_span other = weir_span_str(k->id);
    size_t len = id.len < other.len ? id.len : other.len;
    int c = memcmp(id.ptr, other.ptr, len);

    if (c == 0)
        c = (id.len > other.len) - (id.len < other.len);
    if (c == 0)
        c = (incarnation > k->m.incarnation) - (incarnation < k->m.incarnation);
    return c;
}

/* Where it is, or would be. */
static size_t place_of(const struct member_table *t, struct weir_span id, uint64_t incarnation,
                       bool *found)
{
    size_t low = 0, high = t->count;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = order(id, incarnation, t->known[middle]);

        if (c == 0) {
            *found = true;
            return middle;
        }
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* ---- adding ---- */

static bool grow(struct member_table *t)
{
    size_t cap = t->cap > 0 ? t->cap * 2 : FIRST_CAP;
    struct member_known **known;
    struct member *list;

    if (t->count < t->cap)
        return true;
    known = weir_realloc(t->known, cap * sizeof(struct member_known *));
    if (known == NULL)
        return false;
    t->known = known;
    list = weir_realloc(t->list, (cap + 1) * sizeof *list);
    if (list == NULL)
        return false;
    t->list = list;
    t->cap = cap;
    return true;
}

static struct member_known *insert(struct member_table *t, size_t at, struct weir_span id,
                                   uint64_t incarnation, int64_t now_ms)
{
    struct member_known *k = grow(t) ? weir_calloc(1, sizeof *k) : NULL;

    if (k == NULL)
        return NULL;
    memcpy(k->id, id.ptr, id.len);
    k->m = (struct member){.id = k->id, .incarnation = incarnation, .since_ms = now_ms};
    memmove(&t->known[at + 1], &t->known[at], (t->count - at) * sizeof(struct member_known *));
    t->known[at] = k;
    t->count++;
    return k;
}

static bool live(const struct member_known *k)
{
    return !k->left && !k->silent;
}

static void drop_at(struct member_table *t, size_t at)
{
    known_free(t->known[at]);
    t->count--;
    memmove(&t->known[at], &t->known[at + 1], (t->count - at) * sizeof(struct member_known *));
}

/* ---- what a member says ---- */

static bool keep_bytes(struct member_known *k, struct weir_span bytes)
{
    char *grown;

    if (bytes.len > k->cap) {
        grown = weir_malloc(bytes.len);
        if (grown == NULL)
            return false;
        weir_free(k->bytes);
        k->bytes = grown;
        k->cap = bytes.len;
    }
    memcpy(k->bytes, bytes.ptr, bytes.len);
    return true;
}

/* Votes are compared before the bytes they lie in are replaced. */
static enum member_news take(struct member_table *t, struct member_known *k,
                             const struct member_said *said, struct weir_span bytes)
{
    bool same = k->m.sequence != 0 && k->m.format == said->format &&
                member_brief_same(&k->m.brief, &said->brief);
    bool left = (said->brief.flags & MEMBER_LEFT) != 0;

    if (!keep_bytes(k, bytes))
        return MEMBER_NO_MEMORY;
    k->m.sequence = said->sequence;
    k->m.format = said->format;
    k->m.brief = said->brief;
    if (said->brief.votes.len > 0)
        k->m.brief.votes.ptr = k->bytes + (said->brief.votes.ptr - bytes.ptr);
    if (!same && !k->silent && !(left && k->left))
        t->changed = true;
    k->left = left;
    return same ? MEMBER_NO_NEWS : MEMBER_NEWS;
}

/* ---- reading ---- */

enum member_news table_saw(struct member_table *t, struct weir_span id, uint64_t incarnation,
                           const struct member_said *said, struct weir_span bytes, int64_t age_ms,
                           int64_t now_ms)
{
    enum member_news news = MEMBER_NO_NEWS;
    struct member_known *k;
    bool found;
    size_t at = place_of(t, id, incarnation, &found);

    if (!found && t->count >= MEMBERS_MAX)
        return MEMBER_UNKNOWN;
    k = found ? t->known[at] : insert(t, at, id, incarnation, now_ms);
    if (k == NULL)
        return MEMBER_NO_MEMORY;
    k->seen_ms = now_ms;
    if (said->sequence < k->board_sequence)
        return MEMBER_STALE;
    if (said->sequence > k->m.sequence)
        news = take(t, k, said, bytes);
    if (news == MEMBER_NO_MEMORY) {
        if (!found)
            drop_at(t, at);
        return news;
    }
    /* Only what is new is a beat: bytes that somebody shows again do not keep anybody alive. */
    if (said->sequence > k->board_sequence) {
        k->board_sequence = said->sequence;
        k->m.beat_ms = now_ms - age_ms;
    }
    return news;
}

static void judge_silence(struct member_table *t, struct member_known *k, int64_t now_ms)
{
    bool was_live = live(k);

    k->silent = now_ms - k->m.beat_ms >= MEMBER_LIVE_MS;
    if (live(k) != was_live)
        t->changed = true;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Both have beaten since the younger was seen first. */
static bool are_twins(const struct member *a, const struct member *b)
{
    int64_t both = later(a->since_ms, b->since_ms);

    return a->beat_ms > both && b->beat_ms > both;
}

static bool same_id(const struct member_table *t, size_t a, size_t b)
{
    return strcmp(t->known[a]->id, t->known[b]->id) == 0;
}

/* Those with one id stand side by side. */
static bool has_twin(struct member_table *t, size_t i)
{
    const struct member *m = &t->known[i]->m;

    for (size_t j = i; j-- > 0 && same_id(t, i, j);)
        if (live(t->known[j]) && are_twins(m, &t->known[j]->m))
            return true;
    for (size_t j = i + 1; j < t->count && same_id(t, i, j); j++)
        if (live(t->known[j]) && are_twins(m, &t->known[j]->m))
            return true;
    return false;
}

static void find_twins(struct member_table *t, struct member *own)
{
    bool own_twin = false;

    for (size_t i = 0; i < t->count; i++) {
        struct member_known *k = t->known[i];
        bool twin = live(k) && has_twin(t, i);

        if (live(k) && own != NULL && strcmp(k->id, own->id) == 0 && are_twins(&k->m, own))
            twin = own_twin = true;
        t->changed = t->changed || twin != k->m.twin;
        k->m.twin = twin;
    }
    if (own == NULL)
        return;
    t->changed = t->changed || own_twin != own->twin;
    own->twin = own_twin;
}

void table_end(struct member_table *t, struct member *own, int64_t now_ms)
{
    t->live = 0;
    for (size_t i = t->count; i-- > 0;) {
        judge_silence(t, t->known[i], now_ms);
        t->live += live(t->known[i]);
        if (!live(t->known[i]) && now_ms - t->known[i]->seen_ms >= GRAVE_MS)
            drop_at(t, i);
    }
    find_twins(t, own);
}

/* ---- hints ---- */

enum member_news table_heard(struct member_table *t, struct weir_span id, uint64_t incarnation,
                             const struct member_said *said, struct weir_span bytes)
{
    bool found, was_left;
    size_t at = place_of(t, id, incarnation, &found);
    struct member_known *k;
    enum member_news news;

    if (!found)
        return MEMBER_UNKNOWN;
    k = t->known[at];
    if (said->sequence <= k->m.sequence)
        return said->sequence < k->m.sequence ? MEMBER_STALE : MEMBER_NO_NEWS;
    if (k->silent)
        return MEMBER_UNKNOWN;
    was_left = k->left;
    news = take(t, k, said, bytes);
    if (k->left != was_left)
        t->live += was_left ? 1 : (size_t)-1;
    return news;
}

/* ---- seeing ---- */

size_t table_list(struct member_table *t, const struct member *own, const struct member **out)
{
    size_t n = 0;

    *out = t->list;
    if (t->list == NULL) { /* nobody was ever added */
        *out = own;
        return own != NULL;
    }
    if (own != NULL)
        t->list[n++] = *own;
    for (size_t i = 0; i < t->count; i++)
        if (live(t->known[i]))
            t->list[n++] = t->known[i]->m;
    assert(n <= t->cap + 1);
    return n;
}

bool table_take_changed(struct member_table *t)
{
    bool changed = t->changed;

    t->changed = false;
    return changed;
}
