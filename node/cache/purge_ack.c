#include "purge_feed_parts.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "weir/container.h"

#define ASK        "ack "
#define PURPOSE    "purge ack"
#define OWE_MS     2000 /* who still wants to know asks again before */
#define DIGITS_MAX 24
#define ACK_MAX    (WEIR_SEAL_BYTES + DIGITS_MAX + PURGE_NODE_MAX)
#define TIMEOUT_MS 500

static struct weir_span channel_of(const struct purge_feed *f)
{
    return weir_span_str(f->acks.channel);
}

/* ---- answering ---- */

static void on_told(struct shared_call *c)
{
    struct purge_feed *f = WEIR_CONTAINER(c, struct purge_feed, acks.tell);

    f->loop.enter(f->loop.arg);
    f->acks.telling = false;
    if (f->acks.tell_again)
        purge_ack_reached(f);
}

static void tell(struct purge_feed *f)
{
    struct purge_acks *a = &f->acks;
    char plain[DIGITS_MAX + PURGE_NODE_MAX], sealed[ACK_MAX];
    int n = snprintf(plain, sizeof plain, "%" PRIu64 " %s", f->reader.position, a->node);
    struct weir_span bytes = weir_span(plain, (size_t)n);

    a->tell_again = a->telling;
    if (a->telling || !weir_seal(&a->key, PURPOSE, channel_of(f), bytes, sealed))
        return;
    if (f->reader.position >= a->wanted)
        a->wanted = 0;
    a->telling = true;
    a->tell.done = on_told;
    a->tell.area = SHARED_STATE;
    a->tell.timeout_ms = TIMEOUT_MS;
    shared_hint(f->port, &a->tell, channel_of(f), weir_span(sealed, WEIR_SEAL_BYTES + bytes.len));
}

void purge_ack_reached(struct purge_feed *f)
{
    struct purge_acks *a = &f->acks;

    if (a->wanted == 0)
        return;
    if (feed_now_ms(f) > a->wanted_until_ms)
        a->wanted = 0;
    else if (f->known)
        tell(f);
}

bool purge_ack_is_asked(struct purge_feed *f, struct weir_span hint)
{
    struct weir_span ask = WEIR_SPAN_LIT(ASK);
    unsigned long long id;

    if (!weir_span_starts(hint, ask) || f->acks.node[0] == '\0' ||
        !weir_span_u64(weir_span(hint.ptr + ask.len, hint.len - ask.len), UINT64_MAX, &id))
        return false;
    if (id > f->acks.wanted)
        f->acks.wanted = id;
    f->acks.wanted_until_ms = feed_now_ms(f) + OWE_MS;
    if (!f->known || f->reader.position < id)
        return false; /* when it has been read */
    tell(f);
    return true;
}

/* ---- asking ---- */

static void on_asked(struct shared_call *c)
{
    struct purge_feed *f = WEIR_CONTAINER(c, struct purge_feed, acks.ask);

    f->loop.enter(f->loop.arg);
    f->acks.asking = false;
    if (f->acks.ask_next != 0)
        purge_ack_ask(f, f->acks.ask_next);
}

void purge_ack_ask(struct purge_feed *f, uint64_t id)
{
    struct purge_acks *a = &f->acks;
    char text[sizeof ASK + DIGITS_MAX];
    int n;

    if (a->asking) {
        a->ask_next = id > a->ask_next ? id : a->ask_next;
        return;
    }
    n = snprintf(text, sizeof text, ASK "%" PRIu64, id);
    a->asking = true;
    a->ask_next = 0;
    a->ask.done = on_asked;
    a->ask.area = SHARED_STATE;
    a->ask.timeout_ms = TIMEOUT_MS;
    shared_hint(f->port, &a->ask, f->log.channel, weir_span(text, (size_t)n));
}

/* ---- hearing ---- */

/* "<position> <node>": false if it is anything else. */
static bool read_ack(struct weir_span bytes, uint64_t *applied, struct weir_span *node)
{
    const char *space = bytes.len > 0 ? memchr(bytes.ptr, ' ', bytes.len) : NULL;
    unsigned long long n;

    if (space == NULL ||
        !weir_span_u64(weir_span(bytes.ptr, (size_t)(space - bytes.ptr)), UINT64_MAX, &n))
        return false;
    *applied = n;
    *node = weir_span(space + 1, bytes.len - (size_t)(space + 1 - bytes.ptr));
    return node->len > 0 && node->len < PURGE_NODE_MAX;
}

static void on_ack(struct shared_listener *l, struct weir_span sealed)
{
    struct purge_feed *f = WEIR_CONTAINER(l, struct purge_feed, acks.listener);
    struct purge_watch *w, *next;
    struct weir_span bytes, node;
    uint64_t applied;

    f->loop.enter(f->loop.arg);
    if (!weir_seal_open(&f->acks.key, PURPOSE, channel_of(f), sealed, &bytes) ||
        !read_ack(bytes, &applied, &node))
        return; /* a stranger's */
    for (w = f->acks.watches; w != NULL; w = next) {
        next = w->next;
        w->heard(w, node, applied);
    }
}

/* What was said before now may have been missed: they are asked again. */
static void on_gap(struct shared_listener *l)
{
    struct purge_feed *f = WEIR_CONTAINER(l, struct purge_feed, acks.listener);

    f->loop.enter(f->loop.arg);
    if (f->acks.watches != NULL)
        purge_ack_ask(f, f->reader.position);
}

/* Once somebody was asked for a receipt here, the channel is listened to for good: the next one
 * does not wait for a subscription. */
void purge_ack_watch(struct purge_feed *f, struct purge_watch *w)
{
    struct purge_acks *a = &f->acks;
    struct weir_err err = {0};

    w->next = a->watches;
    w->at = &a->watches;
    if (w->next != NULL)
        w->next->at = &w->next;
    a->watches = w;
    if (!a->listening && a->node[0] != '\0')
        a->listening = shared_listen(f->port, &a->listener, SHARED_STATE, channel_of(f), &err);
}

void purge_ack_unwatch(struct purge_watch *w)
{
    if (w->at == NULL)
        return;
    *w->at = w->next;
    if (w->next != NULL)
        w->next->at = w->at;
    w->at = NULL;
}

/* ---- life ---- */

bool purge_ack_start(struct purge_feed *f, const char *name)
{
    struct purge_acks *a = &f->acks;

    a->listener = (struct shared_listener){.on_hint = on_ack, .on_gap = on_gap};
    return snprintf(a->channel, sizeof a->channel, "w1:{P%s}:ack", name) < (int)sizeof a->channel;
}

void purge_feed_introduce(struct purge_feed *f, const struct weir_seal_key *key, const char *node)
{
    assert(strlen(node) < sizeof f->acks.node);
    f->acks.key = *key;
    strcpy(f->acks.node, node);
}

void purge_ack_stop(struct purge_feed *f)
{
    struct purge_acks *a = &f->acks;

    if (a->listening)
        shared_unlisten(f->port, &a->listener);
    if (a->telling)
        shared_cancel(f->port, &a->tell);
    if (a->asking)
        shared_cancel(f->port, &a->ask);
}
