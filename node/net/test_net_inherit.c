#include "net_inherit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What starts at descriptor 3 is the test's: nothing else is open in this process. */

static int listener(const char *text, bool dual)
{
    struct net_addr a;
    int fd, v6only = !dual;

    assert_true(net_addr_parse(text, &a, NULL));
    fd = socket(a.sa.any.sa_family, SOCK_STREAM, 0);
    if (a.sa.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    assert_int_equal(bind(fd, &a.sa.any, a.len), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static void announce(const char *fds, const char *names, pid_t pid)
{
    char text[16];

    snprintf(text, sizeof text, "%d", (int)pid);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", fds, 1);
    if (names != NULL)
        setenv("LISTEN_FDNAMES", names, 1);
    else
        unsetenv("LISTEN_FDNAMES");
}

/* "127.0.0.1:PORT" of what it is bound to. */
static const char *bound_to(const struct net_inherited_socket *s, char text[NET_TEXT_MAX])
{
    return net_addr_text(&s->addr, text);
}

static void sockets_are_found_by_name_and_by_address(void **state)
{
    struct net_inherited in;
    struct weir_err err = {0};
    char text[NET_TEXT_MAX];
    int fds[2];

    (void)state;
    assert_int_equal(listener("127.0.0.1:0", false), 3);
    assert_int_equal(listener("127.0.0.1:0", false), 4);
    announce("2", "web:", getpid());
    assert_true(net_inherit_take(&in, &err));
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDNAMES"));
    assert_int_equal(in.count, 2);
    assert_string_equal(in.socket[0].name, "web");
    assert_string_equal(in.socket[1].name, "");
    assert_true(fcntl(3, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(3, F_GETFL) & O_NONBLOCK);
    assert_ptr_equal(net_inherit_find(&in, "systemd:web", &err), &in.socket[0]);
    assert_ptr_equal(net_inherit_find(&in, bound_to(&in.socket[1], text), &err), &in.socket[1]);
    assert_int_equal(err.code, WEIR_OK);
    assert_null(net_inherit_find(&in, "127.0.0.1:1", &err)); /* then we open it ourselves */
    assert_int_equal(err.code, WEIR_OK);
    assert_null(net_inherit_find(&in, "systemd:other", &err)); /* then we cannot */
    assert_int_equal(err.code, WEIR_E_LISTEN);
    assert_true(net_inherit_adopt(&in.socket[1], fds, 2, &err));
    assert_true(fds[0] != fds[1] && fds[0] > 4);
    net_inherit_close_rest(&in);
    assert_int_equal(in.count, 1); /* "web" was nobody's */
    assert_int_equal(fcntl(3, F_GETFD), -1);
    assert_non_null(net_inherit_find(&in, text, &err)); /* and may be asked for again */
    close(fds[0]);
    close(fds[1]);
    net_inherit_free(&in);
    assert_int_equal(fcntl(4, F_GETFD), -1);
}

static void a_name_of_two_sockets_is_refused(void **state)
{
    struct net_inherited in;
    struct weir_err err = {0};

    (void)state;
    assert_int_equal(listener("127.0.0.1:0", false), 3);
    assert_int_equal(listener("[::1]:0", false), 4);
    announce("2", "web:web", getpid());
    assert_true(net_inherit_take(&in, &err));
    assert_null(net_inherit_find(&in, "systemd:web", &err));
    assert_int_equal(err.code, WEIR_E_LISTEN);
    assert_non_null(strstr(err.detail, "several"));
    net_inherit_free(&in);
}

static void both_families_are_not_one(void **state)
{
    struct net_inherited in;
    struct weir_err err = {0};
    char all[16], six[16];

    (void)state;
    assert_int_equal(listener("[::]:0", true), 3);
    announce("1", NULL, getpid());
    assert_true(net_inherit_take(&in, &err));
    snprintf(all, sizeof all, ":%u", ntohs(in.socket[0].addr.sa.in6.sin6_port));
    snprintf(six, sizeof six, "[::]:%u", ntohs(in.socket[0].addr.sa.in6.sin6_port));
    assert_non_null(net_inherit_find(&in, all, &err));
    assert_null(net_inherit_find(&in, six, &err));
    net_inherit_free(&in);
}

static void what_is_no_listening_socket_is_left_alone(void **state)
{
    struct net_inherited in;
    struct weir_err err = {0};
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(pair[0], 3);
    announce("3", "a:b:c:d", getpid()); /* 5 is not even open */
    assert_true(net_inherit_take(&in, &err));
    assert_int_equal(in.count, 0);
    net_inherit_free(&in);
    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(close(pair[1]), 0);
}

static void what_is_for_another_process_is_not_taken(void **state)
{
    struct net_inherited in;
    struct weir_err err = {0};

    (void)state;
    announce("1", NULL, getppid());
    assert_true(net_inherit_take(&in, &err));
    assert_int_equal(in.count, 0);
    assert_null(getenv("LISTEN_FDS"));
    assert_true(net_inherit_take(&in, &err)); /* nothing at all */
    assert_int_equal(in.count, 0);
}

static void variables_that_make_no_sense_are_an_error(void **state)
{
    static const char *const wrong[] = {"", "x", "-1", "65", "1x", "99999999999999999999"};
    struct net_inherited in;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct weir_err err = {0};

        announce(wrong[i], NULL, getpid());
        assert_false(net_inherit_take(&in, &err));
        assert_int_equal(err.code, WEIR_E_LISTEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_are_found_by_name_and_by_address),
        cmocka_unit_test(a_name_of_two_sockets_is_refused),
        cmocka_unit_test(both_families_are_not_one),
        cmocka_unit_test(what_is_no_listening_socket_is_left_alone),
        cmocka_unit_test(what_is_for_another_process_is_not_taken),
        cmocka_unit_test(variables_that_make_no_sense_are_an_error),
    };

    closefrom(3); /* whatever the shell or ctest has left open */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
