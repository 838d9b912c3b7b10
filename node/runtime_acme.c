/* Certificates by ACME: what of the runtime they need. */
#include "runtime_own.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "weir/wrap.h"
#include "acme.h"
#include "member_identity.h"
#include "settings.h"
#include "tls_store.h"

#define PATH_ROOM 4096
#define GIVEN_MAX 1000

/* A new set is shown as a reload shows it. */
static void on_changed(void *arg)
{
    struct runtime *rt = arg;

    rt->acme_changed = !rt->running;
    if (rt->running && !rt->draining)
        runtime_reload(rt, 0);
}

void runtime_acme_ready(struct runtime *rt)
{
    if (rt->acme_changed)
        on_changed(rt);
}

static bool make_place(struct runtime *rt, struct weir_err *err)
{
    struct weir_seal_key key;

    if (!farm_seal_key(rt->farm, &key, err))
        return false;
    return acme_place_init(&rt->challenges, &key, rt->first->farm.name) ||
           weir_fail(err, WEIR_E_CONFIG, "acme: the name of the farm is too long", 0);
}

static bool make(struct runtime *rt, const struct settings *s, const char *dir,
                 struct weir_err *err)
{
    struct weir_wrap_key key;
    char self[PATH_ROOM];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    struct acme_options o = {
        .loop = &rt->control,
        .port = rt->port.shared,
        .shared_loop = &rt->port.loop,
        .key = &key,
        .place = &rt->challenges,
        .farm = rt->first->farm.name,
        .is_farm = farm_is_shared(rt->farm),
        .dir = dir,
        .self = self,
        .pool = rt->pool,
        .seed = (uint64_t)rt->control.clock.mono_us ^ (uint64_t)getpid() << 32,
        .changed = on_changed,
        .arg = rt,
    };

    if (dir == NULL)
        return weir_failf(err, WEIR_E_CONFIG, "acme", 0,
                          "certificates that are obtained need node.state_dir");
    if (len <= 0)
        return weir_fail(err, WEIR_E_FILE, "acme: /proc/self/exe", 0);
    self[len] = '\0';
    if (!make_place(rt, err) || !farm_wrap_key(rt->farm, &key, err))
        return false;
    rt->acme = acme_new(&o, &s->acme, err);
    explicit_bzero(&key, sizeof key);
    return rt->acme != NULL;
}

bool runtime_acme(struct runtime *rt, const struct settings *s, struct weir_err *err)
{
    char *dir;
    bool ok;

    if (rt->acme == NULL && s->acme.certificate_count == 0)
        return true;
    if (rt->acme != NULL) {
        if (acme_configure(rt->acme, &s->acme, err))
            return true;
        acme_free(rt->acme); /* it must not go on with settings that are about to go */
        rt->acme = NULL;
        return false;
    }
    if (!member_state_dir(rt->first->state_dir, &dir))
        return weir_fail(err, WEIR_E_MEMORY, "acme: folder", 0);
    ok = make(rt, s, dir, err);
    weir_free(dir);
    return ok;
}

struct tls_given *runtime_acme_given(struct runtime *rt, size_t *count)
{
    struct acme_given *from = weir_calloc(GIVEN_MAX, sizeof *from);
    struct tls_given *out = weir_calloc(GIVEN_MAX, sizeof *out);
    size_t n =
        from != NULL && out != NULL && rt->acme != NULL ? acme_given(rt->acme, from, GIVEN_MAX) : 0;

    *count = 0;
    for (size_t i = 0; i < n; i++) {
        size_t size = strlen(from[i].name) + 6;
        char *source = weir_malloc(size);

        if (source == NULL)
            break;
        snprintf(source, size, "acme %s", from[i].name);
        out[(*count)++] =
            (struct tls_given){.source = source, .chain = from[i].chain, .key = from[i].key};
    }
    weir_free(from);
    return out;
}

void runtime_acme_given_free(struct tls_given *given, size_t count)
{
    for (size_t i = 0; given != NULL && i < count; i++)
        weir_free((char *)(uintptr_t)given[i].source);
    weir_free(given);
}
