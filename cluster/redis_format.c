#include "redis_format.h"

#include <stdint.h>
#include <string.h>

#include <event2/buffer.h>

#include "redis_conn.h"

#define NUMBER_MAX 20 /* digits of a uint64_t */

static unsigned digits(size_t n)
{
    unsigned count = 1;

    for (; n >= 10; n /= 10)
        count++;
    return count;
}

/* The mark, the number, CR LF. */
static char *put_header(char *to, char mark, size_t n)
{
    unsigned count = digits(n);

    *to++ = mark;
    for (char *p = to + count; p > to; n /= 10)
        *--p = (char)('0' + n % 10);
    memcpy(to + count, "\r\n", 2);
    return to + count + 2;
}

static bool begins_argument(const struct redis_arg *argv, size_t i)
{
    return i == 0 || !argv[i].joined;
}

static bool ends_argument(const struct redis_arg *argv, size_t argc, size_t i)
{
    return i + 1 == argc || !argv[i + 1].joined;
}

/* Bytes of the argument that begins at i. */
static size_t argument_len(const struct redis_arg *argv, size_t argc, size_t i)
{
    size_t len = argv[i].text.len;

    while (++i < argc && argv[i].joined)
        len += argv[i].text.len;
    return len;
}

static bool referenced(const struct redis_arg *a)
{
    return a->blob != NULL && a->text.len >= REDIS_REFERENCE_MIN;
}

/* Counts arguments, and the bytes on the wire; in *copied, those that are not referenced. */
static size_t measure(const struct redis_arg *argv, size_t argc, size_t *arguments, size_t *copied)
{
    size_t bytes = 0, away = 0;

    *arguments = 0;
    for (size_t i = 0; i < argc; i++) {
        if (begins_argument(argv, i)) {
            (*arguments)++;
            bytes += 1 + digits(argument_len(argv, argc, i)) + 2 + 2;
        }
        bytes += argv[i].text.len;
        if (referenced(&argv[i]))
            away += argv[i].text.len;
    }
    bytes += 1 + digits(*arguments) + 2;
    *copied = bytes - away;
    return bytes;
}

size_t redis_args_bytes(const struct redis_arg *argv, size_t argc)
{
    size_t arguments, copied;

    return measure(argv, argc, &arguments, &copied);
}

static void drop_reference(const void *data, size_t len, void *blob)
{
    (void)data, (void)len;
    weir_blob_unref(blob);
}

static bool put_reference(struct evbuffer *out, const struct redis_arg *a)
{
    if (evbuffer_add_reference(out, a->text.ptr, a->text.len, drop_reference, a->blob) != 0)
        return false;
    weir_blob_ref(a->blob);
    return true;
}

/* Nothing to reference: one piece, which is there or not. */
static bool put_small(struct evbuffer *out, const struct redis_arg *argv, size_t argc,
                      size_t arguments, size_t bytes)
{
    struct evbuffer_iovec v;
    char *to;

    if (evbuffer_reserve_space(out, (ev_ssize_t)bytes, &v, 1) != 1)
        return false;
    to = put_header(v.iov_base, '*', arguments);
    for (size_t i = 0; i < argc; i++) {
        if (begins_argument(argv, i))
            to = put_header(to, '$', argument_len(argv, argc, i));
        if (argv[i].text.len > 0)
            memcpy(to, argv[i].text.ptr, argv[i].text.len);
        to += argv[i].text.len;
        if (ends_argument(argv, argc, i)) {
            memcpy(to, "\r\n", 2);
            to += 2;
        }
    }
    v.iov_len = (size_t)(to - (char *)v.iov_base);
    return evbuffer_commit_space(out, &v, 1) == 0;
}

static bool put_large(struct evbuffer *out, const struct redis_arg *argv, size_t argc,
                      size_t arguments)
{
    char text[NUMBER_MAX + 3];

    if (evbuffer_add(out, text, (size_t)(put_header(text, '*', arguments) - text)) != 0)
        return false;
    for (size_t i = 0; i < argc; i++) {
        if (begins_argument(argv, i)) {
            size_t len = argument_len(argv, argc, i);

            if (evbuffer_add(out, text, (size_t)(put_header(text, '$', len) - text)) != 0)
                return false;
        }
        if (referenced(&argv[i]) ? !put_reference(out, &argv[i])
                                 : evbuffer_add(out, argv[i].text.ptr, argv[i].text.len) != 0)
            return false;
        if (ends_argument(argv, argc, i) && evbuffer_add(out, "\r\n", 2) != 0)
            return false;
    }
    return true;
}

bool redis_format(struct evbuffer *out, const struct redis_arg *argv, size_t argc)
{
    size_t arguments, copied, bytes = measure(argv, argc, &arguments, &copied);
    struct evbuffer *whole;
    bool ok;

    if (copied == bytes)
        return put_small(out, argv, argc, arguments, bytes);
    /* Made beside it and moved: half a command must never be in the stream. */
    whole = evbuffer_new();
    if (whole == NULL)
        return false;
    ok = put_large(whole, argv, argc, arguments) && evbuffer_add_buffer(out, whole) == 0;
    evbuffer_free(whole);
    return ok;
}
