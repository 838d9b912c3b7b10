#include "words_own.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "weir/work.h"
#include "words_file.h"

#define AGAIN_MS 60000 /* after a failure */
#define CONTACT_MS                                                                                 \
    ((int64_t)6 * 3600000) /* the file says at least so exactly when it was seen last */

/*
 * One writing of the file. If it has begun when the words are freed, `words` becomes NULL, and its
 * mail only frees it.
 */
struct words_save {
    struct weir_work work; /* first */
    struct words *words;
    sem_t finished;
    char *path, *text;
    int64_t contact;
    bool ok;
    struct weir_err err;
};

/* ---- reading ---- */

static void set_aside(struct words *w, const struct weir_err *why)
{
    char *bad = weir_malloc(strlen(w->file) + 5);

    weir_log(WEIR_LOG_ERROR, "words: %s makes no sense (%s): it is set aside as %s.bad", w->file,
             why->detail, w->file);
    if (bad == NULL)
        return;
    sprintf(bad, "%s.bad", w->file);
    if (rename(w->file, bad) != 0)
        weir_log(WEIR_LOG_ERROR, "words: %s: %s", bad, strerror(errno));
    weir_free(bad);
}

/* Its end is reckoned by our own clock for now. */
static bool enter_word(struct words *w, const struct words_file_word *f)
{
    struct word_said s = f->said, read;
    struct weir_span sealed;
    struct word_known *k = NULL;
    bool ok = false;

    if (!words_reckon(w, &s))
        return true;
    sealed = words_seal(w, &s);
    if (sealed.ptr != NULL &&
        word_read(weir_span(sealed.ptr + WEIR_SEAL_BYTES, sealed.len - WEIR_SEAL_BYTES), &read)) {
        read.word.until_ms = s.word.until_ms;
        ok = word_table_take(&w->table, &read, sealed, &k) != WORD_NO_MEMORY;
    }
    weir_free((char *)(uintptr_t)sealed.ptr);
    if (k != NULL) {
        k->guessed = true;
        k->pending = f->pending;
    }
    return ok;
}

static bool enter_all(struct words *w, const struct words_file *f, struct weir_err *err)
{
    for (size_t i = 0; i < f->count; i++)
        if (!enter_word(w, &f->words[i]))
            return weir_fail(err, WEIR_E_MEMORY, "words: file", 0);
    w->reader.contact_at = w->saved_contact = f->contact_ms;
    return true;
}

static bool understand(struct words *w, struct weir_span text, struct weir_err *err)
{
    struct weir_err why = {0};
    struct words_file f;
    bool ok;

    if (!words_file_parse(text, &f, &why)) {
        if (why.code == WEIR_E_MEMORY)
            return weir_fail(err, WEIR_E_MEMORY, "words: file", 0);
        set_aside(w, &why);
        return true;
    }
    ok = enter_all(w, &f, err);
    words_file_clear(&f);
    return ok;
}

bool words_load(struct words *w, struct weir_err *err)
{
    struct weir_err why = {0};
    char *text;
    size_t len;
    bool ok;

    if (w->file == NULL)
        return true;
    if (!words_file_read(w->file, &text, &len, &why)) {
        if (why.code == WEIR_E_MEMORY)
            return weir_fail(err, WEIR_E_MEMORY, "words: file", 0);
        weir_log_err(WEIR_LOG_ERROR, "words are not kept over a restart", &why);
        weir_free(w->file); /* what cannot be read must not be overwritten either */
        w->file = NULL;
        return true;
    }
    ok = text == NULL || understand(w, weir_span(text, len), err);
    weir_free(text);
    return ok;
}

/* ---- writing ---- */

static char *text_of(const struct words *w)
{
    struct words_file f = {.contact_ms = w->reader.contact_at};
    char *text;

    f.words = weir_calloc(w->table.count + 1, sizeof *f.words);
    if (f.words == NULL)
        return NULL;
    for (size_t i = 0; i < w->table.count; i++) {
        const struct word_known *k = w->table.known[i];

        f.words[f.count++] =
            (struct words_file_word){.said = k->said, .pending = k->pending || k->put != 0};
    }
    text = words_file_text(&f);
    weir_free(f.words);
    return text;
}

static void tell(struct words *w, bool ok, const struct weir_err *err)
{
    if (!ok && !w->save_failed)
        weir_log_err(WEIR_LOG_ERROR, "words cannot be kept", err);
    else if (ok && w->save_failed)
        weir_log(WEIR_LOG_INFO, "words are kept again in %s", w->file);
    w->save_failed = !ok;
}

static void save_free(struct words_save *s)
{
    sem_destroy(&s->finished);
    weir_free(s->path);
    free(s->text);
    weir_free(s);
}

static void run(struct weir_work *work)
{
    struct words_save *s = (struct words_save *)(void *)work;

    s->ok = words_file_write(s->path, weir_span_str(s->text), &s->err);
    sem_post(&s->finished);
}

static void saved(struct weir_work *work)
{
    struct words_save *s = (struct words_save *)(void *)work;
    struct words *w = s->words;

    if (w != NULL) {
        w->loop.enter(w->loop.arg);
        w->save = NULL;
        tell(w, s->ok, &s->err);
        if (s->ok) {
            w->saved_contact = s->contact;
        } else {
            w->dirty = true;
            w->save_again_ms = words_now(w) + AGAIN_MS;
        }
        words_arm(w);
    }
    save_free(s);
}

static struct words_save *save_new(struct words *w)
{
    struct words_save *s = weir_calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    sem_init(&s->finished, 0, 0);
    s->path = weir_strndup(w->file, strlen(w->file));
    s->text = text_of(w);
    if (s->path == NULL || s->text == NULL) {
        save_free(s);
        return NULL;
    }
    s->words = w;
    s->contact = w->reader.contact_at;
    s->work.reply = w->box;
    s->work.run = run;
    s->work.done = saved;
    return s;
}

static bool wanted(const struct words *w)
{
    return w->file != NULL && w->save == NULL &&
           (w->dirty || (w->table.count > 0 && w->farm &&
                         w->reader.contact_at - w->saved_contact >= CONTACT_MS));
}

int64_t words_keep_due(const struct words *w)
{
    return wanted(w) ? w->save_again_ms : INT64_MAX;
}

void words_keep(struct words *w)
{
    if (!wanted(w) || words_now(w) < w->save_again_ms)
        return;
    w->save = save_new(w);
    if (w->save == NULL) {
        w->save_again_ms = words_now(w) + AGAIN_MS;
        return;
    }
    w->dirty = false;
    weir_work_submit(w->pool, &w->save->work);
}

void words_keep_last(struct words *w)
{
    struct weir_err err = {0};
    char *text;

    if (w->save != NULL && weir_work_withdraw(w->pool, &w->save->work)) {
        save_free(w->save);
        w->dirty = true;
    } else if (w->save != NULL) {
        sem_wait(&w->save->finished); /* two must not write at once */
        w->dirty = w->dirty || !w->save->ok;
        w->save->words = NULL;
    }
    w->save = NULL;
    if (w->file == NULL || !w->dirty)
        return;
    text = text_of(w);
    if (text == NULL)
        weir_fail(&err, WEIR_E_MEMORY, "words: file", 0);
    tell(w, text != NULL && words_file_write(w->file, weir_span_str(text), &err), &err);
    free(text);
}
