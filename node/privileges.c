#include "privileges.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "warden.h"

/* What the warden is to open: all files that may be root's alone. */
struct named {
    const char **paths;
    size_t count;
};

static void name_path(struct named *n, const char *path)
{
    if (path != NULL && path[0] == '/')
        n->paths[n->count++] = path;
}

static struct warden *start_warden(const struct settings *s, const char *file, struct weir_err *err)
{
    char *config = file != NULL ? realpath(file, NULL) : NULL;
    struct named n = {weir_calloc(3 * s->tls.certificate_count + 3, sizeof *n.paths), 0};
    struct warden *k = NULL;

    if (n.paths == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "privileges", 0);
    } else {
        name_path(&n, file);
        name_path(&n, config); /* where a link leads */
        name_path(&n, s->tls.directory);
        for (size_t i = 0; i < s->tls.certificate_count; i++) {
            name_path(&n, s->tls.certificates[i].certificate);
            name_path(&n, s->tls.certificates[i].key);
            name_path(&n, s->tls.certificates[i].ocsp);
        }
        k = warden_start(n.paths, n.count, err);
    }
    weir_free(n.paths);
    free(config);
    return k;
}

static bool become(const struct settings *s, const char *file, struct warden **warden,
                   struct weir_err *err)
{
    struct warden_identity id;

    if (!warden_find_identity(s->user, s->group, &id, err))
        return false;
    *warden = start_warden(s, file, err);
    if (*warden == NULL || !warden_drop(&id, err)) {
        warden_stop(*warden);
        *warden = NULL;
        return false;
    }
    weir_log(WEIR_LOG_INFO, "running as %s (%u:%u)", id.name, (unsigned)id.uid, (unsigned)id.gid);
    return true;
}

bool privileges_give_up(const struct settings *s, const char *file, struct warden **warden,
                        struct weir_err *err)
{
    *warden = NULL;
    if (geteuid() == 0 && s->user[0] != '\0' && !become(s, file, warden, err))
        return false;
    if (!s->core_dumps && (s->tls.certificate_count > 0 || s->tls.directory[0] != '\0'))
        warden_hide_memory();
    return true;
}
