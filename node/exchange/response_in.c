#include "response_in.h"

#include <string.h>

#include "weir/alloc.h"
#include "control.h"
#include "http_date.h"
#include "http_text.h"
#include "tags.h"

struct filter {
    const struct http_head *head;
    struct weir_span request_id; /* name of our own field: an origin's is not passed on */
    bool connection_names;       /* Connection names fields, not only options */
    bool drop_server, drop_age;
    const struct cache_settings *tags; /* whose tag fields are dropped; NULL: none are */
    bool hides;                        /* some fields may be for this cache alone */
    const struct cache_settings *node;
    const struct control *withholding; /* NULL: nothing is withheld */
};

enum destiny {
    GOES_ON,
    GOES_LAST, /* differs from coding to coding */
    STAYS,     /* stored, but not sent */
    ENDS,
};

static bool end_to_end(const struct filter *f, const struct http_field *field)
{
    if (field->flags & (HTTP_FF_HOP | HTTP_FF_FRAMING))
        return false;
    if (field->id == HTTP_F_SERVER && f->drop_server)
        return false;
    if (field->id == HTTP_F_AGE && f->drop_age)
        return false;
    if (f->tags != NULL &&
        tags_is_field(field->name, f->tags->tag_fields, f->tags->tag_field_count))
        return false;
    if (f->request_id.len > 0 && weir_span_ieq(field->name, f->request_id))
        return false;
    return !(f->connection_names && !(field->flags & HTTP_FF_PROTECTED) &&
             http_connection_names(f->head, field->name));
}

static enum destiny destiny_of(const struct filter *f, const struct http_field *field)
{
    if (!end_to_end(f, field))
        return ENDS;
    if (f->withholding != NULL && control_withholds(f->withholding, field))
        return ENDS;
    if (f->hides && control_hides(f->node, field))
        return STAYS;
    return field->id == HTTP_F_ETAG || field->id == HTTP_F_CONTENT_ENCODING ? GOES_LAST : GOES_ON;
}

static struct weir_span line_part(const struct http_text *t, size_t back, size_t len)
{
    return weir_span(t->at - back, len);
}

/* Writes one line and notes it in the table, which points at the written bytes. */
static void put_field(struct http_text *t, struct fill_head *out, const struct http_field *field)
{
    size_t nl = field->name.len, vl = field->value.len;
    struct http_field *row = &out->fields[out->field_count + out->hidden_count];

    http_text_field(t, field->name, field->value);
    *row = *field;
    row->name = line_part(t, nl + vl + 4, nl);
    row->value = line_part(t, vl + 2, vl);
    if (field->id == HTTP_F_ETAG)
        out->etag = row->value;
    else if (field->id == HTTP_F_LAST_MODIFIED)
        out->last_modified = row->value;
}

static void put_fields(struct http_text *t, struct fill_head *out, const struct filter *filter,
                       enum destiny destiny, uint32_t *count)
{
    for (uint32_t i = 0; i < filter->head->count; i++) {
        const struct http_field *field = &filter->head->fields[i];

        if (destiny_of(filter, field) != destiny)
            continue;
        put_field(t, out, field);
        ++*count;
    }
}

static void put_date(struct http_text *t, struct fill_head *out, int64_t now_s)
{
    char date[HTTP_DATE_LEN + 1];
    struct http_field field = {http_field_name(HTTP_F_DATE), weir_span(date, HTTP_DATE_LEN),
                               HTTP_F_DATE, 0};

    http_date_format(date, now_s);
    put_field(t, out, &field);
    out->field_count++;
}

static void put_coding(struct http_text *t, struct fill_head *out,
                       const struct compressible *coding)
{
    static const struct weir_span name = WEIR_SPAN_LIT("Accept-Encoding");
    struct http_field vary = {http_field_name(HTTP_F_VARY), name, HTTP_F_VARY, HTTP_FF_PROTECTED};

    out->coding = coding->coding;
    out->recodable = coding->yes;
    if (!coding->yes || !coding->vary)
        return;
    put_field(t, out, &vary);
    out->field_count++;
}

bool response_in_build(struct fill_head *out, const struct http_head *head,
                       const struct http_framing *framing, const struct site *site,
                       const struct response_policy *policy, const struct compressible *coding,
                       int64_t now_s, struct weir_err *err)
{
    struct filter filter = {
        .head = head,
        .request_id = weir_span_str(site->source.forward->request_id_field),
        .connection_names = http_head_has(head, HTTP_F_CONNECTION),
        .drop_server = !site->source.forward->server_field,
        .drop_age = policy != NULL,
        .hides = site->source.cache->surrogate_control || !site->source.cache->targets_forward,
        .node = site->source.cache,
        .withholding = policy != NULL && policy->verdict == STORABLE_YES ? &policy->control : NULL,
        .tags = site->source.cache->tag_fields_forward ? NULL : site->source.cache,
    };
    /* Reasons are for people and are written anew; 64 covers the status line, 48 a Date,
     * 32 a Vary. */
    size_t room = http_fields_bytes(head) + 64 + 48 + 32;
    struct http_text t;

    memset(out, 0, sizeof *out);
    out->bytes = weir_blob_new(room);
    out->fields = weir_malloc((head->count + 2) * sizeof *out->fields);
    if (out->bytes == NULL || out->fields == NULL) {
        response_in_clear(out);
        return weir_fail(err, WEIR_E_MEMORY, "response: head", 0);
    }
    http_text_init(&t, out->bytes->bytes, out->bytes->cap);
    http_text_status_line(&t, head->status, WEIR_SPAN_NONE);
    if (!http_head_has(head, HTTP_F_DATE))
        put_date(&t, out, now_s);
    put_fields(&t, out, &filter, GOES_ON, &out->field_count);
    if (coding != NULL)
        put_coding(&t, out, coding);
    out->common = (uint32_t)http_text_len(&t);
    put_fields(&t, out, &filter, GOES_LAST, &out->field_count);
    out->bytes->len = (uint32_t)http_text_len(&t);
    if (filter.hides && policy != NULL)
        put_fields(&t, out, &filter, STAYS, &out->hidden_count);
    out->hidden_len = (uint32_t)http_text_len(&t) - out->bytes->len;
    out->status = head->status;
    out->length = -1;
    if (framing != NULL && framing->has_length)
        out->length = (int64_t)framing->length;
    else if (framing != NULL && framing->kind == HTTP_BODY_NONE)
        out->length = http_status_bodiless(head->status) ? -1 : 0;
    if (policy != NULL)
        out->facts = policy->facts;
    return true;
}

bool response_in_own(const struct http_head **own, const struct http_head *head,
                     const struct response_policy *policy, struct weir_arena *arena)
{
    struct http_head *copy, picked;

    *own = NULL;
    if (policy->verdict != STORABLE_YES || !policy->control.withholds)
        return true;
    http_head_init(&picked, NULL, 0);
    for (uint32_t i = 0; i < head->count; i++)
        if (control_withholds(&policy->control, &head->fields[i]) &&
            !http_head_add(&picked, arena, head->fields[i].name, head->fields[i].value))
            return false;
    if (picked.count == 0)
        return true;
    copy = weir_arena_alloc(arena, sizeof *copy);
    if (copy == NULL || !http_head_copy(copy, &picked, arena))
        return false;
    *own = copy;
    return true;
}

void response_in_clear(struct fill_head *h)
{
    weir_blob_unref(h->bytes);
    weir_free(h->fields);
    h->bytes = NULL;
    h->fields = NULL;
}

bool response_in_view(struct http_head *view, const struct http_field *fields, uint32_t count,
                      int status, struct weir_arena *arena)
{
    http_head_init(view, NULL, 0);
    view->status = status;
    view->minor = 1;
    for (uint32_t i = 0; i < count; i++)
        if (!http_head_add(view, arena, fields[i].name, fields[i].value))
            return false;
    return true;
}
