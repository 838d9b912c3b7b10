/*
 * fill.h - one fetch whose response any number of readers, on any worker, stream while it grows.
 *
 *   WAITING --fill_open()----> OPEN --fill_finish()--> DONE
 *      |                        '----fill_fail()-----> FAILED   (readers see the body break off)
 *      |--fill_answer()--> ANSWERED  (a stored response serves all: freshened, or stale on error)
 *      |--fill_disband()-> DISBANDED (uncacheable: everyone but the leader asks for himself)
 *      '--fill_fail()----> FAILED
 *
 * One thread, the owner (where the fetch runs), calls the functions of the producer. Readers live
 * on any thread and are woken there: directly on the owner's, by mail elsewhere. A *private* fill
 * (a pass: its key is empty; or one that is alone, see inflight.h) must stay with its reader on the
 * owner's thread, and then takes no lock.
 *
 * A *retaining* fill keeps every byte, so that late readers join from the start and the whole can
 * be stored. One that does not (a pass, or a body that outgrew the limit) drops what all readers
 * have taken, and holds the origin back when the slowest reader is FILL_WINDOW_BYTES behind.
 */
#ifndef FILL_H
#define FILL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir/blob.h"
#include "weir/err.h"
#include "weir/hash.h"
#include "weir/mailbox.h"
#include "weir/span.h"
#include "cache_key.h"
#include "purge.h"
#include "stored.h"
#include "vary.h"

#define FILL_WINDOW_BYTES 131072

struct http_field;
struct fill_reader;

enum fill_state {
    FILL_WAITING,
    FILL_OPEN,
    FILL_DONE,
    FILL_FAILED,
    FILL_ANSWERED,
    FILL_DISBANDED,
};

/* A response head as it goes on: end-to-end fields only, no framing. Immutable once the fill is
 * open. */
struct fill_head {
    int status;
    struct weir_blob *bytes;   /* status line and field lines, each with CRLF; owned */
    struct http_field *fields; /* into bytes; owned */
    uint32_t field_count;
    /* Behind those, in both: fields that are stored but not sent. */
    uint32_t hidden_count, hidden_len;
    int64_t length;                       /* of the content; -1 unknown */
    struct weir_span etag, last_modified; /* into bytes */
    uint32_t common;                      /* as stored_response.head_common */
    enum coding coding;                   /* of the content */
    bool recodable;                       /* it may go out in another one */
    struct stored_facts facts;
    bool storable;
    const char *detail;         /* why not stored; static; NULL */
    struct weir_blob *trailers; /* field lines let through, set before DONE; owned; NULL none */
};

/* What the producer hears, on its own thread. */
struct fill_owner {
    void (*space)(void *arg);     /* the window is open again: go on reading the origin */
    void (*abandoned)(void *arg); /* the last reader left a fill that does not retain */
};

struct fill {
    atomic_uint refs;
    pthread_mutex_t lock; /* everything below that changes after creation */
    enum fill_state state;
    bool retain;
    bool shared;    /* other threads may know it: then its lock is taken */
    bool disbanded; /* the leader's alone: nobody else reads it */
    bool outdated;  /* it was disbanded for that: who asks again finds something better */
    bool paused;    /* fill_append() said so; space() will be called */
    bool space_mailed, abandon_mailed;

    /* identity; immutable after creation */
    struct weir_span key; /* owned copy */
    struct weir_hash128 hash;
    struct purge_table *purges; /* where it is watched; NULL: nowhere */
    struct purge_subject purge; /* its tags are inflight.c's too, and the producer's memory */
    uint64_t watch_also;        /* a further URL it is watched under; 0: none */
    /* Its key became another when the head was there (No-Vary-Search): set by inflight_move(), once
     * and before the fill is opened. */
    char *moved;            /* bytes of the new key, then of `asked`; owned; NULL: did not move */
    struct weir_span asked; /* if so: the query it was asked with; ptr NULL: none */
    /* inflight.c's, under its own lock: apart from what f->lock guards */
    struct fill *next_inflight;
    bool joinable;            /* in the table of fills in flight */
    bool alone;               /* not entered there before its variant is known */
    struct weir_span variant; /* variant key; ptr NULL until known; owned */
    struct vary_spec *vary;   /* the spec `variant` was made by; owned; NULL until known */

    struct fill_head head;          /* valid from OPEN on */
    struct stored_response *answer; /* ANSWERED: owned */
    struct weir_err err;            /* FAILED */
    const char *answer_detail;      /* for Cache-Status; static */
    int answer_fwd_status;          /* status of the origin that led to the answer */
    bool answer_fresh;              /* answered by validation rather than by failure */
    bool from_farm; /* answer or content was stored by another node: a hit for all who read it */
    bool answer_stored;

    struct weir_slice *parts; /* what is kept of the body */
    size_t part_count, part_cap;
    uint64_t dropped; /* parts dropped from the front */
    uint64_t bytes;   /* appended in all */

    struct fill_reader *readers;
    struct weir_mailbox *box; /* the owner's */
    const struct fill_owner *owner;
    void *owner_arg; /* NULL once the producer is done */
    struct weir_mail space_mail, abandon_mail;
};

/* A cursor over a fill; one thread's. Heap object of its own, because a wake-up may be in the mail.
 */
struct fill_reader {
    struct fill *fill; /* reference */
    struct fill_reader *next, **at;
    struct weir_mailbox *box; /* of the reader's thread */
    struct weir_mail mail;
    uint64_t part;  /* absolute number of the next part */
    uint64_t taken; /* bytes */
    bool waiting;   /* wants a wake-up */
    bool due;       /* is about to be woken */
    bool mailed, closed;
    void (*wake)(void *arg);
    void *arg;
};

/* ---- life ---- */

/* key is copied. Returns owned. box: the owner's thread. retain: see above. */
struct fill *fill_new(const struct cache_key *key, bool retain, struct weir_mailbox *box,
                      const struct fill_owner *owner, void *owner_arg, struct weir_err *err);
struct fill *fill_ref(struct fill *f);
void fill_unref(struct fill *f);
/* Before it is shared and before the request goes out: what purges may name the response by. From
 * now on a purge of it is known to be later. also: the URL it may get by inflight_move(); 0: none.
 * path: inside the fill's key.
 */
void fill_set_subject(struct fill *f, struct purge_table *t, uint64_t url, uint64_t host,
                      uint64_t also, struct weir_span path);
/* Before it is shared: the variant this fetch is for, when that is known. Copies. */
bool fill_set_variant(struct fill *f, const struct vary_spec *vary, struct weir_span variant);

/* ---- producer (owner's thread) ---- */

/* Takes what `head` owns. From now on readers stream. quiet: content or the end is about to follow
 * and will wake them (or else fill_wake() must). */
void fill_open(struct fill *f, const struct fill_head *head, bool quiet);
/* Wakes who has waited since before the last change; harmless when nobody does. */
void fill_wake(struct fill *f);
/* Takes the slice. false: the window is full; append no more than is at hand until owner->space().
 * Without memory the fill fails, and what is appended to a failed fill is dropped. */
bool fill_append(struct fill *f, struct weir_slice s);
/* The same for the last slice: readers hear of it by fill_finish(), which must follow, together
 * with the end. */
void fill_append_last(struct fill *f, struct weir_slice s);
/* fill_append() said false, and space() has not come yet. */
bool fill_is_paused(struct fill *f);
/* The body is complete. trailers: taken, may be NULL. */
void fill_finish(struct fill *f, struct weir_blob *trailers);
void fill_fail(struct fill *f, const struct weir_err *err);
/* Keeps a reference. fresh: by validation (304), else on failure. */
void fill_answer(struct fill *f, struct stored_response *r, bool fresh, bool stored, int fwd_status,
                 const char *detail);
/* Sends everyone away but `leader` (may be NULL), for whom the fill goes on as a pass. */
void fill_disband(struct fill *f, struct fill_reader *leader);
/* The body grew too large to keep: becomes a stream. Readers go on; without any it is abandoned. */
void fill_stop_retaining(struct fill *f);
/* The producer is finished with it: no more owner callbacks. */
void fill_detach_owner(struct fill *f);

/* ---- readers (any thread) ---- */

/*
 * Joins. wake(arg) runs on the thread of `box` whenever something changed after the reader was told
 * to wait; never inside a call of the reader. Whoever comes too late (the fill was disbanded, or
 * dropped its beginning) sees DISBANDED. NULL without memory.
 */
struct fill_reader *fill_reader_open(struct fill *f, struct weir_mailbox *box,
                                     void (*wake)(void *arg), void *arg);
/* Leaves. The reader must not be used afterwards; wake will not be called. NULL does nothing. */
void fill_reader_close(struct fill_reader *r);
/* State as this reader sees it; in FILL_WAITING it arms the wake-up. DISBANDED: ask for yourself.
 */
enum fill_state fill_reader_state(struct fill_reader *r);

enum fill_read { FILL_READ_DATA, FILL_READ_WAIT, FILL_READ_END, FILL_READ_FAILED };

/* Up to max slices (*n), each with a reference taken for the caller. WAIT arms the wake-up. */
enum fill_read fill_reader_take(struct fill_reader *r, struct weir_slice *out, unsigned max,
                                unsigned *n);
/* Everything has been taken and the body is complete. */
bool fill_reader_done(struct fill_reader *r);

#endif
