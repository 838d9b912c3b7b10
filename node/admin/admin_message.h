/*
 * admin_message.h - one request to the admin API, put together from bytes as they come.
 *
 * Strict, as messages of clients are (http_parse.h, http_framing.h, http_chunked.h), and bounded:
 * a head of 16 KiB with 64 fields, content of 64 KiB. No I/O and no clock.
 *
 *     HEAD --whole--> CONTENT --whole--> WHOLE          BAD: from HEAD and CONTENT; `status`,
 * `wrong`
 *       +---------no content---------------^
 */
#ifndef ADMIN_MESSAGE_H
#define ADMIN_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/span.h"
#include "http_chunked.h"
#include "http_framing.h"
#include "http_head.h"
#include "http_parse.h"

#define ADMIN_HEAD_MAX    16384
#define ADMIN_CONTENT_MAX 65536
#define ADMIN_FIELDS_MAX  64

enum admin_message_state {
    ADMIN_MESSAGE_HEAD,
    ADMIN_MESSAGE_CONTENT,
    ADMIN_MESSAGE_WHOLE,
    ADMIN_MESSAGE_BAD,
};

struct admin_message {
    enum admin_message_state state;

    /* from CONTENT on; owned by the message */
    enum http_method method;
    char *path;          /* as it was sent, up to '?' */
    char *query;         /* NULL: none */
    char *authorization; /* value of the field; NULL: none */
    size_t authorization_len;
    bool keep_alive; /* the connection may carry another request after it */
    bool expects;    /* 100 (Continue), before the content */

    char *content; /* what has come of it; NULL: nothing */
    size_t content_len, content_room;

    int status; /* BAD: what to answer */
    char wrong[WEIR_ERR_DETAIL + 64];

    /* private */
    struct http_parser parser;
    struct http_head head;
    struct http_framing framing;
    struct http_chunked chunked;
    struct http_field fields[ADMIN_FIELDS_MAX];
};

void admin_message_init(struct admin_message *m);
/* Wipes what may be secret, frees what is owned. */
void admin_message_clear(struct admin_message *m);

/*
 * Looks at bytes that have come and not been used; *used of them are done with. Stops where the
 * head ends, so that it can be judged before the content is taken; else uses all it can. Not after
 * WHOLE and BAD.
 */
void admin_message_feed(struct admin_message *m, const char *bytes, size_t len, size_t *used);

#endif
