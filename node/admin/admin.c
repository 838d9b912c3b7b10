#include "admin.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "admin_endpoints.h"
#include "admin_socket.h"
#include "net_loop.h"
#include "pattern.h"

#define HEAD_MAX    16384 /* of requests, URLs to look at among them */
#define CONTENT_MAX 65536
#define TIMEOUT_S   10 /* without a byte either way; also of a connection that asks nothing */

struct admin {
    struct admin_source source;
    struct pattern_scratch *scratch;
    struct weir_metrics *metrics; /* what probes count: nobody adds it up */
    struct evhttp *http;
    struct admin_later *laters;
    struct evhttp_bound_socket *bound; /* NULL: not listening */
    struct admin_socket socket;
    struct admin_socket next; /* of a reload under way that moves it */
    uint32_t next_mode;
    bool moving;
    int64_t started_ms;
};

struct endpoint {
    const char *path;
    enum evhttp_cmd_type method;
    const char *allow;
    void (*run)(struct admin_request *r);
};

static const struct endpoint endpoints[] = {
    {"/metrics", EVHTTP_REQ_GET, "GET", admin_metrics},
    {"/v1/redis", EVHTTP_REQ_GET, "GET", admin_redis},
    {"/v1/cache/stats", EVHTTP_REQ_GET, "GET", admin_cache_stats},
    {"/v1/cache/entry", EVHTTP_REQ_GET, "GET", admin_cache_entry},
    {"/v1/cache/purge", EVHTTP_REQ_POST, "POST", admin_cache_purge},
};

static const struct endpoint *find_endpoint(const char *path)
{
    for (size_t i = 0; path != NULL && i < sizeof endpoints / sizeof endpoints[0]; i++)
        if (strcmp(endpoints[i].path, path) == 0)
            return &endpoints[i];
    return NULL;
}

/* ---- one request ---- */

static void find_who(struct admin_request *r)
{
    struct evhttp_connection *c = evhttp_request_get_connection(r->http);
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(c));
    struct ucred who;
    socklen_t len = sizeof who;

    r->uid = (uid_t)-1;
    r->pid = -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        return;
    r->uid = who.uid;
    r->pid = who.pid;
}

static void dispatch(struct admin_request *r)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(r->http);
    const struct endpoint *e = find_endpoint(evhttp_uri_get_path(uri));
    const char *query = evhttp_uri_get_query(uri);

    if (e == NULL) {
        admin_refuse(r, 404, "there is no such endpoint");
        return;
    }
    if (evhttp_request_get_command(r->http) != e->method) {
        evhttp_add_header(evhttp_request_get_output_headers(r->http), "Allow", e->allow);
        admin_refuse(r, 405, "this endpoint takes %s", e->allow);
        return;
    }
    if (query != NULL && evhttp_parse_query_str(query, &r->query) != 0) {
        admin_refuse(r, 400, "the query is malformed");
        return;
    }
    e->run(r);
}

static void on_request(struct evhttp_request *http, void *arg)
{
    struct admin *a = arg;
    struct admin_request r = {
        .http = http,
        .laters = &a->laters,
        .source = &a->source,
        .scratch = a->scratch,
        .metrics = a->metrics,
        .started_ms = a->started_ms,
    };

    net_loop_enter(a->source.loop);
    TAILQ_INIT(&r.query);
    find_who(&r);
    dispatch(&r);
    evhttp_clear_headers(&r.query);
}

/* ---- life ---- */

static bool make_http(struct admin *a, struct weir_err *err)
{
    a->scratch = pattern_scratch_new(err);
    if (a->scratch == NULL)
        return false;
    a->metrics = aligned_alloc(_Alignof(struct weir_metrics), sizeof *a->metrics);
    if (a->metrics == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "admin: create", 0);
    memset(a->metrics, 0, sizeof *a->metrics);
    a->http = evhttp_new(a->source.loop->base);
    if (a->http == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "admin: create", 0);
    evhttp_set_gencb(a->http, on_request, a);
    evhttp_set_max_headers_size(a->http, HEAD_MAX);
    evhttp_set_max_body_size(a->http, CONTENT_MAX);
    evhttp_set_timeout(a->http, TIMEOUT_S);
    evhttp_set_allowed_methods(a->http, 0xffff); /* those of no use are refused in JSON */
    return true;
}

/* The descriptor stays the socket's, whose file has to go with it. */
static void start_listening(struct admin *a)
{
    struct evconnlistener *l;

    if (a->socket.fd < 0)
        return;
    l = evconnlistener_new(a->source.loop->base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0,
                           a->socket.fd);
    a->bound = l != NULL ? evhttp_bind_listener(a->http, l) : NULL;
    if (a->bound != NULL)
        return;
    if (l != NULL)
        evconnlistener_free(l);
    weir_log(WEIR_LOG_ERROR, "out of memory: no admin socket");
    admin_socket_close(&a->socket);
}

static void stop_listening(struct admin *a)
{
    if (a->bound != NULL)
        evhttp_del_accept_socket(a->http, a->bound);
    a->bound = NULL;
    admin_socket_close(&a->socket);
}

struct admin *admin_new(const struct admin_source *source, const struct admin_settings *settings,
                        struct weir_err *err)
{
    struct admin *a = weir_calloc(1, sizeof *a);

    if (a == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "admin: create", 0);
        return NULL;
    }
    a->source = *source;
    a->socket.fd = a->next.fd = -1;
    a->started_ms = source->loop->clock.mono_ms;
    if (!make_http(a, err) || !admin_socket_open(&a->socket, settings, err)) {
        admin_free(a);
        return NULL;
    }
    start_listening(a);
    return a;
}

void admin_free(struct admin *a)
{
    if (a == NULL)
        return;
    admin_abandon(a);
    stop_listening(a);
    while (a->laters != NULL) {
        struct admin_later *l = a->laters;

        admin_later_end(l);
        l->cancel(l);
    }
    if (a->http != NULL)
        evhttp_free(a->http);
    pattern_scratch_free(a->scratch);
    free(a->metrics);
    weir_free(a);
}

/* ---- reload ---- */

bool admin_prepare(struct admin *a, const struct admin_settings *settings, struct weir_err *err)
{
    a->next_mode = settings->mode;
    a->moving = !admin_socket_is(&a->socket, settings);
    return !a->moving || admin_socket_open(&a->next, settings, err);
}

void admin_commit(struct admin *a)
{
    if (a->moving) {
        stop_listening(a);
        a->socket = a->next;
        a->next.fd = -1;
        a->moving = false;
        start_listening(a);
    } else if (a->socket.fd >= 0) {
        admin_socket_mode(&a->socket, a->next_mode);
    }
}

void admin_abandon(struct admin *a)
{
    if (a == NULL)
        return;
    admin_socket_close(&a->next);
    a->moving = false;
}
