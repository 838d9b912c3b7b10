#include "connection_rules.h"

#include "test_exchange.h"

#include "early_hints.h"
#include "http_text.h"
#include "request_out.h"
#include "tls_facts.h"

#define NAV "Sec-Fetch-Mode: navigate\r\n"

struct set {
    struct made m;
    struct front_entry entry;
    struct tls_facts tls;
    struct tls_identity who;
};

static void set_open(struct set *s, const char *request)
{
    made_open(&s->m);
    memset(&s->entry, 0, sizeof s->entry);
    s->entry.https_port = 443;
    s->tls = (struct tls_facts){.version = "TLSv1.3", .cipher = "", .alpn = "", .name = ""};
    s->who = (struct tls_identity){.subject = "CN=alice",
                                   .issuer = "CN=ca",
                                   .serial = "01",
                                   .fingerprint = "ab",
                                   .san = "",
                                   .der = WEIR_SPAN_LIT("\x30\x03\x02\x01\x05")};
    s->m.x.entry = &s->entry;
    made_request(&s->m, request);
}

/* As one that came under TLS. */
static void set_secure(struct set *s)
{
    s->m.x.tls = &s->tls;
    s->m.x.secure = true;
}

static enum exchange_verdict judge(struct set *s)
{
    return connection_rules_concern(&s->m.x) ? connection_rules_run(&s->m.x) : EXCHANGE_NEXT;
}

static void assert_has(struct weir_span text, const char *wanted)
{
    if (memmem(text.ptr, text.len, wanted, strlen(wanted)) == NULL)
        fail_msg("\"%s\" is not in:\n%.*s", wanted, (int)text.len, text.ptr);
}

static void assert_lacks(struct weir_span text, const char *other)
{
    if (memmem(text.ptr, text.len, other, strlen(other)) != NULL)
        fail_msg("\"%s\" is in:\n%.*s", other, (int)text.len, text.ptr);
}

/* ---- to https ---- */

static void a_plain_request_is_sent_to_https_with_its_path_and_query(void **state)
{
    struct set s;

    (void)state;
    set_open(&s, "GET /a%20b?c=d HTTP/1.1\r\nHost: example.org:8080\r\n\r\n");
    s.entry.redirect_https = true;
    assert_int_equal(judge(&s), EXCHANGE_REPLY);
    assert_int_equal(s.m.x.response.status, 308);
    assert_has(s.m.x.response.head, "Location: https://example.org/a%20b?c=d\r\n");
    made_close(&s.m);
}

static void another_port_of_https_is_named(void **state)
{
    struct set s;

    (void)state;
    set_open(&s, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    s.entry.redirect_https = true;
    s.entry.https_port = 8443;
    assert_int_equal(judge(&s), EXCHANGE_REPLY);
    assert_has(s.m.x.response.head, "Location: https://[::1]:8443/\r\n");
    made_close(&s.m);
}

static void health_and_what_is_secure_already_stay(void **state)
{
    struct set s;

    (void)state;
    set_open(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    s.entry.redirect_https = true;
    s.m.route.action = ROUTE_HEALTH;
    assert_int_equal(judge(&s), EXCHANGE_NEXT);
    s.m.route.action = ROUTE_UPSTREAM;
    s.m.x.secure = true; /* a trusted peer says so */
    assert_int_equal(judge(&s), EXCHANGE_NEXT);
    made_close(&s.m);
}

static void without_a_host_there_is_nowhere_to_go(void **state)
{
    struct set s;

    (void)state;
    set_open(&s, "GET / HTTP/1.0\r\n\r\n");
    s.entry.redirect_https = true;
    assert_int_equal(judge(&s), EXCHANGE_FAIL);
    assert_int_equal(s.m.x.err.code, WEIR_E_BAD_HOST);
    made_close(&s.m);
}

/* ---- early data ---- */

static void early_data_is_refused_unless_the_route_takes_it(void **state)
{
    struct set s;

    (void)state;
    set_open(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    set_secure(&s);
    s.tls.early = true;
    assert_int_equal(judge(&s), EXCHANGE_FAIL);
    assert_int_equal(weir_code_status(s.m.x.err.code), 425);
    s.m.route_settings.early_data = true;
    assert_int_equal(judge(&s), EXCHANGE_NEXT);
    assert_true(s.m.x.early);
    made_close(&s.m);
}

static void an_unsafe_request_is_never_taken_early(void **state)
{
    struct set s;

    (void)state;
    set_open(&s, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    set_secure(&s);
    s.tls.early = true;
    s.m.route_settings.early_data = true;
    assert_int_equal(judge(&s), EXCHANGE_FAIL);
    assert_int_equal(s.m.x.err.code, WEIR_E_TOO_EARLY);
    s.tls.early = false; /* the handshake is over */
    assert_int_equal(judge(&s), EXCHANGE_NEXT);
    made_close(&s.m);
}

static struct weir_span sent_to_origin(struct set *s)
{
    struct request_out out = {.x = &s->m.x, .upstream = &s->m.upstream, .route = &s->m.route};
    struct weir_span text;

    assert_true(request_out_write(&out, &s->m.x.arena, &text, &s->m.x.err));
    return text;
}

static void the_origin_is_told_of_early_data_once(void **state)
{
    struct set s;
    struct weir_span text;

    (void)state;
    set_open(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    s.m.x.early = true;
    assert_has(sent_to_origin(&s), "\r\nEarly-Data: 1\r\n");
    made_close(&s.m);

    set_open(&s, "GET / HTTP/1.1\r\nHost: a\r\nEarly-Data: 1\r\n\r\n");
    s.m.x.early = true;
    text = sent_to_origin(&s);
    assert_has(text, "\r\nEarly-Data: 1\r\n");
    assert_null(memmem(strstr(text.ptr, "Early-Data") + 5, 60, "Early-Data", 10));
    made_close(&s.m);
}

/* ---- client certificates ---- */

static void a_route_may_require_a_client_certificate(void **state)
{
    struct set s;

    (void)state;
    set_open(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    s.m.route_settings.client_certificate = ROUTE_CLIENT_CERT_REQUIRED;
    assert_int_equal(judge(&s), EXCHANGE_FAIL); /* in the clear */
    assert_int_equal(weir_code_status(s.m.x.err.code), 403);
    set_secure(&s);
    assert_int_equal(judge(&s), EXCHANGE_FAIL);
    assert_int_equal(s.m.x.err.code, WEIR_E_NO_CLIENT_CERTIFICATE);
    s.tls.client = &s.who;
    assert_int_equal(judge(&s), EXCHANGE_NEXT);
    assert_has(sent_to_origin(&s), "\r\nClient-Cert: :MAMCAQU=:\r\n");
    made_close(&s.m);
}

static void a_route_that_does_not_ask_is_told_nothing(void **state)
{
    struct set s;
    struct template_values v;
    char client[NET_TEXT_MAX];

    (void)state;
    set_open(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    set_secure(&s);
    s.tls.client = &s.who;
    assert_int_equal(judge(&s), EXCHANGE_NEXT);
    assert_lacks(sent_to_origin(&s), "Client-Cert");
    exchange_template_values(&s.m.x, &v, client);
    assert_int_equal(v.client_cert[TEMPLATE_CERT_SUBJECT].len, 0);
    s.m.route_settings.client_certificate = ROUTE_CLIENT_CERT_OPTIONAL;
    assert_int_equal(judge(&s), EXCHANGE_NEXT);
    exchange_template_values(&s.m.x, &v, client);
    assert_true(weir_span_eq(v.client_cert[TEMPLATE_CERT_SUBJECT], WEIR_SPAN_LIT("CN=alice")));
    made_close(&s.m);
}

static void nobody_can_say_that_he_has_a_certificate(void **state)
{
    static const char spoofed[] = "GET / HTTP/1.1\r\nHost: a\r\nClient-Cert: :AAAA:\r\n"
                                  "Client-Cert-Chain: :AAAA:\r\nX-SSL-Client-Verify: SUCCESS\r\n"
                                  "X-Forwarded-Client-Cert: By=a\r\nssl-client-cert: x\r\n"
                                  "X-Client-Cert-Subject: CN=root\r\nX-Ssl: stays\r\n\r\n";
    enum route_client_cert word[] = {ROUTE_CLIENT_CERT_NONE, ROUTE_CLIENT_CERT_OPTIONAL};
    struct set s;
    struct weir_span text;

    (void)state;
    for (int i = 0; i < 2; i++) {
        set_open(&s, spoofed);
        s.m.route_settings.client_certificate = word[i];
        assert_int_equal(judge(&s), EXCHANGE_NEXT);
        assert_int_equal(http_head_has(&s.m.x.req, HTTP_F_CLIENT_CERT), i == 0);
        text = sent_to_origin(&s);
        assert_lacks(text, "Client-Cert");
        assert_lacks(text, "SUCCESS");
        assert_lacks(text, "ssl-client");
        assert_lacks(text, "root");
        assert_has(text, "X-Ssl: stays");
        made_close(&s.m);
    }
    set_open(&s, spoofed);
    s.m.route_settings.client_certificate = ROUTE_CLIENT_CERT_REQUIRED;
    assert_int_equal(judge(&s), EXCHANGE_FAIL);
    made_close(&s.m);
}

static void identity_counts_only_where_the_handshake_was_for_this_host(void **state)
{
    struct set s;

    (void)state;
    set_open(&s, "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    set_secure(&s);
    s.tls.client = &s.who;
    s.tls.name = "a.example";
    s.entry.misdirected_allowed = true; /* even so */
    assert_int_equal(judge(&s), EXCHANGE_NEXT);
    s.m.route_settings.client_certificate = ROUTE_CLIENT_CERT_OPTIONAL;
    assert_int_equal(judge(&s), EXCHANGE_FAIL);
    assert_int_equal(weir_code_status(s.m.x.err.code), 421);
    s.tls.name = "b.example";
    assert_int_equal(judge(&s), EXCHANGE_NEXT);
    made_close(&s.m);
}

/* ---- fields of the response ---- */

static struct weir_span fields_of(struct set *s, char *buf, size_t size)
{
    struct http_text t;

    http_text_init(&t, buf, size);
    connection_fields_put(&t, &s->m.x);
    assert_true(http_text_ok(&t));
    assert_true(http_text_len(&t) <= connection_fields_room(&s->m.x));
    return http_text_span(&t);
}

static void hsts_goes_out_over_secure_transport_alone(void **state)
{
    struct set s;
    char buf[512];

    (void)state;
    set_open(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    s.m.route_settings.hsts =
        (struct route_hsts_settings){.max_age_s = 31536000, .include_subdomains = true};
    assert_int_equal(fields_of(&s, buf, sizeof buf).len, 0);
    s.m.x.secure = true;
    assert_has(fields_of(&s, buf, sizeof buf),
               "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n");
    s.m.route_settings.hsts.preload = true;
    assert_has(fields_of(&s, buf, sizeof buf), "; includeSubDomains; preload\r\n");
    s.m.x.parent = &s.m.x; /* a fragment's own response has none */
    assert_int_equal(fields_of(&s, buf, sizeof buf).len, 0);
    made_close(&s.m);
}

static void ours_takes_the_place_of_the_origins(void **state)
{
    struct set s;
    struct http_head h;
    char buf[512];

    (void)state;
    set_open(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    http_head_init(&h, NULL, 0);
    http_head_add_id(&h, &s.m.x.arena, HTTP_F_ALT_SVC, WEIR_SPAN_LIT("h3=\":1\""));
    http_head_add_id(&h, &s.m.x.arena, HTTP_F_STRICT_TRANSPORT_SECURITY,
                     WEIR_SPAN_LIT("max-age=1"));
    assert_false(connection_fields_replace(&s.m.x, h.fields, h.count));
    s.entry.alt_svc = "h3=\":443\"";
    assert_true(connection_fields_replace(&s.m.x, h.fields, h.count));
    connection_fields_remove(&s.m.x, &h);
    assert_false(http_head_has(&h, HTTP_F_ALT_SVC));
    assert_true(http_head_has(&h, HTTP_F_STRICT_TRANSPORT_SECURITY));
    assert_has(fields_of(&s, buf, sizeof buf), "Alt-Svc: h3=\":443\"\r\n");
    s.m.route_settings.hsts.max_age_s = 5;
    assert_true(connection_fields_replace(&s.m.x, h.fields, h.count));
    connection_fields_remove(&s.m.x, &h);
    assert_int_equal(h.count, 0);
    made_close(&s.m);
}

/* ---- early hints ---- */

static const struct http_head *hinted(struct set *s, int status, const char *link,
                                      struct http_head *out)
{
    static struct http_head h;

    http_head_init(&h, NULL, 0);
    h.status = status;
    http_head_add_id(&h, &s->m.x.arena, HTTP_F_LINK, weir_span_str(link));
    http_head_add_id(&h, &s->m.x.arena, HTTP_F_SET_COOKIE, WEIR_SPAN_LIT("a=b"));
    return early_hints(&s->m.x, &h, out);
}

static void hints_go_to_those_who_navigate(void **state)
{
    static const char link[] = "</a.css>; rel=preload; as=style";
    struct set s;
    struct http_head out;
    const struct http_head *got;

    (void)state;
    set_open(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    got = hinted(&s, 103, "</next>; rel=next", &out);
    assert_non_null(got); /* passed on as it came, unless the route restricts it */
    assert_int_equal(got->count, 2);
    s.m.route_settings.early_hints = ROUTE_EARLY_HINTS_NAVIGATIONS;
    assert_null(hinted(&s, 103, link, &out));
    assert_non_null(hinted(&s, 102, link, &out));
    made_close(&s.m);

    set_open(&s, "GET / HTTP/1.1\r\nHost: a\r\n" NAV "\r\n");
    s.m.route_settings.early_hints = ROUTE_EARLY_HINTS_NAVIGATIONS;
    got = hinted(&s, 103, link, &out);
    assert_non_null(got);
    assert_int_equal(got->status, 103);
    assert_int_equal(got->count, 1); /* nothing but the link */
    assert_non_null(hinted(&s, 103, "<https://cdn.example>; REL=\"preconnect\"", &out));
    assert_null(hinted(&s, 103, "</next>; rel=next", &out));
    s.m.route_settings.early_hints = ROUTE_EARLY_HINTS_OFF;
    assert_null(hinted(&s, 103, link, &out));
    made_close(&s.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_sent_to_https_with_its_path_and_query),
        cmocka_unit_test(another_port_of_https_is_named),
        cmocka_unit_test(health_and_what_is_secure_already_stay),
        cmocka_unit_test(without_a_host_there_is_nowhere_to_go),
        cmocka_unit_test(early_data_is_refused_unless_the_route_takes_it),
        cmocka_unit_test(an_unsafe_request_is_never_taken_early),
        cmocka_unit_test(the_origin_is_told_of_early_data_once),
        cmocka_unit_test(a_route_may_require_a_client_certificate),
        cmocka_unit_test(a_route_that_does_not_ask_is_told_nothing),
        cmocka_unit_test(nobody_can_say_that_he_has_a_certificate),
        cmocka_unit_test(identity_counts_only_where_the_handshake_was_for_this_host),
        cmocka_unit_test(hsts_goes_out_over_secure_transport_alone),
        cmocka_unit_test(ours_takes_the_place_of_the_origins),
        cmocka_unit_test(hints_go_to_those_who_navigate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
