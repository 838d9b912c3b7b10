/*
 * acme_own.h - what acme.c (life, what is due, orders) and acme_board.c (what the farm has) share.
 * Private to them.
 */
#ifndef ACME_OWN_H
#define ACME_OWN_H

#include "net_loop.h"
#include "acme.h"
#include "acme_hook.h"
#include "acme_record.h"
#include "acme_run.h"

#define ACME_TURN_MS    1000
#define ACME_TIMEOUT_MS 2000                      /* of a call: nobody waits for it */
#define ACME_LOOK_MS    60000                     /* between two reads; hints may get lost */
#define ACME_AGAIN_MS   5000                      /* after a failed one */
#define ACME_FRESH_MS   (2 * ACME_LOOK_MS)        /* what was read so long ago decides nothing */
#define ACME_TTL_MS     ((int64_t)200 * 86400000) /* on the board; put again at half of it */
#define ACME_LEASE_MS   (ACME_ACCOUNT_MS + ACME_ORDER_MS + 60000)
#define ACME_FENCE_MS   (2 * ACME_LEASE_MS)
#define ACME_WAIT_MS    30000 /* until one looks again whether another has done it */
#define ACME_RETRY_MS   60000 /* after the first failure; then twice as long each time */
#define ACME_RETRY_MAX  (6 * 3600000)
#define ACME_NAME_ROOM  256

struct acme_cert {
    char id[ACME_ID_MAX];
    const struct acme_certificate_settings *s;
    struct acme_held held; /* key NULL: there is none yet */
    int64_t not_before_s, not_after_s;
    int64_t jitter; /* thousandths of the spread */
    int64_t next_ms;
    unsigned failures;
    char error[200];
    int64_t error_s;
    bool on_board; /* and not about to end there */
};

enum acme_phase { ACME_NONE, ACME_LEASING, ACME_CHECKING, ACME_RUNNING, ACME_RELEASING };

struct acme_board {
    struct shared_call read, put;
    struct shared_listener listener;
    struct shared_board place;
    char key[ACME_NAME_ROOM], channel[ACME_NAME_ROOM];
    bool reading, putting, again, listening, refused_told;
    int64_t due_ms, sent_ms, contact_ms; /* contact: -1, never */
    bool clock_known;
    int64_t clock_ms;
};

struct acme_order {
    enum acme_phase phase;
    struct acme_cert *cert;
    struct shared_call call;
    struct shared_lease lease;
    char key[ACME_NAME_ROOM], fence[ACME_NAME_ROOM], owner[32];
    struct shared_call challenge;
    bool challenging; /* the hook waits for it */
};

struct acme {
    struct acme_options o;
    struct weir_wrap_key key;
    char farm[128];
    char *folder;
    const struct acme_settings *s;
    struct acme_cert *certs;
    size_t count;
    char account_id[ACME_ID_MAX];
    struct acme_held account;
    bool account_on_board;
    struct weir_keeper *keeper;
    bool keep_failed;
    struct acme_run *run;
    struct acme_hook *hook;
    struct net_timer turn;
    struct acme_board board;
    struct acme_order order;
    uint64_t random;
};

static inline int64_t acme_mono(const struct acme *a)
{
    return net_now_ms(a->o.loop);
}

/* Unix time by the shared clock, as well as it is known. */
int64_t acme_now_ms(const struct acme *a);
int64_t acme_random(struct acme *a, int64_t below);
/* Takes h's texts where it is newer than what is there. true: it is. */
bool acme_adopt(struct acme *a, struct acme_held *h);
void acme_keep(struct acme *a);

/* ---- acme_board.c ---- */

bool acme_board_start(struct acme *a, struct weir_err *err);
void acme_board_stop(struct acme *a);
void acme_board_turn(struct acme *a);
void acme_board_look(struct acme *a);
/* Puts what is not there, and reads again. What comes meanwhile is put after that. */
void acme_board_put(struct acme *a);

/* ---- acme.c: told by the board ---- */

void acme_board_was_read(struct acme *a, bool ok, bool news);

#endif
