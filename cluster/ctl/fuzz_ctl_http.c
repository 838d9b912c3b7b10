/* What weirctl makes of whatever answers on a socket: never reads beyond it, never half an answer.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1); /* of exactly this size, so that overruns show */
    struct ctl_answer a;
    struct weir_err err = {0};

    memcpy(copy, data, size);
    if (ctl_parse(copy, size, &a, &err)) {
        if (a.status < 0 || a.status > 999 || a.text == NULL || err.code != WEIR_OK)
            abort();
    } else if (err.code == WEIR_OK || a.json != NULL) {
        abort();
    }
    ctl_answer_free(&a);
    free(copy);
    return 0;
}
