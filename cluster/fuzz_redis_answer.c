/* Any reply to any operation: the first byte chooses the operation, the rest is what Redis sends.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "redis_answer.h"
#include "redis_reply.h"
#include "weir/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is promised of an answer. */
static void check(enum redis_op op, const struct redis_reply *reply, const struct shared_call *c)
{
    assert(c->result < SHARED_RESULTS);
    assert((c->value.blob != NULL) == (op == REDIS_OP_GET && c->result == SHARED_OK));
    assert(c->value.blob == NULL || c->value.off + c->value.len <= c->value.blob->len);
    assert(c->result == SHARED_OK || (c->number == 0 && c->entry_count == 0));
    for (size_t i = 0; i < c->entry_count; i++)
        assert(i == 0 || c->entries[i].id > c->entries[i - 1].id);
    assert(c->result == SHARED_OK || c->note_count == 0);
    for (size_t i = 0; i < c->note_count; i++) {
        const struct shared_note *n = &c->notes[i];

        assert(n->id.len > 0 && n->id.len <= SHARED_BOARD_ID_MAX && n->age_ms >= 0);
        assert(n->bytes.len <= SHARED_BOARD_POST_MAX && (n->left_ms > 0 || n->left_ms == -1));
        assert(i == 0 || !weir_span_eq(n->id, c->notes[i - 1].id));
    }
    if (op == REDIS_OP_TOKENS_TAKE && (c->result == SHARED_OK || c->result == SHARED_REFUSED))
        assert((c->number > 0) == (c->left_ms == 0) && c->rest <= SHARED_BURST_MAX);
    if ((op == REDIS_OP_LEASE_WAKE || op == REDIS_OP_LEASE_RELEASE) && c->result == SHARED_OK)
        for (size_t i = 0; i < c->number; i++)
            assert(redis_answer_waiter(reply, i).len > 0);
}

static void answer(enum redis_op op, const struct redis_reply *reply)
{
    struct shared_call c = {.done = NULL};

    redis_answer(op, reply, &c);
    check(op, reply, &c);
    weir_blob_unref(c.value.blob);
    weir_free(c.owned);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct redis_limits limits = {.bulk_max_bytes = 1 << 20, .reply_max_bytes = 4 << 20};
    struct redis_reader *r = redis_reader_new(&limits);
    struct redis_reply *reply;

    if (size > 0 && r != NULL) {
        struct weir_span in = weir_span((const char *)data + 1, size - 1);

        while (redis_reader_next(r, &in, &reply, NULL) == REDIS_READ_REPLY) {
            answer(data[0] % REDIS_OPS, reply);
            redis_reply_unref(reply);
        }
    }
    redis_reader_free(r);
    return 0;
}
