/* One question to a node, and what becomes of whatever is no answer. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "ctl_http.h"
#include "ctl_link.h"
#include "ctl_text.h"

static FILE *complaints(const struct ctl_options *o)
{
    return o->complaints != NULL ? o->complaints : stderr;
}

enum ctl_exit ctl_complain(const struct ctl_options *o, const struct weir_err *err)
{
    static const char name[] = "weirctl: ";
    char text[512];

    weir_err_str(err, text, sizeof text);
    fputs(name, complaints(o)); /* an error of our own begins so already */
    ctl_put(complaints(o),
            strncmp(text, name, sizeof name - 1) == 0 ? text + sizeof name - 1 : text);
    fputc('\n', complaints(o));
    return CTL_USAGE;
}

/* 409: the node cannot, as it is now. */
static enum ctl_exit refused(const struct ctl_options *o, const struct ctl_answer *a)
{
    const char *why = json_string_value(json_object_get(a->json, "error"));

    fputs("weirctl: the node says: ", complaints(o));
    ctl_put(complaints(o), why != NULL ? why : "nothing");
    fprintf(complaints(o), " (%d)\n", a->status);
    return a->status >= 500 || a->status == 409 ? CTL_DOWN : CTL_USAGE;
}

void ctl_print_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
}

static enum ctl_exit ask(const struct ctl_options *o, const char *method, const char *target,
                         const json_t *body, struct ctl_answer *a)
{
    struct ctl_place place = {.socket = o->socket,
                              .url = o->node,
                              .token_file = o->token_file,
                              .ca_file = o->ca_file,
                              .cert_file = o->cert_file,
                              .key_file = o->key_file,
                              .server_name = o->server_name,
                              .patience_s = o->wait ? ctl_purge_wait_ms(o) / 1000 + 1 : 0};
    struct weir_err err = {0};
    struct ctl_link link;
    bool ok = ctl_link_open(&link, &place, &err);

    if (ok) {
        ok = ctl_ask(&link, method, target, body, a, &err);
        ctl_link_close(&link);
    }
    return ok ? CTL_FINE : ctl_complain(o, &err);
}

enum ctl_exit ctl_fetch(const struct ctl_options *o, const char *method, const char *target,
                        const json_t *body, json_t **out)
{
    struct ctl_answer a = {0};
    enum ctl_exit status = ask(o, method, target, body, &a);

    *out = NULL;
    if (status == CTL_FINE && ((a.status != 200 && a.status != 202) || a.json == NULL))
        status = refused(o, &a);
    if (status == CTL_FINE)
        *out = json_incref(a.json);
    ctl_answer_free(&a);
    return status;
}

enum ctl_exit ctl_call(const struct ctl_options *o, const char *method, const char *target,
                       const json_t *body, json_t **out)
{
    enum ctl_exit status = ctl_fetch(o, method, target, body, out);

    if (status == CTL_FINE && o->json)
        ctl_print_json(*out);
    return status;
}

json_t *ctl_at(const json_t *object, const char *name, const char *inner)
{
    json_t *value = json_object_get(object, name);

    return inner != NULL ? json_object_get(value, inner) : value;
}

int64_t ctl_int(const json_t *object, const char *name, const char *inner)
{
    return json_integer_value(ctl_at(object, name, inner));
}

const char *ctl_str(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

/* ---- metrics: the one answer that is no JSON ---- */

enum ctl_exit ctl_metrics(const struct ctl_options *o)
{
    struct ctl_answer a = {0};
    enum ctl_exit status = ask(o, "GET", "/metrics", NULL, &a);

    if (status == CTL_FINE && a.status != 200)
        status = refused(o, &a);
    else if (status == CTL_FINE)
        fputs(a.text, stdout);
    ctl_answer_free(&a);
    return status;
}
