#include "farm_redis.h"

#include "weir/address.h"
#include "weir/alloc.h"
#include "weir/secret.h"
#include "weir/shared.h"
#include "redis_settings.h"
#include "shared_redis.h"

#define REDIS_PORT 6379

/* One place: what the client needs to know of it, in its own words. */
struct endpoint {
    struct redis_address *seeds;
    struct weir_secret password;
    struct redis_settings conn;
    struct redis_cluster_settings cluster;
};

struct farm_redis {
    struct endpoint cache, state;
    struct weir_shared *shared;
};

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static bool read_addresses(struct endpoint *e, const struct farm_redis_settings *s,
                           struct weir_err *err)
{
    e->seeds = weir_calloc(s->address_count, sizeof *e->seeds);
    if (e->seeds == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "farm: addresses", 0);
    for (size_t i = 0; i < s->address_count; i++) {
        struct weir_span host, port;
        unsigned long long number = REDIS_PORT;

        if (!weir_address_split(weir_span_str(s->addresses[i]), &host, &port) ||
            (port.len > 0 && !weir_span_u64(port, 65535, &number)) ||
            !redis_address_set(&e->seeds[i], host, (long long)number))
            return weir_failf(err, WEIR_E_CONFIG, "farm: redis", 0, "%s is no address",
                              s->addresses[i]);
    }
    return true;
}

static bool read_password(struct endpoint *e, const char *file, struct weir_err *err)
{
    struct weir_err why = {0};

    if (file[0] == '\0')
        return true;
    if (!weir_secret_read_by(&e->password, e->conn.tls.opener, file, &why))
        return weir_failf(err, why.code, "farm: password", 0, "%.80s: %.60s", file, why.detail);
    e->conn.password = e->password.bytes;
    return true;
}

static bool set_up(struct endpoint *e, const char *name, const struct farm_redis_settings *s,
                   const struct weir_opener *opener, struct weir_err *err)
{
    e->conn = redis_settings_default();
    e->conn.tls.opener = opener;
    e->conn.username = text_or_null(s->username);
    e->conn.connect_timeout_ms = (unsigned)s->connect_timeout_ms;
    e->conn.tls.on = s->tls;
    e->conn.tls.ca_file = text_or_null(s->tls_ca_file);
    e->conn.tls.cert_file = text_or_null(s->tls_certificate_file);
    e->conn.tls.key_file = text_or_null(s->tls_key_file);
    e->conn.tls.server_name = text_or_null(s->tls_server_name);
    e->cluster.name = name;
    e->cluster.conn = &e->conn;
    e->cluster.replica_reads = s->replica_reads;
    e->cluster.seed_count = s->address_count;
    if (!read_addresses(e, s, err) || !read_password(e, s->password_file, err))
        return false;
    e->cluster.seeds = e->seeds;
    return true;
}

struct farm_redis *farm_redis_new(const struct farm_settings *s, const struct weir_opener *opener,
                                  struct weir_err *err)
{
    bool apart = s->state_redis.address_count > 0;
    struct farm_redis *r = weir_calloc(1, sizeof *r);
    struct shared_redis_settings settings = {.confirm_ms = 0};

    if (r == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "farm: redis", 0);
        return NULL;
    }
    r->cache.cluster.breaker.ramp = true; /* a node that comes back is not met by all at once */
    settings.endpoints[SHARED_CACHE] = &r->cache.cluster;
    settings.endpoints[SHARED_STATE] = apart ? &r->state.cluster : &r->cache.cluster;
    if (!set_up(&r->cache, apart ? "cache" : "redis", &s->redis, opener, err) ||
        (apart && !set_up(&r->state, "state", &s->state_redis, opener, err)) ||
        (r->shared = shared_redis_new(&settings, err)) == NULL) {
        farm_redis_free(r);
        return NULL;
    }
    return r;
}

struct weir_shared *farm_redis_shared(const struct farm_redis *r)
{
    return r->shared;
}

static void clear(struct endpoint *e)
{
    weir_free(e->seeds);
    weir_secret_clear(&e->password);
}

void farm_redis_free(struct farm_redis *r)
{
    if (r == NULL)
        return;
    shared_free(r->shared);
    clear(&r->cache);
    clear(&r->state);
    weir_free(r);
}
