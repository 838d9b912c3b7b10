#include "front_entry.h"

#include <stdint.h>
#include <string.h>

#include "weir/alloc.h"
#include "netset.h"
#include "tls_server.h"

#define HANDSHAKE_MS 5000
#define HANDSHAKES   1024

struct front_entry *front_entry_new(unsigned id, const char *address, struct weir_err *err)
{
    struct front_entry *e = weir_calloc(1, sizeof *e);
    char *copy = weir_strndup(address, strlen(address));

    if (e == NULL || copy == NULL) {
        weir_free(e);
        weir_free(copy);
        weir_fail(err, WEIR_E_MEMORY, "listen: entry", 0);
        return NULL;
    }
    atomic_init(&e->refs, 1);
    e->id = id;
    e->address = copy;
    e->handshake_timeout_ms = HANDSHAKE_MS;
    e->handshakes = HANDSHAKES;
    return e;
}

/* What is counted is const for all who hold it, but for the count. */
static struct front_entry *counted(const struct front_entry *e)
{
    return (struct front_entry *)(uintptr_t)e;
}

const struct front_entry *front_entry_ref(const struct front_entry *e)
{
    if (e != NULL)
        atomic_fetch_add_explicit(&counted(e)->refs, 1, memory_order_relaxed);
    return e;
}

void front_entry_unref(const struct front_entry *e)
{
    struct front_entry *mine = counted(e);

    if (e == NULL || atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1)
        return;
    netset_free(mine->proxy);
    tls_server_context_unref(mine->tls);
    weir_free((char *)(uintptr_t)mine->alt_svc);
    weir_free((char *)(uintptr_t)mine->address);
    weir_free(mine);
}
