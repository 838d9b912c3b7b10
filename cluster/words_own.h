/*
 * words_own.h - what words.c (life, saying), words_board.c (reading, restoring) and words_keep.c
 * (the file) share. Private to them and their tests.
 */
#ifndef WORDS_OWN_H
#define WORDS_OWN_H

#include <event2/event.h>

#include "weir/words.h"
#include "word_table.h"

#define WORDS_TIMEOUT_MS 500   /* of a call (redis.md 3.4) */
#define WORDS_READ_MS    2000  /* between two reads */
#define WORDS_SPACE_MS   50    /* the least */
#define WORDS_RESTORE_MS 1000  /* at most: what is missing is put back after a random time */
#define WORDS_TELL_MS    60000 /* between two lines about what was put back */
#define WORDS_NAME_MAX   256

struct words_save;

/* A put under way. */
struct words_put {
    struct shared_call call;
    struct words *words;
    struct words_put *next, **at;
    uint64_t serial;
    bool said; /* a word that was said here; else what the board lacks */
    void (*told)(void *arg, enum words_outcome outcome, uint64_t number);
    void *arg;
    uint64_t number;
};

struct words_reader {
    struct shared_call call;
    struct shared_listener listener;
    bool busy, again, listening;
    bool ever, failed; /* read since the start; the last attempt was not answered */
    bool check;        /* the next read decides what is put back */
    int64_t due_ms, sent_ms, contact_ms;
    int64_t restore_ms; /* when to look once more for what is missing; 0: nothing is */
    bool clock_known;
    int64_t clock_ms;   /* the shared clock less our monotonic one */
    int64_t contact_at; /* shared clock: last contact, of an earlier process too; 0: never */
    uint64_t forged, foreign, restored;
    uint64_t restored_told;
    int64_t tell_restored_ms; /* not before */
    bool full_told;
};

struct words {
    struct shared_port *port;
    struct shared_loop loop;
    struct weir_seal_key key;
    void (*changed)(void *arg);
    void *arg;
    bool farm; /* the board outlives this process */
    char board_key[WORDS_NAME_MAX], channel[WORDS_NAME_MAX];
    struct shared_board board;
    uint64_t random, serial;
    struct event *timer;
    struct word_table table;
    struct words_reader reader;
    struct words_put *puts;
    void (*quiet)(void *arg); /* NULL: nobody waits for that */
    void *quiet_arg;

    /* the file */
    char *file;
    struct weir_work_pool *pool;
    struct weir_mailbox *box;
    struct words_save *save; /* under way */
    bool dirty, save_failed;
    int64_t save_again_ms;
    int64_t saved_contact;
};

static inline int64_t words_now(const struct words *w)
{
    return w->loop.clock->mono_ms;
}

/* Unix time by the shared clock, as well as it is known. */
int64_t words_shared_now(const struct words *w);
/* Sets the timer to what is due first. */
void words_arm(struct words *w);
/* Tells the owner if anything has changed. The last thing that a callback does: w may be gone. */
void words_notify(struct words *w);
/* When a word ends by our clock, from its end by the shared one. false: it has ended. */
bool words_reckon(const struct words *w, struct word_said *s);
/* A sealed word as an allocation of the caller's; ptr NULL without memory. */
struct weir_span words_seal(const struct words *w, const struct word_said *s);

/* NULL without memory. */
struct words_put *words_put_new(struct words *w, bool said);
/* Asks for those of the table whose `put` is p's serial number, at most SHARED_BOARD_POSTS. */
void words_put_ask(struct words *w, struct words_put *p);
void words_put_drop(struct words *w, struct words_put *p);

/* ---- words_board.c ---- */

void words_reader_start(struct words *w);
void words_reader_stop(struct words *w);
void words_reader_turn(struct words *w);
/* Something was not put: it reads in a while, even if it was done with reading. */
void words_reader_again(struct words *w);
void words_look(struct words *w);
/* When it has something to do next. */
int64_t words_reader_due(const struct words *w);

/* ---- words_keep.c ---- */

/* false: *err (memory). What is wrong with the file is said in the log. */
bool words_load(struct words *w, struct weir_err *err);
/* Writes the file if it is time to. */
void words_keep(struct words *w);
int64_t words_keep_due(const struct words *w);
/* The same, now and here, and for the last time. */
void words_keep_last(struct words *w);

#endif
