/*
 * admin_failures.h - who has failed to say who he is, and has to wait before he may try again.
 *
 * Ten failures are free for an address (IPv6: its /64), then one each six seconds. The table is
 * small and bounded; when it is full the address that has failed least lately is forgotten.
 * Arithmetic alone: `now_ms` is monotonic.
 */
#ifndef ADMIN_FAILURES_H
#define ADMIN_FAILURES_H

#include <stdint.h>

#include "net_addr.h"

#define ADMIN_FAILURES_ADDRESSES 256
#define ADMIN_FAILURES_FREE      10
#define ADMIN_FAILURES_EVERY_MS  6000

struct admin_failures {
    struct {
        unsigned char key[9]; /* family, then the address or its /64; family 0: free */
        int64_t until_ms;     /* when all its failures are forgotten */
    } slot[ADMIN_FAILURES_ADDRESSES];
};

void admin_failures_add(struct admin_failures *f, const struct net_peer *peer, int64_t now_ms);
/* How long it has to wait; 0: it may try. */
int64_t admin_failures_wait_ms(const struct admin_failures *f, const struct net_peer *peer,
                               int64_t now_ms);

#endif
