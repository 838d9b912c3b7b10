/*
 * h2_memory.h - the memory of a connection's session, which nghttp2 asks for in small pieces.
 *
 * Pieces are recycled within the worker. Each belongs to its session's list, so that all of them
 * can be freed without asking nghttp2: where memory failed inside it, its own structures may point
 * to what it has freed already (nghttp2 1.52: a stream to an item that found no place in a queue).
 *
 * One piece is none of the session's own: the buffer of 16 KiB in which nghttp2 writes a frame's
 * bytes before nghttp2_session_mem_send() returns them. It would be most of what an idle connection
 * holds. All sessions of a worker get the same one, which is right as long as no frame stays in it
 * from one call to the next: h2_conn.c takes each whole, and h2_send_data() says PAUSE after the
 * last one that finds room, never WOULDBLOCK.
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
    char *frame; /* the buffer that all sessions have; NULL: not yet */
    size_t frame_len;
};

/* One session's. */
struct h2_session_memory {
    struct h2_memory *memory;
    struct h2_piece *pieces;
    size_t bytes; /* held */
    bool making;  /* nghttp2_session_server_new3() runs: what is large is the frame's buffer */
    bool failed;  /* at least once: the session must not be used, nor deleted, any more */
};

/* For nghttp2_session_server_new3(); `of` must outlive the session. */
nghttp2_mem h2_memory_of(struct h2_session_memory *of, struct h2_memory *memory);
/* No frame is in the buffer now: builds for tests overwrite it. */
void h2_memory_frame_over(struct h2_memory *m);
/* Frees all pieces. */
void h2_memory_drop(struct h2_session_memory *of);
/* Gives back what nobody has. */
void h2_memory_close(struct h2_memory *m);

#endif
