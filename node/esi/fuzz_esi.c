/*
 * fuzz_esi.c - pages cut in two at a place the first byte names.
 *
 * Holds: however a page is cut, the same texts and includes come out; every byte of text is one of
 * the page, in its order; all input is consumed.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "esi_parser.h"

struct result {
    char *text; /* texts, and includes as \1src\2alt\3 */
    size_t len, cap;
    size_t page_bytes;
};

static void add(struct result *r, const char *bytes, size_t len)
{
    if (r->len + len > r->cap) {
        r->cap = (r->len + len) * 2;
        r->text = realloc(r->text, r->cap);
        assert(r->text != NULL);
    }
    if (len > 0)
        memcpy(r->text + r->len, bytes, len);
    r->len += len;
}

static void note(struct result *r, enum esi_event e, const struct esi_token *t)
{
    if (e == ESI_TEXT) {
        assert(t->text.len > 0);
        add(r, t->text.ptr, t->text.len);
        r->page_bytes += t->text.len;
        return;
    }
    assert(t->include.src.len > 0 && t->include.src.len < ESI_TAG_MAX);
    add(r, "\1", 1);
    add(r, t->include.src.ptr, t->include.src.len);
    add(r, "\2", 1);
    add(r, t->include.alt.ptr, t->include.alt.len);
    add(r, t->include.go_on ? "\3" : "\4", 1);
}

static void feed(struct esi_parser *p, const uint8_t *data, size_t size, struct result *r)
{
    struct weir_span in = weir_span((const char *)data, size);
    struct esi_token t;
    enum esi_event e;

    while ((e = esi_parser_next(p, &in, &t)) != ESI_MORE)
        note(r, e, &t);
    assert(in.len == 0);
}

static struct result parse(const uint8_t *data, size_t size, size_t cut)
{
    struct esi_parser p;
    struct result r = {NULL, 0, 0, 0};
    struct esi_token t;

    esi_parser_init(&p);
    if (cut == 0) {
        for (size_t i = 0; i < size; i++)
            feed(&p, data + i, 1, &r);
    } else {
        feed(&p, data, cut, &r);
        feed(&p, data + cut, size - cut, &r);
    }
    if (esi_parser_end(&p, &t) == ESI_TEXT)
        note(&r, ESI_TEXT, &t);
    assert(esi_parser_end(&p, &t) == ESI_MORE);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result whole, cut, bytes;

    if (size < 2)
        return 0;
    whole = parse(data + 1, size - 1, size - 1);
    cut = parse(data + 1, size - 1, 1 + data[0] % (size - 1));
    bytes = parse(data + 1, size - 1, 0);
    assert(whole.page_bytes <= size - 1);
    assert(whole.len == cut.len && (cut.len == 0 || memcmp(whole.text, cut.text, cut.len) == 0));
    assert(whole.len == bytes.len &&
           (bytes.len == 0 || memcmp(whole.text, bytes.text, bytes.len) == 0));
    free(whole.text);
    free(cut.text);
    free(bytes.text);
    return 0;
}
