#include "farm.h"

#include <string.h>

#include "weir/alloc.h"
#include "weir/secret.h"
#include "weir/shared.h"
#include "weir/shared_store.h"
#include "cache_settings.h"
#include "farm_redis.h"
#include "net_loop.h"
#include "shared_embedded.h"

struct farm {
    const struct farm_settings *settings;
    struct weir_secret secret; /* empty: no farm */
    struct farm_redis *redis;  /* NULL: no farm */
    struct weir_shared *embedded;
};

static bool join(struct farm *f, const struct weir_opener *opener, struct weir_err *err)
{
    struct weir_err why = {0};

    if (!weir_secret_read_by(&f->secret, opener, f->settings->secret_file, &why))
        return weir_failf(err, why.code, "farm: secret", 0, "%.80s: %.60s",
                          f->settings->secret_file, why.detail);
    f->redis = farm_redis_new(f->settings, opener, err);
    return f->redis != NULL;
}

static bool stay_alone(struct farm *f, struct weir_err *err)
{
    f->embedded = shared_embedded_new(NULL, err);
    return f->embedded != NULL;
}

struct farm *farm_new(const struct farm_settings *s, const struct weir_opener *opener,
                      struct weir_err *err)
{
    struct farm *f = weir_calloc(1, sizeof *f);

    if (f == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "farm: create", 0);
        return NULL;
    }
    f->settings = s;
    if (s->redis.address_count > 0 ? join(f, opener, err) : stay_alone(f, err))
        return f;
    farm_free(f);
    return NULL;
}

void farm_free(struct farm *f)
{
    if (f == NULL)
        return;
    farm_redis_free(f->redis);
    shared_free(f->embedded);
    weir_secret_clear(&f->secret);
    weir_free(f);
}

static bool same_redis(const struct farm_redis_settings *a, const struct farm_redis_settings *b)
{
    if (a->address_count != b->address_count)
        return false;
    for (size_t i = 0; i < a->address_count; i++)
        if (strcmp(a->addresses[i], b->addresses[i]) != 0)
            return false;
    return strcmp(a->username, b->username) == 0 &&
           strcmp(a->password_file, b->password_file) == 0 && a->tls == b->tls &&
           strcmp(a->tls_ca_file, b->tls_ca_file) == 0 &&
           strcmp(a->tls_server_name, b->tls_server_name) == 0 &&
           strcmp(a->tls_certificate_file, b->tls_certificate_file) == 0 &&
           strcmp(a->tls_key_file, b->tls_key_file) == 0 &&
           a->connect_timeout_ms == b->connect_timeout_ms && a->replica_reads == b->replica_reads;
}

bool farm_settings_same(const struct farm_settings *a, const struct farm_settings *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->secret_file, b->secret_file) == 0 &&
           same_redis(&a->redis, &b->redis) && same_redis(&a->state_redis, &b->state_redis);
}

bool farm_is_shared(const struct farm *f)
{
    return f->redis != NULL;
}

struct weir_shared *farm_shared(const struct farm *f)
{
    return f->redis != NULL ? farm_redis_shared(f->redis) : f->embedded;
}

static struct weir_span secret_of(const struct farm *f)
{
    return weir_span(f->secret.bytes, f->secret.len);
}

bool farm_hash_secret(const struct farm *f, struct weir_hash_secret *out, struct weir_err *err)
{
    if (f->secret.len == 0)
        return weir_hash_secret_draw(out, err);
    return store_derive(secret_of(f), WEIR_SPAN_LIT("weir hash"), out->bytes, sizeof out->bytes,
                        err);
}

bool farm_seal_key(const struct farm *f, struct weir_seal_key *out, struct weir_err *err)
{
    return weir_seal_key_derive(out, secret_of(f), weir_span_str(f->settings->name), err);
}

bool farm_wrap_key(const struct farm *f, struct weir_wrap_key *out, struct weir_err *err)
{
    return weir_wrap_key_derive(out, secret_of(f), weir_span_str(f->settings->name), err);
}

/* ---- ports ---- */

static void enter(void *arg)
{
    net_loop_enter(arg);
}

static bool open_store(struct farm_port *p, const struct farm *f, const struct shared_loop *loop,
                       const struct shared_cache_settings *s, struct weir_err *err)
{
    struct store_settings settings = store_settings_default;

    settings.meta_timeout_ms = (uint32_t)s->head_timeout_ms;
    settings.chunk_timeout_ms = (uint32_t)s->body_timeout_ms;
    settings.open_lease_ms = (uint32_t)s->lease_ms;
    p->names = store_names_new(secret_of(f), weir_span_str(f->settings->name), err);
    p->store = p->names != NULL ? store_new(p->shared, loop, &settings, err) : NULL;
    return p->store != NULL;
}

bool farm_port_open(struct farm_port *p, struct farm *f, struct net_loop *loop,
                    const struct cache_settings *cache, struct weir_err *err)
{
    *p = (struct farm_port){
        .loop = {.base = loop->base, .enter = enter, .arg = loop, .clock = &loop->clock}};
    p->shared = shared_port_new(farm_shared(f), &p->loop, err);
    if (p->shared != NULL &&
        (!farm_is_shared(f) || !cache->shared.enabled || cache->memory_bytes == 0 ||
         open_store(p, f, &p->loop, &cache->shared, err)))
        return true;
    farm_port_close(p);
    return false;
}

void farm_port_close(struct farm_port *p)
{
    store_free(p->store);
    store_names_free(p->names);
    shared_port_free(p->shared);
    *p = (struct farm_port){.shared = NULL};
}
