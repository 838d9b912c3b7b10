#include "bench_keys.h"

#include <stdio.h>
#include <string.h>

double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

size_t read_keys(char **keys)
{
    char line[512];
    size_t n = 0;

    while (n < KEYS_MAX && fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        keys[n++] = strdup(line);
    }
    return n;
}

uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
