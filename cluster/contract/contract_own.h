/*
 * contract_own.h - a test's world: an engine, two ports of it and one of another node, a loop, and
 * calls that are awaited.
 */
#ifndef CONTRACT_OWN_H
#define CONTRACT_OWN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "shared_contract.h"

#define CONTRACT_TIMEOUT_MS 5000 /* of a call; busy machines must not fail a test */
#define CONTRACT_LONG_MS    60000
#define CONTRACT_BRIEF_MS   300 /* a life that a test sees the end of */

enum { PORT_A, PORT_B, PORT_OTHER_NODE, CONTRACT_PORTS };

struct world {
    const struct contract_engine *engine;
    struct event_base *base;
    struct event *tick; /* ends a turn in which nothing happens */
    struct weir_clock clock;
    struct weir_shared *shared, *other_node; /* other_node: NULL unless farm */
    struct shared_port *ports[CONTRACT_PORTS];
    int port_count;
    unsigned entered; /* how often the loop was entered */
    bool in_loop;
    unsigned number; /* of the test: in its keys */
    unsigned keys_made;
    char keys[16][64]; /* used in turn */
};

/* One call and what became of it. */
struct asked {
    struct shared_call call; /* first */
    struct world *w;
    int done;
};

/* A test's listener. */
struct hearer {
    struct shared_listener listener; /* first */
    struct world *w;
    int hints, gaps;
    size_t last_len;
    char last[SHARED_HINT_MAX];
    void (*then)(struct hearer *h); /* called in the end of both functions; or NULL */
};

int world_setup(void **state);
int world_teardown(void **state);

/* "w1:{c<pid>.<test>}:name". Good for the next 15. */
struct weir_span key(struct world *w, const char *name);
/* One turn of the loop, waiting for at most some milliseconds. */
void turn(struct world *w);
/* Time passes for all that is measured in it. */
void pass(struct world *w, uint32_t ms);
/* Turns until *what >= least, or fails. */
void await(struct world *w, const int *what, int least);

void asked_init(struct asked *a, struct world *w, enum shared_area area);
void asked_await(struct asked *a); /* ... its done() */

/* Ask, await, and return the result; *a holds the answer until asked_clear(). */
enum shared_result get(struct world *w, struct asked *a, int port, struct weir_span k);
void asked_clear(struct asked *a);

/* The same without an answer to look at. Area: SHARED_STATE, as everywhere in the tests that say
 * nothing else. */
enum shared_result put(struct world *w, struct weir_span k, struct weir_span value, int64_t ttl_ms);
enum shared_result put_new(struct world *w, struct weir_span k, struct weir_span value,
                           int64_t ttl_ms);
enum shared_result put_fenced(struct world *w, struct weir_span k, struct weir_span fence_key,
                              uint64_t fence, struct weir_span value);
enum shared_result touch(struct world *w, struct weir_span k, int64_t ttl_ms);
enum shared_result remove_if(struct world *w, struct weir_span k, size_t offset,
                             struct weir_span bytes);
uint64_t remove_key(struct world *w, struct weir_span k); /* c->number of an OK */
void assert_value(struct world *w, struct weir_span k, struct weir_span value);
void assert_no_value(struct world *w, struct weir_span k);

/* The bytes as a blob of their own; the caller's reference. */
struct weir_slice slice_of(struct weir_span bytes);

void hearer_init(struct hearer *h, struct world *w);
/* ... and awaits the first on_gap. */
void hearer_listen(struct hearer *h, int port, struct weir_span channel);
enum shared_result say(struct world *w, int port, struct weir_span channel, struct weir_span bytes);
/* All that has been said before has been heard where it is: says one thing more and awaits it. */
void settle(struct world *w, struct hearer *h, struct weir_span channel);

/* Tests, each in a world of its own. */
struct contract_table {
    const struct CMUnitTest *tests;
    size_t count;
};

#define CONTRACT_TEST(f)                                                                           \
    {                                                                                              \
#f, f, world_setup, world_teardown, NULL                                                   \
    }

/* Returns how many failed. For what holds of one engine alone, too. */
int contract_run_table(const struct contract_engine *engine, const char *what,
                       const struct contract_table *table);

extern const struct contract_table contract_boards, contract_calls, contract_faults, contract_hints,
    contract_leases, contract_logs, contract_tokens, contract_values;

#endif
