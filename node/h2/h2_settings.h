/*
 * h2_settings.h - what an operator chooses about HTTP/2 with clients. What is not said here
 * (time-outs, rates, limits of heads) is the same as for HTTP/1: net_settings.h.
 */
#ifndef H2_SETTINGS_H
#define H2_SETTINGS_H

#include <stdint.h>

#include "http2_abuse.h"

struct h2_settings {
    uint32_t max_streams;             /* requests at a time on one connection: 100 */
    uint32_t stream_window_bytes;     /* content a client may send ahead for one request: 64 KiB */
    uint32_t connection_window_bytes; /* and for all of a connection: 1 MiB */
    struct http2_abuse_limits abuse;  /* of one connection: 1000, 100 a second; 16 */
    uint32_t client_points;           /* of all connections of one address: 4000; 0: no limit */
    uint32_t client_forgiven_s;       /* points a second: 400 */
};

/* As in conf/reference.yaml. */
extern const struct h2_settings h2_settings_usual;

#endif
