#include "h2_server.h"

#include <string.h>

#include "weir/alloc.h"
#include "h2_abuse.h"

/* The score (http2_abuse.h) ends it before, with a reason. */
#define CONTINUATIONS_MAX 1000
#define RESETS_MAX        1000000 /* at once, and each second */

bool h2_server_init(struct h2_server *s, struct exchange_worker *w, struct net_clients *clients,
                    struct weir_err *err)
{
    (void)err;
    memset(s, 0, sizeof *s);
    s->w = w;
    s->clients = clients;
    return true;
}

static bool make_option(struct h2_server *s)
{
    nghttp2_option *o;

    if (nghttp2_option_new(&o) != 0)
        return false;
    /* The consumer of content gives window back, nobody else. */
    nghttp2_option_set_no_auto_window_update(o, 1);
    /* http2_head.h judges messages, as strictly as for HTTP/1, and knows what to answer. */
    nghttp2_option_set_no_http_messaging(o, 1);
    nghttp2_option_set_builtin_recv_extension_type(o, NGHTTP2_PRIORITY_UPDATE);
    h2_abuse_option(o);
    nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(o, RESETS_MAX, RESETS_MAX);
    s->option = o;
    return true;
}

/* With the first connection. */
static bool ready(struct h2_server *s)
{
    if (s->option == NULL && !make_option(s))
        return false;
    if (s->callbacks == NULL)
        s->callbacks = h2_frames_callbacks();
    if (s->in == NULL)
        s->in = weir_malloc(H2_READ_BYTES);
    if (s->out == NULL)
        s->out = weir_malloc(sizeof *s->out);
    return s->callbacks != NULL && s->in != NULL && s->out != NULL;
}

bool h2_server_take(struct h2_server *s, struct net_client *from, struct weir_span early)
{
    struct h2_conn *c = ready(s) ? h2_conn_new(s) : NULL;

    if (c == NULL)
        return false;
    net_clients_replace(s->clients, from, &c->net);
    h2_conn_begin(c, early);
    return true;
}

void h2_server_close(struct h2_server *s)
{
    while (s->free_streams != NULL) {
        struct h2_stream *stream = s->free_streams;

        s->free_streams = stream->next;
        exchange_free(&stream->x);
        weir_free(stream);
    }
    h2_memory_close(&s->memory);
    weir_free(s->in);
    weir_free(s->out);
    nghttp2_option_del(s->option);
    nghttp2_session_callbacks_del(s->callbacks);
    s->in = NULL;
    s->out = NULL;
    s->option = NULL;
    s->callbacks = NULL;
}
