#include "admin_request.h"

#include <event2/http.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "admin.h"
#include "admin_audit.h"
#include "admin_door.h"

#define DEPTH_SPACES 1

/* ---- answering later ---- */

void admin_defer(struct admin_request *r, struct admin_later *l,
                 void (*cancel)(struct admin_later *l))
{
    l->request = *r;
    TAILQ_INIT(&l->request.query);
    l->cancel = cancel;
    l->next = *r->laters;
    l->at = r->laters;
    if (l->next != NULL)
        l->next->at = &l->next;
    *r->laters = l;
    r->answered = true; /* as far as this turn is concerned */
}

void admin_later_end(struct admin_later *l)
{
    *l->at = l->next;
    if (l->next != NULL)
        l->next->at = l->at;
    l->at = NULL;
}

/* ---- asking ---- */

struct probe_place admin_probe_place(const struct admin_request *r)
{
    const struct admin_source *s = r->source;

    return (struct probe_place){
        .site = s->site(s->arg),
        .loop = s->loop,
        .metrics = r->metrics,
        .secret = s->secret,
        .purges = s->purges,
        .search_rules = s->search_rules,
        .scratch = r->scratch,
    };
}

const char *admin_query(const struct admin_request *r, const char *name)
{
    return evhttp_find_header(&r->query, name);
}

bool admin_has_content(const struct admin_request *r)
{
    return r->call->message->content_len > 0;
}

json_t *admin_content(struct admin_request *r)
{
    const struct admin_message *m = r->call->message;
    json_error_t error;
    json_t *json = json_loadb(m->content_len > 0 ? m->content : "", m->content_len,
                              JSON_REJECT_DUPLICATES, &error);

    if (json == NULL) {
        admin_refuse(r, 400, "the content is no JSON: %s, line %d", error.text, error.line);
        return NULL;
    }
    if (!json_is_object(json)) {
        json_decref(json);
        admin_refuse(r, 400, "the content must be a JSON object");
        return NULL;
    }
    return json;
}

/* ---- answering ---- */

static void out_of_memory(struct admin_request *r)
{
    r->answered = true;
    admin_call_answer(r->call, 503, NULL, NULL);
}

void admin_answer_text(struct admin_request *r, const char *type, struct evbuffer *text)
{
    r->answered = true;
    admin_call_answer(r->call, 200, type, text);
}

void admin_answer(struct admin_request *r, int status, json_t *body)
{
    char *text = NULL;
    struct evbuffer *content = NULL;

    r->answered = true;
    if (!r->failed && body != NULL) {
        text = json_dumps(body, JSON_INDENT(DEPTH_SPACES) | JSON_PRESERVE_ORDER);
        content = evbuffer_new();
    }
    if (text != NULL && content != NULL && evbuffer_add(content, text, strlen(text)) == 0 &&
        evbuffer_add(content, "\n", 1) == 0)
        admin_call_answer(r->call, status, "application/json", content);
    else
        out_of_memory(r);
    if (content != NULL)
        evbuffer_free(content);
    free(text); /* jansson's, by malloc */
    json_decref(body);
}

void admin_refuse(struct admin_request *r, int status, const char *fmt, ...)
{
    char text[512];
    json_t *body = json_object();
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    admin_put_span(r, body, "error", weir_span_str(text));
    admin_answer(r, status, body);
}

void admin_audit(const struct admin_request *r, const char *did, const char *target,
                 const char *fmt, ...)
{
    char outcome[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(outcome, sizeof outcome, fmt, args);
    va_end(args);
    admin_audit_write(*r->audit, r->call, did, target, outcome);
}

void admin_author(const struct admin_request *r, char out[ADMIN_WHO_MAX])
{
    admin_audit_who(r->call, out);
}

/* ---- building ---- */

void admin_put(struct admin_request *r, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        r->failed = true;
}

void admin_put_int(struct admin_request *r, json_t *object, const char *name, int64_t value)
{
    admin_put(r, object, name, json_integer(value));
}

void admin_put_bool(struct admin_request *r, json_t *object, const char *name, bool value)
{
    admin_put(r, object, name, json_boolean(value));
}

/* Each byte from 0x80 up becomes the two of its code point. */
static json_t *string_of_latin1(struct weir_span s)
{
    char *text = weir_malloc(s.len * 2);
    json_t *json = NULL;
    size_t n = 0;

    for (size_t i = 0; text != NULL && i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c >= 0x80)
            text[n++] = (char)(0xc0 | c >> 6);
        text[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
    }
    if (text != NULL)
        json = json_stringn(text, n);
    weir_free(text);
    return json;
}

json_t *admin_string(struct weir_span bytes)
{
    json_t *json = json_stringn(bytes.len > 0 ? bytes.ptr : "", bytes.len);

    return json != NULL || bytes.len == 0 ? json : string_of_latin1(bytes);
}

void admin_put_span(struct admin_request *r, json_t *object, const char *name,
                    struct weir_span value)
{
    admin_put(r, object, name, value.ptr != NULL ? admin_string(value) : json_null());
}

void admin_put_text(struct admin_request *r, json_t *object, const char *name, const char *value)
{
    admin_put_span(r, object, name, weir_span_str(value));
}

json_t *admin_put_object(struct admin_request *r, json_t *object, const char *name)
{
    json_t *inner = json_object();

    admin_put(r, object, name, inner);
    return r->failed ? NULL : inner;
}

json_t *admin_put_array(struct admin_request *r, json_t *object, const char *name)
{
    json_t *inner = json_array();

    admin_put(r, object, name, inner);
    return r->failed ? NULL : inner;
}

void admin_append(struct admin_request *r, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        r->failed = true;
}
