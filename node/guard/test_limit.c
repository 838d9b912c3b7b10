/* Limits over a door that the test plays: it answers when it likes, and what it likes. */
#include "limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/shared.h"
#include "http_head.h"
#include "limit_fields.h"
#include "net_addr.h"

#define CALLS 64

struct question {
    struct shared_call *call;
    uint32_t want;
    struct weir_gcra_rate rate;
    char key[SHARED_KEY_MAX + 1];
};

struct shared_port { /* ours */
    bool away;
    unsigned count; /* questions, answered or not */
    struct question asked[CALLS];
};

bool shared_ready(const struct shared_port *p, enum shared_area area)
{
    return !p->away && area == SHARED_STATE;
}

void shared_tokens_take(struct shared_port *p, struct shared_call *c, const struct shared_rate *r,
                        uint32_t want)
{
    struct question *q = &p->asked[p->count++ % CALLS];

    assert_int_equal(c->area, SHARED_STATE);
    assert_true(c->timeout_ms > 0 && want > 0);
    *q = (struct question){.call = c, .want = want, .rate = {r->interval_us, r->burst}};
    memcpy(q->key, r->key.ptr, r->key.len);
}

void shared_call_clear(struct shared_call *c)
{
    c->value.blob = NULL;
}

void shared_cancel(struct shared_port *p, struct shared_call *c)
{
    for (unsigned i = 0; i < CALLS; i++)
        if (p->asked[i].call == c)
            p->asked[i].call = NULL;
}

bool weir_seal(const struct weir_seal_key *k, const char *purpose, struct weir_span place,
               struct weir_span bytes, char *out)
{
    assert_string_equal(purpose, "limit");
    for (size_t i = 0; i < WEIR_SEAL_BYTES; i++)
        out[i] = (char)(bytes.ptr[i] ^ place.ptr[i % place.len] ^ (char)k->bytes[i]);
    memcpy(out + WEIR_SEAL_BYTES, bytes.ptr, bytes.len);
    return true;
}

/* ---- one node ---- */

#define WORKERS 2

struct node {
    struct weir_hash_secret secret;
    struct limit_node *node;
    struct limit_set *set;
    struct limit_settings settings;
    struct weir_clock clock;
    struct weir_mailbox box[WORKERS];
    struct limit_worker worker[WORKERS];
    struct shared_port port[WORKERS];
    struct weir_metrics *metrics;
    struct http_head head;
    struct net_peer client;
    struct limit_subject subject;
};

static void node_open(struct node *n, bool farm, const char *rate)
{
    static const struct weir_seal_key seal = {{1, 2, 3}};
    const struct limit_options o = {.secret = &n->secret,
                                    .seal = farm ? &seal : NULL,
                                    .timeout_ms = 40,
                                    .cells_max = 6400};
    struct weir_err err = {0};

    memset(n, 0, sizeof *n);
    n->secret.bytes[0] = 9;
    n->clock.mono_us = 5000000;
    n->clock.mono_ms = 5000;
    n->settings = (struct limit_settings){.name = "api",
                                          .rate = rate,
                                          .ipv4_prefix = 32,
                                          .ipv6_prefix = 64,
                                          .status = 429,
                                          .fields = true};
    n->node = limit_node_new(&o, &err);
    n->set = limit_set_new(n->node, &n->settings, 1, &err);
    assert_non_null(n->set);
    n->metrics = aligned_alloc(64, sizeof *n->metrics);
    memset(n->metrics, 0, sizeof *n->metrics);
    for (int i = 0; i < WORKERS; i++) {
        assert_true(weir_mailbox_init(&n->box[i], &err));
        n->worker[i] =
            (struct limit_worker){n->node, &n->port[i], &n->box[i], &n->clock, n->metrics, NULL};
    }
    http_head_init(&n->head, NULL, 0);
    n->client = (struct net_peer){.family = AF_INET, .ip = {192, 0, 2, 7}};
    n->subject = (struct limit_subject){&n->head, &n->client, WEIR_SPAN_LIT("all")};
}

static void node_close(struct node *n)
{
    for (int i = 0; i < WORKERS; i++) {
        limit_worker_close(&n->worker[i]);
        weir_mailbox_drain(&n->box[i]);
        weir_mailbox_close(&n->box[i]);
    }
    limit_set_free(n->set);
    limit_node_free(n->node);
    free(n->metrics);
}

static void pass(struct node *n, int64_t ms)
{
    n->clock.mono_us += ms * 1000;
    n->clock.mono_ms += ms;
}

/* One request. */
struct request {
    struct limit_taken taken;
    struct limit_waiter *waiter;
    int told;
};

static void on_told(void *arg)
{
    struct request *r = arg;

    r->told++;
    r->waiter = NULL;
}

static enum limit_verdict take(struct node *n, int worker, struct request *r)
{
    const struct limit *l = limit_set_at(n->set, 0);
    enum limit_verdict v;

    *r = (struct request){.told = 0};
    v = limit_take(&n->worker[worker], l, &n->subject, &r->taken, &r->waiter, on_told, r);
    if (v != LIMIT_WAIT)
        limit_count(&n->worker[worker], l, &n->subject, &r->taken);
    return v;
}

static struct question *last(struct shared_port *p)
{
    assert_true(p->count > 0);
    return &p->asked[(p->count - 1) % CALLS];
}

static void answer(struct shared_port *p, enum shared_result result, uint64_t number,
                   uint32_t left_ms, uint32_t rest)
{
    struct shared_call *c = last(p)->call;

    assert_non_null(c);
    last(p)->call = NULL;
    c->result = result;
    c->number = number;
    c->left_ms = left_ms;
    c->rest = rest;
    c->done(c);
}

static struct limit_counts *counts(struct node *n)
{
    return limit_set_at(n->set, 0)->counts;
}

/* ---- alone ---- */

static void a_node_alone_never_waits(void **state)
{
    struct request r;
    struct node n;

    (void)state;
    node_open(&n, false, "5/h");
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(&n, i % 2, &r), LIMIT_ALLOWED);
    assert_int_equal(take(&n, 0, &r), LIMIT_REFUSED);
    assert_int_equal(take(&n, 1, &r), LIMIT_REFUSED);
    n.client.ip[3] = 8;
    assert_int_equal(take(&n, 1, &r), LIMIT_ALLOWED);
    limit_give_back(&n.worker[1], limit_set_at(n.set, 0), &r.taken);
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(&n, i % 2, &r), LIMIT_ALLOWED);
    assert_int_equal(take(&n, 1, &r), LIMIT_REFUSED);
    assert_int_equal(atomic_load(&counts(&n)->allowed), 11);
    assert_int_equal(atomic_load(&counts(&n)->refused), 3);
    assert_int_equal(n.port[0].count + n.port[1].count, 0);
    node_close(&n);
}

static void the_exempt_are_not_counted(void **state)
{
    const char *networks[] = {"192.0.2.0/24"};
    const char *key[] = {"field X"};
    struct weir_err err = {0};
    struct request r;
    struct node n;

    (void)state;
    node_open(&n, false, "1/h");
    limit_set_free(n.set);
    n.settings.exempt = networks;
    n.settings.exempt_count = 1;
    n.set = limit_set_new(n.node, &n.settings, 1, &err);
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(&n, 0, &r), LIMIT_EXEMPT);
    n.client.ip[2] = 3;
    assert_int_equal(take(&n, 0, &r), LIMIT_ALLOWED);
    assert_int_equal(take(&n, 0, &r), LIMIT_REFUSED);
    limit_set_free(n.set);
    n.settings.key = key;
    n.settings.key_count = 1;
    n.settings.missing = LIMIT_MISSING_EXEMPT;
    n.set = limit_set_new(n.node, &n.settings, 1, &err);
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(&n, 0, &r), LIMIT_EXEMPT);
    node_close(&n);
}

static void counts_go_on_with_another_configuration(void **state)
{
    struct weir_err err = {0};
    struct request r;
    struct node n;

    (void)state;
    node_open(&n, false, "5/h");
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(&n, 0, &r), LIMIT_ALLOWED);
    limit_set_free(n.set);
    n.set = limit_set_new(n.node, &n.settings, 1, &err);
    assert_int_equal(take(&n, 0, &r), LIMIT_ALLOWED);
    assert_int_equal(take(&n, 0, &r), LIMIT_REFUSED);
    assert_int_equal(atomic_load(&counts(&n)->allowed), 5);
    node_close(&n);
}

static void a_route_has_the_limits_for_all_and_those_it_names(void **state)
{
    struct limit_settings s[3];
    const char *names[] = {"c", "a"};
    struct limit_list *list;
    struct weir_err err = {0};
    struct limit_set *set;
    struct node n;

    (void)state;
    node_open(&n, false, "5/h");
    for (int i = 0; i < 3; i++)
        s[i] = n.settings;
    s[0].name = "a";
    s[1].name = "b";
    s[2].name = "c";
    s[2].all_routes = true;
    set = limit_set_new(n.node, s, 3, &err);
    assert_true(limit_set_pick(set, names, 2, true, &list, &err));
    assert_int_equal(list->count, 2);
    assert_string_equal(list->at[0]->settings->name, "c");
    assert_string_equal(list->at[1]->settings->name, "a");
    weir_free(list);
    assert_true(limit_set_pick(set, NULL, 0, true, &list, &err));
    assert_int_equal(list->count, 1);
    weir_free(list);
    assert_true(limit_set_pick(set, NULL, 0, false, &list, &err));
    assert_null(list);
    limit_set_free(set);
    node_close(&n);
}

/* ---- in a farm ---- */

static void in_a_farm_the_first_waits_and_the_next_have_a_lease(void **state)
{
    struct request a, b;
    struct node n;

    (void)state;
    node_open(&n, true, "1000/s");
    assert_int_equal(take(&n, 0, &a), LIMIT_WAIT);
    assert_int_equal(a.told, 0);
    assert_int_equal(atomic_load(&counts(&n)->waiting), 1);
    assert_int_equal(last(&n.port[0])->want, 1);
    assert_int_equal(last(&n.port[0])->rate.burst, 1000);
    answer(&n.port[0], SHARED_OK, 1, 0, 900);
    assert_int_equal(a.told, 1);
    assert_int_equal(a.taken.verdict, LIMIT_ALLOWED);
    assert_int_equal(a.taken.said.rest, 900);
    assert_int_equal(atomic_load(&counts(&n)->waiting), 0);
    assert_int_equal(take(&n, 0, &a), LIMIT_WAIT);
    assert_int_equal(last(&n.port[0])->want, 2);
    answer(&n.port[0], SHARED_OK, 2, 0, 800);
    assert_int_equal(a.taken.verdict, LIMIT_ALLOWED);
    assert_int_equal(take(&n, 1, &b), LIMIT_ALLOWED); /* any worker of the node */
    assert_int_equal(n.port[0].count, 2);
    assert_int_equal(n.port[1].count, 0);
    node_close(&n);
}

static void redis_sees_a_code_that_all_nodes_make_alike(void **state)
{
    struct request r;
    struct node a, b;

    (void)state;
    node_open(&a, true, "5/h");
    node_open(&b, true, "5/h");
    assert_int_equal(take(&a, 0, &r), LIMIT_WAIT);
    limit_cancel(r.waiter);
    assert_int_equal(take(&b, 1, &r), LIMIT_WAIT);
    limit_cancel(r.waiter);
    assert_string_equal(last(&a.port[0])->key, last(&b.port[1])->key);
    assert_memory_equal(last(&a.port[0])->key, "w1:{rapi:", 9);
    assert_int_equal(strlen(last(&a.port[0])->key), 9 + 32 + 1);
    node_close(&a);
    node_close(&b);
}

static void a_refusal_is_told_to_all_and_remembered(void **state)
{
    struct request r[5];
    struct node n;

    (void)state;
    node_open(&n, true, "5/h");
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(&n, i % 2, &r[i]), LIMIT_WAIT);
    assert_int_equal(n.port[0].count, 1);
    assert_int_equal(n.port[1].count, 0);
    answer(&n.port[0], SHARED_REFUSED, 0, 60000, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(r[i].told, i % 2 == 0); /* the others by mail */
    weir_mailbox_drain(&n.box[1]);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(r[i].told, 1);
        assert_int_equal(r[i].taken.verdict, LIMIT_REFUSED);
        assert_int_equal(r[i].taken.said.wait_us, 60000000);
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(take(&n, i % 2, &r[0]), LIMIT_REFUSED);
    assert_int_equal(n.port[0].count + n.port[1].count, 1);
    pass(&n, 60000);
    assert_int_equal(take(&n, 1, &r[0]), LIMIT_WAIT);
    limit_cancel(r[0].waiter);
    node_close(&n);
}

static void more_are_asked_for_while_somebody_waits(void **state)
{
    struct request r[10];
    struct node n;

    (void)state;
    node_open(&n, true, "20/h");
    for (int i = 0; i < 10; i++)
        assert_int_equal(take(&n, 0, &r[i]), LIMIT_WAIT);
    assert_int_equal(last(&n.port[0])->want, 1); /* nobody else was there then */
    answer(&n.port[0], SHARED_OK, 1, 0, 19);
    assert_int_equal(r[0].told, 1);
    assert_int_equal(r[1].told, 0);
    assert_int_equal(last(&n.port[0])->want, 9);
    answer(&n.port[0], SHARED_OK, 5, 0, 0);
    assert_int_equal(r[5].told, 1);
    assert_int_equal(r[6].told, 0);
    answer(&n.port[0], SHARED_REFUSED, 0, 100, 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(r[i].told, 1);
        assert_int_equal(r[i].taken.verdict, i < 6 ? LIMIT_ALLOWED : LIMIT_REFUSED);
    }
    assert_int_equal(n.port[0].count, 3);
    node_close(&n);
}

static void without_an_answer_the_local_share_decides(void **state)
{
    static const enum shared_result results[] = {SHARED_LATE, SHARED_GONE, SHARED_FULL, SHARED_BAD,
                                                 SHARED_NONE};

    (void)state;
    for (size_t k = 0; k < sizeof results / sizeof results[0]; k++) {
        struct request r[4];
        struct node n;

        node_open(&n, true, "5/h");
        limit_node_members(n.node, 3); /* 5 / 3 * 1.2: two */
        for (int i = 0; i < 4; i++)
            assert_int_equal(take(&n, 0, &r[i]), LIMIT_WAIT);
        answer(&n.port[0], results[k], 0, 0, 0);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(r[i].told, 1);
            assert_int_equal(r[i].taken.verdict, i < 2 ? LIMIT_ALLOWED : LIMIT_REFUSED);
            assert_int_equal(r[i].taken.said.source, LIMIT_OF_SHARE);
        }
        assert_int_equal(take(&n, 0, &r[0]), LIMIT_REFUSED); /* and goes on to, without asking */
        assert_int_equal(n.port[0].count, 1);
        assert_int_equal(atomic_load(&counts(&n)->late), 1);
        assert_int_equal(atomic_load(&counts(&n)->local), 1); /* the others are not counted here */
        pass(&n, 1000);
        assert_int_equal(take(&n, 0, &r[0]), LIMIT_WAIT);
        limit_cancel(r[0].waiter);
        node_close(&n);
    }
}

static void a_farm_that_is_away_is_not_asked(void **state)
{
    struct request r;
    struct node n;

    (void)state;
    node_open(&n, true, "5/h");
    n.port[0].away = true;
    limit_node_members(n.node, 3);
    assert_int_equal(take(&n, 0, &r), LIMIT_ALLOWED);
    assert_int_equal(take(&n, 0, &r), LIMIT_ALLOWED);
    assert_int_equal(take(&n, 0, &r), LIMIT_REFUSED);
    assert_int_equal(n.port[0].count, 0);
    n.port[0].away = false; /* back: asked at once */
    assert_int_equal(take(&n, 0, &r), LIMIT_WAIT);
    answer(&n.port[0], SHARED_OK, 1, 0, 4);
    assert_int_equal(r.taken.verdict, LIMIT_ALLOWED);
    node_close(&n);
}

static void an_answer_that_makes_no_sense_is_none(void **state)
{
    struct request r;
    struct node n;

    (void)state;
    node_open(&n, true, "5/h");
    assert_int_equal(take(&n, 0, &r), LIMIT_WAIT);
    answer(&n.port[0], SHARED_OK, UINT64_C(1) << 40, 0, UINT32_MAX);
    assert_int_equal(r.taken.said.source, LIMIT_OF_SHARE);
    pass(&n, 1000);
    assert_int_equal(take(&n, 0, &r), LIMIT_WAIT);
    answer(&n.port[0], SHARED_OK, 0, 0, 0);
    assert_int_equal(r.taken.said.source, LIMIT_OF_SHARE);
    pass(&n, 1000);
    assert_int_equal(take(&n, 0, &r), LIMIT_WAIT);
    answer(&n.port[0], SHARED_OK, 1, 0, UINT32_MAX);
    assert_int_equal(r.taken.said.rest, 5); /* never more than there can be */
    assert_int_equal(atomic_load(&counts(&n)->late), 2);
    node_close(&n);
}

static void no_more_wait_than_there_can_be_tokens(void **state)
{
    struct request r[7];
    struct node n;

    (void)state;
    node_open(&n, true, "5/h");
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(&n, 0, &r[i]), LIMIT_WAIT);
    assert_int_equal(take(&n, 0, &r[5]), LIMIT_REFUSED);
    answer(&n.port[0], SHARED_OK, 1, 0, 4);
    answer(&n.port[0], SHARED_OK, 4, 0, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(r[i].taken.verdict, LIMIT_ALLOWED);
    assert_int_equal(take(&n, 0, &r[6]), LIMIT_WAIT);
    limit_cancel(r[6].waiter);
    node_close(&n);
}

static void few_wait_for_one_answer(void **state)
{
    struct request r[LIMIT_WAITERS + 2];
    struct node n;

    (void)state;
    node_open(&n, true, "100000/s");
    for (int i = 0; i < LIMIT_WAITERS; i++)
        assert_int_equal(take(&n, 0, &r[i]), LIMIT_WAIT);
    assert_int_equal(take(&n, 0, &r[LIMIT_WAITERS]), LIMIT_ALLOWED);
    assert_int_equal(r[LIMIT_WAITERS].taken.said.source, LIMIT_OF_SHARE);
    for (int i = 0; i < LIMIT_WAITERS; i++)
        limit_cancel(r[i].waiter);
    assert_int_equal(atomic_load(&counts(&n)->waiting), 0);
    answer(&n.port[0], SHARED_OK, 1, 0, 5);
    node_close(&n);
}

static void who_leaves_is_told_nothing(void **state)
{
    struct request a, b, c, d;
    struct node n;

    (void)state;
    node_open(&n, true, "5/h");
    assert_int_equal(take(&n, 0, &a), LIMIT_WAIT);
    assert_int_equal(take(&n, 0, &b), LIMIT_WAIT);
    assert_int_equal(take(&n, 1, &c), LIMIT_WAIT);
    assert_int_equal(take(&n, 1, &d), LIMIT_WAIT);
    limit_cancel(a.waiter);
    answer(&n.port[0], SHARED_REFUSED, 0, 1000, 0);
    limit_cancel(c.waiter); /* its answer is in the mail */
    weir_mailbox_drain(&n.box[1]);
    assert_int_equal(a.told, 0);
    assert_int_equal(b.told, 1);
    assert_int_equal(c.told, 0);
    assert_int_equal(d.told, 1);
    assert_int_equal(atomic_load(&counts(&n)->waiting), 0);
    node_close(&n);
}

struct pair {
    struct request r;
    struct request *other;
};

static void leave_other(void *arg)
{
    struct pair *p = arg;

    p->r.told++;
    if (p->other->waiter != NULL && p->other->told == 0) {
        limit_cancel(p->other->waiter);
        p->other->waiter = NULL;
    }
}

static void one_who_is_told_may_make_others_leave(void **state)
{
    struct request other;
    struct pair first = {.other = &other};
    struct node n;

    (void)state;
    node_open(&n, true, "5/h");
    assert_int_equal(limit_take(&n.worker[0], limit_set_at(n.set, 0), &n.subject, &first.r.taken,
                                &first.r.waiter, leave_other, &first),
                     LIMIT_WAIT);
    assert_int_equal(take(&n, 0, &other), LIMIT_WAIT);
    answer(&n.port[0], SHARED_REFUSED, 0, 1000, 0);
    assert_int_equal(first.r.told, 1);
    assert_int_equal(other.told, 0);
    node_close(&n);
}

static void a_worker_may_go_while_the_farm_is_asked(void **state)
{
    struct request r;
    struct node n;

    (void)state;
    node_open(&n, true, "5/h");
    assert_int_equal(take(&n, 0, &r), LIMIT_WAIT);
    n.client.ip[3] = 9;
    limit_cancel(r.waiter);
    assert_int_equal(take(&n, 0, &r), LIMIT_WAIT);
    limit_cancel(r.waiter);
    limit_worker_close(&n.worker[0]);
    assert_null(n.port[0].asked[0].call);
    assert_null(n.port[0].asked[1].call);
    node_close(&n);
}

#ifdef WEIR_FAULTS
static void without_memory_a_request_fails_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned long at = 1;; at++) {
        enum limit_verdict v;
        struct request r;
        struct node n;

        node_open(&n, true, "5/h");
        weir_alloc_fail_at(at);
        v = take(&n, 0, &r);
        if (!weir_alloc_failed()) {
            weir_alloc_fail_at(0);
            assert_int_equal(v, LIMIT_WAIT);
            assert_true(at > 3);
            limit_cancel(r.waiter);
            node_close(&n);
            return;
        }
        weir_alloc_fail_at(0);
        assert_int_equal(v, LIMIT_FAILED);
        assert_int_equal(atomic_load(&counts(&n)->waiting), 0);
        assert_int_equal(take(&n, 0, &r), LIMIT_WAIT);
        answer(&n.port[0], SHARED_OK, 1, 0, 4);
        assert_int_equal(r.taken.verdict, LIMIT_ALLOWED);
        node_close(&n);
    }
}

static void without_memory_there_is_no_half_a_set(void **state)
{
    const char *networks[] = {"192.0.2.0/24"};
    struct node n;

    (void)state;
    node_open(&n, true, "5/h");
    n.settings.exempt = networks;
    n.settings.exempt_count = 1;
    n.settings.name = "other";
    for (unsigned long at = 1;; at++) {
        struct weir_err err = {0};
        struct limit_set *set;

        weir_alloc_fail_at(at);
        set = limit_set_new(n.node, &n.settings, 1, &err);
        if (!weir_alloc_failed()) {
            weir_alloc_fail_at(0);
            assert_non_null(set);
            limit_set_free(set);
            break;
        }
        weir_alloc_fail_at(0);
        assert_null(set);
        assert_int_equal(err.code, WEIR_E_MEMORY);
    }
    node_close(&n);
}
#endif

/* ---- threads ---- */

#define THREADS  4
#define REQUESTS 20000

struct crowd {
    struct limit_node *node;
    const struct limit *limit;
    const struct weir_hash_secret *secret;
    pthread_mutex_t lock;
    int64_t tat_us; /* what the farm has */
    atomic_int allowed;
    atomic_int open; /* threads that have not had all their answers */
};

static void play_farm(struct crowd *crowd, struct shared_port *p, unsigned *answered,
                      int64_t now_us)
{
    while (*answered < p->count) {
        struct question *q = &p->asked[(*answered)++ % CALLS];
        struct shared_call *c = q->call;
        struct weir_gcra_answer a;

        pthread_mutex_lock(&crowd->lock);
        weir_gcra_take(&crowd->tat_us, &q->rate, now_us, q->want, &a);
        pthread_mutex_unlock(&crowd->lock);
        c->result = a.taken > 0 ? SHARED_OK : SHARED_REFUSED;
        c->number = a.taken;
        c->rest = a.rest;
        c->left_ms = (uint32_t)(a.next_us / 1000 + 1);
        c->done(c);
    }
}

struct of_crowd {
    struct limit_taken taken;
    struct limit_waiter *waiter;
    struct crowd *crowd;
    unsigned *waiting;
};

static void on_of_crowd(void *arg)
{
    struct of_crowd *r = arg;

    r->crowd->allowed += r->taken.verdict == LIMIT_ALLOWED;
    --*r->waiting;
    free(r);
}

static void *one_of_many(void *arg)
{
    struct crowd *crowd = arg;
    struct weir_clock clock = {.mono_us = 5000000, .mono_ms = 5000};
    struct shared_port port = {.count = 0};
    struct weir_metrics *metrics = aligned_alloc(64, sizeof *metrics);
    struct weir_mailbox box;
    struct weir_err err = {0};
    struct limit_worker w = {crowd->node, &port, &box, &clock, metrics, NULL};
    struct http_head head;
    struct net_peer client = {.family = AF_INET, .ip = {192, 0, 2, 7}};
    const struct limit_subject s = {&head, &client, WEIR_SPAN_LIT("all")};
    unsigned waiting = 0, answered = 0;

    http_head_init(&head, NULL, 0);
    memset(metrics, 0, sizeof *metrics);
    if (!weir_mailbox_init(&box, &err))
        abort();
    for (int i = 0; i < REQUESTS; i++) {
        struct of_crowd *r = calloc(1, sizeof *r);
        enum limit_verdict v;

        *r = (struct of_crowd){.crowd = crowd, .waiting = &waiting};
        v = limit_take(&w, crowd->limit, &s, &r->taken, &r->waiter, on_of_crowd, r);
        if (v == LIMIT_WAIT) {
            waiting++;
            if (i % 7 == 0) {
                limit_cancel(r->waiter);
                waiting--;
                free(r);
            }
        } else {
            crowd->allowed += v == LIMIT_ALLOWED;
            free(r);
        }
        if (i % 3 == 0)
            play_farm(crowd, &port, &answered, clock.mono_us);
        weir_mailbox_drain(&box);
    }
    while (waiting > 0) {
        play_farm(crowd, &port, &answered, clock.mono_us);
        weir_mailbox_drain(&box);
    }
    crowd->open--;
    while (crowd->open > 0) { /* others may wait for what this one asks */
        play_farm(crowd, &port, &answered, clock.mono_us);
        weir_mailbox_drain(&box);
    }
    limit_worker_close(&w);
    weir_mailbox_drain(&box);
    weir_mailbox_close(&box);
    free(metrics);
    return NULL;
}

static void crowd_runs(bool farm, int least, int most)
{
    struct crowd crowd = {.allowed = 0, .open = THREADS};
    pthread_t thread[THREADS];
    struct node n;

    node_open(&n, farm, "100/d");
    limit_node_members(n.node, 1);
    pthread_mutex_init(&crowd.lock, NULL);
    crowd.node = n.node;
    crowd.limit = limit_set_at(n.set, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, one_of_many, &crowd), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_in_range(crowd.allowed, least, most);
    pthread_mutex_destroy(&crowd.lock);
    node_close(&n);
}

static void threads_share_the_tokens_of_a_node(void **state)
{
    (void)state;
    crowd_runs(false, 100, 100);
}

static void threads_share_the_tokens_of_a_farm(void **state)
{
    (void)state;
    crowd_runs(true, 50, 100); /* tokens of those who left at the wrong moment are lost */
}

/* ---- fields ---- */

static void clients_are_told_what_is_left(void **state)
{
    char buf[LIMIT_FIELDS_MAX];
    struct limit_list list;
    struct limit_taken taken[3] = {0};
    struct limit l[3];
    struct limit_settings s[3];
    struct http_text t;

    (void)state;
    memset(l, 0, sizeof l);
    memset(s, 0, sizeof s);
    for (int i = 0; i < 3; i++) {
        l[i].settings = &s[i];
        s[i].fields = true;
        list.at[i] = &l[i];
    }
    list.count = 3;
    s[0].name = "api";
    l[0].rate = (struct weir_gcra_rate){600000, 100}; /* 100/m */
    taken[0].said.rest = 42;
    s[1].name = "trial";
    s[1].dry_run = true;
    s[2].name = "login";
    l[2].rate = (struct weir_gcra_rate){12000000, 5}; /* 5/m */
    taken[2].said = (struct limit_said){.wait_us = 1000001};
    taken[2].verdict = LIMIT_REFUSED;
    http_text_init(&t, buf, sizeof buf);
    limit_fields_put(&t, &list, taken, 3, &taken[2]);
    *t.at = '\0';
    assert_string_equal(buf, "RateLimit: \"api\";r=42;t=35, \"login\";r=0;t=60\r\n"
                             "RateLimit-Policy: \"api\";q=100;w=60, \"login\";q=5;w=60\r\n"
                             "Retry-After: 2\r\n");
    taken[0].verdict = LIMIT_EXEMPT;
    http_text_init(&t, buf, sizeof buf);
    limit_fields_put(&t, &list, taken, 2, NULL);
    assert_int_equal(http_text_len(&t), 0);
}

static void the_longest_fields_have_room(void **state)
{
    static const char name[] = "a23456789b123456789c123456789d123456789e123456789f123456789g1234";
    struct limit_settings s = {.name = name, .fields = true};
    struct limit l = {.settings = &s, .rate = {WEIR_GCRA_INTERVAL_MAX, WEIR_GCRA_BURST_MAX}};
    struct limit_list list = {.count = LIMITS_OF_ROUTE};
    struct limit_taken taken[LIMITS_OF_ROUTE] = {0};
    char buf[LIMIT_FIELDS_MAX];
    struct http_text t;

    (void)state;
    for (int i = 0; i < LIMITS_OF_ROUTE; i++)
        list.at[i] = &l;
    taken[0].said.wait_us = WEIR_GCRA_INTERVAL_MAX;
    http_text_init(&t, buf, sizeof buf);
    limit_fields_put(&t, &list, taken, LIMITS_OF_ROUTE, &taken[0]);
    assert_true(http_text_ok(&t));
    assert_memory_equal(t.at - 2, "\r\n", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_alone_never_waits),
        cmocka_unit_test(the_exempt_are_not_counted),
        cmocka_unit_test(counts_go_on_with_another_configuration),
        cmocka_unit_test(a_route_has_the_limits_for_all_and_those_it_names),
        cmocka_unit_test(in_a_farm_the_first_waits_and_the_next_have_a_lease),
        cmocka_unit_test(redis_sees_a_code_that_all_nodes_make_alike),
        cmocka_unit_test(a_refusal_is_told_to_all_and_remembered),
        cmocka_unit_test(more_are_asked_for_while_somebody_waits),
        cmocka_unit_test(without_an_answer_the_local_share_decides),
        cmocka_unit_test(a_farm_that_is_away_is_not_asked),
        cmocka_unit_test(an_answer_that_makes_no_sense_is_none),
        cmocka_unit_test(no_more_wait_than_there_can_be_tokens),
        cmocka_unit_test(few_wait_for_one_answer),
        cmocka_unit_test(who_leaves_is_told_nothing),
        cmocka_unit_test(one_who_is_told_may_make_others_leave),
        cmocka_unit_test(a_worker_may_go_while_the_farm_is_asked),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_a_request_fails_and_nothing_else),
        cmocka_unit_test(without_memory_there_is_no_half_a_set),
#endif
        cmocka_unit_test(threads_share_the_tokens_of_a_node),
        cmocka_unit_test(threads_share_the_tokens_of_a_farm),
        cmocka_unit_test(clients_are_told_what_is_left),
        cmocka_unit_test(the_longest_fields_have_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
