#include "net_listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct weir_metrics metrics;

static struct listen_settings settings(const char *address)
{
    return (struct listen_settings){.address = address, .tuning = {.backlog = 16}, .mode = 0600};
}

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(close(fds[i]), 0);
}

static int connect_to(const struct net_addr *a)
{
    int fd = socket(a->sa.any.sa_family, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    if (connect(fd, &a->sa.any, a->len) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void port_0_gets_a_port_that_all_sockets_share(void **state)
{
    struct listen_settings s = settings("127.0.0.1:0");
    struct net_addr bound;
    int fds[3];

    (void)state;
    assert_true(net_listen_open(&s, fds, 3, &bound, NULL));
    assert_int_not_equal(bound.sa.in.sin_port, 0);
    for (int i = 0; i < 3; i++) {
        struct net_addr a = {.len = sizeof a.sa};

        assert_int_equal(getsockname(fds[i], &a.sa.any, &a.len), 0);
        assert_int_equal(a.sa.in.sin_port, bound.sa.in.sin_port);
    }
    close_all(fds, 3);
}

static void a_taken_address_is_refused_and_named(void **state)
{
    struct listen_settings s = settings("127.0.0.1:0"), again;
    struct net_addr bound;
    char text[NET_TEXT_MAX], any[NET_TEXT_MAX];
    int fds[1], more[2] = {-7, -7};
    struct weir_err err = {0};

    (void)state;
    assert_true(net_listen_open(&s, fds, 1, &bound, NULL));
    again = settings(net_addr_text(&bound, text));
    assert_false(net_listen_open(&again, more, 2, NULL, &err));
    assert_int_equal(err.code, WEIR_E_LISTEN);
    assert_int_equal(err.os, EADDRINUSE);
    assert_non_null(strstr(err.detail, text));
    assert_true(more[0] == -7 && more[1] == -7);
    snprintf(any, sizeof any, ":%u",
             ntohs(bound.sa.in.sin_port)); /* all addresses include that one */
    again = settings(any);
    assert_false(net_listen_open(&again, more, 2, NULL, &err));
    close_all(fds, 1);
    again = settings(text);
    assert_true(net_listen_open(&again, more, 2, NULL, NULL));
    close_all(more, 2);
}

static void what_is_no_address_or_too_many_opens_nothing(void **state)
{
    struct listen_settings s = settings("nowhere");
    struct weir_err err = {0};
    int fds[1];

    (void)state;
    assert_false(net_listen_open(&s, fds, 1, NULL, &err));
    assert_int_equal(err.code, WEIR_E_CONFIG);
    s = settings("192.0.2.1:80"); /* not ours: TEST-NET-1 */
    assert_false(net_listen_open(&s, fds, 1, NULL, &err));
    assert_int_equal(err.code, WEIR_E_LISTEN);
}

static void all_addresses_take_both_families(void **state)
{
    struct listen_settings s = settings(":0");
    struct net_addr bound, v4 = {.sa.in.sin_family = AF_INET, .len = sizeof(struct sockaddr_in)};
    int fds[1], client;

    (void)state;
    assert_true(net_listen_open(&s, fds, 1, &bound, NULL));
    v4.sa.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v4.sa.in.sin_port =
        bound.sa.any.sa_family == AF_INET6 ? bound.sa.in6.sin6_port : bound.sa.in.sin_port;
    client = connect_to(&v4);
    assert_true(client >= 0);
    close(client);
    close_all(fds, 1);
}

/* ---- Unix sockets ---- */

static char path[64], address[80];

static void name_socket(void)
{
    snprintf(path, sizeof path, "/tmp/test_net_listener.%d", (int)getpid());
    snprintf(address, sizeof address, "unix:%s", path);
    unlink(path);
}

static void a_unix_socket_is_one_socket_with_its_mode(void **state)
{
    struct listen_settings s;
    struct net_addr bound;
    struct stat st;
    int fds[2], client;

    (void)state;
    name_socket();
    s = settings(address);
    assert_true(net_listen_open(&s, fds, 2, &bound, NULL));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    client = connect_to(&bound);
    assert_true(client >= 0);
    close(client);
    close_all(fds, 2);
    unlink(path);
}

struct given {
    unsigned times;
    uid_t uid;
    gid_t gid;
};

static int note_owner(void *arg, int file, uid_t uid, gid_t gid)
{
    struct given *g = arg;
    struct stat st;

    assert_int_equal(fstat(file, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    *g = (struct given){g->times + 1, uid, gid};
    return 0;
}

static void a_unix_socket_belongs_to_whom_it_is_given(void **state)
{
    struct given g = {0};
    const struct net_helper helper = {NULL, note_owner, &g};
    struct listen_settings s;
    struct weir_err err = {0};
    struct stat st;
    int fd;

    (void)state;
    name_socket();
    s = settings(address);
    s.user = "nobody";
    s.group = "0";
    assert_true(net_listen_open_by(&s, &helper, &fd, 1, NULL, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    if (getuid() == 0) {
        assert_int_equal(st.st_uid, 65534);
        assert_int_equal(st.st_gid, 0);
        assert_int_equal(g.times, 0);
    } else {
        assert_int_equal(g.times, 1);
        assert_int_equal(g.uid, 65534);
    }
    close(fd);
    unlink(path);
    s.user = "no-such-user";
    assert_false(net_listen_open(&s, &fd, 1, NULL, &err));
    assert_non_null(strstr(err.detail, "no-such-user"));
    assert_int_equal(access(path, F_OK), -1); /* nothing is left */
}

static void a_socket_left_by_a_crash_is_replaced_a_live_one_is_not(void **state)
{
    struct listen_settings s;
    struct weir_err err = {0};
    int fds[1], more[1];

    (void)state;
    name_socket();
    s = settings(address);
    assert_true(net_listen_open(&s, fds, 1, NULL, NULL));
    assert_false(net_listen_open(&s, more, 1, NULL, &err));
    assert_int_equal(err.os, EADDRINUSE);
    close_all(fds, 1); /* the file stays */
    assert_int_equal(access(path, F_OK), 0);
    assert_true(net_listen_open(&s, more, 1, NULL, NULL));
    close_all(more, 1);
    unlink(path);
}

static void what_is_not_a_socket_of_ours_is_never_removed(void **state)
{
    struct listen_settings s;
    struct weir_err err = {0};
    struct net_addr a;
    int fds[1], fd;
    FILE *f;

    (void)state;
    name_socket();
    s = settings(address);
    f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_false(net_listen_open(&s, fds, 1, NULL, &err));
    assert_int_equal(err.os, EEXIST);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    /* A datagram socket refuses streams, but somebody lives there. */
    assert_true(net_addr_parse(address, &a, NULL));
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, &a.sa.any, a.len), 0);
    assert_false(net_listen_open(&s, fds, 1, NULL, &err));
    assert_int_equal(access(path, F_OK), 0);
    close(fd);
    unlink(path);
}

/* ---- accepting ---- */

struct door {
    struct net_loop loop;
    struct net_listener listener;
    int taken[8];
    unsigned count;
    bool stop_at_first;
};

static void on_accepted(void *arg, int fd, const struct net_addr *peer)
{
    struct door *d = arg;

    assert_int_equal(peer->sa.any.sa_family, AF_INET);
    d->taken[d->count++] = fd;
    if (d->stop_at_first)
        net_listener_stop(&d->listener);
}

static struct net_addr open_door(struct door *d)
{
    struct listen_settings s = settings("127.0.0.1:0");
    struct net_addr bound;
    int fd;

    memset(d, 0, sizeof *d);
    assert_true(net_loop_init(&d->loop, NULL));
    assert_true(net_listen_open(&s, &fd, 1, &bound, NULL));
    d->listener.accepted = on_accepted;
    d->listener.arg = d;
    d->listener.metrics = &metrics;
    net_listener_start(&d->listener, &d->loop, fd);
    return bound;
}

static void turn(struct door *d)
{
    d->loop.fresh = false;
    event_base_loop(d->loop.base, EVLOOP_NONBLOCK);
}

static void close_door(struct door *d)
{
    net_listener_stop(&d->listener);
    net_listener_stop(&d->listener); /* idempotent */
    net_listener_wake(&d->listener);
    for (unsigned i = 0; i < d->count; i++)
        close(d->taken[i]);
    net_loop_close(&d->loop);
}

static void connections_are_accepted_until_it_is_stopped(void **state)
{
    struct door d;
    struct net_addr a = open_door(&d);
    int one = connect_to(&a), two = connect_to(&a);

    (void)state;
    turn(&d);
    assert_int_equal(d.count, 2);
    close(one);
    close(two);
    close_door(&d);

    a = open_door(&d);
    d.stop_at_first = true; /* from inside the call */
    one = connect_to(&a);
    two = connect_to(&a);
    turn(&d);
    assert_int_equal(d.count, 1);
    close(one);
    close(two);
    close_door(&d);
}

static void whoever_waits_already_is_accepted_before_it_closes(void **state)
{
    struct door d;
    struct net_addr a = open_door(&d);
    int clients[5];

    (void)state;
    for (int i = 0; i < 5; i++)
        clients[i] = connect_to(&a);
    net_listener_finish(&d.listener);
    assert_int_equal(d.count, 5);
    assert_int_equal(connect_to(&a), -1);
    net_listener_finish(&d.listener); /* idempotent */
    for (int i = 0; i < 5; i++)
        close(clients[i]);
    close_door(&d);
}

static void without_descriptors_it_closes_without_those_who_wait(void **state)
{
    struct door d;
    struct net_addr a = open_door(&d);
    struct rlimit old, none;
    int client = connect_to(&a);

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    net_listener_finish(&d.listener);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(d.count, 0);
    close(client);
    close_door(&d);
}

static void without_descriptors_it_pauses_and_recovers_when_told(void **state)
{
    struct door d;
    struct net_addr a = open_door(&d);
    struct rlimit old, none;
    int client = connect_to(&a);
    int64_t paused = atomic_load(&metrics.value[WEIR_M_accept_paused]);

    (void)state;
    assert_true(client >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3; /* all beyond standard error are too many */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    turn(&d);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(d.count, 0);
    assert_true(d.listener.paused);
    assert_int_equal(atomic_load(&metrics.value[WEIR_M_accept_paused]), paused + 1);
    turn(&d); /* it does not spin */
    assert_int_equal(d.count, 0);
    net_listener_wake(&d.listener);
    turn(&d);
    assert_int_equal(d.count, 1);
    close(client);
    close_door(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_0_gets_a_port_that_all_sockets_share),
        cmocka_unit_test(a_taken_address_is_refused_and_named),
        cmocka_unit_test(what_is_no_address_or_too_many_opens_nothing),
        cmocka_unit_test(all_addresses_take_both_families),
        cmocka_unit_test(a_unix_socket_is_one_socket_with_its_mode),
        cmocka_unit_test(a_unix_socket_belongs_to_whom_it_is_given),
        cmocka_unit_test(a_socket_left_by_a_crash_is_replaced_a_live_one_is_not),
        cmocka_unit_test(what_is_not_a_socket_of_ours_is_never_removed),
        cmocka_unit_test(connections_are_accepted_until_it_is_stopped),
        cmocka_unit_test(whoever_waits_already_is_accepted_before_it_closes),
        cmocka_unit_test(without_descriptors_it_closes_without_those_who_wait),
        cmocka_unit_test(without_descriptors_it_pauses_and_recovers_when_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
