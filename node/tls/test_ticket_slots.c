/* What workers see: whole, always, and nobody waits. */
#include "ticket_slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#define READERS 3
#define TURNS   20000

static void what_is_published_is_seen(void **state)
{
    struct ticket_slots s = {.used = 0};
    struct ticket_view v = {.count = 1};
    unsigned place;

    (void)state;
    v.keys[0].name[0] = 7;
    assert_true(ticket_slots_publish(&s, &v));
    assert_int_equal(ticket_slots_enter(&s, &place)->keys[0].name[0], 7);
    ticket_slots_leave(&s, place);
}

static void what_is_read_is_left_alone(void **state)
{
    struct ticket_slots s = {.used = 0};
    struct ticket_view v = {.count = 1};
    const struct ticket_view *read;
    unsigned place;

    (void)state;
    v.keys[0].name[0] = 1;
    assert_true(ticket_slots_publish(&s, &v));
    read = ticket_slots_enter(&s, &place);
    v.keys[0].name[0] = 2;
    assert_true(ticket_slots_publish(&s, &v)); /* the other place is free */
    v.keys[0].name[0] = 3;
    assert_false(ticket_slots_publish(&s, &v));
    assert_false(ticket_slots_clean(&s));
    assert_int_equal(read->keys[0].name[0], 1);
    ticket_slots_leave(&s, place);
    assert_true(ticket_slots_clean(&s));
    assert_int_equal(read->keys[0].name[0], 0); /* overwritten */
    assert_true(ticket_slots_publish(&s, &v));
}

struct shared {
    struct ticket_slots slots;
    atomic_bool stop;
    atomic_uint torn;
};

static void *reads(void *arg)
{
    struct shared *s = arg;

    while (!atomic_load(&s->stop)) {
        unsigned place;
        const struct ticket_view *v = ticket_slots_enter(&s->slots, &place);

        for (size_t i = 0; i < v->count; i++)
            if (v->keys[i].name[0] != v->keys[0].name[0] ||
                v->keys[i].mac[31] != v->keys[0].name[0])
                atomic_fetch_add(&s->torn, 1);
        ticket_slots_leave(&s->slots, place);
    }
    return NULL;
}

static void readers_never_see_half_of_a_view(void **state)
{
    static struct shared s;
    struct ticket_view v = {.count = TICKET_KEYS_MAX};
    pthread_t threads[READERS];
    unsigned published = 0;

    (void)state;
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reads, &s), 0);
    for (int turn = 0; turn < TURNS; turn++) {
        for (size_t i = 0; i < v.count; i++)
            memset(&v.keys[i], turn & 0xff, sizeof v.keys[i]);
        published += ticket_slots_publish(&s.slots, &v);
        if (turn % 3 == 0)
            ticket_slots_clean(&s.slots);
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(published > 0);
    assert_int_equal(atomic_load(&s.torn), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_published_is_seen),
        cmocka_unit_test(what_is_read_is_left_alone),
        cmocka_unit_test(readers_never_see_half_of_a_view),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
