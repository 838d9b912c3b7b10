/*
 * store_put.h - the inside of a put, for store_put.c and its steps alone (store_pieces.c,
 * store_finish.c, store_announce.c, store_freshen.c).
 */
#ifndef STORE_PUT_H
#define STORE_PUT_H

#include <event2/event_struct.h>

#include "store_own.h"

/* Bytes of a body that wait to be a chunk: references, and copies of what is small. */
struct store_pieces {
    struct weir_slice *at; /* at[0] is left for the head of the chunk */
    size_t count, cap;     /* count: without at[0] */
    size_t bytes;
    bool copying; /* the last piece is a copy, which the next small one may join */
};

/* false: no memory; nothing was taken. Keeps a reference. */
bool store_pieces_add(struct store_pieces *ps, struct weir_slice bytes);
/* Drops the references; the room for them stays. */
void store_pieces_drop(struct store_pieces *ps);
void store_pieces_free(struct store_pieces *ps);

struct store_put;

struct put_write { /* a chunk under way */
    struct shared_call call;
    struct store_put *p;
    bool busy;
    size_t bytes; /* of the body */
};

enum put_state {
    PUT_TAKING, /* bytes may come */
    PUT_CHUNKS, /* finish() was called: the last chunks are written */
    PUT_TOUCH,  /* freshening: the chunks are made to live longer */
    PUT_META,
    PUT_STUB_LOOK, /* what is under the name without the variant? */
    PUT_STUB_SET,
    PUT_OVER, /* on_done() was or will be called */
};

struct store_put {
    struct store *s;
    struct store_name name, leased;
    enum store_kind kind;
    enum put_state state;
    enum shared_result result; /* OVER */
    uint64_t generation, fence;
    int64_t ttl_ms, begun_ms;
    struct record_fields stub; /* of a variant */
    void (*on_room)(struct store_put *p, void *arg);
    void (*on_done)(struct store_put *p, enum shared_result result, void *arg);
    void *arg;
    struct event tell; /* on_done() comes from the loop */

    struct store_pieces pieces;
    uint64_t total;       /* bytes that were appended */
    uint64_t chunk_bytes; /* of the body in each chunk but the last */
    uint64_t chunks;      /* written, under way, or (TOUCH) touched */
    struct put_write *writes;
    unsigned write_max;
    unsigned busy;  /* writes under way, */
    size_t flying;  /* and the bytes of the body in them */
    bool kept;      /* a meta may lead to the chunks: they stay */
    bool borrowed;  /* freshening: they are those of the object that is there */
    bool last_cut;  /* CHUNKS: the last chunk is written or under way */
    bool lost_body; /* TOUCH: a chunk is missing */

    struct weir_slice head, tail; /* the meta, sealed by finish() */
    struct shared_call call;      /* the meta, then the stub */

    bool announced, opening;     /* opening: open_call is under way */
    struct record_fields opened; /* the meta that was announced */
    struct shared_call open_call;
    int64_t opened_ms;
};

/* ---- store_put.c ---- */

/* What all puts begin with. NULL: no memory. */
struct store_put *store_put_new(struct store *s, const struct store_put_wish *wish);
/* Ends it; on_done() follows. Harmless when it is over. */
void store_put_over(struct store_put *p, enum shared_result result);
/* A write that is free; NULL: all are under way, or there was no memory for them (over). */
struct put_write *store_put_write(struct store_put *p);
/* Writes the pieces as a chunk. */
void store_put_chunk(struct store_put *p, bool last);

/* ---- store_finish.c: what follows the bytes ---- */

/* CHUNKS: a write ended well. Goes on as far as it can. */
void store_put_chunks_step(struct store_put *p);
/* TOUCH: the same. */
void store_put_touch_step(struct store_put *p);
/* Seals the meta over the pieces as its inline body, or over no body. false: no memory (over). */
bool store_put_seal(struct store_put *p, bool chunked, struct weir_span meta);
/* Writes the sealed meta with the pieces, then the stub. */
void store_put_meta(struct store_put *p);
/* Under a key of the name; REFUSED if the fence is too old. */
void store_put_fenced(struct store_put *p, struct shared_call *c, struct weir_span key,
                      const struct weir_slice *slices, size_t count, int64_t ttl_ms);

/* ---- store_announce.c: others read it while it grows ---- */

/* Bytes came: the open record is renewed now and then. */
void store_put_progress(struct store_put *p);
/* It grows no more: stored or given up. */
void store_put_unannounce(struct store_put *p);

#endif
