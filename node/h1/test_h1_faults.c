/*
 * The n-th allocation fails, n = 1, 2, 3 ... until a run passes untouched, in every kind of
 * exchange. Each run must give the client its answer, an error of ours, or a message that is
 * visibly broken off; store nothing half; and leave a node that serves the next client well. The
 * address sanitizer sees to the leaks.
 */
#include "test_node.h"

#include "weir/log.h"
#include "shared_embedded.h"

#define FRESH "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
#define STALE "HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nETag: \"a\"\r\n"
#define BODY  "0123456789abcdefghijklmnopqrstuvwxyz"

struct scenario {
    const char *name;
    const char *before;  /* a request served before memory fails; NULL: none */
    const char *request; /* may hold several; each gets an answer */
    const char *later;   /* sent when the origin has seen `request`; NULL: nothing */
    unsigned answers;
    const char *body; /* of every good answer; NULL: not looked at */
    int status;       /* of every good answer, but for `before` */
    int next_status;  /* what the next client gets; 0: the same */
    struct script script[4];
    void (*set)(struct test_node *t);
    bool stops_at_eof; /* the client closes its side behind the request */
};

static void no_cache(struct test_node *t)
{
    t->route.cache.enabled = false;
}

static void trailers(struct test_node *t)
{
    static const char *names[] = {"X-Sum"};

    t->route.trailers = names;
    t->route.trailer_count = 1;
}

static void redirect(struct test_node *t)
{
    t->route.action = ROUTE_REDIRECT;
    t->route.redirect_to = "https://$host$path?$query";
    t->route.redirect_status = 308;
}

static void fixed(struct test_node *t)
{
    static struct field_edit_settings add[] = {{"X-Add", "$request_id $path"}};

    t->route.action = ROUTE_RESPOND;
    t->route.respond_status = 200;
    t->route.respond_body = BODY;
    t->route.respond_type = "text/plain";
    t->route.response_fields.add = add;
    t->route.response_fields.add_count = 1;
}

static void health(struct test_node *t)
{
    t->route.action = ROUTE_HEALTH;
    t->route.health = ROUTE_HEALTH_READY;
}

static void edits(struct test_node *t)
{
    static struct field_edit_settings set[] = {{"X-Set", "$client $path"}};

    t->route.request_fields.set = t->route.response_fields.set = set;
    t->route.request_fields.set_count = t->route.response_fields.set_count = 1;
    t->route.rewrite_pattern = "^/(.)";
    t->route.rewrite_to = "/new/$1";
}

static void websocket(struct test_node *t)
{
    t->route.websocket = true;
}

static void limited(struct test_node *t)
{
    t->limit = (struct limit_settings){.name = "api",
                                       .rate = "1/h",
                                       .burst = 1,
                                       .ipv4_prefix = 32,
                                       .status = 429,
                                       .fields = true,
                                       .all_routes = true};
}

static void enter(void *arg)
{
    net_loop_enter(arg);
}

/* By a farm: each request waits for its token. */
static void limited_by_farm(struct test_node *t)
{
    static const struct weir_seal_key key = {{1, 2, 3}};
    const struct shared_loop loop = {t->loop.base, enter, &t->loop, &t->loop.clock};
    struct weir_err err = {0};

    limited(t);
    t->limit.burst = 100;
    t->sealed = &key;
    t->engine = shared_embedded_new(NULL, &err);
    t->worker.limits.port = shared_port_new(t->engine, &loop, &err);
    assert_non_null(t->worker.limits.port);
}

static void stores_little(struct test_node *t)
{
    t->cache.object_max_bytes = 10;
}

static void queries(struct test_node *t)
{
    t->route.cache.query_body_bytes = 64;
}

static void short_queries(struct test_node *t)
{
    t->route.cache.query_body_bytes = 8;
}

/* All that a key can be made of. */
static void keys(struct test_node *t)
{
    static const char *names[] = {"lang"};

    t->route.cache.key = (struct cache_key_settings){.query = KEY_QUERY_EXCEPT,
                                                     .parameters = names,
                                                     .parameter_count = 1,
                                                     .sort = true,
                                                     .host = "y",
                                                     .cookies = names,
                                                     .cookie_count = 1,
                                                     .fields = names,
                                                     .field_count = 1,
                                                     .no_vary_search = true};
}

static void tags(struct test_node *t)
{
    static const char *fields[] = {"Cache-Tag"};

    t->cache.tag_fields = fields;
    t->cache.tag_field_count = 1;
}

static void retries(struct test_node *t)
{
    t->upstream.retries = 1;
    t->upstream.retry_budget_percent = 100;
}

static void fragments(struct test_node *t)
{
    t->route.cache.esi =
        (struct esi_settings){.enabled = true, .depth = 3, .includes = 64, .page_bytes = 1 << 20};
}

#define HTML   FRESH "Content-Type: text/html\r\n"
#define CHUNKS "Transfer-Encoding: chunked\r\n\r\n"

#define SLICE_HEAD "HTTP/1.1 206 P\r\nCache-Control: max-age=60\r\nETag: \"a\"\r\n"
#define FIRST_SLICE                                                                                \
    SLICE_HEAD "Content-Range: bytes 0-19/36\r\nContent-Length: 20\r\n\r\n0123456789abcdefghij"
#define SECOND_SLICE                                                                               \
    SLICE_HEAD "Content-Range: bytes 20-35/36\r\nContent-Length: 16\r\n\r\nklmnopqrstuvwxyz"
/* An origin that knows ranges: also of the whole, in the end. */
#define SLICED                                                                                     \
    {                                                                                              \
        {.reply = FRESH "ETag: \"a\"\r\nContent-Length: 36\r\n\r\n" BODY},                         \
            {.reply = FIRST_SLICE, .only_for = "Range: bytes=0-19\r\n"},                           \
            {.reply = SECOND_SLICE, .only_for = "Range: bytes=20-39\r\n"},                         \
        {                                                                                          \
            .reply = SLICE_HEAD "Content-Range: bytes 19-20/36\r\nContent-Length: 2\r\n\r\njk",    \
            .only_for = "Range: bytes=19-20\r\n"                                                   \
        }                                                                                          \
    }

static void slices(struct test_node *t)
{
    t->route.cache.slice_bytes = 20;
}

#define THRICE(...)                                                                                \
    {                                                                                              \
        {__VA_ARGS__}, {__VA_ARGS__}, {__VA_ARGS__},                                               \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct scenario scenarios[] = {
    {.name = "a pass with a length",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = no_cache,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY, .one_by_one = 30)},
    {.name = "a pass in chunks with trailers",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = trailers,
     .script =
         THRICE(.reply =
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "a\r\n0123456789\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-Sum: 1\r\n\r\n",
                .one_by_one = 25)},
    {.name = "a pass to the end of the connection",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .script = THRICE(.reply = "HTTP/1.1 200 OK\r\n\r\n" BODY, .close = true, .one_by_one = 25)},
    {.name = "a fill with a length",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY, .one_by_one = 30)},
    {.name = "a fill in chunks with a variant",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\nAccept-Language: de\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .script =
         THRICE(.reply = FRESH "Vary: Accept-Language\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "a\r\n0123456789\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
                .one_by_one = 25)},
    {.name = "a fill that outgrows the limit",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = stores_little,
     .script =
         THRICE(.reply = FRESH "Transfer-Encoding: chunked\r\n\r\n"
                               "a\r\n0123456789\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
                .one_by_one = 15)},
    {.name = "a head and a body cut in many pieces",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY, .one_by_one = 1)},
    {.name = "a miss, a hit and a conditional hit",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n"
                "GET /a HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"b\"\r\n\r\n",
     .answers = 3,
     .body = BODY,
     .status = 200,
     .script = THRICE(.reply = FRESH "ETag: \"a\"\r\nContent-Length: 36\r\n\r\n" BODY)},
    {.name = "a validation",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .script = {{.reply = STALE "Content-Length: 36\r\n\r\n" BODY},
                {.reply = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nX-New: 1\r\n\r\n"},
                {.reply = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nX-New: 1\r\n\r\n"}}},
    {.name = "a stale hit, refreshed behind it",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .script = {{.reply =
                     "HTTP/1.1 200 OK\r\nCache-Control: max-age=0, stale-while-revalidate=60\r\n"
                     "ETag: \"a\"\r\nContent-Length: 36\r\n\r\n" BODY},
                {.reply = FRESH "Content-Length: 36\r\n\r\n" BODY},
                {.reply = FRESH "Content-Length: 36\r\n\r\n" BODY}}},
    {.name = "an answer of 304 to the client",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"a\"\r\n\r\n",
     .answers = 1,
     .body = "",
     .status = 304,
     .script = THRICE(.reply = FRESH "ETag: \"a\"\r\nContent-Length: 36\r\n\r\n" BODY)},
    {.name = "a part of what is stored",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=10-12\r\nIf-Range: \"a\"\r\n\r\n",
     .answers = 1,
     .body = "abc",
     .status = 206,
     .script = THRICE(.reply = FRESH "ETag: \"a\"\r\nContent-Length: 36\r\n\r\n" BODY)},
    {.name = "several parts of what is stored",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=10-12,20-22,-1\r\n\r\n",
     .answers = 1,
     .status = 206,
     .script = THRICE(.reply = FRESH "Content-Type: x/y\r\nContent-Length: 36\r\n\r\n" BODY)},
    {.name = "a part of what is being fetched",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=10-12\r\n\r\n",
     .answers = 1,
     .body = "abc",
     .status = 206,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY, .one_by_one = 30)},
    {.name = "a part of what is beyond it",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=36-\r\n\r\n",
     .answers = 1,
     .body = "",
     .status = 416,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY)},
    {.name = "a part of what is too large to store",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=0-35\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 206,
     .next_status = 200, /* by then the origin knows no ranges, and is believed */
     .set = stores_little,
     .script = {{.reply = FRESH "Content-Length: 3600\r\n\r\n" BODY},
                {.reply = "HTTP/1.1 206 P\r\nContent-Range: bytes 0-35/3600\r\n"
                          "Content-Length: 36\r\n\r\n" BODY},
                {.reply = "HTTP/1.1 206 P\r\nContent-Range: bytes 0-35/3600\r\n"
                          "Content-Length: 36\r\n\r\n" BODY}}},
    {.name = "a response that breaks off and is completed",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = retries,
     .script = {{.reply = FRESH "ETag: \"a\"\r\nContent-Length: 36\r\n\r\n0123456789",
                 .close = true},
                {.reply = "HTTP/1.1 206 P\r\nETag: \"a\"\r\nContent-Range: bytes 10-35/36\r\n"
                          "Content-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz"}}},
    {.name = "a fill with tags and groups",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = tags,
     .script = THRICE(.reply = FRESH "Cache-Tag: one, two\r\nCache-Groups: \"a\"\r\n"
                                     "Cache-Groups: \"b\"\r\nContent-Length: 36\r\n\r\n" BODY,
                      .one_by_one = 60)},
    {.name = "a validation that brings tags",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = tags,
     .script = {{.reply = STALE "Content-Length: 36\r\n\r\n" BODY},
                {.reply = "HTTP/1.1 304 N\r\nCache-Tag: one, two\r\nETag: \"a\"\r\n\r\n"},
                {.reply = "HTTP/1.1 304 N\r\nCache-Tag: one, two\r\nETag: \"a\"\r\n\r\n"}}},
    {.name = "an invalidation",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .status = 204,
     .next_status = 200,
     .script = {{.reply = FRESH "Content-Length: 36\r\n\r\n" BODY},
                {.reply = "HTTP/1.1 204 N\r\nLocation: //x?q\r\nContent-Location: b/../c\r\n"
                          "Cache-Group-Invalidation: \"a\"\r\n"
                          "Cache-Group-Invalidation: \"b\"\r\n\r\n"},
                {.reply = FRESH "Content-Length: 36\r\n\r\n" BODY}}},
    {.name = "a whole in two slices",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = slices,
     .script = SLICED},
    {.name = "a part of two stored slices",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=19-20\r\n\r\n",
     .answers = 1,
     .body = "jk",
     .status = 206,
     .set = slices,
     .script = SLICED},
    {.name = "a whole that was asked for in slices",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = slices,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY)},
    {.name = "an upload with a length",
     .request = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfirst",
     .later = "other",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .script = THRICE(.reply = "HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n" BODY)},
    {.name = "an upload in chunks, waited for",
     .request =
         "PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
     .later = "5\r\nfirst\r\n5\r\nother\r\n0\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .script = THRICE(.reply = "HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n" BODY)},
    {.name = "a QUERY whose content is gathered",
     .request = "QUERY /a HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n"
                "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n5\r\nother\r\n0\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = queries,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY)},
    {.name = "a QUERY whose content turns out too large",
     .request = "QUERY /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                "5\r\nfirst\r\n5\r\nother\r\n0\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = short_queries,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY)},
    {.name = "a fill that moves to the key of its No-Vary-Search",
     .request = "GET /a?b&lang&a HTTP/1.1\r\nHost: x\r\nCookie: lang=de\r\nLang: en\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = keys,
     .script = THRICE(.reply = FRESH "No-Vary-Search: params=(\"b\")\r\n"
                                     "Content-Length: 36\r\n\r\n" BODY)},
    {.name = "a look-up by a rule of No-Vary-Search",
     .before = "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a?b&c HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = keys,
     .script = {{.reply = FRESH "No-Vary-Search: params=(\"b\")\r\n"
                                "Content-Length: 36\r\n\r\n" BODY},
                {.reply = FRESH "Content-Length: 36\r\n\r\n" BODY}}},
    {.name = "interim responses",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .script = THRICE(.reply = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n" BODY)},
    {.name = "edits and a rewrite",
     .request = "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = edits,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY)},
    {.name = "a redirect",
     .request = "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = "",
     .status = 308,
     .set = redirect},
    {.name = "a fixed response",
     .request = "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = fixed},
    {.name = "the health of the node",
     .request = "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = "ready\n",
     .status = 200,
     .set = health},
    {.name = "pipelined requests",
     .request = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 3,
     .body = BODY,
     .status = 200,
     .set = no_cache,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY)},
    {.name = "a request in pieces",
     .request = "GET /a HTTP/1.1\r\nHo",
     .later = "st: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY)},
    {.name = "a page that is a fragment",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = fragments,
     .script = {{.reply = HTML CHUNKS "2a\r\n<!--esi<esi:include src=\"/f\" alt=\"/g\"/>-->"
                                      "\r\n0\r\n\r\n",
                 .one_by_one = 25},
                {.reply = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
                {.reply = FRESH "Content-Length: 36\r\n\r\n" BODY, .one_by_one = 30},
                {.reply = FRESH "Content-Length: 36\r\n\r\n" BODY}}},
    {.name = "a page of fragments within fragments",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .status = 200,
     .set = fragments,
     .script = {{.reply = HTML CHUNKS "36\r\na <es c<esi:include src=\"/b\"/>d"
                                      "<esi:include src=\"/c\"/>\r\n0\r\n\r\n",
                 .one_by_one = 25},
                {.reply = HTML CHUNKS "1b\r\nb<esi:include src=\"?more\"/>\r\n0\r\n\r\n"},
                {.reply = FRESH "Content-Length: 36\r\n\r\n" BODY, .one_by_one = 30},
                {.reply = FRESH "Content-Length: 36\r\n\r\n" BODY}}},
    {.name = "a stored page of a stored fragment",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = fragments,
     .script = {{.reply = HTML "Content-Length: 23\r\n\r\n<esi:include src=\"/f\"/>"},
                {.reply = FRESH "Content-Length: 36\r\n\r\n" BODY},
                {.reply = FRESH "Content-Length: 36\r\n\r\n" BODY}}},
    {.name = "a hit that waits for a token of the farm",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .answers = 1,
     .body = BODY,
     .status = 200,
     .set = limited_by_farm,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY)},
    {.name = "a refusal by a rate limit",
     .before = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
     .answers = 1,
     .status = 429,
     .set = limited,
     .script = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY)},
    {.name = "a switch of protocols",
     .request = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
     .answers = 0,
     .body = NULL,
     .status = 101,
     .set = websocket,
     .stops_at_eof = true,
     .script = THRICE(.reply = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                               "Upgrade: websocket\r\nSec-WebSocket-Accept: "
                               "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nframes",
                      .close = true)},
};

/* ---- judging what the client got ---- */

/* The content of a whole response, decoded. */
static size_t content_of(const char *text, size_t len, char *out)
{
    const char *at = (const char *)memmem(text, len, "\r\n\r\n", 4) + 4, *end = text + len;
    size_t n = 0;

    if (memmem(text, (size_t)(at - text), "Transfer-Encoding: chunked", 26) == NULL) {
        memcpy(out, at, (size_t)(end - at));
        return (size_t)(end - at);
    }
    for (;;) {
        size_t size = strtoul(at, NULL, 16);

        at = strstr(at, "\r\n") + 2;
        if (size == 0)
            return n;
        memcpy(out + n, at, size);
        n += size;
        at += size + 2;
    }
}

/* Every whole response is the right one or an error of ours; true if all `answers` are right. */
static bool judge(const struct test_node *t, const struct scenario *s)
{
    static char body[NODE_TEXT_MAX];
    unsigned good = 0;
    size_t at = 0, len;

    while (at < t->got_len &&
           (len = node_response_len(t->got + at, t->got_len - at, t->client_eof, false)) > 0) {
        int status = atoi(t->got + at + 9);

        if (status == s->status && s->answers > 0) {
            size_t n = content_of(t->got + at, len, body);

            /* Without a length the end of the connection would look like the end of the body. */
            if (s->body != NULL && (n != strlen(s->body) || memcmp(body, s->body, n) != 0))
                fail_msg("%s: a whole response with the body \"%.*s\"", s->name, (int)n, body);
            good++;
        } else if (status == 101 && s->status == 101) {
            return t->got_len >= 6 && memcmp(t->got + t->got_len - 6, "frames", 6) == 0;
        } else if (status >= 200 && status != 500 && status != 502 && status != 503) {
            fail_msg("%s: status %d", s->name, status);
        }
        at += len;
    }
    return good == s->answers;
}

/* ---- one run ---- */

static void exchange(struct test_node *t, const struct scenario *s)
{
    node_client_open(t);
    node_send(t, s->request);
    if (s->later != NULL) {
        if (!t->client_eof)
            node_turn(t);
        node_send(t, s->later);
    }
    if (s->stops_at_eof)
        shutdown(t->client, SHUT_WR);
    node_receive(t, s->answers > 0 ? s->answers : 2); /* a tunnel ends with its connection */
}

/* True if the run met the failure. */
static bool run(const struct scenario *s, unsigned long n)
{
    static const struct script again[] = THRICE(.reply = FRESH "Content-Length: 36\r\n\r\n" BODY);
    const struct scenario check = {.name = "the next client",
                                   .request = s->request,
                                   .later = s->later,
                                   .answers = s->answers,
                                   .body = s->body,
                                   .status = s->next_status != 0 ? s->next_status : s->status};
    struct test_node t;
    bool failed, good;

    node_init(&t);
    if (s->set != NULL)
        s->set(&t);
    t.scripts = s->script;
    for (t.script_count = 0; t.script_count < 4 && s->script[t.script_count].reply != NULL;)
        t.script_count++;
    assert_true(node_start(&t));
    if (s->before != NULL) {
        node_client_open(&t);
        node_send(&t, s->before);
        assert_int_equal(node_receive(&t, 1), 1);
    }
    weir_alloc_fail_at(n);
    exchange(&t, s);
    failed = weir_alloc_failed();
    weir_alloc_fail_at(0);
    good = judge(&t, s);
    if (!failed && !good)
        fail_msg("%s, untouched: %.*s", s->name, (int)t.got_len, t.got);
    if (s->status != 101) {
        /* What is stored, if anything, is whole; nothing is stuck. */
        while (t.worker.fetches != NULL)
            node_turn(&t);
        for (unsigned i = 0; i < t.origin_conns; i++)
            node_origin_end(&t.origin[i], false);
        if (s->script[1].only_for == NULL) {
            t.scripts = again;
            t.script_count = 4;
        }
        t.next_script = 0;
        exchange(&t, &check);
        if (!judge(&t, &check))
            fail_msg("%s, after the %lu. failed: %.*s", s->name, n, (int)t.got_len, t.got);
    }
    node_stop(&t);
    return failed;
}

static void every_allocation_may_fail_in_every_exchange(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        unsigned long n = 1;

        while (run(&scenarios[i], n))
            n++;
        print_message("%3lu allocations: %s\n", n - 1, scenarios[i].name);
    }
}

/* Building a node fails cleanly too. */
static void every_allocation_may_fail_while_a_node_is_built(void **state)
{
    bool failed, started;
    unsigned long n = 0;

    (void)state;
    do {
        struct test_node t;

        node_init(&t);
        edits(&t);
        t.log.access_format = ACCESS_LOG_JSON;
        t.upstream.sticky_cookie = "srv";
        weir_alloc_fail_at(++n);
        started = node_start(&t);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_true(started || failed); /* some can be done without: a pattern's machine code */
        node_stop(&t);
    } while (failed);
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail_in_every_exchange),
        cmocka_unit_test(every_allocation_may_fail_while_a_node_is_built),
    };

    weir_log_set_level(WEIR_LOG_ERROR); /* failures are what is asked for here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
