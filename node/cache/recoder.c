#include "recoder.h"

#include <pthread.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/work.h"

#include "recode.h"
#include "stored.h"
#include "tier.h"

#define JOBS_MAX 1024 /* queued; beyond, content stays as it is until asked for again */

/* What zstd, or another coding of content that could go out without, must save at least. */
#define WORTH_PERCENT 10

/*
 * A job holds its place in the queue and a ticket: a piece of work of the pool that runs whichever
 * job is next, not its own. So jobs can go before others although the pool knows only one order.
 *
 *   queued --take_job()--> running --finish()--> over, freed when its ticket has come back too
 */
struct job {
    struct weir_work ticket;
    struct recoder *recoder;
    unsigned refs;             /* queue or running; ticket */
    struct job *next, **at;    /* the queue */
    struct job *all, **all_at; /* every job that has a ticket out */
    struct stored_response *of;
    enum coding to;
    struct recoder_settings settings;
    struct recoder_wait *waits;
};

struct recoder_wait {
    struct weir_mail mail;
    struct recoder *recoder;
    struct weir_mailbox *box;
    struct job *job; /* NULL: it is over */
    struct recoder_wait *next, **at;
    struct stored_form *form;
    bool closed, mailed;
    void (*wake)(void *arg);
    void *arg;
};

struct recoder {
    pthread_mutex_t lock; /* all jobs and waits, and stored_forms.making; taken before a shard's */
    struct tier *tier;
    struct weir_mailbox *box;
    struct weir_work_pool *pool;
    struct job *first, **last; /* queue, oldest first */
    struct job *all;
    unsigned queued;
    struct weir_metrics *metrics; /* written under the lock */
};

/* ---- jobs; the lock is held where it says so ---- */

static void run_ticket(struct weir_work *w);
static void ticket_done(struct weir_work *w);

/* Locked. */
static void job_unref(struct job *j)
{
    if (--j->refs > 0)
        return;
    *j->all_at = j->all;
    if (j->all != NULL)
        j->all->all_at = j->all_at;
    weir_free(j);
}

/* Locked. */
static void enqueue(struct recoder *r, struct job *j)
{
    j->next = NULL;
    j->at = r->last;
    *r->last = j;
    r->last = &j->next;
    r->queued++;
}

/* Locked. */
static void dequeue(struct recoder *r, struct job *j)
{
    *j->at = j->next;
    if (j->next != NULL)
        j->next->at = j->at;
    else
        r->last = j->at;
    r->queued--;
}

/* Locked. NULL: too much to do, or no memory. Takes no reference to the response before all is
 * there. */
static struct job *job_new(struct recoder *r, struct stored_response *of, enum coding to,
                           const struct recoder_settings *s)
{
    struct job *j = r->queued < JOBS_MAX ? weir_calloc(1, sizeof *j) : NULL;

    if (j == NULL)
        return NULL;
    j->recoder = r;
    j->refs = 2;
    j->of = stored_response_ref(of);
    j->to = to;
    j->settings = *s;
    j->all = r->all;
    j->all_at = &r->all;
    if (j->all != NULL)
        j->all->all_at = &j->all;
    r->all = j;
    of->forms->making[to] = j;
    enqueue(r, j);
    j->ticket.reply = r->box;
    j->ticket.run = run_ticket;
    j->ticket.done = ticket_done;
    weir_work_submit(r->pool, &j->ticket);
    return j;
}

/* The oldest job somebody waits for, else the oldest. */
static struct job *take_job(struct recoder *r)
{
    struct job *j;

    pthread_mutex_lock(&r->lock);
    for (j = r->first; j != NULL && j->waits == NULL; j = j->next)
        ;
    if (j == NULL)
        j = r->first;
    if (j != NULL)
        dequeue(r, j);
    pthread_mutex_unlock(&r->lock);
    return j;
}

/* ---- what a job does ---- */

static bool worth(const struct job *j, uint64_t identity_len, uint64_t len)
{
    /* Who cannot read what the origin sent needs another coding whatever it costs. */
    if (j->to == CODING_IDENTITY || j->of->sent_coding != CODING_IDENTITY)
        return true;
    return len * 100 <= identity_len * (100 - WORTH_PERCENT);
}

/* What zstd cannot press together the others cannot either. */
static void remember_useless(const struct job *j)
{
    struct tier *t = j->recoder->tier;

    tier_put_useless(t, j->of, j->to);
    if (j->to == CODING_ZSTD && j->of->sent_coding == CODING_IDENTITY) {
        tier_put_useless(t, j->of, CODING_BR);
        tier_put_useless(t, j->of, CODING_GZIP);
    }
}

/* Puts the stored response again, over the form's body. A validation may put a new head meanwhile:
 * then that is what has to be replaced. */
static void replace_body(struct tier *t, struct stored_response *of, struct stored_form *f)
{
    bool again = true;

    for (int i = 0; i < 3 && again; i++) {
        struct stored_response *old = tier_holder(t, of), *r;

        if (old == NULL)
            return;
        r = stored_response_recoded(old, f, NULL);
        again = r != NULL && !tier_replace(t, old, r);
        stored_response_unref(r);
        stored_response_unref(old);
    }
}

/* NULL: it failed or gains nothing, which is remembered unless it was for want of memory. */
static struct stored_form *make(const struct job *j, uint64_t *identity_len)
{
    struct recode recode = {.slices = j->of->slices,
                            .count = j->of->slice_count,
                            .from = j->of->coding,
                            .to = j->to,
                            .level = j->settings.level[j->to],
                            .identity_max = j->settings.identity_max};
    struct stored_form *f = NULL;
    struct coding_out out;
    struct weir_err err = {0};

    coding_out_init(&out, j->settings.identity_max + j->settings.identity_max / 8 + 1024, 0);
    if (!recode_body(&recode, &out, identity_len, &err)) {
        if (err.code != WEIR_E_MEMORY)
            tier_put_useless(j->recoder->tier, j->of, j->to);
    } else if (!worth(j, *identity_len, out.len)) {
        remember_useless(j);
    } else {
        f = stored_form_new(j->to, out.slices, out.count, NULL);
    }
    coding_out_clear(&out);
    return f;
}

static void keep(const struct job *j, struct stored_form *f)
{
    struct tier *t = j->recoder->tier;

    if (j->to == CODING_ZSTD && j->of->coding == CODING_IDENTITY &&
        j->of->sent_coding == CODING_IDENTITY)
        replace_body(t, j->of, f);
    else
        tier_put_form(t, j->of, f);
}

/* Locked. */
static void wake_waits(struct job *j, struct stored_form *f)
{
    struct recoder_wait *next;

    for (struct recoder_wait *w = j->waits; w != NULL; w = next) {
        next = w->next;
        w->job = NULL;
        w->at = NULL;
        w->form = f != NULL ? stored_form_ref(f) : NULL;
        w->mailed = true;
        weir_mailbox_post(w->box, &w->mail);
    }
    j->waits = NULL;
}

static void count(struct recoder *r, const struct job *j, const struct stored_form *f,
                  uint64_t identity_len)
{
    weir_metric_add(r->metrics, f != NULL ? WEIR_M_forms_made : WEIR_M_forms_useless, 1);
    if (f != NULL && j->to != CODING_IDENTITY && f->len < identity_len)
        weir_metric_add(r->metrics, WEIR_M_forms_saved_bytes, (int64_t)(identity_len - f->len));
}

static void run_job(struct recoder *r, struct job *j)
{
    uint64_t identity_len = 0;
    struct stored_form *f = make(j, &identity_len);

    if (f != NULL)
        keep(j, f);
    pthread_mutex_lock(&r->lock);
    j->of->forms->making[j->to] = NULL; /* from here on the tier has it, or another job may try */
    wake_waits(j, f);
    count(r, j, f, identity_len);
    pthread_mutex_unlock(&r->lock);
    stored_form_unref(f);
    stored_response_unref(j->of);
    j->of = NULL;
    pthread_mutex_lock(&r->lock);
    job_unref(j);
    pthread_mutex_unlock(&r->lock);
}

static void run_ticket(struct weir_work *w)
{
    struct job *own = WEIR_CONTAINER(w, struct job, ticket), *j = take_job(own->recoder);

    if (j != NULL) /* there are as many tickets as jobs */
        run_job(own->recoder, j);
}

static void ticket_done(struct weir_work *w)
{
    struct job *own = WEIR_CONTAINER(w, struct job, ticket);
    struct recoder *r = own->recoder;

    pthread_mutex_lock(&r->lock);
    job_unref(own);
    pthread_mutex_unlock(&r->lock);
}

/* ---- asking ---- */

struct found {
    enum coding to;
    bool useless;
    struct stored_form *form;
};

static void look(const struct stored_response *r, void *arg)
{
    struct found *found = arg;

    found->useless = (r->forms->useless >> found->to & 1) != 0;
    found->form = stored_form_take(r, found->to);
}

/* It may have come into the tier since the caller looked there. As a reference or NULL; *useless:
 * there is no use in trying. Locked. */
static struct stored_form *find(struct recoder *r, struct stored_response *of, enum coding to,
                                bool *useless)
{
    struct found found = {.to = to};
    struct stored_response *holder;

    tier_look(r->tier, of, look, &found);
    *useless = found.useless;
    if (found.form != NULL || found.useless)
        return found.form;
    holder = tier_holder(r->tier, of);
    if (holder != NULL && holder->coding == to)
        found.form = stored_form_new(to, holder->slices, holder->slice_count, NULL);
    stored_response_unref(holder);
    return found.form;
}

void recoder_begin(struct recoder *r, struct stored_response *of, enum coding to,
                   const struct recoder_settings *s)
{
    bool useless = false;

    pthread_mutex_lock(&r->lock);
    if (of->forms->making[to] == NULL) {
        struct stored_form *f = find(r, of, to, &useless);

        if (f == NULL && !useless)
            job_new(r, of, to, s);
        stored_form_unref(f);
    }
    pthread_mutex_unlock(&r->lock);
}

static void on_wait_mail(struct weir_mail *mail)
{
    struct recoder_wait *w = WEIR_CONTAINER(mail, struct recoder_wait, mail);

    w->mailed = false;
    if (!w->closed) {
        w->wake(w->arg);
        return;
    }
    stored_form_unref(w->form);
    weir_free(w);
}

/* Locked. Begins to wait for a job, or for the mail that says it was over already; false: there is
 * nothing to wait for. */
static bool wait_for(struct recoder_wait *w, struct stored_response *of, enum coding to,
                     const struct recoder_settings *s)
{
    struct recoder *r = w->recoder;
    struct job *j = of->forms->making[to];
    bool useless = false;

    if (j == NULL) {
        w->form = find(r, of, to, &useless);
        if (w->form != NULL) {
            w->mailed = true;
            weir_mailbox_post(w->box, &w->mail);
            return true;
        }
        j = useless ? NULL : job_new(r, of, to, s);
    }
    if (j == NULL)
        return false;
    w->job = j;
    w->next = j->waits;
    w->at = &j->waits;
    if (w->next != NULL)
        w->next->at = &w->next;
    j->waits = w;
    return true;
}

struct recoder_wait *recoder_ask(struct recoder *r, struct stored_response *of, enum coding to,
                                 const struct recoder_settings *s, struct weir_mailbox *box,
                                 void (*wake)(void *arg), void *arg)
{
    struct recoder_wait *w = weir_calloc(1, sizeof *w);
    bool waits;

    if (w == NULL)
        return NULL;
    w->recoder = r;
    w->box = box;
    w->mail.run = on_wait_mail;
    w->wake = wake;
    w->arg = arg;
    pthread_mutex_lock(&r->lock);
    waits = wait_for(w, of, to, s);
    pthread_mutex_unlock(&r->lock);
    if (waits)
        return w;
    weir_free(w);
    return NULL;
}

struct stored_form *recoder_wait_form(struct recoder_wait *w)
{
    struct stored_form *f;

    pthread_mutex_lock(&w->recoder->lock);
    f = w->form != NULL ? stored_form_ref(w->form) : NULL;
    pthread_mutex_unlock(&w->recoder->lock);
    return f;
}

void recoder_wait_close(struct recoder_wait *w)
{
    struct recoder *r;
    bool mailed;

    if (w == NULL)
        return;
    r = w->recoder;
    pthread_mutex_lock(&r->lock);
    if (w->job != NULL) {
        *w->at = w->next;
        if (w->next != NULL)
            w->next->at = w->at;
    }
    w->closed = true;
    mailed = w->mailed;
    pthread_mutex_unlock(&r->lock);
    if (mailed) /* on_wait_mail() frees it, on this thread */
        return;
    stored_form_unref(w->form);
    weir_free(w);
}

/* ---- birth and death ---- */

struct recoder *recoder_new(struct tier *t, unsigned threads, struct weir_mailbox *box,
                            struct weir_err *err)
{
    struct recoder *r = weir_calloc(1, sizeof *r);

    if (r != NULL)
        r->metrics = aligned_alloc(_Alignof(struct weir_metrics), sizeof *r->metrics);
    if (r == NULL || r->metrics == NULL) {
        weir_free(r);
        weir_fail(err, WEIR_E_MEMORY, "recoder: new", 0);
        return NULL;
    }
    memset(r->metrics, 0, sizeof *r->metrics);
    pthread_mutex_init(&r->lock, NULL);
    r->tier = t;
    r->box = box;
    r->last = &r->first;
    r->pool = weir_work_pool_new(threads, err);
    if (r->pool == NULL) {
        recoder_free(r);
        return NULL;
    }
    return r;
}

void recoder_stop(struct recoder *r)
{
    if (r == NULL)
        return;
    weir_work_pool_free(r->pool);
    r->pool = NULL;
}

/* Jobs that were never begun, and tickets that never came back. */
static void drop_jobs(struct recoder *r)
{
    for (struct job *j = r->all, *next; j != NULL; j = next) {
        next = j->all;
        if (j->of != NULL)
            j->of->forms->making[j->to] = NULL;
        stored_response_unref(j->of);
        weir_free(j);
    }
}

void recoder_free(struct recoder *r)
{
    if (r == NULL)
        return;
    recoder_stop(r);
    drop_jobs(r);
    pthread_mutex_destroy(&r->lock);
    free(r->metrics);
    weir_free(r);
}

const struct weir_metrics *recoder_metrics(const struct recoder *r)
{
    return r->metrics;
}
