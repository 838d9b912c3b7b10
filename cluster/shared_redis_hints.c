#include "shared_redis_own.h"

bool redis_hints_listen(struct shared_port *p, struct shared_listener *l, enum shared_area area,
                        struct weir_span channel, struct weir_err *err)
{
    (void)p;
    (void)area;
    (void)channel;
    (void)err;
    l->subscription = l; /* hints may get lost: they all do, until there is a subscriber */
    return true;
}

void redis_hints_unlisten(struct shared_port *p, struct shared_listener *l)
{
    (void)p;
    l->subscription = NULL;
}
