/* Boards of the embedded engine: entries in the order of their ids, which end by the monotonic
 * clock. */
#include "embedded_own.h"

#include <stdlib.h>

#include "weir/alloc.h"
#include "weir/container.h"

#define ENTRIES_FIRST 16

struct entry {
    int64_t put_ms, end_ms; /* monotonic; end: EMBEDDED_LONG for one that stays */
    size_t id_len, len;
    char bytes[]; /* the id, then what was put */
};

struct board {
    struct embedded_item item;
    struct entry **entries;
    size_t count, cap;
    size_t bytes; /* of all ids and what was put */
};

/* What is to be put: entries that are not the board's; NULL once they are. */
struct making {
    struct entry *entries[SHARED_BOARD_POSTS];
    const struct shared_post *posts;
    size_t count;
};

static struct board *board_of(struct embedded_item *it)
{
    return WEIR_CONTAINER(it, struct board, item);
}

static struct weir_span id_of(const struct entry *e)
{
    return weir_span(e->bytes, e->id_len);
}

static size_t bytes_of(const struct entry *e)
{
    return e->id_len + e->len;
}

static size_t cost_of(const struct entry *e)
{
    return sizeof(*e) + bytes_of(e) + 2 * sizeof(e); /* with its share of an array that doubles */
}

static void board_drop(struct embedded_item *it)
{
    struct board *b = board_of(it);
    size_t i;

    for (i = 0; i < b->count; i++)
        weir_free(b->entries[i]);
    weir_free(b->entries);
    weir_free(b);
}

static int compare(struct weir_span a, struct weir_span b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where it is, or belongs. */
static size_t place_of(const struct board *b, struct weir_span id, bool *found)
{
    size_t low = 0, high = b->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(id_of(b->entries[middle]), id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < b->count && weir_span_eq(id_of(b->entries[low]), id);
    return low;
}

static enum shared_result find_board(struct embedded_visit *v, struct weir_span key,
                                     struct board **out)
{
    struct embedded_item *it = embedded_find(v, key);

    if (it == NULL)
        return SHARED_NONE;
    if (it->kind != EMBEDDED_BOARD)
        return SHARED_BAD;
    *out = board_of(it);
    return SHARED_OK;
}

static enum shared_result open_board(struct embedded_visit *v, struct weir_span key,
                                     struct board **out)
{
    enum shared_result result = find_board(v, key, out);
    struct embedded_item *it;

    if (result != SHARED_NONE)
        return result;
    it = embedded_item_new(sizeof(struct board), key, EMBEDDED_BOARD, 0, board_drop);
    if (it == NULL)
        return SHARED_FULL;
    if (!embedded_insert(v, it, EMBEDDED_LONG)) {
        board_drop(it);
        return SHARED_FULL;
    }
    *out = board_of(it);
    return SHARED_OK;
}

/* ---- taking away ---- */

/* Entries that `keep` refuses go. */
static void filter(struct embedded_visit *v, struct board *b,
                   bool (*keep)(const struct entry *e, const void *arg), const void *arg)
{
    size_t kept = 0, i;

    for (i = 0; i < b->count; i++) {
        struct entry *e = b->entries[i];

        if (keep(e, arg)) {
            b->entries[kept++] = e;
            continue;
        }
        b->bytes -= bytes_of(e);
        embedded_shrink(v, &b->item, cost_of(e));
        weir_free(e);
    }
    b->count = kept;
}

static bool alive(const struct entry *e, const void *now_ms)
{
    return e->end_ms > *(const int64_t *)now_ms;
}

struct ids {
    const struct weir_span *ids;
    size_t count;
};

static bool not_among(const struct entry *e, const void *arg)
{
    const struct ids *gone = arg;
    size_t i;

    for (i = 0; i < gone->count; i++)
        if (weir_span_eq(id_of(e), gone->ids[i]))
            return false;
    return true;
}

/* The board lives as long as the entry that ends last. */
static void settle_life(struct embedded_visit *v, struct board *b)
{
    int64_t end_ms = 0;
    size_t i;

    for (i = 0; i < b->count; i++)
        if (b->entries[i]->end_ms > end_ms)
            end_ms = b->entries[i]->end_ms;
    if (b->count == 0)
        embedded_remove(v, &b->item);
    else
        embedded_set_expiry(v, &b->item, end_ms);
}

/* ---- putting ---- */

static struct entry *entry_new(const struct shared_post *post, int64_t now_ms)
{
    struct entry *e = weir_malloc(sizeof(*e) + post->id.len + post->bytes.len);

    if (e == NULL)
        return NULL;
    e->put_ms = now_ms;
    e->end_ms = post->ttl_ms > 0 ? now_ms + post->ttl_ms : EMBEDDED_LONG;
    e->id_len = post->id.len;
    e->len = post->bytes.len;
    memcpy(e->bytes, post->id.ptr, post->id.len);
    if (post->bytes.len > 0)
        memcpy(e->bytes + e->id_len, post->bytes.ptr, post->bytes.len);
    return e;
}

static void making_drop(struct making *m)
{
    size_t i;

    for (i = 0; i < m->count; i++)
        weir_free(m->entries[i]);
}

static bool making_init(struct making *m, const struct shared_post *posts, size_t count,
                        int64_t now_ms)
{
    size_t i;

    *m = (struct making){.posts = posts, .count = count};
    for (i = 0; i < count; i++) {
        m->entries[i] = entry_new(&posts[i], now_ms);
        if (m->entries[i] == NULL)
            return false;
    }
    return true;
}

static bool reserve(struct board *b, size_t count)
{
    size_t cap = b->cap > 0 ? b->cap : ENTRIES_FIRST;
    struct entry **wider;

    while (cap < count)
        cap *= 2;
    if (cap == b->cap)
        return true;
    wider = weir_realloc(b->entries, cap * sizeof(struct entry *));
    if (wider == NULL)
        return false;
    b->entries = wider;
    b->cap = cap;
    return true;
}

/* Is it to be put, in the place of `old` (NULL: there is none)? */
static bool wanted(const struct shared_post *post, const struct entry *old)
{
    return old == NULL || !post->if_absent;
}

static const struct entry *find_entry(const struct board *b, struct weir_span id)
{
    bool found;
    size_t at = place_of(b, id, &found);

    return found ? b->entries[at] : NULL;
}

/* Room for all of them in the place of what they replace. False: too much, and nothing has changed.
 */
static bool take_room(struct embedded_visit *v, struct board *b, const struct making *m)
{
    size_t count = b->count, bytes = b->bytes, more = 0, less = 0, i;

    for (i = 0; i < m->count; i++) {
        const struct entry *e = m->entries[i], *old = find_entry(b, m->posts[i].id);

        if (!wanted(&m->posts[i], old))
            continue;
        count += old == NULL ? 1 : 0;
        bytes += bytes_of(e) - (old != NULL ? bytes_of(old) : 0);
        more += cost_of(e);
        less += old != NULL ? cost_of(old) : 0;
    }
    if (count > SHARED_BOARD_MAX || bytes > SHARED_BOARD_BYTES || !reserve(b, count) ||
        (more > less && !embedded_grow(v, &b->item, more - less)))
        return false;
    if (less > more)
        embedded_shrink(v, &b->item, less - more);
    return true;
}

/* There is room. */
static void set_entry(struct board *b, struct entry *e)
{
    bool found;
    size_t at = place_of(b, id_of(e), &found);

    if (found) {
        b->bytes -= bytes_of(b->entries[at]);
        weir_free(b->entries[at]);
    } else {
        memmove(b->entries + at + 1, b->entries + at, (b->count - at) * sizeof(e));
        b->count++;
    }
    b->entries[at] = e;
    b->bytes += bytes_of(e);
}

static void set_all(struct board *b, struct making *m)
{
    size_t i;

    for (i = 0; i < m->count; i++)
        if (wanted(&m->posts[i], find_entry(b, m->posts[i].id))) {
            set_entry(b, m->entries[i]);
            m->entries[i] = NULL;
        }
}

static enum shared_result put(struct embedded_visit *v, struct weir_span key, struct making *m)
{
    struct board *b;
    enum shared_result result = open_board(v, key, &b);

    if (result != SHARED_OK)
        return result;
    filter(v, b, alive, &v->now_ms);
    if (take_room(v, b, m))
        set_all(b, m);
    else
        result = SHARED_FULL;
    settle_life(v, b);
    return result;
}

static void say(struct shared_port *p, const struct shared_call *c, const struct shared_board *b,
                struct weir_span hint)
{
    if (b->channel.len > 0 && hint.len > 0)
        embedded_say(&embedded_engine_of(p)->channels, c->area, b->channel, hint);
}

void embedded_board_put(struct shared_port *p, struct shared_call *c, const struct shared_board *b,
                        const struct shared_post *posts, size_t count, struct weir_span hint)
{
    enum shared_result result = SHARED_FULL;
    struct embedded_visit v;
    struct making m;

    embedded_visit_for(&v, p, c, b->key);
    if (making_init(&m, posts, count, v.now_ms))
        do {
            embedded_lock(&v);
            result = put(&v, b->key, &m);
        } while (embedded_unlock_again(&v));
    making_drop(&m);
    if (result == SHARED_OK) {
        c->number = (uint64_t)p->loop.clock->wall_ms;
        say(p, c, b, hint);
    }
    shared_complete(p, c, result);
}

void embedded_board_remove(struct shared_port *p, struct shared_call *c,
                           const struct shared_board *b, const struct weir_span *ids, size_t count,
                           struct weir_span hint)
{
    const struct ids gone = {.ids = ids, .count = count};
    enum shared_result result;
    struct embedded_visit v;
    struct board *found;

    embedded_visit_for(&v, p, c, b->key);
    do {
        embedded_lock(&v);
        result = find_board(&v, b->key, &found);
        if (result == SHARED_OK) {
            filter(&v, found, not_among, &gone);
            settle_life(&v, found);
        }
    } while (embedded_unlock_again(&v));
    if (result == SHARED_NONE)
        result = SHARED_OK;
    if (result == SHARED_OK) {
        c->number = (uint64_t)p->loop.clock->wall_ms;
        say(p, c, b, hint);
    }
    shared_complete(p, c, result);
}

/* ---- reading ---- */

static struct weir_span copy_bytes(char **at, const char *bytes, size_t len)
{
    struct weir_span copy = weir_span(*at, len);

    if (len > 0)
        memcpy(*at, bytes, len);
    *at += len;
    return copy;
}

static void copy_note(struct shared_note *note, const struct entry *e, int64_t now_ms, char **at)
{
    note->id = copy_bytes(at, e->bytes, e->id_len);
    note->bytes = copy_bytes(at, e->bytes + e->id_len, e->len);
    note->age_ms =
        now_ms > e->put_ms ? now_ms - e->put_ms : 0; /* threads' clocks differ a little */
    note->left_ms = e->end_ms == EMBEDDED_LONG ? -1 : e->end_ms - now_ms;
}

/* Notes, ids and bytes in one allocation. */
static enum shared_result read_board(struct shared_call *c, const struct board *b, int64_t now_ms)
{
    struct shared_note *notes = weir_malloc(b->count * sizeof(*notes) + b->bytes);
    size_t count = 0, i;
    char *at;

    if (notes == NULL)
        return SHARED_FULL;
    at = (char *)(notes + b->count);
    for (i = 0; i < b->count; i++)
        if (alive(b->entries[i], &now_ms))
            copy_note(&notes[count++], b->entries[i], now_ms, &at);
    c->owned = notes;
    c->notes = notes;
    c->note_count = count;
    return SHARED_OK;
}

void embedded_board_read(struct shared_port *p, struct shared_call *c, const struct shared_board *b)
{
    enum shared_result result;
    struct embedded_visit v;
    struct board *found;

    embedded_visit_for(&v, p, c, b->key);
    do {
        embedded_lock(&v);
        result = find_board(&v, b->key, &found);
        if (result == SHARED_OK)
            result = read_board(c, found, v.now_ms);
    } while (embedded_unlock_again(&v));
    if (result == SHARED_NONE)
        result = SHARED_OK;
    if (result == SHARED_OK)
        c->number = (uint64_t)p->loop.clock->wall_ms;
    shared_complete(p, c, result);
}
