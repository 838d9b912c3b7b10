#include "h2_abuse.h"

#include "net_scores.h"
#include "weir/log.h"

#define ACCOUNT_STEP 50   /* points that are gathered before the address is told */
#define LOG_PAUSE_MS 1000 /* between lines; what happens meanwhile is counted */

static const char client_text[] = "too much abuse from this address";

static const enum weir_metric metric_of[HTTP2_ABUSE_REASONS] = {
#define X(name, label, points, text) [HTTP2_ABUSE_##name] = WEIR_M_h2_abuse_##label,
#include "http2_abuse.def"
#undef X
};

static const struct http2_abuse_limits *limits_of(const struct h2_conn *c)
{
    return &h2_conn_http2(c)->abuse;
}

static int64_t now_of(const struct h2_conn *c)
{
    return net_now_ms(h2_loop(c));
}

/* An attack is many of them: one line a second. */
static void log_end(struct h2_conn *c, const char *why)
{
    struct h2_server *s = c->server;
    char peer[NET_TEXT_MAX];
    int64_t now = now_of(c);

    s->abuse_unlogged++;
    if (s->abuse_logged_ms != 0 && now < s->abuse_logged_ms + LOG_PAUSE_MS)
        return;
    net_peer_text(&c->net.peer, peer);
    weir_log(WEIR_LOG_WARN, "client %s: HTTP/2 connection ended: %s (%u ended since the last line)",
             peer, why, s->abuse_unlogged);
    s->abuse_logged_ms = now;
    s->abuse_unlogged = 0;
}

static void end(struct h2_conn *c, enum weir_metric metric, const char *why)
{
    if (c->failed || c->closed)
        return;
    weir_metric_add(c->server->w->metrics, metric, 1);
    log_end(c, why);
    h2_conn_fail(c, NGHTTP2_ENHANCE_YOUR_CALM, why);
}

/* What a connection has run up goes to the account of its address. */
static void tell_account(struct h2_conn *c)
{
    const struct h2_settings *h = h2_conn_http2(c);
    uint32_t points = http2_abuse_take(&c->abuse);
    struct net_scores *scores = c->server->clients->scores;
    uint32_t score;

    if (scores == NULL || points == 0)
        return;
    score = net_scores_add(scores, &c->net.peer, points, h->client_forgiven_s, now_of(c));
    if (h->client_points != 0 && score > h->client_points)
        end(c, WEIR_M_h2_abuse_address, client_text);
}

/* false: the connection has failed. */
static bool judge(struct h2_conn *c, enum http2_abuse_reason why)
{
    if (why != HTTP2_ABUSE_NONE)
        end(c, metric_of[why], http2_abuse_text(why));
    if (c->abuse.fresh >= ACCOUNT_STEP)
        tell_account(c);
    return !c->failed;
}

static bool note(struct h2_conn *c, enum http2_abuse_reason what)
{
    return judge(c, http2_abuse_note(&c->abuse, limits_of(c), what, 1, now_of(c)));
}

/* ---- received ---- */

#define KNOWN_TYPES 10 /* of RFC 9113 */

void h2_abuse_option(nghttp2_option *o)
{
    for (unsigned type = KNOWN_TYPES; type <= UINT8_MAX; type++)
        if (type != NGHTTP2_PRIORITY_UPDATE)
            nghttp2_option_set_user_recv_extension_type(o, (uint8_t)type);
}

int h2_abuse_skip(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd, void *arg)
{
    (void)session;
    (void)payload;
    (void)hd;
    (void)arg;
    return NGHTTP2_ERR_CANCEL;
}

static bool frame_begins(struct h2_conn *c, const nghttp2_frame_hd *hd)
{
    switch (hd->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
        return judge(c, http2_abuse_block(&c->abuse, limits_of(c), hd->type == NGHTTP2_HEADERS,
                                          (uint32_t)hd->length, now_of(c)));
    case NGHTTP2_PRIORITY:
    case NGHTTP2_PRIORITY_UPDATE:
        return note(c, HTTP2_ABUSE_PRIORITIES);
    case NGHTTP2_SETTINGS:
        return (hd->flags & NGHTTP2_FLAG_ACK) != 0 ||
               judge(c, http2_abuse_settings(&c->abuse, limits_of(c), now_of(c)));
    case NGHTTP2_PING: /* an answer that nobody has asked for is one too */
        return ((hd->flags & NGHTTP2_FLAG_ACK) != 0 && c->leaving == H2_LEAVING) ||
               note(c, HTTP2_ABUSE_PINGS);
    case NGHTTP2_RST_STREAM:
        return note(c, HTTP2_ABUSE_RESETS);
    case NGHTTP2_WINDOW_UPDATE:
        return judge(c, http2_abuse_update(&c->abuse, limits_of(c), now_of(c)));
    case NGHTTP2_DATA: /* when it is known how much of it is padding */
        return true;
    default:
        return note(c, HTTP2_ABUSE_UNKNOWN);
    }
}

int h2_abuse_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    struct h2_conn *c = arg;

    (void)session;
    if (c->closed || c->failed || !frame_begins(c, hd))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

bool h2_abuse_received(struct h2_conn *c, const nghttp2_frame *frame)
{
    if (frame->hd.type == NGHTTP2_DATA && frame->hd.length <= frame->data.padlen &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return note(c, HTTP2_ABUSE_EMPTY);
    return true;
}

void h2_abuse_block_end(struct h2_conn *c, uint32_t decoded)
{
    (void)judge(c, http2_abuse_block_end(&c->abuse, limits_of(c), decoded, now_of(c)));
}

/* ---- sent ---- */

/* The frame was as long as a window let it be. */
static bool left_cut(struct h2_conn *c, const nghttp2_frame *frame)
{
    return (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 &&
           (nghttp2_session_get_remote_window_size(c->session) <= 0 ||
            nghttp2_session_get_stream_remote_window_size(c->session, frame->hd.stream_id) <= 0);
}

static void data_sent(struct h2_conn *c, const nghttp2_frame *frame)
{
    uint32_t bytes = (uint32_t)frame->hd.length;

    (void)judge(c, http2_abuse_sent(&c->abuse, limits_of(c), bytes,
                                    http2_abuse_small(bytes) && left_cut(c, frame), now_of(c)));
}

static void reset_sent(struct h2_conn *c, uint32_t error_code)
{
    switch (error_code) {
    case NGHTTP2_PROTOCOL_ERROR:
    case NGHTTP2_FLOW_CONTROL_ERROR:
    case NGHTTP2_STREAM_CLOSED:
    case NGHTTP2_FRAME_SIZE_ERROR:
        (void)note(c, HTTP2_ABUSE_FAULTS);
        break;
    case NGHTTP2_REFUSED_STREAM:
        (void)note(c, HTTP2_ABUSE_REFUSED);
        break;
    default: /* our own doing */
        break;
    }
}

void h2_abuse_sent(struct h2_conn *c, const nghttp2_frame *frame)
{
    if (frame->hd.type == NGHTTP2_DATA)
        data_sent(c, frame);
    else if (frame->hd.type == NGHTTP2_RST_STREAM)
        reset_sent(c, frame->rst_stream.error_code);
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        http2_abuse_served(&c->abuse);
}

void h2_abuse_stalled(struct h2_conn *c, uint32_t streams)
{
    (void)judge(c, http2_abuse_stalled(&c->abuse, limits_of(c), streams, now_of(c)));
}

/* ---- the account of the address ---- */

void h2_abuse_begin(struct h2_conn *c)
{
    const struct h2_settings *h = h2_conn_http2(c);
    struct net_scores *scores = c->server->clients->scores;

    if (scores != NULL && h->client_points != 0 &&
        net_scores_add(scores, &c->net.peer, 0, h->client_forgiven_s, now_of(c)) > h->client_points)
        end(c, WEIR_M_h2_abuse_address, client_text);
}

void h2_abuse_end(struct h2_conn *c)
{
    if (c->abuse.fresh > 0)
        tell_account(c);
}
