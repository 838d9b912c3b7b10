/* Members and words over a real Redis, in real time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "redis_settings.h"
#include "shared_redis.h"
#include "test_redis_servers.h"
#include "test_shared_loop.h"
#include "weir/log.h"
#include "weir/members.h"
#include "weir/seal.h"
#include "weir/words.h"

#define NODES   2
#define WAIT_MS 20000 /* busy machines must not fail a test */

struct person {
    struct weir_shared *shared;
    struct shared_port *port;
    struct members *m;
    struct words *w;
    bool left;
    int outcome;
};

struct farm {
    struct test_server server;
    struct redis_address seed;
    struct redis_settings conn;
    struct redis_cluster_settings endpoint;
    struct shared_redis_settings settings;
    struct weir_seal_key key;
    struct test_loop loop;
    struct shared_loop shared_loop;
    struct event *tick;
    struct person person[NODES];
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(((struct farm *)arg)->loop.base);
}

/* Until `holds`, or the test fails. */
static void await(struct farm *f, bool (*holds)(struct farm *f))
{
    int64_t until = f->loop.clock.mono_ms + WAIT_MS;

    while (!holds(f)) {
        event_base_dispatch(f->loop.base);
        weir_clock_update(&f->loop.clock);
        assert_true(f->loop.clock.mono_ms < until);
    }
}

static void open_person(struct farm *f, int i, uint64_t incarnation)
{
    struct person *p = &f->person[i];
    char id[8] = {'n', (char)('0' + i), '\0'};
    struct members_options mo = {.loop = &f->shared_loop,
                                 .key = &f->key,
                                 .farm = "real",
                                 .id = id,
                                 .incarnation = incarnation};
    struct words_options wo = {.loop = &f->shared_loop,
                               .key = &f->key,
                               .farm = "real",
                               .seed = (uint64_t)i};

    memset(p, 0, sizeof *p);
    p->outcome = -1;
    p->shared = shared_redis_new(&f->settings, NULL);
    p->port = shared_port_new(p->shared, &f->shared_loop, NULL);
    mo.port = wo.port = p->port;
    p->m = members_new(&mo, NULL);
    p->w = words_new(&wo, NULL);
    assert_true(p->m != NULL && p->w != NULL);
}

static void close_person(struct person *p)
{
    members_free(p->m);
    words_free(p->w);
    shared_port_free(p->port);
    shared_free(p->shared);
    memset(p, 0, sizeof *p);
}

static int setup(void **state)
{
    static const struct timeval every = {0, 20000};
    struct farm *f = calloc(1, sizeof *f);

    weir_log_set_level(WEIR_LOG_ERROR);
    assert_true(test_server_start(&f->server, ""));
    strcpy(f->seed.host, "127.0.0.1");
    f->seed.port = (uint16_t)f->server.port;
    f->conn = redis_settings_default();
    f->endpoint = (struct redis_cluster_settings){.name = "test",
                                                  .seeds = &f->seed,
                                                  .seed_count = 1,
                                                  .conn = &f->conn};
    f->settings.confirm_ms = 500;
    f->settings.endpoints[SHARED_CACHE] = f->settings.endpoints[SHARED_STATE] = &f->endpoint;
    assert_true(weir_seal_key_derive(&f->key, WEIR_SPAN_LIT("a secret that is long enough for it"),
                                     WEIR_SPAN_LIT("real"), NULL));
    f->shared_loop = test_loop_start(&f->loop);
    f->tick = event_new(f->loop.base, -1, EV_PERSIST, on_tick, f);
    event_add(f->tick, &every);
    for (int i = 0; i < NODES; i++)
        open_person(f, i, (uint64_t)i + 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct farm *f = *state;

    for (int i = 0; i < NODES; i++)
        close_person(&f->person[i]);
    event_free(f->tick);
    event_base_free(f->loop.base);
    test_server_stop(&f->server);
    free(f);
    return 0;
}

static size_t listed(struct person *p)
{
    const struct member *list;

    return members_list(p->m, &list);
}

static bool both_see_both(struct farm *f)
{
    return listed(&f->person[0]) == 2 && listed(&f->person[1]) == 2;
}

static struct members_state state_of(struct person *p)
{
    struct members_state st;

    members_state(p->m, &st);
    return st;
}

static bool second_hears(struct farm *f)
{
    const struct member *list;

    return members_list(f->person[1].m, &list) == 2 && list[1].brief.purges == 4711;
}

static bool second_is_alone(struct farm *f)
{
    return listed(&f->person[1]) == 1;
}

static void on_left(void *arg)
{
    ((struct person *)arg)->left = true;
}

static void members_meet_speak_and_part(void **state)
{
    struct farm *f = *state;
    struct member_brief b = {.flags = MEMBER_READY, .purges = 4711};
    int64_t said_ms;

    await(f, both_see_both);
    assert_in_range(state_of(&f->person[0]).skew_ms + 500, 0, 1000); /* the clock of one machine */
    said_ms = f->loop.clock.mono_ms;
    assert_true(members_say(f->person[0].m, &b, true));
    await(f, second_hears);
    assert_true(f->loop.clock.mono_ms - said_ms < MEMBER_BEAT_MS / 2); /* not by reading */
    members_leave(f->person[0].m, on_left, &f->person[0]);
    await(f, second_is_alone);
    assert_true(f->loop.clock.mono_ms - said_ms < MEMBER_BEAT_MS);
    assert_true(f->person[0].left);
}

static bool first_is_lost(struct farm *f)
{
    return state_of(&f->person[0]).lost && state_of(&f->person[1]).lost;
}

static bool all_are_back(struct farm *f)
{
    return both_see_both(f) && state_of(&f->person[0]).current && state_of(&f->person[1]).current;
}

static void members_are_lost_with_redis_and_come_back_with_it(void **state)
{
    struct farm *f = *state;

    await(f, both_see_both);
    kill(f->server.pid, SIGSTOP);
    await(f, first_is_lost);
    assert_int_equal(listed(&f->person[0]), 1);
    kill(f->server.pid, SIGCONT);
    await(f, all_are_back);
}

static void on_told(void *arg, enum words_outcome outcome, uint64_t number)
{
    (void)number;
    ((struct person *)arg)->outcome = (int)outcome;
}

static const struct word *word_of(struct person *p)
{
    const struct word *list;

    return words_list(p->w, &list) == 1 ? &list[0] : NULL;
}

static bool second_obeys(struct farm *f)
{
    return word_of(&f->person[1]) != NULL;
}

static bool nobody_obeys(struct farm *f)
{
    return word_of(&f->person[0]) == NULL && word_of(&f->person[1]) == NULL;
}

static bool it_is_restored(struct farm *f)
{
    struct words_state a, b;

    words_state(f->person[0].w, &a);
    words_state(f->person[1].w, &b);
    return a.restored + b.restored > 0;
}

static bool it_is_told(struct farm *f)
{
    return f->person[0].outcome >= 0;
}

static void words_are_heard_restored_and_taken_back(void **state)
{
    struct farm *f = *state;
    struct words_say say = {
        .word = {.target = WORD_UPSTREAM, .kind = WORD_MAINTENANCE, .name = "app", .author = "bob"},
        .left_ms = 60000,
        .told = on_told,
        .arg = &f->person[0]};
    redisReply *r;

    await(f, both_see_both);
    assert_true(words_say(f->person[0].w, &say, NULL));
    await(f, second_obeys);
    await(f, it_is_told);
    assert_int_equal(f->person[0].outcome, WORDS_SAID);
    assert_string_equal(word_of(&f->person[1])->author, "bob");
    assert_in_range(word_of(&f->person[1])->until_ms - f->loop.clock.mono_ms, 40000, 60500);
    r = test_server_ask(&f->server, "FLUSHALL");
    freeReplyObject(r);
    await(f, it_is_restored);
    assert_true(both_see_both(f));
    say.word.kind = WORD_NOTHING;
    say.left_ms = 0;
    assert_true(words_say(f->person[1].w, &say, NULL));
    await(f, nobody_obeys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_meet_speak_and_part, setup, teardown),
        cmocka_unit_test_setup_teardown(members_are_lost_with_redis_and_come_back_with_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(words_are_heard_restored_and_taken_back, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
