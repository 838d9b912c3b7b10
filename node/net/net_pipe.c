#include "net_pipe.h"

#include <assert.h>
#include <string.h>

void net_pipe_init(struct net_pipe *p)
{
    memset(p, 0, sizeof *p);
    p->enough = NET_PIPE_BYTES;
}

void net_pipe_clear(struct net_pipe *p)
{
    while (p->count > 0) {
        weir_blob_unref(p->slot[p->first].blob);
        p->first = (uint8_t)((p->first + 1) % NET_PIPE_SLOTS);
        p->count--;
    }
    p->bytes = 0;
    weir_blob_unref(p->trailers);
    p->trailers = NULL;
}

void net_pipe_put(struct net_pipe *p, struct weir_slice s)
{
    assert(p->count < NET_PIPE_SLOTS && !p->ended && !p->failed);
    p->slot[(p->first + p->count) % NET_PIPE_SLOTS] = s;
    p->count++;
    p->bytes += s.len;
}

void net_pipe_end(struct net_pipe *p)
{
    p->ended = true;
}

void net_pipe_fail(struct net_pipe *p, enum weir_code why)
{
    if (p->failed == WEIR_OK)
        p->failed = why;
}

void net_pipe_flush(struct net_pipe *p)
{
    if (p->on_data != NULL)
        p->on_data(p->consumer);
}

unsigned net_pipe_peek(const struct net_pipe *p, struct weir_slice *out, unsigned max)
{
    unsigned n = p->count < max ? p->count : max;

    for (unsigned i = 0; i < n; i++)
        out[i] = p->slot[(p->first + i) % NET_PIPE_SLOTS];
    return n;
}

void net_pipe_took(struct net_pipe *p, size_t n)
{
    bool was_full = net_pipe_full(p);

    p->bytes -= n;
    p->passed += n;
    while (n > 0) {
        struct weir_slice *s = &p->slot[p->first];
        size_t part = n < s->len ? n : s->len;

        s->off += (uint32_t)part;
        s->len -= (uint32_t)part;
        n -= part;
        if (s->len == 0) {
            weir_blob_unref(s->blob);
            p->first = (uint8_t)((p->first + 1) % NET_PIPE_SLOTS);
            p->count--;
        }
    }
    if (was_full && !net_pipe_full(p) && p->on_space != NULL)
        p->on_space(p->producer);
}

void net_pipe_want(struct net_pipe *p)
{
    if (p->wanted)
        return;
    p->wanted = true;
    if (p->on_wanted != NULL)
        p->on_wanted(p->producer);
}
