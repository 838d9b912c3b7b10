/*
 * words.h - what operators order, for the whole farm: to drain, disable or weigh an origin, to take
 * an upstream into maintenance, to drain or reload a node. Each word has an author, a reason and
 * perhaps an end, holds over restarts, and wins over what health finds.
 *
 * Words stand on a board (weir/shared.h); every node reads all of them, on a hint and every two
 * seconds, and goes on with what it knows while the board cannot be reached. Taking a word back
 * leaves a word that says nothing, for a week, so that a board that has lost its memory (a flush, a
 * failover) is told from one on which words were taken back: what is missing is put back by the
 * nodes that know it. (A node that has not seen the board for longer than that forgets instead what
 * is missing.) Words are sealed (weir/seal.h); forged ones count and mean nothing.
 *
 *     w1:{B.<farm>}:w   board: "target|aspect|url|name" -> sealed word      :ch  its channel
 *
 * A target has an *aspect* for each thing that can be said of it beside others: its state (DRAIN,
 * DISABLE, UP, MAINTENANCE, UNREADY), its weight, and for nodes the order (DRAIN, RELOAD). Of two
 * words for one target and aspect the one with the greater number holds. An order is carried out
 * once: by a node for which its number is greater than that of the last order it has carried out
 * and that was up when it was said; whether that is so is the node's matter (fleet). It ends after
 * an hour unless it says something else.
 *
 * A node alone, and a node that starts while Redis is away, reads its words from a file in
 * node.state_dir, which is written anew with each change (in the work pool, atomically).
 *
 * Everything runs on the thread of `loop` (the control thread).
 *
 * Source: balancing-and-health 4.2 (drain).
 */
#ifndef WEIR_WORDS_H
#define WEIR_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/seal.h"
#include "weir/shared.h"
#include "weir/span.h"

struct words;
struct weir_mailbox;
struct weir_work_pool;

enum word_target {
    WORD_ORIGIN,   /* name "upstream", url "http://10.0.0.1:3000" */
    WORD_UPSTREAM, /* name "upstream" */
    WORD_NODE,     /* name: its id; "" every node */
};

enum word_kind {
    WORD_NOTHING,     /* taken back */
    WORD_DRAIN,       /* origin: no new clients, sticky ones go on. Node: leave, politely, once */
    WORD_DISABLE,     /* origin: nobody */
    WORD_UP,          /* origin: in use, whatever checks say */
    WORD_WEIGHT,      /* origin: this weight instead of the configured one; beside the others */
    WORD_MAINTENANCE, /* upstream: no origin is asked; stored responses, stale too, then 503 */
    WORD_RELOAD,      /* node: read the configuration anew, once */
    WORD_UNREADY,     /* node: not ready (no new traffic), but it goes on serving */
    WORD_KINDS
};

#define WORD_NAME_MAX   128
#define WORD_URL_MAX    512
#define WORD_AUTHOR_MAX 128
#define WORD_REASON_MAX 256
#define WORDS_MAX       5000 /* that a farm keeps, those that were taken back included */
#define WORD_WEIGHT_MAX 1000
#define WORD_NOTHING_MS                                                                            \
    ((int64_t)7 * 86400 * 1000) /* how long it is known that one was taken back */
#define WORD_ORDER_MS ((int64_t)3600 * 1000)

struct word {
    enum word_target target;
    enum word_kind kind;
    const char *name, *url; /* url: "" unless an origin's */
    uint32_t weight;        /* WEIGHT: 1..1000 */
    const char *author, *reason;
    uint64_t number;   /* the shared clock's milliseconds when it was said: grows */
    int64_t said_at_s; /* Unix time by the shared clock */
    int64_t until_ms;  /* own monotonic clock; 0: no end */
};

struct words_options {
    struct shared_port *port;        /* borrowed; outlives it */
    const struct shared_loop *loop;  /* copied */
    const struct weir_seal_key *key; /* copied */
    const char *farm;                /* copied */
    const char *file;                /* copied; NULL: none */
    struct weir_work_pool *pool;     /* writes the file; NULL where file is */
    struct weir_mailbox *box;        /* of this thread, for the pool's answers */
    uint64_t seed;                   /* of random delays */
    void (*changed)(void *arg);      /* never from inside a call */
    void *arg;
};

/* Reads the file at once (it is small). A file that makes no sense is set aside as FILE.bad, with a
 * line in the log; one that cannot be read or written is a line in the log. NULL: *err. */
struct words *words_new(const struct words_options *o, struct weir_err *err);
/* Writes the file now if there is anything in it to be written. NULL does nothing. */
void words_free(struct words *w);

/* All words in force but NOTHING, by target, name, url: valid until the loop's next turn. */
size_t words_list(struct words *w, const struct word **out);
/* The board has been read since the start, or cannot be for now: no reason to wait for it. */
bool words_settled(const struct words *w);
/* Tells `quiet`, which must not free w, once: when no word that was said here is under way any
 * more, at most 500 ms later, never from inside. So that who ends does not take an order with it
 * that the others are still to hear. */
void words_when_quiet(struct words *w, void (*quiet)(void *arg), void *arg);
/* Does what is due by the loop's clock. A timer of the loop calls it; a test or a simulation with a
 * clock of its own does. */
void words_turn(struct words *w);

enum words_outcome {
    WORDS_SAID,        /* on the board and on a replica */
    WORDS_UNCONFIRMED, /* on the board alone: it could still get lost */
    WORDS_HERE_ONLY,   /* Redis cannot be reached: in force here, and put on the board later */
};

/*
 * Says a word for `left_ms` (0: for good; an order: for an hour). It is in force here at once.
 * number, said_at_s and until_ms are set. kind NOTHING takes back the target's state; of an origin
 * with `weight_only` its weight. told() (or NULL) is called once from the loop, unless words_free()
 * comes first. false: *err (a text too long or empty, a kind that the target does not know, a
 * weight out of range, too many words), and nothing was said.
 */
struct words_say {
    struct word word; /* texts borrowed for the call */
    bool weight_only;
    int64_t left_ms;
    void (*told)(void *arg, enum words_outcome outcome, uint64_t number);
    void *arg;
};
bool words_say(struct words *w, const struct words_say *say, struct weir_err *err);

/* "drain", ...; the kind of that name, or -1. */
const char *word_kind_name(enum word_kind k);
int word_kind_of(const char *name);

struct words_state {
    bool current;   /* read lately */
    size_t pending; /* not on the board yet */
    uint64_t forged,
        foreign;       /* on the board, but not by us; or of a format that is not read here */
    uint64_t restored; /* words that the board had lost and this node has put back */
};
void words_state(const struct words *w, struct words_state *out);

#endif
