#include "tls_der.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
    TAG_INTEGER = 0x02,
    TAG_BITS = 0x03,
    TAG_OCTETS = 0x04,
    TAG_OID = 0x06,
    TAG_UTC_TIME = 0x17,
    TAG_TIME = 0x18,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_URI = 0x86, /* of a GeneralName, as the next two */
    TAG_DNS = 0x82,
    TAG_IP = 0x87,
    TAG_0 = 0xa0,
    TAG_1 = 0xa1,
    TAG_3 = 0xa3,
};

struct element {
    unsigned tag;
    struct weir_span body, whole;
};

/* Takes the first element of *in. Lengths in their shortest form only (X.690 10.1). */
static bool next(struct weir_span *in, struct element *out)
{
    const unsigned char *at = (const unsigned char *)in->ptr;
    size_t head = 2, len;

    if (in->len < 2 || (at[0] & 0x1f) == 0x1f)
        return false;
    len = at[1];
    if (len >= 0x80) {
        size_t bytes = len & 0x7f;

        if (bytes == 0 || bytes > 3 || in->len < 2 + bytes)
            return false;
        len = 0;
        for (size_t i = 0; i < bytes; i++)
            len = len << 8 | at[2 + i];
        if (len < 0x80 || len >> (8 * (bytes - 1)) == 0)
            return false;
        head += bytes;
    }
    if (len > in->len - head)
        return false;
    out->tag = at[0];
    out->body = weir_span(in->ptr + head, len);
    out->whole = weir_span(in->ptr, head + len);
    in->ptr += head + len;
    in->len -= head + len;
    return true;
}

static bool take(struct weir_span *in, unsigned tag, struct element *out)
{
    return next(in, out) && out->tag == tag;
}

static bool at(struct weir_span in, unsigned tag)
{
    return in.len > 0 && (unsigned char)in.ptr[0] == tag;
}

#define IS(span, bytes) weir_span_eq(span, WEIR_SPAN_LIT(bytes))

/* ---- object identifiers, by the content of their encoding ---- */

#define OID_RSA         "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
#define OID_EC          "\x2a\x86\x48\xce\x3d\x02\x01"
#define OID_ED25519     "\x2b\x65\x70"
#define OID_P256        "\x2a\x86\x48\xce\x3d\x03\x01\x07"
#define OID_P384        "\x2b\x81\x04\x00\x22"
#define OID_P521        "\x2b\x81\x04\x00\x23"
#define OID_COMMON_NAME "\x55\x04\x03"
#define OID_SAN         "\x55\x1d\x11"
#define OID_AIA         "\x2b\x06\x01\x05\x05\x07\x01\x01"
#define OID_TLS_FEATURE "\x2b\x06\x01\x05\x05\x07\x01\x18"
#define OID_OCSP        "\x2b\x06\x01\x05\x05\x07\x30\x01"
#define OID_CA_ISSUERS  "\x2b\x06\x01\x05\x05\x07\x30\x02"

/* ---- times ---- */

static bool digits(const char *p, size_t n, int *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *out = *out * 10 + (p[i] - '0');
    }
    return true;
}

/* Days since the epoch of a date of the Gregorian calendar, years from 0 on. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month > 2 ? month - 3 : month + 9;

    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* RFC 5280 4.1.2.5: seconds are always there, and it ends with Z. */
static bool take_time(struct weir_span *in, int64_t *out)
{
    struct element e;
    int year, month, day, hour, minute, second;
    const char *p;

    if (!next(in, &e))
        return false;
    p = e.body.ptr;
    if (e.tag == TAG_UTC_TIME && e.body.len == 13 && digits(p, 2, &year)) {
        year += year >= 50 ? 1900 : 2000;
        p += 2;
    } else if (e.tag == TAG_TIME && e.body.len == 15 && digits(p, 4, &year)) {
        p += 4;
    } else {
        return false;
    }
    if (!digits(p, 2, &month) || !digits(p + 2, 2, &day) || !digits(p + 4, 2, &hour) ||
        !digits(p + 6, 2, &minute) || !digits(p + 8, 2, &second) || p[10] != 'Z' || month < 1 ||
        month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return false;
    *out = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

/* ---- public keys ---- */

static unsigned bits_of(struct weir_span integer)
{
    while (integer.len > 0 && integer.ptr[0] == 0) {
        integer.ptr++;
        integer.len--;
    }
    if (integer.len == 0)
        return 0;
    return (unsigned)(integer.len * 8) - (unsigned)__builtin_clz((unsigned char)integer.ptr[0]) +
           24;
}

static unsigned curve_bits(struct weir_span curve)
{
    return IS(curve, OID_P256) ? 256 : IS(curve, OID_P384) ? 384 : IS(curve, OID_P521) ? 521 : 0;
}

static bool rsa_modulus(struct weir_span key, bool private_key, struct weir_span *out)
{
    struct element e;

    if (!take(&key, TAG_SEQUENCE, &e))
        return false;
    key = e.body;
    if ((private_key && !take(&key, TAG_INTEGER, &e)) || !take(&key, TAG_INTEGER, &e))
        return false;
    *out = e.body;
    return true;
}

/* AlgorithmIdentifier. */
static bool take_algorithm(struct weir_span *in, enum tls_key_kind *kind, struct weir_span *curve)
{
    struct element e, oid;

    *curve = WEIR_SPAN_NONE;
    if (!take(in, TAG_SEQUENCE, &e) || !take(&e.body, TAG_OID, &oid))
        return false;
    *kind = IS(oid.body, OID_RSA)       ? TLS_KEY_RSA
            : IS(oid.body, OID_EC)      ? TLS_KEY_EC
            : IS(oid.body, OID_ED25519) ? TLS_KEY_ED25519
                                        : TLS_KEY_OTHER;
    if (*kind != TLS_KEY_EC)
        return true;
    if (!take(&e.body, TAG_OID, &oid)) /* named curves only (RFC 5480 2.1.1) */
        return false;
    *curve = oid.body;
    return true;
}

/* Of a BIT STRING, when no bits are left over. */
static bool take_bits(struct weir_span *in, struct weir_span *out)
{
    struct element e;

    if (!take(in, TAG_BITS, &e) || e.body.len == 0 || e.body.ptr[0] != 0)
        return false;
    *out = weir_span(e.body.ptr + 1, e.body.len - 1);
    return true;
}

static bool take_public_key(struct weir_span *in, struct tls_der_certificate *c)
{
    struct element e;
    struct weir_span modulus;

    if (!take(in, TAG_SEQUENCE, &e) || !take_algorithm(&e.body, &c->kind, &c->curve) ||
        !take_bits(&e.body, &c->public_key))
        return false;
    if (c->kind == TLS_KEY_RSA) {
        if (!rsa_modulus(c->public_key, false, &modulus))
            return false;
        c->bits = bits_of(modulus);
    }
    if (c->kind == TLS_KEY_EC)
        c->bits = curve_bits(c->curve);
    return true;
}

const char *tls_der_key_text(const struct tls_der_certificate *c, char out[24])
{
    if (c->kind == TLS_KEY_RSA)
        snprintf(out, 24, "RSA %u", c->bits);
    else if (c->kind == TLS_KEY_EC && c->bits != 0)
        snprintf(out, 24, "ECDSA P-%u", c->bits);
    else
        snprintf(out, 24, "%s",
                 c->kind == TLS_KEY_EC        ? "ECDSA"
                 : c->kind == TLS_KEY_ED25519 ? "Ed25519"
                                              : "other");
    return out;
}

/* ---- names and extensions ---- */

/* The last common name of a Name: RDNSequence of SETs of type and value. */
static struct weir_span common_name_of(struct weir_span name)
{
    struct weir_span found = WEIR_SPAN_NONE;
    struct element e, set, pair, type, value;

    if (!take(&name, TAG_SEQUENCE, &e))
        return found;
    while (take(&e.body, TAG_SET, &set))
        while (take(&set.body, TAG_SEQUENCE, &pair))
            if (take(&pair.body, TAG_OID, &type) && IS(type.body, OID_COMMON_NAME) &&
                next(&pair.body, &value))
                found = value.body;
    return found;
}

/* AuthorityInfoAccess: what is asked by HTTP. */
static void read_access(struct weir_span value, struct tls_der_certificate *c)
{
    struct element e, row, method, where;

    if (!take(&value, TAG_SEQUENCE, &e))
        return;
    while (take(&e.body, TAG_SEQUENCE, &row)) {
        if (!take(&row.body, TAG_OID, &method) || !take(&row.body, TAG_URI, &where))
            continue;
        if (IS(method.body, OID_CA_ISSUERS))
            c->issuer_known = true;
        if (IS(method.body, OID_OCSP) && c->ocsp_url.len == 0)
            c->ocsp_url = where.body;
    }
}

/* TLS feature: a list of numbers of TLS extensions; status_request is 5. */
static bool wants_staple(struct weir_span value)
{
    struct element e, number;

    if (!take(&value, TAG_SEQUENCE, &e))
        return false;
    while (take(&e.body, TAG_INTEGER, &number))
        if (IS(number.body, "\x05"))
            return true;
    return false;
}

static void read_extension(struct weir_span oid, struct weir_span value,
                           struct tls_der_certificate *c)
{
    struct element e;

    if (IS(oid, OID_SAN) && take(&value, TAG_SEQUENCE, &e))
        c->names = e.body;
    else if (IS(oid, OID_AIA))
        read_access(value, c);
    else if (IS(oid, OID_TLS_FEATURE))
        c->must_staple = wants_staple(value);
}

static bool read_extensions(struct weir_span in, struct tls_der_certificate *c)
{
    struct element list, row, oid, value;

    if (!take(&in, TAG_SEQUENCE, &list))
        return false;
    while (list.body.len > 0) {
        if (!take(&list.body, TAG_SEQUENCE, &row) || !take(&row.body, TAG_OID, &oid) ||
            !next(&row.body, &value))
            return false;
        if (value.tag != TAG_OCTETS && !next(&row.body, &value)) /* "critical" stood before */
            return false;
        if (value.tag != TAG_OCTETS)
            return false;
        read_extension(oid.body, value.body, c);
    }
    return true;
}

/* TBSCertificate (RFC 5280 4.1). */
static bool read_fields(struct weir_span in, struct tls_der_certificate *c)
{
    struct element e, validity;

    if (at(in, TAG_0) && !next(&in, &e)) /* version */
        return false;
    if (!take(&in, TAG_INTEGER, &e))
        return false;
    c->serial = e.body;
    if (!take(&in, TAG_SEQUENCE, &e) || !take(&in, TAG_SEQUENCE, &e))
        return false;
    c->issuer = e.whole;
    if (!take(&in, TAG_SEQUENCE, &validity) || !take_time(&validity.body, &c->not_before_s) ||
        !take_time(&validity.body, &c->not_after_s) || !take(&in, TAG_SEQUENCE, &e))
        return false;
    c->subject = e.whole;
    c->common_name = common_name_of(c->subject);
    if (!take_public_key(&in, c))
        return false;
    while (in.len > 0) {
        if (!next(&in, &e) || (e.tag == TAG_3 && !read_extensions(e.body, c)))
            return false;
    }
    return true;
}

bool tls_der_certificate(struct weir_span der, struct tls_der_certificate *out)
{
    struct element whole, tbs, algorithm, signature;

    memset(out, 0, sizeof *out);
    return take(&der, TAG_SEQUENCE, &whole) && der.len == 0 &&
           take(&whole.body, TAG_SEQUENCE, &tbs) && take(&whole.body, TAG_SEQUENCE, &algorithm) &&
           take(&whole.body, TAG_BITS, &signature) && whole.body.len == 0 &&
           read_fields(tbs.body, out);
}

struct tls_der_names tls_der_names(struct weir_span names, struct weir_span common_name)
{
    return (struct tls_der_names){names, common_name, false};
}

/* Only what can stand in a hello or in Host: a NUL in a name must not end it early. */
static bool write_name(struct weir_span name, char out[TLS_NAME_MAX])
{
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len >= TLS_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] == 0x7f)
            return false;
        out[i] = weir_ascii_lower(name.ptr[i]);
    }
    out[name.len] = '\0';
    return true;
}

static bool write_address(struct weir_span address, char out[TLS_NAME_MAX])
{
    if (address.len != 4 && address.len != 16)
        return false;
    return inet_ntop(address.len == 4 ? AF_INET : AF_INET6, address.ptr, out, TLS_NAME_MAX) != NULL;
}

bool tls_der_next_name(struct tls_der_names *it, char out[TLS_NAME_MAX])
{
    struct element e;
    struct weir_span last = it->common_name;

    while (next(&it->rest, &e)) {
        if ((e.tag == TAG_DNS && write_name(e.body, out)) ||
            (e.tag == TAG_IP && write_address(e.body, out))) {
            it->any = true;
            return true;
        }
    }
    it->rest = WEIR_SPAN_NONE;
    it->common_name = WEIR_SPAN_NONE;
    return !it->any && write_name(last, out);
}

/* ---- private keys ---- */

static enum tls_match same(bool yes)
{
    return yes ? TLS_MATCH_YES : TLS_MATCH_NO;
}

/* ECPrivateKey (RFC 5915 3): the public key is optional, and nearly always there. */
static enum tls_match match_ec(const struct tls_der_certificate *c, struct weir_span fields)
{
    struct element e, curve;
    struct weir_span point;

    if (c->kind != TLS_KEY_EC)
        return TLS_MATCH_NO;
    if (!take(&fields, TAG_INTEGER, &e) || !take(&fields, TAG_OCTETS, &e))
        return TLS_MATCH_MALFORMED;
    if (at(fields, TAG_0)) {
        if (!next(&fields, &e))
            return TLS_MATCH_MALFORMED;
        if (take(&e.body, TAG_OID, &curve) && !weir_span_eq(curve.body, c->curve))
            return TLS_MATCH_NO;
    }
    if (fields.len == 0)
        return TLS_MATCH_UNKNOWN;
    if (!take(&fields, TAG_1, &e) || !take_bits(&e.body, &point))
        return TLS_MATCH_MALFORMED;
    return point.len == c->public_key.len ? same(weir_span_eq(point, c->public_key))
                                          : TLS_MATCH_UNKNOWN; /* the other may be compressed */
}

static enum tls_match match_rsa(const struct tls_der_certificate *c, struct weir_span key)
{
    struct weir_span mine, theirs;

    if (c->kind != TLS_KEY_RSA)
        return TLS_MATCH_NO;
    if (!rsa_modulus(key, true, &mine) || !rsa_modulus(c->public_key, false, &theirs))
        return TLS_MATCH_MALFORMED;
    return same(weir_span_eq(mine, theirs));
}

/* PrivateKeyInfo (RFC 5958 2), after its version. */
static enum tls_match match_info(const struct tls_der_certificate *c, struct weir_span in)
{
    struct element key, fields;
    enum tls_key_kind kind;
    struct weir_span curve;

    if (!take_algorithm(&in, &kind, &curve) || !take(&in, TAG_OCTETS, &key))
        return TLS_MATCH_MALFORMED;
    if (kind != c->kind || (kind == TLS_KEY_EC && !weir_span_eq(curve, c->curve)))
        return TLS_MATCH_NO;
    if (kind == TLS_KEY_RSA)
        return match_rsa(c, key.body);
    if (kind != TLS_KEY_EC)
        return TLS_MATCH_UNKNOWN;
    if (!take(&key.body, TAG_SEQUENCE, &fields))
        return TLS_MATCH_MALFORMED;
    return match_ec(c, fields.body);
}

enum tls_match tls_der_match(const struct tls_der_certificate *c, struct weir_span der)
{
    struct weir_span whole = der, fields;
    struct element e, version;

    if (!take(&der, TAG_SEQUENCE, &e) || der.len != 0)
        return TLS_MATCH_MALFORMED;
    fields = e.body;
    if (!take(&e.body, TAG_INTEGER, &version))
        return TLS_MATCH_MALFORMED;
    if (at(e.body, TAG_SEQUENCE))
        return match_info(c, e.body);
    if (at(e.body, TAG_OCTETS))
        return match_ec(c, fields);
    return at(e.body, TAG_INTEGER) ? match_rsa(c, whole) : TLS_MATCH_MALFORMED;
}
