#include "health_answer.h"

#include <assert.h>
#include <string.h>

#include "health_check.h"
#include "http_chunked.h"
#include "http_framing.h"
#include "http_parse.h"
#include "pattern.h"
#include "weir/alloc.h"

#define FIELDS_MAX   200   /* http_response_limits' */
#define BUFFER_LEAST 2048  /* most answers fit */
#define HEAD_BYTES   65536 /* http_response_limits' */
#define INTERIMS_MAX 8

/* Bytes that grow by doubling, up to a bound. */
struct bytes {
    char *at;
    size_t len, cap;
};

struct health_answer {
    const struct health_check *check;
    struct pattern_scratch *scratch;
    struct bytes in;   /* as they came, not used yet */
    struct bytes body; /* content, if it is to be matched */
    size_t body_bytes; /* content so far */
    bool head_done;
    unsigned interims;
    struct http_parser parser;
    struct http_framing framing;
    struct http_chunked chunked;
    struct http_head head;
    struct http_field fields[FIELDS_MAX];
};

/* Room for at least one byte; false: no memory, or the bound is reached. */
static bool bytes_room(struct bytes *b, size_t bound)
{
    size_t cap = b->cap * 2;
    char *grown;

    if (b->len < b->cap)
        return true;
    if (cap < BUFFER_LEAST)
        cap = BUFFER_LEAST;
    if (cap > bound)
        cap = bound;
    if (cap <= b->cap)
        return false;
    grown = weir_realloc(b->at, cap);
    if (grown == NULL)
        return false;
    b->at = grown;
    b->cap = cap;
    return true;
}

static bool bytes_add(struct bytes *b, struct weir_span more, size_t bound)
{
    while (more.len > 0) {
        size_t n;

        if (!bytes_room(b, bound))
            return false;
        n = b->cap - b->len < more.len ? b->cap - b->len : more.len;
        memcpy(b->at + b->len, more.ptr, n);
        b->len += n;
        more = weir_span(more.ptr + n, more.len - n);
    }
    return true;
}

static void bytes_drop_front(struct bytes *b, size_t n)
{
    memmove(b->at, b->at + n, b->len - n);
    b->len -= n;
}

/* ---- making one ---- */

static void expect_head(struct health_answer *a)
{
    http_parser_init(&a->parser);
    http_head_reset(&a->head);
}

struct health_answer *health_answer_new(const struct health_check *check,
                                        struct pattern_scratch *scratch, struct weir_err *err)
{
    struct health_answer *a = weir_malloc(sizeof(*a));

    if (a == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "health: answer", 0);
        return NULL;
    }
    memset(a, 0, offsetof(struct health_answer, fields));
    a->check = check;
    a->scratch = scratch;
    http_head_init(&a->head, a->fields, FIELDS_MAX);
    expect_head(a);
    return a;
}

void health_answer_free(struct health_answer *a)
{
    if (a == NULL)
        return;
    weir_free(a->in.at);
    weir_free(a->body.at);
    weir_free(a);
}

int health_answer_status(const struct health_answer *a)
{
    return a->head_done ? a->head.status : 0;
}

/* ---- content ---- */

static enum health_reason judge(struct health_answer *a)
{
    const struct pattern *p = a->check->body;

    if (p == NULL ||
        pattern_match(p, weir_span(a->body.at, a->body.len), a->scratch, NULL) == PATTERN_MATCH)
        return HEALTH_R_ANSWERED;
    return HEALTH_R_BODY;
}

/* HEALTH_R_NONE: more is wanted. */
static enum health_reason take_content(struct health_answer *a, struct weir_span data)
{
    size_t left = HEALTH_BODY_BYTES - a->body_bytes;

    if (data.len > left)
        data.len = left;
    a->body_bytes += data.len;
    if (a->check->body != NULL && !bytes_add(&a->body, data, HEALTH_BODY_BYTES))
        return HEALTH_R_LOCAL;
    return a->body_bytes == HEALTH_BODY_BYTES ? judge(a) : HEALTH_R_NONE;
}

static enum health_reason use_chunked(struct health_answer *a)
{
    enum health_reason why = HEALTH_R_NONE;
    size_t at = 0;

    while (why == HEALTH_R_NONE) {
        struct weir_span data = WEIR_SPAN_NONE;
        size_t used = 0;

        switch (http_chunked_next(&a->chunked, a->in.at + at, a->in.len - at, &used, &data, NULL)) {
        case HTTP_CHUNK_DATA:
            why = take_content(a, data);
            break;
        case HTTP_CHUNK_MORE:
            bytes_drop_front(&a->in, at + used);
            return HEALTH_R_NONE;
        case HTTP_CHUNK_END:
            return judge(a);
        case HTTP_CHUNK_BAD:
            return HEALTH_R_MALFORMED;
        }
        at += used;
    }
    return why;
}

static enum health_reason use_plain(struct health_answer *a)
{
    struct weir_span data = weir_span(a->in.at, a->in.len);
    const bool counted = a->framing.kind == HTTP_BODY_LENGTH;
    const uint64_t left = counted ? a->framing.length - a->body_bytes : UINT64_MAX;
    enum health_reason why;

    if (data.len > left)
        data.len = (size_t)left; /* what follows is not asked for, and harms nobody */
    why = take_content(a, data);
    a->in.len = 0;
    if (why == HEALTH_R_NONE && counted && a->body_bytes == a->framing.length)
        return judge(a);
    return why;
}

static enum health_reason use_content(struct health_answer *a)
{
    switch (a->framing.kind) {
    case HTTP_BODY_NONE:
        return judge(a);
    case HTTP_BODY_CHUNKED:
        return use_chunked(a);
    default:
        return use_plain(a);
    }
}

/* ---- head ---- */

/* A whole head is there. HEALTH_R_NONE: an interim one, or an expected final one. */
static enum health_reason use_head(struct health_answer *a)
{
    if (!http_response_framing(&a->head, a->check->method, &a->framing, NULL) ||
        a->head.status == 101)
        return HEALTH_R_MALFORMED;
    bytes_drop_front(&a->in, a->parser.consumed);
    if (http_status_interim(a->head.status)) {
        expect_head(a);
        return ++a->interims > INTERIMS_MAX ? HEALTH_R_MALFORMED : HEALTH_R_NONE;
    }
    a->head_done = true;
    if (!health_statuses_have(&a->check->statuses, a->head.status))
        return HEALTH_R_STATUS;
    if (a->framing.kind == HTTP_BODY_CHUNKED)
        http_chunked_init(&a->chunked, true, NULL);
    return HEALTH_R_NONE;
}

static enum health_reason use(struct health_answer *a)
{
    enum health_reason why = HEALTH_R_NONE;

    while (!a->head_done && why == HEALTH_R_NONE) {
        switch (http_parse_response(&a->parser, &http_response_limits, &a->head, a->in.at,
                                    a->in.len, NULL)) {
        case HTTP_PARSED:
            why = use_head(a);
            break;
        case HTTP_MORE:
            return a->in.len < HEAD_BYTES ? HEALTH_R_NONE : HEALTH_R_MALFORMED;
        case HTTP_BAD:
            return HEALTH_R_MALFORMED;
        }
    }
    return why == HEALTH_R_NONE ? use_content(a) : why;
}

char *health_answer_room(struct health_answer *a, size_t *room)
{
    if (!bytes_room(&a->in, HEAD_BYTES))
        return NULL;
    *room = a->in.cap - a->in.len;
    return a->in.at + a->in.len;
}

enum health_reason health_answer_took(struct health_answer *a, size_t len)
{
    assert(len <= a->in.cap - a->in.len);
    a->in.len += len;
    return use(a);
}

enum health_reason health_answer_closed(struct health_answer *a, bool orderly)
{
    if (orderly && a->head_done && a->framing.kind == HTTP_BODY_CLOSE)
        return judge(a);
    return HEALTH_R_CLOSED;
}
