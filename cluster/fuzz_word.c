/*
 * fuzz_word.c - any bytes as a word of the board, and as the file of words. What was read and is
 * written again reads the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weir/record.h"
#include "words_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct word_said *a, const struct word_said *b)
{
    assert(a->word.number == b->word.number && a->ends_at_ms == b->ends_at_ms &&
           a->word.kind == b->word.kind && a->aspect == b->aspect &&
           strcmp(a->word.name, b->word.name) == 0 && strcmp(a->word.url, b->word.url) == 0 &&
           strcmp(a->word.reason, b->word.reason) == 0);
}

static void check_word(struct weir_span bytes)
{
    char id[SHARED_BOARD_ID_MAX + 1];
    struct record_fields fs = {0};
    struct word_said s, again;

    if (!word_read(bytes, &s))
        return;
    assert(word_entry(&s, id).len <= SHARED_BOARD_ID_MAX);
    word_write(&fs, &s);
    assert(word_read(record_fields_span(&fs), &again));
    check_same(&s, &again);
    record_fields_free(&fs);
}

static void check_file(struct weir_span bytes)
{
    struct words_file f, again;
    char *text;

    if (!words_file_parse(bytes, &f, NULL))
        return;
    text = words_file_text(&f);
    assert(text != NULL && words_file_parse(weir_span(text, strlen(text)), &again, NULL));
    assert(again.count == f.count && again.contact_ms == f.contact_ms);
    for (size_t i = 0; i < f.count; i++)
        check_same(&f.words[i].said, &again.words[i].said);
    free(text);
    words_file_clear(&again);
    words_file_clear(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_span bytes = weir_span((const char *)data, size);

    check_word(bytes);
    check_file(bytes);
    return 0;
}
