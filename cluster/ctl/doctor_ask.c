/*
 * One loop of its own, twice: for the list of nodes, from whoever of the given ones answers first;
 * then for all that is to be known of each, all nodes side by side.
 */
#include "doctor_ask.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "weir/container.h"
#include "redis_conn.h"
#include "redis_loop.h"
#include "redis_reply.h"
#include "redis_tls.h"

#define CONNECT_MS 2000
#define ANSWER_MS  5000
#define WORDS_MAX  32 /* of a command */

static const char where[] = "doctor: ask";

struct visit;

/* One command under way. */
struct question {
    struct redis_command cmd;
    struct visit *visit;
    void (*answered)(struct question *q, const struct redis_reply *reply);
    size_t right; /* in doctor_rights[] */
};

/* One node that is asked, on a connection of its own. */
struct visit {
    struct ask *ask;
    struct redis_conn *conn;  /* NULL: over */
    struct doctor_node *node; /* NULL: asked for the list of nodes alone */
    const char *host;
    uint16_t port;
    const char *trouble; /* why it came to nothing */
    int64_t sent_ms;     /* of TIME, by our clock */
    unsigned pending;
    struct question list, time, info, cluster, config;
    struct question rights[DOCTOR_RIGHTS_MAX];
};

struct ask {
    const struct doctor_target *target;
    struct doctor_report *report;
    struct event_base *base;
    struct redis_loop *loop;
    struct redis_tls *tls;
    struct redis_settings settings;
    struct visit *visits;
    size_t visit_count, open;
    bool found;   /* the list of nodes */
    bool refused; /* it may not be read */
};

/* ---- one visit ---- */

static const char *keep(struct ask *ask, const char *text)
{
    const char *copy = weir_arena_dup(&ask->report->arena, weir_span_str(text)).ptr;

    return copy != NULL ? copy : "without memory";
}

static void leave(struct visit *v)
{
    if (v->conn == NULL)
        return;
    redis_conn_free(v->conn);
    v->conn = NULL;
    if (--v->ask->open == 0)
        event_base_loopbreak(v->ask->base);
}

/* "10.0.0.1:6379: Connection refused" or "10.0.0.1: ...": where it is stands beside it anyway. */
static const char *without_place(const struct visit *v, const char *why)
{
    size_t len = strlen(v->host);
    const char *reason;

    if (strncmp(why, v->host, len) != 0)
        return why;
    reason = strstr(why + len, ": ");
    return reason != NULL ? reason + 2 : why;
}

static void on_down(struct redis_conn *conn, enum redis_fault fault, const char *why, void *arg)
{
    struct visit *v = arg;

    (void)conn;
    if (why == NULL)
        why = redis_fault_name(fault);
    if (v->trouble == NULL)
        v->trouble = keep(v->ask, without_place(v, why));
}

static void on_reply(struct redis_command *cmd, struct redis_reply *reply, enum redis_fault fault)
{
    struct question *q = WEIR_CONTAINER(cmd, struct question, cmd);
    struct visit *v = q->visit;

    v->pending--;
    if (fault == REDIS_FAULT_NONE)
        q->answered(q, reply);
    else if (v->trouble == NULL)
        v->trouble = redis_fault_name(fault);
    if (v->pending == 0)
        leave(v);
}

/* Sends a command of words between spaces. */
static void put(struct visit *v, struct question *q, const char *words,
                void (*answered)(struct question *, const struct redis_reply *))
{
    struct redis_arg argv[WORDS_MAX];
    enum redis_fault fault;
    size_t argc = 0;

    while (argc < WORDS_MAX && *words != '\0') {
        size_t len = strcspn(words, " ");

        argv[argc++] = redis_arg(weir_span(words, len));
        words += len + (words[len] == ' ');
    }
    q->visit = v;
    q->answered = answered;
    q->cmd.done = on_reply;
    q->cmd.deadline_ms = redis_now_ms() + ANSWER_MS;
    fault = redis_conn_submit(v->conn, &q->cmd, argv, argc, 0);
    if (fault == REDIS_FAULT_NONE)
        v->pending++;
    else if (v->trouble == NULL)
        v->trouble = redis_fault_name(fault);
}

static bool is_permission(const struct redis_reply *reply)
{
    return redis_reply_is_error(reply, "NOPERM");
}

/* ---- the rights of weir's user ---- */

static void on_trial(struct question *q, const struct redis_reply *reply)
{
    q->visit->node->may[q->right] = is_permission(reply) ? DOCTOR_MAY_NOT : DOCTOR_MAY;
}

static bool error_begins(const struct redis_reply *reply, const char *text)
{
    return reply->kind == REDIS_KIND_ERROR && weir_span_starts(reply->text, weir_span_str(text));
}

static bool same_user(const struct doctor_target *t)
{
    const char *login = t->login != NULL && t->login[0] != '\0' ? t->login : "default";
    const char *user = t->user != NULL && t->user[0] != '\0' ? t->user : "default";

    return strcmp(login, user) == 0;
}

/* ACL DRYRUN says OK, or in plain text what is not permitted. */
static void on_dryrun(struct question *q, const struct redis_reply *reply)
{
    const struct doctor_right *right = &doctor_rights[q->right];
    struct visit *v = q->visit;

    if (redis_reply_is_status(reply, "OK"))
        v->node->may[q->right] = DOCTOR_MAY;
    else if (reply->kind == REDIS_KIND_BULK)
        v->node->may[q->right] = DOCTOR_MAY_NOT;
    else if (error_begins(reply, "ERR User "))
        v->node->user_missing = true;
    else if (is_permission(reply) && right->harmless && same_user(v->ask->target))
        put(v, q, right->words, on_trial);
}

static void ask_rights(struct visit *v)
{
    char words[256];

    for (size_t k = 0; k < doctor_right_count; k++) {
        snprintf(words, sizeof words, "ACL DRYRUN %s %s", v->ask->report->user,
                 doctor_rights[k].words);
        v->rights[k].right = k;
        put(v, &v->rights[k], words, on_dryrun);
    }
}

/* ---- what else there is to know of a node ---- */

static void read_lines(struct question *q, const struct redis_reply *reply,
                       struct doctor_values *out)
{
    struct doctor_report *r = q->visit->ask->report;
    struct weir_span text;

    if (redis_reply_text(reply, &text) && !doctor_read_lines(&r->arena, text, out))
        r->out_of_memory = true;
}

static void on_info(struct question *q, const struct redis_reply *reply)
{
    read_lines(q, reply, &q->visit->node->info);
}

static void on_cluster_info(struct question *q, const struct redis_reply *reply)
{
    read_lines(q, reply, &q->visit->node->cluster);
}

/* name, value, name, value */
static void on_config(struct question *q, const struct redis_reply *reply)
{
    struct doctor_report *r = q->visit->ask->report;
    struct doctor_values *out = &q->visit->node->settings;
    size_t pairs = reply->kind == REDIS_KIND_ARRAY ? reply->count / 2 : 0;

    q->visit->node->settings_refused = is_permission(reply);
    out->at = weir_arena_zalloc(&r->arena, (pairs + 1) * sizeof *out->at);
    for (size_t i = 0; out->at != NULL && i < pairs; i++) {
        struct doctor_value *at = &out->at[out->count];
        struct weir_span name, text;

        if (!redis_reply_text(redis_reply_at(reply, 2 * i), &name) ||
            !redis_reply_text(redis_reply_at(reply, 2 * i + 1), &text))
            continue;
        at->name = weir_arena_dup(&r->arena, name).ptr;
        at->text = weir_arena_dup(&r->arena, text).ptr;
        if (at->name == NULL || at->text == NULL)
            break;
        out->count++;
    }
    r->out_of_memory |= out->at == NULL;
}

static void ask_settings(struct visit *v)
{
    char words[1024] = "CONFIG GET";
    size_t len = strlen(words);

    for (size_t i = 0; i < doctor_setting_count; i++)
        len += (size_t)snprintf(words + len, sizeof words - len, " %s", doctor_settings[i]);
    put(v, &v->config, words, on_config);
}

static int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The clock is asked alone and first, so that its answer has waited for nothing else. */
static void on_time(struct question *q, const struct redis_reply *reply)
{
    struct visit *v = q->visit;
    int64_t now = wall_ms(), s, us;

    if (redis_reply_number(redis_reply_at(reply, 0), &s) &&
        redis_reply_number(redis_reply_at(reply, 1), &us) && s > 0 && s < INT64_MAX / 1000) {
        v->node->clock_known = true;
        v->node->clock_ms = s * 1000 + us / 1000 - (now + v->sent_ms) / 2;
        v->node->clock_doubt_ms = (now - v->sent_ms) / 2 + 1;
    }
    put(v, &v->info, "INFO", on_info);
    if (v->ask->report->clustered)
        put(v, &v->cluster, "CLUSTER INFO", on_cluster_info);
    ask_settings(v);
    ask_rights(v);
}

/* ---- the list of nodes ---- */

static void take_plain(struct visit *v)
{
    struct doctor_report *r = v->ask->report;

    v->ask->found = true;
    r->out_of_memory |= doctor_add_node(r, weir_span_str(v->host), v->port) == NULL;
}

static int by_address(const void *a, const void *b)
{
    const struct doctor_node *one = a, *other = b;
    int by_host = strcmp(one->host, other->host);

    return by_host != 0 ? by_host : one->port - other->port;
}

static void take_list(struct visit *v, struct weir_span text)
{
    struct doctor_report *r = v->ask->report;

    v->ask->found = true;
    r->clustered = true;
    r->out_of_memory |= !doctor_read_nodes(r, text, v->host, v->ask->tls != NULL);
    if (r->node_count > 0)
        qsort(r->nodes, r->node_count, sizeof *r->nodes, by_address);
}

static void on_list(struct question *q, const struct redis_reply *reply)
{
    struct visit *v = q->visit;
    struct weir_span text;
    char why[256];

    if (v->ask->found)
        return;
    if (redis_reply_text(reply, &text))
        take_list(v, text);
    else if (error_begins(reply, "ERR This instance has cluster support disabled"))
        take_plain(v);
    else if (is_permission(reply))
        v->ask->refused = true;
    else
        v->trouble = keep(v->ask, redis_reply_str(reply, why, sizeof why));
    if (v->ask->found)
        event_base_loopbreak(v->ask->base);
}

/* ---- all of them ---- */

static void on_up(struct redis_conn *conn, void *arg)
{
    struct visit *v = arg;

    (void)conn;
    v->sent_ms = wall_ms();
    if (v->node == NULL)
        put(v, &v->list, "CLUSTER NODES", on_list);
    else
        put(v, &v->time, "TIME", on_time);
}

/* It ended before anything was asked: nothing else says so. */
static void on_down_early(struct redis_conn *conn, enum redis_fault fault, const char *why,
                          void *arg)
{
    struct visit *v = arg;

    on_down(conn, fault, why, arg);
    if (v->pending == 0)
        leave(v);
}

static void begin(struct visit *v)
{
    static const struct redis_conn_events events = {.up = on_up, .down = on_down_early};
    struct redis_endpoint to = {.host = v->host,
                                .port = v->port,
                                .settings = &v->ask->settings,
                                .tls = v->ask->tls};

    v->conn = redis_conn_new(v->ask->loop, &to, &events, v);
    if (v->conn == NULL)
        v->trouble = "without memory";
    else
        v->ask->open++;
}

/* Until all are over, or the list is found; each connection has its time limit, so it ends. */
static void run(struct ask *ask)
{
    for (size_t i = 0; i < ask->visit_count; i++)
        begin(&ask->visits[i]);
    if (ask->open > 0)
        event_base_dispatch(ask->base);
    for (size_t i = 0; i < ask->visit_count; i++) {
        struct visit *v = &ask->visits[i];

        if (v->conn != NULL)
            redis_conn_free(v->conn);
        v->conn = NULL;
    }
    ask->open = 0;
}

static bool make_visits(struct ask *ask, size_t count)
{
    ask->visits = weir_arena_zalloc(&ask->report->arena, (count + 1) * sizeof *ask->visits);
    ask->visit_count = ask->visits != NULL ? count : 0;
    for (size_t i = 0; i < ask->visit_count; i++)
        ask->visits[i].ask = ask;
    return ask->visits != NULL;
}

/* Only the given addresses, where the list may not be read. */
static void take_given(struct ask *ask)
{
    struct doctor_report *r = ask->report;

    r->clustered = r->partly = true;
    for (size_t i = 0; i < ask->visit_count; i++)
        r->out_of_memory |=
            doctor_add_node(r, weir_span_str(ask->visits[i].host), ask->visits[i].port) == NULL;
}

static bool find_nodes(struct ask *ask, struct weir_err *err)
{
    const struct doctor_target *t = ask->target;

    if (!make_visits(ask, t->address_count))
        return weir_fail(err, WEIR_E_MEMORY, where, 0);
    for (size_t i = 0; i < t->address_count; i++) {
        struct weir_span host;

        if (!doctor_read_address(weir_span_str(t->addresses[i]), &host, &ask->visits[i].port))
            return weir_failf(err, WEIR_E_CONFIG, where, 0, "\"%.80s\" is no host:port",
                              t->addresses[i]);
        ask->visits[i].host = weir_arena_dup(&ask->report->arena, host).ptr;
        if (ask->visits[i].host == NULL)
            return weir_fail(err, WEIR_E_MEMORY, where, 0);
    }
    run(ask);
    if (!ask->found && ask->refused)
        take_given(ask);
    if (ask->report->node_count > 0)
        return true;
    return weir_failf(err, WEIR_E_SHARED, where, 0, "%.60s: %.90s", t->addresses[0],
                      ask->visits[0].trouble != NULL ? ask->visits[0].trouble
                                                     : "it gives no list of nodes");
}

static bool ask_nodes(struct ask *ask, struct weir_err *err)
{
    struct doctor_report *r = ask->report;

    if (!make_visits(ask, r->node_count))
        return weir_fail(err, WEIR_E_MEMORY, where, 0);
    for (size_t i = 0; i < r->node_count; i++) {
        ask->visits[i].node = &r->nodes[i];
        ask->visits[i].host = r->nodes[i].host;
        ask->visits[i].port = r->nodes[i].port;
    }
    run(ask);
    for (size_t i = 0; i < r->node_count; i++) {
        r->nodes[i].trouble = ask->visits[i].trouble;
        r->nodes[i].no_password = ask->visits[i].trouble == NULL && ask->target->password == NULL;
    }
    return true;
}

static bool prepare(struct ask *ask, struct weir_err *err)
{
    const struct doctor_target *t = ask->target;

    ask->settings = redis_settings_default();
    ask->settings.username = t->login != NULL && t->login[0] != '\0' ? t->login : NULL;
    ask->settings.password = t->password;
    ask->settings.client_name = NULL; /* no right should be needed to look */
    ask->settings.connect_timeout_ms = CONNECT_MS;
    ask->settings.silence_max_ms = ANSWER_MS;
    ask->settings.tls = t->tls;
    ask->base = event_base_new();
    if (ask->base == NULL)
        return weir_fail(err, WEIR_E_MEMORY, where, 0);
    ask->loop = redis_loop_new(ask->base, err);
    if (ask->loop == NULL)
        return false;
    ask->tls = t->tls.on ? redis_tls_new(&ask->settings.tls, err) : NULL;
    return ask->tls != NULL || !t->tls.on;
}

bool doctor_ask(const struct doctor_target *target, struct doctor_report *r, struct weir_err *err)
{
    struct ask ask = {.target = target, .report = r};
    bool ok;

    r->role = target->role;
    r->user = target->user != NULL && target->user[0] != '\0' ? target->user : "default";
    ok = prepare(&ask, err) && find_nodes(&ask, err) && ask_nodes(&ask, err);
    redis_loop_free(ask.loop);
    redis_tls_free(ask.tls);
    if (ask.base != NULL)
        event_base_free(ask.base);
    return ok;
}
