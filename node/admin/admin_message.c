#include "admin_message.h"

#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"

static const struct http_parse_limits limits = {
    .head_bytes = ADMIN_HEAD_MAX,
    .fields = ADMIN_FIELDS_MAX,
    .field_bytes = 8192,
    .target_bytes = 12288, /* URLs to look at are among them */
    .method_bytes = 32,
    .blank_lines = 2,
};

void admin_message_init(struct admin_message *m)
{
    memset(m, 0, offsetof(struct admin_message, fields));
    http_parser_init(&m->parser);
    http_head_init(&m->head, m->fields, ADMIN_FIELDS_MAX);
}

void admin_message_clear(struct admin_message *m)
{
    if (m->authorization != NULL)
        explicit_bzero(m->authorization, m->authorization_len);
    weir_free(m->authorization);
    weir_free(m->path);
    weir_free(m->content);
    m->authorization = m->path = m->query = m->content = NULL;
    m->content_room = 0;
}

static void bad(struct admin_message *m, int status, const char *why, const char *detail)
{
    m->state = ADMIN_MESSAGE_BAD;
    m->status = status;
    m->keep_alive = false;
    snprintf(m->wrong, sizeof m->wrong, "%s%s%s", why, detail[0] != '\0' ? ": " : "", detail);
}

static void bad_err(struct admin_message *m, const struct weir_err *err)
{
    bad(m, weir_code_status(err->code), weir_code_text(err->code), err->detail);
}

/* ---- the head ---- */

/* Where the path begins: an absolute URI is understood too (RFC 9112 3.2.2). */
static struct weir_span path_of(struct weir_span target)
{
    static const struct weir_span scheme = WEIR_SPAN_LIT("http");
    const char *host, *slash;

    if (!weir_span_starts(target, scheme) ||
        (host = memmem(target.ptr, target.len, "://", 3)) == NULL)
        return target;
    host += 3;
    slash = memchr(host, '/', (size_t)(target.ptr + target.len - host));
    return slash == NULL ? WEIR_SPAN_LIT("/")
                         : weir_span(slash, (size_t)(target.ptr + target.len - slash));
}

/* The query stands in the same memory, behind the path. */
static bool keep_target(struct admin_message *m)
{
    struct weir_span target = path_of(m->head.target);

    m->path = weir_strndup(target.ptr, target.len);
    if (m->path == NULL)
        return false;
    m->query = strchr(m->path, '?');
    if (m->query != NULL)
        *m->query++ = '\0';
    return true;
}

static bool keep_authorization(struct admin_message *m)
{
    struct weir_span value = http_head_value(&m->head, HTTP_F_AUTHORIZATION);

    if (value.ptr == NULL)
        return true;
    m->authorization = weir_strndup(value.ptr, value.len);
    m->authorization_len = value.len;
    return m->authorization != NULL;
}

static void judge_head(struct admin_message *m)
{
    struct weir_err err = {0};

    if (!http_request_framing(&m->head, &m->framing, &err)) {
        bad_err(m, &err);
        return;
    }
    if (!keep_target(m) || !keep_authorization(m)) {
        bad(m, 503, "out of memory", "");
        return;
    }
    m->method = m->head.method_id;
    m->keep_alive = m->framing.keep_alive && m->head.minor > 0;
    m->expects = m->framing.expect_continue;
    if (m->framing.length > ADMIN_CONTENT_MAX)
        bad(m, 413, "content is limited to 64 KiB", "");
    else if (m->framing.kind == HTTP_BODY_CHUNKED)
        m->state = ADMIN_MESSAGE_CONTENT;
    else
        m->state = m->framing.length > 0 ? ADMIN_MESSAGE_CONTENT : ADMIN_MESSAGE_WHOLE;
    http_chunked_init(&m->chunked, false, NULL);
}

static void feed_head(struct admin_message *m, const char *bytes, size_t len, size_t *used)
{
    struct weir_err err = {0};

    switch (http_parse_request(&m->parser, &limits, &m->head, bytes, len, &err)) {
    case HTTP_PARSED:
        *used = m->parser.consumed;
        judge_head(m);
        break;
    case HTTP_BAD:
        bad_err(m, &err);
        break;
    case HTTP_MORE:
        break;
    }
}

/* ---- the content ---- */

/* Doubled, so that content in chunks of a byte is not copied for each of them. */
static bool make_room(struct admin_message *m, size_t len)
{
    size_t room = m->content_room > 0 ? m->content_room : 512;
    char *grown;

    if (len <= m->content_room)
        return true;
    while (room < len)
        room *= 2;
    grown = weir_realloc(m->content, room);
    if (grown == NULL)
        return false;
    m->content = grown;
    m->content_room = room;
    return true;
}

static bool keep_content(struct admin_message *m, struct weir_span data)
{
    if (data.len > ADMIN_CONTENT_MAX - m->content_len) {
        bad(m, 413, "content is limited to 64 KiB", "");
        return false;
    }
    if (!make_room(m, m->content_len + data.len)) {
        bad(m, 503, "out of memory", "");
        return false;
    }
    memcpy(m->content + m->content_len, data.ptr, data.len);
    m->content_len += data.len;
    return true;
}

static void feed_length(struct admin_message *m, const char *bytes, size_t len, size_t *used)
{
    size_t left = (size_t)m->framing.length - m->content_len;

    *used = len < left ? len : left;
    if (*used > 0 && keep_content(m, weir_span(bytes, *used)) && *used == left)
        m->state = ADMIN_MESSAGE_WHOLE;
}

static void feed_chunked(struct admin_message *m, const char *bytes, size_t len, size_t *used)
{
    for (;;) {
        struct weir_span data = WEIR_SPAN_NONE;
        struct weir_err err = {0};
        size_t n;
        enum http_chunk_result result =
            http_chunked_next(&m->chunked, bytes + *used, len - *used, &n, &data, &err);

        *used += n;
        if (result == HTTP_CHUNK_BAD)
            bad_err(m, &err);
        else if (result == HTTP_CHUNK_END)
            m->state = ADMIN_MESSAGE_WHOLE;
        else if (result == HTTP_CHUNK_DATA && keep_content(m, data))
            continue;
        return;
    }
}

void admin_message_feed(struct admin_message *m, const char *bytes, size_t len, size_t *used)
{
    *used = 0;
    if (m->state == ADMIN_MESSAGE_HEAD)
        feed_head(m, bytes, len, used);
    else if (m->framing.kind == HTTP_BODY_CHUNKED)
        feed_chunked(m, bytes, len, used);
    else
        feed_length(m, bytes, len, used);
}
