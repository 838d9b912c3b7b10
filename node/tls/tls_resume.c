#include "tls_session_own.h"

#include <pthread.h>
#include <string.h>

#include "weir/alloc.h"

/*
 * A list, newest first: there are as many as an upstream has origins, times a few. Whoever takes a
 * session takes it out: tickets of TLS 1.3 are for one use (RFC 8446 C.4), and no two threads get
 * hold of the same one.
 */
#define RESUME_MAX 64

struct resumable {
    char *key;            /* owned; NULL: free */
    SSL_SESSION *session; /* owned */
};

struct tls_resume {
    pthread_mutex_t lock;
    struct resumable all[RESUME_MAX]; /* the oldest at `next` once it has gone round */
    unsigned next;
};

struct tls_resume *tls_resume_new(struct weir_err *err)
{
    struct tls_resume *r = weir_calloc(1, sizeof *r);

    if (r == NULL)
        weir_fail(err, WEIR_E_MEMORY, "tls: resume", 0);
    else
        pthread_mutex_init(&r->lock, NULL);
    return r;
}

static void drop(struct resumable *e)
{
    SSL_SESSION_free(e->session);
    weir_free(e->key);
    *e = (struct resumable){0};
}

void tls_resume_free(struct tls_resume *r)
{
    if (r == NULL)
        return;
    for (unsigned i = 0; i < RESUME_MAX; i++)
        drop(&r->all[i]);
    pthread_mutex_destroy(&r->lock);
    weir_free(r);
}

bool tls_resume_put(struct tls_resume *r, const char *key, SSL_SESSION *session)
{
    char *copy = weir_strndup(key, strlen(key));

    if (copy == NULL)
        return false;
    pthread_mutex_lock(&r->lock);
    drop(&r->all[r->next]);
    r->all[r->next] = (struct resumable){copy, session};
    r->next = (r->next + 1) % RESUME_MAX;
    pthread_mutex_unlock(&r->lock);
    return true;
}

SSL_SESSION *tls_resume_take(struct tls_resume *r, const char *key)
{
    SSL_SESSION *found = NULL;

    pthread_mutex_lock(&r->lock);
    for (unsigned n = 1; n <= RESUME_MAX && found == NULL; n++) {
        struct resumable *e = &r->all[(r->next + RESUME_MAX - n) % RESUME_MAX];

        if (e->key == NULL || strcmp(e->key, key) != 0)
            continue;
        found = e->session;
        e->session = NULL;
        drop(e);
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}
