#include "weir/words.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "weir/record.h"
#include "shared_engine.h"
#include "words_own.h"

/* ---- time ---- */

int64_t words_shared_now(const struct words *w)
{
    if (!w->farm || !w->reader.clock_known)
        return w->loop.clock->wall_ms;
    return words_now(w) + w->reader.clock_ms;
}

bool words_reckon(const struct words *w, struct word_said *s)
{
    int64_t left = s->ends_at_ms - words_shared_now(w);
    int64_t whole = s->ends_at_ms - (int64_t)s->word.number;

    s->word.until_ms = 0;
    if (s->ends_at_ms == 0)
        return true;
    if (left > whole) /* a clock was set back: not longer than it was said for */
        left = whole;
    if (left <= 0)
        return false;
    s->word.until_ms = words_now(w) + left;
    return true;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_quiet(const struct words *w)
{
    for (const struct words_put *p = w->puts; p != NULL; p = p->next)
        if (p->said)
            return false;
    return true;
}

void words_arm(struct words *w)
{
    int64_t due = earlier(words_reader_due(w), words_keep_due(w)), wait;

    due = earlier(due, word_table_next_end(&w->table));
    if (w->table.changed || (w->quiet != NULL && is_quiet(w)))
        due = words_now(w);
    if (due == INT64_MAX) {
        event_del(w->timer);
        return;
    }
    wait = due - words_now(w);
    if (wait < 0)
        wait = 0;
    event_add(w->timer, &(struct timeval){wait / 1000, wait % 1000 * 1000});
}

void words_notify(struct words *w)
{
    void (*changed)(void *arg) = w->changed;

    if (word_table_take_changed(&w->table) && changed != NULL)
        changed(w->arg);
}

void words_when_quiet(struct words *w, void (*quiet)(void *arg), void *arg)
{
    w->quiet = quiet;
    w->quiet_arg = arg;
    words_arm(w);
}

static void tell_quiet(struct words *w)
{
    void (*quiet)(void *arg) = w->quiet;

    if (quiet == NULL || !is_quiet(w))
        return;
    w->quiet = NULL;
    quiet(w->quiet_arg);
}

void words_turn(struct words *w)
{
    size_t before = w->table.count;

    word_table_expire(&w->table, words_now(w));
    w->dirty = w->dirty || w->table.count != before;
    words_reader_turn(w);
    words_keep(w);
    tell_quiet(w);
    words_notify(w);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct words *w = arg;

    (void)fd;
    (void)what;
    w->loop.enter(w->loop.arg);
    words_turn(w);
}

/* ---- puts ---- */

/* Who takes them off the board again and again does not fill the log with it. */
static void tell_restored(struct words *w)
{
    struct words_reader *r = &w->reader;

    if (r->restored == r->restored_told || words_now(w) < r->tell_restored_ms)
        return;
    weir_log(WEIR_LOG_WARN, "words: the farm had lost %llu, they are put back",
             (unsigned long long)(r->restored - r->restored_told));
    r->restored_told = r->restored;
    r->tell_restored_ms = words_now(w) + WORDS_TELL_MS;
}

static void finish(struct words *w, struct words_put *p)
{
    bool ok = p->call.result == SHARED_OK;
    size_t restored = 0;

    for (size_t i = 0; i < w->table.count; i++) {
        struct word_known *k = w->table.known[i];

        if (k->put != p->serial)
            continue;
        k->put = 0;
        restored += ok && !k->pending && !p->said;
        if (ok)
            k->on_board = true;
        k->pending = !ok && (k->pending || p->said);
        w->dirty = true;
    }
    if (!w->farm) /* the board begins with the process: nothing was lost */
        return;
    w->reader.restored += restored;
    tell_restored(w);
}

static void on_put(struct shared_call *c)
{
    struct words_put *p = WEIR_CONTAINER(c, struct words_put, call);
    struct words *w = p->words;
    enum words_outcome outcome = c->unconfirmed ? WORDS_UNCONFIRMED : WORDS_SAID;
    void (*told)(void *arg, enum words_outcome outcome, uint64_t number) = p->told;
    void *arg = p->arg;
    uint64_t number = p->number;

    w->loop.enter(w->loop.arg);
    if (c->result != SHARED_OK) {
        outcome = WORDS_HERE_ONLY;
        words_reader_again(w);
    }
    finish(w, p);
    words_put_drop(w, p);
    words_arm(w);
    if (told != NULL)
        told(arg, outcome, number);
}

struct words_put *words_put_new(struct words *w, bool said)
{
    struct words_put *p = weir_calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->words = w;
    p->said = said;
    p->serial = ++w->serial;
    p->next = w->puts;
    p->at = &w->puts;
    if (p->next != NULL)
        p->next->at = &p->next;
    w->puts = p;
    return p;
}

void words_put_drop(struct words *w, struct words_put *p)
{
    *p->at = p->next;
    if (p->next != NULL)
        p->next->at = p->at;
    shared_cancel(w->port, &p->call);
    weir_free(p);
}

static int64_t ttl_of(const struct words *w, const struct word_known *k)
{
    int64_t until = k->said.word.until_ms, left = until - words_now(w);

    if (until == 0)
        return 0;
    return left > 0 ? left : 1;
}

void words_put_ask(struct words *w, struct words_put *p)
{
    char ids[SHARED_BOARD_POSTS][SHARED_BOARD_ID_MAX + 1];
    struct shared_post posts[SHARED_BOARD_POSTS];
    size_t n = 0;

    for (size_t i = 0; i < w->table.count && n < SHARED_BOARD_POSTS; i++) {
        const struct word_known *k = w->table.known[i];

        if (k->put != p->serial)
            continue;
        posts[n] = (struct shared_post){.id = word_entry(&k->said, ids[n]),
                                        .bytes = weir_span(k->sealed, k->len),
                                        .ttl_ms = ttl_of(w, k),
                                        .if_absent = !p->said && !k->older_there};
        n++;
    }
    assert(n > 0);
    p->call.done = on_put;
    p->call.area = SHARED_STATE;
    p->call.timeout_ms = WORDS_TIMEOUT_MS;
    p->call.confirm = true;
    shared_board_put(w->port, &p->call, &w->board, posts, n, WEIR_SPAN_LIT("l"));
}

/* ---- saying ---- */

struct weir_span words_seal(const struct words *w, const struct word_said *s)
{
    char id[SHARED_BOARD_ID_MAX + 1];
    struct record_fields fs = {0};
    struct weir_span bytes, out = WEIR_SPAN_NONE;
    char *sealed;

    word_write(&fs, s);
    bytes = record_fields_span(&fs);
    sealed = fs.failed ? NULL : weir_malloc(bytes.len + WEIR_SEAL_BYTES);
    if (sealed != NULL && weir_seal(&w->key, "word", word_entry(s, id), bytes, sealed))
        out = weir_span(sealed, bytes.len + WEIR_SEAL_BYTES);
    else
        weir_free(sealed);
    record_fields_free(&fs);
    return out;
}

static int64_t life(const struct word_said *s, int64_t left_ms)
{
    if (s->word.kind == WORD_NOTHING)
        return WORD_NOTHING_MS;
    return left_ms == 0 && s->aspect == WORD_ORDERING ? WORD_ORDER_MS : left_ms;
}

static bool compose(const struct words *w, const struct words_say *say, struct word_said *s,
                    struct weir_err *err)
{
    int64_t now = words_shared_now(w), left;

    *s = (struct word_said){
        .format = WORD_FORMAT,
        .word = say->word,
        .aspect = word_aspect_of(say->word.target, say->word.kind, say->weight_only),
    };
    if (say->left_ms < 0 || say->left_ms > WORD_LEFT_MAX)
        return weir_failf(err, WEIR_E_CONFIG, "words", 0, "no such time");
    s->word.name = say->word.name != NULL ? say->word.name : "";
    s->word.url = say->word.url != NULL ? say->word.url : "";
    s->word.author = say->word.author != NULL ? say->word.author : "";
    s->word.reason = say->word.reason != NULL ? say->word.reason : "";
    s->word.number = (uint64_t)(now > 0 ? now : 1);
    if (s->word.number <= w->table.greatest)
        s->word.number = w->table.greatest + 1;
    s->word.said_at_s = now / 1000;
    left = life(s, say->left_ms);
    s->ends_at_ms = left > 0 ? (int64_t)s->word.number + left : 0;
    s->word.until_ms = left > 0 ? words_now(w) + left : 0;
    return word_check(s, err);
}

/* Into the table, as read from its own sealed bytes. NULL: *err. */
static struct word_known *enter_word(struct words *w, struct word_said *s, struct weir_err *err)
{
    struct weir_span sealed = words_seal(w, s);
    struct word_known *k = NULL;
    struct word_said read;
    enum word_news news = WORD_NO_MEMORY;

    if (sealed.ptr != NULL &&
        word_read(weir_span(sealed.ptr + WEIR_SEAL_BYTES, sealed.len - WEIR_SEAL_BYTES), &read)) {
        read.word.until_ms = s->word.until_ms;
        news = word_table_take(&w->table, &read, sealed, &k);
    }
    weir_free((char *)(uintptr_t)sealed.ptr);
    if (news == WORD_NEWS)
        return k;
    if (news == WORD_TOO_MANY)
        weir_failf(err, WEIR_E_OVERLOAD, "words", 0, "there are %d words already", WORDS_MAX);
    else
        weir_fail(err, WEIR_E_MEMORY, "words", 0);
    return NULL;
}

bool words_say(struct words *w, const struct words_say *say, struct weir_err *err)
{
    struct words_put *p;
    struct word_known *k;
    struct word_said s;

    if (!compose(w, say, &s, err))
        return false;
    p = words_put_new(w, true);
    if (p == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "words", 0);
    k = enter_word(w, &s, err);
    if (k == NULL) {
        words_put_drop(w, p);
        return false;
    }
    k->put = p->serial;
    p->told = say->told;
    p->arg = say->arg;
    p->number = s.word.number;
    w->dirty = true;
    words_put_ask(w, p);
    words_arm(w);
    return true;
}

/* ---- seeing ---- */

size_t words_list(struct words *w, const struct word **out)
{
    return word_table_list(&w->table, out);
}

bool words_settled(const struct words *w)
{
    return w->reader.ever || w->reader.failed;
}

void words_state(const struct words *w, struct words_state *out)
{
    const struct words_reader *r = &w->reader;

    *out = (struct words_state){
        .current =
            r->ever && (!w->farm || words_now(w) - r->contact_ms < (int64_t)3 * WORDS_READ_MS),
        .forged = r->forged,
        .foreign = r->foreign,
        .restored = r->restored,
    };
    for (size_t i = 0; i < w->table.count; i++)
        out->pending += w->table.known[i]->pending || w->table.known[i]->put != 0;
}

/* ---- life ---- */

static bool set_up(struct words *w, const struct words_options *o, struct weir_err *err)
{
    if (snprintf(w->board_key, sizeof w->board_key, "w1:{B.%s}:w", o->farm) >=
        (int)sizeof w->board_key)
        return weir_fail(err, WEIR_E_INTERNAL, "words: name of the farm", 0);
    snprintf(w->channel, sizeof w->channel, "w1:{B.%s}:ch", o->farm);
    w->board = (struct shared_board){.key = weir_span_str(w->board_key),
                                     .channel = weir_span_str(w->channel)};
    w->file = o->file != NULL ? weir_strndup(o->file, strlen(o->file)) : NULL;
    w->timer = event_new(w->loop.base, -1, 0, on_timer, w);
    if (w->timer == NULL || (w->file == NULL && o->file != NULL))
        return weir_fail(err, WEIR_E_MEMORY, "words: create", 0);
    return words_load(w, err);
}

struct words *words_new(const struct words_options *o, struct weir_err *err)
{
    struct words *w = weir_calloc(1, sizeof *w);

    if (w == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "words: create", 0);
        return NULL;
    }
    w->port = o->port;
    w->loop = *o->loop;
    w->key = *o->key;
    w->pool = o->pool;
    w->box = o->box;
    w->changed = o->changed;
    w->arg = o->arg;
    w->farm = shared_is_farm(o->port->shared);
    w->random = o->seed | 1;
    if (!set_up(w, o, err)) {
        w->dirty = false;
        words_free(w);
        return NULL;
    }
    words_reader_start(w);
    words_arm(w);
    return w;
}

void words_free(struct words *w)
{
    if (w == NULL)
        return;
    words_keep_last(w);
    words_reader_stop(w);
    for (struct words_put *p = w->puts, *next; p != NULL; p = next) {
        next = p->next;
        words_put_drop(w, p);
    }
    if (w->timer != NULL)
        event_free(w->timer);
    word_table_free(&w->table);
    weir_free(w->file);
    weir_free(w);
}
