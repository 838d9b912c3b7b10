/*
 * template.h - compiled texts with variables, for redirects, rewrites and field values.
 *
 *   $1 .. $15, ${1}      captures of the path pattern ($0: the whole match); all digits after $
 * count
 *   ${name}, $name       named captures
 *   $host $path $query $client $scheme $request_id      also as ${host}
 *   $client_cert_subject, _issuer, _serial, _fingerprint, _san      of a client that showed a
 *                        certificate, where the route asks for one; else empty
 *   $$                   a dollar sign
 *
 * $path is the path as the client asked for it, $query the query without '?'. Nothing is kept
 * unasked: a redirect that shall keep the query says "$path?$query". A '?' or '&' right before
 * $query vanishes with an empty query. A capture that took no part is empty.
 *
 * What a client sent can never leave its place: see enum template_use.
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/arena.h"
#include "weir/err.h"
#include "weir/span.h"

struct pattern;
struct template;

enum template_use {
    /* A field value: a control byte in a value (CR, LF, NUL ... but HTAB) fails the expansion. */
    TEMPLATE_FIELD,
    /*
     * A Location. Bytes a URI cannot hold, '#', and '?' outside of $query are percent-encoded. The
     * text must begin with '/', "http://", "https://", $path or "$scheme://". The client cannot
     * choose the site: the result begins with "//" only if the text does, and between "://" and the
     * path a value other than $host must be letters, digits and '-' when more of the authority
     * follows, else empty or begin with '/'.
     */
    TEMPLATE_LOCATION,
    /* A path: values are put in as they are, and rewrite_path judges the result. '?' and '#' are
       refused. */
    TEMPLATE_PATH,
};

/* What is known of a client by its certificate. */
enum template_client_cert {
    TEMPLATE_CERT_SUBJECT,
    TEMPLATE_CERT_ISSUER,
    TEMPLATE_CERT_SERIAL,
    TEMPLATE_CERT_FINGERPRINT,
    TEMPLATE_CERT_SAN,
    TEMPLATE_CLIENT_CERT, /* their number */
};

struct template_values {
    struct weir_span host; /* as in struct http_target */
    struct weir_span path;
    struct weir_span query;
    struct weir_span client; /* address as text */
    struct weir_span scheme; /* "http" or "https" */
    struct weir_span request_id;
    struct weir_span client_cert[TEMPLATE_CLIENT_CERT]; /* empty: none was shown */
    const struct weir_span *captures;                   /* [0] is the whole match */
    size_t capture_count;
};

/*
 * Compiles. A capture must exist in every one of `patterns` (an element may be NULL: a path without
 * captures; none at all: no captures). Allocates from the arena and is freed with it; borrows
 * patterns for the call and keeps `text`. Fails with CONFIG (detail says what is wrong) or MEMORY.
 */
struct template *template_compile(const char *text, enum template_use use,
                                  const struct pattern *const *patterns, size_t pattern_count,
                                  struct weir_arena *arena, struct weir_err *err);

/*
 * Expands into the arena, or borrows the text when it holds no variable. Fails with INTERNAL (a
 * control byte in a field value), BAD_TARGET (a value that would choose the redirect's site) or
 * MEMORY.
 */
bool template_expand(const struct template *t, const struct template_values *v,
                     struct weir_arena *arena, struct weir_span *out, struct weir_err *err);

/* True if the text holds no variable, so that it may be expanded once. */
bool template_is_constant(const struct template *t);

#endif
