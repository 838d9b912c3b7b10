/*
 * embedded_own.h - what the files of the embedded engine share.
 */
#ifndef EMBEDDED_OWN_H
#define EMBEDDED_OWN_H

#include "embedded_hints.h"
#include "embedded_items.h"
#include "shared_embedded.h"
#include "shared_engine.h"

struct embedded_engine {
    struct weir_shared base;
    struct embedded_place places[SHARED_AREAS];
    struct embedded_channels channels;
};

struct embedded_port {
    struct shared_port base;
    struct embedded_ears ears;
};

static inline struct embedded_engine *embedded_engine_of(struct shared_port *p)
{
    return (struct embedded_engine *)(void *)p->shared;
}

static inline struct embedded_port *embedded_port_of(struct shared_port *p)
{
    return (struct embedded_port *)(void *)p;
}

/* A visit to where the call's area keeps the key, at the time of the port's loop. */
static inline void embedded_visit_for(struct embedded_visit *v, struct shared_port *p,
                                      const struct shared_call *c, struct weir_span key)
{
    embedded_visit(v, &embedded_engine_of(p)->places[c->area], key, p->loop.clock->mono_ms);
}

/* What struct shared_engine_ops says; each ends its call before it returns. */
void embedded_get(struct shared_port *p, struct shared_call *c, struct weir_span key);
void embedded_put(struct shared_port *p, struct shared_call *c, const struct shared_put *put);
void embedded_touch(struct shared_port *p, struct shared_call *c, struct weir_span key,
                    int64_t ttl_ms);
void embedded_remove_key(struct shared_port *p, struct shared_call *c, struct weir_span key);
void embedded_remove_if(struct shared_port *p, struct shared_call *c, struct weir_span key,
                        size_t offset, struct weir_span bytes);
void embedded_lease(struct shared_port *p, struct shared_call *c, enum shared_lease_how how,
                    const struct shared_lease *l, struct weir_span hint);
void embedded_log_append(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                         struct weir_span bytes);
void embedded_log_open(struct shared_port *p, struct shared_call *c, const struct shared_log *log);
void embedded_log_read(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                       uint64_t after, size_t max);

void embedded_board_put(struct shared_port *p, struct shared_call *c, const struct shared_board *b,
                        const struct shared_post *posts, size_t count, struct weir_span hint);
void embedded_board_remove(struct shared_port *p, struct shared_call *c,
                           const struct shared_board *b, const struct weir_span *ids, size_t count,
                           struct weir_span hint);
void embedded_board_read(struct shared_port *p, struct shared_call *c,
                         const struct shared_board *b);
void embedded_tokens_take(struct shared_port *p, struct shared_call *c, const struct shared_rate *r,
                          uint32_t want);

/* Is a newer fence than `fence` remembered under the key? BAD: something else is there. */
enum shared_result embedded_fence_check(struct embedded_visit *v, struct weir_span key,
                                        uint64_t fence);

#endif
