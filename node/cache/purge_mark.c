#include "purge_mark.h"

#include <inttypes.h>
#include <stdio.h>

#include "weir/alloc.h"

#define KEY_MAX 48

/* Each key lives for the longest of its class. What lives longer than all of them is its own. */
static const int64_t class_ms[] = {
    PURGE_MARK_FETCH_MS,
    (int64_t)12 * 3600 * 1000,
    (int64_t)30 * 86400 * 1000,
    INT64_MAX,
};
#define CLASSES (sizeof class_ms / sizeof class_ms[0])

static struct weir_span key_of(char buf[KEY_MAX], uint64_t url, size_t class)
{
    return weir_span(buf, (size_t)snprintf(buf, KEY_MAX, "w1:{U%016" PRIx64 "}:k%u", url,
                                           (unsigned)class));
}

void purge_mark(struct shared_port *p, struct shared_call *c, uint64_t url, int64_t ttl_ms)
{
    char buf[KEY_MAX];
    size_t class = 0;

    while (class < CLASSES - 1 && ttl_ms > class_ms[class])
        class ++;
    c->area = SHARED_CACHE;
    shared_put(p, c, key_of(buf, url, class), NULL, 0,
               class < CLASSES - 1 ? class_ms[class] : ttl_ms);
}

/* ---- asking ---- */

#define URLS 2 /* by which a record covers: exact, and with any query */

struct purge_question {
    struct shared_port *port;
    void (*done)(enum purge_marked answer, void *arg);
    void *arg;
    unsigned open; /* not answered yet */
    bool unknown;
    struct purge_asked_key {
        struct shared_call call;
        struct purge_question *of;
    } key[URLS * CLASSES];
};

static void answer(struct purge_question *q, enum purge_marked a)
{
    void (*done)(enum purge_marked, void *) = q->done;
    void *arg = q->arg;

    purge_question_free(q);
    done(a, arg);
}

static void on_key(struct shared_call *c)
{
    struct purge_question *q = ((struct purge_asked_key *)(void *)c)->of;
    enum shared_result result = c->result;

    q->open--;
    shared_call_clear(c);
    if (result == SHARED_OK) {
        answer(q, PURGE_MARKED);
        return;
    }
    q->unknown = q->unknown || result != SHARED_NONE;
    if (q->open == 0)
        answer(q, q->unknown ? PURGE_MARK_UNKNOWN : PURGE_UNMARKED);
}

struct purge_question *purge_question_new(struct shared_port *p, const struct purge_record *r,
                                          uint32_t timeout_ms,
                                          void (*done)(enum purge_marked answer, void *arg),
                                          void *arg)
{
    struct purge_question *q = weir_calloc(1, sizeof *q);
    const uint64_t urls[URLS] = {r->hash, r->also};
    unsigned n = 0;

    if (q == NULL)
        return NULL;
    q->port = p;
    q->done = done;
    q->arg = arg;
    q->open = (unsigned)((r->also != 0 ? URLS : 1) * CLASSES);
    for (; n < q->open; n++) {
        struct purge_asked_key *k = &q->key[n];
        char buf[KEY_MAX];

        k->of = q;
        k->call =
            (struct shared_call){.done = on_key, .area = SHARED_CACHE, .timeout_ms = timeout_ms};
        shared_get(p, &k->call, key_of(buf, urls[n / CLASSES], n % CLASSES));
    }
    return q;
}

void purge_question_free(struct purge_question *q)
{
    if (q == NULL)
        return;
    for (size_t i = 0; i < URLS * CLASSES; i++)
        if (q->key[i].of != NULL)
            shared_cancel(q->port, &q->key[i].call);
    weir_free(q);
}
