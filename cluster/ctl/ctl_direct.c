/*
 * A loop of our own, a port to the farm's Redis, and on it who is there and what is said: the same
 * code that nodes use, but nothing is written unless a word is said.
 */
#include "ctl_direct.h"

#include <event2/event.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "ctl_direct_own.h"
#include "ctl_text.h"
#include "farm_judgement.h"
#include "weir/alloc.h"
#include "weir/log.h"
#include "weir/words.h"

#define REACH_MS    4000 /* to connect, and to read who is there */
#define TOLD_MS     3000 /* until a word is said */
#define TICK_MS     10   /* between looks at whether what is waited for has come */
#define TIMEOUT_MS  1000 /* of a connection */
#define PLACE_COUNT 64

/* ---- the loop ---- */

static void enter(void *arg)
{
    struct direct *d = arg;

    weir_clock_update(&d->clock);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    enter(arg);
}

bool direct_wait(struct direct *d, bool (*come)(struct direct *d), int64_t ms)
{
    int64_t until;

    enter(d);
    until = d->clock.mono_ms + ms;
    while (!come(d)) {
        if (d->clock.mono_ms >= until || event_base_loop(d->base, EVLOOP_ONCE) != 0)
            return come(d);
        enter(d);
    }
    return true;
}

/* ---- which Redis ---- */

static bool from_options(struct direct *d, const struct ctl_options *o, struct weir_err *err)
{
    char *rest;

    d->list = weir_strndup(o->redis, strlen(o->redis));
    d->addresses = weir_calloc(PLACE_COUNT, sizeof *d->addresses);
    if (d->list == NULL || d->addresses == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "weirctl: redis", 0);
    d->own = (struct farm_settings){
        .name = o->farm != NULL ? o->farm : "default",
        .secret_file = o->secret_file,
        .redis = {.addresses = d->addresses,
                  .username = o->user != NULL ? o->user : "",
                  .password_file = o->password_file != NULL ? o->password_file : "",
                  .tls = o->tls || o->ca_file != NULL,
                  .tls_ca_file = o->ca_file != NULL ? o->ca_file : "",
                  .tls_server_name = o->server_name != NULL ? o->server_name : "",
                  .tls_certificate_file = o->cert_file != NULL ? o->cert_file : "",
                  .tls_key_file = o->key_file != NULL ? o->key_file : "",
                  .connect_timeout_ms = TIMEOUT_MS},
    };
    for (rest = d->list; rest != NULL && d->own.redis.address_count < PLACE_COUNT;)
        d->addresses[d->own.redis.address_count++] = strsep(&rest, ",");
    return true;
}

/* The user of --user may be another than the node's. */
static bool from_config(struct direct *d, const struct ctl_options *o)
{
    struct config_errors errors = {0};

    d->settings = config_load(o->config, &errors);
    if (d->settings == NULL)
        config_errors_print(&errors, o->complaints != NULL ? o->complaints : stderr);
    config_errors_free(&errors);
    if (d->settings == NULL)
        return false;
    d->own = d->settings->farm;
    if (o->password_file != NULL) {
        d->own.redis.username = d->own.state_redis.username = o->user != NULL ? o->user : "";
        d->own.redis.password_file = d->own.state_redis.password_file = o->password_file;
    }
    return true;
}

/* ---- open and close ---- */

static bool derive_key(struct direct *d, struct weir_err *err)
{
    struct weir_secret secret = {.len = 0};
    struct weir_err why = {0};
    bool ok = weir_secret_read(&secret, d->own.secret_file, &why);

    if (!ok)
        return weir_failf(err, why.code, "weirctl: secret", why.os, "%.80s: %.60s",
                          d->own.secret_file, why.detail);
    ok = weir_seal_key_derive(&d->key, weir_span(secret.bytes, secret.len),
                              weir_span_str(d->own.name), err);
    weir_secret_clear(&secret);
    return ok;
}

static bool make_loop(struct direct *d, struct weir_err *err)
{
    struct timeval tick = {0, TICK_MS * 1000};

    d->base = event_base_new();
    d->tick = d->base != NULL ? event_new(d->base, -1, EV_PERSIST, on_tick, d) : NULL;
    if (d->tick == NULL || event_add(d->tick, &tick) != 0)
        return weir_fail(err, WEIR_E_MEMORY, "weirctl: loop", 0);
    enter(d);
    d->loop = (struct shared_loop){.base = d->base, .enter = enter, .arg = d, .clock = &d->clock};
    return true;
}

static bool join(struct direct *d, struct weir_err *err)
{
    struct members_options m = {.loop = &d->loop, .key = &d->key, .farm = d->own.name};
    struct words_options w = {.loop = &d->loop, .key = &d->key, .farm = d->own.name};

    d->redis = farm_redis_new(&d->own, NULL, err);
    if (d->redis == NULL)
        return false;
    d->port = shared_port_new(farm_redis_shared(d->redis), &d->loop, err);
    if (d->port == NULL)
        return false;
    m.port = w.port = d->port;
    w.seed = (uint64_t)getpid();
    d->members = members_watch(&m, err);
    d->words = d->members != NULL ? words_new(&w, err) : NULL;
    return d->words != NULL;
}

static bool is_read(struct direct *d)
{
    struct members_state m;
    struct words_state w;

    members_state(d->members, &m);
    words_state(d->words, &w);
    return m.current && w.current;
}

/* Why nothing was read, as far as the client of Redis knows. */
static enum ctl_exit unreachable(struct direct *d, const struct ctl_options *o)
{
    struct weir_err err = {0};

    direct_ask_redis(d);
    weir_failf(&err, WEIR_E_SHARED, "weirctl: the farm's Redis", 0, "%.120s",
               d->trouble[0] != '\0' ? d->trouble : "no answer");
    return ctl_complain(o, &err);
}

static enum ctl_exit direct_open(struct direct *d, const struct ctl_options *o)
{
    struct weir_err err = {0};

    memset(d, 0, sizeof *d);
    weir_log_set_level(WEIR_LOG_ERROR); /* what goes wrong is told once, at the end */
    if (o->config != NULL && !from_config(d, o))
        return CTL_USAGE;
    if (o->config == NULL && !from_options(d, o, &err))
        return ctl_complain(o, &err);
    if (d->own.redis.address_count == 0) {
        weir_failf(&err, WEIR_E_CONFIG, "weirctl: redis", 0,
                   "%.80s: this node belongs to no farm (farm.redis.addresses)", o->config);
        return ctl_complain(o, &err);
    }
    if (!derive_key(d, &err) || !make_loop(d, &err) || !join(d, &err))
        return ctl_complain(o, &err);
    return direct_wait(d, is_read, REACH_MS) ? CTL_FINE : unreachable(d, o);
}

static void direct_close(struct direct *d)
{
    words_free(d->words);
    members_free(d->members);
    shared_port_free(d->port);
    farm_redis_free(d->redis);
    if (d->base != NULL)
        event_base_loop(d->base, EVLOOP_NONBLOCK); /* what names and TLS have left: redis_loop.h */
    if (d->tick != NULL)
        event_free(d->tick);
    if (d->base != NULL)
        event_base_free(d->base);
    settings_unref(d->settings);
    json_decref(d->redis_json);
    weir_free(d->addresses);
    weir_free(d->list);
    explicit_bzero(&d->key, sizeof d->key);
}

/* ---- the farm ---- */

/* Two of one name: after a crash and a new start the old one is still to be seen for some seconds;
 * whether both are alive shows when both have beaten. */
static bool no_doubt(struct direct *d)
{
    const struct member *list;
    size_t count = members_list(d->members, &list);

    for (size_t i = 1; i < count; i++)
        if (strcmp(list[i].id, list[i - 1].id) == 0 && !list[i].twin && !list[i - 1].twin)
            return false;
    return true;
}

/* Of upstreams only the origins that are not well may be known: then nobody can say that all of an
 * upstream's are down. */
static void forget_upstreams(json_t *farm)
{
    json_t *faults = json_object_get(farm, "faults");
    const char *status = "fine";
    size_t i = json_array_size(faults);

    while (i-- > 0) {
        const json_t *fault = json_array_get(faults, i);

        if (strncmp(ctl_str(fault, "code"), "upstream_", 9) == 0)
            json_array_remove(faults, i);
        else if (strcmp(ctl_str(fault, "severity"), "degraded") == 0 && strcmp(status, "fine") == 0)
            status = "degraded";
        else if (strcmp(ctl_str(fault, "severity"), "down") == 0)
            status = "down";
    }
    json_object_set_new(farm, "status", json_string(status));
}

/* A node that answers is one node at least; here there may be none. */
static void judge_nobody(json_t *farm)
{
    if (json_array_size(json_object_get(farm, "nodes")) > 0)
        return;
    json_array_insert_new(json_object_get(farm, "faults"), 0,
                          json_pack("{s:s, s:s, s:s, s:s}", "severity", "down", "code",
                                    "nodes_none_ready", "where", "farm", "what",
                                    "no node is alive"));
    json_object_set_new(farm, "status", json_string("down"));
}

static bool judge(const struct direct *d, json_t *farm)
{
    if (farm == NULL || !farm_judge(farm))
        return false;
    if (d->settings == NULL)
        forget_upstreams(farm);
    judge_nobody(farm);
    return true;
}

enum ctl_exit ctl_direct_farm(const struct ctl_options *o, json_t **farm)
{
    struct direct d;
    enum ctl_exit status = direct_open(&d, o);

    *farm = NULL;
    if (status == CTL_FINE) {
        direct_wait(&d, no_doubt, MEMBER_LIVE_MS);
        *farm = direct_farm(&d);
        if (!judge(&d, *farm)) {
            json_decref(*farm);
            *farm = NULL;
            fputs("weirctl: out of memory\n", stderr);
            status = CTL_DOWN;
        }
    }
    direct_close(&d);
    return status;
}

/* ---- saying ---- */

static const char *author(char out[WORD_AUTHOR_MAX + 1])
{
    const struct passwd *who = getpwuid(getuid());
    const char *sudo = getenv("SUDO_USER");
    char host[65] = "";

    gethostname(host, sizeof host - 1);
    snprintf(out, WORD_AUTHOR_MAX + 1, "%.60s@%.60s",
             sudo != NULL && getuid() == 0 ? sudo
             : who != NULL                 ? who->pw_name
                                           : "somebody",
             host);
    return out;
}

static enum word_target target_of(const char *name)
{
    if (strcmp(name, "origin") == 0)
        return WORD_ORIGIN;
    return strcmp(name, "upstream") == 0 ? WORD_UPSTREAM : WORD_NODE;
}

static void on_told(void *arg, enum words_outcome outcome, uint64_t number)
{
    struct direct *d = arg;

    d->told = true;
    d->outcome = outcome;
    d->number = number;
}

static bool is_told(struct direct *d)
{
    return d->told;
}

static bool say(struct direct *d, const json_t *word, struct weir_err *err)
{
    char by[WORD_AUTHOR_MAX + 1];
    struct words_say say = {
        .word = {.target = target_of(ctl_str(word, "target")),
                 .kind = (enum word_kind)word_kind_of(ctl_str(word, "kind")),
                 .name = ctl_str(word, "name"),
                 .url = ctl_str(word, "url"),
                 .weight = (uint32_t)ctl_int(word, "weight", NULL),
                 .author = author(by),
                 .reason = ctl_str(word, "reason")},
        .weight_only = json_is_true(json_object_get(word, "weight_only")),
        .left_ms = ctl_int(word, "for_s", NULL) * 1000,
        .told = on_told,
        .arg = d,
    };

    return words_say(d->words, &say, err);
}

/* A word that Redis did not take is nowhere: there is no node here to keep it. */
enum ctl_exit ctl_direct_say(const struct ctl_options *o, const json_t *word, json_t **answer)
{
    static const char *const outcomes[] = {"said", "unconfirmed", "here_only"};
    struct weir_err err = {0};
    struct direct d;
    enum ctl_exit status = direct_open(&d, o);

    *answer = NULL;
    if (status == CTL_FINE && !say(&d, word, &err)) {
        status = ctl_complain(o, &err);
    } else if (status == CTL_FINE) {
        if (direct_wait(&d, is_told, TOLD_MS) && d.outcome != WORDS_HERE_ONLY) {
            *answer = json_pack("{s:s, s:I}", "outcome", outcomes[d.outcome], "number",
                                (json_int_t)d.number);
        } else {
            weir_failf(&err, WEIR_E_SHARED, "weirctl: the farm's Redis", 0,
                       "it does not say that it has taken the word");
            status = ctl_complain(o, &err);
        }
    }
    direct_close(&d);
    return status;
}
