/*
 * test_health_answer.h - an answer fed in pieces, for tests and fuzzing.
 */
#ifndef TEST_HEALTH_ANSWER_H
#define TEST_HEALTH_ANSWER_H

#include <string.h>

#include "health_answer.h"

/* Feeds len bytes, at most `piece` at a time, as far as there is room. */
static inline enum health_reason feed(struct health_answer *a, const char *bytes, size_t len,
                                      size_t piece)
{
    enum health_reason why = HEALTH_R_NONE;

    while (len > 0 && why == HEALTH_R_NONE) {
        size_t room = 0, n = len < piece ? len : piece;
        char *to = health_answer_room(a, &room);

        if (to == NULL)
            return HEALTH_R_LOCAL;
        n = n < room ? n : room;
        memcpy(to, bytes, n);
        why = health_answer_took(a, n);
        bytes += n;
        len -= n;
    }
    return why;
}

#endif
