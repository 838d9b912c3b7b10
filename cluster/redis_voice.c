#include "redis_voice.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "redis_slots.h"
#include "weir/alloc.h"

#define AGAIN_MS     60000
#define OUT_AGAIN_MS 10000
#define SAYINGS      128 /* remembered: more nodes than that fail together in no farm */
#define TITLE_MAX    32
#define NEWS_MAX     128
#define OUT          UINT32_MAX /* the word of may_say_out() */

struct saying {
    struct redis_address of;
    unsigned word;
    bool used, in_force; /* in_force: said that it is out, and not yet that it is back */
    int64_t said_ms;
};

struct redis_voice {
    pthread_mutex_t lock; /* guards what follows but the title */
    char title[TITLE_MAX];
    char news[NEWS_MAX];
    struct saying sayings[SAYINGS];
};

struct redis_voice *redis_voice_new(const char *name)
{
    struct redis_voice *v = weir_calloc(1, sizeof *v);
    bool plain = name[0] == '\0' || strcmp(name, "redis") == 0;

    if (v == NULL)
        return NULL;
    snprintf(v->title, sizeof v->title, "redis%s%s", plain ? "" : " ", plain ? "" : name);
    pthread_mutex_init(&v->lock, NULL);
    return v;
}

void redis_voice_free(struct redis_voice *v)
{
    if (v == NULL)
        return;
    pthread_mutex_destroy(&v->lock);
    weir_free(v);
}

const char *redis_voice_title(const struct redis_voice *v)
{
    return v->title;
}

static struct saying *find(struct redis_voice *v, unsigned word, const struct redis_address *of)
{
    for (struct saying *s = v->sayings; s < v->sayings + SAYINGS; s++)
        if (s->used && s->word == word && redis_address_eq(&s->of, of))
            return s;
    return NULL;
}

/* Found, or made in the place of one that is forgotten. NULL: too much to remember. */
static struct saying *recall(struct redis_voice *v, unsigned word, const struct redis_address *of,
                             int64_t now_ms)
{
    struct saying *s = find(v, word, of);

    if (s != NULL)
        return s;
    for (s = v->sayings; s < v->sayings + SAYINGS; s++)
        if (!s->used || (!s->in_force && now_ms - s->said_ms >= AGAIN_MS)) {
            *s = (struct saying){.of = *of, .word = word, .used = true};
            s->said_ms = now_ms - AGAIN_MS;
            return s;
        }
    return NULL;
}

bool redis_voice_may_say(struct redis_voice *v, unsigned word, const struct redis_address *of,
                         int64_t now_ms)
{
    struct saying *s;
    bool may;

    pthread_mutex_lock(&v->lock);
    s = recall(v, word, of, now_ms);
    may = s != NULL && now_ms - s->said_ms >= AGAIN_MS;
    if (may)
        s->said_ms = now_ms;
    pthread_mutex_unlock(&v->lock);
    return may;
}

bool redis_voice_may_say_out(struct redis_voice *v, const struct redis_address *of, int64_t now_ms)
{
    struct saying *s;
    bool may;

    pthread_mutex_lock(&v->lock);
    s = recall(v, OUT, of, now_ms);
    may = s != NULL && !s->in_force && now_ms - s->said_ms >= OUT_AGAIN_MS;
    if (may) {
        s->said_ms = now_ms;
        s->in_force = true;
    }
    pthread_mutex_unlock(&v->lock);
    return may;
}

bool redis_voice_may_say_back(struct redis_voice *v, const struct redis_address *of)
{
    struct saying *s;
    bool may;

    pthread_mutex_lock(&v->lock);
    s = find(v, OUT, of);
    may = s != NULL && s->in_force;
    if (may)
        s->in_force = false;
    pthread_mutex_unlock(&v->lock);
    return may;
}

bool redis_voice_is_news(struct redis_voice *v, const char *text)
{
    bool news;

    pthread_mutex_lock(&v->lock);
    news = strncmp(v->news, text, sizeof v->news - 1) != 0;
    if (news)
        snprintf(v->news, sizeof v->news, "%s", text);
    pthread_mutex_unlock(&v->lock);
    return news;
}
