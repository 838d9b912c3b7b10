#include "weir/work.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>

#include "weir/alloc.h"
#include "thread.h"

struct weir_work_pool {
    pthread_mutex_t lock; /* held for a few instructions only, never while work runs */
    pthread_cond_t wake;
    struct weir_work *first,
        **last; /* waiting, oldest first; last points at the NULL that ends them */
    bool closing;
    unsigned threads; /* started */
    pthread_t thread[];
};

static void deliver(struct weir_mail *mail)
{
    struct weir_work *w = (struct weir_work *)mail;

    w->done(w);
}

_Static_assert(offsetof(struct weir_work, mail) == 0, "deliver() casts mail to work");

/* The oldest waiting work; NULL when the pool closes. */
static struct weir_work *next_work(struct weir_work_pool *p)
{
    struct weir_work *w = NULL;

    pthread_mutex_lock(&p->lock);
    while (p->first == NULL && !p->closing)
        pthread_cond_wait(&p->wake, &p->lock);
    if (!p->closing) {
        w = p->first;
        p->first = w->next;
        if (p->first == NULL)
            p->last = &p->first;
    }
    pthread_mutex_unlock(&p->lock);
    return w;
}

static void *work_main(void *arg)
{
    struct weir_work_pool *p = arg;
    struct weir_work *w;

    while ((w = next_work(p)) != NULL) {
        w->run(w);
        weir_mailbox_post(w->reply, &w->mail);
    }
    return NULL;
}

struct weir_work_pool *weir_work_pool_new(unsigned threads, struct weir_err *err)
{
    struct weir_work_pool *p;
    int rc = 0;

    assert(threads > 0);
    p = weir_calloc(1, sizeof(*p) + threads * sizeof(p->thread[0]));
    if (p == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "work: new pool", 0);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->last = &p->first;
    while (p->threads < threads && rc == 0) {
        rc = thread_start(&p->thread[p->threads], "weir-work", work_main, p);
        if (rc == 0)
            p->threads++;
    }
    if (rc != 0) {
        weir_fail(err, WEIR_E_INTERNAL, "work: start thread", rc);
        weir_work_pool_free(p);
        return NULL;
    }
    return p;
}

void weir_work_submit(struct weir_work_pool *p, struct weir_work *w)
{
    w->mail.run = deliver;
    atomic_init(&w->mail.posted, false);
    w->next = NULL;
    pthread_mutex_lock(&p->lock);
    *p->last = w;
    p->last = &w->next;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

bool weir_work_withdraw(struct weir_work_pool *p, struct weir_work *w)
{
    struct weir_work **at = &p->first;
    bool found;

    pthread_mutex_lock(&p->lock);
    while (*at != NULL && *at != w)
        at = &(*at)->next;
    found = *at != NULL;
    if (found)
        *at = w->next;
    if (found && *at == NULL)
        p->last = at;
    pthread_mutex_unlock(&p->lock);
    return found;
}

void weir_work_pool_free(struct weir_work_pool *p)
{
    unsigned i;

    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (i = 0; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    weir_free(p);
}
