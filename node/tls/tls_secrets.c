#include "tls_secrets.h"

#include <string.h>
#include <sys/mman.h>

#include "weir/alloc.h"

#define CHUNK_BYTES ((size_t)64 * 1024)

struct chunk {
    struct chunk *next;
    size_t size, used; /* with this head */
};

struct tls_secrets {
    struct chunk *chunks;
    struct chunk *scratch;
};

static struct chunk *chunk_new(size_t room)
{
    size_t size = (sizeof(struct chunk) + room + CHUNK_BYTES - 1) & ~(CHUNK_BYTES - 1);
    struct chunk *c = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (c == MAP_FAILED)
        return NULL;
    /* As far as the system lets us: a small RLIMIT_MEMLOCK must not stop a node. */
    (void)mlock(c, size);
    (void)madvise(c, size, MADV_DONTDUMP);
    c->size = size;
    c->used = sizeof *c;
    return c;
}

static void chunk_free(struct chunk *c)
{
    size_t size;

    if (c == NULL)
        return;
    size = c->size;
    explicit_bzero(c, size);
    munmap(c, size);
}

struct tls_secrets *tls_secrets_new(void)
{
    return weir_calloc(1, sizeof(struct tls_secrets));
}

void tls_secrets_free(struct tls_secrets *s)
{
    if (s == NULL)
        return;
    chunk_free(s->scratch);
    while (s->chunks != NULL) {
        struct chunk *c = s->chunks;

        s->chunks = c->next;
        chunk_free(c);
    }
    weir_free(s);
}

const void *tls_secrets_keep(struct tls_secrets *s, const void *bytes, size_t len)
{
    struct chunk *c = s->chunks;
    char *at;

    if (c == NULL || c->size - c->used < len) {
        c = chunk_new(len);
        if (c == NULL)
            return NULL;
        c->next = s->chunks;
        s->chunks = c;
    }
    at = (char *)c + c->used;
    memcpy(at, bytes, len);
    c->used += len;
    return at;
}

void *tls_secrets_scratch(struct tls_secrets *s, size_t len)
{
    if (s->scratch != NULL)
        explicit_bzero(s->scratch + 1, s->scratch->used);
    if (s->scratch == NULL || s->scratch->size - sizeof *s->scratch < len) {
        chunk_free(s->scratch);
        s->scratch = chunk_new(len);
        if (s->scratch == NULL)
            return NULL;
    }
    s->scratch->used = len; /* what is to be overwritten */
    return s->scratch + 1;
}
