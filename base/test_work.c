#include "weir/work.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>

#include "weir/alloc.h"

struct task {
    struct weir_work work; /* first: the tests cast */
    pthread_t ran_on, done_on;
    int value;
    int *done_count;
    sem_t *started, *go_on; /* NULL, or: tells that it runs, and waits */
};

static void run(struct weir_work *w)
{
    struct task *t = (struct task *)w;

    if (t->started != NULL) {
        sem_post(t->started);
        sem_wait(t->go_on);
    }
    t->ran_on = pthread_self();
    t->value *= 2;
}

static void done(struct weir_work *w)
{
    struct task *t = (struct task *)w;

    t->done_on = pthread_self();
    (*t->done_count)++;
}

static void wait_for(struct weir_mailbox *m, const int *count, int wanted)
{
    struct pollfd p = {.fd = m->fd, .events = POLLIN};

    while (*count < wanted) {
        assert_int_equal(poll(&p, 1, 20000), 1);
        weir_mailbox_drain(m);
    }
}

static void work_runs_elsewhere_and_comes_back_here(void **state)
{
    struct weir_work_pool *p = weir_work_pool_new(3, NULL);
    struct task tasks[100];
    struct weir_mailbox m;
    int count = 0;
    int i;

    (void)state;
    assert_non_null(p);
    assert_true(weir_mailbox_init(&m, NULL));
    for (i = 0; i < 100; i++) {
        tasks[i] = (struct task){.work = {.reply = &m, .run = run, .done = done}, .value = i};
        tasks[i].done_count = &count;
        weir_work_submit(p, &tasks[i].work);
    }
    wait_for(&m, &count, 100);
    for (i = 0; i < 100; i++) {
        assert_int_equal(tasks[i].value, 2 * i);
        assert_false(pthread_equal(tasks[i].ran_on, pthread_self()));
        assert_true(pthread_equal(tasks[i].done_on, pthread_self()));
    }
    tasks[0].value = 21;
    weir_work_submit(p, &tasks[0].work); /* once done, it may be used again */
    wait_for(&m, &count, 101);
    assert_int_equal(tasks[0].value, 42);
    weir_work_pool_free(p);
    weir_mailbox_close(&m);
}

static void *free_pool(void *pool)
{
    weir_work_pool_free(pool);
    return NULL;
}

static void closing_waits_for_what_runs_and_drops_the_rest(void **state)
{
    struct weir_work_pool *p = weir_work_pool_new(1, NULL);
    struct task busy = {.value = 1}, waiting = {.value = 1};
    struct weir_mailbox m;
    sem_t started, go_on;
    pthread_t closer;
    int count = 0;

    (void)state;
    assert_true(weir_mailbox_init(&m, NULL));
    sem_init(&started, 0, 0);
    sem_init(&go_on, 0, 0);
    busy.work = waiting.work = (struct weir_work){.reply = &m, .run = run, .done = done};
    busy.done_count = waiting.done_count = &count;
    busy.started = &started;
    busy.go_on = &go_on;
    weir_work_submit(p, &busy.work);
    sem_wait(&started);
    weir_work_submit(p, &waiting.work);
    assert_int_equal(pthread_create(&closer, NULL, free_pool, p), 0);
    sem_post(&go_on);
    pthread_join(closer, NULL);
    weir_mailbox_drain(&m);
    assert_int_equal(busy.value, 2);
    /* Which of the two threads was faster decides whether it began; half done it is never. */
    assert_int_equal(count, waiting.value == 2 ? 2 : 1);
    sem_destroy(&started);
    sem_destroy(&go_on);
    weir_mailbox_close(&m);
    weir_work_pool_free(NULL);
}

static void what_has_not_begun_can_be_withdrawn(void **state)
{
    struct weir_work_pool *p = weir_work_pool_new(1, NULL);
    struct task busy = {.value = 1}, one = {.value = 1}, two = {.value = 1};
    struct weir_mailbox m;
    sem_t started, go_on;
    int count = 0;

    (void)state;
    assert_true(weir_mailbox_init(&m, NULL));
    sem_init(&started, 0, 0);
    sem_init(&go_on, 0, 0);
    busy.work = one.work = two.work = (struct weir_work){.reply = &m, .run = run, .done = done};
    busy.done_count = one.done_count = two.done_count = &count;
    busy.started = &started;
    busy.go_on = &go_on;
    weir_work_submit(p, &busy.work);
    sem_wait(&started);
    weir_work_submit(p, &one.work);
    assert_true(weir_work_withdraw(p, &one.work));
    assert_false(weir_work_withdraw(p, &one.work));
    assert_false(weir_work_withdraw(p, &busy.work));
    weir_work_submit(p, &two.work); /* behind what is not there any more */
    sem_post(&go_on);
    wait_for(&m, &count, 2);
    assert_int_equal(one.value, 1);
    assert_int_equal(two.value, 2);
    weir_work_pool_free(p);
    sem_destroy(&started);
    sem_destroy(&go_on);
    weir_mailbox_close(&m);
}

#ifdef WEIR_FAULTS
static void no_memory_is_an_error(void **state)
{
    struct weir_err err;

    (void)state;
    weir_alloc_fail_at(1);
    assert_null(weir_work_pool_new(2, &err));
    weir_alloc_fail_at(0);
    assert_int_equal(err.code, WEIR_E_MEMORY);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_runs_elsewhere_and_comes_back_here),
        cmocka_unit_test(closing_waits_for_what_runs_and_drops_the_rest),
        cmocka_unit_test(what_has_not_begun_can_be_withdrawn),
#ifdef WEIR_FAULTS
        cmocka_unit_test(no_memory_is_an_error),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
