#include "warden.h"
#include "runtime_own.h"
#include "tls_store.h"

bool runtime_make_store(struct runtime *rt, const struct settings *s, struct tls_store **out,
                        struct weir_err *err)
{
    struct weir_opener opener;
    struct tls_store_options o = {.settings = &s->tls,
                                  .opener = warden_opener(rt->options.warden, &opener),
                                  .now_s = rt->control.clock.wall_s};

    *out = NULL;
    if (s->tls.certificate_count == 0 && s->tls.directory[0] == '\0')
        return true;
    *out = tls_store_new(&o, err);
    return *out != NULL;
}
