#include "share.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "exchange.h"
#include "share_lead.h"

/* ---- hints ---- */

void share_hint_write(char out[SHARE_HINT_BYTES], const struct store_name *name,
                      enum share_hint hint)
{
    memcpy(out, name->base, STORE_HASH_TEXT);
    memcpy(out + STORE_HASH_TEXT, name->variant, STORE_HASH_TEXT);
    out[SHARE_HINT_BYTES - 1] = (char)hint;
}

bool share_hint_read(struct weir_span bytes, struct store_name *name, enum share_hint *hint)
{
    if (bytes.len != SHARE_HINT_BYTES || strchr("lgaw", bytes.ptr[bytes.len - 1]) == NULL ||
        bytes.ptr[bytes.len - 1] == '\0')
        return false;
    memset(name, 0, sizeof *name);
    memcpy(name->base, bytes.ptr, STORE_HASH_TEXT);
    memcpy(name->variant, bytes.ptr + STORE_HASH_TEXT, STORE_HASH_TEXT);
    *hint = (enum share_hint)bytes.ptr[bytes.len - 1];
    return true;
}

/* ---- who waits ---- */

static bool same_name(const struct store_name *a, const struct store_name *b)
{
    return memcmp(a->base, b->base, sizeof a->base) == 0 &&
           memcmp(a->variant, b->variant, sizeof a->variant) == 0;
}

/* Names are hashes already. */
static struct share_wait **slot_of(struct share *s, const struct store_name *name)
{
    uint32_t word;

    memcpy(&word, name->base, sizeof word);
    return &s->waits[(word * UINT32_C(2654435761)) >> 24];
}

void share_wait_begin(struct share *s, struct share_wait *w, const struct store_name *name)
{
    struct share_wait **head = slot_of(s, name);

    share_wait_end(w);
    w->name = *name;
    w->due = false;
    w->next = *head;
    w->at = head;
    if (w->next != NULL)
        w->next->at = &w->next;
    *head = w;
}

void share_wait_end(struct share_wait *w)
{
    if (w->at == NULL)
        return;
    *w->at = w->next;
    if (w->next != NULL)
        w->next->at = w->at;
    w->at = NULL;
}

static struct share_wait *next_due(struct share_wait *w)
{
    while (w != NULL && !w->due)
        w = w->next;
    return w;
}

/* Who is due is marked first, and looked for anew after each call: it may end any wait. */
static void on_hint(struct shared_listener *l, struct weir_span bytes)
{
    struct share *s = WEIR_CONTAINER(l, struct share, listener);
    struct store_name name;
    struct share_wait **head, *w;
    enum share_hint hint;

    if (!share_hint_read(bytes, &name, &hint))
        return;
    head = slot_of(s, &name);
    for (w = *head; w != NULL; w = w->next)
        w->due = same_name(&w->name, &name);
    while ((w = next_due(*head)) != NULL) {
        w->due = false;
        w->woken(w, hint);
    }
}

/* Who waits looks again soon anyway. */
static void on_gap(struct shared_listener *l)
{
    (void)l;
}

/* ---- life ---- */

static bool name_channel(struct share *s, struct weir_err *err)
{
    uint64_t id;
    int n;

    if (getrandom(&id, sizeof id, 0) != sizeof id)
        return weir_fail(err, WEIR_E_INTERNAL, "share: random", 0);
    n = snprintf(s->channel, sizeof s->channel, "w1:{N%016llx}:w", (unsigned long long)id);
    s->channel_len = (size_t)n;
    return true;
}

bool share_open(struct exchange_worker *w, struct weir_err *err)
{
    struct share *s;

    if (w->store == NULL)
        return true;
    s = weir_calloc(1, sizeof *s);
    if (s == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "share: open", 0);
    s->w = w;
    s->port = w->shared;
    s->store = w->store;
    s->names = w->names;
    s->listener.on_hint = on_hint;
    s->listener.on_gap = on_gap;
    if (!name_channel(s, err) || !shared_listen(s->port, &s->listener, SHARED_CACHE,
                                                weir_span(s->channel, s->channel_len), err)) {
        weir_free(s);
        return false;
    }
    s->listening = true;
    w->share = s;
    return true;
}

void share_cancel_all(struct exchange_worker *w)
{
    if (w->share != NULL)
        while (w->share->leads != NULL)
            share_lead_cancel(w->share->leads);
}

void share_close(struct exchange_worker *w)
{
    struct share *s = w->share;

    if (s == NULL)
        return;
    share_cancel_all(w);
    if (s->listening)
        shared_unlisten(s->port, &s->listener);
    w->share = NULL;
    weir_free(s);
}
