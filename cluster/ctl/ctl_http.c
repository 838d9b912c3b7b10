#include "ctl_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_link.h"
#include "weir/alloc.h"
#include "weir/span.h"

static const char where[] = "weirctl: node";

/* ---- sending ---- */

static bool send_request(struct ctl_link *l, const char *method, const char *target,
                         const char *body, struct weir_err *err)
{
    size_t len = body != NULL ? strlen(body) : 0, room = strlen(target) + l->token.len + 256;
    const char *bearer = l->token.len > 0 ? "Authorization: Bearer " : "";
    char *head = weir_malloc(room);
    bool ok;
    int n;

    if (head == NULL)
        return weir_fail(err, WEIR_E_MEMORY, where, 0);
    n = snprintf(head, room,
                 "%s %s HTTP/1.1\r\nHost: node\r\nConnection: close\r\n%s%s%s"
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                 method, target, bearer, l->token.bytes, l->token.len > 0 ? "\r\n" : "", len);
    ok = ctl_link_send(l, head, (size_t)n, err) &&
         ctl_link_send(l, body != NULL ? body : "", len, err);
    explicit_bzero(head, room); /* the token is in it */
    weir_free(head);
    return ok;
}

/* ---- receiving ---- */

static bool receive_all(struct ctl_link *l, char **out, size_t *len, struct weir_err *err)
{
    size_t room = 0;

    *out = NULL;
    *len = 0;
    for (;;) {
        ssize_t n;

        if (room - *len < 4096) {
            char *more = weir_realloc(*out, room + 65536);

            if (more == NULL)
                return weir_fail(err, WEIR_E_MEMORY, where, 0);
            *out = more;
            room += 65536;
        }
        n = ctl_link_receive(l, *out + *len, room - *len - 1, err);
        if (n <= 0)
            return n == 0;
        *len += (size_t)n;
        if (*len > CTL_ANSWER_MAX)
            return weir_failf(err, WEIR_E_RESPONSE_TOO_LARGE, where, 0, "the answer has no end");
    }
}

static bool malformed(struct weir_err *err, const char *what)
{
    return weir_failf(err, WEIR_E_RESPONSE_MALFORMED, where, 0, "%s", what);
}

/* The value of Content-Length among the lines of a head; -1 if there is none that is well-formed.
 */
static long long length_of(struct weir_span head)
{
    static const struct weir_span name = WEIR_SPAN_LIT("content-length:");
    unsigned long long value;

    while (head.len > 0) {
        const char *end = memchr(head.ptr, '\n', head.len);
        size_t n = end != NULL ? (size_t)(end - head.ptr) : head.len;
        struct weir_span line = {head.ptr, n};

        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len > name.len && weir_span_ieq(weir_span(line.ptr, name.len), name) &&
            weir_span_u64(weir_span_trim(weir_span(line.ptr + name.len, line.len - name.len)),
                          CTL_ANSWER_MAX, &value))
            return (long long)value;
        n += end != NULL;
        head = weir_span(head.ptr + n, head.len - n);
    }
    return -1;
}

bool ctl_parse(const char *message, size_t len, struct ctl_answer *out, struct weir_err *err)
{
    const char *end = len > 0 ? memmem(message, len, "\r\n\r\n", 4) : NULL;
    unsigned long long status;
    size_t head, content;
    long long length;

    memset(out, 0, sizeof *out);
    if (end == NULL || len < 12 || memcmp(message, "HTTP/1.", 7) != 0 ||
        !weir_span_u64(weir_span(message + 9, 3), 999, &status))
        return malformed(err, "it does not answer in HTTP");
    head = (size_t)(end - message) + 4;
    length = length_of(weir_span(message, head));
    content = len - head;
    if (length >= 0 && content < (unsigned long long)length)
        return malformed(err, "the answer breaks off");
    if (length >= 0)
        content = (size_t)length;
    out->status = (int)status;
    out->text = weir_strndup(message + head, content);
    if (out->text == NULL)
        return weir_fail(err, WEIR_E_MEMORY, where, 0);
    out->json = json_loadb(out->text, content, 0, NULL);
    return true;
}

bool ctl_ask(struct ctl_link *l, const char *method, const char *target, const json_t *body,
             struct ctl_answer *out, struct weir_err *err)
{
    char *content = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL, *message = NULL;
    size_t len;
    bool ok;

    memset(out, 0, sizeof *out);
    if (body != NULL && content == NULL)
        return weir_fail(err, WEIR_E_MEMORY, where, 0);
    ok = send_request(l, method, target, content, err) && receive_all(l, &message, &len, err) &&
         ctl_parse(message, len, out, err);
    free(content); /* jansson's, by malloc */
    weir_free(message);
    return ok;
}

void ctl_answer_free(struct ctl_answer *a)
{
    weir_free(a->text);
    json_decref(a->json);
    memset(a, 0, sizeof *a);
}

char *ctl_encode(const char *value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    char *out = weir_malloc(strlen(value) * 3 + 1);

    if (out == NULL)
        return NULL;
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;

        if (strchr(plain, *value) != NULL) {
            out[n++] = *value;
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[c >> 4];
        out[n++] = hex[c & 15];
    }
    out[n] = '\0';
    return out;
}
