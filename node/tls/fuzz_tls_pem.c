/* A certificate file, as tls_load.c reads it: blocks, then what is in them. */
#include <stdint.h>
#include <stdlib.h>

#include "tls_der.h"
#include "tls_pem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_names(const struct tls_der_certificate *c)
{
    struct tls_der_names it = tls_der_names(c->names, c->common_name);
    char name[TLS_NAME_MAX], text[24];

    while (tls_der_next_name(&it, name))
        if (name[0] == '\0')
            abort();
    (void)tls_der_key_text(c, text);
}

static void read_bytes(struct weir_span bytes, struct tls_der_certificate *last)
{
    struct tls_der_certificate c;

    if (tls_der_certificate(bytes, &c)) {
        read_names(&c);
        *last = c;
    }
    (void)tls_der_match(last, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_span text = weir_span((const char *)data, size);
    struct tls_der_certificate last = {0};
    struct tls_pem_block block;
    unsigned char *kept[16] = {NULL}; /* `last` points into them */
    size_t len;

    read_bytes(text, &last);
    for (unsigned i = 0; i < 16 && tls_pem_next(&text, &block) == TLS_PEM_BLOCK; i++) {
        kept[i] = malloc(tls_pem_room(&block));
        if (kept[i] != NULL && tls_pem_decode(&block, kept[i], &len))
            read_bytes(weir_span((const char *)kept[i], len), &last);
    }
    for (unsigned i = 0; i < 16; i++)
        free(kept[i]);
    return 0;
}
