#include "origin_h1.h"

#include <errno.h>
#include <sys/uio.h>

#include "origin_pool.h"

#define PARTS_MAX (NET_PIPE_SLOTS + 3)

static const struct upstream_settings *settings_of(const struct origin_h1 *c)
{
    return c->fetch->up->settings;
}

static void want_write(struct origin_h1 *c, bool on)
{
    if (c->want_write == on)
        return;
    c->want_write = on;
    if (on)
        event_add(&c->writable, NULL);
    else
        event_del(&c->writable);
}

/* The origin takes no more now. */
static void wait_for_room(struct origin_h1 *c)
{
    want_write(c, true);
    if (!c->paused)
        origin_h1_expect(c, settings_of(c)->write_timeout_ms);
}

/* The request is out, or the origin takes no more of it: from now on its time to answer runs. */
static void request_sent(struct origin_h1 *c)
{
    c->request_done = true;
    want_write(c, false);
    if (!c->head_done)
        origin_h1_expect(c, settings_of(c)->first_byte_timeout_ms);
    else if (!c->paused) /* it began to answer early: what is still to come has its time, too */
        origin_h1_expect(c, settings_of(c)->read_timeout_ms);
}

static bool chunk_is_out(const struct origin_h1 *c)
{
    return c->frame_len == 0 && c->chunk_left == 0 && c->tail_left == 0;
}

/* Prepares the next chunk when the last one is through: all that the pipe holds, or the last-chunk.
 */
static void frame_next_chunk(struct origin_h1 *c, const struct net_pipe *body)
{
    if (!chunk_is_out(c) || c->end_framed || (body->bytes == 0 && !body->ended))
        return;
    c->chunk_left = body->bytes;
    c->frame_at = 0;
    c->frame_len = (uint8_t)http_chunk_header(c->frame, body->bytes);
    c->tail = "\r\n";
    c->tail_left = 2;
    c->end_framed = body->bytes == 0;
    if (c->end_framed && body->trailers != NULL) {
        c->tail = body->trailers->bytes;
        c->tail_left = body->trailers->len;
    }
}

static unsigned gather(struct origin_h1 *c, struct iovec *iov)
{
    struct origin_request *r = &c->fetch->request;
    struct weir_slice part[NET_PIPE_SLOTS];
    uint64_t room = UINT64_MAX;
    unsigned n = 0, parts;

    if (c->head_sent < r->head.len)
        iov[n++] = (struct iovec){(void *)(uintptr_t)(r->head.ptr + c->head_sent),
                                  r->head.len - c->head_sent};
    if (r->body == NULL)
        return n;
    if (r->body_chunked) {
        frame_next_chunk(c, r->body);
        if (c->frame_len > c->frame_at)
            iov[n++] = (struct iovec){c->frame + c->frame_at, c->frame_len - c->frame_at};
        room = c->chunk_left;
    }
    parts = net_pipe_peek(r->body, part, NET_PIPE_SLOTS);
    for (unsigned i = 0; i < parts && room > 0; i++) {
        size_t len = part[i].len < room ? part[i].len : (size_t)room;

        iov[n++] = (struct iovec){(void *)(uintptr_t)weir_slice_ptr(part[i]), len};
        room -= len;
    }
    if (r->body_chunked && room == 0 && c->tail_left > 0)
        iov[n++] = (struct iovec){(void *)(uintptr_t)c->tail, c->tail_left};
    return n;
}

static size_t at_most(size_t n, uint64_t limit)
{
    return n < limit ? n : (size_t)limit;
}

/* n bytes went out: head first, then framing, content, tail. */
static void account(struct origin_h1 *c, size_t n)
{
    struct origin_request *r = &c->fetch->request;
    size_t part = at_most(n, r->head.len - c->head_sent);
    size_t content;

    c->sent_any = true;
    c->head_sent += (uint32_t)part;
    n -= part;
    if (r->body == NULL || n == 0)
        return;
    part = at_most(n, (uint64_t)(c->frame_len - c->frame_at));
    c->frame_at += (uint8_t)part;
    n -= part;
    if (c->frame_at == c->frame_len)
        c->frame_at = c->frame_len = 0;
    content = r->body_chunked ? at_most(n, c->chunk_left) : n;
    n -= content;
    if (r->body_chunked)
        c->chunk_left -= content;
    c->tail += n;
    c->tail_left -= (uint32_t)n;
    if (content > 0)
        net_pipe_took(r->body, content); /* may make the client's side read on */
}

bool origin_h1_all_sent(const struct origin_h1 *c)
{
    const struct origin_request *r = &c->fetch->request;

    if (c->head_sent < r->head.len)
        return false;
    if (r->body == NULL)
        return true;
    if (r->body_chunked)
        return c->end_framed && chunk_is_out(c);
    return r->body->ended && r->body->bytes == 0;
}

static bool has_to_send(const struct origin_h1 *c)
{
    const struct origin_request *r = &c->fetch->request;

    if (c->head_sent < r->head.len)
        return true;
    if (r->body == NULL)
        return false;
    return r->body->bytes > 0 ||
           (r->body_chunked && (!chunk_is_out(c) || (r->body->ended && !c->end_framed)));
}

/* Writes as much of the request as the origin takes. */
static void push_request(struct origin_h1 *c)
{
    struct net_pipe *body = c->fetch->request.body;

    if (body != NULL && body->failed) { /* never complete what the client did not (security 2) */
        struct weir_err err = {.code = body->failed, .where = "origin: request content"};

        origin_h1_fail(c, &err);
        return;
    }
    while (!c->closed && !c->request_done && has_to_send(c)) {
        struct iovec iov[PARTS_MAX];
        unsigned parts = gather(c, iov);
        ssize_t n = net_chan_send(&c->chan, iov, parts);

        if (n >= 0) {
            account(c, (size_t)n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_for_room(c);
            return;
        } else if (errno != EINTR) {
            /* The origin may have answered (413, 401 ...) before it stopped reading: that is read
             * first, or else its end. Not from here: no event may come from inside
             * origin_fetch_start(). */
            request_sent(c);
            return;
        }
    }
    if (c->closed || c->request_done)
        return;
    if (net_chan_unsent(&c->chan)) {
        wait_for_room(c);
        return;
    }
    want_write(c, false);
    if (origin_h1_all_sent(c))
        request_sent(c);
    else if (body != NULL)
        net_timer_park(&c->timer); /* the client is to give more: his time-outs rule */
}

static void on_body_data(void *arg)
{
    struct origin_h1 *c = arg;

    if (!c->closed && c->fetch != NULL && !c->want_write && !c->request_done)
        push_request(c);
    else if (!c->closed && c->fetch != NULL && c->fetch->request.body->failed)
        push_request(c);
}

void origin_h1_send_reset(struct origin_h1 *c)
{
    c->head_sent = 0;
    c->sent_any = c->request_done = false;
    c->chunk_left = 0;
    c->end_framed = false;
    c->frame_at = c->frame_len = 0;
    c->tail = "";
    c->tail_left = 0;
}

void origin_h1_send_start(struct origin_h1 *c)
{
    struct net_pipe *body = c->fetch->request.body;

    if (body != NULL) {
        body->on_data = on_body_data;
        body->consumer = c;
    }
    push_request(c);
    if (!c->closed && body != NULL && c->fetch != NULL && c->fetch->request.body == body)
        net_pipe_want(body);
}

void origin_h1_send_more(struct origin_h1 *c)
{
    int flushed = net_chan_flush(&c->chan);

    if (flushed > 0)
        push_request(c);
    else if (flushed == 0)
        wait_for_room(c);
    else
        request_sent(c); /* as in push_request() */
}
