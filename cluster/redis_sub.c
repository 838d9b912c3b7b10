#include "redis_sub.h"

#include "redis_reply.h"
#include "redis_says.h"
#include "redis_voice.h"
#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"

#define NAME_MAX_BYTES 512
#define RETRY_MS       50
#define RETRY_MOST_MS  5000

/*
 * One channel, whoever listens to it.
 *
 *     LOST --settle(): the owner is known, the wait is over--> ASKED --confirmed--> LIVE
 *     ASKED --refused--> LOST, after a wait          LIVE --ended by the node--> LOST
 *     ASKED, LIVE --connection lost, owner changed--> LOST
 */
enum topic_state { TOPIC_LOST, TOPIC_ASKED, TOPIC_LIVE };

struct redis_topic {
    struct redis_topic *next;
    struct redis_sub *sub;
    struct redis_channel *channels;
    enum topic_state state;
    struct link *link; /* ASKED, LIVE: where */
    int64_t retry_ms;  /* LOST: not before */
    uint32_t wait_ms;
    uint16_t slot;
    size_t len;
    char name[];
};

/*
 * What an answer is awaited for, in the order of the commands. Each gets one, a confirmation or an
 * error; an error does not say for what it is. SUNSUBSCRIBE may be answered by MOVED, and a node
 * may end a subscription by itself just then: so confirmations are matched by name as well.
 */
struct awaited {
    struct awaited *next;
    struct redis_topic *topic; /* NULL: an SSUBSCRIBE that nobody waits for, or any SUNSUBSCRIBE */
    bool leaving;              /* SUNSUBSCRIBE */
    size_t len;
    char name[];
};

/* One node that is listened to. Lives as long as its connection. */
struct link {
    struct link *next;
    struct redis_sub *sub;
    struct redis_address address;
    struct redis_conn *conn;
    struct awaited *first, **last;
};

struct redis_sub {
    struct redis_cluster *cluster;
    struct redis_loop *loop;
    struct redis_topic *topics;
    struct link *links;
    struct redis_watch watch;
    struct redis_later settle;
    struct redis_timer timer;
    uint64_t serial; /* of messages */
    bool calling;    /* a frame that calls back is on the stack ... */
    bool dying;      /* ... and frees what is left, for redis_sub_free() was called in it */
    uint64_t messages, subscriptions, lost, errors;
};

static void on_down(struct redis_conn *conn, enum redis_fault fault, const char *why, void *arg);
static void on_push(struct redis_conn *conn, struct redis_reply *reply, void *arg);

static const struct redis_conn_events link_events = {.down = on_down, .push = on_push};

/* ---- links ---- */

static struct link *link_at(struct redis_sub *s, const struct redis_address *address)
{
    const struct redis_cluster_settings *settings = redis_cluster_settings(s->cluster);
    struct redis_endpoint to = {.host = address->host,
                                .port = address->port,
                                .subscriber = true,
                                .settings = settings->conn,
                                .tls = settings->tls};
    struct link *l = s->links;

    while (l != NULL && !redis_address_eq(&l->address, address))
        l = l->next;
    if (l != NULL)
        return l;
    l = weir_calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    l->sub = s;
    l->address = *address;
    l->last = &l->first;
    l->conn = redis_conn_new(s->loop, &to, &link_events, l);
    if (l->conn == NULL) {
        weir_free(l);
        return NULL;
    }
    l->next = s->links;
    s->links = l;
    return l;
}

static void link_free(struct link *l)
{
    struct link **at = &l->sub->links;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    while (l->first != NULL) {
        struct awaited *a = l->first;

        l->first = a->next;
        weir_free(a);
    }
    redis_conn_free(l->conn);
    weir_free(l);
}

static bool in_use(const struct link *l)
{
    for (const struct redis_topic *t = l->sub->topics; t != NULL; t = t->next)
        if (t->link == l)
            return true;
    return false;
}

static bool say(struct link *l, const char *word, struct redis_topic *t)
{
    const struct redis_arg argv[] = {redis_arg_str(word), redis_arg(weir_span(t->name, t->len))};
    bool leaving = word[1] == 'U';
    struct awaited *a = weir_calloc(1, sizeof(*a) + t->len);

    if (a == NULL)
        return false;
    if (redis_conn_send(l->conn, argv, 2) != REDIS_FAULT_NONE) {
        weir_free(a);
        return false;
    }
    a->topic = leaving ? NULL : t;
    a->leaving = leaving;
    a->len = t->len;
    memcpy(a->name, t->name, t->len);
    *l->last = a;
    l->last = &a->next;
    return true;
}

/* The oldest that is awaited has been answered. */
static struct redis_topic *answered(struct link *l)
{
    struct awaited *a = l->first;
    struct redis_topic *t;

    if (a == NULL)
        return NULL;
    t = a->topic;
    l->first = a->next;
    if (l->first == NULL)
        l->last = &l->first;
    weir_free(a);
    return t;
}

static bool is_for(const struct awaited *a, bool leaving, struct weir_span name)
{
    return a != NULL && a->leaving == leaving && weir_span_eq(weir_span(a->name, a->len), name);
}

/* ---- topics ---- */

static void settle_soon(struct redis_sub *s)
{
    redis_later(s->loop, &s->settle);
}

/* Nobody waits for the answer to its SSUBSCRIBE any more. */
static void forget_awaited(struct redis_topic *t)
{
    if (t->link == NULL)
        return;
    for (struct awaited *a = t->link->first; a != NULL; a = a->next)
        if (a->topic == t)
            a->topic = NULL;
}

static void lose(struct redis_topic *t)
{
    forget_awaited(t);
    t->state = TOPIC_LOST;
    t->link = NULL;
    settle_soon(t->sub);
}

/* Again, but not at once, and more slowly each time. */
static void lose_for_a_while(struct redis_topic *t)
{
    uint32_t spread = (uint32_t)redis_now_us() % (t->wait_ms / 2 + 1);

    t->retry_ms = redis_now_ms() + t->wait_ms * 3 / 4 + spread;
    t->wait_ms = t->wait_ms * 2 < RETRY_MOST_MS ? t->wait_ms * 2 : RETRY_MOST_MS;
    lose(t);
}

static void leave(struct redis_topic *t)
{
    struct link *l = t->link;

    lose(t);
    if (l != NULL)
        (void)say(l, "SUNSUBSCRIBE", t); /* unsaid, what comes is dropped */
}

static struct redis_topic *topic_at(struct redis_sub *s, struct weir_span name)
{
    for (struct redis_topic *t = s->topics; t != NULL; t = t->next)
        if (weir_span_eq(weir_span(t->name, t->len), name))
            return t;
    return NULL;
}

static struct redis_topic *topic_new(struct redis_sub *s, struct weir_span name)
{
    struct redis_topic *t = weir_calloc(1, sizeof(*t) + name.len);

    if (t == NULL)
        return NULL;
    t->sub = s;
    t->slot = redis_slot(name);
    t->wait_ms = RETRY_MS;
    t->len = name.len;
    memcpy(t->name, name.ptr, name.len);
    t->next = s->topics;
    s->topics = t;
    return t;
}

static void tell_gap(struct redis_topic *t)
{
    for (struct redis_channel *ch = t->channels; ch != NULL; ch = ch->next)
        ch->gap = true;
    settle_soon(t->sub);
}

/* ---- what a node says ---- */

static void complain(struct redis_sub *s, const struct link *l, const struct redis_reply *reply)
{
    struct redis_voice *voice = redis_cluster_settings(s->cluster)->voice;
    char address[REDIS_ADDRESS_TEXT];
    char text[256];

    s->errors++;
    if (!redis_voice_may_say(voice, REDIS_WORD_NO_LISTENING, &l->address, redis_now_ms()))
        return;
    weir_log(WEIR_LOG_WARN, "%s: %s refuses a subscription: %s", redis_voice_title(voice),
             redis_address_text(&l->address, address), redis_reply_str(reply, text, sizeof(text)));
}

/* The first MOVED is followed at once; who is sent on again waits, for nodes may disagree. */
static void on_moved(struct link *l, struct redis_topic *t, uint16_t slot,
                     const struct redis_address *to)
{
    if (!redis_address_eq(to, &l->address))
        redis_cluster_moved(l->sub->cluster, slot, to);
    if (t == NULL)
        return;
    if (t->wait_ms > RETRY_MS || redis_address_eq(to, &l->address)) {
        lose_for_a_while(t);
        return;
    }
    t->wait_ms *= 2;
    lose(t);
}

static void on_refusal(struct link *l, const struct redis_reply *reply)
{
    struct redis_topic *t = answered(l);
    struct redis_address to;
    uint16_t slot;

    if (redis_says(reply, &l->address, &slot, &to) == REDIS_SAYS_MOVED) {
        on_moved(l, t, slot, &to);
        return;
    }
    complain(l->sub, l, reply);
    redis_cluster_suspect(l->sub->cluster, &l->address);
    if (t != NULL)
        lose_for_a_while(t);
}

/* What stands before it in the line has lost its answer: it is asked for again. */
static void on_confirmed(struct link *l, struct weir_span name)
{
    struct awaited *a = l->first;
    struct redis_topic *t;

    while (a != NULL && !is_for(a, false, name))
        a = a->next;
    if (a == NULL)
        return; /* nobody asked for it */
    while (l->first != a) {
        t = answered(l);
        if (t != NULL)
            lose_for_a_while(t);
    }
    t = answered(l);
    if (t == NULL)
        return;
    t->state = TOPIC_LIVE;
    t->wait_ms = RETRY_MS;
    t->sub->subscriptions++;
    tell_gap(t);
}

/* The answer to ours, or the node ends it by itself: the slot is no longer its own. */
static void on_ended(struct link *l, struct weir_span name)
{
    struct redis_topic *t = topic_at(l->sub, name);

    if (t != NULL && t->link == l && t->state == TOPIC_LIVE) {
        l->sub->lost++;
        redis_cluster_suspect(l->sub->cluster, &l->address);
        lose_for_a_while(t);
        return;
    }
    if (is_for(l->first, true, name))
        (void)answered(l);
}

static struct redis_channel *not_yet_told(struct redis_topic *t, uint64_t serial)
{
    for (struct redis_channel *ch = t->channels; ch != NULL; ch = ch->next)
        if (ch->heard != serial)
            return ch;
    return NULL;
}

static void end_calling(struct redis_sub *s)
{
    s->calling = false;
    if (s->dying)
        weir_free(s);
}

/* Topics are freed by settle() alone, so t stays where it is whatever a listener does, unless it
 * frees all. */
static void on_message(struct redis_sub *s, struct redis_topic *t, struct weir_span bytes)
{
    uint64_t serial = ++s->serial;
    struct redis_channel *ch;

    s->messages++;
    s->calling = true;
    while (!s->dying && (ch = not_yet_told(t, serial)) != NULL) {
        ch->heard = serial;
        ch->on_message(ch, bytes);
    }
    end_calling(s);
}

static void on_push(struct redis_conn *conn, struct redis_reply *reply, void *arg)
{
    struct link *l = arg;
    struct weir_span word, name = WEIR_SPAN_NONE, bytes;
    struct redis_topic *t;

    (void)conn;
    if (redis_reply_is_error(reply, NULL)) {
        on_refusal(l, reply);
        return;
    }
    if (!redis_reply_text(redis_reply_at(reply, 0), &word))
        return;
    (void)redis_reply_text(redis_reply_at(reply, 1), &name);
    if (weir_span_eq(word, WEIR_SPAN_LIT("ssubscribe")))
        on_confirmed(l, name);
    else if (weir_span_eq(word, WEIR_SPAN_LIT("sunsubscribe")))
        on_ended(l, name);
    else if (weir_span_eq(word, WEIR_SPAN_LIT("smessage")) &&
             redis_reply_text(redis_reply_at(reply, 2), &bytes) &&
             (t = topic_at(l->sub, name)) != NULL)
        on_message(l->sub, t, bytes);
}

static void on_down(struct redis_conn *conn, enum redis_fault fault, const char *why, void *arg)
{
    struct link *l = arg;
    struct redis_sub *s = l->sub;
    struct redis_voice *voice = redis_cluster_settings(s->cluster)->voice;
    char text[REDIS_ADDRESS_TEXT];

    (void)conn;
    if (redis_voice_may_say(voice, REDIS_WORD_LISTENER_ENDED, &l->address, redis_now_ms()))
        weir_log(WEIR_LOG_INFO, "%s: subscriber at %s ended: %s", redis_voice_title(voice),
                 redis_address_text(&l->address, text),
                 why != NULL ? why : redis_fault_name(fault));
    s->lost++;
    redis_cluster_suspect(s->cluster, &l->address);
    for (struct redis_topic *t = s->topics; t != NULL; t = t->next)
        if (t->link == l)
            lose_for_a_while(t);
    link_free(l);
}

/* ---- settling: everything is brought to where it belongs, at the end of a turn ---- */

static void drop_unheard(struct redis_sub *s)
{
    for (struct redis_topic **at = &s->topics; *at != NULL;) {
        struct redis_topic *t = *at;

        if (t->channels != NULL) {
            at = &t->next;
            continue;
        }
        leave(t);
        *at = t->next;
        weir_free(t);
    }
}

static void place(struct redis_sub *s, struct redis_topic *t, int64_t now, int64_t *wake_ms)
{
    struct redis_address owner;
    bool known = redis_cluster_owner(s->cluster, t->slot, &owner);

    if (!known)
        return; /* where it was, until there is a map: then we are told */
    if (t->link != NULL && !redis_address_eq(&t->link->address, &owner))
        leave(t);
    if (t->link != NULL)
        return;
    if (now < t->retry_ms) {
        *wake_ms = t->retry_ms < *wake_ms ? t->retry_ms : *wake_ms;
        return;
    }
    t->link = link_at(s, &owner);
    t->state = TOPIC_ASKED;
    if (t->link != NULL && say(t->link, "SSUBSCRIBE", t))
        return;
    lose_for_a_while(t);
    *wake_ms = t->retry_ms < *wake_ms ? t->retry_ms : *wake_ms;
}

static void close_unused(struct redis_sub *s)
{
    struct link *next;

    for (struct link *l = s->links; l != NULL; l = next) {
        next = l->next;
        if (!in_use(l))
            link_free(l);
    }
}

static struct redis_channel *with_gap(struct redis_sub *s)
{
    for (struct redis_topic *t = s->topics; t != NULL; t = t->next)
        for (struct redis_channel *ch = t->channels; ch != NULL; ch = ch->next)
            if (ch->gap)
                return ch;
    return NULL;
}

static void tell_gaps(struct redis_sub *s)
{
    struct redis_channel *ch;

    s->calling = true;
    while (!s->dying && (ch = with_gap(s)) != NULL) {
        ch->gap = false;
        ch->on_gap(ch);
    }
    end_calling(s);
}

static void settle(struct redis_later *later)
{
    struct redis_sub *s = WEIR_CONTAINER(later, struct redis_sub, settle);
    int64_t now = redis_now_ms();
    int64_t wake_ms = INT64_MAX;

    drop_unheard(s);
    for (struct redis_topic *t = s->topics; t != NULL; t = t->next)
        place(s, t, now, &wake_ms);
    close_unused(s);
    if (wake_ms != INT64_MAX)
        redis_timer_start(s->loop, &s->timer, wake_ms);
    tell_gaps(s); /* the last thing: s may be gone after it */
}

static void on_timer(struct redis_timer *t)
{
    settle_soon(WEIR_CONTAINER(t, struct redis_sub, timer));
}

static void on_changed(struct redis_watch *w)
{
    struct redis_sub *s = WEIR_CONTAINER(w, struct redis_sub, watch);

    settle_soon(s);
}

/* ---- the door ---- */

struct redis_sub *redis_sub_new(struct redis_cluster *c, struct weir_err *err)
{
    struct redis_sub *s = weir_calloc(1, sizeof(*s));

    if (s == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "redis: subscriber", 0);
        return NULL;
    }
    s->cluster = c;
    s->loop = redis_cluster_loop(c);
    s->watch.changed = on_changed;
    s->settle.run = settle;
    s->timer.fire = on_timer;
    redis_cluster_watch(c, &s->watch);
    return s;
}

void redis_sub_free(struct redis_sub *s)
{
    if (s == NULL)
        return;
    redis_cluster_unwatch(&s->watch);
    redis_later_cancel(s->loop, &s->settle);
    redis_timer_stop(&s->timer);
    for (struct link *l = s->links, *next; l != NULL; l = next) {
        next = l->next;
        link_free(l);
    }
    while (s->topics != NULL) {
        struct redis_topic *t = s->topics;

        while (t->channels != NULL)
            redis_sub_remove(t->channels);
        redis_later_cancel(s->loop, &s->settle); /* what removing put off */
        s->topics = t->next;
        weir_free(t);
    }
    s->dying = true;
    if (!s->calling)
        weir_free(s);
}

bool redis_sub_add(struct redis_sub *s, struct redis_channel *ch, struct weir_span name,
                   struct weir_err *err)
{
    struct redis_topic *t = NULL;

    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return weir_fail(err, WEIR_E_INTERNAL, "redis: name of a channel", 0);
    t = topic_at(s, name);
    if (t == NULL)
        t = topic_new(s, name);
    if (t == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "redis: channel", 0);
    ch->topic = t;
    ch->heard = s->serial;
    ch->gap = t->state == TOPIC_LIVE; /* else it is told with the others */
    ch->next = t->channels;
    ch->at = &t->channels;
    if (ch->next != NULL)
        ch->next->at = &ch->next;
    t->channels = ch;
    settle_soon(s);
    return true;
}

void redis_sub_remove(struct redis_channel *ch)
{
    if (ch->topic == NULL)
        return;
    *ch->at = ch->next;
    if (ch->next != NULL)
        ch->next->at = ch->at;
    settle_soon(ch->topic->sub);
    ch->topic = NULL;
    ch->next = NULL;
    ch->at = NULL;
    ch->gap = false;
}

bool redis_channel_live(const struct redis_channel *ch)
{
    return ch->topic != NULL && ch->topic->state == TOPIC_LIVE;
}

void redis_sub_stats(const struct redis_sub *s, struct redis_sub_stats *out)
{
    *out = (struct redis_sub_stats){.messages = s->messages,
                                    .subscriptions = s->subscriptions,
                                    .lost = s->lost,
                                    .errors = s->errors};
    for (const struct redis_topic *t = s->topics; t != NULL; t = t->next) {
        out->topics++;
        out->live += t->state == TOPIC_LIVE;
    }
    for (const struct link *l = s->links; l != NULL; l = l->next)
        out->connections++;
}
