#include "connection_rules.h"

#include <string.h>

#include "http_sf.h"
#include "http_status.h"
#include "http_text.h"
#include "reply.h"
#include "tls_facts.h"
#include "tls_store.h"

#define HSTS_ROOM 128

/* ---- to https ---- */

static bool sent_to_https(const struct weir_exchange *x)
{
    return !x->secure && x->parent == NULL && x->entry != NULL && x->entry->redirect_https &&
           x->route->action != ROUTE_HEALTH;
}

static enum exchange_verdict redirect(struct weir_exchange *x)
{
    struct weir_span path =
        x->target.form == HTTP_TARGET_ASTERISK ? WEIR_SPAN_LIT("/") : x->target.origin_form;
    size_t room = x->target.host.len + path.len + 32;
    struct http_text t;
    char *buf;

    if (x->target.host.len == 0) { /* HTTP/1.0 without Host: nowhere to send it */
        weir_fail(&x->err, WEIR_E_BAD_HOST, "redirect to https", 0);
        return EXCHANGE_FAIL;
    }
    buf = weir_arena_alloc(&x->arena, room);
    if (buf == NULL) {
        weir_fail(&x->err, WEIR_E_MEMORY, "redirect to https", 0);
        return EXCHANGE_FAIL;
    }
    http_text_init(&t, buf, room);
    http_text_lit(&t, "https://");
    http_text_add(&t, x->target.host);
    if (x->entry->https_port != 443) {
        http_text_char(&t, ':');
        http_text_u64(&t, x->entry->https_port);
    }
    http_text_add(&t, path);
    return reply_with_location(x, 308, http_text_span(&t)) ? EXCHANGE_REPLY : EXCHANGE_FAIL;
}

/* ---- whom the certificate speaks for ---- */

/* Certificates are read once a connection, not once a request, where the host is the one it was
 * made for. */
static bool covers(const struct tls_facts *tls, struct weir_span host)
{
    if (tls->name_covered && weir_span_eq(weir_span_str(tls->name), host))
        return true;
    if (host.len > 2 && host.ptr[0] == '[') /* certificates name addresses without brackets */
        host = weir_span(host.ptr + 1, host.len - 2);
    return tls_covers(tls->cert, host);
}

/*
 * A client that reuses a connection for another host that resolves to the same address gets 421 and
 * opens one for it. Where identity counts, the host must be the very one the handshake was for:
 * certificates are asked for by what that name leads to.
 */
static bool misdirected(const struct weir_exchange *x)
{
    const struct tls_facts *tls = x->tls;

    if (tls == NULL || x->parent != NULL)
        return false;
    if (x->route->settings->client_certificate != ROUTE_CLIENT_CERT_NONE && tls->name[0] != '\0' &&
        !weir_span_ieq(weir_span_str(tls->name), x->target.host))
        return true;
    return tls->cert != NULL && !(x->entry != NULL && x->entry->misdirected_allowed) &&
           !covers(tls, x->target.host);
}

/* ---- early data ---- */

/* What came before the handshake was over may come once more, from somebody else (RFC 8446 8). */
static bool take_early(struct weir_exchange *x)
{
    if (x->tls == NULL || !x->tls->early)
        return true;
    x->early = true;
    return x->route->settings->early_data && http_method_safe(x->req.method_id) && x->body == NULL;
}

/* ---- who the client is ---- */

const struct tls_identity *connection_identity(const struct weir_exchange *x)
{
    if (x->tls == NULL || x->route == NULL ||
        x->route->settings->client_certificate == ROUTE_CLIENT_CERT_NONE)
        return NULL;
    return x->tls->client;
}

static bool says_identity(const struct http_field *f, const void *ctx)
{
    (void)ctx;
    return f->id == HTTP_F_CLIENT_CERT || f->id == HTTP_F_CLIENT_CERT_CHAIN;
}

/* A Byte Sequence (RFC 8941 3.3.5) of the DER (RFC 9440 2.2). */
static bool add_identity(struct weir_exchange *x, const struct tls_identity *who)
{
    struct weir_span value = http_sf_bytes(who->der, &x->arena);

    if (value.ptr == NULL || !http_head_add_id(&x->req, &x->arena, HTTP_F_CLIENT_CERT, value))
        return weir_fail(&x->err, WEIR_E_MEMORY, "client certificate", 0);
    x->identified = true;
    return true;
}

/* What a trusted peer says of its client stands, unless the connection says better. */
static enum exchange_verdict identify(struct weir_exchange *x)
{
    enum route_client_cert wanted = x->route->settings->client_certificate;
    const struct tls_identity *who = connection_identity(x);

    x->identified = false; /* what a parent's route knew is not this one's to know */
    if (wanted == ROUTE_CLIENT_CERT_NONE)
        return EXCHANGE_NEXT;
    if (!x->peer_trusted || who != NULL)
        http_head_remove_if(&x->req, says_identity, NULL);
    if (who != NULL)
        return add_identity(x, who) ? EXCHANGE_NEXT : EXCHANGE_FAIL;
    if (wanted == ROUTE_CLIENT_CERT_OPTIONAL)
        return EXCHANGE_NEXT;
    weir_fail(&x->err, WEIR_E_NO_CLIENT_CERTIFICATE, "route: client certificate", 0);
    return EXCHANGE_FAIL;
}

enum exchange_verdict connection_rules_run(struct weir_exchange *x)
{
    if (sent_to_https(x))
        return redirect(x);
    if (misdirected(x)) {
        weir_fail(&x->err, WEIR_E_MISDIRECTED, "route: host and certificate", 0);
        return EXCHANGE_FAIL;
    }
    if (!take_early(x)) {
        weir_fail(&x->err, WEIR_E_TOO_EARLY, "route: early data", 0);
        return EXCHANGE_FAIL;
    }
    return identify(x);
}

/* ---- fields of the response ---- */

static bool gives_way(const struct http_field *f, const void *ctx)
{
    const struct weir_exchange *x = ctx;

    if (f->id == HTTP_F_STRICT_TRANSPORT_SECURITY)
        return x->route != NULL && x->route->settings->hsts.max_age_s > 0;
    return f->id == HTTP_F_ALT_SVC && x->entry != NULL && x->entry->alt_svc != NULL;
}

bool connection_fields_replace(const struct weir_exchange *x, const struct http_field *fields,
                               uint32_t count)
{
    if (!connection_fields_concern(x))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (gives_way(&fields[i], x))
            return true;
    return false;
}

void connection_fields_remove(const struct weir_exchange *x, struct http_head *head)
{
    if (connection_fields_concern(x))
        http_head_remove_if(head, gives_way, x);
}

size_t connection_fields_room(const struct weir_exchange *x)
{
    if (!connection_fields_concern(x))
        return 0;
    return HSTS_ROOM +
           (x->entry != NULL && x->entry->alt_svc != NULL ? strlen(x->entry->alt_svc) + 16 : 0);
}

/* Only over secure transport (RFC 6797 7.2). */
static void put_hsts(struct http_text *t, const struct route_hsts_settings *s)
{
    http_text_lit(t, "Strict-Transport-Security: max-age=");
    http_text_i64(t, s->max_age_s);
    if (s->include_subdomains)
        http_text_lit(t, "; includeSubDomains");
    if (s->preload)
        http_text_lit(t, "; preload");
    http_text_lit(t, "\r\n");
}

void connection_fields_put(struct http_text *t, const struct weir_exchange *x)
{
    if (!connection_fields_concern(x))
        return;
    if (x->secure && x->route != NULL && x->route->settings->hsts.max_age_s > 0)
        put_hsts(t, &x->route->settings->hsts);
    if (x->entry != NULL && x->entry->alt_svc != NULL)
        http_text_field(t, http_field_name(HTTP_F_ALT_SVC), weir_span_str(x->entry->alt_svc));
}
