/* What stands on the board or in the file. The first byte says which; bytes for the board are also
 * wrapped first, so that what is inside is read, too. */
#include "ticket_record.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW ((int64_t)1763900000000)

static void check(const struct ticket_held *h)
{
    char id[TICKET_ID_MAX];

    assert(h->kind == TICKET_STORED && h->rotation_ms > 0);
    assert(ticket_begins_ms(h) >= 0 && ticket_ends_ms(h) > ticket_begins_ms(h));
    assert(ticket_id(h, id).len < sizeof id);
}

static void on_board(const struct weir_wrap_key *k, struct weir_span bytes)
{
    size_t id = bytes.len > TICKET_RECORD_BYTES ? bytes.len - TICKET_RECORD_BYTES : 0;
    char wrapped[TICKET_WRAPPED_BYTES];
    struct ticket_held h;

    assert(!ticket_open(k, weir_span(bytes.ptr, id), bytes, &h)); /* nobody guesses the tag */
    if (bytes.len < TICKET_RECORD_BYTES || id > 64 ||
        !weir_wrap(k, "ticket", weir_span(bytes.ptr, id),
                   weir_span(bytes.ptr + id, TICKET_RECORD_BYTES), wrapped, NULL))
        return;
    if (ticket_open(k, weir_span(bytes.ptr, id), weir_span(wrapped, sizeof wrapped), &h))
        check(&h);
}

static void in_file(const struct weir_wrap_key *k, struct weir_span text)
{
    struct ticket_ring r = {.count = 0}, again = {.count = 0};
    size_t len;
    char *out;

    ticket_file_read(text, k, &r, NOW);
    assert(r.count <= TICKET_KEYS_MAX);
    for (size_t i = 0; i < r.count; i++)
        check(&r.held[i]);
    out = ticket_file_text(&r, k, &len);
    assert(out != NULL && ticket_file_read(weir_span(out, len), k, &again, NOW));
    assert(again.count == r.count && memcmp(&again, &r, r.count * sizeof r.held[0]) == 0);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct weir_wrap_key k = {.bytes = {1, 2, 3}};
    struct weir_span rest;

    if (size == 0)
        return 0;
    rest = weir_span((const char *)data + 1, size - 1);
    if (data[0] == 'b')
        on_board(&k, rest);
    else
        in_file(data[0] == 'w' ? &k : NULL, rest);
    return 0;
}
