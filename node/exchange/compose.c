#include "compose.h"

#include <assert.h>
#include <string.h>

#include "weir/log.h"
#include "esi_page.h"
#include "esi_parser.h"
#include "http_cache_control.h"
#include "stages.h"
#include "sub.h"
#include "tier.h"

#define PIECES_MAX  16    /* read ahead of what is sent */
#define AHEAD_BYTES 65536 /* of text among them, about */
#define AHEAD_SUBS  4     /* fragments of one template under way at a time */

/*
 * An include: started -> answered -> judged -> its body is drawn.
 * `over`: nothing (more) comes of it.
 */
struct include {
    struct compose *c;
    struct weir_span src, alt; /* alt: ptr NULL once it has been tried */
    struct sub_exchange *sub;  /* NULL: not started, or over */
    bool go_on, answered, judged, over;
    uint64_t drawn; /* bytes */
};

struct piece {
    struct exchange_part text; /* with a reference, where it has a blob */
    struct include *include;   /* NULL: text */
};

struct compose {
    struct weir_exchange *x;
    const struct esi_settings *settings;
    struct exchange_body template;
    struct exchange_part part; /* of the template, being parsed */
    struct weir_span rest;     /* of it */
    bool ended;                /* the template */
    bool done;                 /* and all pieces of it are in the queue */
    bool failed;               /* x->err says why */
    bool busy, again;          /* somebody called while we were at it */
    unsigned subs;             /* under way */
    unsigned subs_max;
    struct piece piece[PIECES_MAX]; /* a ring */
    unsigned first, count;
    size_t queued_bytes;
    uint64_t bytes; /* given out */
    struct esi_parser parser;
};

/* ---- the queue ---- */

static struct piece *piece_at(struct compose *c, unsigned i)
{
    return &c->piece[(c->first + i) % PIECES_MAX];
}

static struct piece *new_piece(struct compose *c)
{
    assert(c->count < PIECES_MAX);
    return piece_at(c, c->count++);
}

static void pop(struct compose *c)
{
    c->queued_bytes -= piece_at(c, 0)->text.len;
    c->first = (c->first + 1) % PIECES_MAX;
    c->count--;
}

static bool fail(struct compose *c, enum weir_code code, const char *where)
{
    c->failed = true;
    return weir_fail(&c->x->err, code, where, 0);
}

static bool queue_text(struct compose *c, struct exchange_part text)
{
    *new_piece(c) = (struct piece){.text = text};
    c->queued_bytes += text.len;
    return true;
}

/* Text in place keeps the blob of its part; what the parser held is copied. */
static bool add_text(struct compose *c, const struct esi_token *t)
{
    struct exchange_part text = {t->text.ptr, t->text.len, c->part.blob};

    if (!t->held) {
        if (text.blob != NULL)
            weir_blob_ref(text.blob);
        return queue_text(c, text);
    }
    text.blob = weir_blob_new(text.len);
    if (text.blob == NULL)
        return fail(c, WEIR_E_MEMORY, "esi: text");
    memcpy(text.blob->bytes, t->text.ptr, t->text.len);
    text.blob->len = (uint32_t)t->text.len;
    text.ptr = text.blob->bytes;
    return queue_text(c, text);
}

static bool add_include(struct compose *c, const struct esi_include *from)
{
    struct weir_arena *a = &c->x->arena;
    struct include *inc = weir_arena_zalloc(a, sizeof *inc);

    if (inc != NULL) {
        inc->c = c;
        inc->go_on = from->go_on;
        inc->src = weir_arena_dup(a, from->src);
        if (from->alt.ptr != NULL)
            inc->alt = weir_arena_dup(a, from->alt);
    }
    if (inc == NULL || inc->src.ptr == NULL || (from->alt.ptr != NULL && inc->alt.ptr == NULL))
        return fail(c, WEIR_E_MEMORY, "esi: include");
    *new_piece(c) = (struct piece){.include = inc};
    return true;
}

/* ---- the template ---- */

enum step { STEP_PIECE, STEP_WAIT, STEP_END, STEP_FAILED };

static enum step step_of(bool ok)
{
    return ok ? STEP_PIECE : STEP_FAILED;
}

static void drop_part(struct compose *c)
{
    weir_blob_unref(c->part.blob);
    c->part = (struct exchange_part){NULL, 0, NULL};
    c->rest = WEIR_SPAN_NONE;
}

static enum step template_end(struct compose *c)
{
    struct esi_token t;

    if (!c->ended && esi_parser_unclosed(&c->parser) && weir_log_enabled(WEIR_LOG_INFO))
        weir_log(WEIR_LOG_INFO, "esi: %.*s: <esi:remove> without end", (int)c->x->target.path.len,
                 c->x->target.path.ptr);
    if (!c->ended && esi_parser_end(&c->parser, &t) == ESI_TEXT) {
        c->ended = true;
        return step_of(add_text(c, &t));
    }
    c->ended = c->done = true;
    return STEP_END;
}

static enum step next_part(struct compose *c)
{
    unsigned n = 0;

    drop_part(c);
    if (c->ended)
        return template_end(c);
    switch (body_pull(c->x, &c->template, &c->part, 1, &n)) {
    case PULL_DATA:
        c->rest = weir_span(c->part.ptr, c->part.len);
        return STEP_PIECE;
    case PULL_WAIT:
        return STEP_WAIT;
    case PULL_END:
        return template_end(c);
    case PULL_FAILED:
        break;
    }
    c->failed = true;
    return STEP_FAILED;
}

/* One more piece of the template. */
static enum step parse(struct compose *c)
{
    struct esi_token t;

    for (;;) {
        unsigned before = c->count;
        enum step s;

        switch (esi_parser_next(&c->parser, &c->rest, &t)) {
        case ESI_TEXT:
            return step_of(add_text(c, &t));
        case ESI_INCLUDE:
            return step_of(add_include(c, &t.include));
        case ESI_MORE:
            break;
        }
        s = next_part(c);
        if (s != STEP_PIECE || c->count > before)
            return s;
    }
}

/* ---- fragments ---- */

static void wake(struct compose *c)
{
    struct weir_exchange *x = c->x;

    if (c->busy)
        c->again = true;
    else if (x->responded)
        x->client->more(x);
    else if (x->waiting && x->stage == STAGE_COMPOSE)
        exchange_resume(x, EXCHANGE_WAIT);
}

void compose_wake(struct weir_exchange *x)
{
    wake(x->compose);
}

static void on_responded(struct sub_exchange *s)
{
    struct include *inc = s->arg;

    inc->answered = true;
    wake(inc->c);
}

static void on_more(struct sub_exchange *s)
{
    const struct include *inc = s->arg;

    wake(inc->c);
}

static const struct sub_owner owner = {on_responded, on_more};

/* Whoever is asked at another host gets nothing that was meant for this one. */
static bool for_this_host(const struct http_field *f, const void *ctx)
{
    (void)ctx;
    return f->id == HTTP_F_COOKIE || f->id == HTTP_F_AUTHORIZATION ||
           f->id == HTTP_F_X_FORWARDED_HOST || f->id == HTTP_F_FORWARDED;
}

/* Is the page, or one it is a fragment of, asked for again? */
static bool repeats(const struct weir_exchange *x, const struct http_target *t)
{
    for (; x != NULL; x = x->parent)
        if (weir_span_eq(x->target.authority, t->authority) &&
            weir_span_eq(x->target.origin_form, t->origin_form))
            return true;
    return false;
}

/* The host it is asked at; its bytes go into the midst of others, so they must not be coded. */
static bool set_fields(struct sub_exchange *s, struct weir_span authority)
{
    struct http_head *req = &s->x.req;
    struct weir_arena *a = &s->x.arena;

    return (authority.len == 0 || http_head_set_id(req, a, HTTP_F_HOST, authority)) &&
           http_head_set_id(req, a, HTTP_F_ACCEPT_ENCODING, WEIR_SPAN_LIT("identity"));
}

/* src, as a request-target is read, and judged. */
static bool set_target(struct compose *c, struct sub_exchange *s, struct weir_span src,
                       struct weir_err *err)
{
    const struct http_target *page = &c->x->target;
    struct http_target *t = &s->x.target;
    struct http_head *req = &s->x.req;
    struct esi_url url;

    if (!esi_resolve(src, page->path, &s->x.arena, &url, err))
        return false;
    req->target = url.origin_form;
    if (!set_fields(s, url.authority.ptr != NULL ? url.authority : page->authority))
        return weir_fail(err, WEIR_E_MEMORY, "esi: include", 0);
    if (!http_target_parse(req, page->https, &s->x.arena, t, err))
        return false;
    t->https = page->https;
    if (repeats(c->x, t))
        return weir_fail(err, WEIR_E_LOOP, "esi: include", 0);
    if (weir_span_eq(t->authority, page->authority))
        return true;
    if (!c->settings->other_hosts)
        return weir_fail(err, WEIR_E_REQUEST_REFUSED, "esi: include of another host", 0);
    http_head_remove_if(req, for_this_host, NULL);
    return true;
}

static bool within_limits(struct compose *c, struct weir_err *err)
{
    struct weir_exchange *root = exchange_root(c->x);

    if (c->x->depth >= c->settings->depth)
        return weir_fail(err, WEIR_E_LOOP, "esi: depth", 0);
    if (root->includes >= c->settings->includes)
        return weir_fail(err, WEIR_E_REQUEST_REFUSED, "esi: number of includes", 0);
    root->includes++;
    return true;
}

static bool start(struct compose *c, struct include *inc, struct weir_err *err)
{
    struct sub_exchange *s;

    if (!within_limits(c, err))
        return false;
    s = sub_open(c->x, &owner, inc, err);
    if (s == NULL)
        return false;
    if (!set_target(c, s, inc->src, err)) {
        sub_close(s);
        return false;
    }
    inc->sub = s;
    inc->answered = inc->judged = false;
    c->subs++;
    sub_route(s);
    return true;
}

static void stop(struct include *inc)
{
    if (inc->sub == NULL)
        return;
    sub_close(inc->sub);
    inc->sub = NULL;
    inc->c->subs--;
}

/* There is no fragment: another one, none, or the page fails with it. */
static void lost(struct compose *c, struct include *inc, const struct weir_err *why)
{
    char text[WEIR_ERR_DETAIL];

    stop(inc);
    weir_metric_add(c->x->w->metrics, WEIR_M_esi_failures, 1);
    if (inc->alt.ptr != NULL) {
        inc->src = inc->alt;
        inc->alt = WEIR_SPAN_NONE;
    } else if (inc->go_on) {
        inc->over = true;
    } else if (!c->failed) {
        weir_err_str(why, text, sizeof text);
        weir_failf(&c->x->err, WEIR_E_FRAGMENT, "esi: include", 0, "%.*s: %s",
                   (int)(inc->src.len < 80 ? inc->src.len : 80), inc->src.ptr, text);
        c->failed = true;
    }
}

static struct weir_span take_line(struct weir_span *lines)
{
    const char *end = memchr(lines->ptr, '\n', lines->len);
    size_t n = end != NULL ? (size_t)(end - lines->ptr) : lines->len;
    struct weir_span line = weir_span(lines->ptr, n);

    n += end != NULL;
    *lines = weir_span(lines->ptr + n, lines->len - n);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* Looked for where it stands as it is sent: what lies in the store may be another coding. */
static bool says_coded(struct weir_span lines)
{
    static const struct weir_span name = {"Content-Encoding:", 17};

    while (lines.len > 0) {
        struct weir_span line = take_line(&lines);
        struct weir_span head = weir_span(line.ptr, line.len < name.len ? line.len : name.len);

        if (weir_span_ieq(head, name) &&
            !weir_span_ieq(weir_span_trim(weir_span(line.ptr + name.len, line.len - name.len)),
                           WEIR_SPAN_LIT("identity")))
            return true;
    }
    return false;
}

/* Why it cannot be a part of the page; NULL: it can. */
static const char *unfit(const struct exchange_response *r)
{
    if (r->status < 200 || r->status > 299 || r->status == 206)
        return "status";
    return says_coded(r->head) || says_coded(r->extra) ? "coded content, status" : NULL;
}

static void judge(struct compose *c, struct include *inc)
{
    const char *why = unfit(&inc->sub->x.response);
    struct weir_err err = {0};

    inc->judged = true;
    if (why == NULL)
        return;
    weir_failf(&err, WEIR_E_FRAGMENT, "esi: fragment", 0, "%s %d", why,
               inc->sub->x.response.status);
    lost(c, inc, inc->sub->x.err.code != WEIR_OK ? &inc->sub->x.err : &err);
}

/* Starts, judges and starts again what is in the queue, in its order. */
static void advance(struct compose *c)
{
    for (unsigned i = 0; i < c->count && !c->failed; i++) {
        struct include *inc = piece_at(c, i)->include;
        struct weir_err err = {0};

        while (inc != NULL && !inc->over && !c->failed) {
            if (inc->sub == NULL && c->subs >= c->subs_max)
                return;
            if (inc->sub == NULL && !start(c, inc, &err))
                lost(c, inc, &err);
            else if (inc->answered && !inc->judged)
                judge(c, inc);
            else
                break;
        }
    }
}

/* Reads the template ahead and sets fragments on their way. */
static void look_ahead(struct compose *c)
{
    advance(c);
    while (!c->failed && !c->done && c->count < PIECES_MAX && c->queued_bytes < AHEAD_BYTES &&
           parse(c) == STEP_PIECE)
        advance(c);
}

/* ---- the page ---- */

/* STEP_PIECE: parts were taken, or the piece is done with. */
static enum step pull_include(struct compose *c, struct include *inc, struct exchange_part *out,
                              unsigned max, unsigned *n)
{
    unsigned got = 0;

    if (inc->over) {
        pop(c);
        return STEP_PIECE;
    }
    if (inc->sub == NULL || !inc->judged)
        return STEP_WAIT;
    switch (sub_pull(inc->sub, out + *n, max - *n, &got)) {
    case PULL_DATA:
        for (unsigned i = 0; i < got; i++)
            inc->drawn += out[*n + i].len;
        *n += got;
        return STEP_PIECE;
    case PULL_WAIT:
        return STEP_WAIT;
    case PULL_END:
        stop(inc);
        pop(c);
        return STEP_PIECE;
    case PULL_FAILED:
        break;
    }
    if (inc->drawn > 0) { /* whoever reads the page must see that it is not whole */
        inc->go_on = false;
        inc->alt = WEIR_SPAN_NONE;
    }
    lost(c, inc, &inc->sub->x.err);
    return c->failed ? STEP_FAILED : STEP_PIECE;
}

static enum step pull_piece(struct compose *c, struct exchange_part *out, unsigned max, unsigned *n)
{
    struct piece *p;

    if (c->count == 0)
        return c->done ? STEP_END : STEP_WAIT;
    p = piece_at(c, 0);
    if (p->include != NULL)
        return pull_include(c, p->include, out, max, n);
    out[(*n)++] = p->text;
    pop(c);
    return STEP_PIECE;
}

/* Fills `out` as far as pieces are there. */
static enum step pull_pieces(struct compose *c, struct exchange_part *out, unsigned max,
                             unsigned *n)
{
    enum step s = STEP_PIECE;

    while (s == STEP_PIECE && *n < max) {
        if (c->failed)
            return STEP_FAILED;
        c->again = false;
        look_ahead(c);
        s = pull_piece(c, out, max, n);
        if (s == STEP_WAIT && c->again)
            s = STEP_PIECE; /* what it waits for came meanwhile */
    }
    return s;
}

static void count_bytes(struct compose *c, const struct exchange_part *out, unsigned n)
{
    if (c->x->parent != NULL || c->failed)
        return;
    for (unsigned i = 0; i < n; i++)
        c->bytes += out[i].len;
    if (c->bytes > c->settings->page_bytes)
        fail(c, WEIR_E_RESPONSE_TOO_LARGE, "esi: page");
}

static enum exchange_pull compose_pull(struct weir_exchange *x, void *state,
                                       struct exchange_part *out, unsigned max, unsigned *n)
{
    struct compose *c = state;
    enum step s;

    (void)x;
    c->busy = true;
    s = pull_pieces(c, out, max, n);
    count_bytes(c, out, *n);
    if (*n > 0 && !c->failed)
        look_ahead(c); /* what comes next is fetched while this is sent */
    c->busy = false;
    if (*n > 0)
        return PULL_DATA;
    if (c->failed) {
        weir_log_err(WEIR_LOG_INFO, "page breaks off", &c->x->err);
        return PULL_FAILED;
    }
    return s == STEP_END ? PULL_END : PULL_WAIT;
}

static bool compose_pulled_all(struct weir_exchange *x, const void *state)
{
    const struct compose *c = state;

    (void)x;
    return c->done && c->count == 0 && !c->failed;
}

static void compose_close(struct weir_exchange *x, void *state)
{
    struct compose *c = state;

    for (; c->count > 0; pop(c)) {
        struct piece *p = piece_at(c, 0);

        weir_blob_unref(p->text.blob);
        if (p->include != NULL)
            stop(p->include);
    }
    drop_part(c);
    body_close(x, &c->template);
    x->compose = NULL;
}

static const struct body_source compose_source = {
    .pull = compose_pull,
    .pulled_all = compose_pulled_all,
    .close = compose_close,
};

/* ---- the beginning ---- */

bool compose_applies(const struct weir_exchange *x, const struct http_head *response)
{
    return esi_is_template(response, x->route->settings->cache.esi.require_surrogate);
}

/* What says something of the template that does not hold for the page. */
static bool of_template(const struct http_field *f, const void *ctx)
{
    (void)ctx;
    switch (f->id) {
    case HTTP_F_ETAG:
    case HTTP_F_LAST_MODIFIED:
    case HTTP_F_ACCEPT_RANGES:
    case HTTP_F_CONTENT_MD5:
    case HTTP_F_CONTENT_DIGEST:
    case HTTP_F_REPR_DIGEST:
    case HTTP_F_DIGEST:
    case HTTP_F_AGE:
    case HTTP_F_EXPIRES:
    case HTTP_F_PRAGMA:
    case HTTP_F_CACHE_CONTROL:
    case HTTP_F_CDN_CACHE_CONTROL:
    case HTTP_F_SURROGATE_CONTROL:
    case HTTP_F_NO_VARY_SEARCH:
        return true;
    default:
        return false;
    }
}

bool compose_head(struct weir_exchange *x, struct http_head *view)
{
    struct http_cache_control cc;

    http_cache_control_parse(view, HTTP_F_CACHE_CONTROL, &cc);
    http_head_remove_if(view, of_template, NULL);
    return http_head_add_id(view, &x->arena, HTTP_F_CACHE_CONTROL,
                            cc.no_store ? WEIR_SPAN_LIT("no-store")
                                        : WEIR_SPAN_LIT("private, no-cache"));
}

/*
 * Fragments are not begun early where the page may outgrow what is stored: then a fill could wait
 * for its slowest reader, a fragment whose turn has not come, while that one waits for the fill.
 */
static unsigned subs_max(const struct weir_exchange *x, const struct esi_settings *s)
{
    return x->w->tier == NULL || s->page_bytes <= x->site->site->source.cache->object_max_bytes
               ? AHEAD_SUBS
               : 1;
}

bool compose_begin(struct weir_exchange *x)
{
    struct compose *c;

    if (x->response.body.source == NULL)
        return true;
    c = exchange_hold(x) ? weir_arena_alloc(&x->arena, sizeof *c) : NULL;
    if (c == NULL)
        return weir_fail(&x->err, WEIR_E_MEMORY, "esi: page", 0);
    memset(c, 0, offsetof(struct compose, parser));
    c->x = x;
    c->settings = &x->route->settings->cache.esi;
    c->subs_max = subs_max(x, c->settings);
    c->template = x->response.body;
    esi_parser_init(&c->parser);
    x->response.body = (struct exchange_body){&compose_source, c};
    x->compose = c;
    weir_metric_add(x->w->metrics, WEIR_M_esi_pages, 1);
    return true;
}

/* The head waits for an include that stands before all else: until it is known to come, the whole
 * page may still be answered 502. */
enum compose_state compose_ready(struct weir_exchange *x)
{
    struct compose *c = x->compose;
    const struct piece *p;

    do {
        c->again = false;
        c->busy = true;
        look_ahead(c);
        c->busy = false;
        while (c->count > 0 && piece_at(c, 0)->include != NULL && piece_at(c, 0)->include->over)
            pop(c);
    } while (c->again && !c->failed);
    if (c->failed)
        return COMPOSE_FAILED;
    p = c->count > 0 ? piece_at(c, 0) : NULL;
    return p != NULL && p->include != NULL && !p->include->judged ? COMPOSE_WAIT : COMPOSE_READY;
}

enum exchange_verdict compose_run(struct weir_exchange *x)
{
    switch (compose_ready(x)) {
    case COMPOSE_WAIT:
        return EXCHANGE_WAIT;
    case COMPOSE_FAILED:
        return EXCHANGE_FAIL;
    case COMPOSE_READY:
        break;
    }
    return EXCHANGE_REPLY;
}
