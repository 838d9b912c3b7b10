#include "tls_session_own.h"

#include <string.h>

#include <openssl/err.h>

/*
 * What a client that comes again sends with its first packet. Whoever has recorded it can play it
 * back, to this node or another, within the life of the ticket: there is no memory of tickets that
 * all nodes share. So it is off by default, facts.early says what came so, and routes decide
 * (RFC 8470): safe methods alone, "Early-Data: 1" to the origin, else 425.
 */

int tls_early_step(struct tls_session *s)
{
    unsigned char first[TLS_RECORD_MAX];
    size_t n = 0;

    switch (SSL_read_early_data(s->ssl, first, sizeof first, &n)) {
    case SSL_READ_EARLY_DATA_SUCCESS:
        if (!tls_kept_append(&s->early_data, first, n))
            return 0;
        s->early = TLS_EARLY_READ;
        s->facts.early = true;
        return 1;
    case SSL_READ_EARLY_DATA_FINISH:
        s->early = TLS_EARLY_NO;
        return SSL_do_handshake(s->ssl) == 1 ? 2 : 0;
    default:
        return 0;
    }
}

/* What is read from now on is nobody's recording. */
static void finish(struct tls_session *s)
{
    s->early = TLS_EARLY_REST;
    if (SSL_do_handshake(s->ssl) != 1)
        return;
    s->early = TLS_EARLY_NO;
    s->facts.early = false;
}

static size_t take_first(struct tls_session *s, void *buf, size_t len)
{
    size_t has = tls_kept_len(&s->early_data), n = has < len ? has : len;

    memcpy(buf, s->early_data.data + s->early_data.at, n);
    s->early_data.at += n;
    if (n == has)
        tls_kept_free(&s->early_data);
    return n;
}

size_t tls_early_recv(struct tls_session *s, void *buf, size_t len)
{
    size_t n = 0;

    if (s->early_data.data != NULL)
        return take_first(s, buf, len);
    if (s->early == TLS_EARLY_READ) {
        switch (SSL_read_early_data(s->ssl, buf, len, &n)) {
        case SSL_READ_EARLY_DATA_SUCCESS:
            return n;
        case SSL_READ_EARLY_DATA_FINISH:
            s->early = TLS_EARLY_REST;
            break;
        default:
            return 0;
        }
    }
    finish(s);
    return 0;
}
