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

/* A handshake that must fail; why, as either side says. */
static void fails(struct pair *p, const char *name, enum weir_code server, enum weir_code client,
                  const char *detail)
{
    pair_connect(p, name);
    assert_false(pair_handshake(p));
    if (server != WEIR_OK)
        assert_int_equal(p->server.err.code, server);
    if (client != WEIR_OK)
        assert_int_equal(p->client.err.code, client);
    if (strstr(client != WEIR_OK ? p->client.err.detail : p->server.err.detail, detail) == NULL)
        fail_msg("%s / %s", p->server.err.detail, p->client.err.detail);
    pair_close(p);
}

static void a_name_the_certificate_does_not_have_is_refused(void **state)
{
    struct pair *p = *state;

    fails(p, "other.example", WEIR_OK, WEIR_E_ORIGIN_CERTIFICATE, "ostname mismatch");
    assert_int_equal(counted(p, WEIR_M_tls_failed_alert), 1);
    fails(p, "127.0.0.2", WEIR_OK, WEIR_E_ORIGIN_CERTIFICATE, "IP address mismatch");
}

static void an_address_is_verified_as_such_and_sends_no_name(void **state)
{
    struct pair *p = *state;

    pair_connect(p, "127.0.0.1");
    assert_true(pair_handshake(p));
    assert_string_equal(tls_session_facts(p->server.s)->name, "");
    assert_false(tls_session_facts(p->server.s)->name_covered);
    pair_close(p);
}

static void the_settings_name_goes_before_the_origins(void **state)
{
    struct pair *p = *state;

    p->origin.name = "www.example";
    pair_connect(p, "10.1.2.3");
    assert_true(pair_handshake(p));
    assert_string_equal(tls_session_facts(p->server.s)->name, "www.example");
    assert_true(tls_session_facts(p->server.s)->name_covered);
    pair_close(p);
}

static void without_verification_anything_goes(void **state)
{
    struct pair *p = *state;

    p->origin.verify = false;
    pair_connect(p, "other.example");
    assert_true(pair_handshake(p));
    pair_close(p);
}

static void an_unknown_issuer_is_refused(void **state)
{
    struct pair *p = *state;

    p->origin.ca = NULL; /* the system's */
    fails(p, "www.example", WEIR_E_TLS_HANDSHAKE, WEIR_E_ORIGIN_CERTIFICATE, "self-signed");
}

static void a_unix_socket_without_a_name_cannot_be_verified(void **state)
{
    struct pair *p = *state;
    struct weir_err err = {0};

    pair_connect(p, "www.example");
    assert_null(tls_connect(p->w, p->client_context, p->client.fd, NULL, &err));
    assert_int_equal(err.code, WEIR_E_ORIGIN_CERTIFICATE);
    pair_close(p);
}

static void names_are_lower_case_without_the_final_dot(void **state)
{
    struct pair *p = *state;

    p->origin.verify = false;
    pair_connect(p, "WWW.Example.");
    assert_true(pair_handshake(p));
    assert_string_equal(tls_session_facts(p->server.s)->name, "www.example");
    pair_close(p);
}

static void a_store_without_a_certificate_says_why(void **state)
{
    fails(*state, "none.example", WEIR_E_TLS_HANDSHAKE, WEIR_OK, "");
}

static void protocols_are_chosen_by_our_preference(void **state)
{
    struct pair *p = *state;

    pair_connect(p, "www.example");
    tls_offer_http1(p->client.s);
    assert_true(pair_handshake(p));
    assert_string_equal(tls_session_facts(p->server.s)->alpn, "http/1.1");
    assert_string_equal(tls_session_facts(p->client.s)->alpn, "http/1.1");
    pair_close(p);
    pair_forget(p);
    p->listen.http2 = false;
    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    assert_string_equal(tls_session_facts(p->client.s)->alpn, "http/1.1");
    pair_close(p);
    pair_connect(p, "www.example");
    SSL_set_alpn_protos(p->client.s->ssl, NULL, 0);
    assert_true(pair_handshake(p));
    assert_string_equal(tls_session_facts(p->server.s)->alpn, "");
    pair_close(p);
}

static void who_offers_only_other_protocols_is_refused(void **state)
{
    struct pair *p = *state;

    pair_connect(p, "www.example");
    SSL_set_alpn_protos(p->client.s->ssl, (const unsigned char *)"\x04smtp\x03h2x", 9);
    assert_false(pair_handshake(p));
    assert_non_null(strstr(p->client.err.detail, "no application protocol"));
    assert_int_equal(counted(p, WEIR_M_tls_failed_mismatch), 1);
    pair_close(p);
}

static void old_versions_are_refused(void **state)
{
    struct pair *p = *state;

    pair_connect(p, "www.example");
    SSL_set_min_proto_version(p->client.s->ssl, TLS1_VERSION);
    SSL_set_max_proto_version(p->client.s->ssl, TLS1_1_VERSION);
    assert_int_equal(SSL_set_cipher_list(p->client.s->ssl, "ALL:@SECLEVEL=0"), 1);
    assert_false(pair_handshake(p));
    assert_int_equal(counted(p, WEIR_M_tls_failed_mismatch), 1);
    pair_close(p);
    pair_forget(p);
    p->settings.min_version = "1.3";
    pair_connect(p, "www.example");
    SSL_set_max_proto_version(p->client.s->ssl, TLS1_2_VERSION);
    assert_false(pair_handshake(p));
    pair_close(p);
}

static void what_is_no_tls_is_told_apart(void **state)
{
    struct pair *p = *state;

    pair_connect(p, "www.example");
    assert_int_equal(send(p->client.fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    assert_int_equal(step_end(p, &p->server), TLS_FAILED);
    assert_int_equal(counted(p, WEIR_M_tls_failed_not_tls), 1);
    assert_non_null(strstr(p->server.err.detail, "http request"));
    pair_close(p);
    pair_connect(p, "www.example");
    shutdown(p->client.fd, SHUT_RDWR);
    assert_int_equal(step_end(p, &p->server), TLS_FAILED);
    assert_int_equal(counted(p, WEIR_M_tls_failed_closed), 1);
    pair_close(p);
}

static void bad_settings_are_named(void **state)
{
    struct pair *p = *state;
    struct weir_err err = {0};

    p->settings.ciphers = "no such cipher";
    assert_null(tls_server_context_new(&p->settings, &p->listen,
                                       &(struct tls_server_tools){.store = &shown}, &err));
    assert_non_null(strstr(err.detail, "tls.ciphers: no cipher match"));
    p->settings.ciphers = NULL;
    p->settings.groups = "X25518";
    assert_null(tls_server_context_new(&p->settings, &p->listen,
                                       &(struct tls_server_tools){.store = &shown}, &err));
    p->settings.groups = NULL;
    p->listen.client_auth = TLS_CLIENT_REQUIRED;
    p->listen.client_ca = "/nowhere/ca.pem";
    err = (struct weir_err){0};
    assert_null(tls_server_context_new(&p->settings, &p->listen,
                                       &(struct tls_server_tools){.store = &shown}, &err));
    assert_non_null(strstr(err.detail, "/nowhere/ca.pem"));
    p->origin.ca = "/nowhere/ca.pem";
    assert_null(tls_client_context_new(&p->origin, NULL, &err));
}

static void clients_prove_who_they_are(void **state)
{
    struct pair *p = *state;
    EVP_PKEY *key = make_key(0);
    X509 *x = make_certificate(key, "alice", "DNS:a.example,URI:spiffe://x/y,IP:10.0.0.1");
    char *file = write_pem(x, key), *ca = write_pem(x, NULL);
    const struct tls_identity *i;

    p->listen.client_auth = TLS_CLIENT_OPTIONAL;
    p->listen.client_ca = ca;
    for (int n = 0; n < 2; n++) { /* the second one resumes */
        p->origin.certificate = file;
        pair_connect(p, "www.example");
        assert_true(pair_handshake(p));
        assert_int_equal(tls_session_facts(p->server.s)->resumed, n == 1);
        i = tls_session_facts(p->server.s)->client;
        assert_non_null(i);
        assert_string_equal(i->subject, "CN=alice");
        assert_string_equal(i->issuer, "CN=alice");
        assert_string_equal(i->serial, "1234");
        assert_int_equal(strlen(i->fingerprint), 64);
        assert_string_equal(i->san, "DNS:a.example, URI:spiffe://x/y, IP:10.0.0.1");
        assert_true(i->der.len > 200);
        assert_int_equal(say(&p->server, "x", 1), 1);
        assert_int_equal(hear(&p->client, (char[4]){0}, 4), 1);
        pair_close(p);
    }
    pair_forget(p);

    p->origin.certificate = NULL; /* optional: none is fine */
    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    assert_null(tls_session_facts(p->server.s)->client);
    pair_close(p);
    pair_forget(p);

    p->listen.client_auth = TLS_CLIENT_REQUIRED;
    pair_connect(p, "www.example");
    pair_handshake(p); /* in TLS 1.3 the client is done before it is refused */
    assert_int_equal(p->server.err.code, WEIR_E_TLS_HANDSHAKE);
    assert_int_equal(counted(p, WEIR_M_tls_failed_certificate), 1);
    pair_close(p);
    pair_forget(p);
    unlink(file);
    unlink(ca);
    free(file);
    free(ca);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void a_certificate_of_a_stranger_is_refused_where_none_is_needed(void **state)
{
    struct pair *p = *state;
    EVP_PKEY *key = make_key(0);
    X509 *x = make_certificate(key, "mallory", "DNS:m.example");
    char *file = write_pem(x, key);

    p->listen.client_auth = TLS_CLIENT_OPTIONAL;
    p->listen.client_ca = p->ca;
    p->origin.certificate = file;
    pair_connect(p, "www.example");
    pair_handshake(p);
    assert_int_equal(p->server.err.code, WEIR_E_TLS_HANDSHAKE);
    assert_non_null(strstr(p->server.err.detail, "self-signed"));
    pair_close(p);
    unlink(file);
    free(file);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void a_session_is_not_resumed_where_more_is_asked_for(void **state)
{
    struct pair *p = *state;
    struct tls_server_context *plain;

    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    assert_int_equal(say(&p->server, "x", 1), 1);
    assert_int_equal(hear(&p->client, (char[4]){0}, 4), 1);
    pair_close(p);
    plain = p->server_context;
    p->server_context = NULL;
    p->listen.client_auth = TLS_CLIENT_REQUIRED;
    p->listen.client_ca = p->ca;
    pair_connect(p, "www.example");
    pair_handshake(p);
    assert_int_equal(p->server.err.code, WEIR_E_TLS_HANDSHAKE);
    pair_close(p);
    tls_server_context_unref(plain);
}

static void send_early(struct pair *p, const char *text)
{
    size_t n;

    tls_wire_begin(p->client.s, 0);
    assert_int_equal(SSL_write_early_data(p->client.s->ssl, text, strlen(text), &n), 1);
    tls_wire_end(p->client.s);
}

static void connect_once(struct pair *p)
{
    pair_connect(p, "www.example");
    assert_true(pair_handshake(p));
    assert_int_equal(say(&p->server, "x", 1), 1);
    assert_int_equal(hear(&p->client, (char[4]){0}, 4), 1);
    pair_close(p);
}

static void early_data_is_told_from_what_comes_later(void **state)
{
    struct pair *p = *state;
    char buf[100];

    p->listen.early_data = true;
    connect_once(p);
    pair_connect(p, "www.example");
    send_early(p, "GET early");
    assert_int_equal(step_end(p, &p->server), TLS_DONE);
    assert_true(tls_session_facts(p->server.s)->early);
    assert_true(tls_session_facts(p->server.s)->resumed);
    assert_string_equal(tls_session_facts(p->server.s)->alpn, "h2");
    assert_true(p->server.l->ops->pending(p->server.l));
    assert_int_equal(hear(&p->server, buf, sizeof buf), 9);
    assert_memory_equal(buf, "GET early", 9);
    assert_int_equal(hear(&p->server, buf, sizeof buf), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(say(&p->server, "answer", 6), 6); /* before the handshake is over */
    assert_int_equal(step_end(p, &p->client), TLS_DONE);
    assert_int_equal(hear(&p->client, buf, sizeof buf), 6);
    assert_int_equal(say(&p->client, "GET late", 8), 8);
    assert_int_equal(hear(&p->server, buf, sizeof buf), 8);
    assert_memory_equal(buf, "GET late", 8);
    assert_false(tls_session_facts(p->server.s)->early);
    assert_int_equal(say(&p->server, "answer", 6), 6);
    assert_int_equal(hear(&p->client, buf, sizeof buf), 6);
    pair_close(p);
}

static void early_data_is_refused_by_default(void **state)
{
    struct pair *p = *state;
    char buf[100];

    p->listen.early_data = true;
    connect_once(p);
    tls_server_context_unref(p->server_context);
    p->server_context = NULL;
    p->listen.early_data = false;
    pair_connect(p, "www.example");
    send_early(p, "GET early");
    assert_true(pair_handshake(p));
    assert_int_equal(SSL_get_early_data_status(p->client.s->ssl), SSL_EARLY_DATA_REJECTED);
    assert_false(tls_session_facts(p->server.s)->early);
    assert_int_equal(say(&p->client, "GET late", 8), 8);
    assert_int_equal(hear(&p->server, buf, sizeof buf), 8);
    assert_memory_equal(buf, "GET late", 8);
    pair_close(p);
}

static void where_early_data_may_come_handshakes_go_on_without(void **state)
{
    struct pair *p = *state;

    p->listen.early_data = true;
    connect_once(p);
    connect_once(p);
    shown.slow = true;
    pair_forget(p);
    connect_once(p);
    assert_int_equal(counted(p, WEIR_M_tls_resumed), 1);
}

#ifdef WEIR_FAULTS
#include "weir/alloc.h"

static void every_lack_of_memory_ends_one_connection(void **state)
{
    struct pair *p = *state;
    unsigned long n = 0;

    pair_connect(p, "www.example");
    pair_close(p);
    for (bool failed = true; failed;) {
        struct weir_err err = {0};
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        weir_alloc_fail_at(++n);
        p->server = (struct end){.fd = fds[0]};
        p->client = (struct end){.fd = fds[1]};
        p->server.s = tls_accept(p->w, p->server_context, fds[0], &err);
        if (p->server.s != NULL)
            p->client.s = tls_connect(p->w, p->client_context, fds[1], "www.example", &err);
        if (p->client.s != NULL && pair_handshake(p)) {
            p->server.l = tls_session_layer(p->server.s);
            say(&p->server, "x", 1);
        }
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        pair_close(p);
        assert_true(n < 100);
    }
    assert_true(n > 3);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_the_certificate_does_not_have_is_refused),
        TEST(an_address_is_verified_as_such_and_sends_no_name),
        TEST(the_settings_name_goes_before_the_origins),
        TEST(without_verification_anything_goes),
        TEST(an_unknown_issuer_is_refused),
        TEST(a_unix_socket_without_a_name_cannot_be_verified),
        TEST(names_are_lower_case_without_the_final_dot),
        TEST(a_store_without_a_certificate_says_why),
        TEST(protocols_are_chosen_by_our_preference),
        TEST(who_offers_only_other_protocols_is_refused),
        TEST(old_versions_are_refused),
        TEST(what_is_no_tls_is_told_apart),
        TEST(bad_settings_are_named),
        TEST(clients_prove_who_they_are),
        TEST(a_certificate_of_a_stranger_is_refused_where_none_is_needed),
        TEST(a_session_is_not_resumed_where_more_is_asked_for),
        TEST(early_data_is_told_from_what_comes_later),
        TEST(early_data_is_refused_by_default),
        TEST(where_early_data_may_come_handshakes_go_on_without),
#ifdef WEIR_FAULTS
        TEST(every_lack_of_memory_ends_one_connection),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
