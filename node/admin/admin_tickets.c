#include "admin.h"
#include "admin_endpoints.h"
#include "tls_tickets.h"

static json_t *key_of(struct admin_request *r, const struct tls_tickets_key_facts *k)
{
    json_t *out = json_object();

    admin_put_text(r, out, "name", k->name);
    admin_put_text(r, out, "kind", k->kind);
    admin_put_text(r, out, "use", k->use);
    admin_put_bool(r, out, "issues", k->issues);
    admin_put_int(r, out, "begins", k->begins_ms / 1000);
    admin_put_int(r, out, "ends", k->ends_ms / 1000);
    return out;
}

static void put_facts(struct admin_request *r, json_t *out, const struct tls_tickets_facts *f)
{
    json_t *keys;

    admin_put_bool(r, out, "shared", f->farm);
    admin_put_bool(r, out, "kept", f->kept);
    admin_put_int(r, out, "rotation_s", f->rotation_ms / 1000);
    admin_put_int(r, out, "now", f->now_ms / 1000);
    if (f->contact_ms >= 0)
        admin_put_int(r, out, "contact_ms", f->contact_ms);
    admin_put_int(r, out, "refused", (int64_t)f->refused);
    keys = admin_put_array(r, out, "keys");
    for (size_t i = 0; i < f->count; i++)
        admin_append(r, keys, key_of(r, &f->keys[i]));
}

void admin_tickets(struct admin_request *r)
{
    struct tls_tickets_facts f;
    json_t *out = json_object();
    bool any = r->source->tickets != NULL && r->source->tickets(r->source->arg, &f);

    admin_put_bool(r, out, "enabled", any);
    if (any)
        put_facts(r, out, &f);
    admin_answer(r, 200, out);
}
