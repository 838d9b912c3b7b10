#include "admin.h"

#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "admin_audit.h"
#include "admin_control.h"
#include "admin_door.h"
#include "admin_endpoints.h"
#include "admin_failures.h"
#include "admin_socket.h"
#include "admin_state.h"
#include "admin_tcp.h"
#include "admin_tokens.h"
#include "net_loop.h"
#include "pattern.h"

#define AUDIT_RING_BYTES (256 * 1024)
#define FAILED_DELAY_MS  500 /* before a wrong token is answered */

struct admin {
    struct admin_source source;
    struct pattern_scratch *scratch;
    struct weir_metrics *metrics; /* what probes count: nobody adds it up */
    struct admin_later *laters;
    struct admin_socket socket;
    struct admin_door *unix_door; /* NULL: not listening */
    struct admin_tcp tcp;
    struct admin_door *tcp_door; /* NULL: not listening */
    struct weir_sink *audit;     /* NULL: none */
    char *audit_file;            /* "": none */
    struct admin_failures failures;
    struct admin_counts counts;
    struct admin_state state;
    struct admin_control control;
    int64_t started_ms;

    /* of a reload under way */
    struct admin_socket next;
    struct admin_tcp next_tcp;
    struct weir_sink *next_audit;
    char *next_audit_file; /* NULL: stays */
    uint32_t next_mode, next_connections;
    bool moving;
};

struct endpoint {
    const char *path;
    enum http_method method; /* GET stands for HEAD too */
    enum admin_role role;
    uint32_t open; /* enum admin_open that lets it be had without a token */
    void (*run)(struct admin_request *r);
};

static const struct endpoint endpoints[] = {
    {"/metrics", HTTP_M_GET, ADMIN_READ, ADMIN_OPEN_METRICS, admin_metrics},
    {"/v1/live", HTTP_M_GET, ADMIN_READ, ADMIN_OPEN_LIVE, admin_live},
    {"/v1/limits", HTTP_M_GET, ADMIN_READ, 0, admin_limits},
    {"/v1/tls", HTTP_M_GET, ADMIN_READ, 0, admin_certificates},
    {"/v1/tls/acme", HTTP_M_GET, ADMIN_READ, 0, admin_acme},
    {"/v1/tls/tickets", HTTP_M_GET, ADMIN_READ, 0, admin_tickets},
    {"/v1/ready", HTTP_M_GET, ADMIN_READ, ADMIN_OPEN_READY, admin_ready},
    {"/v1/node", HTTP_M_GET, ADMIN_READ, 0, admin_node},
    {"/v1/farm", HTTP_M_GET, ADMIN_READ, 0, admin_farm},
    {"/v1/origins", HTTP_M_GET, ADMIN_READ, 0, admin_origins},
    {"/v1/words", HTTP_M_GET, ADMIN_READ, 0, admin_words},
    {"/v1/words", HTTP_M_POST, ADMIN_OPERATE, 0, admin_word},
    {"/v1/config", HTTP_M_GET, ADMIN_READ, 0, admin_config},
    {"/v1/reload", HTTP_M_POST, ADMIN_OPERATE, 0, admin_reload},
    {"/v1/drain", HTTP_M_POST, ADMIN_OPERATE, 0, admin_drain},
    {"/v1/redis", HTTP_M_GET, ADMIN_READ, 0, admin_redis},
    {"/v1/cache/stats", HTTP_M_GET, ADMIN_READ, 0, admin_cache_stats},
    {"/v1/cache/entry", HTTP_M_GET, ADMIN_READ, 0, admin_cache_entry},
    {"/v1/cache/purge", HTTP_M_POST, ADMIN_OPERATE, 0, admin_cache_purge},
};

#define ENDPOINTS (sizeof endpoints / sizeof endpoints[0])

static bool is_method(const struct endpoint *e, enum http_method method)
{
    return e->method == method || (e->method == HTTP_M_GET && method == HTTP_M_HEAD);
}

/* NULL: there is none; *known: there is, with another method. */
static const struct endpoint *find_endpoint(const struct admin_message *m, bool *known)
{
    *known = false;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        if (strcmp(endpoints[i].path, m->path) != 0)
            continue;
        if (is_method(&endpoints[i], m->method))
            return &endpoints[i];
        *known = true;
    }
    return NULL;
}

/* ---- one request ---- */

static struct admin_request request_of(struct admin *a, struct admin_call *c)
{
    return (struct admin_request){
        .admin = a,
        .call = c,
        .laters = &a->laters,
        .audit = &a->audit,
        .source = &a->source,
        .state = &a->state,
        .control = &a->control,
        .scratch = a->scratch,
        .metrics = a->metrics,
        .started_ms = a->started_ms,
    };
}

static void refuse_method(struct admin_request *r)
{
    char allow[64] = "";

    for (size_t i = 0; i < ENDPOINTS; i++)
        if (strcmp(endpoints[i].path, r->call->message->path) == 0)
            snprintf(allow + strlen(allow), sizeof allow - strlen(allow), "%s%.*s",
                     allow[0] != '\0' ? ", " : "", (int)http_method_name(endpoints[i].method).len,
                     http_method_name(endpoints[i].method).ptr);
    admin_call_field(r->call, "Allow", allow);
    admin_refuse(r, 405, "this endpoint takes %s", allow);
}

static void on_request(void *arg, struct admin_call *c)
{
    struct admin *a = arg;
    struct admin_request r = request_of(a, c);
    const struct admin_message *m = c->message;
    bool known;
    const struct endpoint *e = find_endpoint(m, &known);

    TAILQ_INIT(&r.query);
    if (e == NULL && known)
        refuse_method(&r);
    else if (e == NULL)
        admin_refuse(&r, 404, "there is no such endpoint");
    else if (m->query != NULL && evhttp_parse_query_str(m->query, &r.query) != 0)
        admin_refuse(&r, 400, "the query is malformed");
    else
        e->run(&r);
    evhttp_clear_headers(&r.query);
}

/* ---- who may ---- */

/* Over a Unix socket: who may connect, may. */
static void admit_user(void *arg, struct admin_call *c)
{
    (void)arg;
    c->role = ADMIN_OPERATE;
}

static void audit_refusal(struct admin *a, const struct admin_call *c, const char *why)
{
    struct weir_span method = http_method_name(c->message->method);
    char target[512];

    snprintf(target, sizeof target, "%.*s %s", (int)method.len, method.ptr, c->message->path);
    admin_audit_write(a->audit, c, "refused", target, why);
}

/* Who has failed too often is not even listened to. */
static bool must_wait(struct admin *a, struct admin_request *r)
{
    int64_t wait_ms =
        admin_failures_wait_ms(&a->failures, &r->call->peer.address, a->source.loop->clock.mono_ms);
    char seconds[24];

    if (wait_ms == 0)
        return false;
    a->counts.throttled++;
    snprintf(seconds, sizeof seconds, "%lld", (long long)(wait_ms + 999) / 1000);
    admin_call_field(r->call, "Retry-After", seconds);
    admin_refuse(r, 429, "too many failed attempts from this address");
    return true;
}

static void refuse_token(struct admin *a, struct admin_request *r)
{
    a->counts.failures++;
    admin_failures_add(&a->failures, &r->call->peer.address, a->source.loop->clock.mono_ms);
    audit_refusal(a, r->call, "the token is not known");
    r->call->delay_ms = FAILED_DELAY_MS;
    admin_call_field(r->call, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
    admin_refuse(r, 401, "the token is not known");
}

static void admit_token(struct admin *a, struct admin_request *r, const struct endpoint *e)
{
    const struct admin_message *m = r->call->message;
    const char *name;

    if (must_wait(a, r))
        return;
    r->call->role =
        admin_tokens_role(a->tcp.tokens, weir_span(m->authorization, m->authorization_len), &name);
    if (r->call->role == ADMIN_NOBODY) {
        refuse_token(a, r);
        return;
    }
    snprintf(r->call->who, sizeof r->call->who, "%s", name);
    if (e == NULL || r->call->role >= (int)e->role)
        return;
    a->counts.forbidden++;
    audit_refusal(a, r->call, "the role does not reach");
    admin_refuse(r, 403, "this token may look, but change nothing");
}

static void admit_client(void *arg, struct admin_call *c)
{
    struct admin *a = arg;
    struct admin_request r = request_of(a, c);
    bool known;
    const struct endpoint *e = find_endpoint(c->message, &known);

    if (c->message->authorization != NULL) {
        admit_token(a, &r, e);
    } else if (e == NULL || (e->open & a->tcp.without_token) == 0) {
        a->counts.anonymous++;
        admin_call_field(c, "WWW-Authenticate", "Bearer");
        admin_refuse(&r, 401, "this needs a token");
    }
}

/* ---- listening ---- */

static struct admin_door *open_door(struct admin *a, int fd, bool tcp, uint32_t connections,
                                    uint32_t per_address)
{
    const struct admin_door_options o = {
        .loop = a->source.loop,
        .secret = a->source.secret,
        .metrics = a->metrics,
        .connections = connections,
        .per_address = per_address,
        .admit = tcp ? admit_client : admit_user,
        .serve = on_request,
        .arg = a,
    };
    struct weir_err err = {0};
    struct admin_door *d = admin_door_new(&o, fd, &err);

    if (d == NULL)
        weir_log_err(WEIR_LOG_ERROR, "operators cannot connect", &err);
    return d;
}

/* The descriptor stays the socket's, whose file has to go with it: the door has another one. */
static void listen_unix(struct admin *a, uint32_t connections)
{
    int fd = a->socket.fd >= 0 ? fcntl(a->socket.fd, F_DUPFD_CLOEXEC, 0) : -1;

    if (fd >= 0)
        a->unix_door = open_door(a, fd, false, connections, 0);
    else if (a->socket.fd >= 0)
        weir_log(WEIR_LOG_ERROR, "out of descriptors: no admin socket");
    if (a->unix_door == NULL)
        admin_socket_close(&a->socket);
}

static void leave_unix(struct admin *a)
{
    admin_door_free(a->unix_door);
    a->unix_door = NULL;
    admin_socket_close(&a->socket);
}

/* Takes next, which was prepared. */
static void move_tcp(struct admin *a, struct admin_tcp *next)
{
    if (a->tcp_door != NULL && (!next->on || next->opened)) {
        admin_door_free(a->tcp_door);
        a->tcp_door = NULL;
    }
    admin_tcp_drop(&a->tcp);
    a->tcp = *next;
    memset(next, 0, sizeof *next);
    if (a->tcp.opened) {
        a->tcp.opened = false;
        a->tcp_door = open_door(a, a->tcp.fd, true, 0, 0);
        weir_log(WEIR_LOG_INFO, "admin API at %s%s", a->tcp.bound,
                 a->tcp.tls != NULL ? " (TLS)" : "");
    }
    if (a->tcp_door == NULL)
        return;
    admin_door_tls(a->tcp_door, a->tcp.tls);
    admin_door_limit(a->tcp_door, a->tcp.connections, a->tcp.connections_per_address);
}

/* ---- life ---- */

static bool make_tools(struct admin *a, struct weir_err *err)
{
    a->scratch = pattern_scratch_new(err);
    if (a->scratch == NULL)
        return false;
    a->metrics = aligned_alloc(_Alignof(struct weir_metrics), sizeof *a->metrics);
    if (a->metrics == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "admin: create", 0);
    memset(a->metrics, 0, sizeof *a->metrics);
    return true;
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
    if (!make_tools(a, err) || (a->audit_file = weir_strndup("", 0)) == NULL ||
        !admin_prepare(a, settings, err)) {
        admin_free(a);
        return NULL;
    }
    admin_commit(a);
    a->state.source = &a->source;
    recent_add(&a->state.recent, source->loop->clock.mono_ms, (int64_t[WEIR_METRICS]){0});
    admin_control_init(&a->control, &a->source);
    return a;
}

void admin_free(struct admin *a)
{
    if (a == NULL)
        return;
    admin_abandon(a);
    while (a->laters != NULL) {
        struct admin_later *l = a->laters;

        admin_later_end(l);
        admin_refuse(&l->request, 503, "this node ends: what became of it is not known");
        l->cancel(l);
    }
    admin_state_end(&a->state);
    leave_unix(a);
    admin_door_free(a->tcp_door);
    admin_tcp_drop(&a->tcp);
    weir_sink_close(a->audit);
    weir_free(a->audit_file);
    pattern_scratch_free(a->scratch);
    free(a->metrics);
    weir_free(a);
}

void admin_turn(struct admin *a)
{
    if (a != NULL)
        admin_state_turn(&a->state);
}

size_t admin_record(struct admin *a, char *out, size_t cap)
{
    struct admin_request nobody;

    if (a == NULL)
        return 0;
    nobody = request_of(a, NULL);
    return admin_write_record(&nobody, out, cap);
}

void admin_counts(const struct admin *a, struct admin_counts *out)
{
    *out = a->counts;
    if (a->unix_door != NULL)
        admin_door_stats(a->unix_door, &out->unix_door);
    if (a->tcp_door != NULL)
        admin_door_stats(a->tcp_door, &out->tcp_door);
}

/* ---- reload ---- */

static bool prepare_audit(struct admin *a, const struct admin_settings *s, struct weir_err *err)
{
    if (strcmp(s->audit_file, a->audit_file) == 0)
        return true;
    a->next_audit_file = weir_strndup(s->audit_file, strlen(s->audit_file));
    if (a->next_audit_file == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "admin: audit", 0);
    if (s->audit_file[0] == '\0')
        return true;
    a->next_audit = weir_sink_open(s->audit_file, 1, AUDIT_RING_BYTES, err);
    return a->next_audit != NULL;
}

static void commit_audit(struct admin *a)
{
    if (a->next_audit_file == NULL)
        return;
    weir_sink_close(a->audit);
    weir_free(a->audit_file);
    a->audit = a->next_audit;
    a->audit_file = a->next_audit_file;
    a->next_audit = NULL;
    a->next_audit_file = NULL;
}

static bool prepare_socket(struct admin *a, const struct admin_settings *s, struct weir_err *err)
{
    a->next_mode = s->mode;
    a->next_connections = s->connections;
    a->moving = !admin_socket_is(&a->socket, s);
    return !a->moving || admin_socket_open(&a->next, s, &a->source.helper, err);
}

static void commit_socket(struct admin *a)
{
    if (a->moving) {
        leave_unix(a);
        a->socket = a->next;
        a->next.fd = -1;
        a->moving = false;
        listen_unix(a, a->next_connections);
    } else if (a->socket.fd >= 0) {
        admin_socket_mode(&a->socket, a->next_mode);
        admin_door_limit(a->unix_door, a->next_connections, 0);
    }
}

bool admin_prepare(struct admin *a, const struct admin_settings *settings, struct weir_err *err)
{
    if (prepare_audit(a, settings, err) &&
        admin_tcp_prepare(&a->next_tcp, &a->tcp, &settings->tcp, a->source.opener, err) &&
        prepare_socket(a, settings, err))
        return true;
    admin_abandon(a);
    return false;
}

void admin_commit(struct admin *a)
{
    commit_audit(a);
    move_tcp(a, &a->next_tcp);
    commit_socket(a);
    snprintf(a->state.socket, sizeof a->state.socket, "%s",
             a->unix_door != NULL ? a->socket.path : "");
    snprintf(a->state.tcp, sizeof a->state.tcp, "%s", a->tcp_door != NULL ? a->tcp.bound : "");
}

void admin_abandon(struct admin *a)
{
    if (a == NULL)
        return;
    admin_socket_close(&a->next);
    admin_tcp_drop(&a->next_tcp);
    weir_sink_close(a->next_audit);
    weir_free(a->next_audit_file);
    a->next_audit = NULL;
    a->next_audit_file = NULL;
    a->moving = false;
}

void admin_reopen_logs(struct admin *a)
{
    if (a != NULL && a->audit != NULL)
        weir_sink_reopen(a->audit);
}
