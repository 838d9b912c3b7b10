#include "privileges.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "net_owner.h"
#include "warden.h"

/* What the warden is to open: all files that may be root's alone. */
struct named {
    const char **paths;
    size_t count, room;
    bool failed; /* no memory */
};

static bool make_room(struct named *n)
{
    size_t room = n->room * 2 + 16;
    const char **paths;

    if (n->count < n->room)
        return true;
    paths = weir_realloc(n->paths, room * sizeof *paths);
    if (paths == NULL)
        return false;
    n->paths = paths;
    n->room = room;
    return true;
}

static void name_path(struct named *n, const char *path)
{
    if (path == NULL || path[0] != '/')
        return;
    if (make_room(n))
        n->paths[n->count++] = path;
    else
        n->failed = true;
}

/* May whoever it is read this file? Then nobody needs to open it for the node, nor what else lies
 * in its folder. */
static bool is_public(const char *path)
{
    char way[PATH_MAX];
    struct stat st;
    size_t len = strlen(path);

    if (len >= sizeof way || stat(path, &st) != 0 || (st.st_mode & S_IROTH) == 0)
        return false;
    memcpy(way, path, len + 1);
    while (len-- > 1) {
        if (way[len] != '/')
            continue;
        way[len] = '\0';
        if (stat(way, &st) != 0 || (st.st_mode & S_IXOTH) == 0)
            return false;
    }
    return true;
}

static void name_file(struct named *n, const char *path)
{
    if (path != NULL && !is_public(path))
        name_path(n, path);
}

static void name_tls(struct named *n, const struct settings *s)
{
    name_path(n, s->tls.directory);
    for (size_t i = 0; i < s->tls.certificate_count; i++) {
        name_path(n, s->tls.certificates[i].certificate);
        name_path(n, s->tls.certificates[i].key);
        name_path(n, s->tls.certificates[i].ocsp);
    }
    for (size_t i = 0; i < s->listen_count; i++) {
        name_file(n, s->listens[i].tls.client_ca);
        name_file(n, s->listens[i].tls.client_crl);
    }
    for (size_t i = 0; i < s->upstream_count; i++) {
        name_file(n, s->upstreams[i].tls.ca);
        name_file(n, s->upstreams[i].tls.certificate);
        name_file(n, s->upstreams[i].tls.key);
    }
}

static void name_redis(struct named *n, const struct farm_redis_settings *r)
{
    name_file(n, r->password_file);
    name_file(n, r->tls_ca_file);
    name_file(n, r->tls_certificate_file);
    name_file(n, r->tls_key_file);
}

static void name_admin(struct named *n, const struct admin_tcp_settings *a)
{
    name_file(n, a->certificate_file);
    name_file(n, a->key_file);
    name_file(n, a->client_ca_file);
    for (size_t i = 0; i < a->token_count; i++)
        name_file(n, a->tokens[i].token_file);
}

static void name_files(struct named *n, const struct settings *s, const char *file,
                       const char *config)
{
    name_path(n, file);
    name_path(n, config); /* where a link leads */
    name_tls(n, s);
    name_file(n, s->farm.secret_file);
    name_redis(n, &s->farm.redis);
    name_redis(n, &s->farm.state_redis);
    name_admin(n, &s->admin.tcp);
}

/* Whom sockets are to be given to, whatever an address is: at most one row for each. */
static bool name_owner(struct warden_owner *rows, size_t *count, const char *user,
                       const char *group, struct weir_err *err)
{
    struct net_owner o;

    if (!net_owner_find(user, group, &o, err))
        return false;
    if (o.uid != (uid_t)-1 || o.gid != (gid_t)-1)
        rows[(*count)++] = (struct warden_owner){o.uid, o.gid};
    return true;
}

static bool name_owners(struct warden_owner *rows, size_t *count, const struct settings *s,
                        struct weir_err *err)
{
    bool ok = name_owner(rows, count, s->admin.user, s->admin.group, err);

    for (size_t i = 0; ok && i < s->listen_count; i++)
        ok = name_owner(rows, count, s->listens[i].user, s->listens[i].group, err);
    return ok;
}

static struct warden *start_warden(const struct settings *s, const char *file, uid_t uid,
                                   struct weir_err *err)
{
    char *config = file != NULL ? realpath(file, NULL) : NULL;
    struct named n = {0};
    struct warden_owner *owners = weir_calloc(s->listen_count + 1, sizeof *owners);
    struct warden_duties duties = {.owners = owners, .node = uid};
    struct warden *k = NULL;

    name_files(&n, s, file, config);
    if (n.failed || owners == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "privileges", 0);
    } else if (name_owners(owners, &duties.owner_count, s, err)) {
        duties.paths = n.paths;
        duties.path_count = n.count;
        k = warden_start(&duties, err);
    }
    weir_free(owners);
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
    *warden = start_warden(s, file, id.uid, err);
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
