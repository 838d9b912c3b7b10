/*
 * redis_voice.h - what is said in the log about one endpoint of Redis: once for the process, not
 * once for each thread that finds out, and not again and again while it stays so.
 *
 * Thread-safe. It decides alone; the lines are its callers'. Bounded: of more things than it can
 * remember nothing is said.
 */
#ifndef REDIS_VOICE_H
#define REDIS_VOICE_H

#include <stdbool.h>
#include <stdint.h>

struct redis_address;
struct redis_voice;

/* name: of the endpoint ("redis", "cache", "state"; "" for none), borrowed. NULL without memory. */
struct redis_voice *redis_voice_new(const char *name);
void redis_voice_free(struct redis_voice *v); /* NULL does nothing */

/* What lines begin with: "redis", or "redis cache". */
const char *redis_voice_title(const struct redis_voice *v);

enum redis_word {
    REDIS_WORD_SHUT_OUT,       /* a wrong password, a certificate that is not trusted ... */
    REDIS_WORD_NO_MAP,         /* CLUSTER SLOTS made no sense */
    REDIS_WORD_NO_LISTENING,   /* a subscription was refused */
    REDIS_WORD_LISTENER_ENDED, /* a subscriber's connection */
    REDIS_WORD_ENDED,          /* a connection; REDIS_WORD_ENDED + enum redis_fault */
};

/* May this be said of that node? Once a minute. */
bool redis_voice_may_say(struct redis_voice *v, unsigned word, const struct redis_address *of,
                         int64_t now_ms);
/* That it is out of use: once until it is back, and not more often than every ten seconds. To be
 * asked again while it stays so. */
bool redis_voice_may_say_out(struct redis_voice *v, const struct redis_address *of, int64_t now_ms);
/* That it is back: if it was said that it is out. */
bool redis_voice_may_say_back(struct redis_voice *v, const struct redis_address *of);
/* A description of the whole: true if it is not the one of the last time. */
bool redis_voice_is_news(struct redis_voice *v, const char *text);

#endif
