#include "shared_embedded.h"

#include "weir/alloc.h"
#include "embedded_own.h"

#define BYTES_MAX_DEFAULT ((size_t)64 << 20)

static void engine_free(struct weir_shared *s)
{
    struct embedded_engine *e = (struct embedded_engine *)(void *)s;
    size_t area;

    for (area = 0; area < SHARED_AREAS; area++)
        embedded_place_close(&e->places[area]);
    embedded_channels_close(&e->channels);
    weir_free(e);
}

static struct shared_port *port_new(struct weir_shared *s, const struct shared_loop *loop,
                                    struct weir_err *err)
{
    struct embedded_engine *e = (struct embedded_engine *)(void *)s;
    struct embedded_port *p = weir_calloc(1, sizeof(*p));

    if (p == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "shared: port", 0);
        return NULL;
    }
    if (!shared_port_init(&p->base, s, loop, err)) {
        weir_free(p);
        return NULL;
    }
    if (!embedded_ears_init(&p->ears, &p->base, &e->channels, err)) {
        shared_port_end(&p->base);
        weir_free(p);
        return NULL;
    }
    return &p->base;
}

static void port_free(struct shared_port *p)
{
    embedded_ears_close(&embedded_port_of(p)->ears);
    shared_port_end(p);
    weir_free(embedded_port_of(p));
}

static bool ready(const struct shared_port *p, enum shared_area area)
{
    (void)p;
    (void)area;
    return true;
}

/* Every call ends before it returns: none is ever under way here. */
static void cancel(struct shared_port *p, struct shared_call *c)
{
    (void)p;
    (void)c;
}

static void hint(struct shared_port *p, struct shared_call *c, struct weir_span channel,
                 struct weir_span bytes)
{
    embedded_say(&embedded_engine_of(p)->channels, c->area, channel, bytes);
    shared_complete(p, c, SHARED_OK);
}

static bool listen_to(struct shared_port *p, struct shared_listener *l, enum shared_area area,
                      struct weir_span channel, struct weir_err *err)
{
    return embedded_listen(&embedded_port_of(p)->ears, l, area, channel, err);
}

static void unlisten(struct shared_port *p, struct shared_listener *l)
{
    embedded_unlisten(&embedded_port_of(p)->ears, l);
}

static const struct shared_engine_ops embedded_ops = {
    .name = "embedded",
    .farm = false,
    .free = engine_free,
    .port_new = port_new,
    .port_free = port_free,
    .ready = ready,
    .cancel = cancel,
    .get = embedded_get,
    .put = embedded_put,
    .touch = embedded_touch,
    .remove = embedded_remove_key,
    .remove_if = embedded_remove_if,
    .lease = embedded_lease,
    .log_append = embedded_log_append,
    .log_open = embedded_log_open,
    .log_read = embedded_log_read,
    .board_put = embedded_board_put,
    .board_remove = embedded_board_remove,
    .board_read = embedded_board_read,
    .tokens_take = embedded_tokens_take,
    .hint = hint,
    .listen = listen_to,
    .unlisten = unlisten,
};

struct weir_shared *shared_embedded_new(const struct shared_embedded_options *options,
                                        struct weir_err *err)
{
    struct embedded_engine *e = weir_calloc(1, sizeof(*e));
    size_t area;

    if (e == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "shared: embedded", 0);
        return NULL;
    }
    e->base.ops = &embedded_ops;
    embedded_channels_init(&e->channels);
    for (area = 0; area < SHARED_AREAS; area++) {
        size_t bytes_max = options != NULL ? options->bytes_max[area] : 0;

        if (!embedded_place_init(&e->places[area], bytes_max > 0 ? bytes_max : BYTES_MAX_DEFAULT,
                                 area == SHARED_CACHE, err)) {
            engine_free(&e->base);
            return NULL;
        }
    }
    return &e->base;
}

size_t shared_embedded_bytes(const struct weir_shared *s, enum shared_area area)
{
    const struct embedded_engine *e = (const struct embedded_engine *)(const void *)s;

    return atomic_load(&e->places[area].bytes);
}
