/* TLS of the addresses: what they share, and what each of them has of its own. */
#include "runtime_own.h"

#include <time.h>

#include "weir/work.h"
#include "settings.h"
#include "site.h"
#include "tls_client.h"
#include "tls_server.h"

static bool any_tls(const struct settings *s)
{
    for (size_t i = 0; i < s->listen_count; i++)
        if (s->listens[i].tls.enabled)
            return true;
    return false;
}

bool runtime_make_tls_pool(struct runtime *rt, struct weir_err *err)
{
    const struct settings *s = rt->settings;

    if (!any_tls(s) || s->tls.handshake_threads == 0)
        return true;
    rt->shared.tls_pool = weir_work_pool_new(s->tls.handshake_threads, err);
    return rt->shared.tls_pool != NULL;
}

bool runtime_make_tls(struct runtime *rt, const struct settings *s, struct tls_store *store,
                      const struct listen_settings *l, struct tls_server_context **out,
                      struct weir_err *err)
{
    struct tls_server_tools tools = {.store = store};

    *out = NULL;
    if (!l->tls.enabled)
        return true;
    if (store == NULL)
        return weir_failf(
            err, WEIR_E_CONFIG, "tls", 0,
            "%s: there is no certificate: say tls.certificates, tls.directory or acme", l->address);
    if (rt != NULL && !runtime_tickets(rt, &s->tls, &tools.tickets, err))
        return false;
    if (rt != NULL)
        tools.opener = rt->opener;
    *out = tls_server_context_new(&s->tls, &l->tls, &tools, err);
    return *out != NULL;
}

static bool check_address(const struct settings *s, struct tls_store *store,
                          const struct listen_settings *l, struct weir_err *err)
{
    struct tls_server_context *made;
    bool ok = runtime_make_tls(NULL, s, store, l, &made, err);

    tls_server_context_unref(made);
    return ok;
}

static bool check_upstream(const struct upstream_settings *u, struct weir_err *err)
{
    struct tls_client_context *made;
    bool ok = site_make_tls(u, NULL, &made, err);

    tls_client_context_unref(made);
    return ok;
}

bool runtime_check(const struct settings *s, struct weir_err *err)
{
    const struct tls_store_options o = {.settings = &s->tls, .now_s = time(NULL)};
    struct tls_store *store = NULL;
    bool ok = true;

    if (s->tls.certificate_count > 0 || s->tls.directory[0] != '\0' ||
        s->acme.certificate_count > 0)
        ok = (store = tls_store_new(&o, err)) != NULL;
    for (size_t i = 0; ok && i < s->listen_count; i++)
        ok = check_address(s, store, &s->listens[i], err);
    for (size_t i = 0; ok && i < s->upstream_count; i++)
        ok = check_upstream(&s->upstreams[i], err);
    tls_store_unref(store);
    return ok;
}
