#include "tls_session_own.h"

#include <time.h>

#include "weir/alloc.h"
#include "weir/container.h"

/*
 * A signature with a large RSA key takes milliseconds. The callback that chooses the certificate
 * stops the handshake when it has chosen such a key, and the whole session goes to a thread of the
 * pool for the one step that signs: OpenSSL's objects belong to one thread at a time, which is all
 * they ask. The thread reads what has been received before and writes into what the session keeps;
 * socket, buffers and counters of the worker are not touched.
 */
struct tls_slow {
    struct weir_work work;
    struct tls_session *session;
    void (*again)(void *arg);
    void *arg;
    bool running;
    bool abandoned; /* nobody waits any more */
    enum tls_step result;
    struct weir_err err;
};

static void run(struct weir_work *work)
{
    struct tls_slow *slow = WEIR_CONTAINER(work, struct tls_slow, work);

    slow->result = tls_step_once(slow->session, &slow->err);
}

static void done(struct weir_work *work)
{
    struct tls_slow *slow = WEIR_CONTAINER(work, struct tls_slow, work);
    struct tls_session *s = slow->session;

    s->w->slow--;
    s->elsewhere = false;
    slow->running = false;
    if (!slow->abandoned) {
        slow->again(slow->arg);
        return;
    }
    s->step = NULL;
    weir_free(slow);
    tls_session_destroy(s);
}

bool tls_slow_begin(struct tls_session *s, void (*again)(void *arg), void *arg)
{
    struct tls_slow *slow = weir_calloc(1, sizeof *slow);

    if (slow == NULL)
        return false;
    slow->work.reply = &s->w->loop->box;
    slow->work.run = run;
    slow->work.done = done;
    slow->session = s;
    slow->again = again;
    slow->arg = arg;
    slow->running = true;
    s->step = slow;
    s->elsewhere = true;
    s->w->slow++;
    weir_work_submit(s->w->pool, &slow->work);
    return true;
}

bool tls_slow_running(const struct tls_session *s)
{
    return s->step != NULL && s->step->running;
}

enum tls_step tls_slow_take(struct tls_session *s, struct weir_err *err)
{
    struct tls_slow *slow = s->step;
    enum tls_step result = slow->result;

    if (result == TLS_FAILED && err != NULL)
        *err = slow->err;
    s->step = NULL;
    weir_free(slow);
    return result;
}

bool tls_slow_abandon(struct tls_session *s)
{
    struct tls_slow *slow = s->step;

    if (slow == NULL)
        return false;
    if (slow->running && !weir_work_withdraw(s->w->pool, &slow->work)) {
        slow->abandoned = true;
        return true;
    }
    if (slow->running)
        s->w->slow--;
    s->step = NULL;
    weir_free(slow);
    return false;
}

void tls_slow_finish(struct tls_worker *w)
{
    const struct timespec moment = {0, 1000000};

    while (w->slow > 0) {
        weir_mailbox_drain(&w->loop->box);
        if (w->slow > 0)
            nanosleep(&moment, NULL); /* a few signatures, at the end of the process */
    }
}
