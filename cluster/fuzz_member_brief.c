/*
 * fuzz_member_brief.c - any bytes as a brief, as an entry of the board, and as a hint. What was
 * read and is written again reads the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "weir/record.h"
#include "member_brief.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_brief(struct weir_span bytes)
{
    struct member_said said, again;
    struct record_fields fs = {0};

    if (!member_brief_read(bytes, &said))
        return;
    assert(said.brief.votes.len <= MEMBER_VOTES_MAX && said.sequence != 0 && said.format != 0);
    member_brief_write(&fs, &said);
    assert(member_brief_read(record_fields_span(&fs), &again));
    assert(again.sequence == said.sequence && member_brief_same(&again.brief, &said.brief));
    record_fields_free(&fs);
}

static void check_entry(struct weir_span bytes)
{
    char buf[MEMBER_ENTRY_MAX + 1];
    uint64_t incarnation;
    struct weir_span id;

    if (member_entry_read(bytes, &id, &incarnation))
        assert(weir_span_eq(member_entry(id, incarnation, buf), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_span bytes = weir_span((const char *)data, size), entry, sealed;

    check_brief(bytes);
    check_entry(bytes);
    if (member_hint_read(bytes, &entry, &sealed)) {
        assert(entry.len + sealed.len + 2 == size);
        check_entry(entry);
        check_brief(sealed);
    }
    return 0;
}
