/* Responses as issuers and others would make them, judged; and what they come in. */
#include "tls_ocsp.h"

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tls_ocsp_ask.h"
#include "tls_samples.h"

struct fixture {
    struct tls_sample ca, leaf, other;
    unsigned char *ca_der, *leaf_der;
    struct weir_span issuer, subject;
};

static struct weir_span der_of(X509 *x, unsigned char **out)
{
    int len = i2d_X509(x, out);

    return weir_span((const char *)*out, (size_t)len);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->ca = tls_sample_make(&(struct tls_sample_options){.authority = true});
    f->other = tls_sample_make(&(struct tls_sample_options){.authority = true});
    f->leaf =
        tls_sample_make(&(struct tls_sample_options){.names = "DNS:a.example", .issuer = &f->ca});
    f->issuer = der_of(f->ca.x, &f->ca_der);
    f->subject = der_of(f->leaf.x, &f->leaf_der);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tls_sample_free(&f->ca);
    tls_sample_free(&f->leaf);
    tls_sample_free(&f->other);
    OPENSSL_free(f->ca_der);
    OPENSSL_free(f->leaf_der);
    free(f);
    return 0;
}

struct saying {
    int status;
    long from_s, to_s; /* to_s 0: no nextUpdate */
    const struct tls_sample *about, *issuer, *signer;
};

static struct tls_ocsp_answer judge(struct fixture *f, const struct saying *s)
{
    const struct tls_sample *issuer = s->issuer != NULL ? s->issuer : &f->ca;
    const struct tls_sample *signer = s->signer != NULL ? s->signer : issuer;
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id =
        OCSP_cert_to_id(EVP_sha1(), (s->about != NULL ? s->about : &f->leaf)->x, issuer->x);
    ASN1_TIME *since = X509_gmtime_adj(NULL, s->from_s);
    ASN1_TIME *until = s->to_s != 0 ? X509_gmtime_adj(NULL, s->to_s) : NULL;
    struct tls_ocsp_answer answer;
    unsigned char *der = NULL;
    OCSP_RESPONSE *r;
    int len;

    OCSP_basic_add1_status(basic, id, s->status, OCSP_REVOKED_STATUS_KEYCOMPROMISE,
                           s->status == V_OCSP_CERTSTATUS_REVOKED ? since : NULL, since, until);
    assert_int_equal(OCSP_basic_sign(basic, signer->x, signer->key, EVP_sha256(), NULL, 0), 1);
    r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    len = i2d_OCSP_RESPONSE(r, &der);
    assert_true(len > 0);
    tls_ocsp_judge(weir_span((const char *)der, (size_t)len), f->subject, f->issuer, time(NULL),
                   &answer);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(r);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(since);
    ASN1_TIME_free(until);
    return answer;
}

static void what_the_issuer_says_is_taken(void **state)
{
    struct tls_ocsp_answer a = judge(*state, &(struct saying){.from_s = -60, .to_s = 3600});

    assert_int_equal(a.state, TLS_OCSP_GOOD);
    assert_in_range(a.next_s, time(NULL) + 3590, time(NULL) + 3610);
    a = judge(*state, &(struct saying){.from_s = -60});
    assert_int_equal(a.state, TLS_OCSP_GOOD); /* without an end: for half a day */
    assert_in_range(a.next_s, time(NULL) + 12 * 3600 - 80, time(NULL) + 12 * 3600);
}

static void revoked_expired_unknown_and_early_are_told_apart(void **state)
{
    struct tls_ocsp_answer a =
        judge(*state, &(struct saying){V_OCSP_CERTSTATUS_REVOKED, .from_s = -60, .to_s = 3600});

    assert_int_equal(a.state, TLS_OCSP_REVOKED);
    a = judge(*state, &(struct saying){.from_s = -7200, .to_s = -3600});
    assert_int_equal(a.state, TLS_OCSP_EXPIRED);
    a = judge(*state, &(struct saying){V_OCSP_CERTSTATUS_UNKNOWN, .from_s = -60, .to_s = 3600});
    assert_int_equal(a.state, TLS_OCSP_FAILED);
    assert_non_null(strstr(a.error, "does not know"));
    a = judge(*state, &(struct saying){.from_s = 3600, .to_s = 7200});
    assert_non_null(strstr(a.error, "from the future"));
}

static void nobody_else_may_say_so(void **state)
{
    struct fixture *f = *state;
    struct tls_ocsp_answer a =
        judge(f, &(struct saying){.from_s = -60, .to_s = 3600, .issuer = &f->other});

    assert_int_equal(a.state, TLS_OCSP_FAILED);
    assert_non_null(strstr(a.error, "not signed by the issuer"));
    a = judge(f, &(struct saying){.from_s = -60, .to_s = 3600, .signer = &f->leaf});
    assert_non_null(strstr(a.error, "not signed by the issuer")); /* it may not speak for itself */
    a = judge(f, &(struct saying){.from_s = -60, .to_s = 3600, .about = &f->ca});
    assert_non_null(strstr(a.error, "another certificate"));
}

static void what_is_no_response_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char later[] = "\x30\x03\x0a\x01\x03", junk[] = "\x30\x80zzzzzz";
    struct tls_ocsp_answer a;

    tls_ocsp_judge(weir_span(later, 5), f->subject, f->issuer, 0, &a);
    assert_string_equal(a.error, "trylater");
    tls_ocsp_judge(weir_span(junk, sizeof junk), f->subject, f->issuer, 0, &a);
    assert_string_equal(a.error, "that is no response");
    tls_ocsp_judge(weir_span("", 0), f->subject, f->issuer, 0, &a);
    assert_int_equal(a.state, TLS_OCSP_FAILED);
    tls_ocsp_judge(weir_span(later, 5), f->subject, WEIR_SPAN_NONE, 0, &a);
    assert_non_null(strstr(a.error, "does not hold its issuer's"));
}

static void a_request_is_made_of_both_certificates(void **state)
{
    struct fixture *f = *state;
    unsigned char *request;

    assert_true(tls_ocsp_request(f->subject, f->issuer, &request) > 40);
    OPENSSL_free(request);
    assert_int_equal(tls_ocsp_request(f->subject, WEIR_SPAN_NONE, &request), 0);
    assert_null(request);
}

static void content_is_taken_from_a_whole_200_alone(void **state)
{
    static const struct {
        const char *text, *content, *why;
    } cases[] = {
        {"HTTP/1.0 200 OK\r\n\r\nabc", "abc", NULL},
        {"HTTP/1.1 200 OK\r\nA: b\r\ncontent-length:  2 \r\n\r\nabc", "ab", NULL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", NULL, "not whole"},
        {"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nabc", NULL, "not whole"},
        {"HTTP/1.1 200 OK\r\n\r\n", NULL, "empty"},
        {"HTTP/1.1 503 No\r\n\r\nabc", NULL, "status 503"},
        {"HTTP/1.1 200 OK\r\nA: b\r\n", NULL, "in HTTP"},
        {"HTTP/1.\r\n\r\n", NULL, "status"},
        {"SSH-2.0-x\r\n\r\n", NULL, "in HTTP"},
        {"", NULL, "in HTTP"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_span content;
        char why[96] = "";
        bool ok = tls_ocsp_content(weir_span_str(cases[i].text), &content, why);

        assert_int_equal(ok, cases[i].content != NULL);
        if (ok)
            assert_true(weir_span_eq(content, weir_span_str(cases[i].content)));
        else
            assert_non_null(strstr(why, cases[i].why));
    }
}

static void only_urls_of_http_are_asked(void **state)
{
    static const char *const urls[] = {"https://a/", "ftp://a/",       "http://",
                                       "http:///x",  "http://a\r\nb/", "http://a:123456789/",
                                       "",           "http://a/ b"};
    const atomic_bool stop = false;
    const struct tls_ocsp_patience patience = {1, &stop};
    unsigned char out[1];
    size_t len;
    char why[96];

    (void)state;
    for (unsigned i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        assert_false(
            tls_ocsp_ask(weir_span_str(urls[i]), WEIR_SPAN_NONE, &patience, out, &len, why));
        assert_non_null(strstr(why, "URL"));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_the_issuer_says_is_taken),
        TEST(revoked_expired_unknown_and_early_are_told_apart),
        TEST(nobody_else_may_say_so),
        TEST(what_is_no_response_is_refused),
        TEST(a_request_is_made_of_both_certificates),
        TEST(content_is_taken_from_a_whole_200_alone),
        TEST(only_urls_of_http_are_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
