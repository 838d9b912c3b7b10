/*
 * h2_memory.h - the memory of a connection's session, which nghttp2 asks for in small pieces.
 *
 * Pieces are recycled within the worker. Each belongs to its session's list, so that all of them
 * can be freed without asking nghttp2: where memory failed inside it, its own structures may point
 * to what it has freed already (nghttp2 1.52: a stream to an item that found no place in a queue).
 */
#ifndef H2_MEMORY_H
#define H2_MEMORY_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>

#define H2_MEMORY_CLASSES 5

struct h2_piece;

/* The worker's: pieces that nobody has. All zero is empty. */
struct h2_memory {
    struct h2_piece *free[H2_MEMORY_CLASSES];
    unsigned count[H2_MEMORY_CLASSES];
};

/* One session's. */
struct h2_session_memory {
    struct h2_memory *memory;
    struct h2_piece *pieces;
    size_t bytes; /* held */
    bool failed;  /* at least once: the session must not be used, nor deleted, any more */
};

/* For nghttp2_session_server_new3(); `of` must outlive the session. */
nghttp2_mem h2_memory_of(struct h2_session_memory *of, struct h2_memory *memory);
/* Frees all pieces. */
void h2_memory_drop(struct h2_session_memory *of);
/* Gives back what nobody has. */
void h2_memory_close(struct h2_memory *m);

#endif
