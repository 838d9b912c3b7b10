/* Keys of session tickets, for all addresses of the node together. */
#include "runtime_own.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/wrap.h"
#include "member_identity.h"
#include "settings.h"
#include "tls_settings.h"
#include "tls_tickets.h"

#define TICKETS_FILE "tickets"
#define FILE_MAX     4096

static struct tls_tickets *make(struct runtime *rt, const struct tls_settings *s, const char *dir,
                                struct weir_err *err)
{
    struct weir_wrap_key key;
    char file[FILE_MAX];
    struct tls_tickets_options o = {
        .port = rt->port.shared,
        .loop = &rt->port.loop,
        .farm = rt->first->farm.name,
        .pool = rt->pool,
        .box = &rt->control.box,
        .rotation_ms = s->ticket_rotation_ms,
        .seed = (uint64_t)rt->control.clock.mono_us ^ (uint64_t)getpid() << 32,
    };
    struct tls_tickets *t;

    if (dir != NULL && snprintf(file, sizeof file, "%s/" TICKETS_FILE, dir) < (int)sizeof file)
        o.file = file;
    if (farm_is_shared(rt->farm)) {
        if (!farm_wrap_key(rt->farm, &key, err))
            return NULL;
        o.key = &key;
    }
    t = tls_tickets_new(&o, err);
    explicit_bzero(&key, sizeof key);
    return t;
}

bool runtime_tickets(struct runtime *rt, const struct tls_settings *s, struct tls_tickets **out,
                     struct weir_err *err)
{
    char *dir;

    *out = NULL;
    if (!s->tickets)
        return true;
    if (rt->tickets != NULL) {
        tls_tickets_rotate(rt->tickets, s->ticket_rotation_ms);
    } else {
        if (!member_state_dir(rt->first->state_dir, &dir))
            return weir_fail(err, WEIR_E_MEMORY, "tickets: folder", 0);
        rt->tickets = make(rt, s, dir, err);
        weir_free(dir);
    }
    *out = rt->tickets;
    return *out != NULL;
}
