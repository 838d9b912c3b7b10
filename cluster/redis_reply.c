#include "redis_reply.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include <hiredis/hiredis.h>

#include "weir/alloc.h"
#include "weir/arena.h"

#define HEADER_MAX      24          /* "18446744073709551615\r\n" and no more */
#define FEED_BYTES      4096        /* at the start of a reply: hiredis moves what lies behind it */
#define FEED_REST_BYTES (16u << 10) /* in the middle of one */
#define SPARE_BYTES     (1u << 20)  /* of an empty buffer that hiredis may keep (M19) */

/* hiredis 0.14 (Debian 12) and 1.x: the one place that knows the difference. */
#if HIREDIS_MAJOR >= 1
#define TASK(r) ((r)->task[(r)->ridx])
typedef size_t elements_count;
#else
#define TASK(r) (&(r)->rstack[(r)->ridx])
typedef int elements_count;
#endif

/* A reply that is not an element of another one, with the memory of all its elements. */
struct whole {
    struct redis_reply reply; /* first: a pointer to it is a pointer to the whole */
    unsigned refs;
    struct weir_arena arena; /* elements and their texts */
    char text[];
};

struct redis_reader {
    redisReader *hi;
    struct redis_limits limits;
    struct whole *whole;    /* being built by hiredis; hiredis owns it */
    uint32_t elements;      /* of whole */
    size_t bytes;           /* of whole */
    const char *refused;    /* why one of the functions below gave hiredis NULL */
    bool inside;            /* hiredis has bytes it has not been asked about */
    struct weir_blob *blob; /* a large bulk on its way past hiredis; NULL = none */
    size_t blob_len;        /* what was announced; CR LF follows it */
    size_t blob_got;        /* CR LF included */
};

/* ---- whole replies ---- */

static struct whole *whole_new(size_t text_len)
{
    struct whole *w = weir_malloc(sizeof *w + text_len);

    if (w == NULL)
        return NULL;
    memset(w, 0, sizeof *w);
    w->refs = 1;
    weir_arena_init(&w->arena, 0);
    return w;
}

struct redis_reply *redis_reply_ref(struct redis_reply *r)
{
    if (r != NULL)
        ((struct whole *)(void *)r)->refs++;
    return r;
}

static void drop_blobs(struct redis_reply *r)
{
    weir_blob_unref(r->blob);
    for (uint32_t i = 0; i < r->count; i++)
        drop_blobs(&r->items[i]);
}

void redis_reply_unref(struct redis_reply *r)
{
    struct whole *w = (struct whole *)(void *)r;

    if (r == NULL || --w->refs > 0)
        return;
    drop_blobs(r);
    weir_arena_free(&w->arena);
    weir_free(w);
}

/* ---- what hiredis builds a reply with. task->parent is the array that the new one belongs to ----
 */

static void *refuse(struct redis_reader *r, const char *why)
{
    r->refused = why;
    return NULL;
}

/* Where the next reply of the tree goes; text_len: room behind it if it is a whole one. */
static struct redis_reply *place(const redisReadTask *task, size_t text_len)
{
    struct redis_reader *r = task->privdata;
    struct redis_reply *array;

    if (task->parent == NULL) {
        r->whole = whole_new(text_len);
        r->elements = 0;
        r->bytes = 0;
        return r->whole != NULL ? &r->whole->reply : NULL;
    }
    array = task->parent->obj;
    return &array->items[task->idx];
}

static char *place_text(const redisReadTask *task, size_t len)
{
    struct redis_reader *r = task->privdata;

    return task->parent == NULL ? r->whole->text : weir_arena_alloc(&r->whole->arena, len);
}

static bool copy_text(const redisReadTask *task, struct redis_reply *reply, const char *text,
                      size_t len)
{
    char *copy;

    if (reply->kind == REDIS_KIND_BULK && len >= REDIS_BLOB_MIN) {
        reply->blob = weir_blob_new(len);
        if (reply->blob == NULL)
            return false;
        reply->blob->len = (uint32_t)len;
        copy = reply->blob->bytes;
    } else {
        copy = place_text(task, len);
        if (copy == NULL)
            return false;
    }
    memcpy(copy, text, len);
    reply->text = weir_span(copy, len);
    return true;
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    struct redis_reader *r = task->privdata;
    bool bulk = task->type == REDIS_REPLY_STRING;
    struct redis_reply *reply;

    if (!bulk && task->type != REDIS_REPLY_STATUS && task->type != REDIS_REPLY_ERROR)
        return refuse(r, "a type that RESP2 does not have");
    /* hiredis has seen that two bytes follow a bulk, not which. */
    if (bulk && (text[len] != '\r' || text[len + 1] != '\n'))
        return refuse(r, "a bulk longer than announced");
    if (!bulk && len > REDIS_LINE_MAX)
        return refuse(r, "a line too long");
    reply = place(task, bulk && len >= REDIS_BLOB_MIN ? 0 : len);
    if (reply == NULL)
        return NULL;
    if (len > r->limits.bulk_max_bytes || (r->bytes += len) > r->limits.reply_max_bytes)
        refuse(r, "too many bytes");
    reply->kind = bulk                               ? REDIS_KIND_BULK
                  : task->type == REDIS_REPLY_STATUS ? REDIS_KIND_STATUS
                                                     : REDIS_KIND_ERROR;
    if (r->refused != NULL || !copy_text(task, reply, text, len)) {
        /* hiredis frees what it has, and does not have this one yet. */
        if (task->parent == NULL)
            redis_reply_unref(reply);
        return NULL;
    }
    return reply;
}

static void *create_array(const redisReadTask *task, elements_count n)
{
    struct redis_reader *r = task->privdata;
    struct redis_reply *reply;
    size_t count = (size_t)n;
    unsigned depth = 1;

    if (task->type != REDIS_REPLY_ARRAY)
        return refuse(r, "a type that RESP2 does not have");
    for (const redisReadTask *t = task->parent; t != NULL; t = t->parent)
        depth++;
    if (depth > REDIS_DEPTH_MAX)
        return refuse(r, "arrays nested too deep");
    reply = place(task, 0);
    if (reply == NULL)
        return NULL;
    if (count > REDIS_ELEMENTS_MAX - r->elements) {
        refuse(r, "too many elements");
    } else {
        reply->kind = REDIS_KIND_ARRAY;
        reply->items = weir_arena_zalloc(&r->whole->arena, count * sizeof *reply->items);
    }
    if (r->refused != NULL || reply->items == NULL) {
        if (task->parent == NULL)
            redis_reply_unref(reply);
        return NULL;
    }
    reply->count = (uint32_t)count;
    r->elements += (uint32_t)count;
    return reply;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct redis_reply *reply = place(task, 0);

    if (reply == NULL)
        return NULL;
    reply->kind = REDIS_KIND_INTEGER;
    reply->integer = value;
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    if (task->type == REDIS_REPLY_NIL) /* "_": RESP3. RESP2 has null bulks and null arrays */
        return refuse(task->privdata, "a type that RESP2 does not have");
    return place(task, 0); /* all zero is nil */
}

#if HIREDIS_MAJOR >= 1
static void *create_double(const redisReadTask *task, double value, char *text, size_t len)
{
    (void)value, (void)text, (void)len;
    return refuse(task->privdata, "a type that RESP2 does not have");
}

static void *create_bool(const redisReadTask *task, int value)
{
    (void)value;
    return refuse(task->privdata, "a type that RESP2 does not have");
}
#endif

static void free_object(void *reply)
{
    redis_reply_unref(reply);
}

static const redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
#if HIREDIS_MAJOR >= 1
    .createDouble = create_double,
    .createBool = create_bool,
#endif
    .freeObject = free_object,
};

/* ---- reading ---- */

struct redis_reader *redis_reader_new(const struct redis_limits *limits)
{
    struct redis_reader *r = weir_calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->limits = *limits;
    if (r->limits.bulk_max_bytes > UINT32_MAX - 64)
        r->limits.bulk_max_bytes = UINT32_MAX - 64;
    /* hiredis does not change them; 0.14 forgot to say so. */
    r->hi = redisReaderCreateWithFunctions((redisReplyObjectFunctions *)(uintptr_t)&functions);
    if (r->hi == NULL) {
        weir_free(r);
        return NULL;
    }
    r->hi->privdata = r;
    r->hi->maxbuf = SPARE_BYTES;
    return r;
}

void redis_reader_free(struct redis_reader *r)
{
    if (r == NULL)
        return;
    redisReaderFree(r->hi);
    weir_blob_unref(r->blob);
    weir_free(r);
}

static enum redis_read bad(struct weir_err *err, const char *why)
{
    weir_failf(err, WEIR_E_RESPONSE_MALFORMED, "redis: reply", 0, "%s", why);
    return REDIS_READ_BAD;
}

static enum redis_read no_memory(struct weir_err *err)
{
    weir_fail(err, WEIR_E_MEMORY, "redis: reply", 0);
    return REDIS_READ_MEMORY;
}

/* Between two replies: hiredis has taken nothing of the next one. */
static bool between(const redisReader *hi)
{
    return hi->pos == hi->len && (hi->ridx < 0 || (hi->ridx == 0 && TASK(hi)->type < 0));
}

/* The number before CR LF at p. false: there is no CR LF yet, or it is not digits alone; then
 * hiredis judges it. */
static bool announced(const char *p, size_t len, size_t *n, size_t *header_len)
{
    size_t i = 0, value = 0;

    while (i < len && i < 12 && p[i] >= '0' && p[i] <= '9')
        value = value * 10 + (size_t)(p[i++] - '0');
    if (i == 0 || (p[0] == '0' && i > 1) || i + 1 >= len || p[i] != '\r' || p[i + 1] != '\n')
        return false;
    *n = value;
    *header_len = i + 2;
    return true;
}

/* hiredis waits for the rest of something: is it more than we will take? It would gather without
 * end, and look for the end of a line from its beginning each time. */
static const char *beyond_limits(const struct redis_reader *r)
{
    const redisReader *hi = r->hi;
    size_t waiting = hi->len - hi->pos, n, header_len;

    if (hi->ridx < 0 || TASK(hi)->type < 0 || waiting == 0)
        return NULL;
    if (TASK(hi)->type == REDIS_REPLY_STATUS || TASK(hi)->type == REDIS_REPLY_ERROR)
        return waiting > REDIS_LINE_MAX + 1 ? "a line too long" : NULL; /* its CR may be there */
    if (TASK(hi)->type == REDIS_REPLY_STRING &&
        announced(hi->buf + hi->pos, waiting, &n, &header_len)) {
        size_t before = hi->ridx == 0 ? 0 : r->bytes;

        return n > r->limits.bulk_max_bytes || before + n > r->limits.reply_max_bytes
                   ? "too many bytes"
                   : NULL;
    }
    return waiting > HEADER_MAX ? "a number too long" : NULL;
}

static enum redis_read parse(struct redis_reader *r, struct redis_reply **reply,
                             struct weir_err *err)
{
    void *whole = NULL;
    const char *why;

    if (redisReaderGetReply(r->hi, &whole) != REDIS_OK) {
        if (r->refused != NULL)
            return bad(err, r->refused);
        return r->hi->err == REDIS_ERR_OOM ? no_memory(err) : bad(err, r->hi->errstr);
    }
    if (whole != NULL) {
        r->whole = NULL;
        *reply = whole;
        r->inside = r->hi->pos < r->hi->len;
        return REDIS_READ_REPLY;
    }
    r->inside = false;
    why = beyond_limits(r);
    return why != NULL ? bad(err, why) : REDIS_READ_MORE;
}

/* How much of the input hiredis gets: no more than the reply it belongs to, where that can be seen,
 * so that a large bulk behind it can go its own way. */
static size_t portion(const struct redis_reader *r, struct weir_span in)
{
    size_t n, header_len, len = in.len < FEED_BYTES ? in.len : FEED_BYTES;
    const char *end;

    if (!between(r->hi))
        return in.len < FEED_REST_BYTES ? in.len : FEED_REST_BYTES;
    if (in.ptr[0] == '$') {
        if (announced(in.ptr + 1, in.len - 1, &n, &header_len) && n < FEED_BYTES)
            return in.len < 1 + header_len + n + 2 ? in.len : 1 + header_len + n + 2;
        return len;
    }
    if (in.ptr[0] == '*')
        return len;
    end = memchr(in.ptr, '\n', len);
    return end != NULL ? (size_t)(end - in.ptr) + 1 : len;
}

/* MORE: begun, or nothing for us. */
static enum redis_read begin_blob(struct redis_reader *r, struct weir_span *in,
                                  struct weir_err *err)
{
    size_t n, header_len;

    if (in->ptr[0] != '$' || !announced(in->ptr + 1, in->len - 1, &n, &header_len) ||
        n < REDIS_BLOB_MIN)
        return REDIS_READ_MORE;
    if (n > r->limits.bulk_max_bytes || n > r->limits.reply_max_bytes)
        return bad(err, "too many bytes");
    r->blob = weir_blob_new(n + 2);
    if (r->blob == NULL)
        return no_memory(err);
    r->blob_len = n;
    r->blob_got = 0;
    in->ptr += 1 + header_len;
    in->len -= 1 + header_len;
    return REDIS_READ_MORE;
}

static enum redis_read end_blob(struct redis_reader *r, struct redis_reply **reply,
                                struct weir_err *err)
{
    struct whole *w;

    if (r->blob->bytes[r->blob_len] != '\r' || r->blob->bytes[r->blob_len + 1] != '\n')
        return bad(err, "a bulk longer than announced");
    w = whole_new(0);
    if (w == NULL)
        return no_memory(err);
    r->blob->len = (uint32_t)r->blob_len;
    w->reply.kind = REDIS_KIND_BULK;
    w->reply.text = weir_span(r->blob->bytes, r->blob_len);
    w->reply.blob = r->blob; /* the reader's reference becomes the reply's */
    r->blob = NULL;
    *reply = &w->reply;
    return REDIS_READ_REPLY;
}

char *redis_reader_room(struct redis_reader *r, size_t *room)
{
    if (r->blob == NULL)
        return NULL;
    *room = r->blob_len + 2 - r->blob_got;
    return r->blob->bytes + r->blob_got;
}

void redis_reader_filled(struct redis_reader *r, size_t len)
{
    r->blob_got += len;
}

/* Copies what there is. REDIS_READ_MORE: not complete yet. */
static enum redis_read go_on_blob(struct redis_reader *r, struct weir_span *in,
                                  struct redis_reply **reply, struct weir_err *err)
{
    size_t room, n;
    char *to = redis_reader_room(r, &room);

    n = in->len < room ? in->len : room;
    if (n > 0) {
        memcpy(to, in->ptr, n);
        in->ptr += n;
        in->len -= n;
        r->blob_got += n;
    }
    return n < room ? REDIS_READ_MORE : end_blob(r, reply, err);
}

enum redis_read redis_reader_next(struct redis_reader *r, struct weir_span *in,
                                  struct redis_reply **reply, struct weir_err *err)
{
    enum redis_read found;
    size_t n;

    for (;;) {
        if (r->blob != NULL)
            return go_on_blob(r, in, reply, err);
        if (r->inside) {
            found = parse(r, reply, err);
            if (found != REDIS_READ_MORE)
                return found;
        }
        if (in->len == 0)
            return REDIS_READ_MORE;
        if (between(r->hi)) {
            found = begin_blob(r, in, err);
            if (found != REDIS_READ_MORE)
                return found;
            if (r->blob != NULL)
                continue;
        }
        n = portion(r, *in);
        if (redisReaderFeed(r->hi, in->ptr, n) != REDIS_OK)
            return no_memory(err);
        in->ptr += n;
        in->len -= n;
        r->inside = true;
    }
}

/* ---- taking apart ---- */

const struct redis_reply *redis_reply_at(const struct redis_reply *r, size_t i)
{
    return r != NULL && r->kind == REDIS_KIND_ARRAY && i < r->count ? &r->items[i] : NULL;
}

bool redis_reply_is_nil(const struct redis_reply *r)
{
    return r != NULL && r->kind == REDIS_KIND_NIL;
}

bool redis_reply_is_error(const struct redis_reply *r, const char *word)
{
    struct weir_span text;
    size_t len;

    if (r == NULL || r->kind != REDIS_KIND_ERROR)
        return false;
    if (word == NULL)
        return true;
    text = r->text;
    len = strlen(word);
    return text.len >= len && memcmp(text.ptr, word, len) == 0 &&
           (text.len == len || text.ptr[len] == ' ');
}

bool redis_reply_is_status(const struct redis_reply *r, const char *text)
{
    return r != NULL && r->kind == REDIS_KIND_STATUS && weir_span_eq(r->text, weir_span_str(text));
}

bool redis_reply_int(const struct redis_reply *r, int64_t *out)
{
    if (r == NULL || r->kind != REDIS_KIND_INTEGER)
        return false;
    *out = r->integer;
    return true;
}

bool redis_reply_text(const struct redis_reply *r, struct weir_span *out)
{
    if (r == NULL || (r->kind != REDIS_KIND_BULK && r->kind != REDIS_KIND_STATUS))
        return false;
    *out = r->text;
    return true;
}

bool redis_reply_number(const struct redis_reply *r, int64_t *out)
{
    unsigned long long value;
    struct weir_span text;
    bool negative;

    if (redis_reply_int(r, out))
        return true;
    if (!redis_reply_text(r, &text))
        return false;
    negative = text.len > 0 && text.ptr[0] == '-';
    if (negative)
        text = weir_span(text.ptr + 1, text.len - 1);
    if (!weir_span_u64(text, INT64_MAX, &value))
        return false;
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

bool redis_reply_slice(const struct redis_reply *r, struct weir_slice *out)
{
    struct weir_blob *b;

    if (r == NULL || r->kind != REDIS_KIND_BULK)
        return false;
    if (r->blob != NULL) {
        b = weir_blob_ref(r->blob);
    } else {
        b = weir_blob_new(r->text.len);
        if (b == NULL)
            return false;
        memcpy(b->bytes, r->text.ptr, r->text.len);
        b->len = (uint32_t)r->text.len;
    }
    *out = (struct weir_slice){.blob = b, .off = 0, .len = (uint32_t)r->text.len};
    return true;
}

const char *redis_reply_str(const struct redis_reply *r, char *buf, size_t size)
{
    if (r == NULL) {
        snprintf(buf, size, "nothing");
        return buf;
    }
    switch (r->kind) {
    case REDIS_KIND_NIL:
        snprintf(buf, size, "nil");
        break;
    case REDIS_KIND_STATUS:
    case REDIS_KIND_ERROR:
        snprintf(buf, size, "%.*s", r->text.len < size ? (int)r->text.len : (int)size, r->text.ptr);
        break;
    case REDIS_KIND_INTEGER:
        snprintf(buf, size, "integer %" PRId64, r->integer);
        break;
    case REDIS_KIND_BULK:
        snprintf(buf, size, "bulk of %zu bytes", r->text.len);
        break;
    case REDIS_KIND_ARRAY:
        snprintf(buf, size, "array of %u", (unsigned)r->count);
        break;
    }
    return buf;
}
