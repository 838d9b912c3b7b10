#include "embedded_hints.h"

#include <event2/event.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "shared_engine.h"

struct embedded_channel {
    struct embedded_channel *next, **at; /* of its bucket */
    struct embedded_tap *taps;
    enum shared_area area;
    size_t len;
    char name[];
};

/* A channel, as one port listens to it. */
struct embedded_tap {
    atomic_uint refs;                /* one for each ear, one for each hint on its way */
    struct embedded_tap *next, **at; /* of the channel; at == NULL: off */
    struct embedded_tap *port_next, **port_at;
    struct embedded_channel *channel;
    struct embedded_ears *ears;
    size_t ear_count;
    bool missed; /* under the channels' lock: a hint could not be delivered */
};

/* One listener. */
struct embedded_ear {
    struct embedded_ear *next, **at; /* of the port */
    struct embedded_tap *tap;
    struct shared_listener *listener;
    bool gap; /* is to be told of a gap */
};

/* A hint on its way to a port. */
struct heard {
    struct weir_mail mail;
    struct heard *next;
    struct embedded_tap *tap;
    size_t len;
    char bytes[];
};

static void tap_unref(struct embedded_tap *t)
{
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        weir_free(t);
}

/* ---- channels; all under their lock ---- */

void embedded_channels_init(struct embedded_channels *channels)
{
    *channels = (struct embedded_channels){.buckets = {NULL}};
    pthread_mutex_init(&channels->lock, NULL);
}

void embedded_channels_close(struct embedded_channels *channels)
{
    pthread_mutex_destroy(&channels->lock);
}

static struct embedded_channel **bucket_of(struct embedded_channels *channels,
                                           struct weir_span name)
{
    uint32_t hash = 2166136261U; /* FNV-1a: channels are few, and named by weir itself */
    size_t i;

    for (i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.ptr[i]) * 16777619U;
    return &channels->buckets[hash % EMBEDDED_CHANNEL_BUCKETS];
}

static struct embedded_channel *find_channel(struct embedded_channels *channels,
                                             enum shared_area area, struct weir_span name)
{
    struct embedded_channel *ch = *bucket_of(channels, name);

    while (ch != NULL && !(ch->area == area && weir_span_eq(weir_span(ch->name, ch->len), name)))
        ch = ch->next;
    return ch;
}

static struct embedded_channel *open_channel(struct embedded_channels *channels,
                                             enum shared_area area, struct weir_span name)
{
    struct embedded_channel *ch = find_channel(channels, area, name), **bucket;

    if (ch != NULL)
        return ch;
    ch = weir_malloc(sizeof(*ch) + name.len);
    if (ch == NULL)
        return NULL;
    bucket = bucket_of(channels, name);
    *ch = (struct embedded_channel){.next = *bucket, .at = bucket, .area = area, .len = name.len};
    memcpy(ch->name, name.ptr, name.len);
    if (ch->next != NULL)
        ch->next->at = &ch->next;
    *bucket = ch;
    return ch;
}

static void close_channel_if_unheard(struct embedded_channel *ch)
{
    if (ch->taps != NULL)
        return;
    *ch->at = ch->next;
    if (ch->next != NULL)
        ch->next->at = ch->at;
    weir_free(ch);
}

static void tap_on(struct embedded_tap *t, struct embedded_channel *ch)
{
    t->channel = ch;
    t->at = &ch->taps;
    t->next = ch->taps;
    if (t->next != NULL)
        t->next->at = &t->next;
    ch->taps = t;
}

static void tap_off(struct embedded_tap *t)
{
    *t->at = t->next;
    if (t->next != NULL)
        t->next->at = t->at;
    t->at = NULL;
    close_channel_if_unheard(t->channel);
    t->channel = NULL;
}

/* ---- saying ---- */

static void post_gap(struct embedded_ears *e)
{
    if (e->gap_posted)
        return;
    e->gap_posted = true;
    weir_mailbox_post(&e->box, &e->gap_mail);
}

static void on_heard(struct weir_mail *mail);

static struct heard *heard_new(struct embedded_tap *t, struct weir_span bytes)
{
    struct heard *h;

    if (atomic_load_explicit(&t->ears->waiting, memory_order_relaxed) >= EMBEDDED_WAITING_MAX)
        return NULL;
    h = weir_malloc(sizeof(*h) + bytes.len);
    if (h == NULL)
        return NULL;
    *h = (struct heard){.mail = {.run = on_heard}, .tap = t, .len = bytes.len};
    if (bytes.len > 0)
        memcpy(h->bytes, bytes.ptr, bytes.len);
    return h;
}

static void tell_tap(struct embedded_tap *t, struct weir_span bytes)
{
    struct heard *h = heard_new(t, bytes);

    if (h == NULL) {
        t->missed = true;
        post_gap(t->ears);
        return;
    }
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->ears->waiting, 1, memory_order_relaxed);
    weir_mailbox_post(&t->ears->box, &h->mail);
}

void embedded_say(struct embedded_channels *channels, enum shared_area area,
                  struct weir_span channel, struct weir_span bytes)
{
    struct embedded_channel *ch;
    struct embedded_tap *t;

    pthread_mutex_lock(&channels->lock);
    ch = find_channel(channels, area, channel);
    for (t = ch != NULL ? ch->taps : NULL; t != NULL; t = t->next)
        tell_tap(t, bytes);
    pthread_mutex_unlock(&channels->lock);
}

/* ---- hearing, on the port's thread ---- */

/* The mailbox must not be left by a listener's function (which may free the port), so mails are
 * only gathered while it is drained. */
static void on_heard(struct weir_mail *mail)
{
    struct heard *h = WEIR_CONTAINER(mail, struct heard, mail);
    struct embedded_ears *e = h->tap->ears;

    h->next = NULL;
    *e->last_heard = h;
    e->last_heard = &h->next;
}

static void on_gap_mail(struct weir_mail *mail)
{
    WEIR_CONTAINER(mail, struct embedded_ears, gap_mail)->look_for_gaps = true;
}

static struct heard *take_heard(struct embedded_ears *e)
{
    struct heard *h = e->heard;

    if (h == NULL)
        return NULL;
    e->heard = h->next;
    if (e->heard == NULL)
        e->last_heard = &e->heard;
    atomic_fetch_sub_explicit(&e->waiting, 1, memory_order_relaxed);
    return h;
}

static void heard_free(struct heard *h)
{
    tap_unref(h->tap);
    weir_free(h);
}

/* The next ear at or after the cursor, which moves behind it. */
static struct embedded_ear *next_ear(struct embedded_ears *e)
{
    struct embedded_ear *ear = e->cursor;

    if (ear != NULL)
        e->cursor = ear->next;
    return ear;
}

static void tell_hint(struct embedded_ears *e, const struct heard *h, const bool *gone)
{
    struct embedded_ear *ear;

    e->cursor = e->ears;
    while (!*gone && (ear = next_ear(e)) != NULL)
        if (ear->tap == h->tap)
            ear->listener->on_hint(ear->listener, weir_span(h->bytes, h->len));
}

static void collect_missed(struct embedded_ears *e)
{
    struct embedded_ear *ear;
    struct embedded_tap *t;

    e->look_for_gaps = false;
    pthread_mutex_lock(&e->channels->lock);
    e->gap_posted = false;
    for (ear = e->ears; ear != NULL; ear = ear->next)
        ear->gap = ear->gap || ear->tap->missed;
    for (t = e->taps; t != NULL; t = t->port_next)
        t->missed = false;
    pthread_mutex_unlock(&e->channels->lock);
}

static void tell_gaps(struct embedded_ears *e, const bool *gone)
{
    struct embedded_ear *ear;

    if (!e->look_for_gaps)
        return;
    collect_missed(e);
    e->cursor = e->ears;
    while (!*gone && (ear = next_ear(e)) != NULL)
        if (ear->gap) {
            ear->gap = false;
            ear->listener->on_gap(ear->listener);
        }
}

static void on_box(evutil_socket_t fd, short what, void *arg)
{
    struct embedded_ears *e = arg;
    struct heard *h;
    bool gone;

    (void)fd;
    (void)what;
    shared_visit(e->port, &gone);
    weir_mailbox_drain(&e->box);
    tell_gaps(e, &gone);
    while (!gone && (h = take_heard(e)) != NULL) {
        tell_hint(e, h, &gone);
        heard_free(h);
    }
    if (!gone)
        shared_visit_end(e->port);
}

/* ---- listening ---- */

static struct embedded_tap *find_tap(const struct embedded_ears *e, enum shared_area area,
                                     struct weir_span name)
{
    struct embedded_tap *t = e->taps;

    /* A channel's name does not change while a tap is on, so that it is read without the lock. */
    while (t != NULL && !(t->channel->area == area &&
                          weir_span_eq(weir_span(t->channel->name, t->channel->len), name)))
        t = t->port_next;
    return t;
}

static struct embedded_tap *tap_new(struct embedded_ears *e, enum shared_area area,
                                    struct weir_span name)
{
    struct embedded_tap *t = weir_calloc(1, sizeof(*t));
    struct embedded_channel *ch;

    if (t == NULL)
        return NULL;
    t->ears = e;
    atomic_init(&t->refs, 0);
    pthread_mutex_lock(&e->channels->lock);
    ch = open_channel(e->channels, area, name);
    if (ch != NULL)
        tap_on(t, ch);
    pthread_mutex_unlock(&e->channels->lock);
    if (ch == NULL) {
        weir_free(t);
        return NULL;
    }
    t->port_at = &e->taps;
    t->port_next = e->taps;
    if (t->port_next != NULL)
        t->port_next->port_at = &t->port_next;
    e->taps = t;
    return t;
}

bool embedded_listen(struct embedded_ears *e, struct shared_listener *l, enum shared_area area,
                     struct weir_span channel, struct weir_err *err)
{
    struct embedded_tap *t = find_tap(e, area, channel);
    struct embedded_ear *ear = weir_calloc(1, sizeof(*ear));

    if (ear != NULL && t == NULL)
        t = tap_new(e, area, channel);
    if (ear == NULL || t == NULL) {
        weir_free(ear);
        return weir_fail(err, WEIR_E_MEMORY, "shared: listen", 0);
    }
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    t->ear_count++;
    *ear = (struct embedded_ear){
        .next = e->ears, .at = &e->ears, .tap = t, .listener = l, .gap = true};
    if (ear->next != NULL)
        ear->next->at = &ear->next;
    e->ears = ear;
    l->subscription = ear;
    pthread_mutex_lock(&e->channels->lock);
    post_gap(e);
    pthread_mutex_unlock(&e->channels->lock);
    return true;
}

static void tap_close(struct embedded_ears *e, struct embedded_tap *t)
{
    *t->port_at = t->port_next;
    if (t->port_next != NULL)
        t->port_next->port_at = t->port_at;
    pthread_mutex_lock(&e->channels->lock);
    tap_off(t);
    pthread_mutex_unlock(&e->channels->lock);
}

static void ear_free(struct embedded_ears *e, struct embedded_ear *ear)
{
    ear->listener->subscription = NULL;
    if (e->cursor == ear)
        e->cursor = ear->next;
    *ear->at = ear->next;
    if (ear->next != NULL)
        ear->next->at = ear->at;
    if (--ear->tap->ear_count == 0)
        tap_close(e, ear->tap);
    tap_unref(ear->tap);
    weir_free(ear);
}

void embedded_unlisten(struct embedded_ears *e, struct shared_listener *l)
{
    ear_free(e, l->subscription);
}

/* ---- the port ---- */

bool embedded_ears_init(struct embedded_ears *e, struct shared_port *port,
                        struct embedded_channels *channels, struct weir_err *err)
{
    *e = (struct embedded_ears){.port = port, .channels = channels};
    e->last_heard = &e->heard;
    e->gap_mail.run = on_gap_mail;
    if (!weir_mailbox_init(&e->box, err))
        return false;
    e->box_event = event_new(port->loop.base, e->box.fd, EV_READ | EV_PERSIST, on_box, e);
    if (e->box_event != NULL && event_add(e->box_event, NULL) == 0)
        return true;
    embedded_ears_close(e);
    return weir_fail(err, WEIR_E_MEMORY, "shared: port", 0);
}

void embedded_ears_close(struct embedded_ears *e)
{
    struct heard *h;

    for (struct embedded_ear *ear = e->ears, *next; ear != NULL; ear = next) {
        next = ear->next;
        ear_free(e, ear);
    }
    /* From here on nobody posts. */
    weir_mailbox_drain(&e->box);
    while ((h = take_heard(e)) != NULL)
        heard_free(h);
    if (e->box_event != NULL)
        event_free(e->box_event);
    weir_mailbox_close(&e->box);
}
