#include "acme.h"
#include "admin.h"
#include "admin_endpoints.h"

struct listing {
    struct admin_request *r;
    json_t *list;
};

static void put_time(struct admin_request *r, json_t *out, const char *name, int64_t s)
{
    if (s > 0)
        admin_put_int(r, out, name, s);
}

static void on_certificate(void *arg, const struct acme_view *v)
{
    struct listing *l = arg;
    struct admin_request *r = l->r;
    json_t *out = json_object(), *names = admin_put_array(r, out, "names");

    for (size_t i = 0; i < v->name_count; i++)
        admin_append(r, names, admin_string(weir_span_str(v->names[i])));
    admin_put_text(r, out, "state", v->state);
    put_time(r, out, "not_after", v->not_after_s);
    put_time(r, out, "renews", v->renew_s);
    admin_put_int(r, out, "failures", v->failures);
    if (v->error[0] != '\0') {
        admin_put_span(r, out, "error", weir_span_str(v->error));
        put_time(r, out, "failed", v->error_s);
        put_time(r, out, "next", v->next_s);
    }
    admin_append(r, l->list, out);
}

void admin_acme(struct admin_request *r)
{
    struct acme *a = r->source->acme != NULL ? r->source->acme(r->source->arg) : NULL;
    json_t *out = json_object();
    struct listing l = {r, admin_put_array(r, out, "certificates")};

    if (a != NULL)
        acme_each(a, on_certificate, &l);
    admin_answer(r, 200, out);
}
