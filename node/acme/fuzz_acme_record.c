/* What stands on the board or in the file, and paths that ask for challenges. The first byte says
 * which. */
#include "acme_record.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acme_challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct acme_held *h)
{
    assert(strlen(h->id) < ACME_ID_MAX && h->made_ms > 0);
    assert(strlen(h->chain) <= ACME_PEM_MAX && strlen(h->key) <= ACME_PEM_MAX);
}

static void on_found(void *arg, struct acme_held *h)
{
    (void)arg;
    check(h);
}

static void on_board(struct weir_span bytes)
{
    const struct weir_wrap_key k = {.bytes = {1, 2, 3}};
    struct acme_held h;

    assert(!acme_record_read(&k, WEIR_SPAN_LIT("c-1"), bytes, &h)); /* nobody guesses the tag */
    if (acme_record_read(NULL, WEIR_SPAN_LIT("c-1"), bytes, &h)) {
        check(&h);
        acme_held_clear(&h);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_span rest, token;

    if (size == 0)
        return 0;
    rest = weir_span((const char *)data + 1, size - 1);
    if (data[0] == 'b') {
        on_board(rest);
    } else if (data[0] == 't') {
        token = acme_challenge_token(rest);
        assert(token.ptr == NULL || acme_token_valid(token));
    } else {
        acme_file_read(NULL, rest, on_found, NULL);
    }
    return 0;
}
