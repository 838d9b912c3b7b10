#include "tls_session_own.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "weir/alloc.h"

/* Names go into fields of requests: what is no visible ASCII, or would look like a separator of the
 * list, is left out rather than escaped into something that compares equal elsewhere. */
static bool plain_text(const unsigned char *text, int len)
{
    for (int i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == ',' || text[i] == '"' ||
            text[i] == '\\')
            return false;
    return len > 0;
}

static void add_text(BIO *out, const char *kind, const ASN1_IA5STRING *text)
{
    const unsigned char *data = ASN1_STRING_get0_data(text);
    int len = ASN1_STRING_length(text);

    if (plain_text(data, len))
        BIO_printf(out, "%s%s:%.*s", BIO_ctrl_pending(out) > 0 ? ", " : "", kind, len,
                   (const char *)data);
}

static void add_address(BIO *out, const ASN1_OCTET_STRING *address)
{
    const unsigned char *b = ASN1_STRING_get0_data(address);
    int len = ASN1_STRING_length(address);
    const char *comma = BIO_ctrl_pending(out) > 0 ? ", " : "";

    if (len == 4)
        BIO_printf(out, "%sIP:%d.%d.%d.%d", comma, b[0], b[1], b[2], b[3]);
    else if (len == 16)
        for (int i = 0; i < 16; i += 2)
            BIO_printf(out, "%s%x", i > 0 ? ":" : (comma[0] != '\0' ? ", IP:" : "IP:"),
                       b[i] << 8 | b[i + 1]);
}

static void print_names(BIO *out, X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

        if (n->type == GEN_DNS)
            add_text(out, "DNS", n->d.dNSName);
        else if (n->type == GEN_URI)
            add_text(out, "URI", n->d.uniformResourceIdentifier);
        else if (n->type == GEN_EMAIL)
            add_text(out, "email", n->d.rfc822Name);
        else if (n->type == GEN_IPADD)
            add_address(out, n->d.iPAddress);
    }
    GENERAL_NAMES_free(names);
}

/* What lies in `out` as a string of ours, and nothing lies there any more. */
static char *taken(BIO *out)
{
    char *data;
    long len = BIO_get_mem_data(out, &data);
    char *copy = weir_strndup(len > 0 ? data : "", len > 0 ? (size_t)len : 0);

    (void)BIO_reset(out);
    return copy;
}

/* RFC 2253, bytes beyond ASCII and control characters escaped. */
static char *name_text(BIO *out, const X509_NAME *name)
{
    X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253);
    return taken(out);
}

static char *hex_text(BIO *out, const unsigned char *data, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        BIO_printf(out, "%02x", data[i]);
    return taken(out);
}

static char *serial_text(BIO *out, const X509 *certificate)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);

    return hex_text(out, ASN1_STRING_get0_data(serial), (unsigned)ASN1_STRING_length(serial));
}

static char *fingerprint_text(BIO *out, const X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    X509_digest(certificate, EVP_sha256(), digest, &len);
    return hex_text(out, digest, len);
}

static bool encode(struct tls_identity *i, const X509 *certificate)
{
    int len = i2d_X509(certificate, NULL);
    unsigned char *der = len > 0 ? weir_malloc((size_t)len) : NULL, *end = der;

    if (der == NULL)
        return false;
    i->der = (struct weir_span){(const char *)der, (size_t)i2d_X509(certificate, &end)};
    return true;
}

struct tls_identity *tls_identity_of(X509 *certificate)
{
    struct tls_identity *i = weir_calloc(1, sizeof *i);
    BIO *out = BIO_new(BIO_s_mem());

    if (i != NULL && out != NULL && encode(i, certificate)) {
        i->subject = name_text(out, X509_get_subject_name(certificate));
        i->issuer = name_text(out, X509_get_issuer_name(certificate));
        i->serial = serial_text(out, certificate);
        i->fingerprint = fingerprint_text(out, certificate);
        print_names(out, certificate);
        i->san = taken(out);
    }
    BIO_free(out);
    ERR_clear_error();
    if (i != NULL && i->subject != NULL && i->issuer != NULL && i->serial != NULL &&
        i->fingerprint != NULL && i->san != NULL)
        return i;
    tls_identity_free(i);
    return NULL;
}

static void free_text(const char *text)
{
    weir_free((void *)(uintptr_t)text);
}

void tls_identity_free(struct tls_identity *i)
{
    if (i == NULL)
        return;
    free_text(i->subject);
    free_text(i->issuer);
    free_text(i->serial);
    free_text(i->fingerprint);
    free_text(i->san);
    free_text(i->der.ptr);
    weir_free(i);
}
