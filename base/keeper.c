#include "weir/keeper.h"

#include <semaphore.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/keepfile.h"
#include "weir/mailbox.h"
#include "weir/work.h"

struct content {
    char *bytes; /* NULL: none */
    size_t len;
};

/*
 *   idle     --put, again----------> writing
 *   writing  --put-----------------> writing, and something newer is wanted
 *   writing  --written, mail-------> idle, or writing what is newer
 *
 * Freed while it writes, it waits for the writing, and the mail that is on its way frees the rest.
 */
struct weir_keeper {
    struct weir_keeper_options o;
    char *path;
    struct weir_work work;
    sem_t finished;
    bool busy;    /* the pool's, until the mail */
    bool dropped; /* freed: the mail finds nobody */
    struct content wanted, writing;
    bool ok; /* how it went */
    struct weir_err err;
};

static void forget(struct content *c)
{
    if (c->bytes != NULL)
        explicit_bzero(c->bytes, c->len);
    weir_free(c->bytes);
    *c = (struct content){.bytes = NULL};
}

static void drop(struct weir_keeper *k)
{
    forget(&k->wanted);
    forget(&k->writing);
    sem_destroy(&k->finished);
    weir_free(k->path);
    weir_free(k);
}

/* ---- on the pool ---- */

static void run(struct weir_work *w)
{
    struct weir_keeper *k = WEIR_CONTAINER(w, struct weir_keeper, work);

    k->ok = weir_keepfile_write(k->path, weir_span(k->writing.bytes, k->writing.len), &k->err);
    sem_post(&k->finished);
}

/* ---- on the owner's thread ---- */

static void begin(struct weir_keeper *k)
{
    k->writing = k->wanted;
    k->wanted = (struct content){.bytes = NULL};
    k->err = (struct weir_err){.code = WEIR_OK};
    k->busy = true;
    weir_work_submit(k->o.pool, &k->work);
}

/* What was not written is wanted again, unless something newer is. */
static void settle(struct weir_keeper *k)
{
    k->busy = false;
    if (!k->ok && k->wanted.bytes == NULL) {
        k->wanted = k->writing;
        k->writing = (struct content){.bytes = NULL};
    }
    forget(&k->writing);
}

static void written(struct weir_work *w)
{
    struct weir_keeper *k = WEIR_CONTAINER(w, struct weir_keeper, work);
    bool newer;

    if (k->dropped) {
        drop(k);
        return;
    }
    while (sem_wait(&k->finished) != 0) /* it was posted: only to count it down */
        continue;
    newer = k->wanted.bytes != NULL;
    settle(k);
    if (newer)
        begin(k);
    else
        k->o.told(k->o.arg, k->ok, &k->err);
}

void weir_keeper_put(struct weir_keeper *k, char *bytes, size_t len)
{
    forget(&k->wanted);
    k->wanted = (struct content){.bytes = bytes, .len = len};
    if (!k->busy)
        begin(k);
}

void weir_keeper_again(struct weir_keeper *k)
{
    if (!k->busy && k->wanted.bytes != NULL)
        begin(k);
}

/* ---- life ---- */

struct weir_keeper *weir_keeper_new(const struct weir_keeper_options *o, struct weir_err *err)
{
    struct weir_keeper *k = weir_calloc(1, sizeof *k);

    if (k == NULL || (k->path = weir_strndup(o->path, strlen(o->path))) == NULL) {
        weir_free(k);
        weir_fail(err, WEIR_E_MEMORY, "file: keeper", 0);
        return NULL;
    }
    k->o = *o;
    k->o.path = k->path;
    k->work.reply = o->box;
    k->work.run = run;
    k->work.done = written;
    sem_init(&k->finished, 0, 0);
    return k;
}

bool weir_keeper_free(struct weir_keeper *k, struct weir_err *err)
{
    bool on_its_way = false, ok;

    if (k == NULL)
        return true;
    if (k->busy) {
        on_its_way = !weir_work_withdraw(k->o.pool, &k->work);
        if (on_its_way)
            while (sem_wait(&k->finished) != 0) /* two must not write at once */
                continue;
        else
            k->ok = false;
        settle(k);
    }
    ok = k->wanted.bytes == NULL ||
         weir_keepfile_write(k->path, weir_span(k->wanted.bytes, k->wanted.len), err);
    forget(&k->wanted);
    k->dropped = true;
    if (!on_its_way)
        drop(k);
    return ok;
}
