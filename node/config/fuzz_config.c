/* Any bytes either become settings or at least one error; nothing leaks, nothing crashes. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_errors errors = {0};
    struct settings *s = config_load_text("fuzz", (const char *)data, size, &errors);

    assert((s != NULL) == (errors.count == 0 && errors.dropped == 0 && !errors.out_of_memory));
    for (size_t i = 1; i < errors.count; i++)
        assert(errors.items[i - 1].line <= errors.items[i].line);
    settings_unref(s);
    config_errors_free(&errors);
    return 0;
}
