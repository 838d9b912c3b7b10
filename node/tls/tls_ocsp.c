#include "tls_ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <time.h>

/* Without nextUpdate newer information is there at any time (RFC 6960 4.2.2.1): soon asked again.
 */
#define WITHOUT_NEXT_S (12 * 3600)

static X509 *parse(struct weir_span der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;

    return der.len > 0 ? d2i_X509(NULL, &at, (long)der.len) : NULL;
}

static OCSP_CERTID *id_of(struct weir_span leaf, struct weir_span issuer)
{
    X509 *x = parse(leaf), *i = parse(issuer);
    OCSP_CERTID *id = x != NULL && i != NULL ? OCSP_cert_to_id(EVP_sha1(), x, i) : NULL;

    X509_free(x);
    X509_free(i);
    return id;
}

int tls_ocsp_request(struct weir_span leaf, struct weir_span issuer, unsigned char **out)
{
    OCSP_CERTID *id = id_of(leaf, issuer);
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    int len = 0;

    *out = NULL;
    if (id != NULL && request != NULL && OCSP_request_add0_id(request, id) != NULL) {
        id = NULL; /* it is the request's */
        len = i2d_OCSP_REQUEST(request, out);
    }
    OCSP_CERTID_free(id);
    OCSP_REQUEST_free(request);
    ERR_clear_error();
    return len > 0 ? len : 0;
}

static bool failed(struct tls_ocsp_answer *out, const char *why)
{
    out->state = TLS_OCSP_FAILED;
    snprintf(out->error, sizeof out->error, "%s", why);
    return false;
}

static int64_t unix_of(const ASN1_GENERALIZEDTIME *t)
{
    struct tm tm;

    return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* Only the issuer, or a certificate that it has made for that. */
static bool is_signed(OCSP_BASICRESP *basic, struct weir_span issuer)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *others = sk_X509_new_null();
    X509 *x = parse(issuer);
    bool ok = store != NULL && others != NULL && x != NULL && X509_STORE_add_cert(store, x) == 1 &&
              X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
              sk_X509_push(others, x) > 0 && OCSP_basic_verify(basic, others, store, 0) == 1;

    sk_X509_free(others);
    X509_free(x);
    X509_STORE_free(store);
    return ok;
}

static void judge_status(int status, int64_t now_s, struct tls_ocsp_answer *out)
{
    if (out->this_s > now_s + 300) {
        failed(out, "the response is from the future");
    } else if (out->next_s <= now_s) {
        out->state = TLS_OCSP_EXPIRED;
        snprintf(out->error, sizeof out->error, "the response has expired");
    } else if (status == V_OCSP_CERTSTATUS_REVOKED) {
        out->state = TLS_OCSP_REVOKED;
        snprintf(out->error, sizeof out->error, "the certificate is revoked");
    } else if (status != V_OCSP_CERTSTATUS_GOOD) {
        failed(out, "the responder does not know the certificate");
    } else {
        out->state = TLS_OCSP_GOOD;
    }
}

static void judge_basic(OCSP_BASICRESP *basic, OCSP_CERTID *id, struct weir_span issuer,
                        int64_t now_s, struct tls_ocsp_answer *out)
{
    ASN1_GENERALIZEDTIME *since = NULL, *until = NULL;
    int status, reason;

    if (!is_signed(basic, issuer)) {
        failed(out, "the response is not signed by the issuer");
        return;
    }
    if (OCSP_resp_find_status(basic, id, &status, &reason, NULL, &since, &until) != 1) {
        failed(out, "the response is about another certificate");
        return;
    }
    out->this_s = unix_of(since);
    out->next_s = until != NULL ? unix_of(until) : out->this_s + WITHOUT_NEXT_S;
    judge_status(status, now_s, out);
}

void tls_ocsp_judge(struct weir_span response, struct weir_span leaf, struct weir_span issuer,
                    int64_t now_s, struct tls_ocsp_answer *out)
{
    const unsigned char *at = (const unsigned char *)response.ptr;
    OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &at, (long)response.len);
    OCSP_BASICRESP *basic = r != NULL ? OCSP_response_get1_basic(r) : NULL;
    OCSP_CERTID *id = id_of(leaf, issuer);

    *out = (struct tls_ocsp_answer){0};
    if (id == NULL)
        failed(out, "the file of the certificate does not hold its issuer's");
    else if (r == NULL)
        failed(out, "that is no response");
    else if (OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        failed(out, OCSP_response_status_str(OCSP_response_status(r)));
    else if (basic == NULL)
        failed(out, "a response of an unknown kind");
    else
        judge_basic(basic, id, issuer, now_s, out);
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(r);
    ERR_clear_error();
}
