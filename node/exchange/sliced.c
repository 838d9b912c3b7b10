#include "sliced.h"

#include <string.h>

#include "weir/log.h"
#include "deliver.h"
#include "lookup.h"
#include "purging.h"
#include "slice.h"
#include "sub.h"

/* One slice: asked for, then read. */
struct piece {
    struct sub_exchange *sub;       /* NULL: none, or its answer was stored */
    struct stored_response *stored; /* a reference; NULL: its answer comes by `sub` */
    uint64_t number;
    bool answered;       /* sub has its answer */
    bool ready;          /* which is the right slice: it can be read */
    uint32_t slice;      /* of stored->slices, the next one */
    uint64_t at;         /* which byte of the whole is read next */
    uint64_t end;        /* the byte behind its last one */
    struct weir_err err; /* why it is not ready */
};

struct sliced {
    struct weir_exchange *x;
    struct piece current, next;
    struct http_range left; /* what is still to be sent; none when first > last */
    uint64_t size;          /* of a slice */
    uint64_t complete;
    struct weir_span validator;
    bool probing;  /* the first answer decides */
    bool starting; /* in the call that asks for the first slice: it returns the verdict */
    bool waiting;  /* the client pulled until there was nothing */
    bool closed;
};

static const struct sub_owner owner;

bool sliced_wanted(const struct weir_exchange *x)
{
    uint64_t size = x->route->settings->cache.slice_bytes, number;

    if (x->req.method_id != HTTP_M_GET && x->req.method_id != HTTP_M_HEAD)
        return false;
    return size > 0 && x->slice.size == 0 && !x->unsliced && slice_probe(&x->req, size, &number);
}

/* ---- pieces ---- */

static void drop_piece(struct piece *p)
{
    struct sub_exchange *sub = p->sub;

    stored_response_unref(p->stored);
    memset(p, 0, sizeof *p);
    sub_close(sub);
}

/* Asks for a slice; the answer may come before this returns. */
static void ask_piece(struct sliced *z, struct piece *p, uint64_t number)
{
    drop_piece(p);
    p->number = number;
    p->sub = sub_open(z->x, &owner, z, &p->err);
    if (p->sub == NULL) {
        p->answered = true; /* by p->err */
        return;
    }
    p->sub->x.slice = (struct exchange_slice){number, z->size};
    sub_fetch(p->sub);
}

/* The head of an answer, wherever it comes from. */
struct answer {
    const struct http_field *fields;
    uint32_t field_count;
    int status;
    int64_t length;        /* of its content */
    int64_t response_time; /* of the origin's answer */
    bool storable;         /* or stored */
};

/* false: it is an error of ours. */
static bool answer_of(const struct weir_exchange *sub, struct answer *a)
{
    const struct fill_head *h;

    if (sub->err.code != WEIR_OK || (sub->stored == NULL && sub->reader == NULL))
        return false;
    if (sub->stored != NULL) {
        const struct stored_response *r = sub->stored;

        *a = (struct answer){r->fields,
                             r->field_count,
                             r->status,
                             (int64_t)r->body_len,
                             r->facts.freshness.response_time,
                             true};
        return true;
    }
    h = &sub->reader->fill->head;
    *a = (struct answer){h->fields, h->field_count,          h->status,
                         h->length, sub->loop->clock.wall_s, h->storable};
    return true;
}

/* Is it the slice that was asked for, all of it? */
static bool is_slice(const struct sliced *z, const struct piece *p, const struct answer *a,
                     struct slice_facts *facts)
{
    struct exchange_slice asked = {p->number, z->size};

    return slice_read(a->fields, a->field_count, a->status, &asked, facts) &&
           a->length == (int64_t)http_range_length(&facts->range);
}

/* It can be read from now on. What is stored needs no exchange any more. */
static void make_ready(struct piece *p, const struct slice_facts *facts)
{
    p->ready = true;
    p->at = facts->range.first;
    p->end = facts->range.last + 1;
    if (p->sub->x.stored != NULL) {
        struct sub_exchange *sub = p->sub;

        p->stored = stored_response_ref(sub->x.stored);
        p->sub = NULL;
        sub_close(sub);
    }
}

/* ---- the first answer ---- */

/* Cache-Status and the log speak of the slice that decided. */
static void inherit(struct weir_exchange *x, const struct weir_exchange *sub)
{
    x->fwd = sub->fwd;
    x->hit = sub->hit;
    x->collapsed = sub->collapsed;
    x->age = sub->age;
    x->ttl = sub->ttl;
    x->origin_status = sub->origin_status;
    x->origin_url = sub->origin_url;
    x->upstream_name = sub->upstream_name;
    x->upstream_index = sub->upstream_index;
    x->own = sub->own;
    x->cache_detail = sub->cache_detail != NULL ? sub->cache_detail : "sliced";
}

static void seek(void *state, const struct http_range *part)
{
    struct sliced *z = state;

    z->left = *part;
}

static const struct body_source source;

static enum exchange_verdict deliver(struct sliced *z, const struct answer *a,
                                     const struct slice_facts *facts)
{
    struct weir_exchange *x = z->x, *sub = &z->current.sub->x;
    struct deliver_whole whole = {
        .fields = a->fields,
        .field_count = a->field_count,
        .length = facts->complete,
        .response_time = a->response_time,
        .body = {&source, z},
        .seek = seek,
        .stored = sub->stored == NULL && a->storable,
        .has_age = sub->stored != NULL || sub->age > 0 || sub->collapsed,
    };
    bool delivered;

    z->probing = false;
    z->complete = facts->complete;
    z->left = (struct http_range){0, facts->complete - 1};
    z->validator = weir_arena_dup(&x->arena, facts->validator);
    if (z->validator.ptr == NULL) {
        weir_fail(&x->err, WEIR_E_MEMORY, "sliced: validator", 0);
        sliced_close(z);
        return EXCHANGE_FAIL;
    }
    inherit(x, sub);
    delivered = deliver_whole(x, &whole);
    x->own = NULL; /* it is the sub-exchange's, and has been written */
    if (!delivered)
        return EXCHANGE_FAIL;
    if (!z->closed)
        make_ready(&z->current, facts);
    return EXCHANGE_REPLY;
}

static enum exchange_verdict otherwise(struct sliced *z,
                                       enum exchange_verdict (*go_on)(struct weir_exchange *x))
{
    struct weir_exchange *x = z->x;

    sliced_close(z);
    x->sliced = NULL;
    x->unsliced = true;
    return go_on(x);
}

static enum exchange_verdict fail(struct sliced *z, const struct weir_err *err)
{
    z->x->err = *err;
    sliced_close(z);
    return EXCHANGE_FAIL;
}

static enum exchange_verdict decide(struct sliced *z);

static enum exchange_verdict ask_first(struct sliced *z, uint64_t number)
{
    z->starting = true;
    ask_piece(z, &z->current, number);
    z->starting = false;
    return z->current.answered ? decide(z) : EXCHANGE_WAIT;
}

/* What was asked first has its answer: what does that mean for the request? */
static enum exchange_verdict decide(struct sliced *z)
{
    struct slice_facts facts;
    struct answer a;

    if (z->current.sub == NULL)
        return fail(z, &z->current.err);
    if (!answer_of(&z->current.sub->x, &a))
        return fail(z, &z->current.sub->x.err);
    if (is_slice(z, &z->current, &a, &facts) && a.storable)
        return deliver(z, &a, &facts);
    /* Beyond the end: the first slice tells the length, and with it what 416 or If-Range come to.
     */
    if (a.status == 416 && z->current.number > 0)
        return ask_first(z, 0);
    /* Parts that cannot be put together are the client's own matter with the origin. */
    if (a.status == 206 || a.status == 416)
        return otherwise(z, lookup_pass);
    return otherwise(z, lookup_run);
}

/* ---- answers ---- */

static struct piece *piece_of(struct sliced *z, const struct sub_exchange *s)
{
    return z->current.sub == s ? &z->current : &z->next;
}

/* A further slice: is it of the same whole? */
static void check(struct sliced *z, struct piece *p)
{
    struct slice_facts facts;
    struct answer a;

    if (!answer_of(&p->sub->x, &a)) {
        p->err = p->sub->x.err;
    } else if (is_slice(z, p, &a, &facts) && facts.complete == z->complete &&
               weir_span_eq(facts.validator, z->validator)) {
        make_ready(p, &facts);
        return;
    } else {
        weir_fail(&p->err, WEIR_E_RESPONSE_TRUNCATED, "sliced: the representation has changed", 0);
        weir_log(WEIR_LOG_INFO, "%.*s%.*s has changed between its slices: dropped",
                 (int)z->x->target.authority.len, z->x->target.authority.ptr,
                 (int)z->x->target.path.len, z->x->target.path.ptr);
        purging_drop(z->x);
    }
}

static void on_responded(struct sub_exchange *s)
{
    struct sliced *z = s->arg;
    struct piece *p = piece_of(z, s);
    enum exchange_verdict v;

    p->answered = true;
    if (!z->probing) {
        check(z, p);
        if (p == &z->current && z->waiting) {
            z->waiting = false;
            z->x->client->more(z->x);
        }
        return;
    }
    if (z->starting)
        return;
    v = decide(z);
    if (v != EXCHANGE_WAIT)
        exchange_resume(z->x, v);
}

static void on_more(struct sub_exchange *s)
{
    struct sliced *z = s->arg;

    if (s == z->current.sub && z->waiting) {
        z->waiting = false;
        z->x->client->more(z->x);
    }
}

static const struct sub_owner owner = {on_responded, on_more};

/* ---- the body ---- */

static bool sent_all(const struct sliced *z)
{
    return z->left.first > z->left.last;
}

/* The slice with the next byte becomes the current one. */
static void advance(struct sliced *z)
{
    uint64_t number = slice_holding(z->left.first, z->size);

    if (z->current.number == number && (z->current.answered || z->current.sub != NULL))
        return;
    drop_piece(&z->current);
    if (z->next.number == number && (z->next.answered || z->next.sub != NULL)) {
        z->current = z->next;
        memset(&z->next, 0, sizeof z->next);
        return;
    }
    drop_piece(&z->next);
    ask_piece(z, &z->current, number);
}

/* One slice ahead, so that the origin's answer is there when it is wanted. */
static void ask_ahead(struct sliced *z)
{
    uint64_t number = z->current.number + 1;

    if (z->next.answered || z->next.sub != NULL || number * z->size > z->left.last)
        return;
    ask_piece(z, &z->next, number);
}

/* Bytes of a stored slice; each part holds its blob, for the slice may be let go before it is out.
 */
static enum exchange_pull read_stored(struct piece *p, struct exchange_part *out, unsigned max,
                                      unsigned *n)
{
    const struct stored_response *r = p->stored;

    while (*n < max && p->slice < r->slice_count) {
        struct weir_slice s = r->slices[p->slice++];

        weir_blob_ref(s.blob);
        out[(*n)++] = (struct exchange_part){weir_slice_ptr(s), s.len, s.blob};
    }
    return *n > 0 ? PULL_DATA : PULL_END;
}

/* Cuts off what is not asked for; false if nothing is left of it. */
static bool cut(struct sliced *z, struct exchange_part *part)
{
    struct piece *p = &z->current;
    uint64_t from = p->at, to = p->at + part->len;

    p->at = to;
    if (from < z->left.first) {
        uint64_t skip = z->left.first - from < part->len ? z->left.first - from : part->len;

        part->ptr += skip;
        part->len -= skip;
    }
    if (part->len == 0 || sent_all(z))
        return false;
    if (to > z->left.last + 1)
        part->len -= to - (z->left.last + 1);
    z->left.first += part->len;
    return true;
}

static enum exchange_pull break_off(struct sliced *z, const struct weir_err *err)
{
    z->x->err = *err;
    return PULL_FAILED;
}

static enum exchange_pull wait(struct sliced *z)
{
    z->waiting = true;
    return PULL_WAIT;
}

/* A batch of the current slice. DATA may come without a part: go on. */
static enum exchange_pull read_piece(struct sliced *z, struct exchange_part *out, unsigned max,
                                     unsigned *n)
{
    struct piece *p = &z->current;
    unsigned got = 0;
    enum exchange_pull result =
        p->stored != NULL ? read_stored(p, out, max, &got) : sub_pull(p->sub, out, max, &got);

    switch (result) {
    case PULL_WAIT:
        return wait(z);
    case PULL_END: /* one that is as long as it said has been left behind by now */
        weir_fail(&z->x->err, WEIR_E_RESPONSE_TRUNCATED, "sliced: a slice is too short", 0);
        return PULL_FAILED;
    case PULL_FAILED:
        return break_off(z, &p->sub->x.err);
    case PULL_DATA:
        break;
    }
    for (unsigned i = 0; i < got; i++) {
        struct exchange_part part = out[i];

        if (cut(z, &part))
            out[(*n)++] = part;
        else
            weir_blob_unref(part.blob);
    }
    return PULL_DATA;
}

static enum exchange_pull pull(struct weir_exchange *x, void *state, struct exchange_part *out,
                               unsigned max, unsigned *n)
{
    struct sliced *z = state;

    (void)x;
    while (*n == 0) {
        enum exchange_pull result;

        if (sent_all(z))
            return PULL_END;
        advance(z);
        if (!z->current.answered)
            return wait(z);
        if (!z->current.ready)
            return break_off(z, &z->current.err);
        ask_ahead(z);
        result = read_piece(z, out, max, n);
        if (result != PULL_DATA)
            return result;
    }
    return PULL_DATA;
}

static bool pulled_all(struct weir_exchange *x, const void *state)
{
    (void)x;
    return sent_all(state);
}

static void close_body(struct weir_exchange *x, void *state)
{
    (void)x;
    sliced_close(state);
}

static const struct body_source source = {
    .pull = pull,
    .pulled_all = pulled_all,
    .close = close_body,
};

/* ---- life ---- */

void sliced_close(struct sliced *z)
{
    if (z == NULL || z->closed)
        return;
    z->closed = true;
    drop_piece(&z->current);
    drop_piece(&z->next);
}

enum exchange_verdict sliced_begin(struct weir_exchange *x)
{
    struct sliced *z;
    uint64_t number;

    if (!exchange_hold(x))
        return EXCHANGE_FAIL;
    z = weir_arena_zalloc(&x->arena, sizeof *z);
    if (z == NULL) {
        weir_fail(&x->err, WEIR_E_MEMORY, "sliced: begin", 0);
        return EXCHANGE_FAIL;
    }
    z->x = x;
    z->size = x->route->settings->cache.slice_bytes;
    z->probing = true;
    x->sliced = z;
    slice_probe(&x->req, z->size, &number);
    return ask_first(z, number);
}
