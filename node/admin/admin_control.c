#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "admin.h"
#include "admin_control.h"
#include "admin_endpoints.h"
#include "admin_views.h"
#include "net_loop.h"
#include "readiness.h"

/* ---- is it there, does it want traffic ---- */

void admin_live(struct admin_request *r)
{
    json_t *out = json_object();

    admin_put_bool(r, out, "live", true);
    admin_answer(r, 200, out);
}

void admin_ready(struct admin_request *r)
{
    const struct readiness *readiness = r->source->readiness;
    bool ready = readiness == NULL || readiness_is(readiness);
    const char *names[READY_REASONS];
    size_t n = readiness != NULL ? readiness_because(readiness, names) : 0;
    json_t *out = json_object(), *because;

    admin_put_bool(r, out, "ready", ready);
    because = admin_put_array(r, out, "because");
    for (size_t i = 0; i < n; i++)
        admin_append(r, because, json_string(names[i]));
    admin_answer(r, ready ? 200 : 503, out);
}

/* ---- reload ---- */

/* Who waits for a reload to end. */
struct waiting {
    struct admin_later later;
    struct admin_control *control;
    struct waiting *next, **at;
    unsigned ends; /* that have to come: 2 if another one was under way */
    int64_t began_us;
};

static void leave(struct waiting *w)
{
    *w->at = w->next;
    if (w->next != NULL)
        w->next->at = w->at;
}

static void on_cancel(struct admin_later *l)
{
    struct waiting *w = WEIR_CONTAINER(l, struct waiting, later);

    leave(w);
    weir_free(w);
}

static void tell(struct waiting *w, const struct reload_report *report)
{
    struct admin_request *r = &w->later.request;
    struct weir_clock now = r->source->loop->clock;
    json_t *out = json_object();

    weir_clock_update(&now);
    admin_audit(r, "reload", "this node", "%s%s",
                report->ok ? "reloaded" : "failed: ", report->ok ? "" : report->error);
    admin_put_bool(r, out, "ok", report->ok);
    admin_put_span(r, out, "error", weir_span_str(report->ok ? NULL : report->error));
    admin_put_hex(r, out, "config", report->config);
    admin_put_int(r, out, "took_ms", (now.mono_us - w->began_us) / 1000);
    admin_answer(r, report->ok ? 200 : 409, out);
    leave(w);
    admin_later_end(&w->later);
    weir_free(w);
}

static void on_ended(struct reload_watcher *watcher, const struct reload_report *report)
{
    struct admin_control *c = WEIR_CONTAINER(watcher, struct admin_control, watcher);
    struct waiting *next;

    for (struct waiting *w = c->waiting; w != NULL; w = next) {
        next = w->next;
        if (--w->ends == 0)
            tell(w, report);
    }
}

void admin_control_init(struct admin_control *c, const struct admin_source *source)
{
    c->watcher.ended = on_ended;
    if (source->watch_reloads != NULL)
        source->watch_reloads(source->arg, &c->watcher);
}

void admin_reload(struct admin_request *r)
{
    const struct admin_source *s = r->source;
    struct waiting *w;

    if (s->reload == NULL || s->config_file == NULL) {
        admin_refuse(r, 409, "this node was started without a configuration file");
        return;
    }
    if ((w = weir_calloc(1, sizeof *w)) == NULL) {
        admin_refuse(r, 503, "out of memory");
        return;
    }
    w->began_us = s->loop->clock.mono_us;
    w->ends = s->reloading(s->arg) ? 2 : 1;
    w->next = r->control->waiting;
    w->at = &r->control->waiting;
    if (w->next != NULL)
        w->next->at = &w->next;
    r->control->waiting = w;
    admin_defer(r, &w->later, on_cancel);
    s->reload(s->arg);
}

/* ---- drain ---- */

/* The reason that the content may have; NULL after a refusal. */
static json_t *read_reason(struct admin_request *r)
{
    json_t *json = admin_has_content(r) ? admin_content(r) : json_object();
    const json_t *reason = json_object_get(json, "reason");

    if (json == NULL)
        return NULL;
    if (json_object_size(json) == (reason != NULL) && (reason == NULL || json_is_string(reason)))
        return json;
    json_decref(json);
    admin_refuse(r, 400, "expected nothing, or \"reason\" with a text");
    return NULL;
}

static bool drains(const struct readiness *readiness)
{
    const char *names[READY_REASONS];
    size_t n = readiness != NULL ? readiness_because(readiness, names) : 0;

    for (size_t i = 0; i < n; i++)
        if (names[i] == ready_reason_name(READY_DRAINING))
            return true;
    return false;
}

void admin_drain(struct admin_request *r)
{
    const struct admin_source *s = r->source;
    const char *reason;
    json_t *json, *out;

    if (s->drain == NULL || drains(s->readiness)) {
        admin_refuse(r, 409, "it is draining already");
        return;
    }
    if ((json = read_reason(r)) == NULL)
        return;
    reason = json_string_value(json_object_get(json, "reason"));
    admin_audit(r, "drain", "this node", "draining%s%s", reason != NULL ? ": " : "",
                reason != NULL ? reason : "");
    json_decref(json);
    out = json_object();
    admin_put_text(r, out, "outcome", "draining");
    admin_answer(r, 202, out);
    s->drain(s->arg);
}
