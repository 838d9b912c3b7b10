/*
 * test_redis_dump.h - replies as text, for the tests and fuzz targets of this folder: what a stream
 * of bytes is read as must not depend on how it arrives.
 */
#ifndef TEST_REDIS_DUMP_H
#define TEST_REDIS_DUMP_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_reply.h"

struct dump {
    char *text;
    size_t len, cap;
};

static inline void dump_bytes(struct dump *d, const char *p, size_t n)
{
    if (d->len + n + 1 > d->cap) {
        d->cap = (d->len + n + 1) * 2;
        d->text = realloc(d->text, d->cap);
        if (d->text == NULL)
            abort();
    }
    if (n > 0)
        memcpy(d->text + d->len, p, n);
    d->len += n;
    d->text[d->len] = '\0';
}

static inline void dump_reply(struct dump *d, const struct redis_reply *r)
{
    static const char mark[] = {'_', '+', '-', ':', '$', '['};
    char number[40];

    dump_bytes(d, &mark[r->kind], 1);
    switch (r->kind) {
    case REDIS_KIND_NIL:
        break;
    case REDIS_KIND_INTEGER:
        dump_bytes(d, number,
                   (size_t)snprintf(number, sizeof number, "%lld", (long long)r->integer));
        break;
    case REDIS_KIND_ARRAY:
        for (uint32_t i = 0; i < r->count; i++)
            dump_reply(d, &r->items[i]);
        dump_bytes(d, "]", 1);
        return;
    default:
        if ((r->kind == REDIS_KIND_BULK && r->text.len >= REDIS_BLOB_MIN) != (r->blob != NULL))
            abort(); /* the header promises it */
        if (r->blob != NULL && (r->text.ptr != r->blob->bytes || r->text.len != r->blob->len))
            abort();
        dump_bytes(d, r->text.ptr, r->text.len);
    }
    dump_bytes(d, " ", 1);
}

/* What bytes are read as when they come `step` at a time; with room, the inside of large bulks is
 * received in its place. Ends with '!' if the reader gave up. The caller frees it. */
static inline char *dump_stream(const char *bytes, size_t len, size_t step, bool room,
                                const struct redis_limits *limits)
{
    struct redis_reader *reader = redis_reader_new(limits);
    struct dump d = {0};
    enum redis_read found = REDIS_READ_MORE;
    size_t at = 0;

    if (reader == NULL)
        abort();
    dump_bytes(&d, "", 0);
    while (at < len && found == REDIS_READ_MORE) {
        size_t n = len - at < step ? len - at : step, free_bytes;
        char *exact = malloc(n), *to = room ? redis_reader_room(reader, &free_bytes) : NULL;
        struct weir_span in = weir_span(exact, n);
        struct redis_reply *reply;

        if (exact == NULL)
            abort();
        memcpy(exact, bytes + at, n);
        at += n;
        if (to != NULL) {
            size_t direct = n < free_bytes ? n : free_bytes;

            memcpy(to, exact, direct);
            redis_reader_filled(reader, direct);
            in = weir_span(exact + direct, n - direct);
        }
        while ((found = redis_reader_next(reader, &in, &reply, NULL)) == REDIS_READ_REPLY) {
            dump_reply(&d, reply);
            redis_reply_unref(reply);
        }
        if (found == REDIS_READ_MORE && in.len != 0)
            abort(); /* MORE means that all was taken */
        free(exact);
    }
    if (found != REDIS_READ_MORE)
        dump_bytes(&d, "!", 1);
    redis_reader_free(reader);
    return d.text;
}

#endif
