#include "runtime_own.h"

#include <stdio.h>

#include "weir/alloc.h"
#include "member_identity.h"
#include "settings.h"
#include "tls_stapler.h"
#include "tls_store.h"

bool runtime_make_store(struct runtime *rt, const struct settings *s, struct tls_store **out,
                        struct weir_err *err)
{
    struct tls_store_options o = {.settings = &s->tls,
                                  .opener = rt->opener,
                                  .now_s = rt->control.clock.wall_s};
    struct tls_given *given;

    *out = NULL;
    if (s->tls.certificate_count == 0 && s->tls.directory[0] == '\0' &&
        s->acme.certificate_count == 0)
        return true;
    given = runtime_acme_given(rt, &o.given_count);
    o.given = given;
    *out = tls_store_new(&o, err);
    runtime_acme_given_free(given, o.given_count);
    return *out != NULL;
}

/* In the node's folder, if it has one. */
static bool make_stapler(struct runtime *rt, struct weir_err *err)
{
    struct tls_stapler_options o = {.pool = rt->pool, .box = &rt->control.box};
    char *dir, folder[4096];

    if (!member_state_dir(rt->first->state_dir, &dir))
        return weir_fail(err, WEIR_E_MEMORY, "tls: folder", 0);
    if (dir != NULL && snprintf(folder, sizeof folder, "%s/ocsp", dir) < (int)sizeof folder)
        o.folder = folder;
    weir_free(dir);
    rt->stapler = tls_stapler_new(&o, err);
    return rt->stapler != NULL;
}

bool runtime_staple(struct runtime *rt, struct weir_err *err)
{
    bool fetch = rt->settings->tls.ocsp_fetch && rt->store != NULL;

    if (fetch && rt->stapler == NULL && !make_stapler(rt, err))
        return false;
    if (rt->stapler != NULL)
        tls_stapler_serve(rt->stapler, rt->store, fetch, rt->control.clock.wall_s);
    return true;
}
