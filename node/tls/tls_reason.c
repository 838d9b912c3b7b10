#include "tls_session_own.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

static const char *first_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    return reason != NULL ? reason : "";
}

bool tls_fail(struct weir_err *err, enum weir_code code, const char *where)
{
    weir_failf(err, code, where, 0, "%s", first_reason());
    ERR_clear_error();
    return false;
}

bool tls_fail_setting(struct weir_err *err, const char *what)
{
    const char *reason = first_reason();

    weir_failf(err, WEIR_E_CONFIG, "tls", 0, "%s: %s", what,
               reason[0] != '\0' ? reason : "cannot be used");
    ERR_clear_error();
    return false;
}

/* By what OpenSSL says first. */
static enum weir_metric kind_of(const struct tls_session *s, unsigned long e)
{
    if (ERR_GET_LIB(e) != ERR_LIB_SSL)
        return e == 0 && (s->eof || s->socket_error != 0) ? WEIR_M_tls_failed_closed
                                                          : WEIR_M_tls_failed_other;
    if (ERR_GET_REASON(e) >= SSL_AD_REASON_OFFSET)
        return WEIR_M_tls_failed_alert;
    switch (ERR_GET_REASON(e)) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return WEIR_M_tls_failed_closed;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_INAPPROPRIATE_FALLBACK:
        return WEIR_M_tls_failed_mismatch;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_UNKNOWN_PROTOCOL:
        return WEIR_M_tls_failed_not_tls;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return WEIR_M_tls_failed_certificate;
    default:
        return WEIR_M_tls_failed_other;
    }
}

static bool fail_certificate(struct tls_session *s, struct weir_err *err)
{
    return weir_failf(err, s->server != NULL ? WEIR_E_TLS_HANDSHAKE : WEIR_E_ORIGIN_CERTIFICATE,
                      "tls: certificate", 0, "%s",
                      X509_verify_cert_error_string(SSL_get_verify_result(s->ssl)));
}

bool tls_fail_handshake(struct tls_session *s, struct weir_err *err)
{
    unsigned long e = ERR_peek_error();
    enum weir_code code = s->server != NULL ? WEIR_E_TLS_HANDSHAKE : WEIR_E_ORIGIN_TLS;

    s->failed_as = kind_of(s, e);
    if (s->chose != NULL && err != NULL)
        *err = *s->chose; /* better than "certificate callback failed" */
    else if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        fail_certificate(s, err);
    else if (s->failed_as == WEIR_M_tls_failed_closed)
        weir_failf(err, code, "tls: handshake", s->socket_error, "closed by the peer");
    else
        weir_failf(err, code, "tls: handshake", 0, "%s", first_reason());
    ERR_clear_error();
    return false;
}
