#include "h2_abuse.h"

/*
 * What nghttp2 tells. It calls from within nghttp2_session_mem_recv() and _mem_send(): what is
 * submitted here goes out with the turn, and nothing may be read, sent or freed.
 */

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static bool is_request(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static bool refuse(struct h2_conn *c, int32_t id)
{
    return nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM) ==
           0;
}

/* Streams whose client has reset them count like those that are open until the end of the turn, and
 * as long as they are fetched for the store: their work has been begun (security 3). */
static bool has_room(const struct h2_conn *c)
{
    return c->open + c->cut + c->owed.count < h2_conn_http2(c)->max_streams &&
           c->leaving != H2_LAST;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *c = arg;
    struct h2_stream *s;

    if (c->closed || c->failed || c->memory.failed)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!is_request(frame)) {
        s = stream_of(session, frame->hd.stream_id);
        if (s != NULL)
            h2_stream_begin_trailers(s);
        return 0;
    }
    s = has_room(c) ? h2_stream_new(c, frame->hd.stream_id) : NULL;
    if (s == NULL)
        return refuse(c, frame->hd.stream_id) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    struct h2_conn *c = arg;
    struct h2_stream *s = c->heading;

    (void)session;
    (void)frame;
    (void)flags;
    if (s != NULL)
        h2_stream_field(s, weir_span((const char *)name, name_len),
                        weir_span((const char *)value, value_len));
    return 0;
}

static void on_headers(struct h2_conn *c, const nghttp2_frame *frame)
{
    struct h2_stream *s = stream_of(c->session, frame->hd.stream_id);
    bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    c->heading = NULL;
    if (s != NULL)
        h2_abuse_block_end(c, s->head.bytes);
    if (s == NULL || s->closed || c->failed)
        return;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        h2_stream_start(s, ended);
    else
        h2_stream_end_trailers(s, ended);
}

static void on_data_end(struct h2_conn *c, const nghttp2_frame *frame)
{
    struct h2_stream *s = stream_of(c->session, frame->hd.stream_id);

    if (s == NULL || s->closed)
        return;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        h2_body_finish(s);
    if (s->has_pipe && !s->closed)
        net_pipe_flush(&s->pipe);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *c = arg;

    (void)session;
    if (c->closed || c->failed || c->memory.failed)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!h2_abuse_received(c, frame))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers(c, frame);
        break;
    case NGHTTP2_DATA:
        on_data_end(c, frame);
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && c->leaving == H2_LEAVING)
            h2_conn_last_word(c);
        break;
    default:
        break;
    }
    return c->memory.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t len, void *arg)
{
    struct h2_conn *c = arg;
    struct h2_stream *s = stream_of(session, id);

    (void)flags;
    if (c->closed || c->failed || c->memory.failed)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (s != NULL && !s->closed)
        h2_body_data(s, bytes, len);
    else
        nghttp2_session_consume(session, id, len);
    return 0;
}

/* An answer that came before the end of its request's content: the rest is not wanted, and the
 * answer stands (RFC 9113 8.1). */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_stream *s;

    h2_abuse_sent(arg, frame);
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    s = stream_of(session, frame->hd.stream_id);
    if (s == NULL)
        return 0;
    s->out_ended = true;
    if (!s->body_done && s->tunnel == NULL)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *arg)
{
    struct h2_conn *c = arg;
    struct h2_stream *s = stream_of(session, id);

    (void)error_code;
    if (s == NULL)
        return 0;
    if (c->heading == s)
        c->heading = NULL;
    h2_stream_closed(s);
    return 0;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
                     size_t len, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)frame; /* there is never padding: nobody asks for it */
    (void)arg;
    return h2_send_data(source->ptr, header, len);
}

nghttp2_session_callbacks *h2_frames_callbacks(void)
{
    nghttp2_session_callbacks *cb;

    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, h2_abuse_begin_frame);
    nghttp2_session_callbacks_set_unpack_extension_callback(cb, h2_abuse_skip);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
    return cb;
}
