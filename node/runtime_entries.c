#include "runtime_own.h"

#include <string.h>

#include "weir/alloc.h"
#include "front_entry.h"
#include "netset.h"
#include "settings.h"

/*
 * What the settings say about each address, ready for the workers. Made anew by every reload, and
 * whole before anything changes: whatever can be wrong is found here.
 */

static bool add_proxy_networks(struct front_entry *e, const struct listen_settings *l,
                               struct weir_err *err)
{
    if (l->proxy_protocol_count == 0)
        return true;
    e->proxy = netset_compile(l->proxy_protocol, l->proxy_protocol_count, err);
    return e->proxy != NULL;
}

static bool add_rules(struct front_entry *e, const struct listen_settings *l, struct weir_err *err)
{
    e->redirect_https = l->redirect_https;
    e->https_port = l->https_port;
    e->misdirected_allowed = l->misdirected_allowed;
    if (l->alt_svc[0] == '\0')
        return true;
    e->alt_svc = weir_strndup(l->alt_svc, strlen(l->alt_svc));
    return e->alt_svc != NULL || weir_fail(err, WEIR_E_MEMORY, "listen: entry", 0);
}

static bool add_tls(struct runtime *rt, struct front_entry *e, const struct settings *s,
                    const struct listen_settings *l, struct weir_err *err)
{
    struct tls_store *store = s == rt->settings ? rt->store : rt->pending_store;

    e->handshakes = s->tls.handshakes;
    e->handshake_timeout_ms = s->tls.handshake_timeout_ms;
    return runtime_make_tls(rt, s, store, l, &e->tls, err);
}

static struct front_entry *make_entry(struct runtime *rt, const struct settings *s,
                                      const struct listen_settings *l, struct weir_err *err)
{
    struct front_entry *e = front_entry_new(0, l->address, err);

    if (e == NULL)
        return NULL;
    e->tuning = l->tuning;
    e->http2 = l->h2c;
    if (!add_proxy_networks(e, l, err) || !add_rules(e, l, err) || !add_tls(rt, e, s, l, err)) {
        front_entry_unref(e);
        return NULL;
    }
    return e;
}

bool runtime_make_entries(struct runtime *rt, const struct settings *s, struct runtime_entries *out,
                          struct weir_err *err)
{
    out->count = 0;
    if (s->listen_count > WORKER_LISTENERS_MAX)
        return weir_failf(err, WEIR_E_LISTEN, "listen", 0, "more than %d addresses",
                          WORKER_LISTENERS_MAX);
    for (size_t i = 0; i < s->listen_count; i++) {
        struct front_entry *e = make_entry(rt, s, &s->listens[i], err);

        if (e == NULL) {
            runtime_drop_entries(out);
            return false;
        }
        out->entry[out->count++] = e;
    }
    return true;
}

void runtime_drop_entries(struct runtime_entries *entries)
{
    while (entries->count > 0)
        front_entry_unref(entries->entry[--entries->count]);
}
