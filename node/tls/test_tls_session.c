#include "test_tls_pair.h"

static int setup(void **state)
{
    struct pair *p = malloc(sizeof *p);

    pair_init(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    pair_free(*state);
    free(*state);
    return 0;
}

static void two_ends_of_ours_understand_each_other(void **state)
{
    struct pair *p = *state;
    char buf[100];

    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    assert_string_equal(tls_session_facts(p->server.s)->version, "TLSv1.3");
    assert_string_equal(tls_session_facts(p->server.s)->cipher, "TLS_AES_128_GCM_SHA256");
    assert_string_equal(tls_session_facts(p->server.s)->alpn, "h2");
    assert_string_equal(tls_session_facts(p->server.s)->name, "www.example");
    assert_false(tls_session_facts(p->server.s)->resumed);
    assert_null(tls_session_facts(p->server.s)->client);
    assert_ptr_equal(tls_session_facts(p->server.s)->cert, &shown);
    assert_string_equal(tls_session_facts(p->client.s)->alpn, "h2");
    assert_int_equal(say(&p->client, "hello", 5), 5);
    assert_int_equal(hear(&p->server, buf, sizeof buf), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(hear(&p->server, buf, sizeof buf), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(say(&p->server, "to you", 6), 6);
    assert_int_equal(hear(&p->client, buf, sizeof buf), 6);
    assert_int_equal(counted(p, WEIR_M_tls_handshakes), 1);
    pair_close(p);
}

static void tickets_go_with_the_first_answer_and_resume(void **state)
{
    struct pair *p = *state;
    char buf[100];

    for (int i = 0; i < 3; i++) {
        pair_connect(p, "www.example");
        assert_true(pair_handshake(p));
        assert_int_equal(tls_session_facts(p->server.s)->resumed, i > 0);
        assert_int_equal(tls_session_facts(p->client.s)->resumed, i > 0);
        assert_ptr_equal(tls_session_facts(p->server.s)->cert, &shown);
        assert_string_equal(tls_session_facts(p->server.s)->name, "www.example");
        assert_int_equal(recv(p->client.fd, buf, sizeof buf, MSG_PEEK), -1); /* not yet */
        assert_false(p->server.l->ops->unsent(p->server.l));
        assert_int_equal(say(&p->server, "x", 1), 1);
        assert_int_equal(hear(&p->client, buf, sizeof buf), 1);
        pair_close(p);
    }
    assert_int_equal(counted(p, WEIR_M_tls_resumed), 2);
}

static void tls_1_2_resumes_too(void **state)
{
    struct pair *p = *state;

    pair_connect(p, "www.example");
    for (int i = 0; i < 3; i++) {
        SSL_set_max_proto_version(p->client.s->ssl, TLS1_2_VERSION);
        assert_true(pair_handshake(p));
        assert_string_equal(tls_session_facts(p->server.s)->version, "TLSv1.2");
        assert_int_equal(tls_session_facts(p->server.s)->resumed, i > 0);
        assert_int_equal(say(&p->server, "x", 1), 1);
        pair_close(p);
        pair_connect(p, "www.example");
    }
    pair_close(p);
}

/* Everything one side says, in pieces of `step` as far as the other takes it. */
static void carry(struct end *from, struct end *to, size_t total, size_t say_step, size_t hear_step)
{
    unsigned char *text = malloc(total), *got = malloc(total + hear_step);
    size_t said = 0, heard = 0;

    for (size_t i = 0; i < total; i++)
        text[i] = (unsigned char)(i * 7 + i / 251);
    while (heard < total || from->l->ops->unsent(from->l)) {
        ssize_t n = 0;

        if (said < total)
            n = say(from, text + said, total - said < say_step ? total - said : say_step);
        else if (from->l->ops->unsent(from->l))
            n = from->l->ops->send(from->l, NULL, 0);
        assert_true(n >= 0 || errno == EAGAIN);
        said += n > 0 ? (size_t)n : 0;
        n = hear(to, got + heard, hear_step);
        assert_true(n > 0 || errno == EAGAIN);
        heard += n > 0 ? (size_t)n : 0;
        assert_true(heard <= total);
    }
    assert_memory_equal(text, got, total);
    assert_false(to->l->ops->pending(to->l));
    free(text);
    free(got);
}

static void any_pieces_come_out_as_they_went_in(void **state)
{
    static const size_t steps[] = {1, 7, 1000, 16384, 16385, 200000};
    struct pair *p = *state;

    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            size_t least = steps[i] < steps[k] ? steps[i] : steps[k];

            carry(&p->client, &p->server, least < 10 ? 3000 : 700000, steps[i], steps[k]);
            carry(&p->server, &p->client, least < 10 ? 3000 : 700000, steps[i], steps[k]);
        }
    pair_close(p);
}

static void short_pieces_share_a_record(void **state)
{
    struct pair *p = *state;
    struct iovec iov[] = {{(char[]){"HTTP/1.1 200 OK\r\n"}, 17},
                          {(char[]){""}, 0},
                          {(char[]){"\r\n"}, 2},
                          {(char[]){"body"}, 4}};
    char buf[200];
    ssize_t n;

    p->settings.tickets = false;
    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    assert_int_equal(p->server.l->ops->send(p->server.l, iov, 4), 23);
    n = recv(p->client.fd, buf, sizeof buf, MSG_PEEK);
    assert_int_equal(n, 5 + 23 + 1 + 16); /* header, plaintext, type, tag */
    assert_int_equal(hear(&p->client, buf, sizeof buf), 23);
    assert_memory_equal(buf, "HTTP/1.1 200 OK\r\n\r\nbody", 23);
    pair_close(p);
}

static void what_the_socket_does_not_take_is_kept_and_bounded(void **state)
{
    struct pair *p = *state;
    static char text[1 << 20];
    size_t said = 0, heard = 0;
    ssize_t n;

    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    while ((n = say(&p->server, text, sizeof text)) > 0)
        said += (size_t)n;
    assert_int_equal(errno, EAGAIN);
    assert_true(p->server.l->ops->unsent(p->server.l));
    assert_true(tls_kept_len(&p->server.s->out) <= TLS_OUT_BYTES);
    assert_true(p->server.s->budget < TLS_SEND_MAX);
    while (heard < said) {
        n = hear(&p->client, text, sizeof text);
        assert_true(n > 0 || errno == EAGAIN);
        heard += n > 0 ? (size_t)n : 0;
        p->server.l->ops->send(p->server.l, NULL, 0);
    }
    assert_int_equal(heard, said);
    assert_false(p->server.l->ops->unsent(p->server.l));
    assert_null(p->server.s->out.data);
    pair_close(p);
}

static void what_does_not_fit_is_pending_and_what_is_idle_holds_nothing(void **state)
{
    struct pair *p = *state;
    char buf[4000];

    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    for (int i = 0; i < 20; i++)
        assert_int_equal(say(&p->client, buf, 100), 100);
    assert_false(p->server.l->ops->pending(p->server.l));
    assert_int_equal(hear(&p->server, buf, 50), 50);
    assert_true(p->server.l->ops->pending(p->server.l)); /* the record's other half */
    assert_int_equal(hear(&p->server, buf, sizeof buf), 50 + 19 * 100);
    assert_false(p->server.l->ops->pending(p->server.l));
    assert_null(p->server.s->in.data);
    pair_close(p);
}

static void an_end_in_order_is_told_from_one_that_is_not(void **state)
{
    struct pair *p = *state;
    char buf[10];

    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    assert_int_equal(hear(&p->server, buf, sizeof buf),
                     -1); /* who has waited before hears it too */
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(say(&p->client, "abc", 3), 3);
    p->client.l->ops->farewell(p->client.l);
    assert_int_equal(hear(&p->server, buf, sizeof buf), 3);
    assert_true(p->server.l->ops->pending(p->server.l)); /* the end is known, and not told */
    assert_int_equal(hear(&p->server, buf, sizeof buf), 0);
    assert_false(p->server.l->ops->pending(p->server.l));
    assert_int_equal(hear(&p->server, buf, sizeof buf), 0);
    assert_int_equal(say(&p->server, "still", 5), 5); /* half-closed */
    assert_int_equal(hear(&p->client, buf, sizeof buf), 5);
    pair_close(p);

    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    shutdown(p->client.fd, SHUT_WR);
    assert_int_equal(hear(&p->server, buf, sizeof buf), -1);
    assert_int_equal(errno, ECONNRESET);
    pair_close(p);
}

static void a_record_that_breaks_off_is_no_end_in_order(void **state)
{
    struct pair *p = *state;
    char buf[300];
    ssize_t n;

    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    assert_int_equal(say(&p->client, buf, 100), 100);
    n = recv(p->server.fd, buf, sizeof buf, 0);
    assert_int_equal(send(p->client.fd, buf, (size_t)n / 2, 0), n / 2);
    assert_int_equal(hear(&p->server, buf, sizeof buf), -1);
    assert_int_equal(errno, EAGAIN);
    shutdown(p->client.fd, SHUT_WR);
    assert_int_equal(hear(&p->server, buf, sizeof buf), -1);
    assert_int_equal(errno, ECONNRESET);
    pair_close(p);
}

static void garbage_ends_a_connection_with_an_alert(void **state)
{
    static const char garbage[] = "\x17\x03\x03\x00\x20" /* a record of 32 bytes */
                                  "this is not what it ought to be!";
    struct pair *p = *state;
    char buf[300];

    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    assert_int_equal(say(&p->server, "x", 1), 1);
    assert_int_equal(hear(&p->client, buf, sizeof buf), 1);
    assert_int_equal(send(p->client.fd, garbage, sizeof garbage - 1, 0), sizeof garbage - 1);
    assert_int_equal(hear(&p->server, buf, sizeof buf), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(say(&p->server, "more", 4), -1);
    assert_int_equal(hear(&p->client, buf, sizeof buf), -1); /* the alert */
    assert_int_equal(errno, ECONNRESET);
    pair_close(p);
}

static void key_updates_are_answered(void **state)
{
    struct pair *p = *state;
    char buf[100];

    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(SSL_key_update(p->client.s->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(say(&p->client, "ask", 3), 3);
        assert_int_equal(hear(&p->server, buf, sizeof buf), 3);
        assert_int_equal(say(&p->server, "answer", 6), 6);
        assert_int_equal(hear(&p->client, buf, sizeof buf), 6);
    }
    pair_close(p);
}

static void the_first_records_are_small_and_later_ones_large(void **state)
{
    struct pair *p = *state;
    static char text[200000], wire[300000];
    size_t at = 0, records[64] = {0}, n = 0;
    ssize_t len;

    p->settings.tickets = false;
    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    assert_int_equal(say(&p->server, text, 100000), 65536); /* what one send accepts at first */
    len = recv(p->client.fd, wire, sizeof wire, 0);
    while (at + 5 <= (size_t)len && n < 64) {
        records[n] = (size_t)(unsigned char)wire[at + 3] << 8 | (unsigned char)wire[at + 4];
        at += 5 + records[n++];
    }
    assert_int_equal(at, len);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(records[i], 4096 + 17);
    assert_int_equal(records[8], 16384 + 17);
    pair_close(p);
}

static void a_handshake_may_come_byte_by_byte(void **state)
{
    struct pair *p = *state;
    enum tls_step b = TLS_WANT_READ;
    char buf[4000];
    int outer[2], fd;

    /* The server's socket is replaced by one that is fed a byte at a time. */
    pair_connect(p, "www.example");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, outer), 0);
    fd = p->server.fd;
    p->server.s->fd = outer[0];
    for (int i = 0; i < 100 && (b != TLS_DONE || !p->server.s->done); i++) {
        ssize_t n;

        if (b != TLS_DONE)
            b = step_end(p, &p->client);
        while ((n = recv(fd, buf, 1, 0)) > 0) {
            assert_int_equal(send(outer[1], buf, 1, 0), 1);
            if (!p->server.s->done)
                assert_int_not_equal(step_end(p, &p->server), TLS_FAILED);
        }
        while ((n = recv(outer[1], buf, sizeof buf, 0)) > 0)
            assert_int_equal(send(fd, buf, (size_t)n, 0), n);
    }
    assert_int_equal(b, TLS_DONE);
    assert_true(p->server.s->done);
    pair_close(p);
    close(outer[0]);
    close(outer[1]);
}

static void slow_signatures_are_made_elsewhere(void **state)
{
    struct pair *p = *state;

    shown.slow = true;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        pair_connect(p, "www.example");
        SSL_set_max_proto_version(p->client.s->ssl, version);
        p->again = 0;
        assert_int_equal(step_end(p, &p->client), TLS_WANT_READ);
        assert_int_equal(step_end(p, &p->server), TLS_BUSY);
        assert_true(pair_handshake(p));
        assert_int_equal(p->again, 1);
        pair_close(p);
        pair_forget(p);
    }
}

static void who_leaves_during_a_slow_signature_is_waited_for(void **state)
{
    struct pair *p = *state;

    shown.slow = true;
    for (int i = 0; i < 20; i++) {
        pair_connect(p, "www.example");
        step_end(p, &p->client);
        assert_int_equal(step_end(p, &p->server), TLS_BUSY);
        if (i % 2 == 1)
            usleep(300);
        pair_close(p);
        weir_mailbox_drain(&p->loop.box);
    }
    assert_int_equal(p->again, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_ends_of_ours_understand_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(tickets_go_with_the_first_answer_and_resume, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(tls_1_2_resumes_too, setup, teardown),
        cmocka_unit_test_setup_teardown(any_pieces_come_out_as_they_went_in, setup, teardown),
        cmocka_unit_test_setup_teardown(short_pieces_share_a_record, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_socket_does_not_take_is_kept_and_bounded, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_pending_and_what_is_idle_holds_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_end_in_order_is_told_from_one_that_is_not, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_record_that_breaks_off_is_no_end_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(garbage_ends_a_connection_with_an_alert, setup, teardown),
        cmocka_unit_test_setup_teardown(key_updates_are_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(the_first_records_are_small_and_later_ones_large, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_handshake_may_come_byte_by_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_signatures_are_made_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(who_leaves_during_a_slow_signature_is_waited_for, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
