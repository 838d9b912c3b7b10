/*
 * http_parse.h - HTTP/1 heads, parsed in place, as they arrive.
 *
 * Pure: no allocation, never reads outside [buf, buf + len). The caller keeps all bytes of the head
 * from its first one (buf) until the head is parsed, and calls again with the same bytes and more
 * of them; no byte is looked at twice. The buffer may have moved between calls: what was recorded
 * moves with it. The same bytes give the same outcome and the same error code, however they were
 * cut.
 *
 * Strict: CRLF ends a line and nothing else does; a bare CR, a bare LF, NUL, a control other than
 * HTAB in a value, obs-fold, space before the colon, an empty name, any other deviation is refused
 * (weir's security rules 1.1 to 1.3 and 2). Errors of requests: BAD_REQUEST, HEAD_TOO_LARGE,
 * TARGET_TOO_LONG, VERSION_UNKNOWN; of responses: RESPONSE_MALFORMED, RESPONSE_HEAD_TOO_LARGE.
 * err->detail says what and at which byte. What the head means (Host, body length) is judged by
 * http_framing.h and http_target.h.
 *
 * Not repaired but accepted: a status line without the space before an absent reason, which is
 * unambiguous and common; HTTP/1.2 to 1.9 in a response, read as 1.1 (RFC 9110 6.2).
 *
 * Source: RFC 9112 2 to 5.
 */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "http_head.h"

struct http_parse_limits {
    uint32_t head_bytes;   /* whole head with its empty line and the empty lines before it */
    uint32_t fields;       /* lines, dropped ones included; the head's own cap counts too */
    uint32_t field_bytes;  /* one line without its CRLF */
    uint32_t target_bytes; /* beyond: TARGET_TOO_LONG */
    uint32_t method_bytes; /* beyond: BAD_REQUEST */
    uint32_t blank_lines;  /* empty lines before a request; none are allowed before a response */
    bool underscores;      /* keep names with '_' instead of dropping the line */
};

/* Security rules 1 and 4: 32 KiB, 100 fields, 8 KiB a line, 8 KiB target, 32 bytes method, 8 empty
 * lines. */
extern const struct http_parse_limits http_request_limits;
/* Security rule 2: 64 KiB, 200 fields; a line may be 32 KiB; names with '_' are kept. */
extern const struct http_parse_limits http_response_limits;

/*
 *   START --blank lines--> START line --> NAME --> VALUE --> NAME ... --> END LF --> done
 * Offsets are from buf; private but for `consumed`.
 */
struct http_parser {
    uint32_t consumed; /* after HTTP_PARSED: bytes of the head, empty line included */
    uint32_t at;       /* next byte to look at */
    uint32_t mark;     /* where the element being scanned begins */
    uint32_t line;     /* where the line begins */
    uint32_t name_len;
    uint32_t gone;  /* bytes taken out of the buffer by http_parser_shift() */
    uint32_t lines; /* field lines so far */
    uint16_t version;
    uint8_t state;
    uint8_t kind;
    uint8_t blanks;
    bool began; /* a byte of the head itself has come: the caller's time for a whole head runs */
    uintptr_t base; /* where buf was at the last call */
};

enum http_parsed {
    HTTP_PARSED, /* a whole head; the next byte is buf[p->consumed] */
    HTTP_MORE,   /* call again with more bytes */
    HTTP_BAD     /* refused, err is set; the connection must end */
};

/* Before each head. */
void http_parser_init(struct http_parser *p);

/* `head` must have been reset (http_head_reset) before the first call for a head. */
enum http_parsed http_parse_request(struct http_parser *p, const struct http_parse_limits *limits,
                                    struct http_head *head, const char *buf, size_t len,
                                    struct weir_err *err);
enum http_parsed http_parse_response(struct http_parser *p, const struct http_parse_limits *limits,
                                     struct http_head *head, const char *buf, size_t len,
                                     struct weir_err *err);
/*
 * A trailer section: field lines up to the empty line. head NULL: judged, not recorded; then the
 * caller may drop bytes in front as it likes and tell with http_parser_shift(). `response` chooses
 * the error codes.
 */
enum http_parsed http_parse_trailers(struct http_parser *p, const struct http_parse_limits *limits,
                                     bool response, struct http_head *head, const char *buf,
                                     size_t len, struct weir_err *err);
/* The first n bytes, all of them looked at (n <= what the last call saw), are gone. Only when
 * nothing is recorded. */
void http_parser_shift(struct http_parser *p, uint32_t n);

#endif
