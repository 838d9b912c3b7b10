#include "fill.h"

#include <assert.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "http_head.h"

/*
 * A fill that was never where another thread could find it is one thread's, and takes no lock. That
 * is every pass. It becomes shared on its thread, before others can find it.
 */
static void hold(struct fill *f)
{
    if (f->shared)
        pthread_mutex_lock(&f->lock);
}

static void let_go(struct fill *f)
{
    if (f->shared)
        pthread_mutex_unlock(&f->lock);
}

static void on_space_mail(struct weir_mail *mail);
static void on_abandon_mail(struct weir_mail *mail);
static void mail_owner(struct fill *f, bool *mailed, struct weir_mail *mail);

struct fill *fill_new(const struct cache_key *key, bool retain, struct weir_mailbox *box,
                      const struct fill_owner *owner, void *owner_arg, struct weir_err *err)
{
    struct fill *f = weir_calloc(1, sizeof *f + key->bytes.len);
    char *copy;

    if (f == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "fill: create", 0);
        return NULL;
    }
    copy = (char *)(f + 1);
    if (key->bytes.len > 0)
        memcpy(copy, key->bytes.ptr, key->bytes.len);
    atomic_init(&f->refs, 1);
    pthread_mutex_init(&f->lock, NULL);
    f->retain = retain;
    f->shared = key->bytes.len > 0;
    f->key = weir_span(copy, key->bytes.len);
    f->hash = key->hash;
    f->box = box;
    f->owner = owner;
    f->owner_arg = owner_arg;
    f->space_mail.run = on_space_mail;
    f->abandon_mail.run = on_abandon_mail;
    return f;
}

void fill_set_subject(struct fill *f, struct purge_table *t, uint64_t url, uint64_t host,
                      uint64_t also, struct weir_span path)
{
    purge_watch(t, url); /* before the stamp is taken: see purge_watch() */
    if (also != 0)
        purge_watch(t, also);
    f->watch_also = also;
    f->purges = t;
    f->purge.stamp = purge_stamp(t);
    f->purge.logged = purge_logged(t);
    f->purge.url = url;
    f->purge.host = host;
    f->purge.path = path;
}

struct fill *fill_ref(struct fill *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

static void destroy(struct fill *f)
{
    for (size_t i = 0; i < f->part_count; i++)
        weir_blob_unref(f->parts[i].blob);
    weir_free(f->parts);
    weir_blob_unref(f->head.bytes);
    weir_blob_unref(f->head.trailers);
    weir_free(f->head.fields);
    stored_response_unref(f->answer);
    weir_free(f->vary);
    if (f->purges != NULL)
        purge_unwatch(f->purges, f->purge.url);
    if (f->watch_also != 0)
        purge_unwatch(f->purges, f->watch_also);
    weir_free(f->moved);
    pthread_mutex_destroy(&f->lock);
    weir_free(f);
}

void fill_unref(struct fill *f)
{
    if (f != NULL && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
        destroy(f);
}

bool fill_set_variant(struct fill *f, const struct vary_spec *vary, struct weir_span variant)
{
    struct vary_spec *copy = weir_malloc(sizeof *copy + variant.len);

    if (copy == NULL)
        return false;
    *copy = *vary;
    if (variant.len > 0)
        memcpy(copy + 1, variant.ptr, variant.len);
    weir_free(f->vary);
    f->vary = copy;
    f->variant = weir_span((char *)(copy + 1), variant.len);
    return true;
}

/* ---- waking ---- */

static void on_reader_mail(struct weir_mail *mail)
{
    struct fill_reader *r = WEIR_CONTAINER(mail, struct fill_reader, mail);
    bool closed;

    hold(r->fill);
    r->mailed = false;
    closed = r->closed;
    let_go(r->fill);
    if (closed) {
        fill_unref(r->fill);
        weir_free(r);
    } else {
        r->wake(r->arg);
    }
}

/* The first reader of this thread that is due, no longer due. */
static struct fill_reader *next_due(struct fill *f)
{
    for (struct fill_reader *r = f->readers; r != NULL; r = r->next)
        if (r->due) {
            r->due = false;
            return r;
        }
    return NULL;
}

/*
 * Wakes all who wait now; the lock is held and is released here. Readers on this thread are called
 * straight away, without the lock. A call may close any reader, and may arm its own wake-up again:
 * so who is due is marked first, and looked for anew after each call. It may also end the fetch, so
 * a caller that needs the fill afterwards holds a reference.
 */
static void wake_readers_unlock(struct fill *f)
{
    struct fill_reader *due = NULL;
    bool held;

    for (struct fill_reader *r = f->readers; r != NULL; r = r->next) {
        if (!r->waiting)
            continue;
        r->waiting = false;
        if (r->box == f->box) {
            r->due = true;
            due = r;
        } else if (!r->mailed) {
            r->mailed = true;
            weir_mailbox_post(r->box, &r->mail);
        }
    }
    held = due != NULL;
    if (held)
        fill_ref(f);
    while (due != NULL && (due = next_due(f)) != NULL) {
        let_go(f);
        due->wake(due->arg);
        hold(f);
    }
    let_go(f);
    if (held)
        fill_unref(f);
}

/* ---- the window ---- */

/* Bytes the slowest reader has not taken yet. */
static uint64_t backlog(const struct fill *f)
{
    uint64_t least = f->readers != NULL ? UINT64_MAX : f->bytes;

    for (const struct fill_reader *r = f->readers; r != NULL; r = r->next)
        if (r->taken < least)
            least = r->taken;
    return f->bytes - least;
}

/* Forgets the parts that every reader has taken; only when nothing is retained. */
static void drop_taken(struct fill *f)
{
    uint64_t least = f->dropped + f->part_count;
    size_t n;

    for (const struct fill_reader *r = f->readers; r != NULL; r = r->next)
        if (r->part < least)
            least = r->part;
    n = (size_t)(least - f->dropped);
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++)
        weir_blob_unref(f->parts[i].blob);
    f->part_count -= n;
    memmove(f->parts, f->parts + n, f->part_count * sizeof *f->parts);
    f->dropped = least;
}

/* ---- telling the owner ---- */

static void on_space_mail(struct weir_mail *mail)
{
    struct fill *f = WEIR_CONTAINER(mail, struct fill, space_mail);
    void *arg;

    hold(f);
    f->space_mailed = false;
    arg = f->owner_arg;
    let_go(f);
    if (arg != NULL)
        f->owner->space(arg);
    fill_unref(f);
}

static void on_abandon_mail(struct weir_mail *mail)
{
    struct fill *f = WEIR_CONTAINER(mail, struct fill, abandon_mail);
    void *arg;

    hold(f);
    f->abandon_mailed = false;
    /* Somebody may have joined since. */
    arg = f->readers == NULL && !f->retain ? f->owner_arg : NULL;
    let_go(f);
    if (arg != NULL)
        f->owner->abandoned(arg);
    fill_unref(f);
}

/* Both are always mailed, also to one's own thread: the owner acts from a clean stack. */
static void mail_owner(struct fill *f, bool *mailed, struct weir_mail *mail)
{
    if (*mailed || f->owner_arg == NULL)
        return;
    *mailed = true;
    fill_ref(f);
    weir_mailbox_post(f->box, mail);
}

/* The lock is held. */
static void after_reader_moved(struct fill *f)
{
    if (!f->retain)
        drop_taken(f);
    if (f->paused && backlog(f) < FILL_WINDOW_BYTES / 2) {
        f->paused = false;
        mail_owner(f, &f->space_mailed, &f->space_mail);
    }
}

/* ---- producer ---- */

void fill_open(struct fill *f, const struct fill_head *head, bool quiet)
{
    hold(f);
    assert(f->state == FILL_WAITING);
    f->head = *head;
    f->state = FILL_OPEN;
    if (quiet)
        let_go(f);
    else
        wake_readers_unlock(f);
}

static bool grow_parts(struct fill *f)
{
    size_t cap = f->part_cap == 0 ? 4 : f->part_cap * 2;
    struct weir_slice *parts = weir_realloc(f->parts, cap * sizeof *parts);

    if (parts == NULL)
        return false;
    f->parts = parts;
    f->part_cap = cap;
    return true;
}

/* The lock is held. A producer that was told to pause stays so until space() is mailed. */
static bool has_space(struct fill *f)
{
    if (f->retain || f->state != FILL_OPEN)
        return true;
    if (backlog(f) >= FILL_WINDOW_BYTES)
        f->paused = true;
    return !f->paused;
}

void fill_wake(struct fill *f)
{
    hold(f);
    wake_readers_unlock(f);
}

/* The lock is held. Takes the slice; false when it could not be kept: then the body is not what it
 * says. */
static bool keep_part(struct fill *f, struct weir_slice s)
{
    bool kept;

    if (!f->retain)
        drop_taken(f);
    /* A body that has lost a part must not go on behind the hole. */
    kept = f->state != FILL_FAILED && (f->part_count < f->part_cap || grow_parts(f));
    if (kept) {
        f->parts[f->part_count++] = s;
        f->bytes += s.len;
    } else {
        weir_blob_unref(s.blob);
    }
    return kept;
}

static void fail_for_memory(struct fill *f)
{
    struct weir_err err = {.code = WEIR_E_MEMORY, .where = "fill: append"};

    fill_fail(f, &err); /* keeps an earlier cause */
}

bool fill_append(struct fill *f, struct weir_slice s)
{
    bool go_on;

    hold(f);
    if (!keep_part(f, s)) {
        let_go(f);
        fail_for_memory(f);
        return true;
    }
    fill_ref(f); /* who is woken may end the fetch */
    wake_readers_unlock(f);

    hold(f);
    go_on = has_space(f);
    let_go(f);
    fill_unref(f);
    return go_on;
}

bool fill_is_paused(struct fill *f)
{
    bool paused;

    hold(f);
    paused = f->paused;
    let_go(f);
    return paused;
}

void fill_append_last(struct fill *f, struct weir_slice s)
{
    bool kept;

    hold(f);
    kept = keep_part(f, s);
    let_go(f);
    if (!kept)
        fail_for_memory(f);
}

void fill_finish(struct fill *f, struct weir_blob *trailers)
{
    hold(f);
    if (f->state != FILL_OPEN) {
        weir_blob_unref(trailers);
    } else {
        f->state = FILL_DONE;
        f->head.trailers = trailers;
    }
    wake_readers_unlock(f);
}

void fill_fail(struct fill *f, const struct weir_err *err)
{
    hold(f);
    if (f->state == FILL_WAITING || f->state == FILL_OPEN) {
        f->state = FILL_FAILED;
        f->err = *err;
    }
    wake_readers_unlock(f);
}

void fill_answer(struct fill *f, struct stored_response *r, bool fresh, bool stored, int fwd_status,
                 const char *detail)
{
    hold(f);
    if (f->state == FILL_WAITING) {
        f->answer = stored_response_ref(r);
        f->answer_fresh = fresh;
        f->answer_stored = stored;
        f->answer_fwd_status = fwd_status;
        f->answer_detail = detail;
        f->state = FILL_ANSWERED;
    }
    wake_readers_unlock(f);
}

void fill_disband(struct fill *f, struct fill_reader *leader)
{
    struct fill_reader *r;

    hold(f);
    f->retain = false;
    f->disbanded = true;
    /* Everyone else is unlinked here and sees DISBANDED by not being in the list any more. */
    r = f->readers;
    while (r != NULL) {
        struct fill_reader *next = r->next;

        if (r != leader) {
            *r->at = next;
            if (next != NULL)
                next->at = r->at;
            r->at = NULL;
            if (r->waiting) {
                r->waiting = false;
                if (!r->mailed) {
                    /* By mail on this thread too: the exchange asks again from a clean stack. */
                    r->mailed = true;
                    weir_mailbox_post(r->box, &r->mail);
                }
            }
        }
        r = next;
    }
    let_go(f);
}

void fill_stop_retaining(struct fill *f)
{
    hold(f);
    f->retain = false;
    drop_taken(f);
    if (f->readers == NULL) /* they left while it was still worth keeping */
        mail_owner(f, &f->abandon_mailed, &f->abandon_mail);
    let_go(f);
}

void fill_detach_owner(struct fill *f)
{
    hold(f);
    f->owner_arg = NULL;
    let_go(f);
}

/* ---- readers ---- */

struct fill_reader *fill_reader_open(struct fill *f, struct weir_mailbox *box,
                                     void (*wake)(void *arg), void *arg)
{
    struct fill_reader *r = weir_calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->fill = fill_ref(f);
    r->box = box;
    r->mail.run = on_reader_mail;
    r->wake = wake;
    r->arg = arg;
    hold(f);
    /* Found in the table just before it was taken out there: the response is another's, or has lost
     * its beginning. Such a reader is sent away like those who were there in time. */
    if (!f->disbanded && f->dropped == 0) {
        r->next = f->readers;
        r->at = &f->readers;
        if (r->next != NULL)
            r->next->at = &r->next;
        f->readers = r;
    }
    let_go(f);
    return r;
}

void fill_reader_close(struct fill_reader *r)
{
    struct fill *f;
    bool free_now;

    if (r == NULL)
        return;
    f = r->fill;
    hold(f);
    if (r->at != NULL) {
        *r->at = r->next;
        if (r->next != NULL)
            r->next->at = r->at;
        r->at = NULL;
    }
    r->closed = true;
    free_now = !r->mailed;
    if (f->readers == NULL && !f->retain && (f->state == FILL_WAITING || f->state == FILL_OPEN))
        mail_owner(f, &f->abandon_mailed, &f->abandon_mail);
    else
        after_reader_moved(f);
    let_go(f);
    if (free_now) {
        weir_free(r);
        fill_unref(f);
    }
}

enum fill_state fill_reader_state(struct fill_reader *r)
{
    enum fill_state state;

    hold(r->fill);
    state = r->at == NULL ? FILL_DISBANDED : r->fill->state;
    r->waiting = state == FILL_WAITING;
    let_go(r->fill);
    return state;
}

enum fill_read fill_reader_take(struct fill_reader *r, struct weir_slice *out, unsigned max,
                                unsigned *n)
{
    struct fill *f = r->fill;
    enum fill_read result = FILL_READ_DATA;

    *n = 0;
    hold(f);
    if (r->at == NULL) { /* sent away: its parts may be gone */
        let_go(f);
        return FILL_READ_FAILED;
    }
    while (*n < max && r->part < f->dropped + f->part_count) {
        struct weir_slice s = f->parts[r->part - f->dropped];

        weir_blob_ref(s.blob);
        out[(*n)++] = s;
        r->part++;
        r->taken += s.len;
    }
    if (*n > 0)
        after_reader_moved(f);
    else if (f->state == FILL_DONE)
        result = FILL_READ_END;
    else if (f->state == FILL_FAILED)
        result = FILL_READ_FAILED;
    else {
        r->waiting = true;
        result = FILL_READ_WAIT;
    }
    let_go(f);
    return result;
}

bool fill_reader_done(struct fill_reader *r)
{
    struct fill *f = r->fill;
    bool done;

    hold(f);
    done = f->state == FILL_DONE && r->part == f->dropped + f->part_count;
    let_go(f);
    return done;
}
