#include "weir/clock.h"

#include <time.h>

#include "civil.h"

void weir_clock_update(struct weir_clock *c)
{
    struct timespec mono, wall;

    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &wall);
    c->mono_us = (int64_t)mono.tv_sec * 1000000 + mono.tv_nsec / 1000;
    c->mono_ms = c->mono_us / 1000;
    c->wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    if (c->wall_s == wall.tv_sec && c->http_date[0] != '\0')
        return;
    c->wall_s = wall.tv_sec;
    civil_http_date(c->wall_s, c->http_date);
}
