#include "deliver_range.h"

#include "http_date.h"
#include "http_list.h"
#include "http_range.h"
#include "http_text.h"
#include "http_validator.h"

#define BOUNDARY_LEN 32

/* ---- bodies ---- */

/* A part of what is sent: what stands before it, then bytes of the whole. */
struct part {
    struct weir_span lead;
    struct http_range range;
};

/* Parts of a whole that is at hand. */
struct parts_state {
    const struct weir_slice *slices;
    uint32_t slice_count;
    struct http_range left; /* of the part being sent */
    bool led;               /* its lead is out */
    uint32_t slice;         /* the slice that holds byte left.first, or one before it */
    uint64_t slice_at;      /* which byte of the whole it begins with */
    unsigned at, count;
    struct weir_span end; /* after the last part */
    bool ended;
    struct part part[];
};

/* Leads of single parts are empty: nothing to send. */
static void put_text(struct exchange_part *out, unsigned *n, struct weir_span text)
{
    if (text.len > 0)
        out[(*n)++] = (struct exchange_part){text.ptr, text.len, NULL};
}

static void begin_part(struct parts_state *p)
{
    p->left = p->part[p->at].range;
    p->led = true;
    if (p->left.first < p->slice_at) /* parts come in the order asked */
        p->slice = 0, p->slice_at = 0;
}

/* The next bytes of the part, as far as one slice goes. */
static struct exchange_part next_piece(struct parts_state *p)
{
    struct weir_slice s = p->slices[p->slice];
    uint64_t off, len;

    while (p->left.first - p->slice_at >= s.len) {
        p->slice_at += s.len;
        s = p->slices[++p->slice];
    }
    off = p->left.first - p->slice_at;
    len = s.len - off;
    if (len >= http_range_length(&p->left)) {
        len = http_range_length(&p->left);
        p->at++;
        p->led = false;
    } else {
        p->left.first += len;
    }
    return (struct exchange_part){weir_slice_ptr(s) + off, (size_t)len, NULL};
}

static enum exchange_pull parts_pull(struct weir_exchange *x, void *state,
                                     struct exchange_part *out, unsigned max, unsigned *n)
{
    struct parts_state *p = state;

    (void)x;
    while (*n < max && p->at < p->count) {
        if (p->led) {
            out[(*n)++] = next_piece(p);
        } else {
            put_text(out, n, p->part[p->at].lead);
            begin_part(p);
        }
    }
    if (*n < max && p->at == p->count && !p->ended) {
        put_text(out, n, p->end);
        p->ended = true;
    }
    return *n > 0 ? PULL_DATA : PULL_END;
}

static bool parts_pulled_all(struct weir_exchange *x, const void *state)
{
    const struct parts_state *p = state;

    (void)x;
    return p->at == p->count && (p->ended || p->end.len == 0);
}

static const struct body_source parts_source = {
    .pull = parts_pull,
    .pulled_all = parts_pulled_all,
    .at_hand = true,
};

/* One part of a body that comes piece by piece: skips, then stops. */
struct cut_state {
    struct exchange_body from;
    uint64_t skip, left;
};

/* Cuts a piece in place; false when nothing is left of it. */
static bool cut_piece(struct cut_state *c, struct exchange_part *p)
{
    uint64_t skip = c->skip < p->len ? c->skip : p->len;

    c->skip -= skip;
    p->ptr += skip;
    p->len -= skip;
    if (p->len > c->left)
        p->len = (size_t)c->left;
    c->left -= p->len;
    return p->len > 0;
}

static enum exchange_pull cut_pull(struct weir_exchange *x, void *state, struct exchange_part *out,
                                   unsigned max, unsigned *n)
{
    struct cut_state *c = state;

    while (c->left > 0 && *n == 0) {
        unsigned got = 0;
        enum exchange_pull result = body_pull(x, &c->from, out, max, &got);

        if (result != PULL_DATA)
            return result; /* END too: h1 sees that the announced length was not reached */
        for (unsigned i = 0; i < got; i++) {
            struct exchange_part p = out[i];

            if (cut_piece(c, &p))
                out[(*n)++] = p;
            else
                weir_blob_unref(p.blob);
        }
    }
    return *n > 0 ? PULL_DATA : PULL_END;
}

static bool cut_pulled_all(struct weir_exchange *x, const void *state)
{
    const struct cut_state *c = state;

    (void)x;
    return c->left == 0;
}

static void cut_close(struct weir_exchange *x, void *state)
{
    struct cut_state *c = state;

    body_close(x, &c->from);
}

static const struct body_source cut_source = {
    .pull = cut_pull,
    .pulled_all = cut_pulled_all,
    .close = cut_close,
};

/* ---- does the Range count ---- */

bool range_permitted(const struct http_field *fields, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (fields[i].id == HTTP_F_ACCEPT_RANGES &&
            weir_span_ieq(fields[i].value, WEIR_SPAN_LIT("none")))
            return false;
    return true;
}

/* The date in the single line of a field, or INT64_MIN. */
static int64_t date_of(const struct http_head *h, uint16_t id, int64_t now)
{
    int64_t at;

    if (!http_head_has(h, id) || http_head_repeats(h, id) ||
        !http_date_parse(http_head_value(h, id), now, &at))
        return INT64_MIN;
    return at;
}

/* If-Range (RFC 9110 13.1.5): strong comparison only, so the parts fit what the client has. */
static bool if_range_holds(const struct weir_exchange *x, const struct http_head *view)
{
    int64_t now = x->loop->clock.wall_s;
    struct http_etag tag;

    if (!http_head_has(&x->req, HTTP_F_IF_RANGE))
        return true;
    return http_if_range(&x->req, http_etag_of(view, &tag) ? &tag : NULL,
                         date_of(view, HTTP_F_LAST_MODIFIED, now), date_of(view, HTTP_F_DATE, now),
                         now) != HTTP_COND_FALSE;
}

/* ---- heads ---- */

/* True of this content alone: not of a part of it, nor of what it is a part of. */
static bool of_one_content(const struct http_field *f, const void *ctx)
{
    (void)ctx;
    return f->id == HTTP_F_CONTENT_RANGE || f->id == HTTP_F_CONTENT_DIGEST ||
           f->id == HTTP_F_CONTENT_MD5;
}

void range_make_whole(struct http_head *view)
{
    http_head_remove_if(view, of_one_content, NULL);
    view->status = 200;
}

/* What describes the representation or permits storing says nothing of a 416. */
static bool not_in_416(const struct http_field *f, const void *ctx)
{
    switch (f->id) {
    case HTTP_F_CONTENT_TYPE:
    case HTTP_F_CONTENT_ENCODING:
    case HTTP_F_CONTENT_LANGUAGE:
    case HTTP_F_CONTENT_LOCATION:
    case HTTP_F_CONTENT_DISPOSITION:
    case HTTP_F_REPR_DIGEST:
    case HTTP_F_DIGEST:
    case HTTP_F_CACHE_CONTROL:
    case HTTP_F_CDN_CACHE_CONTROL:
    case HTTP_F_EXPIRES:
        return true;
    default:
        return of_one_content(f, ctx);
    }
}

/* Content-Range; r NULL: unsatisfied. */
static bool add_content_range(struct weir_exchange *x, struct http_head *view,
                              const struct http_range *r, uint64_t length)
{
    char *buf = weir_arena_alloc(&x->arena, HTTP_CONTENT_RANGE_MAX);
    struct http_text t;

    if (buf == NULL)
        return false;
    http_text_init(&t, buf, HTTP_CONTENT_RANGE_MAX);
    http_text_content_range(&t, r, length);
    return http_head_add_id(view, &x->arena, HTTP_F_CONTENT_RANGE, http_text_span(&t));
}

static enum range_outcome fail(struct weir_exchange *x)
{
    weir_fail(&x->err, WEIR_E_MEMORY, "deliver: range", 0);
    return RANGE_FAILED;
}

static enum range_outcome refuse(struct weir_exchange *x, struct http_head *view, uint64_t length)
{
    http_head_remove_if(view, not_in_416, NULL);
    view->status = 416;
    if (!http_head_add_id(view, &x->arena, HTTP_F_CACHE_CONTROL, WEIR_SPAN_LIT("no-store")) ||
        !add_content_range(x, view, NULL, length))
        return fail(x);
    x->response.length = 0;
    return RANGE_UNSATISFIABLE;
}

/* ---- several parts ---- */

/*
 * Nobody who makes content can know it (RFC 9110 14.6: it must not occur in there): a keyed hash of
 * a number never used twice.
 */
static void draw_boundary(struct weir_exchange *x, char out[BOUNDARY_LEN])
{
    uint64_t seed[3] = {x->w->request_ids++, (uint64_t)x->began_us, UINT64_C(0x626f756e64617279)};
    struct weir_hash128 h = weir_hash128(x->w->secret, seed, sizeof seed);
    struct http_text t;

    http_text_init(&t, out, BOUNDARY_LEN);
    http_text_hex(&t, h.hi, 16);
    http_text_hex(&t, h.lo, 16);
}

/* The lines before a part (RFC 9110 14.6). */
static bool write_lead(struct weir_exchange *x, struct part *p, bool first,
                       struct weir_span boundary, struct weir_span type, uint64_t length)
{
    size_t room = boundary.len + type.len + HTTP_CONTENT_RANGE_MAX + 64;
    char *buf = weir_arena_alloc(&x->arena, room);
    struct http_text t;

    if (buf == NULL)
        return false;
    http_text_init(&t, buf, room);
    if (!first)
        http_text_lit(&t, "\r\n");
    http_text_lit(&t, "--");
    http_text_add(&t, boundary);
    http_text_lit(&t, "\r\n");
    if (type.ptr != NULL)
        http_text_field(&t, http_field_name(HTTP_F_CONTENT_TYPE), type);
    http_text_lit(&t, "Content-Range: ");
    http_text_content_range(&t, &p->range, length);
    http_text_lit(&t, "\r\n\r\n");
    p->lead = http_text_span(&t);
    return true;
}

static bool write_leads(struct weir_exchange *x, struct parts_state *p, struct http_head *view,
                        uint64_t length)
{
    struct weir_span type = http_head_value(view, HTTP_F_CONTENT_TYPE);
    size_t room = 2 * BOUNDARY_LEN + 80;
    char *buf = weir_arena_alloc(&x->arena, room), boundary[BOUNDARY_LEN];
    struct weir_span name = {boundary, BOUNDARY_LEN}, media;
    struct http_text t;

    if (buf == NULL)
        return false;
    draw_boundary(x, boundary);
    for (unsigned i = 0; i < p->count; i++)
        if (!write_lead(x, &p->part[i], i == 0, name, type, length))
            return false;
    http_text_init(&t, buf, room);
    http_text_lit(&t, "\r\n--");
    http_text_add(&t, name);
    http_text_lit(&t, "--\r\n");
    p->end = http_text_span(&t);
    http_text_lit(&t, "multipart/byteranges; boundary=");
    http_text_add(&t, name);
    media = weir_span(p->end.ptr + p->end.len, http_text_len(&t) - p->end.len);
    return http_head_set_id(view, &x->arena, HTTP_F_CONTENT_TYPE, media);
}

static struct parts_state *new_parts(struct weir_exchange *x, const struct http_ranges *set,
                                     const struct range_whole *whole)
{
    struct parts_state *p = weir_arena_alloc(&x->arena, sizeof *p + set->count * sizeof p->part[0]);

    if (p == NULL)
        return NULL;
    *p = (struct parts_state){.slices = whole->slices,
                              .slice_count = whole->slice_count,
                              .count = set->count};
    for (unsigned i = 0; i < set->count; i++)
        p->part[i] = (struct part){WEIR_SPAN_NONE, set->at[i]};
    return p;
}

static uint64_t parts_length(const struct parts_state *p)
{
    uint64_t sum = p->end.len;

    for (unsigned i = 0; i < p->count; i++)
        sum += p->part[i].lead.len + http_range_length(&p->part[i].range);
    return sum;
}

/* ---- the answer ---- */

static bool set_parts(struct weir_exchange *x, struct http_head *view,
                      const struct http_ranges *set, const struct range_whole *whole)
{
    struct parts_state *p = new_parts(x, set, whole);

    if (p == NULL)
        return false;
    if (set->count == 1 ? !add_content_range(x, view, &set->at[0], whole->length)
                        : !write_leads(x, p, view, whole->length))
        return false;
    x->response.length = (int64_t)parts_length(p);
    x->response.body = (struct exchange_body){&parts_source, p};
    return true;
}

static bool set_cut(struct weir_exchange *x, struct http_head *view, const struct http_range *r,
                    const struct range_whole *whole)
{
    struct cut_state *c;

    if (!add_content_range(x, view, r, whole->length))
        return false;
    if (whole->seek != NULL) {
        whole->seek(whole->body.state, r);
        x->response.length = (int64_t)http_range_length(r);
        x->response.body = whole->body;
        return true;
    }
    c = weir_arena_alloc(&x->arena, sizeof *c);
    if (c == NULL)
        return false;
    *c = (struct cut_state){whole->body, r->first, http_range_length(r)};
    x->response.length = (int64_t)c->left;
    x->response.body = (struct exchange_body){&cut_source, c};
    return true;
}

enum range_outcome deliver_range(struct weir_exchange *x, struct http_head *view,
                                 const struct range_whole *whole)
{
    struct http_ranges set;
    bool ok;

    switch (http_ranges_of(&x->req, whole->length, &set)) {
    case HTTP_RANGE_WHOLE:
        return RANGE_NO;
    case HTTP_RANGE_UNSATISFIABLE:
        return if_range_holds(x, view) ? refuse(x, view, whole->length) : RANGE_NO;
    case HTTP_RANGE_PARTS:
        break;
    }
    if ((whole->slices == NULL && set.count > 1) || !if_range_holds(x, view))
        return RANGE_NO;
    http_head_remove_if(view, of_one_content, NULL);
    view->status = 206;
    ok = whole->slices != NULL ? set_parts(x, view, &set, whole)
                               : set_cut(x, view, &set.at[0], whole);
    return ok ? RANGE_PARTS : fail(x);
}
