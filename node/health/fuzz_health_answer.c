/*
 * Bytes as the answer to a probe: whole and cut give the same verdict, what is held stays bounded.
 * The first byte chooses the check, and how it ends.
 */
#include "health_answer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "health_check.h"
#include "pattern.h"
#include "test_health_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum health_reason verdict(const struct health_check *c, struct pattern_scratch *scratch,
                                  const uint8_t *data, size_t size, size_t piece, bool orderly,
                                  int *status)
{
    struct health_answer *a = health_answer_new(c, scratch, NULL);
    enum health_reason why = feed(a, (const char *)data, size, piece);

    if (why == HEALTH_R_NONE)
        why = health_answer_closed(a, orderly);
    *status = health_answer_status(a);
    health_answer_free(a);
    return why;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pattern_scratch *scratch = pattern_scratch_new(NULL);
    struct health_check c = {.kind = HEALTH_KIND_HTTP, .method = HTTP_M_GET};
    const unsigned how = size > 0 ? data[0] : 0;
    int status[3];
    enum health_reason why;

    if (size > 0) {
        data++;
        size--;
    }
    health_statuses_parse("200-299,404", &c.statuses);
    if ((how & 1) != 0)
        c.body = pattern_compile("o(k|K)+", NULL);
    if ((how & 2) != 0)
        c.method = HTTP_M_HEAD;
    why = verdict(&c, scratch, data, size, SIZE_MAX, (how & 4) == 0, &status[0]);
    if (why == HEALTH_R_NONE || why >= HEALTH_REASONS ||
        why != verdict(&c, scratch, data, size, 1, (how & 4) == 0, &status[1]) ||
        why != verdict(&c, scratch, data, size, 7, (how & 4) == 0, &status[2]) ||
        status[0] != status[1] || status[0] != status[2]) {
        fprintf(stderr, "the verdict depends on how the bytes are cut\n");
        abort();
    }
    pattern_free(c.body);
    pattern_scratch_free(scratch);
    return 0;
}
