/*
 * exchange.h - one request with its response, whatever protocol it came by.
 *
 *   conn -> h1 -> exchange_start(): TARGET -> LOOP -> ROUTE -> LOOKUP --.
 *                                                                       |  hit
 *                  client->respond() <- DELIVER <- stored response <----+
 *                        |                 ^                            |  miss, pass
 *                        |                 '------ fill <- fetch <------'
 *                        v
 *            exchange_pull() ... exchange_close(): access log, counters
 *
 * The stages are one table (stages.c). A stage answers with a verdict; one that waits is resumed
 * exactly once by exchange_resume(), or cancelled when the client leaves. Fields are written by one
 * stage and only read after it; they stand here in that order.
 *
 * Memory: an exchange is a part of the protocol's own per-request object, taken from a free list,
 * so that a hit on a kept-alive connection allocates nothing. Until a stage waits, the request head
 * lives in the receive buffer; exchange_hold() moves it into the arena.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/arena.h"
#include "weir/blob.h"
#include "weir/err.h"
#include "weir/metrics.h"
#include "body.h"
#include "cache_key.h"
#include "cache_status.h"
#include "fill.h"
#include "http_accept_encoding.h"
#include "http_framing.h"
#include "http_head.h"
#include "http_target.h"
#include "limit.h"
#include "net_addr.h"
#include "net_chan.h"
#include "net_loop.h"
#include "net_pipe.h"
#include "origin_client.h"
#include "pattern.h"
#include "reuse.h"
#include "router.h"
#include "site.h"
#include "template.h"
#include "vary.h"

struct compose;
struct content_gather;
struct exchange_challenge;
struct exchange_limited;
struct fetch;
struct fetch_owed;
struct front_entry;
struct inflight;
struct net_client;
struct purge_feed;
struct purge_submission;
struct purge_table;
struct recoder;
struct recoder_wait;
struct sliced;
struct search_rules;
struct share;
struct shared_port;
struct store;
struct store_names;
struct sub_exchange;
struct tier;
struct tls_facts;
struct weir_exchange;
struct weir_sink;

/* How much the node has to hold back; the control thread decides, workers look. */
enum exchange_pressure {
    PRESSURE_NONE,
    PRESSURE_SHED,   /* close idle connections */
    PRESSURE_REFUSE, /* and answer new requests 503 */
};

/* One worker's surroundings; set up by the runtime. */
struct exchange_worker {
    unsigned index;
    struct net_loop *loop;
    struct weir_metrics *metrics;
    struct site_worker *site; /* what new exchanges begin with */
    struct origin_client origins;
    struct tier *tier;         /* shared; NULL: no cache */
    struct inflight *inflight; /* shared */
    struct recoder *recoder;   /* shared; NULL: no coding is made */
    struct http_accept_encoding_memo accept_encoding;
    struct vary_accept_memo vary_accept;
    struct purge_table *purges;        /* shared; NULL where tier is */
    struct purge_feed *purge_feed;     /* shared; NULL: no farm, purges are this node's */
    struct search_rules *search_rules; /* shared; NULL: No-Vary-Search is not heeded */
    struct shared_port *shared;        /* what the farm knows; NULL in tests alone */
    struct store *store;               /* stored responses of the farm; NULL: they are not shared */
    struct store_names *names;         /* NULL where store is */
    struct share *share;               /* what is done with it; likewise */
    struct limit_worker limits;
    const struct weir_hash_secret *secret;
    struct weir_sink *access;   /* shared; NULL: none */
    const atomic_int *pressure; /* shared: enum exchange_pressure; NULL: never any */
    const atomic_bool *ready;   /* this node wants traffic; NULL in tests: yes */
    struct pattern_scratch *scratch;
    struct http_field *fields; /* scratch for request heads that arrive whole */
    uint32_t field_cap;
    int64_t challenge_tat_us;   /* how often shared state is asked for challenges (gcra.h) */
    uint64_t request_ids;       /* random start, counted up */
    struct fetch *fetches;      /* all under way */
    struct fetch *free_fetches; /* kept for reuse, arenas and all */
    unsigned free_fetch_count;
    struct sub_exchange *free_subs; /* likewise */
    unsigned free_sub_count;
};

enum exchange_verdict {
    EXCHANGE_NEXT,  /* run the next stage */
    EXCHANGE_REPLY, /* x->response is ready */
    EXCHANGE_WAIT,  /* the stage keeps x and will call exchange_resume() exactly once */
    EXCHANGE_FAIL,  /* x->err is set; errors.def gives the status */
};

struct exchange_stage {
    const char *name;
    enum exchange_verdict (*run)(struct weir_exchange *x);
    /* The client left while the stage waits; NULL for one that never waits. */
    void (*cancel)(struct weir_exchange *x);
};

/* A piece of something large that is fetched and stored by itself: bytes [number * size,
 * (number + 1) * size). */
struct exchange_slice {
    uint64_t number, size; /* size 0: the whole */
};

struct exchange_response {
    int status;
    struct weir_span
        head; /* status line and field lines, each with CRLF, no framing; lives as long as x */
    struct weir_span extra; /* further field lines of this answer alone */
    int64_t length;         /* of the content as announced; -1 unknown */
    bool bodiless;          /* no content follows, whatever `length` announces (HEAD, 204, 304) */
    struct exchange_body body;
    struct weir_span bytes; /* body_bytes() */
    uint32_t next_slice;    /* body_stored(): cursor */
    bool close;             /* the connection should not be used again */
};

/* What a protocol does for an exchange; all on the loop's thread. */
struct exchange_client {
    /* A 1xx response; borrowed for the call. */
    void (*interim)(struct weir_exchange *x, const struct http_head *head);
    /* x->response is set: send it. Once per exchange; may run inside exchange_start(). */
    void (*respond)(struct weir_exchange *x);
    /* After exchange_pull() said WAIT: pull again. */
    void (*more)(struct weir_exchange *x);
    /* The origin switched protocols: takes the channel. Instead of respond(). */
    void (*upgraded)(struct weir_exchange *x, struct net_chan origin, const struct http_head *head,
                     struct weir_span surplus);
};

#define EXCHANGE_EXTRA_MAX 1024
#define EXCHANGE_ID_MAX    64 /* a request id taken over; ours have 32 digits */

struct weir_exchange {
    /* the engine's */
    struct exchange_worker *w;
    struct site_worker *site; /* counted */
    const struct exchange_client *client;
    struct weir_arena arena;
    struct net_loop *loop;
    uint8_t stage;
    bool open;                    /* between exchange_open() and exchange_close() */
    bool started;                 /* the head was accepted: counted, logged */
    bool held;                    /* the request lives in the arena */
    bool waiting;                 /* a stage waits */
    bool responded;               /* client->respond() was called */
    uint8_t depth;                /* 0: a client's; else a sub-exchange (sub.h) */
    struct weir_exchange *parent; /* NULL: a client's */
    struct weir_err err;
    int64_t began_us; /* first byte of the request */

    /* the protocol's, before exchange_start() */
    struct http_head req;
    struct http_framing framing;
    struct weir_span raw;  /* the bytes req points into */
    struct net_pipe *body; /* content to come; NULL: none */
    const struct net_peer *peer;
    struct net_client *connection;   /* it came by; NULL in tests alone */
    struct fetch_owed *owed;         /* of the connection; NULL: it does not count them */
    const struct tls_facts *tls;     /* of the connection; NULL: plain */
    const struct front_entry *entry; /* by which it came; NULL in tests alone */
    const char *protocol;            /* "HTTP/1.1" */
    bool secure;                     /* TLS, here or at a trusted peer */

    struct exchange_challenge *challenge; /* asked of shared state; NULL: not */
    struct purge_submission *purging;     /* PURGE, until the farm's log has it; NULL: not */

    /* TARGET, ROUTE */
    struct http_target target;
    struct net_peer client_addr; /* the peer, or whom a trusted peer speaks for */
    bool peer_trusted;
    const struct route *route;
    struct route_match match;
    char request_id[EXCHANGE_ID_MAX + 1];
    bool early;      /* it came in early data: the origin is told */
    bool identified; /* req has a Client-Cert of ours */

    /* LIMIT */
    struct exchange_limited *limited; /* what limits said; NULL: the route has none */

    /* CONTENT: of a QUERY */
    struct content_gather *gathering; /* NULL: no longer, or not at all */
    struct weir_blob *content;        /* all of it, or its beginning; NULL: nobody gathered it */
    bool content_whole;

    /* LOOKUP: what the key's rules leave of the target */
    struct {
        bool sent; /* the cache was asked: the origin gets these instead of the target's */
        struct weir_span authority, query; /* ptr of query NULL: none */
    } keyed;
    struct cache_key key;
    char key_buf[CACHE_KEY_INLINE];
    struct stored_response *stored; /* the one being served; a reference */
    struct stored_form *form;       /* what is sent instead of its own body; a reference; NULL: that
                                       body */
    struct stored_response
        *validating; /* a stale one that may serve if all else fails; a reference */
    int64_t age, ttl;
    enum cache_fwd fwd;
    bool hit, collapsed, pass;
    const char *cache_detail; /* static */
    /* negotiate.c's */
    const struct stored_response *looked; /* what x->form was chosen for; not a reference */
    struct recoder_wait *form_wait;       /* NULL: waits for no coding */
    enum coding coding_wanted;            /* what it should get, be it there or not */
    bool answer_stored;
    struct fill_reader *reader;
    /* Fields of the response that are for this client alone, whose request caused it: not stored,
     * not for those who share the fetch. In the arena; NULL: none. */
    const struct http_head *own;
    struct fetch *fetch; /* only while x leads a pass and must be told of interims and upgrades */
    struct net_timer collapse_timer; /* or for a coding to be made */
    struct exchange_slice slice;     /* what a sub-exchange of sliced.c asks for */
    struct sliced *sliced;           /* x is put together from slices; NULL: it is not */
    bool unsliced;                   /* slices have been tried: they cannot be had */
    uint8_t dispatches;        /* times LOOKUP ran: others' fetches turned out not to be for us */
    const char *upstream_name; /* for the log; static or site's */
    const char *origin_url;
    int origin_status;
    int sticky_set; /* origin index a cookie must name; -1: none */
    uint32_t upstream_index;

    /* DELIVER */
    struct exchange_response response;
    struct compose *compose; /* the page is put together from fragments; NULL: it is not */
    uint32_t includes;       /* fragments asked for; at the root alone */
    char extra[EXCHANGE_EXTRA_MAX];

    /* FINISH */
    uint64_t sent_bytes;     /* content */
    uint64_t received_bytes; /* content */
};

/* ---- for the protocols ---- */

/* x: the caller's zeroed or recycled memory (its arena is kept over uses). */
void exchange_init(struct weir_exchange *x, struct exchange_worker *w);
/* A request begins to arrive: takes a place in the current site. */
void exchange_open(struct weir_exchange *x, const struct exchange_client *client,
                   const struct net_peer *peer, int64_t now_us);
/* The same in a site chosen by the caller. */
void exchange_open_in(struct weir_exchange *x, const struct exchange_client *client,
                      const struct net_peer *peer, int64_t now_us, struct site_worker *site);
/* The whole head is there and framed. May call client->respond() before it returns. */
void exchange_start(struct weir_exchange *x);
/* The head was refused, or the client is late: answers with the error's status, closing. */
void exchange_refuse(struct weir_exchange *x, const struct weir_err *err);
/* The time for the whole exchange is over and nothing has been answered: 504. Only while it waits.
 */
void exchange_time_out(struct weir_exchange *x);
/* Copies into the arena what still lies in the receive buffer. false without memory. */
bool exchange_hold(struct weir_exchange *x);

/* Up to max parts of the body. After WAIT client->more() comes. FAILED: the body breaks off, and so
 * must the message. */
enum exchange_pull exchange_pull(struct weir_exchange *x, struct exchange_part *out, unsigned max,
                                 unsigned *n);
/* True if the next exchange_pull() would say END: the end can go out with what was pulled. */
bool exchange_pulled_all(struct weir_exchange *x);
/* Trailer fields to send after the last part; empty if none. */
struct weir_span exchange_trailers(struct weir_exchange *x);
/* The exchange is over (sent, or the client left: complete false): cancels what still runs, logs,
 * lets go. */
void exchange_close(struct weir_exchange *x, bool complete);
/* Frees the arena. */
void exchange_free(struct weir_exchange *x);

/* ---- for the stages ---- */

void exchange_resume(struct weir_exchange *x, enum exchange_verdict verdict);
/* The content that x sends of its stored response: of its own body, or of a form of it. */
struct exchange_content {
    const struct weir_slice *slices;
    uint32_t slice_count;
    uint64_t len;
    bool as_sent; /* in the coding the origin sent: ranges may be cut out of it */
};
struct exchange_content exchange_content(const struct weir_exchange *x);
/* Values for templates of the route. */
void exchange_template_values(struct weir_exchange *x, struct template_values *v,
                              char client[NET_TEXT_MAX]);

#endif
