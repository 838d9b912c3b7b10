#include "admin.h"
#include "admin_endpoints.h"
#include "admin_views.h"
#include "net_loop.h"
#include "tls_store.h"

struct listing {
    struct admin_request *r;
    json_t *list;
};

static const char *state_name(enum tls_ocsp_state state)
{
    static const char *const names[] = {
        [TLS_OCSP_NONE] = "none",       [TLS_OCSP_WAITING] = "waiting",
        [TLS_OCSP_GOOD] = "good",       [TLS_OCSP_EXPIRED] = "expired",
        [TLS_OCSP_REVOKED] = "revoked", [TLS_OCSP_FAILED] = "failed",
    };

    return names[state];
}

static void put_ocsp(struct admin_request *r, json_t *o, const struct tls_certificate_view *v)
{
    json_t *ocsp = admin_put_object(r, o, "ocsp");

    admin_put_text(r, ocsp, "state", state_name(v->ocsp));
    admin_put(r, ocsp, "until", v->ocsp_next_s != 0 ? json_integer(v->ocsp_next_s) : json_null());
    admin_put_span(r, ocsp, "error",
                   weir_span_str(v->ocsp_error[0] != '\0' ? v->ocsp_error : NULL));
    admin_put_bool(r, ocsp, "responder", v->asks);
    admin_put_bool(r, ocsp, "must_staple", v->must_staple);
}

static void put_certificate(void *arg, const struct tls_certificate_view *v)
{
    struct listing *l = arg;
    json_t *o = json_object(), *names = admin_put_array(l->r, o, "names");

    for (size_t i = 0; i < v->name_count; i++)
        admin_append(l->r, names, admin_string(weir_span_str(v->names[i])));
    admin_put_int(l->r, o, "names_total", (int64_t)v->names_total);
    admin_put_span(l->r, o, "source", weir_span_str(v->source));
    admin_put_text(l->r, o, "key", v->key_type);
    admin_put_int(l->r, o, "not_before", v->not_before_s);
    admin_put_int(l->r, o, "not_after", v->not_after_s);
    admin_put_int(l->r, o, "expires_in_s", v->not_after_s - l->r->source->loop->clock.wall_s);
    admin_put_int(l->r, o, "chain", v->chain_count);
    admin_put_bool(l->r, o, "chain_complete", v->chain_complete);
    admin_put_bool(l->r, o, "in_use", v->in_use);
    put_ocsp(l->r, o, v);
    admin_append(l->r, l->list, o);
}

static void put_summary(struct admin_request *r, json_t *o, const struct tls_store_summary *s)
{
    json_t *sum = admin_put_object(r, o, "summary");

    admin_put_int(r, sum, "certificates", (int64_t)s->certificates);
    admin_put_int(r, sum, "expired", (int64_t)s->expired);
    admin_put_int(r, sum, "expiring", (int64_t)s->expiring);
    admin_put(r, sum, "nearest_expiry",
              s->nearest_expiry_s != 0 ? json_integer(s->nearest_expiry_s) : json_null());
    admin_put_int(r, sum, "stapled", (int64_t)s->stapled);
    admin_put_int(r, sum, "ocsp_failed", (int64_t)s->ocsp_failed);
    admin_put_int(r, sum, "must_staple_failed", (int64_t)s->must_staple_failed);
}

void admin_certificates(struct admin_request *r)
{
    struct tls_store *store =
        r->source->certificates != NULL ? r->source->certificates(r->source->arg) : NULL;
    struct tls_store_summary sum = {0};
    json_t *out = json_object();
    struct listing l = {r, admin_put_array(r, out, "certificates")};

    if (store != NULL) {
        tls_store_sum(store, r->source->loop->clock.wall_s, &sum);
        tls_store_each(store, put_certificate, &l);
    }
    put_summary(r, out, &sum);
    admin_put(r, out, "handshakes", admin_view_handshakes(r));
    admin_answer(r, 200, out);
}
