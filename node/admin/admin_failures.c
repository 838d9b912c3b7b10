#include "admin_failures.h"

#include <string.h>
#include <sys/socket.h>

#define TOLERANCE_MS ((int64_t)(ADMIN_FAILURES_FREE - 1) * ADMIN_FAILURES_EVERY_MS)

static void key_of(unsigned char key[9], const struct net_peer *peer)
{
    memset(key, 0, 9);
    key[0] = peer->family;
    memcpy(key + 1, peer->ip, peer->family == AF_INET ? 4 : 8);
}

static int find(const struct admin_failures *f, const unsigned char key[9])
{
    for (int i = 0; i < ADMIN_FAILURES_ADDRESSES; i++)
        if (memcmp(f->slot[i].key, key, sizeof f->slot[i].key) == 0)
            return i;
    return -1;
}

static int least(const struct admin_failures *f)
{
    int found = 0;

    for (int i = 1; i < ADMIN_FAILURES_ADDRESSES; i++)
        if (f->slot[i].until_ms < f->slot[found].until_ms)
            found = i;
    return found;
}

void admin_failures_add(struct admin_failures *f, const struct net_peer *peer, int64_t now_ms)
{
    unsigned char key[9];
    int i;

    key_of(key, peer);
    i = find(f, key);
    if (i < 0) {
        i = least(f);
        memcpy(f->slot[i].key, key, sizeof key);
        f->slot[i].until_ms = 0;
    }
    if (f->slot[i].until_ms < now_ms)
        f->slot[i].until_ms = now_ms;
    f->slot[i].until_ms += ADMIN_FAILURES_EVERY_MS;
}

int64_t admin_failures_wait_ms(const struct admin_failures *f, const struct net_peer *peer,
                               int64_t now_ms)
{
    unsigned char key[9];
    int64_t wait_ms;
    int i;

    key_of(key, peer);
    i = find(f, key);
    if (i < 0)
        return 0;
    wait_ms = f->slot[i].until_ms - now_ms - TOLERANCE_MS;
    return wait_ms > 0 ? wait_ms : 0;
}
