/*
 * policy_heads.h - heads for the tests of the policy, written as lines: "Vary: a\nAge: 1".
 */
#ifndef POLICY_HEADS_H
#define POLICY_HEADS_H

#include <assert.h>
#include <string.h>

#include "weir/arena.h"
#include "cache_settings.h"
#include "control.h"
#include "http_cache_control.h"
#include "http_head.h"

/* An instant and its neighbours, for tables. */
#define AT        INT64_C(784111777)
#define DATE_AT   "Sun, 06 Nov 1994 08:49:37 GMT"
#define DATE_M60  "Sun, 06 Nov 1994 08:48:37 GMT" /* a minute before */
#define DATE_P60  "Sun, 06 Nov 1994 08:50:37 GMT" /* a minute after */
#define DATE_M1H  "Sun, 06 Nov 1994 07:49:37 GMT"
#define DATE_P1H  "Sun, 06 Nov 1994 09:49:37 GMT"
#define DATE_M10D "Thu, 27 Oct 1994 08:49:37 GMT" /* ten days before */
#define DATE_M10Y "Tue, 06 Nov 1984 08:49:37 GMT"

#define POLICY_FIELDS 64

struct policy_head {
    struct http_head head;
    struct http_field fields[POLICY_FIELDS];
    struct http_cache_control cc;
    struct control control; /* policy_control() */
};

static inline void policy_lines(struct policy_head *p, const char *lines)
{
    while (lines != NULL && *lines != '\0') {
        size_t len = strcspn(lines, "\n");
        const char *colon = memchr(lines, ':', len);

        assert(colon != NULL);
        assert(
            http_head_add(&p->head, NULL, weir_span(lines, (size_t)(colon - lines)),
                          weir_span_trim(weir_span(colon + 1, (size_t)(lines + len - colon - 1)))));
        lines += len + (lines[len] == '\n');
    }
    http_cache_control_parse(&p->head, HTTP_F_CACHE_CONTROL, &p->cc);
}

static inline struct http_head *policy_response(struct policy_head *p, int status,
                                                const char *lines)
{
    http_head_init(&p->head, p->fields, POLICY_FIELDS);
    p->head.status = status;
    policy_lines(p, lines);
    return &p->head;
}

static inline struct http_head *policy_request(struct policy_head *p, const char *method,
                                               const char *lines)
{
    http_head_init(&p->head, p->fields, POLICY_FIELDS);
    p->head.method = weir_span_str(method);
    p->head.method_id = http_method_parse(p->head.method);
    policy_lines(p, lines);
    return &p->head;
}

/* What controls the cache of a node without targeted fields, on this route (NULL: a plain one). */
static inline const struct control *policy_control(struct policy_head *p,
                                                   const struct route_cache_settings *route)
{
    static const struct route_cache_settings plain_route = {.enabled = true};
    static const struct cache_settings plain_node = {.targets_forward = true};
    const struct control_rules rules = {.node = &plain_node,
                                        .route = route != NULL ? route : &plain_route,
                                        .surrogate = WEIR_SPAN_LIT("weir")};

    control_of(&p->control, &p->head, &rules, NULL);
    return &p->control;
}

#endif
