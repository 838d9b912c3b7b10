/*
 * Any bytes as a PROXY header. The answer does not depend on what comes behind it, only MORE turns
 * into something else with more bytes, and what is known reads the same when it is written again.
 */
#include "net_proxy.h"

#include <stdlib.h>
#include <string.h>

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim))                                                                              \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct net_proxy *p, int version)
{
    struct weir_err err = {0};
    struct net_proxy again;
    char buf[NET_PROXY_OUT_MAX];
    size_t len = version == 1 ? net_proxy_write_v1(buf, &p->from, &p->to)
                              : net_proxy_write_v2(buf, &p->from, &p->to);

    MUST(len <= sizeof buf);
    MUST(net_proxy_parse(buf, len, &again, &err) == NET_PROXY_DONE && again.bytes == len);
    if (p->from.family == AF_UNIX)
        return;
    MUST(memcmp(&again.from, &p->from, sizeof p->from) == 0);
    MUST(memcmp(&again.to, &p->to, sizeof p->to) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_err err = {0};
    struct net_proxy whole, part;
    enum net_proxy_result end = net_proxy_parse(data, size, &whole, &err);

    for (size_t i = 0; i < size && i <= NET_PROXY_LOOK_MAX; i++) {
        uint8_t *exact = malloc(i > 0 ? i : 1);
        enum net_proxy_result r;

        memcpy(exact, data, i);
        r = net_proxy_parse(exact, i, &part, &err);
        free(exact);
        MUST(r == NET_PROXY_MORE || r == end);
        if (r == NET_PROXY_DONE)
            MUST(part.bytes == whole.bytes && part.known == whole.known);
    }
    MUST(end != NET_PROXY_MORE || size < NET_PROXY_LOOK_MAX);
    if (end == NET_PROXY_DONE && whole.known) {
        check_again(&whole, 1);
        check_again(&whole, 2);
    }
    return 0;
}
