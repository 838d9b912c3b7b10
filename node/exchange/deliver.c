#include "deliver.h"

#include <string.h>

#include "body_coded.h"
#include "cache_report.h"
#include "cache_status.h"
#include "compose.h"
#include "connection_rules.h"
#include "deliver_range.h"
#include "edits.h"
#include "http_coding_tag.h"
#include "http_text.h"
#include "limit_stage.h"
#include "negotiate.h"
#include "recoder.h"
#include "response_in.h"
#include "sticky.h"
#include "stored.h"
#include "trace.h"
#include "validate.h"

#define SHORT_TAG 128 /* longer ones find no room beside the head */

/* What is needed of a head, wherever it comes from. */
struct source {
    int status;
    struct weir_span head;
    const struct http_field *fields;
    uint32_t field_count;
    int64_t length;
    int64_t response_time;
    struct exchange_body body;
    const struct stored_response
        *stored;           /* whose bytes are all at hand; NULL: they come by `body` */
    struct weir_span etag; /* the origin's */
    uint32_t common;       /* bytes of head that hold for each coding; 0: not known */
    enum coding sent;      /* what the head says */
    enum coding coding;    /* what goes out */
    bool negotiated;       /* it could be another one */
    bool lines;            /* ETag and Content-Encoding go out apart from the head */
    bool page;             /* a template: what goes out is made of it */
    bool announce;         /* ranges are answered, and the head does not say so yet */
    bool part;             /* the fields are those of a 206 that is a part of it */
    void (*seek)(void *state, const struct http_range *part); /* of `body`; may be NULL */
};

/* ---- the answer's own fields ---- */

static void put_age(struct http_text *t, int64_t age)
{
    char digits[CACHE_AGE_MAX];

    http_text_lit(t, "Age: ");
    http_text_bytes(t, digits, cache_age_write(digits, age));
    http_text_lit(t, "\r\n");
}

static void put_sticky(struct http_text *t, const struct weir_exchange *x)
{
    const struct site_upstream *u = &x->site->site->upstreams[x->upstream_index];
    char value[STICKY_VALUE_LEN + 1];

    if (x->sticky_set < 0 || u->sticky == NULL)
        return;
    sticky_value(u->sticky, x->sticky_set, value);
    http_text_lit(t, "Set-Cookie: ");
    http_text_add(t, weir_span_str(u->settings->sticky_cookie));
    http_text_lit(t, "=");
    http_text_bytes(t, value, STICKY_VALUE_LEN);
    http_text_lit(t, "; Path=/; HttpOnly; SameSite=Lax");
    if (u->settings->sticky_max_age_s > 0) {
        http_text_lit(t, "; Max-Age=");
        http_text_i64(t, u->settings->sticky_max_age_s);
    }
    if (x->secure)
        http_text_lit(t, "; Secure");
    http_text_lit(t, "\r\n");
}

/* A key takes more room than is put by for the others, and so do limits. */
static void begin_extra(struct weir_exchange *x, struct http_text *t)
{
    size_t more = cache_report_tells_key(x) ? CACHE_REPORT_MAX_KEY : 0;
    size_t room;
    char *buf;

    if (x->limited != NULL)
        more += limit_stage_room(x);
    more += connection_fields_room(x);
    room = sizeof x->extra + more;
    buf = more > 0 ? weir_arena_alloc(&x->arena, room) : NULL;
    if (buf != NULL)
        http_text_init(t, buf, room);
    else
        http_text_init(t, x->extra, sizeof x->extra);
}

/* The end of the head, as it is in another coding than the origin's. */
static void put_coding(struct http_text *t, const struct source *s)
{
    char buf[HTTP_CODING_TAG_MAX + HTTP_CODING_SUFFIX_MAX];
    struct http_text tag;

    http_text_init(&tag, buf, sizeof buf);
    if (http_coding_tag(&tag, s->etag, s->coding))
        http_text_field(t, http_field_name(HTTP_F_ETAG), http_text_span(&tag));
    if (s->coding != CODING_IDENTITY)
        http_text_field(t, http_field_name(HTTP_F_CONTENT_ENCODING), coding_name(s->coding));
}

static void put_extra(struct weir_exchange *x, const struct source *s, bool has_age, bool stored,
                      bool has_ttl)
{
    const struct site *site = x->site->site;
    struct http_text t;

    begin_extra(x, &t);
    if (s->lines)
        put_coding(&t, s);
    if (has_age && !s->page)
        put_age(&t, x->age);
    if (site->source.forward->via)
        http_text_bytes(&t, site->via, site->via_len);
    if (site->source.cache->status_field)
        cache_report_put(&t, x, stored, has_ttl);
    if (s->announce)
        http_text_lit(&t, "Accept-Ranges: bytes\r\n");
    if (x->limited != NULL)
        limit_stage_put(&t, x);
    put_sticky(&t, x);
    connection_fields_put(&t, x);
    if (!x->hit && site->source.forward->request_id_field[0] != '\0')
        http_text_field(&t, weir_span_str(site->source.forward->request_id_field),
                        trace_request_id(x));
    x->response.extra = http_text_span(&t);
}

/* ---- heads that are not sent as they stand ---- */

static bool serialize(struct weir_exchange *x, const struct http_head *head)
{
    size_t room = http_fields_bytes(head) + 64;
    char *buf = weir_arena_alloc(&x->arena, room);
    struct http_text t;

    if (buf == NULL)
        return weir_fail(&x->err, WEIR_E_MEMORY, "deliver: head", 0);
    http_text_init(&t, buf, room);
    http_text_status_line(&t, head->status, WEIR_SPAN_NONE);
    http_text_fields(&t, head);
    x->response.head = http_text_span(&t);
    return http_text_ok(&t) || weir_fail(&x->err, WEIR_E_INTERNAL, "deliver: head", 0);
}

/* The view as it is in coding c. */
static bool view_coded(struct weir_exchange *x, const struct source *s, struct http_head *view,
                       enum coding c)
{
    const size_t size = HTTP_CODING_TAG_MAX + HTTP_CODING_SUFFIX_MAX;
    struct http_text t;
    char *buf;
    bool ok = true;

    http_head_remove(view, HTTP_F_ETAG);
    http_head_remove(view, HTTP_F_CONTENT_ENCODING);
    if (c == s->sent && s->etag.ptr != NULL) {
        ok = http_head_add_id(view, &x->arena, HTTP_F_ETAG, s->etag);
    } else if (s->etag.ptr != NULL) {
        buf = weir_arena_alloc(&x->arena, size);
        http_text_init(&t, buf, buf != NULL ? size : 0);
        ok = buf != NULL;
        if (ok && http_coding_tag(&t, s->etag, c))
            ok = http_head_add_id(view, &x->arena, HTTP_F_ETAG, http_text_span(&t));
    }
    if (ok && c != CODING_IDENTITY)
        ok = http_head_add_id(view, &x->arena, HTTP_F_CONTENT_ENCODING, coding_name(c));
    return ok || weir_fail(&x->err, WEIR_E_MEMORY, "deliver: head", 0);
}

/* What a 304 carries: nothing that describes the content it does not have (RFC 9110 15.4.5). */
static bool not_in_304(const struct http_field *f, const void *ctx)
{
    (void)ctx;
    switch (f->id) {
    case HTTP_F_CONTENT_TYPE:
    case HTTP_F_CONTENT_ENCODING:
    case HTTP_F_CONTENT_LANGUAGE:
    case HTTP_F_CONTENT_RANGE:
    case HTTP_F_ACCEPT_RANGES:
    case HTTP_F_LAST_MODIFIED:
        return true;
    default:
        return false;
    }
}

static bool edit(struct weir_exchange *x, struct http_head *head)
{
    struct template_values v;
    char client[NET_TEXT_MAX];

    if (x->route->response_edits != NULL) {
        trace_request_id(x);
        exchange_template_values(x, &v, client);
        if (!edits_apply(x->route->response_edits, &v, head, &x->arena, &x->err))
            return false;
    }
    connection_fields_remove(x, head); /* ours are put beside the head */
    return true;
}

/* A 304 from a 200: what the client has is still right. */
static void not_modified(struct weir_exchange *x, const struct source *s, struct http_head *view)
{
    struct exchange_response *r = &x->response;
    bool has_etag = http_head_has(view, HTTP_F_ETAG);

    http_head_remove_if(view, not_in_304, NULL);
    if (!has_etag) /* then Last-Modified is the validator the client needs */
        for (uint32_t i = 0; i < s->field_count; i++)
            if (s->fields[i].id == HTTP_F_LAST_MODIFIED)
                http_head_add_id(view, &x->arena, HTTP_F_LAST_MODIFIED, s->fields[i].value);
    view->status = 304;
    r->length = -1;
    r->bodiless = true;
}

/* Can parts of it be sent, if its fields permit? */
static bool maybe_range(const struct weir_exchange *x, const struct source *s)
{
    return s->status == 200 && s->length >= 0 && !x->pass && range_asked(&x->req) &&
           s->coding == s->sent && /* of what we made nobody asks for parts */
           range_permitted(s->fields, s->field_count);
}

static enum range_outcome cut(struct weir_exchange *x, const struct source *s,
                              struct http_head *view)
{
    struct range_whole whole = {.body = s->body, .length = (uint64_t)s->length, .seek = s->seek};

    if (s->stored != NULL) {
        struct exchange_content content = exchange_content(x);

        whole.slices = content.slices;
        whole.slice_count = content.slice_count;
    }
    return deliver_range(x, view, &whole);
}

/* What the view becomes, conditions in their order (RFC 9110 13.2.2). *changed: not what it was.
 * If-Match and If-Unmodified-Since are not for a cache to judge (RFC 9111 4.3.2). */
static bool judge(struct weir_exchange *x, const struct source *s, struct http_head *view,
                  bool conditional, bool ranged, bool *changed)
{
    enum range_outcome outcome = RANGE_NO;
    /* A client that holds it in one coding need not get it in another. */
    enum coding held =
        conditional && s->negotiated ? negotiate_listed(x, s->etag, s->sent) : CODING_OTHER;

    if (held != CODING_OTHER && !view_coded(x, s, view, held))
        return false;
    if (held != CODING_OTHER || (conditional && validate_client(&x->req, view, s->response_time))) {
        not_modified(x, s, view);
        *changed = true;
        return true;
    }
    if (ranged)
        outcome = cut(x, s, view);
    *changed = outcome != RANGE_NO;
    return outcome != RANGE_FAILED;
}

/* A template: the page is neither conditional nor sent in parts, and nobody else's. */
static bool deliver_page(struct weir_exchange *x, struct source *s, struct http_head *view)
{
    s->page = true;
    s->announce = false;
    x->response.length = -1;
    if (!compose_head(x, view))
        return weir_fail(&x->err, WEIR_E_MEMORY, "deliver: head", 0);
    return compose_begin(x) && edit(x, view) && serialize(x, view);
}

/* What was kept apart from others joins what they get too. */
static bool add_own(struct weir_exchange *x, struct http_head *head)
{
    for (uint32_t i = 0; x->own != NULL && i < x->own->count; i++)
        if (!http_head_add(head, &x->arena, x->own->fields[i].name, x->own->fields[i].value))
            return weir_fail(&x->err, WEIR_E_MEMORY, "deliver: head", 0);
    return true;
}

/* A 304 to a condition that the origin answered, not we: the tag is the one that the client has. */
static bool tag_of_pass(struct weir_exchange *x, const struct source *s, struct http_head *view)
{
    enum coding held = negotiate_listed(x, s->etag, CODING_IDENTITY);

    if (held == CODING_OTHER || held == CODING_IDENTITY)
        return true;
    return view_coded(x, s, view, held) && (http_head_remove(view, HTTP_F_CONTENT_ENCODING), true);
}

static bool is_304_of_pass(const struct weir_exchange *x, const struct source *s)
{
    return x->pass && s->status == 304 && x->route->settings->compression.enabled &&
           http_head_has(&x->req, HTTP_F_IF_NONE_MATCH);
}

/* The common end: as it stands if nothing has to change, the usual case. */
static bool deliver(struct weir_exchange *x, struct source *s)
{
    struct exchange_response *r = &x->response;
    bool conditional = s->status == 200 &&
                       (x->req.method_id == HTTP_M_GET || x->req.method_id == HTTP_M_HEAD ||
                        x->req.method_id == HTTP_M_QUERY) &&
                       !x->pass && validate_is_conditional(&x->req);
    bool ranged = maybe_range(x, s);
    bool recoded = s->coding != s->sent;
    bool retagged = is_304_of_pass(x, s);
    bool changed = false;
    bool rewritten = x->route->response_edits != NULL || x->own != NULL ||
                     connection_fields_replace(x, s->fields, s->field_count);
    bool page = x->route->settings->cache.esi.enabled && x->slice.size == 0 && !s->part;
    struct http_head view;

    r->status = s->status;
    r->head = s->head;
    r->length = s->length;
    r->body = s->body;
    r->bodiless = x->req.method_id == HTTP_M_HEAD || http_status_bodiless(s->status);
    if (r->bodiless)
        r->body = BODY_EMPTY;
    if (recoded && s->common > 0 && s->etag.len <= SHORT_TAG) {
        r->head.len = s->common;
        s->lines = true;
    }
    if (!conditional && !ranged && recoded == s->lines && !retagged && !rewritten && !page &&
        !s->part)
        return true;
    if (!response_in_view(&view, s->fields, s->field_count, s->status, &x->arena))
        return weir_fail(&x->err, WEIR_E_MEMORY, "deliver: head", 0);
    if (s->part)
        range_make_whole(&view);
    if (!add_own(x, &view))
        return false;
    if (page && compose_applies(x, &view))
        return deliver_page(x, s, &view);
    if ((recoded && !view_coded(x, s, &view, s->coding)) ||
        (retagged && !tag_of_pass(x, s, &view)) ||
        !judge(x, s, &view, conditional, ranged, &changed))
        return false;
    if (!changed && recoded == s->lines && !retagged && !rewritten && !s->part)
        return true;
    s->lines = false;
    r->status = view.status;
    if (r->bodiless || r->status == 416)
        r->body = BODY_EMPTY;
    if (s->announce && r->status != 304 &&
        !http_head_add_id(&view, &x->arena, HTTP_F_ACCEPT_RANGES, WEIR_SPAN_LIT("bytes")))
        return weir_fail(&x->err, WEIR_E_MEMORY, "deliver: head", 0);
    s->announce = false;
    return edit(x, &view) && serialize(x, &view);
}

/* Where the head promises another coding than the content has, a coder makes it. */
static bool code_on_the_way(struct weir_exchange *x, const struct source *s, enum coding has)
{
    struct recoder_settings levels;

    if (s->coding == has || s->page || x->response.bodiless || x->response.body.source == NULL)
        return true;
    negotiate_levels(x->site->site, &levels);
    weir_metric_add(x->w->metrics, WEIR_M_streams_coded, 1);
    return body_coded(x, has, s->coding, levels.level[s->coding]);
}

bool deliver_stored(struct weir_exchange *x, bool stored)
{
    const struct stored_response *s = x->stored;
    const struct exchange_content content = exchange_content(x);
    enum coding has = x->form != NULL ? x->form->coding : s->coding;
    struct source source = {
        .status = s->status,
        .head = weir_span(s->head->bytes, s->head->len),
        .fields = s->fields,
        .field_count = s->field_count,
        .length = http_status_bodiless(s->status) ? -1 : (int64_t)content.len,
        .etag = s->etag,
        .common = s->head_common,
        .sent = s->sent_coding,
        .coding = has,
        .negotiated = s->forms != NULL,
        .response_time = s->facts.freshness.response_time,
        .body = body_stored(),
        .stored = s,
        .announce = s->status == 200 && s->ranges_unsaid && content.as_sent,
    };

    /* What we coded ourselves we can undo for a client that would not be able to. */
    if (has != s->sent_coding && (s->as_sent_only || !negotiate_accepts(x, has))) {
        source.coding = CODING_IDENTITY;
        source.length = -1;
    }
    if (!deliver(x, &source) || !code_on_the_way(x, &source, has))
        return false;
    put_extra(x, &source, true, stored, true);
    return true;
}

bool deliver_fill(struct weir_exchange *x)
{
    const struct fill_head *h = &x->reader->fill->head;
    struct source source = {
        .status = h->status,
        .head = weir_span(h->bytes->bytes, h->bytes->len),
        .fields = h->fields,
        .field_count = h->field_count,
        .length = h->length,
        .response_time = x->loop->clock.wall_s,
        .etag = h->etag,
        .common = h->common,
        .sent = h->coding,
        .coding = negotiate_fill(x, h),
        .negotiated = h->recodable,
        .body = body_fill(),
    };
    bool has_age = false;

    if (source.coding != source.sent)
        source.length = -1;

    if (x->cache_detail == NULL)
        x->cache_detail = h->detail;
    if (!x->pass) {
        x->age = reuse_age(&h->facts.reuse, x->loop->clock.wall_s);
        x->ttl = h->facts.reuse.lifetime - x->age;
        /* Of a response that was made for this request Age would say that it was not, unless it
         * says so itself (RFC 9111 5.1). */
        has_age = x->hit || x->collapsed || h->facts.freshness.age > 0;
    }
    if (!deliver(x, &source) || !code_on_the_way(x, &source, h->coding))
        return false;
    if (x->origin_status == 0 && !x->hit)
        x->origin_status = h->status;
    put_extra(x, &source, has_age, h->storable, !x->pass && h->storable);
    return true;
}

bool deliver_whole(struct weir_exchange *x, const struct deliver_whole *w)
{
    struct source source = {
        .status = 200,
        .fields = w->fields,
        .field_count = w->field_count,
        .length = (int64_t)w->length,
        .response_time = w->response_time,
        .body = w->body,
        .announce = true,
        .part = true,
        .seek = w->seek,
    };
    struct exchange_body body = w->body;

    for (uint32_t i = 0; i < w->field_count; i++)
        if (w->fields[i].id == HTTP_F_ACCEPT_RANGES)
            source.announce = false;
    if (!deliver(x, &source)) {
        body_close(x, &body);
        x->response.body = BODY_EMPTY;
        return false;
    }
    if (x->response.body.source == NULL)
        body_close(x, &body);
    put_extra(x, &source, w->has_age, w->stored, true);
    return true;
}
