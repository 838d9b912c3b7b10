/* What holds for hints and who listens to them. */
#include "contract_own.h"

#include <string.h>

#define V(s) WEIR_SPAN_LIT(s)

static struct world *world_of(void **state)
{
    return *state;
}

static void unlisten(struct hearer *h, int port)
{
    shared_unlisten(h->w->ports[port], &h->listener);
}

static void a_hint_reaches_every_port_that_listens(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    struct hearer h[CONTRACT_PORTS];
    int port, from;

    for (port = 0; port < w->port_count; port++) {
        hearer_init(&h[port], w);
        hearer_listen(&h[port], port, ch);
    }
    for (from = 0; from < w->port_count; from++) {
        assert_int_equal(say(w, from, ch, V("hint")), SHARED_OK);
        for (port = 0; port < w->port_count; port++) {
            await(w, &h[port].hints, from + 1);
            assert_int_equal(h[port].last_len, 4);
            assert_memory_equal(h[port].last, "hint", 4);
            assert_int_equal(h[port].gaps, 1);
        }
    }
    settle(w, &h[0], ch);
    assert_int_equal(h[0].hints, w->port_count); /* once each */
}

static void nobody_may_listen(void **state)
{
    struct world *w = world_of(state);

    assert_int_equal(say(w, PORT_A, key(w, "ch"), V("hint")), SHARED_OK);
}

static void channels_are_kept_apart(void **state)
{
    struct world *w = world_of(state);
    struct weir_span one = key(w, "one"), two = key(w, "two");
    struct hearer h1, h2;

    hearer_init(&h1, w);
    hearer_init(&h2, w);
    hearer_listen(&h1, PORT_A, one);
    hearer_listen(&h2, PORT_A, two);
    assert_int_equal(say(w, PORT_B, one, V("for one")), SHARED_OK);
    await(w, &h1.hints, 1);
    settle(w, &h2, two);
    assert_int_equal(h2.hints, 0);
    assert_int_equal(h1.hints, 1);
}

static void several_listeners_of_a_port_all_hear(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    struct hearer h[3];
    int i;

    for (i = 0; i < 3; i++) {
        hearer_init(&h[i], w);
        hearer_listen(&h[i], PORT_A, ch); /* the first gap comes to each */
    }
    assert_int_equal(say(w, PORT_B, ch, V("hint")), SHARED_OK);
    for (i = 0; i < 3; i++)
        await(w, &h[i].hints, 1);
    unlisten(&h[1], PORT_A);
    assert_int_equal(say(w, PORT_B, ch, V("more")), SHARED_OK);
    await(w, &h[0].hints, 2);
    await(w, &h[2].hints, 2);
    settle(w, &h[0], ch);
    assert_int_equal(h[1].hints, 1);
}

static void who_stopped_listening_hears_nothing(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    struct hearer h, witness;
    int heard;

    hearer_init(&h, w);
    hearer_init(&witness, w);
    hearer_listen(&h, PORT_A, ch);
    hearer_listen(&witness, PORT_A, ch);
    assert_int_equal(say(w, PORT_B, ch, V("hint")), SHARED_OK);
    unlisten(&h, PORT_A); /* the hint may be on its way */
    unlisten(&h, PORT_A);
    heard = h.hints;
    await(w, &witness.hints, 1);
    settle(w, &witness, ch);
    assert_int_equal(h.hints, heard);
    hearer_init(&h, w);
    hearer_listen(&h, PORT_A, ch); /* and may listen again, with a gap of its own */
    assert_int_equal(say(w, PORT_B, ch, V("hint")), SHARED_OK);
    await(w, &h.hints, 1);
}

static void who_stops_before_the_first_gap_hears_none(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    struct hearer h, witness;

    hearer_init(&h, w);
    hearer_init(&witness, w);
    assert_true(shared_listen(w->ports[PORT_A], &h.listener, SHARED_STATE, ch, NULL));
    unlisten(&h, PORT_A);
    hearer_listen(&witness, PORT_A, ch);
    settle(w, &witness, ch);
    assert_int_equal(h.gaps + h.hints, 0);
}

static void hints_are_any_bytes_up_to_their_limit(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    char bytes[SHARED_HINT_MAX];
    struct hearer h;
    int i;

    for (i = 0; i < SHARED_HINT_MAX; i++)
        bytes[i] = (char)(i ^ i >> 8);
    hearer_init(&h, w);
    hearer_listen(&h, PORT_B, ch);
    assert_int_equal(say(w, PORT_A, ch, weir_span(bytes, sizeof(bytes))), SHARED_OK);
    await(w, &h.hints, 1);
    assert_int_equal(h.last_len, sizeof(bytes));
    assert_memory_equal(h.last, bytes, sizeof(bytes));
    assert_int_equal(say(w, PORT_A, ch, V("")), SHARED_OK);
    await(w, &h.hints, 2);
    assert_int_equal(h.last_len, 0);
}

static void hints_of_one_port_come_in_order(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    struct asked a[20];
    struct hearer h;
    char digit;
    int i;

    hearer_init(&h, w);
    hearer_listen(&h, PORT_B, ch);
    for (i = 0; i < 20; i++) {
        digit = (char)('a' + i);
        asked_init(&a[i], w, SHARED_STATE);
        shared_hint(w->ports[PORT_A], &a[i].call, ch, weir_span(&digit, 1));
    }
    for (i = 0; i < 20; i++)
        await(w, &a[i].done, 1);
    await(w, &h.hints, 20);
    assert_int_equal(h.last[0], 'a' + 19);
}

/* ---- from inside ---- */

struct meddler {
    struct hearer h; /* first */
    struct hearer *other;
    struct weir_span channel;
    bool when_hinted; /* else at the gap */
    int meddled;
};

static bool now(struct meddler *m)
{
    return m->meddled == 0 && (m->when_hinted ? m->h.hints > 0 : m->h.gaps > 0);
}

static void stop_both(struct hearer *h)
{
    struct meddler *m = (struct meddler *)(void *)h;

    if (!now(m))
        return;
    m->meddled++;
    unlisten(m->other, PORT_A);
    unlisten(h, PORT_A);
}

static void a_listener_may_stop_itself_and_others_from_inside(void **state)
{
    struct world *w = world_of(state);
    struct hearer before, after, witness;
    struct meddler m = {.when_hinted = true};
    struct weir_span ch;
    int first;

    for (first = 0; first < 2; first++) {        /* whichever way an engine goes through them */
        ch = key(w, first == 0 ? "one" : "two"); /* what is on its way is not heard the next time */
        hearer_init(&before, w);
        hearer_init(&after, w);
        hearer_init(&witness, w);
        hearer_init(&m.h, w);
        m.h.then = stop_both;
        m.meddled = 0;
        hearer_listen(&before, PORT_A, ch);
        hearer_listen(&m.h, PORT_A, ch);
        hearer_listen(&after, PORT_A, ch);
        hearer_listen(&witness, PORT_B, ch);
        m.other = first == 0 ? &before : &after;
        assert_int_equal(say(w, PORT_B, ch, V("hint")), SHARED_OK);
        await(w, &m.h.hints, 1);
        await(w, first == 0 ? &after.hints : &before.hints, 1);
        await(w, &witness.hints, 1);
        settle(w, &witness, ch);
        assert_int_equal(m.h.hints, 1);
        assert_in_range(m.other->hints, 0, 1);
        unlisten(&before, PORT_A);
        unlisten(&after, PORT_A);
        unlisten(&witness, PORT_B);
    }
}

static void listen_too(struct hearer *h)
{
    struct meddler *m = (struct meddler *)(void *)h;

    if (!now(m))
        return;
    m->meddled++;
    assert_true(
        shared_listen(h->w->ports[PORT_A], &m->other->listener, SHARED_STATE, m->channel, NULL));
}

static void a_listener_may_begin_another_from_inside(void **state)
{
    struct world *w = world_of(state);
    struct meddler m = {.channel = key(w, "ch")};
    struct hearer other;
    int hinted;

    for (hinted = 0; hinted < 2; hinted++) {
        hearer_init(&other, w);
        hearer_init(&m.h, w);
        m.h.then = listen_too;
        m.other = &other;
        m.meddled = 0;
        m.when_hinted = hinted == 1;
        hearer_listen(&m.h, PORT_A, m.channel);
        assert_int_equal(say(w, PORT_B, m.channel, V("hint")), SHARED_OK);
        await(w, &other.gaps, 1);
        assert_int_equal(say(w, PORT_B, m.channel, V("hint")), SHARED_OK);
        await(w, &other.hints, 1);
        await(w, &m.h.hints, 2);
        unlisten(&other, PORT_A);
        unlisten(&m.h, PORT_A);
    }
}

static void free_port(struct hearer *h)
{
    struct meddler *m = (struct meddler *)(void *)h;

    if (!now(m))
        return;
    m->meddled++;
    shared_port_free(h->w->ports[PORT_A]);
    h->w->ports[PORT_A] = NULL;
}

static void a_listener_may_free_the_port_when_it_hears(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    struct meddler m = {.when_hinted = true};
    struct hearer other;
    int i;

    hearer_init(&other, w);
    hearer_init(&m.h, w);
    m.h.then = free_port;
    hearer_listen(&other, PORT_A, ch);
    hearer_listen(&m.h, PORT_A, ch);
    for (i = 0; i < 3; i++)
        assert_int_equal(say(w, PORT_B, ch, V("hint")), SHARED_OK);
    await(w, &m.meddled, 1);
    for (i = 0; i < 5; i++)
        turn(w);
    assert_int_equal(m.h.hints, 1);
    assert_in_range(other.hints, 0, 1);
}

static void a_listener_may_free_the_port_at_a_gap(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    struct meddler m = {.when_hinted = false};
    struct hearer other;

    hearer_init(&other, w);
    hearer_init(&m.h, w);
    m.h.then = free_port;
    assert_true(shared_listen(w->ports[PORT_A], &other.listener, SHARED_STATE, ch, NULL));
    assert_true(shared_listen(w->ports[PORT_A], &m.h.listener, SHARED_STATE, ch, NULL));
    await(w, &m.meddled, 1);
    assert_int_equal(say(w, PORT_B, ch, V("hint")), SHARED_OK);
    assert_int_equal(m.h.hints, 0);
}

static void a_port_with_listeners_may_be_freed(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    struct hearer h, other;
    int i;

    hearer_init(&h, w);
    hearer_init(&other, w);
    hearer_listen(&h, PORT_A, ch);
    hearer_listen(&other, PORT_B, ch);
    assert_int_equal(say(w, PORT_B, ch, V("hint")), SHARED_OK);
    shared_port_free(w->ports[PORT_A]); /* the hint may be on its way */
    w->ports[PORT_A] = NULL;
    await(w, &other.hints, 1);
    for (i = 0; i < 5; i++)
        turn(w);
    assert_in_range(h.hints, 0, 1);
    assert_int_equal(say(w, PORT_B, ch, V("hint")), SHARED_OK);
    await(w, &other.hints, 2);
}

static const struct CMUnitTest tests[] = {
    CONTRACT_TEST(a_hint_reaches_every_port_that_listens),
    CONTRACT_TEST(nobody_may_listen),
    CONTRACT_TEST(channels_are_kept_apart),
    CONTRACT_TEST(several_listeners_of_a_port_all_hear),
    CONTRACT_TEST(who_stopped_listening_hears_nothing),
    CONTRACT_TEST(who_stops_before_the_first_gap_hears_none),
    CONTRACT_TEST(hints_are_any_bytes_up_to_their_limit),
    CONTRACT_TEST(hints_of_one_port_come_in_order),
    CONTRACT_TEST(a_listener_may_stop_itself_and_others_from_inside),
    CONTRACT_TEST(a_listener_may_begin_another_from_inside),
    CONTRACT_TEST(a_listener_may_free_the_port_when_it_hears),
    CONTRACT_TEST(a_listener_may_free_the_port_at_a_gap),
    CONTRACT_TEST(a_port_with_listeners_may_be_freed),
};

const struct contract_table contract_hints = {tests, sizeof(tests) / sizeof(tests[0])};
