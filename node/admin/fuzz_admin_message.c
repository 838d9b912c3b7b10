/*
 * Bytes as a request to the admin API: whole and cut give the same outcome, and content never
 * exceeds its limit.
 */
#include "fuzz_http.h"

#include "admin_message.h"

static size_t run(struct admin_message *m, const uint8_t *data, size_t size, bool cut)
{
    uint32_t seed = fuzz_seed(data, size);
    size_t done = 0, have = cut ? 0 : size;

    admin_message_init(m);
    for (;;) {
        char *copy = exact_copy(data + done, have - done);
        size_t used;

        admin_message_feed(m, copy, have - done, &used);
        free(copy);
        MUST(used <= have - done);
        done += used;
        if (m->state == ADMIN_MESSAGE_WHOLE || m->state == ADMIN_MESSAGE_BAD)
            return done;
        if (used == 0 && have == size)
            return done;
        if (used == 0)
            have += fuzz_piece(&seed, size - have);
    }
}

static void must_be_equal(const char *a, const char *b)
{
    MUST((a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct admin_message whole, cut;
    size_t used = run(&whole, data, size, false), used_cut = run(&cut, data, size, true);

    MUST(whole.state == cut.state && whole.status == cut.status);
    must_be_equal(whole.path, cut.path);
    must_be_equal(whole.query, cut.query);
    must_be_equal(whole.authorization, cut.authorization);
    MUST(whole.content_len == cut.content_len && whole.content_len <= ADMIN_CONTENT_MAX);
    MUST(whole.content_len == 0 || memcmp(whole.content, cut.content, whole.content_len) == 0);
    if (whole.state == ADMIN_MESSAGE_WHOLE)
        MUST(used == used_cut && whole.path != NULL);
    else if (whole.state == ADMIN_MESSAGE_BAD)
        MUST(whole.status >= 400 && whole.wrong[0] != '\0' && !whole.keep_alive);
    admin_message_clear(&whole);
    admin_message_clear(&cut);
    return 0;
}
