#include "weir/mailbox.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#define SENDERS 4
#define EACH    5000

static bool readable(const struct weir_mailbox *m, int timeout_ms)
{
    struct pollfd p = {.fd = m->fd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) == 1;
}

struct letter {
    struct weir_mail mail; /* first: the tests cast */
    int sender, number;
    int *next_of; /* per sender, the number expected next */
    int *total;
};

static void take(struct weir_mail *mail)
{
    struct letter *l = (struct letter *)mail;

    assert_int_equal(l->number, l->next_of[l->sender]++);
    (*l->total)++;
    free(l);
}

static struct letter *letter_new(int sender, int number, int *next_of, int *total)
{
    struct letter *l = calloc(1, sizeof(*l));

    l->mail.run = take;
    l->sender = sender;
    l->number = number;
    l->next_of = next_of;
    l->total = total;
    return l;
}

static void mails_arrive_in_order_and_ring_once(void **state)
{
    struct weir_mailbox m;
    int next_of[1] = {0}, total = 0;
    int i;

    (void)state;
    assert_true(weir_mailbox_init(&m, NULL));
    assert_false(readable(&m, 0));
    for (i = 0; i < 10; i++)
        weir_mailbox_post(&m, &letter_new(0, i, next_of, &total)->mail);
    assert_true(readable(&m, 0));
    weir_mailbox_drain(&m);
    assert_int_equal(total, 10);
    assert_false(readable(&m, 0));
    weir_mailbox_drain(&m); /* a bell without a mail does no harm */
    weir_mailbox_close(&m);
}

struct echo {
    struct weir_mail mail;
    struct weir_mailbox *box;
    int left;
};

static void post_again(struct weir_mail *mail)
{
    struct echo *e = (struct echo *)mail;

    if (e->left-- > 0)
        weir_mailbox_post(e->box, mail);
}

static void a_mail_may_post_itself_for_the_next_turn(void **state)
{
    struct weir_mailbox m;
    struct echo e = {.mail = {.run = post_again}, .box = &m, .left = 2};

    (void)state;
    assert_true(weir_mailbox_init(&m, NULL));
    weir_mailbox_post(&m, &e.mail);
    weir_mailbox_drain(&m);
    assert_int_equal(e.left, 1);
    assert_true(readable(&m, 0));
    weir_mailbox_drain(&m);
    weir_mailbox_drain(&m);
    assert_int_equal(e.left, -1);
    assert_false(readable(&m, 0));
    weir_mailbox_close(&m);
}

struct sender {
    struct weir_mailbox *box;
    int number;
    int *next_of, *total;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    int i;

    for (i = 0; i < EACH; i++)
        weir_mailbox_post(s->box, &letter_new(s->number, i, s->next_of, s->total)->mail);
    return NULL;
}

static void many_senders_lose_nothing(void **state)
{
    struct weir_mailbox m;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    int next_of[SENDERS] = {0}, total = 0;
    int i;

    (void)state;
    assert_true(weir_mailbox_init(&m, NULL));
    for (i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&m, i, next_of, &total};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    while (total < SENDERS * EACH) {
        assert_true(readable(&m, 20000)); /* a lost bell would time out here */
        weir_mailbox_drain(&m);
    }
    for (i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    weir_mailbox_drain(&m);
    assert_int_equal(total, SENDERS * EACH);
    weir_mailbox_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mails_arrive_in_order_and_ring_once),
        cmocka_unit_test(a_mail_may_post_itself_for_the_next_turn),
        cmocka_unit_test(many_senders_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
